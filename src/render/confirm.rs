//! The one question: whether to go on.
//!
//! Owns asking it. Whether it must be asked, and what `--yes` means, is the commands' business.

use std::io::{self, BufRead, IsTerminal};

use crate::render::output;
use crate::render::style::{Palette, paint};

/// What the user said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Go on.
    Yes,
    /// Anything else: only a clear yes is one.
    No,
    /// Nobody is there to be asked: stdin or stderr is no terminal.
    Nobody,
}

/// Asks on the terminal. Reads one line and blocks until it is there.
pub fn ask(question: &str) -> io::Result<Answer> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(Answer::Nobody);
    }
    let palette = Palette::stderr();
    output::prompt(&format!("{} [y/N] ", paint(palette.strong, question)));
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(read(&line))
}

fn read(line: &str) -> Answer {
    match line.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Answer::Yes,
        _ => Answer::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_one() {
        for line in ["y\n", "yes", " YES \r\n"] {
            assert_eq!(read(line), Answer::Yes, "{line:?}");
        }
        for line in ["", "\n", "n", "yess", "ja"] {
            assert_eq!(read(line), Answer::No, "{line:?}");
        }
    }
}
