//! Tasks inside a guest: a script is run, a file is put in its place.
//!
//! Owns what has to be true of a guest before it can do a task, how a task gets in, through the agent alone, and the
//! words for one that failed. Knows nothing of the order of tasks, nor of how they are recorded.

use std::time::{Duration, Instant};

use super::agent::{self, Exit};
use super::cloud_init::{self, Verdict};
use super::connections::Connections;
use super::probe;
use crate::backend::{End, ErrorKind, HypervisorError};
use crate::model::{Task, TaskAction};
use crate::names::{ProjectName, VmName};
use crate::plan::operation::Provision;

/// How long a small thing may take in a guest that is there, also in one that is emulated and busy.
const SHORT: Duration = Duration::from_mins(1);
/// Bytes that one call takes along; libvirt's protocol takes 4 MiB, in base64.
const CHUNK: usize = 1 << 20;

/// Begins to take in a file: `$0` is its path. The folders above it are everybody's to read, the file is not.
const OPEN: &str = "test ! -d \"$0\" || { echo \"$0 is a folder\" >&2; exit 1; }; \
    umask 022; mkdir -p \"$(dirname \"$0\")\" && umask 077 && : > \"$0.part\"";
/// Takes in a part of it.
const APPEND: &str = "cat >> \"$0.part\"";
/// Puts it in its place at once: `$1` is its owner, `$2` its permissions.
const CLOSE: &str = "chown \"$1\" \"$0.part\" && chmod \"$2\" \"$0.part\" && mv -f \"$0.part\" \"$0\" || \
    { rm -f \"$0.part\"; exit 1; }";

/// Where a script lies while it runs. Not below `/run` or `/tmp`: nothing there can be executed in many guests.
const SCRIPT: &str = "/var/lib/vmcompose/script";
/// Sets the stage for the script.
const WRAPPER: &str = "/var/lib/vmcompose/run";
/// Runs it as `$0`, or as root where that is empty. What it prints stays in the guest, but for the last lines.
const RUN: &str = "d=/var/lib/vmcompose; umask 077; : > $d/provision.log; umask 022; \
    if test -n \"$0\"; then su -s /bin/sh -c $d/run \"$0\"; else $d/run; fi >$d/provision.log 2>&1 </dev/null; \
    code=$?; rm -f $d/run $d/script; tail -n 20 $d/provision.log | tail -c 4000; exit $code";

/// Does a task in a guest that is ready for it. Fails with [`ErrorKind::NotYet`] where the guest is not.
pub(super) fn apply(
    connections: &Connections,
    project: &ProjectName,
    wanted: &Provision,
) -> Result<(), HypervisorError> {
    let guest = Guest { connections, project, vm: &wanted.vm.name };
    guest.is_ready(wanted.vm.cloud_init.is_some())?;
    let Task { action, timeout, .. } = &wanted.task;
    match action {
        TaskAction::File { path, content, owner, permissions } => {
            guest.put(path, content.as_bytes(), owner, permissions)
        }
        TaskAction::Run { script, env, user, workdir } => {
            let owner = user.as_deref().unwrap_or("0");
            let lines = env.iter().map(|(name, value)| format!("export {name}={}\n", quoted(value)));
            let wrapper = wrapper(&lines.collect::<String>(), workdir.as_deref(), timeout.0);
            let shebang = if script.starts_with("#!") { "" } else { "#!/bin/sh -e\n" };
            guest.put(SCRIPT, format!("{shebang}{script}").as_bytes(), owner, "0700")?;
            guest.put(WRAPPER, wrapper.as_bytes(), owner, "0700")?;
            guest.run(user.as_deref().unwrap_or_default(), timeout.0)
        }
    }
}

/// The guest itself keeps the time where it can: nobody else could end what the script began.
fn wrapper(exports: &str, workdir: Option<&str>, timeout: Duration) -> String {
    let folder = workdir
        .map_or_else(|| "\"$HOME\" 2>/dev/null || cd /".to_owned(), |path| format!("{} || exit 1", quoted(path)));
    format!(
        "#!/bin/sh\n: \"${{HOME:=/root}}\"\nexport HOME\n{exports}cd {folder}\n\
         if command -v timeout >/dev/null; then exec timeout {} {SCRIPT}; fi\nexec {SCRIPT}\n",
        timeout.as_secs().max(1)
    )
}

/// A word for the shell that means itself.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The inside of a vm.
struct Guest<'a> {
    connections: &'a Connections,
    project: &'a ProjectName,
    vm: &'a VmName,
}

