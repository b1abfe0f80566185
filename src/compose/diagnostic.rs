//! What is wrong with a compose file, as data: a message, the places it speaks of, and what to do.
//!
//! Owns the facts and their JSON form. Knows nothing of terminals: `render::diagnostic` draws them.

use std::fmt;
use std::sync::Arc;

use serde::ser::{SerializeSeq, SerializeStruct};
use serde::{Serialize, Serializer};

use super::place::{Extent, FileId, Place, Texts};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, but probably not as it was meant.
    Warning,
}

/// A place, and what is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// File and bytes.
    pub extent: Extent,
    /// What is there; may be empty.
    pub text: String,
    /// Whether this is the place of the mistake, and not one that it is at odds with.
    pub primary: bool,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A lower-case fragment that names the thing in backquotes.
    pub message: String,
    /// The places, the primary one first.
    pub labels: Vec<Label>,
    /// What to do about it, each a fragment of its own.
    pub hints: Vec<String>,
    /// For what says that something is missing: where it would have been. If anything else is wrong there, that is why.
    scope: Option<Extent>,
    /// Whether anything else that is said at its place follows from it.
    root: bool,
}

impl Diagnostic {
    /// An error without a place yet.
    pub(crate) fn error(message: impl Into<String>) -> Self {
        let (labels, hints) = (Vec::new(), Vec::new());
        Self { severity: Severity::Error, message: message.into(), labels, hints, scope: None, root: false }
    }

    /// A warning without a place yet.
    pub(crate) fn warning(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message) }
    }

    /// The place of the mistake; an alias that led there is named too.
    pub(crate) fn at(mut self, place: impl Into<Place>, text: impl Into<String>) -> Self {
        let place = place.into();
        self.labels.push(Label { extent: place.at, text: text.into(), primary: true });
        match place.via {
            Some(via) => self.and(via, "used here"),
            None => self,
        }
    }

    /// Another place that has to do with it.
    pub(crate) fn and(mut self, place: impl Into<Place>, text: impl Into<String>) -> Self {
        self.labels.push(Label { extent: place.into().at, text: text.into(), primary: false });
        self
    }

    /// What to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Says nothing where something else within `scope` is wrong.
    pub(crate) fn unless_wrong_within(mut self, scope: impl Into<Place>) -> Self {
        self.scope = Some(scope.into().at);
        self
    }

    /// Keeps everything else from being said at its place.
    pub(crate) fn alone_at_its_place(mut self) -> Self {
        self.root = true;
        self
    }

    /// The same with a hint, where there is one.
    pub(crate) fn maybe_hint(self, hint: Option<String>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }
}

/// All that is wrong, with the texts it speaks of.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics {
    /// What is wrong, in the order of the files.
    pub list: Vec<Diagnostic>,
    /// The texts.
    pub texts: Arc<Texts>,
}

impl Diagnostics {
    /// How many errors and warnings are shown at once; what comes after them is only counted.
    pub const SHOWN: usize = 100;

    /// Sorts by place, so that people read from top to bottom, and drops exact repetitions.
    pub(crate) fn new(mut list: Vec<Diagnostic>, texts: Arc<Texts>) -> Self {
        drop_consequences(&mut list);
        let place = |d: &Diagnostic| d.labels.first().map(|l| (l.extent.file, l.extent.start));
        list.sort_by(|a, b| place(a).cmp(&place(b)).then_with(|| a.message.cmp(&b.message)));
        // A mistake in what several vms share is seen once through each of them.
        let primary = |d: &Diagnostic| d.labels.first().map(|l| (l.extent, l.text.clone()));
        list.dedup_by(|b, a| a == b || (primary(a).is_some() && primary(a) == primary(b) && a.hints == b.hints));
        Self { list, texts }
    }

    /// One mistake that has no place in a file.
    pub(crate) fn single(diagnostic: Diagnostic) -> Self {
        Self { list: vec![diagnostic], texts: Arc::default() }
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether the file cannot be used.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|d| d.severity == Severity::Error)
    }
}

/// What is missing because it was wrong is no second mistake.
fn drop_consequences(list: &mut Vec<Diagnostic>) {
    let start = |label: &Label| (label.extent.file, label.extent.start);
    let first = |d: &Diagnostic| d.labels.first().map(start);
    let roots: Vec<_> = list.iter().filter(|d| d.root).filter_map(first).collect();
    list.retain(|d| d.root || first(d).is_none_or(|place| !roots.contains(&place)));
    let wrong = |d: &&Diagnostic| d.scope.is_none() && d.severity == Severity::Error;
    let mut places: Vec<(FileId, u32)> = list.iter().filter(wrong).flat_map(|d| &d.labels).map(start).collect();
    places.sort_unstable();
    let any_within = |places: &[(FileId, u32)], file, from: u32, to: u32| {
        places.get(places.partition_point(|place| *place < (file, from))).is_some_and(|place| *place < (file, to))
    };
    list.retain(|d| d.scope.is_none_or(|scope| !any_within(&places, scope.file, scope.start, scope.end)));
    // Of things that are missing within one another the inner one is the cause.
    places = list.iter().filter(|d| d.scope.is_some()).flat_map(|d| &d.labels).map(start).collect();
    places.sort_unstable();
    list.retain(|d| d.scope.is_none_or(|scope| !any_within(&places, scope.file, scope.start + 1, scope.end)));
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, diagnostic) in self.list.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            if let Some(label) = diagnostic.labels.first() {
                let at = self.texts.position(label.extent.file, label.extent.start);
                write!(f, "{}:{}:{}: ", self.texts.name(label.extent.file), at.line, at.column)?;
            }
            f.write_str(&diagnostic.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

impl Serialize for Diagnostics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.list.len()))?;
        for diagnostic in &self.list {
            seq.serialize_element(&Placed { inner: diagnostic, texts: &self.texts })?;
        }
        seq.end()
    }
}

/// Something together with the texts that give its offsets a meaning.
struct Placed<'a, T> {
    inner: &'a T,
    texts: &'a Texts,
}

impl Serialize for Placed<'_, Diagnostic> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let labels: Vec<_> = self.inner.labels.iter().map(|inner| Placed { inner, texts: self.texts }).collect();
        let mut out = serializer.serialize_struct("Diagnostic", 4)?;
        out.serialize_field("severity", &self.inner.severity)?;
        out.serialize_field("message", &self.inner.message)?;
        out.serialize_field("labels", &labels)?;
        out.serialize_field("hints", &self.inner.hints)?;
        out.end()
    }
}

impl Serialize for Placed<'_, Label> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Extent { file, start, end } = self.inner.extent;
        let (from, to) = (self.texts.position(file, start), self.texts.position(file, end));
        let mut out = serializer.serialize_struct("Label", 9)?;
        out.serialize_field("file", self.texts.name(file))?;
        out.serialize_field("line", &from.line)?;
        out.serialize_field("column", &from.column)?;
        out.serialize_field("end_line", &to.line)?;
        out.serialize_field("end_column", &to.column)?;
        out.serialize_field("start", &start)?;
        out.serialize_field("end", &end)?;
        out.serialize_field("text", &self.inner.text)?;
        out.serialize_field("primary", &self.inner.primary)?;
        out.end()
    }
}
