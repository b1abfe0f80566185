//! Compares two states and decides what has to be done: a pure, total, deterministic function.
//!
//! Owns every decision. What it returns is carried out as it stands; knows nothing of how.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::{CycleError, Graph};
use crate::model::{Condition, Healthcheck, Network, Spec};
use crate::names::{NetworkName, ResourceId, VmName};
use crate::plan::change::{Change, change};
use crate::plan::diff::{FieldChange, changes};
use crate::plan::follow::follow;
use crate::plan::growth::grown;
use crate::plan::obstacle::{Obstacle, PlanError, not_offered, obstacle, protected, shrinking};
use crate::plan::operation::{Operation, VmDisk, VmSeed};
use crate::plan::pools::pool_trouble;
use crate::plan::recipe::{creation, deletion, starting, update};
use crate::plan::{Action, Cause, Effect, Gate, Milestone, Plan, Step, StepId, Wave};
use crate::state::{Actual, ActualState, DesiredState, Phase};

/// What the user asked for besides the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Where to go.
    pub goal: Goal,
    /// Whether resources that the file no longer has are deleted.
    pub remove_orphans: bool,
}

/// Where a plan leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// All that the file describes is there and runs.
    Up,
    /// Nothing of the project is there.
    Down {
        /// Not even its named volumes.
        volumes: bool,
    },
}

/// Makes the plan that leads from `actual` to `desired`.
pub fn plan(desired: &DesiredState, actual: &ActualState, options: &Options) -> Result<Plan, PlanError> {
    if let Some(first) = pools_first(desired, actual) {
        return Ok(first);
    }
    match options.goal {
        Goal::Up => up(desired, actual, options.remove_orphans),
        Goal::Down { volumes } => down(desired, actual, volumes),
    }
}

/// A step before it has a number: it is found by its resource.
pub(super) struct Draft {
    pub(super) resource: ResourceId,
    pub(super) action: Action,
    pub(super) cause: Cause,
    pub(super) changes: Vec<FieldChange>,
    pub(super) effect: Option<Effect>,
    pub(super) operations: Vec<Operation>,
    pub(super) after: BTreeMap<ResourceId, Milestone>,
    pub(super) gate: Gate,
    pub(super) wave: usize,
}

impl Draft {
    pub(super) fn new(resource: ResourceId, action: Action, cause: Cause, operations: Vec<Operation>) -> Self {
        Self {
            resource,
            action,
            cause,
            changes: Vec::new(),
            effect: None,
            operations,
            after: BTreeMap::new(),
            gate: Gate::None,
            wave: 0,
        }
    }
}

/// Starts our own pools where they are stopped, and nothing else. What is in them can only be seen once they run: whoever
/// took it for missing would make it anew, and undo that by deleting what was there before.
fn pools_first(desired: &DesiredState, actual: &ActualState) -> Option<Plan> {
    let start = |(id, found): (&ResourceId, &Actual)| match (id, found.phase) {
        (ResourceId::Pool(pool), Phase::Stopped) => {
            let cause = Cause::NotRunning { phase: found.phase.as_str().to_owned() };
            Some((id.clone(), Draft::new(id.clone(), Action::Start, cause, vec![Operation::StartPool(*pool)])))
        }
        _ => None,
    };
    let drafts: BTreeMap<ResourceId, Draft> = actual.resources.iter().filter_map(start).collect();
    (!drafts.is_empty()).then(|| number(desired, drafts, Vec::new(), Vec::new(), Vec::new()))
}

