//! The guest agent: its commands and its answers.
//!
//! Owns the JSON of the QEMU guest agent's protocol and the words for an agent that does not answer. Knows nothing of
//! probes.

use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Value, json};
use virt::domain::Domain;
use virt::error::{Error, ErrorNumber};

use super::error::{is_absent, reason};
use crate::backend::End;
use crate::seed;

/// Why an agent did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AgentError {
    /// Not now; in words.
    NotYet(String),
    /// The agent itself said no; in its words.
    Refused(String),
    /// This hypervisor has no agents at all.
    Unsupported,
    /// The vm is not there or does not run.
    NotRunning,
}

/// How a command in the guest ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exit {
    /// Its exit code, or the signal that ended it.
    pub(super) end: End,
    /// What it wrote.
    pub(super) stdout: Vec<u8>,
    /// What it complained of.
    pub(super) stderr: Vec<u8>,
}

impl Exit {
    /// In words: "exit code 1".
    pub(super) fn how(&self) -> String {
        match self.end {
            End::Code(code) => format!("exit code {code}"),
            End::Signal(signal) => format!("ended by signal {signal}"),
            End::Unknown => "ended".to_owned(),
        }
    }

    /// What it wrote to stderr, or to stdout where that is empty. What is not UTF-8 is shown as such.
    pub(super) fn output(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let complaint = text(&self.stderr);
        if complaint.trim().is_empty() { text(&self.stdout) } else { complaint }
    }
}

/// What is said of a command whose end nobody saw.
pub(super) const FORGOTTEN: &str = "the guest, or its agent, was restarted before the command ended";

#[derive(Deserialize)]
struct Answer<T> {
    #[serde(rename = "return")]
    value: T,
}

