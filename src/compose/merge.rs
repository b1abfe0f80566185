//! One tree laid over another: several files, `extends`, `defaults`.
//!
//! Owns Compose's rules (chapter "Merge" of its specification): mappings merge key by key, lists are appended, scalars and
//! commands replaced; names in lists and mappings are the same thing; what must be unique is merged by what makes it
//! unique; `!reset` takes away, `!override` replaces. Knows nothing of files.

use std::collections::HashMap;

use super::diagnostic::Diagnostic;
use super::node::{Entry, Key, Kind, Node, Tag};
use super::place::Place;

/// How a value is merged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    Root,
    Vms,
    Vars,
    Vm,
    Healthcheck,
    /// A list of names, or a mapping by name.
    Names,
    /// A list of `key=value`, or a mapping.
    Labels,
    CloudInit,
    Disks,
    Disk,
    Shares,
    Users,
    /// A list without repetitions.
    Unique,
    Replace,
    Deep,
}

impl Rule {
    fn below(self, key: &str) -> Self {
        match (self, key) {
            (Self::Root, key) if key.starts_with("x-") => Self::Replace,
            (Self::Root, "vms") => Self::Vms,
            (Self::Root, "vars") => Self::Vars,
            (Self::Root, "defaults") | (Self::Vms, _) => Self::Vm,
            (Self::Root, "include")
            | (Self::Vars, _)
            | (Self::Vm, "for_each")
            | (Self::Healthcheck, "exec" | "probes") => Self::Replace,
            (Self::Vm, "labels" | "annotations") | (Self::Deep, "labels") => Self::Labels,
            (Self::Vm, "depends_on" | "networks") => Self::Names,
            (Self::Vm, "healthcheck") => Self::Healthcheck,
            (Self::Vm, "disks") => Self::Disks,
            (Self::Vm, "shares") => Self::Shares,
            (Self::Vm, "cloud_init") => Self::CloudInit,
            (Self::CloudInit, "users") => Self::Users,
            (Self::Vm, "ports" | "profiles") | (Self::CloudInit, "packages") => Self::Unique,
            _ => Self::Deep,
        }
    }
}

/// Lays a whole file over another.
pub(crate) fn files(base: &mut Node, over: Node, mistakes: &mut Vec<Diagnostic>) {
    node(base, over, Rule::Root, mistakes);
}

/// Lays a vm over the one it extends, or over the defaults.
pub(crate) fn vm(base: &mut Node, over: Node, mistakes: &mut Vec<Diagnostic>) {
    let own = over.place();
    node(base, over, Rule::Vm, mistakes);
    (base.at, base.via) = (own.at, own.via);
}

/// Takes out what `!reset` left, once nothing more is laid over.
pub(crate) fn strip(node: &mut Node) {
    node.tag = Tag::None;
    match &mut node.kind {
        Kind::Scalar(_) => {}
        Kind::Sequence(items) => {
            items.retain(|item| item.tag != Tag::Reset);
            items.iter_mut().for_each(strip);
        }
        Kind::Mapping(entries) => {
            entries.retain(|entry| entry.value.tag != Tag::Reset);
            for entry in entries {
                strip(&mut entry.value);
            }
        }
    }
}

fn node(base: &mut Node, over: Node, rule: Rule, mistakes: &mut Vec<Diagnostic>) {
    // `vms: {web: }` says nothing about web; `memory: ` says that there is none.
    if over.is_null() && !matches!(base.kind, Kind::Scalar(_)) && over.tag == Tag::None {
        return;
    }
    if over.tag == Tag::Override || rule == Rule::Replace || base.is_null() {
        *base = over;
        return;
    }
    let over = alike(base, over, rule);
    let (base_place, over_place) = (base.place(), over.place());
    match (&mut base.kind, over.kind) {
        (Kind::Mapping(entries), Kind::Mapping(new)) => {
            alternatives(entries, &new, rule);
            merge_entries(entries, new, rule, mistakes);
        }
        (Kind::Sequence(items), Kind::Sequence(new)) => merge_items(items, new, rule, mistakes),
        (Kind::Mapping(_), Kind::Sequence(_)) | (Kind::Sequence(_), Kind::Mapping(_)) => {
            mistakes.push(unlike(base_place, over_place));
        }
        // A short form and a long one, or two scalars: the later one holds.
        (_, kind) => *base = Node { kind, at: over.at, via: over.via, tag: over.tag },
    }
}

fn unlike(base: Place, over: Place) -> Diagnostic {
    Diagnostic::error("a list and a mapping cannot be merged")
        .at(over, "merged over")
        .and(base, "this one")
        .hint("write both in the same form, or put `!override` before the second")
}

