//! From the parser's markers, which count characters, to bytes.
//!
//! Owns one look-up table per text. Knows nothing else.

/// Every so many characters the byte offset is remembered.
const STEP: usize = 128;

/// Finds the byte offset of a character by its index.
pub(crate) struct Offsets<'a> {
    text: &'a str,
    /// Empty where all is ASCII and the two are the same.
    checkpoints: Vec<u32>,
}

impl<'a> Offsets<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let checkpoints = if text.is_ascii() {
            Vec::new()
        } else {
            let narrow = |(at, _): (usize, char)| u32::try_from(at).unwrap_or(u32::MAX);
            text.char_indices().step_by(STEP).map(narrow).collect()
        };
        Self { text, checkpoints }
    }

    /// The byte at which character `index` begins; the end of the text for an index beyond it.
    pub(crate) fn byte(&self, index: usize) -> usize {
        if self.checkpoints.is_empty() {
            return index.min(self.text.len());
        }
        let Some(start) = self.checkpoints.get(index / STEP) else { return self.text.len() };
        let start = *start as usize;
        let rest = self.text.get(start..).unwrap_or("");
        rest.char_indices().nth(index % STEP).map_or(self.text.len(), |(at, _)| start + at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_is_found_at_its_byte() {
        for text in ["plain ascii".to_owned(), "äöü€😀x".repeat(100)] {
            let offsets = Offsets::new(&text);
            for (index, (byte, _)) in text.char_indices().enumerate() {
                assert_eq!(offsets.byte(index), byte);
            }
            assert_eq!(offsets.byte(text.chars().count()), text.len());
        }
    }
}
