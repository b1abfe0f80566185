//! From the vms of the file to the vms that there will be: profiles, `enabled`, replicas, `for_each`, templates.
//!
//! Owns names and numbers. Knows nothing of what else a vm says, but that its networks and its host name settle addresses
//! and so cannot depend on them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use minijinja::Value;

use super::decode::{At, alternatives, decode, decode_alone};
use super::diagnostic::Diagnostic;
use super::lower::{Absent, Instance, Off, named};
use super::node::{Entry, Kind, Node};
use super::place::{Extent, Place};
use super::schema::shape::OneOrMany;
use super::schema::vm::{Count, Vm};
use super::template::context::{Own, Shared};
use super::template::{Templates, is_template};
use super::vars;
use crate::names::VmName;

/// More vms than any hypervisor has.
const MOST_VMS: usize = 20_000;
/// More mistakes than anybody reads: then it is time to stop looking for more.
const MOST_MISTAKES: usize = 2_000;

/// A vm before it is decoded.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) node: Node,
    pub(crate) own: Own,
}

/// What came of the file's vms.
#[derive(Debug, Default)]
pub(crate) struct Expanded {
    pub(crate) instances: Vec<Instance<Draft>>,
    pub(crate) off: Off,
    /// What the file says of those.
    pub(crate) unused: Vec<(String, Node)>,
    /// All profiles that the file names.
    pub(crate) profiles: BTreeSet<String>,
    /// Whether it is not worth going on.
    pub(crate) too_many: bool,
}

/// Expands `vms`.
pub(crate) fn expand(
    vms: Vec<Entry>,
    active: &[String],
    shared: &Shared,
    templates: &mut Templates<'_>,
    mistakes: &mut Vec<Diagnostic>,
) -> Expanded {
    let mut expansion = Expansion { active, shared, templates, mistakes, expanded: Expanded::default() };
    for entry in vms {
        expansion.vm(entry);
        if expansion.expanded.too_many || expansion.mistakes.len() > MOST_MISTAKES {
            break;
        }
    }
    let Expansion { expanded, mistakes, .. } = expansion;
    clashes(&expanded.instances, mistakes);
    expanded
}

/// How many there are of a vm.
enum Copies {
    /// One, named as in the file.
    One,
    /// Numbered from 1.
    Replicas(u32),
    /// By key, with the value that goes with it.
    Each(Vec<(String, Value)>),
}

struct Expansion<'a, 't> {
    active: &'a [String],
    shared: &'a Shared,
    templates: &'a mut Templates<'t>,
    mistakes: &'a mut Vec<Diagnostic>,
    expanded: Expanded,
}

impl Expansion<'_, '_> {
    fn vm(&mut self, entry: Entry) {
        let Entry { key, value: mut node } = entry;
        let place = Place { at: key.at, via: node.via };
        let within = node.at;
        let Some(name) = named::<VmName>(&key.text, place, self.mistakes) else {
            self.templates.check(&mut node, self.mistakes);
            return decode_alone::<Option<Vm>>(&node, &format!("vms.{}", key.text), self.mistakes);
        };
        let profiles = node.remove("profiles");
        if let Some(reason) = profiles.and_then(|entry| self.inactive(&key.text, entry.value)) {
            self.expanded.off.insert(key.text.clone(), Absent { place, reason });
            self.expanded.unused.push((key.text, node));
            return;
        }
        let said = node.entries().iter().find(|entry| entry.key.text == "for_each").map(|entry| entry.value.place());
        let Some(copies) = self.copies(&key.text, &mut node) else { return };
        let count = match &copies {
            Copies::One => 1,
            Copies::Replicas(count) => *count as usize,
            Copies::Each(items) => items.len(),
        };
        if self.expanded.instances.len() + count > MOST_VMS {
            let many = Diagnostic::error(format!("more than {MOST_VMS} vms"));
            self.mistakes.push(many.at(place, "the limit is reached here"));
            self.expanded.too_many = true;
            return;
        }
        let enabled = node.remove("enabled").map(|entry| entry.value).filter(|node| !node.is_null());
        let before = self.expanded.instances.len();
        let unused = (count == 0 || enabled.is_some()).then(|| node.clone());
        match copies {
            Copies::One => {
                let own = Own { index: 1, each: None };
                self.one(name.clone(), None, (place, within), node, enabled.as_ref(), own);
            }
            Copies::Replicas(count) => {
                for index in 1..=count {
                    let Some(replica) = self.replica(&name, &index.to_string(), place) else { return };
                    let own = Own { index, each: None };
                    self.one(replica, Some(name.clone()), (place, within), node.clone(), enabled.as_ref(), own);
                }
            }
            Copies::Each(items) => {
                for (index, (key, value)) in (1..).zip(items) {
                    let Some(replica) = self.replica(&name, &key, said.unwrap_or(place)) else { continue };
                    let own = Own { index, each: Some((Value::from(key), value)) };
                    self.one(replica, Some(name.clone()), (place, within), node.clone(), enabled.as_ref(), own);
                }
            }
        }
        if self.expanded.instances.len() == before {
            let reason = "there are none of it".to_owned();
            self.expanded.unused.extend(unused.map(|node| (key.text.clone(), node)));
            self.expanded.off.entry(key.text).or_insert(Absent { place, reason });
        }
    }

