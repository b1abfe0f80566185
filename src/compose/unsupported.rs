//! Keys that the language has and this version does not carry out yet.
//!
//! Owns the one table of them. A key leaves it in the change that makes it work. Knows nothing of values.

use super::diagnostic::Diagnostic;
use super::node::{Entry, Kind, Node};

/// Paths of keys from the top of the file; `*` stands for any key, `[]` for the items of a list.
const UNSUPPORTED: &[&str] = &[];

/// Whether a key does something already; its path with any word for a resource's name.
pub(crate) fn is_supported(path: &[&str]) -> bool {
    let matches = |pattern: &&&str| {
        let parts: Vec<&str> = pattern.split('.').collect();
        parts.len() == path.len() && parts.iter().zip(path).all(|(part, own)| *part == "*" || part == own)
    };
    UNSUPPORTED.iter().find(matches).is_none()
}

/// The part of the table that concerns one sort of mapping.
pub(crate) struct Unsupported(Vec<Vec<&'static str>>);

impl Unsupported {
    /// The keys below a path: `["vms", "*"]` for those of a vm.
    pub(crate) fn below(path: &[&str]) -> Self {
        let rest = |pattern: &&'static str| {
            let mut parts = pattern.split('.');
            let leads = path.iter().all(|part| parts.next().is_some_and(|p| p == "*" || p == *part));
            leads.then(|| parts.collect::<Vec<_>>())
        };
        Self(UNSUPPORTED.iter().filter_map(rest).collect())
    }

    /// The keys at the top of the file itself.
    pub(crate) fn at_top() -> Self {
        Self(UNSUPPORTED.iter().filter(|pattern| !pattern.contains('.')).map(|key| vec![*key]).collect())
    }

    /// A mistake for each such key in `node`.
    pub(crate) fn check(&self, node: &Node, mistakes: &mut Vec<Diagnostic>) {
        let patterns: Vec<&[&str]> = self.0.iter().map(Vec::as_slice).collect();
        walk(node, &patterns, mistakes);
    }
}

fn walk(node: &Node, patterns: &[&[&str]], mistakes: &mut Vec<Diagnostic>) {
    match &node.kind {
        Kind::Mapping(entries) => entries.iter().for_each(|entry| visit(entry, patterns, mistakes)),
        Kind::Sequence(items) => {
            let deeper = deeper(patterns, |part| part == "[]");
            if !deeper.is_empty() {
                for item in items {
                    walk(item, &deeper, mistakes);
                }
            }
        }
        Kind::Scalar(_) => {}
    }
}

fn visit(entry: &Entry, patterns: &[&[&str]], mistakes: &mut Vec<Diagnostic>) {
    if entry.value.is_null() {
        return;
    }
    let key = entry.key.text.as_str();
    let deeper = deeper(patterns, |part| part == "*" || part == key);
    if deeper.iter().any(|rest| rest.is_empty()) {
        mistakes.push(not_yet(key).at(super::place::Place { at: entry.key.at, via: entry.value.via }, "used here"));
    } else if !deeper.is_empty() {
        walk(&entry.value, &deeper, mistakes);
    }
}

fn deeper<'a>(patterns: &[&'a [&'a str]], fits: impl Fn(&str) -> bool) -> Vec<&'a [&'a str]> {
    let fitting = patterns.iter().filter(|pattern| pattern.first().is_some_and(|part| fits(part)));
    fitting.map(|pattern| &pattern[1..]).collect()
}

/// "`cloud_init` is not supported yet".
pub(crate) fn not_yet(thing: &str) -> Diagnostic {
    Diagnostic::error(format!("`{thing}` is not supported yet"))
        .hint("it is part of the language, but this version cannot carry it out; remove it for now")
}
