//! What a person does in a guest through its agent: commands with their input, files.
//!
//! Owns the agent's calls for files, and that a file is closed again. Knows nothing of what is copied.

use std::io::{self, Cursor, Read, Write};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Value, json};
use virt::domain::Domain;

use super::agent::{self, Exit};
use super::connections::Connections;
use super::{probe, vms};
use crate::backend::{ErrorKind, HypervisorError, Ran};
use crate::names::{ProjectName, ResourceId, VmName};

/// A person decides how long to wait.
const EVER: Duration = Duration::from_hours(365 * 24);
/// Bytes in one request or answer: libvirt takes texts of four megabytes, and base64 makes a third more of them.
const CHUNK: usize = 1 << 20;

/// Runs a command for a person.
pub(super) fn exec(
    connections: &Connections,
    project: &ProjectName,
    vm: &VmName,
    command: &[String],
    input: Option<&[u8]>,
) -> Result<Ran, HypervisorError> {
    let id = ResourceId::Vm(vm.clone());
    make_sure_it_runs(connections, project, vm)?;
    match probe::run(connections, project, vm, Instant::now() + EVER, command, input)? {
        Ok(Exit { stderr, .. }) if stderr == agent::FORGOTTEN.as_bytes() => Err(HypervisorError::new(
            ErrorKind::Rejected,
            format!("nobody knows how this ended in {id}: {}", agent::FORGOTTEN),
        )),
        Ok(Exit { end, stdout, stderr }) => Ok(Ran { end, stdout, stderr }),
        Err(words) => Err(HypervisorError::new(ErrorKind::Rejected, format!("cannot run this in {id}: {words}"))),
    }
}

fn make_sure_it_runs(connections: &Connections, project: &ProjectName, vm: &VmName) -> Result<(), HypervisorError> {
    connections.with(|connect| vms::find_running(connect, project, vm).map(|_| ()))
}

/// What a file of a guest is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileMode {
    /// To be read.
    Read,
    /// To be written from its beginning.
    Write,
}

/// An open file of a guest. Its errors are those of the agent, in words.
pub struct GuestFile<'a> {
    connections: &'a Connections,
    project: ProjectName,
    vm: VmName,
    handle: i64,
    /// What was read and not taken yet.
    ahead: Cursor<Vec<u8>>,
    ended: bool,
}

#[derive(Deserialize)]
struct Written {
    count: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Chunk {
    buf_b64: String,
    eof: bool,
}

impl<'a> GuestFile<'a> {
    pub(super) fn open(
        connections: &'a Connections,
        project: &ProjectName,
        vm: &VmName,
        path: &str,
        mode: FileMode,
    ) -> Result<Self, HypervisorError> {
        make_sure_it_runs(connections, project, vm)?;
        let mode = if mode == FileMode::Read { "r" } else { "w" };
        let request = json!({ "execute": "guest-file-open", "arguments": { "path": path, "mode": mode } });
        let (project, vm) = (project.clone(), vm.clone());
        let mut file = Self { connections, project, vm, handle: -1, ahead: Cursor::default(), ended: false };
        file.handle = file.ask(&request)?;
        Ok(file)
    }

    /// Has everything written out, and closes it.
    pub fn close(mut self) -> Result<(), HypervisorError> {
        self.shut()
    }

    fn shut(&mut self) -> Result<(), HypervisorError> {
        let handle = std::mem::replace(&mut self.handle, -1);
        if handle == -1 {
            return Ok(());
        }
        let request = json!({ "execute": "guest-file-close", "arguments": { "handle": handle } });
        self.ask::<Value>(&request).map(|_| ())
    }

    fn ask<T: for<'de> Deserialize<'de>>(&self, request: &Value) -> Result<T, HypervisorError> {
        let call = |domain: &Domain, left| agent::call(domain, request, left);
        let deadline = Instant::now() + EVER;
        probe::agent_call(self.connections, &self.project, &self.vm, deadline, call)?.map_err(|words| {
            HypervisorError::new(ErrorKind::Rejected, format!("the guest agent of vm `{}`: {words}", self.vm))
        })
    }

    fn fill(&mut self) -> Result<(), HypervisorError> {
        let arguments = json!({ "handle": self.handle, "count": CHUNK });
        let chunk: Chunk = self.ask(&json!({ "execute": "guest-file-read", "arguments": arguments }))?;
        self.ended = chunk.eof;
        self.ahead = BASE64.decode(chunk.buf_b64).map(Cursor::new).map_err(|error| {
            HypervisorError::new(ErrorKind::Rejected, format!("the guest agent's answer cannot be read: {error}"))
        })?;
        Ok(())
    }
}

impl Drop for GuestFile<'_> {
    fn drop(&mut self) {
        // Whoever has to know whether it worked calls `close`.
        let _ = self.shut();
    }
}

impl Read for GuestFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let taken = self.ahead.read(buffer)?;
            if taken > 0 || self.ended || buffer.is_empty() {
                return Ok(taken);
            }
            self.fill().map_err(io::Error::other)?;
        }
    }
}

impl Write for GuestFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let some = &bytes[..bytes.len().min(CHUNK)];
        let arguments = json!({ "handle": self.handle, "buf-b64": BASE64.encode(some) });
        let written: Written =
            self.ask(&json!({ "execute": "guest-file-write", "arguments": arguments })).map_err(io::Error::other)?;
        Ok(written.count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
