//! `exec`: a command in a guest, through its agent.
//!
//! Owns how its end becomes ours. Reads the file only for the project's name.

use crate::backend::End;
use crate::backend::libvirt::Libvirt;
use crate::cli::{Exec, Global};
use crate::commands::{request, stage};
use crate::error::{Error, Exit};
use crate::render::output;

/// Runs the command to its end.
pub(super) fn exec(global: &Global, options: &Exec) -> Result<Exit, Error> {
    let project = stage::project_name(global, &request(global)?)?;
    let hypervisor = Libvirt::connect(global.connect.as_deref())?;
    let ran = hypervisor.exec(&project, &options.vm, &options.command)?;
    output::streams(&ran.stdout, &ran.stderr).map_err(|source| Error::Io { path: "stdout".into(), source })?;
    Ok(Exit::Guest(code(ran.end)))
}

/// As a shell would have it.
fn code(end: End) -> u8 {
    const LOST: u8 = 255;
    match end {
        End::Code(code) => u8::try_from(code).unwrap_or(LOST),
        End::Signal(signal) => u8::try_from(signal).map_or(LOST, |signal| signal.saturating_add(128)),
        End::Unknown => LOST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_told_as_a_shell_tells_it() {
        assert_eq!([End::Code(0), End::Code(7), End::Signal(9), End::Unknown].map(code), [0, 7, 137, 255]);
    }
}
