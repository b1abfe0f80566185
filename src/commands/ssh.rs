//! `ssh` and `ssh-config`: the system's ssh on the way into a vm.
//!
//! Owns how it is called. It takes the place of this program, so that terminal, signals and exit code are its own.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use crate::cli::{Global, Ssh, SshConfig};
use crate::commands::login::{self, Way};
use crate::commands::stage::{self, Access};
use crate::commands::{print, request};
use crate::error::{Error, Exit};
use crate::model::{Spec, Vm};
use crate::render::output;

/// Logs in, or runs a command there.
pub(super) fn ssh(global: &Global, options: &Ssh) -> Result<Exit, Error> {
    let project = stage::project_name(global, &request(global)?)?;
    let sight = stage::observe(global, &project, Access::Read)?;
    let mut way = login::way(&sight.hypervisor, &project, &sight.actual, &options.vm)?;
    if let Some(user) = &options.login {
        way.user.clone_from(user);
    }
    drop(sight);
    let mut command = Command::new("ssh");
    if options.tty {
        command.arg("-t");
    }
    command.args(way.arguments()).arg("--").args(&options.command);
    Err(not_run(command.exec()))
}

/// Whether the system has an ssh.
pub(super) fn is_there() -> bool {
    let asked = Command::new("ssh").arg("-V").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok()
}

/// Why the system's ssh did not start.
pub(super) fn not_run(source: io::Error) -> Error {
    if source.kind() != io::ErrorKind::NotFound {
        return Error::Io { path: "ssh".into(), source };
    }
    let hint = "install OpenSSH's client, such as the package `openssh-client`; `vmcompose exec` needs none";
    Error::Missing { what: "there is no `ssh` on this machine".to_owned(), hint: hint.to_owned() }
}

/// Prints the vms as a configuration of ssh.
pub(super) fn config(global: &Global, options: &SshConfig) -> Result<Exit, Error> {
    let project = stage::project_name(global, &request(global)?)?;
    let sight = stage::observe(global, &project, Access::Read)?;
    let all: Vec<&Vm> = if options.vms.is_empty() {
        sight.actual.recorded().filter_map(Spec::as_vm).filter(|vm| !vm.interfaces.is_empty()).collect()
    } else {
        let named = options.vms.iter().map(|name| login::find(&sight.actual, name).map(|(vm, _)| vm));
        named.collect::<Result<_, _>>()?
    };
    let mut text = format!("# The vms of project {project}, as `vmcompose ssh-config` found them.\n");
    for vm in all {
        match login::to(&sight.hypervisor, &project, vm, sight.actual.made.get(&vm.name).copied()) {
            Ok(way) => text.push_str(&host(&way)),
            // Of all, one whose key is elsewhere is left out; asked for by name, it is an error.
            Err(error) if options.vms.is_empty() => output::note(&format!("note: left out: {error}")),
            Err(error) => return Err(error),
        }
    }
    print(&text)?;
    Ok(Exit::Done)
}

fn host(way: &Way) -> String {
    let options = way.options().into_iter().map(|(name, value)| format!("    {name} {value}\n"));
    format!("\nHost {} {}\n{}", way.vm, way.alias(), options.collect::<String>())
}
