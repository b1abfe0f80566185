//! `console`: the serial console of a vm on the terminal.
//!
//! Owns the turns that both directions take, and how it is left. Reads the file only for the project's name.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::backend::libvirt::{Console as Line, Heard, Libvirt};
use crate::backend::{ErrorKind, HypervisorError};
use crate::cli::{Console, Global};
use crate::commands::{login, request, signals, stage};
use crate::error::{Error, Exit};
use crate::render::output;
use crate::render::terminal::{self, Raw, Typed};

/// Ctrl-].
const LEAVE: u8 = 0x1d;
/// How long a look at the keyboard takes; so long may what the guest writes have to wait.
const GLANCE: Duration = Duration::from_millis(15);

/// How it ended.
enum Ended {
    /// The user left.
    Left,
    /// By the other side.
    There,
    /// By a signal.
    Signal,
}

/// Opens the console.
pub(super) fn console(global: &Global, options: &Console) -> Result<Exit, Error> {
    let project = stage::project_name(global, &request(global)?)?;
    let hypervisor = Libvirt::connect(global.connect.as_deref())?;
    let talk = |line: &Line| {
        let stop = signals::flag();
        // Told before: afterwards the screen is the guest's.
        let raw = Raw::enter().map_err(|error| lost(&error))?;
        if raw.is_some() {
            output::note(&format!("the console of vm `{}`; leave it with Ctrl-]\r", options.vm));
        }
        let ended = exchange(line, raw.is_some(), &stop)?;
        if raw.is_some() {
            output::note("\r");
        }
        drop(raw);
        Ok(ended)
    };
    let opened = hypervisor.console(&project, &options.vm, options.force, talk);
    let ended = opened.map_err(|error| login::named(&hypervisor, &project, &options.vm, error))?;
    Ok(match ended {
        Ended::Left => Exit::Done,
        Ended::There => {
            output::note(&format!("the console of vm `{}` ended", options.vm));
            Exit::Done
        }
        Ended::Signal => Exit::Interrupted,
    })
}

/// Both directions in turn, until one of the sides has enough.
fn exchange(line: &Line, keyboard: bool, stop: &AtomicBool) -> Result<Ended, HypervisorError> {
    let mut heard = vec![0; 64 << 10];
    let mut keys = vec![0; 4 << 10];
    let mut open = true;
    while !stop.load(Ordering::Relaxed) {
        match line.hear(&mut heard)? {
            Heard::Bytes(count) => {
                match terminal::show(&heard[..count]) {
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Ended::Left),
                    shown => shown.map_err(|error| lost(&error))?,
                }
                continue;
            }
            Heard::Nothing => {}
            Heard::End => return Ok(Ended::There),
        }
        if !open {
            std::thread::sleep(GLANCE);
            continue;
        }
        match terminal::typed(&mut keys, GLANCE).map_err(|error| lost(&error))? {
            Typed::Bytes(count) => {
                let leave = keys[..count].iter().position(|key| *key == LEAVE).filter(|_| keyboard);
                say(line, &keys[..leave.unwrap_or(count)], stop)?;
                if leave.is_some() {
                    return Ok(Ended::Left);
                }
            }
            Typed::Nothing => {}
            // A terminal that is gone is left; the end of a file is not the end of what the guest has to say.
            Typed::End if keyboard => return Ok(Ended::Left),
            Typed::End => open = false,
        }
    }
    Ok(Ended::Signal)
}

fn say(line: &Line, mut bytes: &[u8], stop: &AtomicBool) -> Result<(), HypervisorError> {
    while !bytes.is_empty() && !stop.load(Ordering::Relaxed) {
        let said = line.say(bytes)?;
        if said == 0 {
            std::thread::sleep(GLANCE);
        }
        bytes = &bytes[said..];
    }
    Ok(())
}

fn lost(error: &io::Error) -> HypervisorError {
    HypervisorError::new(ErrorKind::Rejected, format!("cannot use the terminal: {error}"))
}
