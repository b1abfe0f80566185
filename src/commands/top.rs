//! `top`: the processes in a vm, as its own `ps` tells them.
//!
//! Owns which `ps` a guest is asked for. Reads the file only for the project's name.

use crate::backend::libvirt::Libvirt;
use crate::backend::{End, ErrorKind, HypervisorError, Ran};
use crate::cli::{Global, Top};
use crate::commands::{login, print, request, stage};
use crate::error::{Error, Exit};
use crate::names::{ProjectName, VmName};
use crate::render::Palette;
use crate::render::stats::Processes;

/// The columns, and the busiest first.
const USUAL: [&str; 3] = ["-eo", "pid,user,pcpu,pmem,etime,args", "--sort=-pcpu"];

/// Shows the processes.
pub(super) fn top(global: &Global, options: &Top) -> Result<Exit, Error> {
    let project = stage::project_name(global, &request(global)?)?;
    let hypervisor = Libvirt::connect(global.connect.as_deref())?;
    let ran = asked(&hypervisor, &project, options);
    let ran = ran.map_err(|error| login::named(&hypervisor, &project, &options.vm, error))?;
    let processes = Processes::read(options.vm.clone(), &String::from_utf8_lossy(&ran.stdout));
    print(&processes.text(options.format, &Palette::stdout()))?;
    Ok(Exit::Done)
}

fn asked(hypervisor: &Libvirt, project: &ProjectName, options: &Top) -> Result<Ran, HypervisorError> {
    let vm = &options.vm;
    let ps = |arguments: &[String]| {
        let command: Vec<String> = std::iter::once("ps".to_owned()).chain(arguments.iter().cloned()).collect();
        hypervisor.exec(project, vm, &command, None)
    };
    if !options.arguments.is_empty() {
        return succeeded(vm, ps(&options.arguments)?);
    }
    let first = ps(&USUAL.map(str::to_owned))?;
    // A small one, such as that of BusyBox, knows neither of it.
    if first.end == End::Code(0) { Ok(first) } else { succeeded(vm, ps(&[])?) }
}

fn succeeded(vm: &VmName, ran: Ran) -> Result<Ran, HypervisorError> {
    if ran.end == End::Code(0) {
        return Ok(ran);
    }
    let words = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
    let message = format!("`ps` in vm `{vm}` failed: {words}");
    Err(HypervisorError::new(ErrorKind::Rejected, message))
}
