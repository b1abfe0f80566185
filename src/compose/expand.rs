//! From the vms of the file to the vms that there will be: defaults, profiles, `enabled`, replicas, `for_each`.
//!
//! Owns names and numbers. Knows nothing of what else a vm says.

use std::collections::BTreeSet;

use super::decode::{At, decode};
use super::diagnostic::Diagnostic;
use super::lower::{Absent, Instance, Off, named};
use super::node::{Entry, Kind, Node};
use super::place::Place;
use super::schema::shape::OneOrMany;
use super::schema::vm::Count;
use crate::names::VmName;

/// More vms than any hypervisor has.
const MOST_VMS: usize = 20_000;

/// What came of the file's vms.
#[derive(Debug, Default)]
pub(crate) struct Expanded {
    pub(crate) instances: Vec<Instance<Node>>,
    pub(crate) off: Off,
    /// All profiles that the file names.
    pub(crate) profiles: BTreeSet<String>,
}

/// Expands `vms`.
pub(crate) fn expand(root: &Node, active: &[String], mistakes: &mut Vec<Diagnostic>) -> Expanded {
    let mut expanded = Expanded::default();
    let defaults = root.get("defaults").filter(|node| !node.is_null());
    for entry in root.get("vms").map_or(&[][..], Node::entries) {
        let vm = Vm { entry, place: Place { at: entry.key.at, via: entry.value.via } };
        vm.expand(defaults, active, &mut expanded, mistakes);
        if expanded.instances.len() > MOST_VMS {
            let many = Diagnostic::error(format!("more than {MOST_VMS} vms"));
            mistakes.push(many.at(vm.place, "the limit is reached here"));
            break;
        }
    }
    expanded
}

struct Vm<'a> {
    entry: &'a Entry,
    place: Place,
}

impl Vm<'_> {
    fn expand(
        &self,
        _defaults: Option<&Node>,
        active: &[String],
        expanded: &mut Expanded,
        mistakes: &mut Vec<Diagnostic>,
    ) {
        let key = &self.entry.key.text;
        let Some(name) = named::<VmName>(key, self.place, mistakes) else { return };
        let node = self.entry.value.clone();
        if let Some(reason) = self.inactive(&node, active, expanded, mistakes) {
            expanded.off.insert(key.clone(), Absent { place: self.place, reason });
            return;
        }
        let Some(replicas) = node.get("replicas").filter(|node| !node.is_null()) else {
            expanded.instances.push(Instance { name, group: None, place: self.place, spec: node });
            return;
        };
        let Some(Count(count)) = decode(replicas, &format!("vms.{key}.replicas"), mistakes) else { return };
        if count == 0 {
            let reason = "it has `replicas: 0`".to_owned();
            expanded.off.insert(key.clone(), Absent { place: self.place, reason });
        }
        if count as usize > MOST_VMS {
            let many = Diagnostic::error(format!("`{key}` has {count} replicas; the most is {MOST_VMS}"));
            mistakes.push(many.at(replicas.place(), "too many"));
            return;
        }
        for index in 1..=count {
            match name.replica(index) {
                Ok(replica) => {
                    let spec = node.clone();
                    expanded.instances.push(Instance {
                        name: replica,
                        group: Some(name.clone()),
                        place: self.place,
                        spec,
                    });
                }
                Err(error) => {
                    mistakes.push(Diagnostic::error(error.to_string()).at(self.place, "too long for a replica's name"));
                    return;
                }
            }
        }
    }

    /// Why the vm is off, if its profiles say so.
    fn inactive(
        &self,
        node: &Node,
        active: &[String],
        expanded: &mut Expanded,
        mistakes: &mut Vec<Diagnostic>,
    ) -> Option<String> {
        let profiles = node.get("profiles").filter(|node| !node.is_null())?;
        let path = format!("vms.{}.profiles", self.entry.key.text);
        let OneOrMany(profiles): OneOrMany<At<String>> = decode(profiles, &path, mistakes)?;
        expanded.profiles.extend(profiles.iter().map(|profile| profile.value.clone()));
        let on = |profile: &At<String>| active.iter().any(|name| *name == profile.value || name == "*");
        if profiles.is_empty() || profiles.iter().any(on) {
            return None;
        }
        let names: Vec<&str> = profiles.iter().map(|profile| profile.value.as_str()).collect();
        Some(format!("its profile {} is not active", super::decode::alternatives(&names)))
    }
}

/// Whether a node is a mapping, for what must be one.
pub(crate) fn is_mapping(node: &Node) -> bool {
    matches!(node.kind, Kind::Mapping(_))
}
