//! Messages in one style: `error:`, `warning:`, `note:` and `hint:`, each on a line of its own.
//!
//! Owns the words in front and how further lines hang below. Knows nothing of what is said.

use anstyle::Style;

use crate::render::layout::Text;
use crate::render::style::{Palette, paint};

/// What went wrong: a lower-case fragment that names the thing in backquotes. Further lines are indented.
pub fn error(text: &str, palette: &Palette) -> String {
    message("error", palette.error, text, palette)
}

/// What may surprise later.
pub fn warning(text: &str, palette: &Palette) -> String {
    message("warning", palette.warning, text, palette)
}

/// What is good to know.
pub fn note(text: &str, palette: &Palette) -> String {
    message("note", palette.strong, text, palette)
}

/// What the user could do about it.
pub fn hint(text: &str, palette: &Palette) -> String {
    message("hint", palette.hint, text, &Palette::PLAIN)
}

/// Each message ends with a line end, so that they can be put one after the other.
fn message(word: &str, style: Style, text: &str, palette: &Palette) -> String {
    let mut lines = text.trim_end().lines();
    let first = paint(palette.strong, lines.next().unwrap_or_default());
    let mut message = Text::default();
    message.line(format_args!("{}{} {first}", paint(style, word), paint(style, ":")));
    for line in lines {
        message.line(format_args!("{}", format!("  {line}").trim_end()));
    }
    message.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_lines_hang_below_the_first() {
        assert_eq!(error("one\ntwo\n\nthree\n", &Palette::PLAIN), "error: one\n  two\n\n  three\n");
        assert_eq!(hint("do this", &Palette::PLAIN), "hint: do this\n");
    }
}
