//! Many files to one tree: variables put in, vms extended, files merged, includes taken in, defaults applied.
//!
//! Owns the order of these, which is Compose's: interpolation and `extends` file by file, then merging, then includes.
//! Knows nothing of templates or of what keys mean.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::decode::At;
use super::diagnostic::Diagnostic;
use super::extends::{Library, normal};
use super::interpolate::Interpolation;
use super::lower::existing;
use super::node::{Entry, Key, Kind, Node, Tag};
use super::place::Place;
use super::source::{Layer, Sources, Unit};
use super::{merge, top};

/// Kinds of resources: names in one of these are the project's, whichever file they come from.
const KINDS: [&str; 5] = ["vms", "networks", "volumes", "images", "secrets"];

/// The whole project as one tree.
pub(crate) fn assemble(
    sources: &Sources,
    mistakes: &mut Vec<Diagnostic>,
    warnings: &mut Vec<Diagnostic>,
) -> Option<Node> {
    let mut assembly = Assembly { sources, warned: BTreeSet::new(), mistakes, warnings };
    assembly.unit(&sources.root)
}

struct Assembly<'a> {
    sources: &'a Sources,
    warned: BTreeSet<String>,
    mistakes: &'a mut Vec<Diagnostic>,
    warnings: &'a mut Vec<Diagnostic>,
}

