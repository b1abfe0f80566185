//! `extends`: a vm that takes over the keys of another, of the same file or of one that is named.
//!
//! Owns the order in which they are resolved, and the chains that never end. Reads no files: they were gathered.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::decode::{At, decode};
use super::diagnostic::Diagnostic;
use super::merge;
use super::node::{Entry, Kind, Node};
use super::place::Place;
use super::schema::vm::{Extends, LongExtends};
use super::suggest;
use super::template::is_template;

/// How long a chain of vms that extend one another may be.
const DEPTH: usize = 64;

/// Documents that extend one another's vms.
#[derive(Default)]
pub(crate) struct Library {
    documents: Vec<Document>,
    /// Documents by file, for `extends: {file: …}`.
    files: BTreeMap<PathBuf, usize>,
}

struct Document {
    root: Node,
    index: HashMap<String, usize>,
    state: Vec<State>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Untouched,
    Open,
    Done,
}

/// A step of a chain: who extends, and where that is written.
type Chain = Vec<(String, Place)>;

impl Library {
    /// Takes a document in. `file` is given for those that others may name.
    pub(crate) fn add(&mut self, root: Node, file: Option<PathBuf>) -> usize {
        let vms = root.get("vms").map_or(&[][..], Node::entries);
        // Most files extend nothing; then nothing is looked up either.
        let needed = file.is_some() || vms.iter().any(|entry| entry.value.get("extends").is_some());
        let named = vms.iter().enumerate().filter(|_| needed);
        let index = named.map(|(at, entry)| (entry.key.text.clone(), at)).collect();
        let state = vec![State::Untouched; if needed { vms.len() } else { 0 }];
        self.documents.push(Document { root, index, state });
        let number = self.documents.len() - 1;
        if let Some(file) = file {
            self.files.insert(file, number);
        }
        number
    }

    /// Resolves all of a document and hands it out. Others can no longer extend it, so it must not be one with a name.
    pub(crate) fn resolved(
        &mut self,
        document: usize,
        path: &dyn Fn(&At<String>) -> PathBuf,
        mistakes: &mut Vec<Diagnostic>,
    ) -> Node {
        for vm in 0..self.documents[document].state.len() {
            self.resolve(document, vm, path, &mut Chain::new(), mistakes);
        }
        let at = self.documents[document].root.at;
        std::mem::replace(&mut self.documents[document].root, Node::null(at))
    }

    fn entry(&mut self, document: usize, vm: usize) -> Option<&mut Entry> {
        let Kind::Mapping(top) = &mut self.documents[document].root.kind else { return None };
        let vms = top.iter_mut().find(|entry| entry.key.text == "vms")?;
        let Kind::Mapping(entries) = &mut vms.value.kind else { return None };
        entries.get_mut(vm)
    }

    fn resolve(
        &mut self,
        document: usize,
        vm: usize,
        path: &dyn Fn(&At<String>) -> PathBuf,
        chain: &mut Chain,
        mistakes: &mut Vec<Diagnostic>,
    ) {
        match self.documents[document].state[vm] {
            State::Done => return,
            State::Open => {
                mistakes.push(cycle(chain));
                return;
            }
            State::Untouched => self.documents[document].state[vm] = State::Open,
        }
        // The key stays until it has been followed: so a vm that lacks things for its sake can be told.
        let wish = self.entry(document, vm).and_then(|entry| {
            let name = entry.key.text.clone();
            let extends = entry.value.get("extends").filter(|extends| !extends.is_null())?;
            let Extends(long) = decode(extends, &format!("vms.{name}.extends"), mistakes)?;
            Some((name, long))
        });
        if let Some((name, long)) = wish
            && let Some((other, base)) = self.find(document, &long, path, mistakes)
        {
            chain.push((name, long.vm.place));
            if chain.len() > DEPTH {
                let long_chain = Diagnostic::error(format!("more than {DEPTH} vms extend one another in a chain"));
                mistakes.push(long_chain.at(long.vm.place, "the limit is reached here"));
            } else {
                self.resolve(other, base, path, chain, mistakes);
                self.lay_over(document, vm, other, base, mistakes);
            }
            chain.pop();
        }
        self.documents[document].state[vm] = State::Done;
    }

    /// Puts the keys of the base under those of the vm.
    fn lay_over(&mut self, document: usize, vm: usize, other: usize, base: usize, mistakes: &mut Vec<Diagnostic>) {
        let Some(base) = self.entry(other, base).map(|entry| entry.value.clone()) else { return };
        let Some(entry) = self.entry(document, vm) else { return };
        let at = entry.value.at;
        entry.value.remove("extends");
        let own = std::mem::replace(&mut entry.value, Node::null(at));
        let mut merged = base;
        merge::vm(&mut merged, own, mistakes);
        entry.value = merged;
    }

    /// The vm that is extended.
    fn find(
        &self,
        document: usize,
        wish: &LongExtends,
        path: &dyn Fn(&At<String>) -> PathBuf,
        mistakes: &mut Vec<Diagnostic>,
    ) -> Option<(usize, usize)> {
        if is_template(&wish.vm) {
            mistakes.push(
                Diagnostic::error("`extends` cannot be a template: vms are put together before templates are rendered")
                    .at(wish.vm.place, "a template")
                    .hint("`${VARIABLE}` works here")
                    .alone_at_its_place(),
            );
            return None;
        }
        let other = match &wish.file {
            None => document,
            // A file that is not there was reported when the files were gathered.
            Some(file) => *self.files.get(&normal(&path(file)))?,
        };
        let index = &self.documents[other].index;
        let found = index.get(wish.vm.as_str());
        if found.is_none() {
            let place = if wish.file.is_some() { "in that file" } else { "in this file" };
            mistakes.push(
                Diagnostic::error(format!("no vm `{}` to extend {place}", wish.vm.value))
                    .at(wish.vm.place, "not found")
                    .maybe_hint(suggest::did_you_mean(&wish.vm, index.keys().map(String::as_str)))
                    .maybe_hint(
                        wish.file.is_none().then(|| {
                            "a vm of another file is extended with `extends: {vm: NAME, file: PATH}`".to_owned()
                        }),
                    ),
            );
        }
        found.map(|vm| (other, *vm))
    }
}

/// A path without `.` parts, so that the same file has the same one.
pub(crate) fn normal(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != std::path::Component::CurDir).collect()
}

fn cycle(chain: &Chain) -> Diagnostic {
    let names: Vec<String> = chain.iter().map(|(name, _)| format!("`{name}`")).collect();
    let text = format!("vms extend one another in a circle: {}", names.join(", which extends "));
    let mut diagnostic = Diagnostic::error(text);
    for (at, (name, place)) in chain.iter().enumerate() {
        let label = format!("`{name}` extends this one");
        diagnostic = if at == 0 { diagnostic.at(*place, label) } else { diagnostic.and(*place, label) };
    }
    diagnostic
}
