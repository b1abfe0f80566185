//! A command on the machine that runs vmcompose.
//!
//! Owns its life: it ends within the attempt, with everything that it started.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process_group};

use super::left;
use crate::backend::Attempt;
use crate::names::ProjectName;

/// How a command failed, and what it said on its standard error.
pub(super) struct Failed {
    how: String,
    said: String,
}

impl Failed {
    fn silently(how: impl Into<String>) -> Self {
        Self { how: how.into(), said: String::new() }
    }

    /// The first and the last line of what it said, where it said anything.
    pub(super) fn lines(&self) -> Option<(&str, &str)> {
        let mut lines = self.said.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next()?;
        Some((first, lines.next_back().unwrap_or(first)))
    }

    /// How it ended.
    pub(super) fn how(&self) -> &str {
        &self.how
    }
}

/// Runs the command; an error is how it failed, and the first line of why.
pub(super) fn run(
    command: &[String],
    project: &ProjectName,
    attempt: &Attempt,
    deadline: Instant,
) -> Result<(), String> {
    to_its_end(command, project, attempt, deadline).map_err(|failed| match failed.lines() {
        Some((first, _)) => format!("{}: {}", failed.how, short(first)),
        None => failed.how,
    })
}

/// A line, or its beginning.
pub(super) fn short(line: &str) -> String {
    line.chars().take(200).collect()
}

/// Runs the command.
pub(super) fn to_its_end(
    command: &[String],
    project: &ProjectName,
    attempt: &Attempt,
    deadline: Instant,
) -> Result<(), Failed> {
    let (program, arguments) = command.split_first().ok_or_else(|| Failed::silently("there is no command"))?;
    let mut command = Command::new(program);
    command.args(arguments).env("VMCOMPOSE_PROJECT", project.as_str()).env("VMCOMPOSE_VM", attempt.vm.as_str());
    if let Some(address) = attempt.address {
        command.env("VMCOMPOSE_IP", address.to_string());
    }
    // A group of its own: what the command starts ends with it, and a Ctrl-C is for the run to handle.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().map_err(|error| Failed::silently(format!("cannot run `{program}`: {error}")))?;
    let group = Pid::from_child(&child);
    let (tell, ended) = mpsc::channel();
    thread::spawn(move || tell.send(end(child)));
    let Ok(ended) = ended.recv_timeout(left(deadline)) else {
        let _ = kill_process_group(group, Signal::KILL);
        return Err(Failed::silently("the command did not end in time"));
    };
    ended
}

fn end(mut child: Child) -> Result<(), Failed> {
    const MOST: u64 = 64 << 10;
    let mut said = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        let _ = stderr.take(MOST).read_to_end(&mut said);
    }
    let status = child.wait().map_err(|error| Failed::silently(error.to_string()))?;
    if status.success() {
        return Ok(());
    }
    let how = status.code().map_or_else(|| status.to_string(), |code| format!("exit code {code}"));
    Err(Failed { how, said: String::from_utf8_lossy(&said).into_owned() })
}