fn up(desired: &DesiredState, actual: &ActualState, remove_orphans: bool) -> Result<Plan, PlanError> {
    let with_orphans = if remove_orphans { None } else { with_orphans(desired, actual) };
    let desired = with_orphans.as_ref().unwrap_or(desired);
    let mut obstacles = Vec::new();
    let networks = networks(desired);
    let mut drafts: BTreeMap<ResourceId, Draft> = BTreeMap::new();
    for (wave, ids) in desired.graph.waves().into_iter().enumerate() {
        for id in ids {
            let found = actual.resources.get(id);
            obstacles.extend(obstacle(desired, actual, id, found));
            obstacles.extend(shrinking(desired, actual, id));
            obstacles.extend(pool_trouble(desired, actual, id));
            obstacles.extend(not_offered(desired, actual, id));
            let spec = &desired.specs[id];
            let seed = spec.as_vm().and_then(|vm| VmSeed::of(&desired.project, vm, &networks));
            let gate = gate(desired, id);
            let draft = decide(spec, &gate, seed, found, wave).map(|draft| afresh(draft, actual));
            let draft = grown(draft, spec, &gate, actual, wave);
            drafts.extend(draft.map(|draft| (id.clone(), draft)));
        }
    }
    follow(desired, actual, &mut drafts);
    for (id, draft) in awaited(desired, &drafts) {
        drafts.insert(id, draft);
    }
    connect(&desired.graph, &mut drafts);
    let unchanged = |id: &&ResourceId| drafts.get(*id).is_none_or(|draft| draft.action == Action::Verify);
    let unchanged = desired.specs.keys().filter(unchanged).cloned().collect();

    let orphans: BTreeMap<&ResourceId, &Actual> = orphans(desired, actual);
    let mut left = Vec::new();
    if remove_orphans {
        obstacles.extend(protected(orphans.values().copied()));
        // Last, when all else has succeeded: until then a rollback can still put everything back.
        let done: BTreeMap<ResourceId, Milestone> = drafts.keys().map(|id| (id.clone(), Milestone::Passed)).collect();
        let first = drafts.values().map(|draft| draft.wave + 1).max().unwrap_or(0);
        for mut draft in deletions(&orphans, &Cause::Orphan)? {
            draft.wave += first;
            draft.after.extend(done.clone());
            drafts.insert(draft.resource.clone(), draft);
        }
    } else {
        left = orphans.into_keys().cloned().collect();
    }
    if !obstacles.is_empty() {
        return Err(PlanError::Blocked(obstacles));
    }
    Ok(number(desired, drafts, unchanged, left, Vec::new()))
}

fn down(desired: &DesiredState, actual: &ActualState, volumes: bool) -> Result<Plan, PlanError> {
    let is_volume = |id: &ResourceId| matches!(id, ResourceId::Volume(_));
    let pool = |id: &ResourceId| matches!(id, ResourceId::Pool(_));
    let goes = |(id, _): &(&ResourceId, &Actual)| !pool(id) && (volumes || !is_volume(id));
    let going: BTreeMap<&ResourceId, &Actual> = actual.resources.iter().filter(goes).collect();
    let obstacles: Vec<Obstacle> = protected(going.values().copied()).collect();
    if !obstacles.is_empty() {
        return Err(PlanError::Blocked(obstacles));
    }
    let kept = actual.resources.keys().filter(|id| is_volume(id) && !volumes).cloned().collect();
    let drafts = deletions(&going, &Cause::Down)?;
    let mut drafts: BTreeMap<ResourceId, Draft> =
        drafts.into_iter().map(|draft| (draft.resource.clone(), draft)).collect();
    let owners: BTreeSet<&VmName> =
        actual.loose_disks.iter().map(|(vm, _)| vm).chain(actual.loose_seeds.iter()).collect();
    for vm in owners {
        let id = ResourceId::Vm(vm.clone());
        let draft = drafts.entry(id.clone()).or_insert_with(|| Draft::new(id, Action::Delete, Cause::Down, Vec::new()));
        let loose = loose(actual, vm);
        draft.effect = draft.effect.max(loss(&loose));
        draft.operations.extend(loose);
    }
    Ok(number(desired, drafts, Vec::new(), Vec::new(), kept))
}

/// What has to be done to one resource; `None` where nothing.
fn decide(spec: &Spec, gate: &Gate, seed: Option<VmSeed>, found: Option<&Actual>, wave: usize) -> Option<Draft> {
    let draft = |action, cause, operations| {
        let draft = Draft::new(spec.id(), action, cause, operations);
        Draft { gate: gate.clone(), wave, ..draft }
    };
    let Some(actual) = found else {
        return Some(draft(Action::Create, Cause::Missing, creation(spec, seed)));
    };
    if actual.phase == Phase::Incomplete {
        // A part of another content has another name on the hypervisor, and would stay there for ever.
        let stump = if changes(&actual.recorded, spec).is_empty() { Vec::new() } else { deletion(actual) };
        let operations = stump.into_iter().chain(creation(spec, seed)).collect();
        return Some(draft(Action::Create, Cause::Incomplete, operations));
    }
    let changes = changes(&actual.recorded, spec);
    let update = update(&actual.recorded, spec, &changes);
    // A vm that has done its work is as it should be.
    let done = actual.phase == Phase::Completed && gate.is_completion();
    let start = if done { Vec::new() } else { starting(spec, actual.phase) };
    if let (Spec::Vm(from), Spec::Vm(to)) = (&actual.recorded, spec)
        && let Some(change) = change(from, to, actual, seed, start.clone())
    {
        let Change { action, cause, changes, effect, operations } = change;
        return Some(Draft { changes, effect, ..draft(action, cause, operations) });
    }
    match (update, start.is_empty()) {
        (None, true) => None,
        (None, false) => {
            let cause = Cause::NotRunning { phase: actual.phase.as_str().to_owned() };
            Some(draft(Action::Start, cause, start))
        }
        (Some(update), _) => {
            let operations = std::iter::once(update).chain(start).collect();
            let mut draft = draft(Action::Update, Cause::Changed, operations);
            draft.changes = changes;
            draft.effect = Some(Effect::Live);
            Some(draft)
        }
    }
}

