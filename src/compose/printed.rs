//! The tree that `vmcompose config` prints: a file that means the same, wherever it is read again.
//!
//! Owns what has to be written otherwise than it was for that: names of several vms, relative paths, computed numbers,
//! and braces and dollars that are no templates and variables any more. Prints nothing.

use std::collections::BTreeMap;

use serde_yaml::Value;

use super::decode::At;
use super::expand::Draft;
use super::lower::{Instance, Scope, existing, network};
use super::node::{Entry, Key, Kind, Meaning, Node, Scalar, Style};
use super::template;
use super::{interpolate, secrets};

/// The tree of a whole project: what helped to make it is gone, and every vm is there under its own name.
pub(super) fn tree(mut root: Node, scope: &Scope<'_>, instances: Vec<Instance<Draft>>) -> Node {
    let at = root.at;
    let key = |text: &str| Key { text: text.to_owned(), at };
    let groups = groups(&instances);
    let images: Vec<String> =
        root.get("images").map_or(&[][..], Node::entries).iter().map(|image| image.key.text.clone()).collect();
    let vm = |Instance { name, group, spec: Draft { mut node, .. }, .. }: Instance<Draft>| {
        if let Kind::Mapping(entries) = &mut node.kind {
            for entry in entries.iter_mut().filter(|entry| entry.key.text == "depends_on") {
                depend_on_members(&mut entry.value, &groups, scope);
            }
            if let Some(group) = group {
                known_as(entries, group.as_str(), node.at);
            }
        }
        paths_of_vm(&mut node, scope, &images);
        Entry { key: key(name.as_str()), value: node }
    };
    let vms = instances.into_iter().map(vm).collect();
    if let Kind::Mapping(entries) = &mut root.kind {
        let helper = |key: &str| matches!(key, "name" | "include" | "vars") || key.starts_with("x-");
        entries.retain(|entry| !helper(&entry.key.text));
        entries.insert(0, Entry { key: key("name"), value: Node::text(scope.project.as_str(), at) });
        for entry in entries.iter_mut() {
            for Entry { value, .. } in each(&mut entry.value) {
                match entry.key.text.as_str() {
                    "images" => {
                        image(value, scope);
                        for key in ["source", "path"] {
                            with(value, key, |node| image(node, scope));
                        }
                    }
                    "secrets" => paths_of_secret(value, scope),
                    _ => {}
                }
            }
        }
        entries.push(Entry { key: key("vms"), value: Node::new(Kind::Mapping(vms), at) });
    }
    root
}

/// The tree as YAML.
pub(super) fn value(mut tree: Node) -> Value {
    typed(&mut tree);
    // In this order: what is put in for the sake of reading must not be taken apart again.
    template::escape(&mut tree);
    interpolate::escape(&mut tree);
    secrets::show(&mut tree);
    tree.to_value()
}

/// The vms that go by one name in the file.
fn groups(instances: &[Instance<Draft>]) -> BTreeMap<String, Vec<String>> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for instance in instances {
        if let Some(group) = &instance.group {
            groups.entry(group.to_string()).or_default().push(instance.name.to_string());
        }
    }
    groups
}

/// Names the members of a group one by one, and leaves out vms that are off and need not be there.
fn depend_on_members(node: &mut Node, groups: &BTreeMap<String, Vec<String>>, scope: &Scope<'_>) {
    let members = |name: &str| match groups.get(name) {
        Some(members) => members.clone(),
        None if scope.off.contains_key(name) => Vec::new(),
        None => vec![name.to_owned()],
    };
    match &mut node.kind {
        Kind::Scalar(_) => {}
        Kind::Sequence(items) => {
            let names = items.iter().flat_map(|item| {
                let named = |name| Node { at: item.at, via: item.via, ..Node::text(name, item.at) };
                members(item.as_text().unwrap_or_default()).into_iter().map(named)
            });
            *items = names.collect();
        }
        Kind::Mapping(entries) => {
            let all = entries.iter().flat_map(|entry| {
                let named = |text| Entry { key: Key { text, at: entry.key.at }, value: entry.value.clone() };
                members(&entry.key.text).into_iter().map(named)
            });
            *entries = all.collect();
        }
    }
}

