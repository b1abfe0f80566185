//! Keys that the language has and this version does not carry out yet.
//!
//! Owns the one table of them. A key leaves it in the change that makes it work. Knows nothing of values.

use super::diagnostic::Diagnostic;
use super::node::{Entry, Kind, Node};

/// Paths of keys from the top of the file; `*` stands for any key, `[]` for the items of a list.
const UNSUPPORTED: &[&str] = &[
    "secrets",
    "limits",
    "images.*.format",
    "networks.*.bridge",
    "networks.*.subnet6",
    "networks.*.mtu",
    "networks.*.vlan",
    "networks.*.domain",
    "networks.*.dhcp",
    "networks.*.dns",
    "networks.*.routes",
    "volumes.*.shared",
    "volumes.*.pool",
    "volumes.*.labels",
    "vms.*.cpu",
    "vms.*.machine",
    "vms.*.firmware",
    "vms.*.secure_boot",
    "vms.*.tpm",
    "vms.*.shares",
    "vms.*.ports",
    "vms.*.restart",
    "vms.*.cloud_init",
    "vms.*.ignition",
    "vms.*.provision",
    "vms.*.ssh",
    "vms.*.limits",
    "vms.*.protect",
    "vms.*.xml",
    "vms.*.disks.[].mount",
    "vms.*.healthcheck.ssh",
    "vms.*.healthcheck.cloud_init",
    "vms.*.healthcheck.console",
    "vms.*.healthcheck.host",
    "vms.*.healthcheck.start_interval",
    "vms.*.healthcheck.success_threshold",
    "vms.*.healthcheck.deadline",
    "vms.*.healthcheck.probes.[].ssh",
    "vms.*.healthcheck.probes.[].cloud_init",
    "vms.*.healthcheck.probes.[].console",
    "vms.*.healthcheck.probes.[].host",
];

/// Whether a key does something already; its path with any word for a resource's name.
pub(crate) fn is_supported(path: &[&str]) -> bool {
    let matches = |pattern: &&&str| {
        let parts: Vec<&str> = pattern.split('.').collect();
        parts.len() == path.len() && parts.iter().zip(path).all(|(part, own)| *part == "*" || part == own)
    };
    UNSUPPORTED.iter().find(matches).is_none()
}

/// A mistake for each such key in `node`, which stands at `path`: `vms.web` or the empty path for a whole file.
pub(crate) fn check(node: &Node, path: &[&str], mistakes: &mut Vec<Diagnostic>) {
    let mut rest = Vec::new();
    for pattern in UNSUPPORTED {
        let mut parts = pattern.split('.');
        let leads = path.iter().all(|part| parts.next().is_some_and(|p| p == "*" || p == *part));
        if leads {
            rest.push(parts.collect::<Vec<_>>());
        }
    }
    walk(node, &rest, mistakes);
}

fn walk(node: &Node, patterns: &[Vec<&str>], mistakes: &mut Vec<Diagnostic>) {
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

fn visit(entry: &Entry, patterns: &[Vec<&str>], mistakes: &mut Vec<Diagnostic>) {
    if entry.value.is_null() {
        return;
    }
    let key = entry.key.text.as_str();
    let deeper = deeper(patterns, |part| part == "*" || part == key);
    if deeper.iter().any(Vec::is_empty) {
        mistakes.push(not_yet(key).at(super::place::Place { at: entry.key.at, via: entry.value.via }, "used here"));
    } else if !deeper.is_empty() {
        walk(&entry.value, &deeper, mistakes);
    }
}

fn deeper<'a>(patterns: &[Vec<&'a str>], fits: impl Fn(&str) -> bool) -> Vec<Vec<&'a str>> {
    let fitting = patterns.iter().filter(|pattern| pattern.first().is_some_and(|part| fits(part)));
    fitting.map(|pattern| pattern[1..].to_vec()).collect()
}

/// "`cloud_init` is not supported yet".
pub(crate) fn not_yet(thing: &str) -> Diagnostic {
    Diagnostic::error(format!("`{thing}` is not supported yet"))
        .hint("it is part of the language, but this version cannot carry it out; remove it for now")
}