/// A vm that is made while disks of its name lie about gets new ones: nobody knows what is on the old.
fn afresh(mut draft: Draft, actual: &ActualState) -> Draft {
    if draft.action == Action::Create
        && let Some(vm) = draft.resource.as_vm()
    {
        let loose = loose(actual, vm);
        draft.effect = draft.effect.max(loss(&loose));
        draft.operations.splice(0..0, loose);
    }
    draft
}

/// Deletes what lies about of a vm.
fn loose(actual: &ActualState, vm: &VmName) -> Vec<Operation> {
    let own = actual.loose_disks.iter().filter(|(owner, _)| owner == vm);
    let disks = own.map(|(vm, disk)| {
        Operation::DeleteDisk(VmDisk { vm: vm.clone(), disk: disk.clone(), size: None, backing: None })
    });
    let seed = actual.loose_seeds.contains(vm).then(|| Operation::DeleteSeed(vm.clone()));
    disks.chain(seed).collect()
}

/// Whether bytes that a user may have written go with these.
fn loss(operations: &[Operation]) -> Option<Effect> {
    let loses = |operation: &Operation| matches!(operation, Operation::DeleteVolume(_) | Operation::DeleteDisk(_));
    operations.iter().any(loses).then_some(Effect::DataLoss)
}

fn networks(desired: &DesiredState) -> BTreeMap<NetworkName, Network> {
    let network = |spec: &Spec| match spec {
        Spec::Network(network) => Some((network.name.clone(), network.clone())),
        _ => None,
    };
    desired.specs.values().filter_map(network).collect()
}

/// What a resource must reach: its healthcheck, and the end of its cloud-init where somebody asks for that; or its own
/// end, where others wait for that.
pub(super) fn gate(desired: &DesiredState, id: &ResourceId) -> Gate {
    let Some(vm) = desired.specs[id].as_vm() else { return Gate::None };
    let dependents = desired.graph.dependents(id);
    let asked = |wanted: Condition| dependents.iter().any(|(_, condition)| *condition == wanted);
    let healthcheck = match (vm.healthcheck.clone(), asked(Condition::Ready)) {
        (own, _) if asked(Condition::Completed) => Healthcheck::completed(own.and_then(|check| check.deadline)),
        (None, false) => return Gate::None,
        (None, true) => Healthcheck::ready(),
        (Some(healthcheck), false) => healthcheck,
        (Some(healthcheck), true) => healthcheck.and_ready(),
    };
    let address = vm.interfaces.first().map(|interface| interface.ip);
    Gate::Healthy { vm: vm.name.clone(), address, healthcheck }
}

/// Vms that are as they should be, but whose health a step of the plan depends on: nothing may start on the word of a
/// healthcheck that nobody has looked at in this run.
pub(super) fn awaited(desired: &DesiredState, drafts: &BTreeMap<ResourceId, Draft>) -> Vec<(ResourceId, Draft)> {
    let verify = |id: &ResourceId| {
        let dependents = desired.graph.dependents(id);
        let starts = |id: &ResourceId| {
            use Action::{Create, Replace, Restart, Start};
            drafts.get(id).is_some_and(|draft| matches!(draft.action, Create | Start | Restart | Replace))
        };
        let waits =
            |(dependent, condition): &&(&ResourceId, Condition)| *condition >= Condition::Healthy && starts(dependent);
        // A vm that ran on while its network was down may be cut off from it.
        let requirements = desired.graph.requirements(id);
        let cut_off =
            |(required, _): &&(&ResourceId, Condition)| matches!(required, ResourceId::Network(_)) && starts(required);
        let awaited = dependents.iter().find(waits).map(|(by, _)| Cause::Awaited { by: (*by).clone() });
        let network = || requirements.iter().find(cut_off).map(|(network, _)| (*network).clone());
        let cause = awaited.or_else(|| network().map(|network| Cause::CutOff { network }))?;
        Some(Draft {
            gate: gate(desired, id),
            wave: desired.graph.level(id).unwrap_or(0),
            ..Draft::new(id.clone(), Action::Verify, cause, Vec::new())
        })
    };
    let idle = desired.specs.keys().filter(|id| !drafts.contains_key(*id));
    idle.filter_map(|id| verify(id).map(|draft| (id.clone(), draft))).collect()
}

