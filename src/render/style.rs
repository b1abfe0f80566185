//! Colours, and the one decision whether there are any.
//!
//! Owns which role has which colour. Colour is never the only carrier of meaning: every text reads the same without.
//! Knows nothing of what is written.

use std::fmt;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

use crate::cli::Color;

/// A style for each role that a piece of text can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Palette {
    /// What is made, and what went well.
    pub good: Style,
    /// What is started, changed or waited for.
    pub busy: Style,
    /// What is changed in place.
    pub change: Style,
    /// What is removed, and what went wrong.
    pub bad: Style,
    /// Names and headings.
    pub strong: Style,
    /// What may be skipped in reading.
    pub faint: Style,
    /// The word `error`.
    pub error: Style,
    /// The word `warning`.
    pub warning: Style,
    /// The word `hint`.
    pub hint: Style,
}

impl Palette {
    /// No colours at all.
    pub const PLAIN: Self = Self {
        good: Style::new(),
        busy: Style::new(),
        change: Style::new(),
        bad: Style::new(),
        strong: Style::new(),
        faint: Style::new(),
        error: Style::new(),
        warning: Style::new(),
        hint: Style::new(),
    };

    /// Colours that every terminal has, so that the user's own theme decides what they look like.
    pub const COLOURED: Self = Self {
        good: AnsiColor::Green.on_default(),
        busy: AnsiColor::Cyan.on_default(),
        change: AnsiColor::Yellow.on_default(),
        bad: AnsiColor::Red.on_default(),
        strong: Style::new().bold(),
        faint: Style::new().dimmed(),
        error: AnsiColor::Red.on_default().bold(),
        warning: AnsiColor::Yellow.on_default().bold(),
        hint: AnsiColor::Cyan.on_default().bold(),
    };

    /// The palette for data, as [`decide`] has it.
    pub fn stdout() -> Self {
        Self::of(AutoStream::choice(&std::io::stdout()))
    }

    /// The palette for everything else, as [`decide`] has it.
    pub fn stderr() -> Self {
        Self::of(AutoStream::choice(&std::io::stderr()))
    }

    /// Whether it has colours.
    pub fn coloured(&self) -> bool {
        *self != Self::PLAIN
    }

    fn of(choice: ColorChoice) -> Self {
        if choice == ColorChoice::Never { Self::PLAIN } else { Self::COLOURED }
    }
}

/// Settles for the whole program whether there are colours. Without this, and with `auto`, each stream has them where
/// it is a terminal, and `NO_COLOR`, `CLICOLOR` and `CLICOLOR_FORCE` are respected; a flag on the command line beats
/// them.
pub fn decide(color: Color) {
    let choice = match color {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    };
    choice.write_global();
}

/// A text in a style; the style ends with the text. Padding counts the text alone.
pub(super) fn paint(style: Style, text: impl fmt::Display) -> String {
    let text = text.to_string();
    if text.is_empty() { text } else { format!("{style}{text}{style:#}") }
}
