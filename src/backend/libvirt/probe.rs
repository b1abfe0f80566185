//! One attempt of a probe.
//!
//! Owns what is tried and the words for what came back. Patience is not here: an attempt that fails says so at once.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use regex::Regex;
use virt_sys::{
    VIR_DOMAIN_CRASHED, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PMSUSPENDED, VIR_DOMAIN_SHUTOFF_CRASHED,
    VIR_DOMAIN_SHUTOFF_DESTROYED, VIR_DOMAIN_SHUTOFF_FAILED, VIR_DOMAIN_SHUTOFF_SAVED, VIR_DOMAIN_SHUTOFF_SHUTDOWN,
};

use super::agent::{self, AgentError, Exit};
use super::cloud_init::{self, Verdict};
use super::connections::Connections;
use super::host::Place;
use super::{console_log, entrance, vms};
use crate::backend::reach;
use crate::backend::{Attempt, End, ErrorKind, Health, HypervisorError};
use crate::model::Probe;
use crate::names::{ProjectName, ResourceId, VmName};

/// Makes the attempt.
pub(super) fn probe(
    connections: &Connections,
    place: &Place,
    project: &ProjectName,
    attempt: &Attempt,
) -> Result<Health, HypervisorError> {
    let deadline = Instant::now() + attempt.timeout;
    if let Some(health) = connections.with(|connect| not_running(connect, project, attempt))? {
        return Ok(health);
    }
    let words = |answer: Result<(), String>| answer.map_or_else(Health::Failing, |()| Health::Passing);
    match &attempt.probe {
        Probe::Agent => agent_call(connections, project, &attempt.vm, deadline, agent::ping).map(words),
        Probe::Exec(command) => Ok(match run(connections, project, &attempt.vm, deadline, command, None)? {
            Ok(exit) if exit.end == End::Code(0) => Health::Passing,
            Ok(exit) => Health::Failing(exit_words(&exit)),
            Err(words) => Health::Failing(words),
        }),
        Probe::CloudInit => cloud_init(connections, project, attempt, deadline),
        Probe::Console(pattern) => console(connections, place, project, &attempt.vm, pattern),
        Probe::Completed => Ok(Health::Failing("the vm still runs".to_owned())),
        Probe::Tcp { .. } | Probe::Http(_) | Probe::Ssh { .. } | Probe::Host(_) => {
            let entered = if place.rootless() { entered(connections, project, attempt)? } else { None };
            match entered {
                None => Ok(words(reach::reach(project, attempt, deadline))),
                Some((Attempt { probe: Probe::Tcp { .. }, .. }, way)) => {
                    entrance::was_taken(connections, project, &attempt.vm, way, deadline).map(words)
                }
                Some((entered, _)) => Ok(words(reach::reach(project, &entered, deadline))),
            }
        }
    }
}

/// The same attempt on what stands for the vm on this machine, where it is on wires.
fn entered(
    connections: &Connections,
    project: &ProjectName,
    attempt: &Attempt,
) -> Result<Option<(Attempt, SocketAddrV4)>, HypervisorError> {
    let mut entered = attempt.clone();
    let port = match &mut entered.probe {
        Probe::Tcp { host: None, port } | Probe::Ssh { host: None, port } => port,
        Probe::Http(http) if http.host.is_none() => &mut http.port,
        _ => return Ok(None),
    };
    let way = connections.with(|connect| {
        let domain = vms::find_running(connect, project, &attempt.vm)?;
        entrance::find_or_make(&domain, &attempt.vm, *port)
    })?;
    let Some(way) = way else { return Ok(None) };
    *port = way.port();
    entered.address = Some(*way.ip());
    Ok(Some((entered, way)))
}

/// An error where the vm does not run, a failure where it does so only later, `None` where it runs. Of a vm whose end
/// is waited for, having ended is what passes.
fn not_running(
    connect: &virt::connect::Connect,
    project: &ProjectName,
    attempt: &Attempt,
) -> Result<Option<Health>, HypervisorError> {
    let id = ResourceId::Vm(attempt.vm.clone());
    let gone = || HypervisorError::new(ErrorKind::NotRunning, format!("{id} does not exist any more"));
    let domain = vms::find(connect, project, &attempt.vm)?.ok_or_else(gone)?;
    let (state, reason) = vms::state(&domain, &id)?.ok_or_else(gone)?;
    if state == VIR_DOMAIN_CRASHED {
        return Err(HypervisorError::new(ErrorKind::NotRunning, format!("{id} crashed")));
    }
    if attempt.probe == Probe::Completed && vms::is_off(state) && by_itself(reason) {
        return Ok(Some(Health::Passing));
    }
    if vms::is_off(state) {
        let message = format!("{id} is shut off: {}", why_off(reason.cast_unsigned()));
        return Err(HypervisorError::new(ErrorKind::NotRunning, message));
    }
    Ok(match state {
        VIR_DOMAIN_PAUSED => Some(Health::Failing("the vm is paused".to_owned())),
        VIR_DOMAIN_PMSUSPENDED => Some(Health::Failing("the guest sleeps".to_owned())),
        _ => None,
    })
}

