//! `exec`: a command in a guest, through its agent.
//!
//! Owns how its end becomes ours. Reads the file only for the project's name.

use std::io::{self, Read as _};

use crate::backend::End;
use crate::backend::libvirt::Libvirt;
use crate::cli::{Exec, Global};
use crate::commands::{login, request, stage};
use crate::error::{Error, Exit};
use crate::render::output;

/// What an agent takes as input in one request, which libvirt cuts off at four megabytes of base64.
const MOST_INPUT: u64 = 2 << 20;

/// Runs the command to its end.
pub(super) fn exec(global: &Global, options: &Exec) -> Result<Exit, Error> {
    if options.tty {
        return Err(Error::Missing {
            what: "the guest agent has no terminal to give to a command".to_owned(),
            hint: format!("`vmcompose ssh -t {} -- {}` has one", options.vm, options.command.join(" ")),
        });
    }
    let project = stage::project_name(global, &request(global)?)?;
    let hypervisor = Libvirt::connect(global.connect.as_deref())?;
    let input = options.interactive.then(|| input(options)).transpose()?;
    let ran = hypervisor.exec(&project, &options.vm, &options.command, input.as_deref());
    let ran = ran.map_err(|error| login::named(&hypervisor, &project, &options.vm, error))?;
    output::streams(&ran.stdout, &ran.stderr).map_err(|source| Error::Io { path: "stdout".into(), source })?;
    Ok(Exit::Guest(code(ran.end)))
}

/// All of stdin.
fn input(options: &Exec) -> Result<Vec<u8>, Error> {
    let mut input = Vec::new();
    let read = io::stdin().lock().take(MOST_INPUT + 1).read_to_end(&mut input);
    read.map_err(|source| Error::Io { path: "stdin".into(), source })?;
    if input.len() as u64 > MOST_INPUT {
        return Err(Error::Missing {
            what: "stdin is more than the guest agent takes, which is 2 MiB".to_owned(),
            hint: format!("copy it with `vmcompose cp FILE {}:PATH`, or use `vmcompose ssh`", options.vm),
        });
    }
    Ok(input)
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