impl Assembly<'_> {
    fn unit(&mut self, unit: &Unit) -> Option<Node> {
        let mut library = self.library();
        let mut whole: Option<Node> = None;
        for document in unit.layers.iter().flat_map(|layer| self.documents(layer)).collect::<Vec<_>>() {
            let number = library.add(document, None);
            let path = |text: &At<String>| path(self.sources, text);
            let document = library.resolved(number, &path, self.mistakes);
            match &mut whole {
                None => whole = Some(document),
                Some(whole) if is_mapping(whole) && is_mapping(&document) => {
                    merge::files(whole, document, self.mistakes);
                }
                Some(whole) if is_mapping(&document) => *whole = document,
                Some(_) if document.is_null() => {}
                Some(_) => self.mistakes.push(
                    Diagnostic::error(format!("a compose file must be a mapping, not {}", document.describe()))
                        .at(document.place(), "expected `vms:` and other keys"),
                ),
            }
        }
        let mut whole = whole?;
        self.apply_defaults(&mut whole);
        merge::strip(&mut whole);
        for include in &unit.includes {
            if let Some(included) = self.unit(include) {
                self.take_in(&mut whole, included);
            }
        }
        Some(whole)
    }

    /// The documents of a file with variables put in.
    fn documents(&mut self, layer: &Layer) -> Vec<Node> {
        let mut documents = layer.documents.clone();
        for document in &mut documents {
            let mut interpolation = Interpolation {
                texts: &self.sources.texts,
                environment: &layer.environment,
                warned: &mut self.warned,
                mistakes: self.mistakes,
                warnings: self.warnings,
            };
            interpolation.document(document);
            top::unknown_keys(document, self.mistakes);
        }
        documents
    }

    fn library(&mut self) -> Library {
        let mut library = Library::default();
        for (path, layer) in &self.sources.bases {
            for document in self.documents(layer) {
                library.add(document, Some(path.clone()));
            }
        }
        library
    }

    /// Lays every vm over the defaults of its own files. They are of vms that are made here: what somebody else made has all
    /// of its own.
    fn apply_defaults(&mut self, whole: &mut Node) {
        let Some(Entry { value: defaults, .. }) = whole.remove("defaults") else { return };
        if defaults.is_null() {
            return;
        }
        let wrong = ["extends", "replicas", "for_each"].into_iter().filter_map(|key| {
            let entry = defaults.entries().iter().find(|entry| entry.key.text == key)?;
            let own = Diagnostic::error(format!("`{key}` cannot be a default"));
            Some(own.at(entry.key.at, "each vm says this for itself"))
        });
        self.mistakes.extend(wrong);
        if !is_mapping(&defaults) {
            let not = Diagnostic::error(format!("`defaults` must be a mapping, not {}", defaults.describe()));
            self.mistakes.push(not.at(defaults.place(), "expected keys of a vm"));
            return;
        }
        for entry in entries_mut(whole, "vms") {
            let at = entry.value.at;
            let own = std::mem::replace(&mut entry.value, Node::null(at));
            let existing = own.get("boot").is_some_and(existing::is_meant);
            if existing || !is_mapping(&own) && !own.is_null() {
                entry.value = own;
                continue;
            }
            let mut merged = defaults.clone();
            if own.is_null() && own.tag == Tag::None {
                (merged.at, merged.via) = (own.at, own.via);
            } else {
                merge::vm(&mut merged, own, self.mistakes);
            }
            entry.value = merged;
        }
    }

    /// Takes the resources of an included file in. A name that both have is a mistake: includes are not merged.
    fn take_in(&mut self, whole: &mut Node, included: Node) {
        let Kind::Mapping(top) = included.kind else { return };
        for Entry { key, value } in top {
            if key.text == "vars" {
                self.take_in_vars(whole, key, value);
            } else if KINDS.contains(&key.text.as_str()) {
                self.take_in_kind(whole, key, value);
            }
        }
    }

    /// Values of the including file hold.
    fn take_in_vars(&mut self, whole: &mut Node, key: Key, value: Node) {
        let mut vars = Node::new(Kind::Mapping(vec![Entry { key, value }]), whole.at);
        if let Some(own) = whole.remove("vars") {
            merge::files(&mut vars, Node::new(Kind::Mapping(vec![own]), whole.at), self.mistakes);
        }
        if let (Kind::Mapping(into), Kind::Mapping(vars)) = (&mut whole.kind, vars.kind) {
            into.extend(vars);
        }
    }

    fn take_in_kind(&mut self, whole: &mut Node, key: Key, value: Node) {
        let Kind::Mapping(new) = value.kind else { return };
        if whole.get(&key.text).is_none_or(Node::is_null) {
            whole.remove(&key.text);
            let empty = Node::new(Kind::Mapping(Vec::new()), value.at);
            if let Kind::Mapping(top) = &mut whole.kind {
                top.push(Entry { key: key.clone(), value: empty });
            }
        }
        let kind = key.text;
        let own: HashMap<&str, Place> = whole
            .get(&kind)
            .map_or(&[][..], Node::entries)
            .iter()
            .map(|entry| (entry.key.text.as_str(), entry.key.at.into()))
            .collect();
        let singular = kind.trim_end_matches('s');
        for entry in &new {
            if let Some(first) = own.get(entry.key.text.as_str()) {
                self.mistakes.push(
                    Diagnostic::error(format!(
                        "{singular} `{}` is in this file and in one it includes",
                        entry.key.text
                    ))
                    .at(*first, "here")
                    .and(entry.key.at, "and in the included file")
                    .hint(
                        "rename one; to change an included file, merge over it: `include: [{path: [a.yaml, b.yaml]}]`",
                    ),
                );
            }
        }
        if let Some(Kind::Mapping(into)) = value_mut(whole, &kind).map(|node| &mut node.kind) {
            into.extend(new);
        }
    }
}

fn value_mut<'a>(node: &'a mut Node, key: &str) -> Option<&'a mut Node> {
    let Kind::Mapping(entries) = &mut node.kind else { return None };
    entries.iter_mut().find(|entry| entry.key.text == key).map(|entry| &mut entry.value)
}

fn entries_mut<'a>(node: &'a mut Node, key: &str) -> &'a mut [Entry] {
    match value_mut(node, key).map(|node| &mut node.kind) {
        Some(Kind::Mapping(entries)) => entries,
        _ => &mut [],
    }
}

fn is_mapping(node: &Node) -> bool {
    matches!(node.kind, Kind::Mapping(_))
}

/// The path that a text names, relative to the folder of the file it stands in.
pub(crate) fn path(sources: &Sources, text: &At<String>) -> PathBuf {
    let folder = sources.directories.get(usize::from(text.place.at.file.0)).map_or(Path::new(""), PathBuf::as_path);
    normal(&folder.join(&text.value))
}