fn merge_entries(base: &mut Vec<Entry>, new: Vec<Entry>, rule: Rule, mistakes: &mut Vec<Diagnostic>) {
    // Files have thousands of vms: those are looked up, not searched for.
    let index: HashMap<String, usize> = if base.len() * new.len() > 256 {
        base.iter().enumerate().map(|(at, entry)| (entry.key.text.clone(), at)).collect()
    } else {
        HashMap::new()
    };
    let mut gone = Vec::new();
    let before = base.len();
    for entry in new {
        let key = &entry.key.text;
        let found = if index.is_empty() {
            base[..before].iter().position(|old| old.key.text == *key)
        } else {
            index.get(key).copied()
        };
        match found {
            None => base.push(entry),
            Some(at) if entry.value.tag == Tag::Reset => gone.push(at),
            Some(at) => {
                let rule = rule.below(key);
                node(&mut base[at].value, entry.value, rule, mistakes);
            }
        }
    }
    gone.sort_unstable();
    for at in gone.into_iter().rev() {
        base.remove(at);
    }
}

fn merge_items(base: &mut Vec<Node>, new: Vec<Node>, rule: Rule, mistakes: &mut Vec<Diagnostic>) {
    for item in new {
        let same = match rule {
            Rule::Disks => ["volume", "name", "mount"].iter().find_map(|key| same(base, &item, |disk| text(disk, key))),
            Rule::Users => same(base, &item, |user| text(user, "name")),
            Rule::Shares => same(base, &item, target),
            Rule::Unique => {
                let text = item.as_text();
                base.iter().position(|old| text.is_some() && old.as_text() == text)
            }
            _ => None,
        };
        match same {
            Some(at) => node(&mut base[at], item, if rule == Rule::Disks { Rule::Disk } else { Rule::Deep }, mistakes),
            None => base.push(item),
        }
    }
}

/// Which of `base` has what makes an item unique.
fn same<'a>(base: &'a [Node], item: &'a Node, identity: impl Fn(&'a Node) -> Option<&'a str>) -> Option<usize> {
    let own = identity(item)?;
    base.iter().position(|old| identity(old) == Some(own))
}

fn text<'a>(item: &'a Node, key: &str) -> Option<&'a str> {
    item.get(key).and_then(Node::as_text)
}

/// Where a share is in the guest: `SOURCE:TARGET`, with `:ro` behind it perhaps, or the long form's key.
fn target(share: &Node) -> Option<&str> {
    let target = match share.as_text() {
        Some(text) => text.split(':').nth(1),
        None => text(share, "target"),
    };
    target.map(|target| target.trim_end_matches('/'))
}

/// Keys of which a later one takes the place of the others: a vm starts from an image or a kernel, and a healthcheck
/// has one probe or a list.
fn alternatives(base: &mut Vec<Entry>, new: &[Entry], rule: Rule) {
    let written = |key: &str| new.iter().any(|entry| entry.key.text == key && !entry.value.is_null());
    let group: &[&str] = match rule {
        // A disk is a volume, or the vm's own with a size and perhaps a name.
        Rule::Disk if written("volume") => &["volume", "size", "name"],
        Rule::Disk => {
            base.retain(|entry| entry.key.text != "volume" || !(written("size") || written("name")));
            return;
        }
        Rule::Vm => &["image", "boot"],
        Rule::Healthcheck => &["tcp", "http", "agent", "exec", "ssh", "cloud_init", "console", "host", "probes"],
        _ => return,
    };
    if group.iter().any(|key| written(key)) {
        base.retain(|entry| !group.contains(&entry.key.text.as_str()) || written(&entry.key.text));
    }
}

/// Brings a list and a mapping that mean the same into one form: the mapping.
fn alike(base: &mut Node, over: Node, rule: Rule) -> Node {
    let form: fn(Node) -> Entry = match rule {
        Rule::Names => |item| {
            let at = item.at;
            let text = item.as_text().unwrap_or("").to_owned();
            Entry { key: Key { text, at }, value: Node { via: item.via, ..Node::null(at) } }
        },
        Rule::Labels => |item| {
            let at = item.at;
            let text = item.as_text().unwrap_or("");
            let (key, value) = text.split_once('=').unwrap_or((text, ""));
            let value = Node { via: item.via, ..Node::text(value, at) };
            Entry { key: Key { text: key.to_owned(), at }, value }
        },
        _ => return over,
    };
    let scalars = |node: &Node| node.items().iter().all(|item| item.as_text().is_some());
    let convert = |mut node: Node| {
        if scalars(&node)
            && let Kind::Sequence(items) = node.kind
        {
            node.kind = Kind::Mapping(items.into_iter().map(form).collect());
        }
        node
    };
    let placeholder = Node::null(base.at);
    *base = convert(std::mem::replace(base, placeholder));
    convert(over)
}
