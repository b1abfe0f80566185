//! Who waits for whom.
//!
//! Owns references between vms: groups of replicas, conditions, vms that are off, cycles. Knows nothing of waiting.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Instance, Scope, guest, health, subject, unknown};
use crate::compose::decode::At;
use crate::compose::diagnostic::Diagnostic;
use crate::compose::place::Place;
use crate::compose::schema::health::{Condition as Asked, Dependency as Wish};
use crate::compose::schema::vm as file;
use crate::graph::{CycleError, Graph, SHOWN, cycle_text};
use crate::model::{Condition, Dependency, Spec, Vm};
use crate::names::{ResourceId, VmName};

/// More edges than any real project has; two groups of thousands of replicas would have millions.
const MOST_EDGES: usize = 200_000;

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

/// What each vm waits for, in the order of the vms.
pub(super) type Resolved = Vec<BTreeMap<VmName, Dependency>>;

/// Resolves `depends_on` of all vms.
pub(super) fn resolve(
    scope: &Scope<'_>,
    instances: &[Instance<file::Vm>],
    groups: &Groups<'_>,
    mistakes: &mut Vec<Diagnostic>,
    warnings: &mut Vec<Diagnostic>,
) -> Resolved {
    if let Some(place) = too_many(instances, groups) {
        let many = Diagnostic::error(format!("more than {MOST_EDGES} dependencies between vms"));
        mistakes.push(many.at(place, "the limit is reached here"));
        return instances.iter().map(|_| BTreeMap::new()).collect();
    }
    let mut all = Vec::with_capacity(instances.len());
    for instance in instances {
        let mut on = BTreeMap::new();
        for (name, wish) in &instance.spec.depends_on.0 {
            let wish = wish.clone().unwrap_or_default();
            let Some(targets) = groups.0.get(name.as_str()) else {
                absent(scope, instance, name, &wish, groups, mistakes, warnings);
                continue;
            };
            for target in targets {
                let target = &instances[*target];
                on.insert(target.name.clone(), dependency(target, &wish, mistakes));
            }
        }
        all.push(on);
    }
    torn(instances, groups, mistakes);
    all
}

/// A vm that one waits to be up and another to have ended: it has one gate, and which of the two is not guessed.
fn torn(instances: &[Instance<file::Vm>], groups: &Groups<'_>, mistakes: &mut Vec<Diagnostic>) {
    let mut asked: BTreeMap<usize, (Option<Place>, Option<Place>)> = BTreeMap::new();
    for (name, wish) in instances.iter().flat_map(|instance| &instance.spec.depends_on.0) {
        let condition = wish.as_ref().and_then(|wish| wish.condition.as_ref());
        for target in groups.0.get(name.as_str()).into_iter().flatten() {
            let (up, ended) = asked.entry(*target).or_default();
            match condition.map(|condition| condition.value) {
                Some(Asked::Completed) => ended.get_or_insert(name.place),
                None if health::present(&instances[*target].spec) => up.get_or_insert(name.place),
                Some(Asked::Healthy | Asked::Ready) => up.get_or_insert(name.place),
                None | Some(Asked::Started) => continue,
            };
        }
    }
    for (target, places) in asked {
        let (Some(up), Some(ended)) = places else { continue };
        let who = subject(&instances[target]);
        let both = Diagnostic::error(format!("{who} is asked to be healthy and to have completed"));
        mistakes.push(
            both.at(ended, "until it has completed")
                .and(up, "until it is healthy")
                .hint("a vm that does its work and ends can be waited for as `started` or as `completed`"),
        );
    }
}

/// Where the limit of dependencies is passed.
fn too_many(instances: &[Instance<file::Vm>], groups: &Groups<'_>) -> Option<Place> {
    let wishes = instances.iter().flat_map(|instance| &instance.spec.depends_on.0);
    let mut edges = 0;
    wishes.into_iter().find_map(|(name, _)| {
        edges += groups.0.get(name.as_str()).map_or(0, Vec::len);
        (edges > MOST_EDGES).then_some(name.place)
    })
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
        Some(At { value: Asked::Ready, place }) => {
            if !guest::present(&target.spec) {
                let blind = Diagnostic::error(format!("{} has no cloud-init, so it is never `ready`", subject(target)));
                mistakes.push(
                    blind
                        .at(*place, "asked for here")
                        .and(target.place, "no `cloud_init` here")
                        .hint("add `cloud_init: {}`, or ask for `healthy` or `started`"),
                );
            }
            Condition::Ready
        }
        Some(At { value: Asked::Completed, .. }) => Condition::Completed,
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
pub(super) fn check_cycles(
    instances: &[Instance<file::Vm>],
    groups: &Groups<'_>,
    vms: &BTreeMap<VmName, Vm>,
    mistakes: &mut Vec<Diagnostic>,
) {
    let specs: Vec<Spec> = stuck(vms).into_iter().map(|vm| Spec::Vm(Box::new(vm.clone()))).collect();
    let Err(CycleError { cycles }) = Graph::build(&specs) else { return };
    for cycle in &cycles {
        let mut diagnostic = Diagnostic::error(cycle_text(cycle));
        let names: Vec<&VmName> = cycle.iter().filter_map(ResourceId::as_vm).collect();
        for (at, name) in names.iter().enumerate().take(SHOWN) {
            let next = names[(at + 1) % names.len()];
            let Some(place) = edge(instances, groups, name, next) else { continue };
            let text = format!("`{name}` waits for `{next}`");
            diagnostic = if at == 0 { diagnostic.at(place, text) } else { diagnostic.and(place, text) };
        }
        mistakes.push(diagnostic.hint("remove one of these dependencies"));
    }
}

/// Where the file says that one vm waits for another.
fn edge(instances: &[Instance<file::Vm>], groups: &Groups<'_>, from: &VmName, to: &VmName) -> Option<Place> {
    let instance = instances.iter().find(|instance| instance.name == *from)?;
    let meant = |name: &str| groups.0.get(name).is_some_and(|group| group.iter().any(|at| instances[*at].name == *to));
    instance.spec.depends_on.0.iter().find(|(name, _)| meant(name)).map(|(name, _)| name.place)
}

/// The vms left over when all that can be ordered is taken away.
fn stuck(vms: &BTreeMap<VmName, Vm>) -> Vec<&Vm> {
    let all: Vec<&Vm> = vms.values().collect();
    let numbers: HashMap<&VmName, usize> = all.iter().enumerate().map(|(at, vm)| (&vm.name, at)).collect();
    let mut open: Vec<usize> = all.iter().map(|vm| vm.depends_on.len()).collect();
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); all.len()];
    for (at, vm) in all.iter().enumerate() {
        for required in vm.depends_on.keys().filter_map(|name| numbers.get(name)) {
            dependents[*required].push(at);
        }
    }
    let mut ready: Vec<usize> = (0..open.len()).filter(|at| open[*at] == 0).collect();
    while let Some(at) = ready.pop() {
        for dependent in std::mem::take(&mut dependents[at]) {
            open[dependent] -= 1;
            if open[dependent] == 0 {
                ready.push(dependent);
            }
        }
    }
    all.into_iter().zip(open).filter(|(_, open)| *open > 0).map(|(vm, _)| vm).collect()
}
