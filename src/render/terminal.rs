//! The user's terminal, handed over to a guest byte by byte.
//!
//! Owns its raw mode, and that it is as it was in the end, however that comes. Knows nothing of who is at the other end.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// A terminal on stdin in raw mode: every key goes through, Ctrl-C too. Dropped, it is as it was.
#[derive(Debug)]
pub struct Raw {
    before: Termios,
}

/// What came from stdin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typed {
    /// So many bytes.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// There will be no more.
    End,
}

impl Raw {
    /// Switches to raw mode; `None` where stdin is no terminal.
    pub fn enter() -> io::Result<Option<Self>> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(&stdin)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &raw)?;
        Ok(Some(Self { before }))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs no mode.
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.before);
    }
}

/// Waits for input, so long at most, and takes what has come.
pub fn typed(buffer: &mut [u8], patience: Duration) -> io::Result<Typed> {
    let stdin = io::stdin();
    let timeout = Timespec::try_from(patience).map_err(io::Error::other)?;
    let mut watched = [PollFd::new(&stdin, PollFlags::IN)];
    match poll(&mut watched, Some(&timeout)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Typed::Nothing),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    match rustix::io::read(&stdin, buffer) {
        // The second is that of a terminal whose other side was closed.
        Ok(0) | Err(rustix::io::Errno::IO) => Ok(Typed::End),
        Ok(count) => Ok(Typed::Bytes(count)),
        Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => Ok(Typed::Nothing),
        Err(error) => Err(error.into()),
    }
}

/// Passes on all that comes, until a reader that went away is no error any more than the end is.
pub fn pass(from: &mut (impl io::Read + ?Sized)) -> io::Result<()> {
    match io::copy(from, &mut io::stdout().lock()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Shows what a guest wrote, at once and as it is.
pub fn show(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}