    fn replica(&mut self, name: &VmName, key: &str, place: Place) -> Option<VmName> {
        match VmName::new(format!("{name}-{key}")) {
            Ok(replica) => Some(replica),
            Err(error) => {
                let illegal = Diagnostic::error(format!("`{key}` makes no name for a vm: {error}"));
                self.mistakes.push(illegal.at(place, "one of these"));
                None
            }
        }
    }

    /// One vm, its templates rendered as far as they can be.
    fn one(
        &mut self,
        name: VmName,
        group: Option<VmName>,
        (place, within): (Place, Extent),
        mut node: Node,
        enabled: Option<&Node>,
        own: Own,
    ) {
        let context = self.shared.of_vm(own.clone());
        if let Some(enabled) = enabled {
            let mut enabled = enabled.clone();
            self.settled(&mut enabled, &context);
            let path = format!("vms.{}.enabled", group.as_ref().unwrap_or(&name));
            if decode::<bool>(&enabled, &path, self.mistakes) == Some(false) {
                let reason = "`enabled` is false".to_owned();
                self.expanded.off.insert(name.to_string(), Absent { place, reason });
                return;
            }
        }
        self.templates.render(&mut node, &context, self.mistakes);
        if let Kind::Mapping(entries) = &mut node.kind {
            // Addresses are made from these, so they cannot be made from addresses.
            for entry in entries.iter_mut().filter(|entry| matches!(entry.key.text.as_str(), "networks" | "hostname")) {
                self.templates.finish(&mut entry.value, &context, self.mistakes);
            }
        }
        self.expanded.instances.push(Instance { name, group, place, within, spec: Draft { node, own } });
    }

    /// Renders what must be known before addresses are.
    fn settled(&mut self, node: &mut Node, context: &Value) {
        self.templates.render(node, context, self.mistakes);
        self.templates.finish(node, context, self.mistakes);
    }

    /// Why the vm is off, if its profiles say so.
    fn inactive(&mut self, name: &str, mut profiles: Node) -> Option<String> {
        if profiles.is_null() {
            return None;
        }
        self.settled(&mut profiles, &self.shared.context());
        let OneOrMany(profiles): OneOrMany<At<String>> =
            decode(&profiles, &format!("vms.{name}.profiles"), self.mistakes)?;
        self.expanded.profiles.extend(profiles.iter().map(|profile| profile.value.clone()));
        let on = |profile: &At<String>| self.active.iter().any(|name| *name == profile.value || name == "*");
        if profiles.is_empty() || profiles.iter().any(on) {
            return None;
        }
        let names: Vec<&str> = profiles.iter().map(|profile| profile.value.as_str()).collect();
        Some(format!("its profile {} is not active", alternatives(&names)))
    }

    /// How many there are of a vm; `None` where that is a mistake.
    fn copies(&mut self, name: &str, node: &mut Node) -> Option<Copies> {
        let replicas = node.remove("replicas").filter(|entry| !entry.value.is_null());
        let for_each = node.remove("for_each").filter(|entry| !entry.value.is_null());
        match (replicas, for_each) {
            (None, None) => Some(Copies::One),
            (Some(entry), None) => self.count(name, entry.value).map(Copies::Replicas),
            (None, Some(entry)) => self.items(entry.value).map(Copies::Each),
            (Some(replicas), Some(for_each)) => {
                let both = Diagnostic::error(format!("vm `{name}` has both `replicas` and `for_each`"));
                self.mistakes.push(both.at(for_each.key.at, "remove one").and(replicas.key.at, "of the two"));
                None
            }
        }
    }