/// Whether the guest itself powered the vm off.
pub(super) fn by_itself(reason: i32) -> bool {
    reason.cast_unsigned() == VIR_DOMAIN_SHUTOFF_SHUTDOWN
}

fn why_off(reason: u32) -> &'static str {
    match reason {
        VIR_DOMAIN_SHUTOFF_SHUTDOWN => "the guest powered itself off",
        VIR_DOMAIN_SHUTOFF_DESTROYED => "somebody pulled the plug",
        VIR_DOMAIN_SHUTOFF_CRASHED => "it crashed",
        VIR_DOMAIN_SHUTOFF_SAVED => "its memory was saved to disk",
        VIR_DOMAIN_SHUTOFF_FAILED => "it failed to start",
        _ => "it was not started",
    }
}

/// How long an agent may take for one answer.
const ANSWER: Duration = Duration::from_secs(30);
/// How long an agent that has started a command may say nothing at all: a guest that reboots is back by then.
const SILENT: Duration = Duration::from_mins(5);

/// One request to the agent. The outer error is for good, the inner one for now.
pub(super) fn agent_call<T>(
    connections: &Connections,
    project: &ProjectName,
    vm: &VmName,
    deadline: Instant,
    call: impl FnOnce(&virt::domain::Domain, Duration) -> Result<T, AgentError>,
) -> Result<Result<T, String>, HypervisorError> {
    let id = ResourceId::Vm(vm.clone());
    // The agent answers at once or is not there; a command's own time is not spent in one request.
    let left = deadline.saturating_duration_since(Instant::now()).min(ANSWER);
    connections.with(|connect| {
        let gone = || HypervisorError::new(ErrorKind::NotRunning, format!("{id} does not run any more"));
        let domain = vms::find(connect, project, vm)?.ok_or_else(gone)?;
        match call(&domain, left) {
            Ok(answer) => Ok(Ok(answer)),
            Err(AgentError::NotYet(words) | AgentError::Refused(words)) => Ok(Err(words)),
            Err(AgentError::NotRunning) => Err(gone()),
            Err(AgentError::Unsupported) => {
                let message = format!("this hypervisor has no guest agent to ask about {id}");
                Err(HypervisorError::new(ErrorKind::Unsupported, message))
            }
        }
    })
}

/// Runs a command in the guest to its end. The outer error is for good, the inner one for now.
pub(super) fn run(
    connections: &Connections,
    project: &ProjectName,
    vm: &VmName,
    deadline: Instant,
    command: &[String],
    input: Option<&[u8]>,
) -> Result<Result<Exit, String>, HypervisorError> {
    let start = |domain: &virt::domain::Domain, left| agent::start(domain, command, input, left);
    to_its_end(connections, project, vm, deadline, start)
}

/// Runs what `start` starts in the guest, which gives its process id, to its end.
pub(super) fn to_its_end(
    connections: &Connections,
    project: &ProjectName,
    vm: &VmName,
    deadline: Instant,
    start: impl FnOnce(&virt::domain::Domain, Duration) -> Result<i64, AgentError>,
) -> Result<Result<Exit, String>, HypervisorError> {
    let pid = match agent_call(connections, project, vm, deadline, start)? {
        Ok(pid) => pid,
        Err(words) => return Ok(Err(words)),
    };
    let mut for_now = None;
    let mut silent_since: Option<Instant> = None;
    let end = agent::wait(deadline, |_| {
        let look = |domain: &virt::domain::Domain, left| agent::status(domain, pid, left);
        let answer = agent_call(connections, project, vm, deadline, look)?;
        if answer.is_ok() {
            silent_since = None;
        } else if silent_since.get_or_insert_with(Instant::now).elapsed() > SILENT {
            let message = format!("the guest agent of {} does not answer any more", ResourceId::Vm(vm.clone()));
            return Err(HypervisorError::new(ErrorKind::Rejected, message));
        }
        Ok(answer.unwrap_or_else(|words| {
            for_now = Some(words);
            None
        }))
    })?;
    Ok(end.ok_or_else(|| for_now.unwrap_or_else(|| "the command did not end in time".to_owned())))
}

