//! One thing that did not fit: what, where, and what would have.
//!
//! Owns the words for it. Knows nothing of how it was found.

use std::fmt;
use std::ops::{Deref, DerefMut};

use serde::de::{self, Expected, Unexpected};

use super::{Expecting, Place};
use crate::compose::diagnostic::Diagnostic;
use crate::compose::node::{Kind, Meaning, Node, Style, shorten};
use crate::compose::suggest;

/// What did not fit.
#[derive(Debug)]
pub(crate) enum Problem {
    /// A type's own complaint.
    Custom(String),
    /// Something else was expected; what was found is described by whoever knows the node.
    Expected { expected: String, found: Option<String> },
    /// A key that the struct does not have.
    UnknownKey { key: String, known: &'static [&'static str] },
    /// A word that the enumeration does not have.
    UnknownWord { word: String, known: &'static [&'static str] },
    /// A key that must be there.
    Missing(&'static str),
}

/// A [`Problem`] on its way up to where it is reported. Boxed, because every step of decoding could return one.
#[derive(Debug)]
pub(crate) struct Fault(Box<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) problem: Problem,
    pub(crate) place: Option<Place>,
    /// The node to cut out before trying again.
    pub(crate) victim: Option<usize>,
    /// Keys and indexes that lead to it, the innermost first.
    pub(crate) path: Vec<String>,
    pub(crate) follows_from_pruning: bool,
    /// Whether it is about a text, a number or a truth value, not about what a list or a mapping holds.
    pub(crate) of_scalar: bool,
    pub(crate) hints: Vec<String>,
}

impl Deref for Fault {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl DerefMut for Fault {
    fn deref_mut(&mut self) -> &mut Inner {
        &mut self.0
    }
}

impl Fault {
    pub(crate) fn new(problem: Problem) -> Self {
        Self(Box::new(Inner {
            problem,
            place: None,
            victim: None,
            path: Vec::new(),
            follows_from_pruning: false,
            of_scalar: false,
            hints: Vec::new(),
        }))
    }

    /// Settles on a node, unless it has settled on a deeper one already.
    pub(crate) fn or_at(mut self, node: &Node) -> Self {
        if let Kind::Scalar(scalar) = &node.kind
            && scalar.failed
        {
            // A template that failed was reported when it failed.
            self.follows_from_pruning = true;
        }
        if self.place.is_none() {
            self.place = Some(node.place());
            self.of_scalar = matches!(node.kind, Kind::Scalar(_));
            if let Problem::Expected { expected, found } = &mut self.problem {
                found.get_or_insert_with(|| node.describe());
                let hint = hint(expected, node);
                self.hints.extend(hint);
            }
            if let (Problem::Custom(_) | Problem::Expected { .. }, Kind::Scalar(scalar)) = (&self.problem, &node.kind)
                && scalar.computed
            {
                self.hints.push(if scalar.text.is_empty() {
                    "nothing is left of it after interpolation".to_owned()
                } else {
                    format!("`{}` is what interpolation and templates made of it", shorten(&scalar.text))
                });
            }
        }
        self.victim.get_or_insert(super::identity(node));
        self
    }

    /// Whether it is wrong whatever else a list or a mapping may hold.
    pub(crate) fn stands_alone(&self) -> bool {
        match self.problem {
            Problem::Missing(_) => false,
            Problem::Custom(_) => self.of_scalar,
            Problem::Expected { .. } | Problem::UnknownKey { .. } | Problem::UnknownWord { .. } => true,
        }
    }

    /// The diagnostic for people.
    pub(crate) fn describe<'a>(self, path: &dyn Fn(Place) -> &'a str, root: &Node) -> Diagnostic {
        let place = self.place.unwrap_or_else(|| root.place());
        let path = path(place);
        let inner = self.path.iter().rev().fold(String::new(), |path, part| join(&path, part));
        let whole = join(path, &inner);
        let name = if whole.is_empty() { "the file".to_owned() } else { format!("`{whole}`") };
        let Inner { problem, path: parts, hints, .. } = *self.0;
        let mut diagnostic = match problem {
            Problem::Custom(message) => {
                let key = last_key(&parts).unwrap_or_else(|| path.to_owned());
                Diagnostic::error(message).at(place, if key.is_empty() { String::new() } else { format!("in `{key}`") })
            }
            Problem::Expected { expected, found } => {
                let found = found.unwrap_or_else(|| "something else".to_owned());
                Diagnostic::error(format!("{name} must be {expected}, not {found}"))
                    .at(place, format!("expected {expected}"))
            }
            Problem::UnknownKey { key, known } => unknown_key(&whole, &key, known, place),
            Problem::UnknownWord { word, known } => Diagnostic::error(format!("{name} cannot be `{word}`"))
                .at(place, format!("expected {}", alternatives(known)))
                .maybe_hint(suggest::did_you_mean(&word, known.iter().copied())),
            Problem::Missing(key) => {
                let lacks = Diagnostic::error(format!("{name} lacks `{key}`"));
                lacks.at(place, format!("`{key}` must be given here")).unless_wrong_within(place)
            }
        };
        diagnostic.hints.extend(hints);
        diagnostic
    }
}

