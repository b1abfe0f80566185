//! The top of the file: which keys may stand there, and what is rendered before the vms.
//!
//! Owns what concerns the file as a whole. Knows nothing of single resources.

use super::decode::{decode, keys, unknown_key};
use super::diagnostic::Diagnostic;
use super::lower::Off;
use super::node::{Kind, Node};
use super::place::{Extent, FileId, Place};
use super::schema::File;
use super::schema::resource::Include;
use super::source::{Request, Sources};
use super::template::Templates;
use super::template::context::Shared;

/// The variable that names active profiles, separated by commas.
const PROFILES: &str = "VMCOMPOSE_PROFILES";

/// The active profiles.
pub(super) fn profiles(request: &Request, environment: &std::collections::BTreeMap<String, String>) -> Vec<String> {
    if !request.profiles.is_empty() {
        return request.profiles.clone();
    }
    let set = environment.get(PROFILES).map_or("", String::as_str);
    set.split(',').map(str::trim).filter(|profile| !profile.is_empty()).map(str::to_owned).collect()
}

/// Checks the values at the top. Returns whether the rest is worth looking at.
pub(super) fn check(root: &Node, mistakes: &mut Vec<Diagnostic>) -> bool {
    if !matches!(root.kind, Kind::Mapping(_)) {
        let not = Diagnostic::error(format!("a compose file must be a mapping, not {}", root.describe()));
        mistakes.push(not.at(root.place(), "expected `vms:` and other keys"));
        return false;
    }
    for kind in ["vms", "vars"] {
        let Some(node) = root.get(kind).filter(|node| !node.is_null()) else { continue };
        if !matches!(node.kind, Kind::Mapping(_)) {
            let not = Diagnostic::error(format!("`{kind}` must be a mapping, not {}", node.describe()));
            mistakes.push(not.at(node.place(), "expected names, each with a value"));
        }
    }
    if let Some(include) = root.get("include").filter(|node| !node.is_null()) {
        decode::<Vec<Include>>(include, "include", mistakes);
    }
    true
}

/// Keys at the top of one file that the language does not have.
pub(super) fn unknown_keys(document: &Node, mistakes: &mut Vec<Diagnostic>) {
    let known = keys::<File>();
    for entry in document.entries() {
        let key = entry.key.text.as_str();
        if !key.starts_with("x-") && !known.contains(&key) {
            mistakes.push(unknown_key(key, key, known, Place { at: entry.key.at, via: entry.value.via }));
        }
    }
}

/// Renders what stands at the top, but for vms, which see more, and what only helps to write the file.
pub(super) fn render(root: &mut Node, shared: &Shared, templates: &mut Templates<'_>, mistakes: &mut Vec<Diagnostic>) {
    let context = shared.context();
    let Kind::Mapping(entries) = &mut root.kind else { return };
    for entry in entries {
        let key = entry.key.text.as_str();
        if !matches!(key, "vms" | "vars" | "include" | "name") && !key.starts_with("x-") {
            templates.render(&mut entry.value, &context, mistakes);
            templates.finish(&mut entry.value, &context, mistakes);
        }
    }
}

/// Takes the vms out of the tree, so that they can be taken apart without copies.
pub(super) fn take_vms(root: &mut Node) -> Option<Node> {
    root.remove("vms").map(|entry| entry.value)
}

/// A file with nothing in it.
pub(super) fn empty(sources: &Sources) -> Diagnostic {
    let start = Extent { file: FileId(0), start: 0, end: 0 };
    let empty = Diagnostic::error("the file is empty").hint("a compose file describes at least one vm under `vms`");
    if sources.texts.text(FileId(0)).is_empty() { empty } else { empty.at(start, "nothing but comments") }
}

/// A file that makes no vm.
pub(super) fn no_vms(place: Place, off: &Off) -> Diagnostic {
    if let Some(absent) = off.values().next() {
        return Diagnostic::error("all vms of the file are off")
            .at(absent.place, absent.reason.clone())
            .hint("turn one on, for instance with `--profile NAME`");
    }
    Diagnostic::error("the file has no vms").at(place, "nothing to do").hint("describe at least one vm under `vms`")
}
