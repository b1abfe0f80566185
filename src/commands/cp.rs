//! `cp`: files and folders into a guest and out of it.
//!
//! Owns which way is taken, and what becomes of which place. How bytes get there is in `channel`, what is done with them
//! in the guest in `script`, what is done with them here in `local`.

mod channel;
mod local;
mod script;

use std::path::Path;
use std::time::Duration;

use crate::cli::{Cp, Global, Place, Via};
use crate::commands::login;
use crate::commands::request;
use crate::commands::ssh;
use crate::commands::stage::{self, Access, Sight};
use crate::error::{Error, Exit};
use crate::names::{ProjectName, VmName};
use channel::Channel;

/// How long ssh may take to answer before the agent is asked instead.
const PATIENCE: Duration = Duration::from_secs(3);

/// Copies.
pub(super) fn cp(global: &Global, options: &Cp) -> Result<Exit, Error> {
    let (source, target) = (&options.source, &options.target);
    let vm = match (source, target) {
        (Place::Guest(..), Place::Guest(..)) => {
            return Err(refused("both places are in guests", "copy to this machine first, and on from here"));
        }
        (Place::Guest(vm, _), _) | (_, Place::Guest(vm, _)) => vm,
        _ => return Err(refused("neither place is in a guest", "write one of them as `VM:PATH`")),
    };
    let project = stage::project_name(global, &request(global)?)?;
    let sight = stage::observe(global, &project, Access::Read)?;
    let channel = choose(&sight, &project, vm, options.via)?;
    match (source, target) {
        (Place::Here(from), Place::Guest(_, to)) => into(&channel, from, to)?,
        (Place::Guest(_, from), Place::Here(to)) => out_of(&channel, from, to)?,
        (Place::Guest(_, from), _) => script::pack(&channel, from)?,
        (_, Place::Guest(_, to)) => script::unpack(&channel, to)?,
        _ => {}
    }
    Ok(Exit::Done)
}

fn refused(what: &str, hint: &str) -> Error {
    Error::Missing { what: what.to_owned(), hint: hint.to_owned() }
}

/// The way that the user wants, or else the first that is open.
fn choose<'a>(sight: &'a Sight, project: &ProjectName, vm: &VmName, wanted: Option<Via>) -> Result<Channel<'a>, Error> {
    let agent = || Channel::Agent { hypervisor: &sight.hypervisor, project: project.clone(), vm: vm.clone() };
    login::find(&sight.actual, vm)?;
    let way = || login::way(&sight.hypervisor, project, &sight.actual, vm);
    Ok(match wanted {
        Some(Via::Ssh) => Channel::Ssh(way()?),
        Some(Via::Agent) => agent(),
        None if !ssh::is_there() => agent(),
        None => way().ok().filter(|way| way.answers(PATIENCE)).map_or_else(agent, Channel::Ssh),
    })
}

/// From here into the guest.
fn into(channel: &Channel<'_>, from: &Path, to: &str) -> Result<(), Error> {
    let unreadable = |source| Error::Io { path: from.to_owned(), source };
    // Named here, a link means what it leads to; inside of a folder it is a link.
    let about = from.metadata().map_err(unreadable)?;
    let name = local::name_of(from).map_err(unreadable)?;
    if about.is_dir() {
        script::put_folder(channel, from, &name, to)
    } else {
        script::put_file(channel, from, &name, to)
    }
}

/// Out of the guest to here.
fn out_of(channel: &Channel<'_>, from: &str, to: &Path) -> Result<(), Error> {
    let contents = from == "." || from.ends_with("/.") || from == "/";
    let name = from.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let name = if contents { "" } else { name };
    script::get(channel, from, |what, bytes| local::put(what, bytes, name, to))
}
