//! Secrets that a command prints: `pass`, `op`, `age`, and sops.
//!
//! Owns the process, its end and its limits. What it prints is taken, never shown; what it complains of is shown only when
//! it fails. It is asked nothing and can ask nobody: its input is empty.

use std::io::Read;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::error::Fault;
use super::file::LONGEST;

/// The end of a complaint, which is where programs say what is wrong.
const COMPLAINT: usize = 300;

/// Runs a command. One line break at the end of what it prints is the terminal's.
pub(super) fn run(words: &[String], folder: &Path, timeout: Duration) -> Result<Vec<u8>, Fault> {
    let Some((program, arguments)) = words.split_first() else { return Err(Fault::Empty) };
    let mut command = Command::new(program);
    command.args(arguments);
    if !folder.as_os_str().is_empty() {
        command.current_dir(folder);
    }
    let mut printed = output(program, command, timeout)?;
    if printed.last() == Some(&b'\n') {
        printed.pop();
    }
    Ok(printed)
}

/// Has sops decrypt a file, or one value of it.
pub(super) fn sops(path: &Path, key: &[String], timeout: Duration) -> Result<Vec<u8>, Fault> {
    let mut words = vec!["sops".to_owned(), "--decrypt".to_owned()];
    if !key.is_empty() {
        let parts: Vec<String> = key.iter().map(|part| serde_json::Value::from(part.as_str()).to_string()).collect();
        words.extend(["--extract".to_owned(), format!("[{}]", parts.join("]["))]);
    }
    words.push(path.display().to_string());
    run(&words, Path::new(""), timeout)
}

fn output(program: &str, mut command: Command, timeout: Duration) -> Result<Vec<u8>, Fault> {
    let deadline = Instant::now() + timeout;
    // A group of its own, so that what it started goes with it.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().map_err(|source| Fault::NotRun { program: program.to_owned(), source })?;
    let (printed, complaint) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let late = || Fault::Late { what: program.to_owned(), limit: timeout };
    let left = || deadline.saturating_duration_since(Instant::now());
    let both = printed.recv_timeout(left()).and_then(|printed| Ok((printed, complaint.recv_timeout(left())?)));
    let (Ok((printed, complaint)), Some(status)) = (both, ended(&mut child, deadline)) else {
        end(&mut child);
        return Err(late());
    };
    if !status.success() {
        let complaint = String::from_utf8_lossy(&complaint);
        return Err(Fault::Failed { program: program.to_owned(), end: how(status), complaint: tail(&complaint) });
    }
    if printed.len() > LONGEST { Err(Fault::TooLong { limit: LONGEST }) } else { Ok(printed) }
}

/// Reads all of a stream on a thread of its own: a process whose streams are full waits for ever.
fn drain(stream: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            let _ = stream.by_ref().take(LONGEST as u64 + 1).read_to_end(&mut bytes);
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
        // Nobody listens where it took too long.
        let _ = sender.send(bytes);
    });
    receiver
}

/// The streams are closed, so the end is near; only its process may take its time.
fn ended(child: &mut Child, deadline: Instant) -> Option<ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
            _ => return None,
        }
    }
}

fn end(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(group) = group {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "failed".to_owned(),
    }
}

/// The last line with something on it, on one line and not too long.
fn tail(complaint: &str) -> String {
    let last = complaint.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("");
    let tame: String = last.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let skip = tame.chars().count().saturating_sub(COMPLAINT);
    tame.chars().skip(skip).collect()
}