/// Lets a vm go by the name of its group on its networks, as it did.
fn known_as(vm: &mut Vec<Entry>, group: &str, at: super::place::Extent) {
    // A machine that somebody else made is on none of the project's networks.
    if vm.iter().any(|entry| entry.key.text == "boot" && existing::is_meant(&entry.value)) {
        return;
    }
    let key = |text: &str| Key { text: text.to_owned(), at };
    let mapping = |entries| Node::new(Kind::Mapping(entries), at);
    let given = vm.iter().any(|entry| entry.key.text == "networks" && !entry.value.is_null());
    if !given {
        vm.retain(|entry| entry.key.text != "networks");
        let default = Entry { key: key(network::IMPLICIT), value: mapping(Vec::new()) };
        vm.push(Entry { key: key("networks"), value: mapping(vec![default]) });
    }
    let Some(networks) = vm.iter_mut().find(|entry| entry.key.text == "networks") else { return };
    if let Kind::Sequence(names) = &networks.value.kind {
        let named = |name: &Node| Entry { key: key(name.as_text().unwrap_or_default()), value: mapping(Vec::new()) };
        networks.value = mapping(names.iter().map(named).collect());
    }
    for Entry { value, .. } in each(&mut networks.value) {
        if value.is_null() {
            *value = mapping(Vec::new());
        }
        let alias = Node::text(group, at);
        let Kind::Mapping(own) = &mut value.kind else { continue };
        let given = own.iter_mut().find(|entry| entry.key.text == "aliases").map(|entry| &mut entry.value.kind);
        if let Some(Kind::Sequence(aliases)) = given {
            aliases.insert(0, alias);
        } else {
            own.retain(|entry| entry.key.text != "aliases");
            own.push(Entry { key: key("aliases"), value: Node::new(Kind::Sequence(vec![alias]), at) });
        }
    }
}

/// Relative paths begin at the folder of the file they stand in, which a reader of the printed one does not know.
fn paths_of_vm(vm: &mut Node, scope: &Scope<'_>, images: &[String]) {
    with(vm, "image", |node| {
        if !images.iter().any(|name| node.as_text() == Some(name)) {
            image(node, scope);
        }
    });
    with(vm, "boot", |boot| {
        for key in ["kernel", "initrd", "cdrom"] {
            with(boot, key, |node| image(node, scope));
        }
    });
    with(vm, "healthcheck", |check| {
        path_of_authorities(check, scope);
        with(check, "probes", |probes| {
            if let Kind::Sequence(probes) = &mut probes.kind {
                for probe in probes {
                    path_of_authorities(probe, scope);
                }
            }
        });
    });
    with(vm, "shares", |shares| {
        let Kind::Sequence(shares) = &mut shares.kind else { return };
        for share in shares {
            match share.as_text().and_then(|text| text.split_once(':')) {
                Some((source, rest)) => {
                    let text = format!("{}:{rest}", absolute(source, share, scope));
                    set(share, text);
                }
                None => with(share, "source", |node| path(node, scope)),
            }
        }
    });
}

fn path_of_authorities(check: &mut Node, scope: &Scope<'_>) {
    with(check, "http", |http| with(http, "tls", |tls| with(tls, "ca", |node| path(node, scope))));
}

fn paths_of_secret(secret: &mut Node, scope: &Scope<'_>) {
    with(secret, "file", |node| path(node, scope));
    with(secret, "sops", |sops| match sops.kind {
        Kind::Scalar(_) => path(sops, scope),
        _ => with(sops, "file", |node| path(node, scope)),
    });
}

/// What may be a path, or a URL, a volume of a pool, or a name.
fn image(node: &mut Node, scope: &Scope<'_>) {
    if node.as_text().is_some_and(super::lower::is_path) {
        path(node, scope);
    }
}

fn path(node: &mut Node, scope: &Scope<'_>) {
    if let Some(text) = node.as_text() {
        let text = absolute(text, node, scope);
        set(node, text);
    }
}

fn absolute(text: &str, node: &Node, scope: &Scope<'_>) -> String {
    scope.path(&At { value: text.to_owned(), place: node.place() }).to_string_lossy().into_owned()
}

fn set(node: &mut Node, text: String) {
    if let Kind::Scalar(scalar) = &mut node.kind {
        (scalar.text, scalar.style) = (text, Style::Text);
    }
}

/// Keys whose values are the user's own, in which a number and a text of digits are two things.
const UNTYPED: [&str; 3] = ["config", "meta_data", "ignition"];

/// What interpolation and templates made of a quoted text counts by what it looks like, and is printed so.
fn typed(node: &mut Node) {
    match &mut node.kind {
        Kind::Scalar(scalar) => {
            if scalar.computed && scalar.style == Style::Text && is_canonical(scalar) {
                scalar.style = Style::Plain;
            }
        }
        Kind::Sequence(items) => items.iter_mut().for_each(typed),
        Kind::Mapping(entries) => {
            entries.iter_mut().filter(|entry| !UNTYPED.contains(&entry.key.text.as_str())).for_each(|entry| {
                typed(&mut entry.value);
            });
        }
    }
}

/// Whether nothing of the text is lost when it is written as a number or a truth value: `010` and `1.10` are texts.
fn is_canonical(scalar: &Scalar) -> bool {
    match scalar.plain_meaning() {
        Meaning::Int(number) => number.to_string() == scalar.text,
        Meaning::Bool(truth) => truth.to_string() == scalar.text,
        Meaning::Float(number) => number.to_string() == scalar.text,
        Meaning::Null | Meaning::Text(_) => false,
    }
}

fn each(node: &mut Node) -> &mut [Entry] {
    if let Kind::Mapping(entries) = &mut node.kind { entries } else { &mut [] }
}

/// Does something with the value of a key, where there is one.
fn with(node: &mut Node, key: &str, change: impl FnOnce(&mut Node)) {
    if let Some(entry) = each(node).iter_mut().find(|entry| entry.key.text == key) {
        change(&mut entry.value);
    }
}
