//! The serial console of a vm, as a stream of bytes in both directions.
//!
//! Owns opening it, and the words for a console that somebody else has. Knows nothing of terminals.

use virt::connect::Connect;
use virt::error::{Error, ErrorDomain, ErrorNumber};
use virt::stream::Stream;
use virt_sys::{VIR_DOMAIN_CONSOLE_FORCE, VIR_DOMAIN_CONSOLE_SAFE, VIR_STREAM_NONBLOCK};

use super::error::{failed, reason};
use super::{Libvirt, vms};
use crate::backend::{ErrorKind, HypervisorError};
use crate::names::{ProjectName, VmName};

/// An open console. Neither direction waits.
pub struct Console {
    stream: Stream,
    vm: VmName,
}

/// What came out of a console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// So many bytes.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// The vm ended, or somebody took the console.
    End,
}

/// Opens the console for as long as `talk` takes.
pub(super) fn open<T>(
    connect: &Connect,
    project: &ProjectName,
    vm: &VmName,
    force: bool,
    talk: impl FnOnce(&Console) -> Result<T, HypervisorError>,
) -> Result<T, HypervisorError> {
    let domain = vms::find_running(connect, project, vm)?;
    let cannot = || failed(format!("cannot open the console of vm `{vm}`"));
    let stream = Stream::new(connect, VIR_STREAM_NONBLOCK).map_err(cannot())?;
    // Without it, somebody else's `force` could let two write at once.
    let flags = VIR_DOMAIN_CONSOLE_SAFE | if force { VIR_DOMAIN_CONSOLE_FORCE } else { 0 };
    domain.open_console(None, &stream, flags).map_err(|error| {
        if reason(&error).to_lowercase().contains("active console session") {
            return HypervisorError::new(ErrorKind::Conflict, format!("somebody has the console of vm `{vm}` open"))
                .with_hint("`--force` takes it from them");
        }
        cannot()(error)
    })?;
    let console = Console { stream, vm: vm.clone() };
    let said = talk(&console);
    // What was not heard yet is not waited for.
    let _ = console.stream.abort();
    said
}

impl Libvirt {
    /// Opens the serial console of a vm for as long as `talk` takes. `force` takes it away from whoever has it.
    ///
    /// Fails with [`crate::backend::ErrorKind::Conflict`] where somebody has it.
    pub fn console<T>(
        &self,
        project: &ProjectName,
        vm: &VmName,
        force: bool,
        talk: impl FnOnce(&Console) -> Result<T, HypervisorError>,
    ) -> Result<T, HypervisorError> {
        self.connections.with(|connect| open(connect, project, vm, force, talk))
    }
}

impl Console {
    /// Takes what has come, if anything has.
    pub fn hear(&self, buffer: &mut [u8]) -> Result<Heard, HypervisorError> {
        match self.stream.recv(buffer) {
            Ok(0) => Ok(Heard::End),
            Ok(count) => Ok(Heard::Bytes(count)),
            Err(error) if would_wait(&error) => Ok(Heard::Nothing),
            Err(error) => Err(self.broken(error)),
        }
    }

    fn broken(&self, error: Error) -> HypervisorError {
        failed(format!("the console of vm `{}` broke off", self.vm))(error)
            .with_hint("somebody took it with `--force`, or the vm was stopped")
    }

    /// Sends as much as can be sent now. Returns how much that was.
    pub fn say(&self, bytes: &[u8]) -> Result<usize, HypervisorError> {
        match self.stream.send(bytes) {
            Ok(count) => Ok(count),
            Err(error) if would_wait(&error) => Ok(0),
            Err(error) => Err(self.broken(error)),
        }
    }
}

/// libvirt answers with -2 where a call would have to wait, and sets no error; the binding makes one of it that comes from
/// nowhere.
fn would_wait(error: &Error) -> bool {
    error.domain() == ErrorDomain::None && error.code() == ErrorNumber::InternalError
}
