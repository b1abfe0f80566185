//! Templates that stand without quotes, and are read as if they had them.
//!
//! Owns a copy of the text in which such values are plain words of the same length: so every other place in it stays what
//! it is. Knows nothing of how they are found, or of what templates mean.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::compose::place::Extent;

/// How often a text is read anew, and how many bytes of it altogether: each such value costs a reading.
const MOST: usize = 100;
const BYTES: usize = 32 << 20;

/// A text, and which of its values are to be taken for quoted.
pub(super) struct Quotes<'a> {
    original: &'a str,
    text: Cow<'a, str>,
    /// Where they stand, by their beginnings.
    values: BTreeMap<u32, Extent>,
}

impl<'a> Quotes<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { original: text, text: Cow::Borrowed(text), values: BTreeMap::new() }
    }

    /// The text to parse.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether a value is not taken for quoted yet, and may still be.
    pub(super) fn can_take(&self, value: Extent) -> bool {
        let known = self.values.values().any(|known| known.start < value.end && value.start < known.end);
        let readings = self.values.len() + 1;
        !known && !value.range().is_empty() && readings <= MOST && readings * self.original.len() <= BYTES
    }

    /// Takes a value for quoted from now on.
    pub(super) fn take(&mut self, value: Extent) {
        self.values.insert(value.start, value);
        // Letters beyond ASCII are legal in a plain word, and keep characters and bytes in step.
        let plain = |c: char| if c.is_ascii() { 'x' } else { c };
        let word: String = self.original[value.range()].chars().map(plain).collect();
        self.text.to_mut().replace_range(value.range(), &word);
    }

    /// The value that begins where a plain word does.
    pub(super) fn value(&self, word: Extent) -> Option<(Extent, &'a str)> {
        let at = self.values.get(&word.start)?;
        Some((*at, &self.original[at.range()]))
    }

    /// Whether such a value is on the line of a place, or on the one before.
    pub(super) fn is_behind(&self, place: usize) -> bool {
        let before = self.original.get(..place).unwrap_or(self.original);
        let lines = before.trim_end_matches('\n').rsplitn(3, '\n').take(2).map(|line| line.len() + 1).sum::<usize>();
        let from = u32::try_from(before.len().saturating_sub(lines)).unwrap_or(u32::MAX);
        self.values.range(from..).next().is_some_and(|(start, _)| (*start as usize) < place)
    }
}