#[derive(Deserialize)]
struct Started {
    pid: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Status {
    exited: bool,
    #[serde(rename = "exitcode")]
    code: Option<i32>,
    signal: Option<i32>,
    out_data: Option<String>,
    err_data: Option<String>,
}

/// What an agent that is not there amounts to.
pub(super) const ABSENT: &str = "the guest agent is not connected";

/// Asks the agent for a sign of life.
pub(super) fn ping(domain: &Domain, timeout: Duration) -> Result<(), AgentError> {
    call::<Value>(domain, &json!({ "execute": "guest-ping" }), timeout).map(|_| ())
}

/// Starts a command in the guest. Returns its process id.
pub(super) fn start(
    domain: &Domain,
    command: &[String],
    input: Option<&[u8]>,
    timeout: Duration,
) -> Result<i64, AgentError> {
    let (path, arguments) =
        command.split_first().ok_or_else(|| AgentError::NotYet("no command was given".to_owned()))?;
    let mut request = json!({
        "execute": "guest-exec",
        "arguments": { "path": path, "arg": arguments, "capture-output": true },
    });
    if let Some(input) = input {
        request["arguments"]["input-data"] = BASE64.encode(input).into();
    }
    call::<Started>(domain, &request, timeout).map(|started| started.pid)
}

/// Starts a command in the guest that reads `input`. Returns its process id.
pub(super) fn start_with(
    domain: &Domain,
    command: &[String],
    input: &[u8],
    timeout: Duration,
) -> Result<i64, AgentError> {
    let (path, arguments) =
        command.split_first().ok_or_else(|| AgentError::NotYet("no command was given".to_owned()))?;
    let request = json!({
        "execute": "guest-exec",
        "arguments": {
            "path": path, "arg": arguments, "input-data": seed::base64(input), "capture-output": true
        },
    });
    call::<Started>(domain, &request, timeout).map(|started| started.pid)
}

/// How a command ended; `None` while it runs.
pub(super) fn status(domain: &Domain, pid: i64, timeout: Duration) -> Result<Option<Exit>, AgentError> {
    let request = json!({ "execute": "guest-exec-status", "arguments": { "pid": pid } });
    match call::<Status>(domain, &request, timeout) {
        Ok(status) => Ok(status.exited.then(|| exit(&status))),
        // It forgets its commands only when it is started anew, and mostly the guest with it.
        Err(AgentError::Refused(_)) => {
            Ok(Some(Exit { end: End::Unknown, stdout: Vec::new(), stderr: FORGOTTEN.into() }))
        }
        Err(error) => Err(error),
    }
}

/// Waits for a command to end; `None` when it has not by then.
pub(super) fn wait<E>(
    deadline: Instant,
    mut look: impl FnMut(Duration) -> Result<Option<Exit>, E>,
) -> Result<Option<Exit>, E> {
    let mut pause = Duration::from_millis(20);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        if let Some(exit) = look(left)? {
            return Ok(Some(exit));
        }
        // The agent tells nobody when a command ends.
        thread::sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}

fn exit(status: &Status) -> Exit {
    let end = match (status.code, status.signal) {
        (Some(code), _) => End::Code(code),
        (None, Some(signal)) => End::Signal(signal),
        (None, None) => End::Unknown,
    };
    // What is not base64 is no output of a command.
    let bytes = |data: &Option<String>| data.as_deref().and_then(|text| BASE64.decode(text).ok()).unwrap_or_default();
    Exit { end, stdout: bytes(&status.out_data), stderr: bytes(&status.err_data) }
}

pub(super) fn call<T: for<'de> Deserialize<'de>>(
    domain: &Domain,
    request: &Value,
    timeout: Duration,
) -> Result<T, AgentError> {
    // libvirt counts in whole seconds, and takes zero for "do not wait at all".
    let seconds = i32::try_from(timeout.as_millis().div_ceil(1000)).unwrap_or(i32::MAX).max(1);
    let text = domain.qemu_agent_command(&request.to_string(), seconds, 0).map_err(|error| explain(&error))?;
    let answer: Answer<T> = serde_json::from_str(&text)
        .map_err(|error| AgentError::NotYet(format!("the guest agent's answer cannot be read: {error}")))?;
    Ok(answer.value)
}

fn explain(error: &Error) -> AgentError {
    let words = reason(error);
    let not_yet = |words: &str| AgentError::NotYet(words.to_owned());
    match error.code() {
        _ if is_absent(error) => AgentError::NotRunning,
        ErrorNumber::NoSupport => AgentError::Unsupported,
        ErrorNumber::OperationInvalid if words.contains("not running") => AgentError::NotRunning,
        ErrorNumber::AgentUnresponsive if words.contains("not connected") => not_yet(ABSENT),
        ErrorNumber::AgentUnresponsive => not_yet("the guest agent does not answer"),
        ErrorNumber::AgentUnsynced => not_yet("the guest agent still answers an earlier request"),
        ErrorNumber::AgentCommandTimeout | ErrorNumber::OperationTimeout => {
            not_yet("the guest agent did not answer in time")
        }
        // libvirt quotes the agent: "unable to execute QEMU agent command 'guest-exec': …".
        _ => match words.split_once("': ") {
            Some((_, rest)) if words.contains("QEMU agent command") => AgentError::Refused(rest.to_owned()),
            _ => AgentError::NotYet(words),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_command_is_told_in_words() {
        let read = |json: &str| exit(&serde_json::from_str(json).expect("a status"));
        let failed = read(r#"{"exited":true,"exitcode":1,"out-data":"Zm9v","err-data":"YmFy"}"#);
        assert_eq!((failed.end, failed.how(), failed.output()), (End::Code(1), "exit code 1".into(), "bar".into()));
        let killed = read(r#"{"exited":true,"signal":9,"out-data":"Zm9v"}"#);
        assert_eq!((killed.how(), killed.output()), ("ended by signal 9".to_owned(), "foo".to_owned()));
        assert_eq!(read(r#"{"exited":true,"exitcode":0}"#).end, End::Code(0));
    }
}
