//! Guests that are brought to rest and go on: their file systems, their clock.
//!
//! Owns what their agents are asked around a snapshot. Knows nothing of snapshots.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use virt::connect::Connect;
use virt::domain::Domain;

use super::agent::{self, AgentError};
use super::{Call, vms};
use crate::backend::{ErrorKind, HypervisorError};
use crate::names::{ProjectName, VmName};

/// How long an agent gets to flush what its guest has not written yet.
const FLUSH: Duration = Duration::from_mins(1);
/// Between two looks for an agent.
const AGAIN: Duration = Duration::from_millis(200);
/// How long an agent gets for anything else.
const ANSWER: Duration = Duration::from_secs(5);
/// A guest's clock that is this far from ours is right: to ask takes time, too.
const CLOSE: Duration = Duration::from_secs(2);

/// Brings the file systems of a guest to rest.
pub(super) fn freeze(call: Call<'_>, vm: &VmName) -> Result<(), HypervisorError> {
    let domain = vms::find_running(call.connect, call.project, vm)?;
    if is_frozen(&domain) {
        return call.nothing();
    }
    ask(&domain, "guest-fsfreeze-freeze", FLUSH).map_err(|words| {
        let what = format!("cannot freeze vm `{vm}`: {words}");
        HypervisorError::new(ErrorKind::Rejected, what).with_hint("without `--freeze` no guest agent is needed")
    })
}

/// Lets them go on.
pub(super) fn thaw(call: Call<'_>, vm: &VmName) -> Result<(), HypervisorError> {
    let domain = vms::find_running(call.connect, call.project, vm)?;
    if !is_frozen(&domain) {
        return call.nothing();
    }
    let rejected = |words| HypervisorError::new(ErrorKind::Rejected, format!("cannot thaw vm `{vm}`: {words}"));
    ask(&domain, "guest-fsfreeze-thaw", FLUSH).map_err(rejected)
}

fn is_frozen(domain: &Domain) -> bool {
    let status = json!({ "execute": "guest-fsfreeze-status" });
    matches!(agent::call::<String>(domain, &status, ANSWER), Ok(status) if status == "frozen")
}

fn ask(domain: &Domain, command: &str, timeout: Duration) -> Result<(), String> {
    agent::call::<Value>(domain, &json!({ "execute": command }), timeout).map(|_| ()).map_err(|error| match error {
        AgentError::NotYet(words) | AgentError::Refused(words) => words,
        AgentError::Unsupported => "this hypervisor has no guest agents".to_owned(),
        AgentError::NotRunning => "it does not run".to_owned(),
    })
}

/// Sets the clock of a guest; nothing where no agent answers, or where it is right already.
pub(super) fn set_clock(call: Call<'_>, vm: &VmName) -> Result<(), HypervisorError> {
    if call.place.test {
        return call.nothing();
    }
    let domain = vms::find_running(call.connect, call.project, vm)?;
    let deadline = Instant::now() + ANSWER;
    // The agent of a guest that has just gone on is not connected at once, and nobody tells when it is.
    let off = loop {
        match off_by(&domain) {
            None if Instant::now() < deadline => thread::sleep(AGAIN),
            off => break off,
        }
    };
    if off.is_none_or(|off| off < CLOSE) {
        return call.nothing();
    }
    let at = i64::try_from(now().as_nanos()).unwrap_or(i64::MAX);
    let request = json!({ "execute": "guest-set-time", "arguments": { "time": at } });
    // The agent refuses where there is no `hwclock`, which most small systems do without; a guest without a hardware clock
    // sets its own all the same, and then says that it failed.
    if agent::call::<Value>(&domain, &request, ANSWER).is_err() && off_by(&domain).is_some_and(|off| off >= CLOSE) {
        set_by_command(&domain);
    }
    Ok(())
}

/// The same by a command in the guest. That it fails is seen by a look at the clock.
fn set_by_command(domain: &Domain) {
    let command = ["date", "-s", &format!("@{}", now().as_secs())].map(str::to_owned);
    let Ok(pid) = agent::start(domain, &command, None, ANSWER) else { return };
    let _ = agent::wait(Instant::now() + ANSWER, |left| agent::status(domain, pid, left));
}

/// How far the clock of a guest is from ours; `None` where it does not tell.
pub(super) fn clock_off_by(
    connect: &Connect,
    project: &ProjectName,
    vm: &VmName,
) -> Result<Option<Duration>, HypervisorError> {
    let domain = vms::find_running(connect, project, vm)?;
    Ok(off_by(&domain))
}

fn off_by(domain: &Domain) -> Option<Duration> {
    let nanoseconds: i64 = agent::call(domain, &json!({ "execute": "guest-get-time" }), ANSWER).ok()?;
    let guest = Duration::from_nanos(u64::try_from(nanoseconds).ok()?);
    Some(guest.abs_diff(now()))
}

fn now() -> Duration {
    // A clock before 1970 is wrong anyway.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