/// What the console said is read whole each time, with the parts that were moved aside when it grew too long: it begins
/// anew at each start.
fn console(
    connections: &Connections,
    place: &Place,
    project: &ProjectName,
    vm: &VmName,
    pattern: &str,
) -> Result<Health, HypervisorError> {
    let wanted = Regex::new(pattern).map_err(|error| {
        HypervisorError::new(ErrorKind::Rejected, format!("`{pattern}` is not a regular expression: {error}"))
    })?;
    let read = connections.with(|connect| console_log::read(connect, place, project, vm, None))?;
    let (said, _) = read.ok_or_else(|| {
        let message = format!("the console of {} is not recorded", ResourceId::Vm(vm.clone()));
        HypervisorError::new(ErrorKind::Unsupported, message)
            .with_hint("`up` records the consoles of the vms that it makes, on QEMU alone")
    })?;
    Ok(heard(&wanted, &said))
}

/// What a console has said, held against what is waited for. What is no text, or moves the cursor, is passed over.
fn heard(wanted: &Regex, said: &[u8]) -> Health {
    let said = anstream::adapter::strip_str(&String::from_utf8_lossy(said)).to_string();
    if wanted.is_match(&said) {
        return Health::Passing;
    }
    Health::Failing(match said.lines().rev().map(printable).find(|line| !line.is_empty()) {
        Some(line) => format!("no match yet; the last line is `{}`", line.chars().take(120).collect::<String>()),
        None => "the console has said nothing yet".to_owned(),
    })
}

/// A line as it reads: without what moves a terminal's cursor and colours its text.
pub(super) fn printable(line: &str) -> String {
    let plain = anstream::adapter::strip_str(line).to_string();
    plain.chars().filter(|c| !c.is_control()).collect::<String>().trim().to_owned()
}

/// An error of cloud-init's is for good: it does not try again.
fn cloud_init(
    connections: &Connections,
    project: &ProjectName,
    attempt: &Attempt,
    deadline: Instant,
) -> Result<Health, HypervisorError> {
    let command = ["/bin/sh", "-c", cloud_init::LOOK].map(ToOwned::to_owned);
    let exit = match run(connections, project, &attempt.vm, deadline, &command, None)? {
        Ok(exit) => exit,
        Err(words) => return Ok(Health::Failing(words)),
    };
    match cloud_init::verdict(&String::from_utf8_lossy(&exit.stdout)) {
        Verdict::Done => Ok(Health::Passing),
        Verdict::Degraded(words) => Ok(Health::Degraded(words)),
        Verdict::Running(words) => Ok(Health::Failing(words)),
        Verdict::Failed(words) => Err(HypervisorError::new(ErrorKind::Rejected, words)),
    }
}

fn exit_words(exit: &Exit) -> String {
    match exit.output().lines().map(str::trim).find(|line| !line.is_empty()) {
        Some(line) => format!("{}: {}", exit.how(), line.chars().take(200).collect::<String>()),
        None => exit.how(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_console_passes_once_it_has_said_what_is_waited_for() {
        let wanted = Regex::new("(?m)^db login:").expect("a pattern");
        let failing = |words: &str| Health::Failing(words.to_owned());
        assert_eq!(heard(&wanted, b""), failing("the console has said nothing yet"));
        let booting = b"\x1b[2J\x1b[0;32m  OK  \x1b[0m Started sshd\r\n\r\n";
        assert_eq!(heard(&wanted, booting), failing("no match yet; the last line is `OK   Started sshd`"));
        let garbage = b"\xff\xfe\x00\x07\n";
        assert_eq!(heard(&wanted, garbage), failing("no match yet; the last line is `\u{fffd}\u{fffd}`"));
        let ready = [&booting[..], garbage, b"\x1b[1mdb login:\x1b[0m "].concat();
        assert_eq!(heard(&wanted, &ready), Health::Passing);
        let endless = "x".repeat(1 << 20);
        let Health::Failing(words) = heard(&wanted, endless.as_bytes()) else { panic!("no match") };
        assert!(words.len() < 200, "{words}");
    }
}
