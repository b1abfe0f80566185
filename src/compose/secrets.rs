//! Secrets in the tree: where a template may name one, and how a reference to one is printed.
//!
//! Owns the list of places whose text ends on a seed and nowhere else. Knows no values: nothing here does.

use super::node::{Kind, Node};
use crate::model::secret;

/// For whoever named one elsewhere.
pub(crate) const WHERE: &str = "within `cloud_init` they can stand in `user_data`, `parts`, `runcmd`, `config`, the \
     `content` of `write_files` and the `password_hash` of `users`";

/// The places of a vm where a template may name secrets. Not where every boot looks again (`bootcmd`): they are gone then.
pub(crate) fn places(vm: &mut Node) -> Vec<&mut Node> {
    let mut found = Vec::new();
    for entry in entries(vm).filter(|(key, _)| *key == "cloud_init").flat_map(|(_, node)| entries(node)) {
        match entry {
            ("user_data" | "parts" | "runcmd" | "config", node) => found.push(node),
            ("write_files", node) => found.extend(within(node, "content")),
            ("users", node) => found.extend(within(node, "password_hash")),
            _ => {}
        }
    }
    found
}

fn entries(node: &mut Node) -> impl Iterator<Item = (&str, &mut Node)> {
    let entries = if let Kind::Mapping(entries) = &mut node.kind { entries.as_mut_slice() } else { &mut [] };
    entries.iter_mut().map(|entry| (entry.key.text.as_str(), &mut entry.value))
}

/// One key of each item of a list.
fn within<'a>(list: &'a mut Node, wanted: &'a str) -> impl Iterator<Item = &'a mut Node> {
    let items = if let Kind::Sequence(items) = &mut list.kind { items.as_mut_slice() } else { &mut [] };
    items.iter_mut().flat_map(entries).filter(move |(key, _)| *key == wanted).map(|(_, node)| node)
}

/// Puts templates where references are, so that the tree can be read again.
pub(crate) fn show(node: &mut Node) {
    match &mut node.kind {
        Kind::Scalar(scalar) => scalar.text = secret::shown(&scalar.text),
        Kind::Sequence(items) => items.iter_mut().for_each(show),
        Kind::Mapping(entries) => entries.iter_mut().for_each(|entry| show(&mut entry.value)),
    }
}
