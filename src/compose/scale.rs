//! Other numbers of replicas than the file's, from the command line.
//!
//! Owns which vms can have one. How many vms come of it is the business of `expand`.

use std::collections::BTreeMap;

use super::diagnostic::Diagnostic;
use super::lower::Off;
use super::node::{Entry, Kind, Node, Scalar, Style};
use super::place::Place;
use super::suggest;

const KEY: &str = "replicas";

/// Puts the numbers into the vms that they are for.
pub(super) fn scale(vms: &mut [Entry], wanted: &BTreeMap<String, u32>, mistakes: &mut Vec<Diagnostic>) {
    for (name, count) in wanted {
        let names: Vec<String> = vms.iter().map(|entry| entry.key.text.clone()).collect();
        let Some(vm) = vms.iter_mut().find(|entry| entry.key.text == *name) else {
            let unknown = Diagnostic::error(format!("the file has no vm `{name}` to scale"));
            let near = suggest::did_you_mean(name, names.iter().map(String::as_str));
            mistakes.push(near.into_iter().fold(unknown, Diagnostic::hint));
            continue;
        };
        match vm.value.remove(KEY) {
            Some(mut replicas) => {
                replicas.value = number(*count, &replicas.value);
                if let Kind::Mapping(entries) = &mut vm.value.kind {
                    entries.push(replicas);
                }
            }
            None => mistakes.push(single(vm)),
        }
    }
}

/// Vms of which there shall be some, and which are not there for another reason than their number.
pub(super) fn absent<'a>(
    wanted: &'a BTreeMap<String, u32>,
    off: &'a Off,
) -> impl Iterator<Item = Diagnostic> + use<'a> {
    let some = wanted.iter().filter(|(_, count)| **count > 0);
    some.filter_map(|(name, _)| off.get(name).map(|absent| (name, absent))).map(|(name, absent)| {
        let reason = &absent.reason;
        Diagnostic::error(format!("vm `{name}` cannot be scaled: {reason}")).at(absent.place, "this one is off")
    })
}

/// The same vms under other names would be other vms, so this is not done by the way.
fn single(vm: &Entry) -> Diagnostic {
    let name = &vm.key.text;
    let place = Place { at: vm.key.at, via: vm.value.via };
    Diagnostic::error(format!("vm `{name}` cannot be scaled: it has no `replicas`")).at(place, "this is one vm").hint(
        format!(
            "with `replicas: 1` it is `{name}-1`, which is another vm than `{name}`; vms by `for_each` have a key each"
        ),
    )
}

fn number(count: u32, instead: &Node) -> Node {
    let text = count.to_string();
    let scalar = Scalar { text, style: Style::Plain, computed: false, pending: false, failed: false };
    Node { kind: Kind::Scalar(scalar), ..instead.clone() }
}
