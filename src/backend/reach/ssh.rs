//! A login over SSH, by the system's own client.
//!
//! Owns how it is called: it asks nobody anything, believes whoever answers, because it tells that one nothing, and
//! remembers nothing. Knows nothing of where the key is from.

use std::time::Instant;

use super::{host, target};
use crate::backend::{Attempt, WayIn};
use crate::names::ProjectName;

/// Logs in and out again; an error is why that did not work.
pub(super) fn log_in(
    login: &WayIn,
    port: u16,
    project: &ProjectName,
    attempt: &Attempt,
    deadline: Instant,
) -> Result<(), String> {
    let (address, _) = target(None, port, attempt)?;
    let key = login.key.display().to_string().replace('%', "%%");
    let options = [
        "BatchMode=yes".to_owned(),
        format!("IdentityFile=\"{key}\""),
        "IdentitiesOnly=yes".to_owned(),
        "PreferredAuthentications=publickey".to_owned(),
        // A guest may change its own key at its first boot. `vmcompose ssh` is what remembers it.
        "StrictHostKeyChecking=no".to_owned(),
        "UserKnownHostsFile=/dev/null".to_owned(),
        "GlobalKnownHostsFile=/dev/null".to_owned(),
        // With less it says nothing of a server that speaks something else after its greeting.
        "LogLevel=INFO".to_owned(),
    ];
    let mut command: Vec<String> = ["ssh", "-F", "/dev/null", "-p", &port.to_string()].map(str::to_owned).to_vec();
    command.extend(options.into_iter().flat_map(|option| ["-o".to_owned(), option]));
    command.extend(["-l", &login.user, &address, "--", "true"].map(str::to_owned));
    host::to_its_end(&command, project, attempt, deadline).map_err(|failed| {
        // Before that it may have shown what the server says to everybody.
        let why = failed.lines().map_or(failed.how().to_owned(), |(_, last)| host::short(last));
        format!("the server answers, but does not let `{}` in: {why}", login.user)
    })
}
