//! The tree of a YAML document: what was written, and where.
//!
//! Owns the shape of the tree, its look-ups and what a plain scalar means (the core schema of YAML 1.2). Knows nothing
//! of compose keys.

use serde_yaml::Value;

use super::place::{Extent, Place};

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) at: Extent,
    pub(crate) via: Option<Extent>,
    pub(crate) tag: Tag,
}

/// What sort of value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// One key of a mapping and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: Key,
    pub(crate) value: Node,
}

/// The key of an entry.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) at: Extent,
}

/// A text, a number, a truth value or nothing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) style: Style,
    /// Whether interpolation or a template made the text: what comes out of `"${CPUS}"` may be a number although it
    /// stands in quotes.
    pub(crate) computed: bool,
    /// Whether it is a template that waits for addresses.
    pub(crate) pending: bool,
    /// Whether variables or a template in it failed; the mistake is reported, and what follows from it need not be.
    pub(crate) failed: bool,
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Without quotes: `null`, numbers and truth values mean what they look like.
    Plain,
    /// In quotes or as a block: always a text.
    Text,
}

/// What a later file wants with what an earlier one says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tag {
    /// Merge with it.
    #[default]
    None,
    /// `!reset`: take it away.
    Reset,
    /// `!override`: put this in its place.
    Override,
}

/// What a scalar means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Meaning<'a> {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(&'a str),
}

impl Scalar {
    /// Its meaning by the core schema. Text that was computed is nothing else than text when it is empty: an unset
    /// variable is an empty text, not an absent value.
    pub(crate) fn meaning(&self) -> Meaning<'_> {
        if self.style == Style::Text || (self.computed && self.text.is_empty()) {
            return Meaning::Text(&self.text);
        }
        self.plain_meaning()
    }

    /// Its meaning if it stood without quotes.
    pub(crate) fn plain_meaning(&self) -> Meaning<'_> {
        match self.text.as_str() {
            "" | "~" | "null" | "Null" | "NULL" => Meaning::Null,
            "true" | "True" | "TRUE" => Meaning::Bool(true),
            "false" | "False" | "FALSE" => Meaning::Bool(false),
            text => number(text).unwrap_or(Meaning::Text(text)),
        }
    }
}

fn number(text: &str) -> Option<Meaning<'_>> {
    let first = text.bytes().next()?;
    if !(first.is_ascii_digit() || matches!(first, b'-' | b'+' | b'.')) || text.len() > 64 {
        return None;
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return radix(hex, 16);
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return radix(octal, 8);
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok().map(Meaning::Int);
    }
    match digits {
        ".inf" | ".Inf" | ".INF" => {
            return Some(Meaning::Float(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY }));
        }
        ".nan" | ".NaN" | ".NAN" if digits == text => return Some(Meaning::Float(f64::NAN)),
        _ => {}
    }
    let legal = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'-' | b'+');
    let plausible = digits.bytes().all(legal) && digits.bytes().any(|b| b.is_ascii_digit());
    plausible.then(|| text.parse().ok().map(Meaning::Float)).flatten()
}

fn radix(digits: &str, radix: u32) -> Option<Meaning<'_>> {
    let legal = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    legal.then(|| i128::from_str_radix(digits, radix).ok().map(Meaning::Int)).flatten()
}

impl Node {
    pub(crate) fn new(kind: Kind, at: Extent) -> Self {
        Self { kind, at, via: None, tag: Tag::None }
    }

    /// A null that stands where `at` is.
    pub(crate) fn null(at: Extent) -> Self {
        Self::new(
            Kind::Scalar(Scalar {
                text: String::new(),
                style: Style::Plain,
                computed: false,
                pending: false,
                failed: false,
            }),
            at,
        )
    }

    /// A text that stands where `at` is.
    pub(crate) fn text(text: impl Into<String>, at: Extent) -> Self {
        Self::new(
            Kind::Scalar(Scalar {
                text: text.into(),
                style: Style::Text,
                computed: false,
                pending: false,
                failed: false,
            }),
            at,
        )
    }