    fn count(&mut self, name: &str, mut node: Node) -> Option<u32> {
        self.settled(&mut node, &self.shared.context());
        let Count(count) = decode(&node, &format!("vms.{name}.replicas"), self.mistakes)?;
        if count as usize > MOST_VMS {
            let many = Diagnostic::error(format!("`{name}` has {count} replicas; the most is {MOST_VMS}"));
            self.mistakes.push(many.at(node.place(), "too many"));
            return None;
        }
        Some(count)
    }

    /// The items of `for_each`: of a list, of a mapping, or of a template that gives one.
    fn items(&mut self, mut node: Node) -> Option<Vec<(String, Value)>> {
        let place = node.place();
        let context = self.shared.context();
        let value = match &node.kind {
            Kind::Scalar(scalar) if is_template(&scalar.text) => {
                match self.templates.expression(&scalar.text, &context, place) {
                    Ok(value) => value,
                    Err(diagnostic) => {
                        self.mistakes.push(*diagnostic);
                        return None;
                    }
                }
            }
            _ => {
                self.settled(&mut node, &context);
                vars::value(&node)
            }
        };
        let items = items(&value);
        if value.is_undefined() {
            let text = node.as_text().unwrap_or("");
            self.mistakes.push(self.templates.undefined(text, &context, place));
            return None;
        }
        if items.is_none() {
            let shown = || format!("`{}`", value.to_string().chars().take(80).collect::<String>());
            let what = if matches!(node.kind, Kind::Scalar(_)) { shown() } else { node.describe() };
            let not = Diagnostic::error(format!("`for_each` needs a list or a mapping, not {what}"));
            self.mistakes
                .push(not.at(place, "not a list").hint("a template gives one as `for_each: \"{{ vars.sites }}\"`"));
        }
        let items = items?;
        let mut keys = BTreeSet::new();
        if let Some((twice, _)) = items.iter().find(|(key, _)| !keys.insert(key.as_str())) {
            let two = Diagnostic::error(format!("`for_each` has `{twice}` twice"));
            self.mistakes.push(two.at(place, "two vms of one name"));
            return None;
        }
        Some(items)
    }
}

/// Keys and values of a list or a mapping. An item of a list is its own key, or its number where it is no scalar.
fn items(value: &Value) -> Option<Vec<(String, Value)>> {
    use minijinja::value::ValueKind;
    match value.kind() {
        ValueKind::Map => {
            let keys = value.try_iter().ok()?;
            Some(keys.map(|key| (key.to_string(), value.get_item(&key).unwrap_or_default())).collect())
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let scalar = |item: &Value| matches!(item.kind(), ValueKind::String | ValueKind::Number | ValueKind::Bool);
            let keyed = |(at, item): (usize, Value)| {
                (if scalar(&item) { item.to_string() } else { (at + 1).to_string() }, item)
            };
            Some(value.try_iter().ok()?.take(MOST_VMS + 1).enumerate().map(keyed).collect())
        }
        _ => None,
    }
}

/// Two vms of one name, and names that stand for a vm and for a group of others at once.
fn clashes(instances: &[Instance<Draft>], mistakes: &mut Vec<Diagnostic>) {
    let mut names: HashMap<&VmName, &Instance<Draft>> = HashMap::with_capacity(instances.len());
    let groups: BTreeMap<&VmName, Place> =
        instances.iter().filter_map(|i| i.group.as_ref().map(|group| (group, i.place))).collect();
    for instance in instances {
        let other = names.insert(&instance.name, instance).map(|other| other.place);
        if let Some(first) = other.or_else(|| groups.get(&instance.name).copied()) {
            mistakes.push(
                Diagnostic::error(format!("two vms are named `{}`", instance.name))
                    .at(instance.place, "one comes from here")
                    .and(first, "the other from here")
                    .hint("replicas are named `NAME-1`, `NAME-2`, …; rename one of the vms"),
            );
        }
    }
}
