//! `service`: the project as a unit of systemd's.
//!
//! Owns what of this call the unit repeats. Prints it and changes nothing: whether a machine starts vms is decided by whoever
//! has the right to.

use crate::cli::Global;
use crate::commands::stage::{self, Access};
use crate::commands::{print, request};
use crate::error::{Error, Exit};
use crate::model::Spec;
use crate::render::output;
use crate::render::service::{Service, unit};

/// Prints the unit.
pub(super) fn service(global: &Global) -> Result<Exit, Error> {
    let request = request(global)?;
    let project = stage::project_name(global, &request)?;
    let sight = stage::observe(global, &project, Access::Read)?;
    let mut vms = sight.actual.recorded().filter_map(Spec::as_vm).peekable();
    if vms.peek().is_none() {
        let what = format!("project `{project}` has no vms on this hypervisor");
        return Err(Error::Missing { what, hint: "`vmcompose up` makes them; then they can be started".to_owned() });
    }
    let early: Vec<String> = vms.filter(|vm| vm.autostart).map(|vm| format!("`{}`", vm.name)).collect();
    if !early.is_empty() {
        let who = early.join(", ");
        output::note(&format!(
            "note: libvirt starts {who} itself, before this unit and in no order: leave out `autostart: true` and run `up`"
        ));
    }
    let program = std::env::current_exe().map_err(|source| Error::Io { path: "/proc/self/exe".into(), source })?;
    let files: Vec<String> =
        global.file.iter().map(|file| request.directory.join(file).display().to_string()).collect();
    let (uri, home) = (sight.hypervisor.uri(), std::env::var("HOME").ok());
    let service = Service {
        project: &project,
        program: &program,
        connect: &uri,
        folder: &request.directory,
        files: &files,
        home: home.as_deref(),
        session: sight.hypervisor.is_session(),
    };
    print(&unit(&service))?;
    Ok(Exit::Done)
}
