//! Lines that several vms said, each under its vm's name.
//!
//! Owns where a line ends, what of it a terminal may see, and the names in front. Knows nothing of where lines come from.

use std::collections::BTreeMap;

use anstyle::{AnsiColor, Style};

use super::Palette;
use crate::names::VmName;

/// Whole lines out of pieces of text.
#[derive(Debug, Default)]
pub struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// The lines that these bytes bring to an end.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        self.begun.extend_from_slice(bytes);
        let Some(end) = self.begun.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
        let whole: Vec<u8> = self.begun.drain(..=end).collect();
        whole[..end].split(|byte| *byte == b'\n').map(readable).collect()
    }

    /// The line that has not ended, where there is one.
    pub fn rest(&mut self) -> Option<String> {
        let begun = std::mem::take(&mut self.begun);
        Some(readable(&begun)).filter(|line| !line.is_empty())
    }
}

/// A line without what would move a terminal's cursor, clear its screen or colour what follows. What a carriage return
/// wrote over is gone, as on a screen.
pub fn readable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let plain = anstream::adapter::strip_str(text.trim_end_matches('\r')).to_string();
    let last = plain.rsplit('\r').find(|part| !part.is_empty()).unwrap_or_default();
    last.chars().filter(|c| *c == '\t' || !c.is_control()).collect()
}

/// Names in front of lines, all as wide as the widest, each in a colour of its own.
#[derive(Debug)]
pub struct Prefixes {
    width: usize,
    styles: BTreeMap<VmName, Style>,
}

impl Prefixes {
    /// For these vms.
    pub fn new(vms: &[VmName]) -> Self {
        const COLOURS: [AnsiColor; 6] = [
            AnsiColor::Cyan,
            AnsiColor::Yellow,
            AnsiColor::Green,
            AnsiColor::Magenta,
            AnsiColor::Blue,
            AnsiColor::BrightRed,
        ];
        let styles = vms.iter().zip(COLOURS.iter().cycle()).map(|(vm, colour)| (vm.clone(), colour.on_default()));
        Self { width: vms.iter().map(|vm| vm.as_str().len()).max().unwrap_or(0), styles: styles.collect() }
    }

    /// A line with its vm's name, and its end.
    pub fn line(&self, vm: &VmName, line: &str, palette: &Palette) -> String {
        let style = if palette.coloured() { self.styles.get(vm).copied().unwrap_or_default() } else { Style::new() };
        format!("{style}{:width$} |{style:#} {line}\n", vm.as_str(), width = self.width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(b"one\ntw"), ["one"]);
        assert!(lines.take(b"o").is_empty());
        assert_eq!(lines.take(b"\r\n\nthree"), ["two", ""]);
        assert_eq!((lines.rest(), lines.rest()), (Some("three".to_owned()), None));
    }

    #[test]
    fn nothing_in_a_line_moves_the_cursor() {
        assert_eq!(readable(b"\x1b[2J\x1b[1;31mFAILED\x1b[0m to start\x07\r"), "FAILED to start");
        assert_eq!(readable(b" 10%\r 50%\r100%"), "100%");
        assert_eq!(readable(b"caf\xc3\xa9 \xff"), "café \u{fffd}");
    }

    #[test]
    fn names_stand_in_a_column() {
        let vms = ["db", "web-10"].map(|name| VmName::new(name).expect("legal"));
        let prefixes = Prefixes::new(&vms);
        assert_eq!(prefixes.line(&vms[0], "up", &Palette::PLAIN), "db     | up\n");
        let coloured = prefixes.line(&vms[1], "up", &Palette::COLOURED);
        assert_eq!(coloured, "\u{1b}[33mweb-10 |\u{1b}[0m up\n");
    }
}