/// Lets each step wait for the steps of what its resource requires; through a resource without a step, for that one's.
pub(super) fn connect(graph: &Graph, drafts: &mut BTreeMap<ResourceId, Draft>) {
    let mut frontier: BTreeMap<ResourceId, BTreeMap<ResourceId, Milestone>> = BTreeMap::new();
    for id in graph.in_order() {
        let mut before: BTreeMap<ResourceId, Milestone> = BTreeMap::new();
        for (required, condition) in graph.requirements(id) {
            let milestone = if condition >= Condition::Healthy { Milestone::Passed } else { Milestone::Applied };
            let own = BTreeMap::from([(required.clone(), milestone)]);
            let through = if drafts.contains_key(required) { Some(&own) } else { frontier.get(required) };
            for (id, milestone) in through.into_iter().flatten() {
                // Of two ways to the same step, the one that asks for more holds.
                let entry = before.entry(id.clone()).or_insert(*milestone);
                *entry = (*milestone).max(*entry);
            }
        }
        match drafts.get_mut(id) {
            Some(draft) => draft.after = before,
            None => drop(frontier.insert(id.clone(), before)),
        }
    }
}

/// The same state, but a vm that is left alone keeps the address and the name that its networks reserve for it.
/// `None` where there is no such vm.
fn with_orphans(desired: &DesiredState, actual: &ActualState) -> Option<DesiredState> {
    let mut kept: Option<DesiredState> = None;
    for (id, found) in &actual.resources {
        let Spec::Network(recorded) = &found.recorded else { continue };
        for (vm, host) in &recorded.hosts {
            let id_of_vm = ResourceId::Vm(vm.clone());
            if desired.specs.contains_key(&id_of_vm) || !actual.resources.contains_key(&id_of_vm) {
                continue;
            }
            if let Some(Spec::Network(network)) = kept.get_or_insert_with(|| desired.clone()).specs.get_mut(id) {
                network.hosts.insert(vm.clone(), host.clone());
            }
        }
    }
    kept
}

fn orphans<'a>(desired: &DesiredState, actual: &'a ActualState) -> BTreeMap<&'a ResourceId, &'a Actual> {
    // A volume that the file no longer has is data that it no longer mentions: `down --volumes` is there for it.
    let counts = |id: &ResourceId| !matches!(id, ResourceId::Pool(_) | ResourceId::Volume(_));
    actual.resources.iter().filter(|(id, _)| counts(id) && !desired.specs.contains_key(id)).collect()
}

/// Deletes these resources, dependents first. The order is the recorded one: there may be no file any more.
fn deletions(going: &BTreeMap<&ResourceId, &Actual>, cause: &Cause) -> Result<Vec<Draft>, CycleError> {
    let graph = Graph::build(going.values().map(|actual| &actual.recorded))?;
    let last = graph.waves().len().saturating_sub(1);
    let draft = |(id, actual): (&&ResourceId, &&Actual)| {
        let operations = deletion(actual);
        Draft {
            effect: loss(&operations),
            after: graph.dependents(id).iter().map(|(id, _)| ((*id).clone(), Milestone::Applied)).collect(),
            wave: last - graph.level(id).unwrap_or(0),
            ..Draft::new((*id).clone(), Action::Delete, cause.clone(), operations)
        }
    };
    Ok(going.iter().map(draft).collect())
}

/// Gives the steps their numbers and sorts them into waves, without gaps.
pub(super) fn number(
    desired: &DesiredState,
    drafts: BTreeMap<ResourceId, Draft>,
    unchanged: Vec<ResourceId>,
    orphans: Vec<ResourceId>,
    kept: Vec<ResourceId>,
) -> Plan {
    let levels: BTreeSet<usize> = drafts.values().map(|draft| draft.wave).collect();
    let mut waves: BTreeMap<usize, Vec<Draft>> = levels.iter().map(|level| (*level, Vec::new())).collect();
    for draft in drafts.into_values() {
        waves.entry(draft.wave).or_default().push(draft);
    }
    let in_order = waves.values().flatten();
    let ids: BTreeMap<ResourceId, StepId> =
        in_order.enumerate().map(|(n, draft)| (draft.resource.clone(), StepId(n))).collect();
    let step = |draft: Draft| Step {
        id: ids[&draft.resource],
        origin: desired.origins.get(&draft.resource).cloned(),
        action: draft.action,
        cause: draft.cause,
        changes: draft.changes,
        effect: draft.effect,
        operations: draft.operations,
        after: draft.after.iter().map(|(id, milestone)| (ids[id], *milestone)).collect(),
        gate: draft.gate,
        resource: draft.resource,
    };
    let wave = |drafts: Vec<Draft>| Wave { steps: drafts.into_iter().map(step).collect() };
    let waves = waves.into_values().map(wave).collect();
    Plan { project: desired.project.clone(), waves, unchanged, orphans, kept }
}