    pub(crate) fn place(&self) -> Place {
        Place { at: self.at, via: self.via }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.meaning() == Meaning::Null)
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Mapping(entries) => entries,
            _ => &[],
        }
    }

    pub(crate) fn items(&self) -> &[Node] {
        match &self.kind {
            Kind::Sequence(items) => items,
            _ => &[],
        }
    }

    /// The value of a key. Looks from the front: mappings with fixed keys are short; walk those with many entries.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| entry.key.text == key).map(|entry| &entry.value)
    }

    /// Takes a key out.
    pub(crate) fn remove(&mut self, key: &str) -> Option<Entry> {
        let Kind::Mapping(entries) = &mut self.kind else { return None };
        let at = entries.iter().position(|entry| entry.key.text == key)?;
        Some(entries.remove(at))
    }

    /// What it is, in words.
    pub(crate) fn describe(&self) -> String {
        match &self.kind {
            Kind::Sequence(_) => "a list".to_owned(),
            Kind::Mapping(_) => "a mapping".to_owned(),
            Kind::Scalar(scalar) => match scalar.meaning() {
                Meaning::Null => "nothing".to_owned(),
                Meaning::Bool(_) => format!("`{}`", scalar.text),
                Meaning::Int(_) | Meaning::Float(_) => format!("the number `{}`", scalar.text),
                Meaning::Text("") => "an empty text".to_owned(),
                Meaning::Text(text) => format!("the text `{}`", shorten(text)),
            },
        }
    }

    /// The value without places, for people to read as YAML.
    pub(crate) fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Scalar(scalar) => scalar_value(scalar),
            Kind::Sequence(items) => Value::Sequence(items.iter().map(Node::to_value).collect()),
            Kind::Mapping(entries) => {
                let pair = |entry: &Entry| (Value::String(entry.key.text.clone()), entry.value.to_value());
                Value::Mapping(entries.iter().map(pair).collect())
            }
        }
    }
}

fn scalar_value(scalar: &Scalar) -> Value {
    match scalar.meaning() {
        Meaning::Null => Value::Null,
        Meaning::Bool(truth) => Value::Bool(truth),
        Meaning::Int(n) => match (u64::try_from(n), i64::try_from(n)) {
            (Ok(n), _) => Value::Number(n.into()),
            (_, Ok(n)) => Value::Number(n.into()),
            _ => Value::String(scalar.text.clone()),
        },
        Meaning::Float(n) => Value::Number(n.into()),
        Meaning::Text(text) => Value::String(text.to_owned()),
    }
}

/// The start of a text, short enough for a message and on one line.
pub(crate) fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or("");
    let short: String = line.chars().take(60).collect();
    if short.len() < text.trim_end().len() { format!("{short}…") } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Scalar {
        Scalar { text: text.to_owned(), style: Style::Plain, computed: false, pending: false, failed: false }
    }

    #[test]
    fn plain_scalars_mean_what_the_core_schema_says() {
        for (text, meaning) in [
            ("", Meaning::Null),
            ("~", Meaning::Null),
            ("true", Meaning::Bool(true)),
            ("yes", Meaning::Text("yes")),
            ("12", Meaning::Int(12)),
            ("-7", Meaning::Int(-7)),
            ("0x1F", Meaning::Int(31)),
            ("0o17", Meaning::Int(15)),
            ("1.5", Meaning::Float(1.5)),
            ("1e3", Meaning::Float(1000.0)),
            (".5", Meaning::Float(0.5)),
            ("1.2.3", Meaning::Text("1.2.3")),
            ("10.0.0.1", Meaning::Text("10.0.0.1")),
            ("0x", Meaning::Text("0x")),
            ("-", Meaning::Text("-")),
            ("+", Meaning::Text("+")),
            ("e3", Meaning::Text("e3")),
        ] {
            assert_eq!(plain(text).meaning(), meaning, "{text}");
        }
    }

    #[test]
    fn text_in_quotes_stays_text_and_computed_emptiness_is_not_null() {
        assert_eq!(Scalar { style: Style::Text, ..plain("12") }.meaning(), Meaning::Text("12"));
        assert_eq!(Scalar { computed: true, ..plain("") }.meaning(), Meaning::Text(""));
    }
}