/// The innermost key of a path, with the number of the item where it is a list.
fn last_key(path: &[String]) -> Option<String> {
    let (last, rest) = path.split_first()?;
    let outer = rest.first().filter(|_| last.starts_with('[')).map_or("", String::as_str);
    Some(format!("{outer}{last}"))
}

fn join(path: &str, part: &str) -> String {
    match part {
        "" => path.to_owned(),
        _ if path.is_empty() || part.starts_with('[') => format!("{path}{part}"),
        _ => format!("{path}.{part}"),
    }
}

/// An unknown key, with the one that was probably meant.
pub(crate) fn unknown_key(path: &str, key: &str, known: &[&str], place: Place) -> Diagnostic {
    let parent = path.strip_suffix(key).map_or(path, |parent| parent.trim_end_matches('.'));
    let known: Vec<&str> = known.iter().copied().filter(|k| !k.starts_with('$')).collect();
    let message = if parent.is_empty() {
        format!("unknown key `{key}` at the top of the file")
    } else {
        format!("unknown key `{key}` in `{parent}`")
    };
    let diagnostic = Diagnostic::error(message).at(place, "not known here");
    match suggest::foreign_key(key, &known).or_else(|| suggest::did_you_mean(key, known.iter().copied())) {
        Some(hint) => diagnostic.hint(hint),
        None => diagnostic.hint(format!("known here are {}", listed(&known))),
    }
}

/// "`a`, `b` or `c`".
pub(crate) fn alternatives(words: &[&str]) -> String {
    joined(words, "or")
}

/// "`a`, `b` and `c`".
pub(crate) fn listed(words: &[&str]) -> String {
    joined(words, "and")
}

fn joined(words: &[&str], conjunction: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} {conjunction} {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => "nothing".to_owned(),
    }
}

/// Why a value that looks right is not.
fn hint(expected: &str, node: &Node) -> Option<String> {
    let Kind::Scalar(scalar) = &node.kind else { return None };
    let quoted = scalar.style == Style::Text && !scalar.computed;
    match (expected, scalar.plain_meaning()) {
        (e, Meaning::Int(_)) if e.contains("number") && quoted => Some("remove the quotes".to_owned()),
        (e, Meaning::Bool(_)) if e.contains("`true`") && quoted => Some("remove the quotes".to_owned()),
        (e, Meaning::Text(text)) if e.contains("`true`") => match text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "y" => Some("YAML 1.2 knows only `true` and `false`; write `true`".to_owned()),
            "no" | "off" | "n" => Some("YAML 1.2 knows only `true` and `false`; write `false`".to_owned()),
            _ => None,
        },
        _ => None,
    }
}

/// serde's own words for a type, in ours.
fn words(expected: &str) -> String {
    match expected {
        "a string" | "string" | "str" | "char" => "a text".to_owned(),
        "a boolean" => "`true` or `false`".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a mapping".to_owned(),
        "unit" => "nothing".to_owned(),
        other if other.starts_with("struct ") => "a mapping".to_owned(),
        other => other.to_owned(),
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.problem)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Problem::Custom(message.to_string()))
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Problem::Expected { expected: words(&Expecting(expected).to_string()), found: None })
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Problem::Expected { expected: words(&Expecting(expected).to_string()), found: None })
    }

    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Self {
        Self::new(Problem::UnknownWord { word: word.to_owned(), known })
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        Self::new(Problem::UnknownKey { key: key.to_owned(), known })
    }

    fn missing_field(key: &'static str) -> Self {
        Self::new(Problem::Missing(key))
    }
}
