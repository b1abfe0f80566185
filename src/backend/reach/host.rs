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

/// Runs the command; an error is how it failed.
pub(super) fn run(
    command: &[String],
    project: &ProjectName,
    attempt: &Attempt,
    deadline: Instant,
) -> Result<(), String> {
    let (program, arguments) = command.split_first().ok_or("there is no command")?;
    let mut command = Command::new(program);
    command.args(arguments).env("VMCOMPOSE_PROJECT", project.as_str()).env("VMCOMPOSE_VM", attempt.vm.as_str());
    if let Some(address) = attempt.address {
        command.env("VMCOMPOSE_IP", address.to_string());
    }
    // A group of its own: what the command starts ends with it, and a Ctrl-C is for the run to handle.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().map_err(|error| format!("cannot run `{program}`: {error}"))?;
    let group = Pid::from_child(&child);
    let (tell, ended) = mpsc::channel();
    thread::spawn(move || tell.send(end(child)));
    let Ok(ended) = ended.recv_timeout(left(deadline)) else {
        let _ = kill_process_group(group, Signal::KILL);
        return Err("the command did not end in time".to_owned());
    };
    ended
}

fn end(mut child: Child) -> Result<(), String> {
    const MOST: u64 = 64 << 10;
    let mut said = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        let _ = stderr.take(MOST).read_to_end(&mut said);
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&said);
    let line = said.lines().map(str::trim).find(|line| !line.is_empty());
    let how = status.code().map_or_else(|| status.to_string(), |code| format!("exit code {code}"));
    Err(line.map_or(how.clone(), |line| format!("{how}: {}", line.chars().take(200).collect::<String>())))
}
