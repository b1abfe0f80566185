//! The way out: data to stdout, everything else to stderr.
//!
//! Owns both streams, and what happens when nobody reads them any more. Knows nothing of what is written.

use std::io::{self, ErrorKind, Write};

use crate::cli;

/// Writes data to stdout, and sees to it that the text ends with a line end. A reader that has gone away (`| head`)
/// is no error; a full disk is.
pub fn data(text: &str) -> io::Result<()> {
    write(anstream::stdout().lock(), text)
}

/// Writes anything that is not data to stderr. Nobody can be told when that fails, so it does not.
pub fn note(text: &str) {
    let _ = write(anstream::stderr().lock(), text);
}

/// Writes what another program wrote, as it is, to stdout and stderr.
pub fn streams(stdout: &[u8], stderr: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(stdout).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error),
        _ => {}
    }
    let _ = io::stderr().lock().write_all(stderr);
    Ok(())
}

/// Writes what clap has to say of a command line, help that was asked for included, and returns the exit code.
pub fn usage(error: &clap::Error) -> u8 {
    match error.print() {
        // Help that was asked for is data, and lost where the disk is full.
        Err(full) if full.kind() != ErrorKind::BrokenPipe => 1,
        _ => cli::exit_code(error),
    }
}

/// Writes a question to stderr and leaves the cursor behind it.
pub(super) fn prompt(question: &str) {
    let mut stream = anstream::stderr().lock();
    let _ = stream.write_all(question.as_bytes()).and_then(|()| stream.flush());
}

fn write(mut stream: impl Write, text: &str) -> io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let written = stream.write_all(text.as_bytes()).and_then(|()| stream.write_all(end.as_bytes()));
    match written.and_then(|()| stream.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_error_but_a_full_disk_is() {
        assert!(write(Broken(ErrorKind::BrokenPipe), "text").is_ok());
        assert_eq!(write(Broken(ErrorKind::StorageFull), "text").expect_err("fails").kind(), ErrorKind::StorageFull);
    }

    #[test]
    fn every_text_ends_with_one_line_end() {
        for (text, written) in [("", ""), ("a", "a\n"), ("a\n", "a\n")] {
            let mut bytes = Vec::new();
            write(&mut bytes, text).expect("a vector takes everything");
            assert_eq!(bytes, written.as_bytes());
        }
    }
}
