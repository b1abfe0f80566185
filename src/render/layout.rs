//! Columns and widths, as a terminal counts them.
//!
//! Owns padding and cutting, and how a text grows; wide characters count two, colours nothing. Knows nothing of what is laid out.

use std::fmt::{Arguments, Write};

use console::{measure_text_width, truncate_str};

/// A text that grows.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// Adds a line and its end.
    pub(super) fn line(&mut self, line: Arguments<'_>) {
        self.add(line);
        self.0.push('\n');
    }

    /// Adds a piece.
    pub(super) fn add(&mut self, piece: Arguments<'_>) {
        self.0.write_fmt(piece).expect("a `String` takes everything");
    }

    /// Adds what was made elsewhere.
    pub(super) fn push(&mut self, text: &str) {
        self.0.push_str(text);
    }

    /// The whole.
    pub(super) fn end(self) -> String {
        self.0
    }
}

/// Width of a text on a terminal, in columns.
pub(super) fn width(text: &str) -> usize {
    measure_text_width(text)
}

/// Fills a text up with spaces to `columns`; a wider one stays as it is.
pub(super) fn pad(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(width(text));
    format!("{text}{:missing$}", "")
}

/// Cuts a text that is wider than `columns`, and shows that with an ellipsis.
pub(super) fn cut(text: &str, columns: usize) -> String {
    truncate_str(text, columns, "…").into_owned()
}

/// Rows as columns, each as wide as its widest cell, three spaces between them.
pub(super) fn columns(rows: &[Vec<String>]) -> String {
    const GAP: &str = "   ";
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widest = |n: usize| rows.iter().filter_map(|row| row.get(n)).map(|cell| width(cell)).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(widest).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| pad(cell, *width)).collect();
        format!("{}\n", cells.join(GAP).trim_end())
    };
    rows.iter().map(line).collect()
}

/// A text from elsewhere on one line and without control characters, which could rule the terminal.
pub(super) fn tame(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_take_no_room_and_wide_characters_take_two() {
        assert_eq!(pad("\u{1b}[32mab\u{1b}[0m", 4), "\u{1b}[32mab\u{1b}[0m  ");
        assert_eq!(width("日本"), 4);
        assert_eq!(cut("connection refused", 11), "connection…");
        assert_eq!(cut("short", 11), "short");
    }

    #[test]
    fn nothing_from_elsewhere_can_rule_the_terminal() {
        assert_eq!(tame("a\u{1b}[2J\r\n  b\u{7}"), "a [2J b");
    }
}
