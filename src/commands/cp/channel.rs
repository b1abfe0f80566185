//! A shell script in a guest with one stream into it or out of it: over ssh, or through the guest agent.
//!
//! Owns both ways and the words for what the guest complained of. Knows nothing of what is copied.

use std::io::{self, Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;

use crate::backend::libvirt::{FileMode, GuestFile, Libvirt};
use crate::backend::{End, ErrorKind, HypervisorError, Ran};
use crate::commands::login::Way;
use crate::commands::ssh;
use crate::error::Error;
use crate::names::{ProjectName, VmName};

/// A way into one guest.
pub(super) enum Channel<'a> {
    /// The system's ssh.
    Ssh(Way),
    /// The guest agent. It has no streams, so the bytes wait in a file of the guest.
    Agent {
        /// Through which it is asked.
        hypervisor: &'a Libvirt,
        project: ProjectName,
        vm: VmName,
    },
}

/// Makes the file in which bytes wait. Not where it could be in memory, if there is another place.
const MAKE_FILE: &str = "mktemp /var/tmp/vmcompose.XXXXXX 2>/dev/null || mktemp /tmp/vmcompose.XXXXXX";
/// Runs `$1` with the file `$0` as its input, and removes the file.
const FROM_FILE: &str =
    r#"f=$0; s=$1; shift; cd /root 2>/dev/null || cd /; sh -c "$s" sh "$@" < "$f"; e=$?; rm -f "$f"; exit $e"#;
/// Runs `$1` with the file `$0` as its output.
const TO_FILE: &str = r#"f=$0; s=$1; shift; cd /root 2>/dev/null || cd /; sh -c "$s" sh "$@" > "$f""#;
const REMOVE: &str = r#"rm -f "$0""#;

impl Channel<'_> {
    /// Runs a script of the shell with arguments, and gives it as input what `write` writes.
    pub(super) fn send(
        &self,
        script: &str,
        arguments: &[&str],
        write: impl FnOnce(&mut dyn Write) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self {
            Self::Ssh(way) => {
                let mut child = start(way, script, arguments, Stdio::piped(), Stdio::null())?;
                let complaint = complaint(&mut child);
                let mut input = child.stdin.take().expect("it is piped");
                let written = write(&mut input);
                drop(input);
                // What the guest says of a broken pipe is the better reason.
                self.judge(&mut child, &complaint.join().expect("reading does not panic"))?;
                written
            }
            Self::Agent { .. } => {
                let path = self.make_file()?;
                let written = self.open(&path, FileMode::Write).and_then(|mut file| {
                    write(&mut file)?;
                    Ok(file.close()?)
                });
                if let Err(error) = written {
                    let _ = self.run(REMOVE, &path, "", &[]);
                    return Err(error);
                }
                self.run(FROM_FILE, &path, script, arguments).map(|_| ())
            }
        }
    }

    /// Runs a script of the shell with arguments, and has `read` read its output.
    pub(super) fn receive(
        &self,
        script: &str,
        arguments: &[&str],
        read: impl FnOnce(&mut dyn Read) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self {
            Self::Ssh(way) => {
                let mut child = start(way, script, arguments, Stdio::null(), Stdio::piped())?;
                let complaint = complaint(&mut child);
                let mut output = child.stdout.take().expect("it is piped");
                let taken = read(&mut output);
                // Where reading ended early, the guest notices by this.
                drop(output);
                let judged = self.judge(&mut child, &complaint.join().expect("reading does not panic"));
                match (judged, taken) {
                    (Err(error), Err(Error::Io { source, .. })) if cut_short(&source) => Err(error),
                    (_, Err(error)) | (Err(error), Ok(())) => Err(error),
                    (Ok(()), Ok(())) => Ok(()),
                }
            }
            Self::Agent { .. } => {
                let path = self.make_file()?;
                let taken = self.run(TO_FILE, &path, script, arguments).and_then(|_| {
                    let mut file = self.open(&path, FileMode::Read)?;
                    read(&mut file)?;
                    Ok(file.close()?)
                });
                let removed = self.run(REMOVE, &path, "", &[]);
                taken.and(removed.map(|_| ()))
            }
        }
    }

    fn vm(&self) -> &VmName {
        match self {
            Self::Ssh(way) => &way.vm,
            Self::Agent { vm, .. } => vm,
        }
    }

    fn make_file(&self) -> Result<String, Error> {
        let ran = self.run(MAKE_FILE, "", "", &[])?;
        Ok(String::from_utf8_lossy(&ran.stdout).trim().to_owned())
    }

    fn open(&self, path: &str, mode: FileMode) -> Result<GuestFile<'_>, Error> {
        let Self::Agent { hypervisor, project, vm } = self else { unreachable!("only the agent has files") };
        Ok(hypervisor.open_file(project, vm, path, mode)?)
    }

    /// Runs a script through the agent: `file` is its `$0`, the rest its arguments.
    fn run(&self, script: &str, file: &str, inner: &str, arguments: &[&str]) -> Result<Ran, Error> {
        let Self::Agent { hypervisor, project, vm } = self else { unreachable!("only the agent runs it so") };
        let words = ["/bin/sh", "-c", script, file, inner].into_iter().chain(arguments.iter().copied());
        let command: Vec<String> = words.map(ToOwned::to_owned).collect();
        let ran = hypervisor.exec(project, vm, &command, None)?;
        if ran.end == End::Code(0) { Ok(ran) } else { Err(self.refused(&String::from_utf8_lossy(&ran.stderr))) }
    }

    fn judge(&self, child: &mut Child, complaint: &str) -> Result<(), Error> {
        let status = child.wait().map_err(|source| Error::Io { path: "ssh".into(), source })?;
        if status.success() { Ok(()) } else { Err(self.refused(complaint)) }
    }

    fn refused(&self, complaint: &str) -> Error {
        let lines: Vec<&str> = complaint.lines().map(str::trim).filter(|line| !line.is_empty()).take(3).collect();
        let words = if lines.is_empty() { "it ended without a word".to_owned() } else { lines.join("; ") };
        let error = HypervisorError::new(ErrorKind::Rejected, format!("vm `{}` did not copy: {words}", self.vm()));
        let denied = words.contains("ermission denied") && matches!(self, Self::Ssh(_));
        let hint = "`--via agent` copies as root";
        if denied { error.with_hint(hint).into() } else { error.into() }
    }
}

/// Whether reading ended because there was no more, though there should have been.
fn cut_short(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

fn start(way: &Way, script: &str, arguments: &[&str], stdin: Stdio, stdout: Stdio) -> Result<Child, Error> {
    // ssh makes one line of all words, which the account's own shell takes apart again.
    let words = ["sh", "-c", script, "sh"].into_iter().chain(arguments.iter().copied());
    let line = words.map(quoted).collect::<Vec<_>>().join(" ");
    let mut command = Command::new("ssh");
    command.args(way.arguments()).arg("--").arg(line).stdin(stdin).stdout(stdout).stderr(Stdio::piped());
    command.spawn().map_err(ssh::not_run)
}

/// A word for the shell that means itself.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Reads what a child complains of while it runs: a full pipe would hold it up.
fn complaint(child: &mut Child) -> thread::JoinHandle<String> {
    let mut stderr = child.stderr.take().expect("it is piped");
    thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stderr.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    })
}
