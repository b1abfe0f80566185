//! Keys of one mapping: none twice, and `<<` replaced by what it brings in.
//!
//! Owns these two rules. Knows nothing of where mappings come from.

use std::collections::HashSet;

use crate::compose::diagnostic::Diagnostic;
use crate::compose::node::{Entry, Kind, Node};

/// A mistake for each key that stands there a second time. The first one is kept, so that the rest can be looked at.
pub(super) fn duplicates(entries: &mut Vec<Entry>) -> Vec<Diagnostic> {
    let mistakes = repeated(entries);
    if !mistakes.is_empty() {
        let mut seen = HashSet::new();
        entries.retain(|entry| seen.insert(entry.key.text.clone()));
    }
    mistakes
}

/// Whether `<<` stands there several times.
pub(super) fn is_repeated(entries: &[Entry]) -> bool {
    entries.iter().filter(|entry| entry.key.text == "<<").count() > 1
}

fn repeated(entries: &[Entry]) -> Vec<Diagnostic> {
    if entries.len() <= 8 {
        // Most mappings are short: then comparing all with all is quicker than sorting.
        let earlier = |at: usize| entries[..at].iter().rev().find(|entry| entry.key.text == entries[at].key.text);
        return (1..entries.len()).filter_map(|at| Some(duplicate(earlier(at)?, &entries[at]))).collect();
    }
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|at| entries[*at].key.text.as_str());
    let twice = order.windows(2).filter(|pair| entries[pair[0]].key.text == entries[pair[1]].key.text);
    twice.map(|pair| duplicate(&entries[pair[0]], &entries[pair[1]])).collect()
}

fn duplicate(first: &Entry, second: &Entry) -> Diagnostic {
    let key = &second.key.text;
    let diagnostic = Diagnostic::error(format!("`{key}` is given twice"))
        .at(second.key.at, "given again here")
        .and(first.key.at, "first given here");
    if key == "<<" {
        return diagnostic.hint("merge several mappings with one list: `<<: [*first, *second]`");
    }
    diagnostic.hint("remove one of the two, or merge what they say")
}

/// Replaces `<<` by the entries of the mapping, or of the mappings in the list, that it names. What the mapping says
/// itself holds; of several, the earlier one does.
pub(super) fn merge(entries: &mut Vec<Entry>) -> Vec<Diagnostic> {
    let Some(at) = entries.iter().position(|entry| entry.key.text == "<<") else { return Vec::new() };
    let brought = entries.remove(at).value;
    let mut mistakes = Vec::new();
    let mut known: HashSet<String> = entries.iter().map(|entry| entry.key.text.clone()).collect();
    let mut merged = Vec::new();
    let via = brought.via;
    let sources = match brought.kind {
        Kind::Sequence(items) => items,
        kind => vec![Node { kind, ..brought }],
    };
    for source in sources {
        let via = source.via.or(via);
        let Kind::Mapping(inner) = source.kind else {
            mistakes.push(not_a_mapping(&source));
            continue;
        };
        for mut entry in inner {
            if known.insert(entry.key.text.clone()) {
                entry.value.via = entry.value.via.or(via);
                merged.push(entry);
            }
        }
    }
    entries.splice(at..at, merged);
    mistakes
}

fn not_a_mapping(node: &Node) -> Diagnostic {
    Diagnostic::error(format!("`<<` merges mappings, but this is {}", node.describe()))
        .at(node.place(), "not a mapping")
        .hint("write `<<: *anchor`, where `&anchor` stands before a mapping")
}
