//! `completion`, and the answers to a shell that completes a command line.
//!
//! Owns which names of the project's belong to which placeholder of the command line. The shells' own languages are
//! the business of `clap_complete`. Looks things up, tells no errors: a key pressed in a shell must not answer with one.

use std::env;
use std::ffi::{OsStr, OsString};

use clap::{Arg, CommandFactory, FromArgMatches};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};

use crate::backend::libvirt::Libvirt;
use crate::cli::{Cli, Completion, Global};
use crate::commands::stage::Access;
use crate::commands::{print, request, stage};
use crate::compose::Parsed;
use crate::error::{Error, Exit};
use crate::names::ResourceId;
use crate::plan::snapshot;

const PROGRAM: &str = "vmcompose";
/// Set by the script that [`completion`] prints when it asks for candidates.
const VARIABLE: &str = "VMCOMPOSE_COMPLETE";

/// Prints what a shell has to read to complete command lines.
pub(super) fn completion(options: &Completion) -> Result<Exit, Error> {
    let shells = Shells::builtins();
    let shell = shells.completer(options.shell.as_str()).expect("every shell of the command line is built in");
    let mut script = Vec::new();
    shell
        .write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)
        .map_err(|source| Error::Io { path: "completion".into(), source })?;
    print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

/// Answers a shell that asks how a command line could go on; `None` where none asks.
pub fn answer_shell() -> Option<Exit> {
    let asked = CompleteEnv::with_factory(command).var(VARIABLE).bin(PROGRAM);
    match asked.try_complete(env::args_os(), env::current_dir().ok().as_deref()) {
        Ok(true) => Some(Exit::Done),
        Ok(false) => None,
        // The shell is not one that we know.
        Err(_) => Some(Exit::Usage),
    }
}

/// The command line, with somebody at each placeholder who knows what fits it.
fn command() -> clap::Command {
    with_names(Cli::command())
}

fn with_names(command: clap::Command) -> clap::Command {
    let subcommands: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let command = command.mut_args(|arg| match candidates(&arg) {
        Some(names) => arg.add(ArgValueCompleter::new(move |typed: &OsStr| fitting(names(), typed))),
        None => arg,
    });
    subcommands.into_iter().fold(command, |command, name| command.mut_subcommand(name, with_names))
}

/// Who knows the names for a placeholder, as the help has it.
fn candidates(arg: &Arg) -> Option<fn() -> Vec<String>> {
    let placeholder = arg.get_value_names()?.first()?.as_str();
    Some(match (arg.get_id().as_str(), placeholder) {
        ("project", _) => projects,
        ("profile", _) => || file(|parsed| parsed.profiles.iter().map(ToString::to_string).collect()),
        (_, "VM") => || of_kind(|id| matches!(id, ResourceId::Vm(_))),
        (_, "NETWORK") => || of_kind(|id| matches!(id, ResourceId::Network(_))),
        (_, "VOLUME") => || of_kind(|id| matches!(id, ResourceId::Volume(_))),
        (_, "SNAPSHOT") => snapshots,
        (_, "IMAGE") => || file(|parsed| parsed.project.images.keys().map(ToString::to_string).collect()),
        _ => return None,
    })
}

fn fitting(names: Vec<String>, typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    names.into_iter().filter(|name| name.starts_with(&*typed)).map(CompletionCandidate::new).collect()
}

/// Names that the file has. Of a file with mistakes nothing is known.
fn file(names: fn(&Parsed) -> Vec<String>) -> Vec<String> {
    request(&global()).and_then(|request| stage::read(&request)).map(|parsed| names(&parsed)).unwrap_or_default()
}

/// Names of one kind that the file has, or, where there is none for the project, the hypervisor.
fn of_kind(kind: fn(&ResourceId) -> bool) -> Vec<String> {
    let global = global();
    let names =
        |ids: &mut dyn Iterator<Item = &ResourceId>| ids.filter(|id| kind(id)).map(|id| id.name().to_owned()).collect();
    if let Ok(parsed) = request(&global).and_then(|request| stage::read(&request)) {
        return names(&mut parsed.project.origins.keys());
    }
    let Some(project) = &global.project else { return Vec::new() };
    stage::observe(&global, project, Access::Read)
        .map(|sight| names(&mut sight.actual.resources.keys()))
        .unwrap_or_default()
}

fn snapshots() -> Vec<String> {
    let global = global();
    let Ok(project) = request(&global).and_then(|request| stage::project_name(&global, &request)) else {
        return Vec::new();
    };
    let found = stage::observe(&global, &project, Access::Read);
    let found = found.map(|sight| snapshot::snapshots(&sight.actual)).unwrap_or_default();
    found.into_iter().map(|(snapshot, _)| snapshot.name.to_string()).collect()
}

fn projects() -> Vec<String> {
    let found = Libvirt::connect(global().connect.as_deref()).and_then(|hypervisor| hypervisor.projects());
    found.unwrap_or_default().iter().map(ToString::to_string).collect()
}

/// The options that the unfinished line has already: they say which file and which hypervisor are meant.
fn global() -> Global {
    let words = env::args_os().skip_while(|word| word != "--").skip(1);
    let matches = Cli::command().ignore_errors(true).get_matches_from(line(words));
    Global::from_arg_matches(&matches).unwrap_or_else(|_| {
        let bare = Cli::command().ignore_errors(true).get_matches_from([PROGRAM]);
        Global::from_arg_matches(&bare).expect("every global option may be left out")
    })
}

fn line(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let words: Vec<OsString> = words.collect();
    if words.is_empty() { vec![OsString::from(PROGRAM)] } else { words }
}
