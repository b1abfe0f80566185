//! Places in the user's files: byte ranges that know their file, and the texts they point into.
//!
//! Owns the arithmetic of offsets, lines and columns. Knows nothing of YAML or of how a place is shown.

use std::ops::Range;

use crate::model::Origin;

/// Which file of a run; an index into [`Texts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub(crate) u16);

/// A stretch of one file's text, in bytes. Files are at most 16 MB, so 32 bits hold every offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Extent {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// First byte that no longer belongs to it.
    pub end: u32,
}

impl Extent {
    pub(crate) fn new(file: FileId, range: Range<usize>) -> Self {
        let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { file, start: narrow(range.start), end: narrow(range.end) }
    }

    /// The bytes as a range.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Whether the other one lies in it.
    pub(crate) fn contains(self, other: Self) -> bool {
        self.file == other.file && self.start <= other.start && other.end <= self.end
    }

    /// The `inner` bytes of it, counted from its start.
    pub(crate) fn slice(self, inner: Range<usize>) -> Self {
        let start = self.start as usize;
        Self::new(self.file, start + inner.start..start + inner.end)
    }
}

/// Where a value stands, and through which alias it came to be used, if through one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Where it was written.
    pub(crate) at: Extent,
    /// The `*alias` that brought it here.
    pub(crate) via: Option<Extent>,
}

impl From<Extent> for Place {
    fn from(at: Extent) -> Self {
        Self { at, via: None }
    }
}

/// The texts of all files of a run, for messages that quote them.
#[derive(Debug, Clone, Default)]
pub struct Texts {
    files: Vec<Text>,
}

#[derive(Debug, Clone)]
struct Text {
    name: String,
    content: String,
    /// Offset of the first byte of each line.
    lines: Vec<u32>,
}

/// A line and a column, both from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Texts {
    /// Takes a text in. `name` is what the user calls the file.
    pub(crate) fn add(&mut self, name: String, text: String) -> FileId {
        let id = FileId(u16::try_from(self.files.len()).unwrap_or(u16::MAX));
        let starts = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(starts).map(|at| u32::try_from(at).unwrap_or(u32::MAX)).collect();
        self.files.push(Text { name, content: text, lines });
        id
    }

    /// How many more files fit.
    pub(crate) fn is_full(&self) -> bool {
        self.files.len() >= usize::from(u16::MAX)
    }

    /// What the user calls the file.
    pub fn name(&self, file: FileId) -> &str {
        self.files.get(usize::from(file.0)).map_or("", |f| &f.name)
    }

    /// The whole text of a file.
    pub fn text(&self, file: FileId) -> &str {
        self.files.get(usize::from(file.0)).map_or("", |f| &f.content)
    }

    /// The text of an extent.
    pub fn slice(&self, extent: Extent) -> &str {
        self.text(extent.file).get(extent.range()).unwrap_or("")
    }

    /// Where a part of a scalar's text stands in the file. Quotes, escapes and indentation make the two differ, so the
    /// part is looked for; where it is not found as it is, the whole scalar is the answer.
    pub(crate) fn find(&self, scalar: Extent, text: &str, part: Range<usize>) -> Extent {
        let (Some(fragment), Some(before)) = (text.get(part.clone()), text.get(..part.start)) else { return scalar };
        let line = fragment.lines().next().unwrap_or("");
        if line.is_empty() {
            return scalar;
        }
        let nth = before.matches(line).count();
        let found = self.slice(scalar).match_indices(line).nth(nth);
        found.map_or(scalar, |(at, _)| scalar.slice(at..at + line.len()))
    }

    /// The line of an offset, from 1.
    pub fn line(&self, file: FileId, offset: u32) -> usize {
        self.files.get(usize::from(file.0)).map_or(1, |f| f.lines.partition_point(|start| *start <= offset))
    }

    /// Line and column of an offset.
    pub fn position(&self, file: FileId, offset: u32) -> Position {
        let line = self.line(file, offset);
        let start = self.line_start(file, line);
        let before = self.text(file).get(start..offset as usize).unwrap_or("");
        Position { line, column: before.chars().count() + 1 }
    }

    /// Offset of the first byte of a line; the end of the text for lines beyond it.
    pub(crate) fn line_start(&self, file: FileId, line: usize) -> usize {
        let lines = self.files.get(usize::from(file.0)).map_or(&[][..], |f| &f.lines);
        line.checked_sub(1).and_then(|n| lines.get(n)).map_or(self.text(file).len(), |start| *start as usize)
    }

    /// File and line, as resources remember them.
    pub(crate) fn origin(&self, extent: Extent) -> Origin {
        Origin { file: self.name(extent.file).to_owned(), line: self.line(extent.file, extent.start) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_count_from_one() {
        let mut texts = Texts::default();
        let file = texts.add("a".into(), "äö: x\nb: y\n".into());
        assert_eq!(texts.position(file, 0), Position { line: 1, column: 1 });
        assert_eq!(texts.position(file, 6), Position { line: 1, column: 5 });
        assert_eq!(texts.position(file, 8), Position { line: 2, column: 1 });
        assert_eq!(texts.position(file, 13), Position { line: 3, column: 1 });
    }
}