impl Guest<'_> {
    /// Whether it has booted: its agent answers, and its cloud-init, if it has one, has done its work. Where the file asks
    /// for cloud-init, that must have gone well.
    fn is_ready(&self, told: bool) -> Result<(), HypervisorError> {
        let not_yet = |words: String| {
            HypervisorError::new(ErrorKind::NotYet, format!("vm `{}` cannot do anything yet: {words}", self.vm))
                .with_hint(
                    "tasks are done through the QEMU guest agent, which the image must have; a guest that boots for \
                     long is waited for as long as the task's `timeout` or the `start_period`, and ten minutes in any case",
                )
        };
        let exit = self.shell(cloud_init::LOOK, &[], &[], SHORT)?.map_err(not_yet)?;
        match cloud_init::verdict(&String::from_utf8_lossy(&exit.stdout)) {
            Verdict::Running(words) => Err(not_yet(words)),
            Verdict::Failed(words) if told => Err(HypervisorError::new(ErrorKind::Rejected, words)),
            Verdict::Done | Verdict::Degraded(_) | Verdict::Failed(_) => Ok(()),
        }
    }

    /// Puts a file in its place, whole or not at all.
    fn put(&self, path: &str, content: &[u8], owner: &str, permissions: &str) -> Result<(), HypervisorError> {
        // Nothing has been done yet, so an agent that is too busy to answer is one to ask again.
        let step = |script: &str, input: &[u8]| match self.shell(script, &[path, owner, permissions], input, SHORT)? {
            Ok(Exit { end: End::Code(0), .. }) => Ok(()),
            Ok(exit) => Err(self.rejected(&format!("cannot write `{path}`: {}", exit.output().trim()))),
            Err(words) => Err(HypervisorError::new(ErrorKind::NotYet, format!("cannot write `{path}`: {words}"))),
        };
        step(OPEN, &[])?;
        content.chunks(CHUNK).try_for_each(|chunk| step(APPEND, chunk))?;
        step(CLOSE, &[])
    }

    fn run(&self, user: &str, timeout: Duration) -> Result<(), HypervisorError> {
        let began = Instant::now();
        let exit = match self.shell(RUN, &[user], &[], timeout + SHORT)? {
            Ok(exit) => exit,
            Err(words) => return Err(self.rejected(&words)),
        };
        // What `timeout` ends with, GNU's and busybox's, and then only after that time: a script may end with it too.
        let late = matches!(exit.end, End::Code(124 | 143)) && began.elapsed() >= timeout;
        let how = match exit.end {
            End::Code(0) => return Ok(()),
            _ if late => format!("it did not end within {}s", timeout.as_secs()),
            _ => exit.how(),
        };
        let output = String::from_utf8_lossy(&exit.stdout);
        Err(self.rejected(&match output.trim_end() {
            "" => format!("{how}, without a word"),
            lines => format!("{how}; its last lines:\n{lines}"),
        }))
    }

    fn rejected(&self, words: &str) -> HypervisorError {
        HypervisorError::new(ErrorKind::Rejected, words).with_hint(format!(
            "`vmcompose up --on-failure keep` leaves the vm there; then `vmcompose exec {} -- cat \
             /var/lib/vmcompose/provision.log` shows all of it",
            self.vm
        ))
    }

    /// Runs a script of our own. The outer error is for good, the inner one for now.
    fn shell(
        &self,
        script: &str,
        arguments: &[&str],
        input: &[u8],
        timeout: Duration,
    ) -> Result<Result<Exit, String>, HypervisorError> {
        let words = ["/bin/sh", "-c", script].into_iter().chain(arguments.iter().copied());
        let command: Vec<String> = words.map(ToOwned::to_owned).collect();
        let start = |domain: &virt::domain::Domain, left| agent::start_with(domain, &command, input, left);
        probe::to_its_end(self.connections, self.project, self.vm, Instant::now() + timeout, start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_user_says_means_itself_in_the_shell() {
        assert_eq!(quoted("a 'b' $c"), r"'a '\''b'\'' $c'");
        let wrapper = wrapper("export A='x'\n", Some("/srv/it's"), Duration::from_secs(5));
        assert!(wrapper.contains("cd '/srv/it'\\''s' || exit 1\n"), "{wrapper}");
        assert!(wrapper.contains("exec timeout 5 /var/lib/vmcompose/script; fi"), "{wrapper}");
    }
}
