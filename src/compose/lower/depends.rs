//! Who waits for whom.
//!
//! Owns references between vms: groups of replicas, conditions, vms that are off, cycles. Knows nothing of waiting.

use std::collections::{BTreeMap, BTreeSet};

use super::{Instance, Scope, health, subject, unknown};
use crate::compose::decode::At;
use crate::compose::diagnostic::Diagnostic;
use crate::compose::place::Place;
use crate::compose::schema::health::{Condition as Asked, Dependency as Wish};
use crate::compose::schema::vm as file;
use crate::compose::unsupported;
use crate::graph::{CycleError, Graph, cycle_text};
use crate::model::{Condition, Dependency, Spec, Vm};
use crate::names::{ResourceId, VmName};

/// More edges than any real project has; two groups of thousands of replicas would have millions.
const MOST_EDGES: usize = 1_000_000;

/// The vms by every name that a file may use for them.
pub(super) struct Groups<'a>(BTreeMap<&'a str, Vec<usize>>);

impl<'a> Groups<'a> {
    pub(super) fn new(instances: &'a [Instance<file::Vm>]) -> Self {
        let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, instance) in instances.iter().enumerate() {
            groups.entry(instance.name.as_str()).or_default().push(at);
            if let Some(group) = &instance.group {
                groups.entry(group.as_str()).or_default().push(at);
            }
        }
        Self(groups)
    }
}

/// What one vm waits for, and where each edge stands in the file.
pub(super) struct Resolved {
    name: VmName,
    pub(super) on: BTreeMap<VmName, Dependency>,
    places: BTreeMap<VmName, Place>,
}

/// Resolves `depends_on` of all vms, in their order.
pub(super) fn resolve(
    scope: &Scope<'_>,
    instances: &[Instance<file::Vm>],
    groups: &Groups<'_>,
    mistakes: &mut Vec<Diagnostic>,
    warnings: &mut Vec<Diagnostic>,
) -> Vec<Resolved> {
    let mut edges = 0;
    let mut all = Vec::with_capacity(instances.len());
    for instance in instances {
        let mut resolved = Resolved { name: instance.name.clone(), on: BTreeMap::new(), places: BTreeMap::new() };
        for (name, wish) in &instance.spec.depends_on.0 {
            let wish = wish.clone().unwrap_or_default();
            let Some(targets) = groups.0.get(name.as_str()) else {
                absent(scope, instance, name, &wish, groups, mistakes, warnings);
                continue;
            };
            edges += targets.len();
            if edges > MOST_EDGES {
                let many = Diagnostic::error(format!("more than {MOST_EDGES} dependencies between vms"));
                mistakes.push(many.at(name.place, "the limit is reached here"));
                return all;
            }
            for target in targets {
                let target = &instances[*target];
                let dependency = dependency(target, &wish, mistakes);
                resolved.places.insert(target.name.clone(), name.place);
                resolved.on.insert(target.name.clone(), dependency);
            }
        }
        all.push(resolved);
    }
    all
}

fn dependency(target: &Instance<file::Vm>, wish: &Wish, mistakes: &mut Vec<Diagnostic>) -> Dependency {
    let checked = health::present(&target.spec);
    let condition = match &wish.condition {
        None if checked => Condition::Healthy,
        None | Some(At { value: Asked::Started, .. }) => Condition::Started,
        Some(At { value: Asked::Healthy, place }) => {
            if !checked {
                let blind =
                    Diagnostic::error(format!("{} has no healthcheck, so it is never `healthy`", subject(target)));
                mistakes.push(
                    blind
                        .at(*place, "asked for here")
                        .and(target.place, "no `healthcheck` here")
                        .hint("add a healthcheck, such as `healthcheck: {tcp: 22}`, or ask for `started`"),
                );
            }
            Condition::Healthy
        }
        Some(At { value, place }) => {
            let word = if *value == Asked::Ready { "condition: ready" } else { "condition: completed" };
            mistakes.push(unsupported::not_yet(word).at(*place, "used here"));
            Condition::Started
        }
    };
    Dependency { condition, required: wish.required.unwrap_or(true), restart: wish.restart.unwrap_or(false) }
}

/// A vm that is not there: a mistake, unless it was said that it need not be.
fn absent(
    scope: &Scope<'_>,
    instance: &Instance<file::Vm>,
    name: &At<String>,
    wish: &Wish,
    groups: &Groups<'_>,
    mistakes: &mut Vec<Diagnostic>,
    warnings: &mut Vec<Diagnostic>,
) {
    let required = wish.required.unwrap_or(true);
    let Some(off) = scope.off.get(name.as_str()) else {
        let known: BTreeSet<&str> = groups.0.keys().copied().chain(scope.off.keys().map(String::as_str)).collect();
        let mut mistake = unknown("vm", name, &subject(instance), known.iter().copied());
        if required {
            mistakes.push(mistake);
        } else {
            mistake.severity = crate::compose::diagnostic::Severity::Warning;
            warnings.push(mistake);
        }
        return;
    };
    if required {
        mistakes.push(
            Diagnostic::error(format!(
                "{} depends on `{}`, which is off: {}",
                subject(instance),
                name.value,
                off.reason
            ))
            .at(name.place, "depends on it")
            .and(off.place, "off")
            .hint("turn it on, or write `required: false`"),
        );
    }
}

/// Vms that wait for one another for ever, each edge at its place.
pub(super) fn check_cycles(all: &[Resolved], vms: &BTreeMap<VmName, Vm>, mistakes: &mut Vec<Diagnostic>) {
    let stuck = stuck(all);
    let specs: Vec<Spec> =
        stuck.iter().filter_map(|name| vms.get(name)).map(|vm| Spec::Vm(Box::new(vm.clone()))).collect();
    let Err(CycleError { cycles }) = Graph::build(&specs) else { return };
    let places: BTreeMap<&VmName, &BTreeMap<VmName, Place>> = all.iter().map(|r| (&r.name, &r.places)).collect();
    for cycle in &cycles {
        let mut diagnostic = Diagnostic::error(cycle_text(cycle));
        let names: Vec<&VmName> = cycle.iter().filter_map(ResourceId::as_vm).collect();
        for (at, name) in names.iter().enumerate() {
            let next = names[(at + 1) % names.len()];
            let Some(place) = places.get(name).and_then(|places| places.get(next)) else { continue };
            let text = format!("`{name}` waits for `{next}`");
            diagnostic = if at == 0 { diagnostic.at(*place, text) } else { diagnostic.and(*place, text) };
        }
        mistakes.push(diagnostic.hint("remove one of these dependencies"));
    }
}

/// The vms left over when all that can be ordered is taken away, each with what it waits for.
fn stuck(all: &[Resolved]) -> Vec<&VmName> {
    let mut open: BTreeMap<&VmName, usize> = all.iter().map(|r| (&r.name, r.on.len())).collect();
    let mut dependents: BTreeMap<&VmName, Vec<&VmName>> = BTreeMap::new();
    for resolved in all {
        for on in resolved.on.keys() {
            dependents.entry(on).or_default().push(&resolved.name);
        }
    }
    let mut ready: Vec<&VmName> = open.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name).collect();
    while let Some(name) = ready.pop() {
        open.remove(name);
        for dependent in dependents.get(name).into_iter().flatten() {
            if let Some(count) = open.get_mut(dependent) {
                *count -= 1;
                if *count == 0 {
                    ready.push(dependent);
                }
            }
        }
    }
    open.into_keys().collect()
}
