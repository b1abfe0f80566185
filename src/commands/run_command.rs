//! `run`: `start`, `exec` and `stop`, one after the other.
//!
//! Owns what is stopped again: what this command started, and nothing else.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use crate::cli::{Backwards, Exec, Forwards, Global, RunCommand, Stop};
use crate::commands::stage::Access;
use crate::commands::{exec, power, request, signals, stage};
use crate::error::{Error, Exit};
use crate::names::VmName;
use crate::state::{ActualState, Phase};

/// Between two looks for a signal.
const LOOK: Duration = Duration::from_millis(100);

/// Runs a command in a vm that is started for it.
pub(super) fn run(global: &Global, options: &RunCommand) -> Result<Exit, Error> {
    let project = stage::project_name(global, &request(global)?)?;
    let before = off(&stage::observe(global, &project, Access::Read)?.actual);
    let started = power::start(global, &Forwards { vms: vec![options.vm.clone()], no_deps: false })?;
    if started != Exit::Done {
        return Ok(started);
    }
    let command = Exec { interactive: false, tty: false, vm: options.vm.clone(), command: options.command.clone() };
    // Stopped also where the command could not be run.
    let ran = unless_interrupted(global, command);
    let now = off(&stage::observe(global, &project, Access::Read)?.actual);
    let ours: Vec<VmName> = before.difference(&now).cloned().collect();
    if !options.keep && !ours.is_empty() {
        let vms = Backwards { vms: ours, with_dependents: false };
        let stopped = power::stop(global, &Stop { vms, timeout: None })?;
        if stopped != Exit::Done && matches!(ran, Ok(Exit::Guest(0))) {
            return Ok(stopped);
        }
    }
    ran
}

/// Runs the command; a signal is answered by not waiting for it any more.
fn unless_interrupted(global: &Global, command: Exec) -> Result<Exit, Error> {
    let interrupted = signals::flag();
    let (answer, ended) = channel();
    let global = global.clone();
    thread::spawn(move || {
        // Nobody listens any more only after a signal.
        let _ = answer.send(exec::exec(&global, &command));
    });
    loop {
        match ended.recv_timeout(LOOK) {
            Ok(ran) => return ran,
            Err(_) if interrupted.load(Ordering::Relaxed) => return Ok(Exit::Interrupted),
            Err(_) => {}
        }
    }
}

fn off(actual: &ActualState) -> BTreeSet<VmName> {
    let is_off = |phase: Phase| !matches!(phase, Phase::Running | Phase::Paused);
    let found = actual.resources.iter().filter(|(_, found)| is_off(found.phase));
    found.filter_map(|(id, _)| id.as_vm()).cloned().collect()
}
