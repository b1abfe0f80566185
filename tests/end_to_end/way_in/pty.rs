//! A terminal with a program on it, and somebody who types and reads.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

/// A program on a terminal.
pub(crate) struct Terminal {
    typing: File,
    screen: Receiver<Vec<u8>>,
    seen: Vec<u8>,
    line: File,
    child: Child,
}

impl Terminal {
    pub(crate) fn new(command: &mut Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("usable");
        let path = ptsname(&master, Vec::new()).expect("a name").into_string().expect("text");
        let line = OpenOptions::new().read(true).write(true).open(path).expect("its other side");
        let end = || line.try_clone().expect("one more");
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("it runs");
        let typing = File::from(master);
        let mut reading = typing.try_clone().expect("one more");
        let (send, screen) = mpsc::channel();
        // Ends with the terminal.
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reading.read(&mut buffer) {
                if send.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { typing, screen, seen: Vec::new(), line, child }
    }

    /// Waits until this is on the screen, after what was found before.
    pub(crate) fn expect(&mut self, words: &str, patience: Duration) {
        let deadline = Instant::now() + patience;
        loop {
            let text = String::from_utf8_lossy(&self.seen).into_owned();
            if let Some((_, rest)) = text.split_once(words) {
                self.seen = rest.as_bytes().to_vec();
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.screen.recv_timeout(left) {
                Ok(bytes) => self.seen.extend(bytes),
                Err(error) => panic!("`{words}` did not come: {error}; there is:\n{text}"),
            }
        }
    }

    pub(crate) fn type_in(&mut self, keys: &[u8]) {
        self.typing.write_all(keys).expect("typed");
    }

    /// Whether it collects lines and shows what is typed, as for a person.
    pub(crate) fn is_cooked(&self) -> bool {
        tcgetattr(&self.line).expect("a terminal").local_modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("it ends")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
