//! Compares two states and decides what has to be done: a pure, total, deterministic function.
//!
//! Owns every decision. What it returns is carried out as it stands; knows nothing of how.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::{Condition, Healthcheck, Network, Spec, Task};
use crate::names::{NetworkName, ResourceId, VmName};
use crate::plan::anew::{settled, viewed};
use crate::plan::change::{Change, change};
use crate::plan::deletion::{afresh, deletions, down, orphans, unmentioned};
use crate::plan::delivery::delivered;
use crate::plan::diff::changes;
use crate::plan::draft::{Draft, connect, number};
use crate::plan::effects::Lans;
use crate::plan::follow::follow;
use crate::plan::former::{formers, last, proving};
use crate::plan::growth::grown;
use crate::plan::hosts::{of_others, with_orphans};
use crate::plan::lost::{lost, told};
use crate::plan::machines::{fleeting, is_machine, rests, without_gates};
use crate::plan::network::{self, on, plugged};
use crate::plan::obstacle::{PlanError, not_offered, obstacle, protected, shrinking};
use crate::plan::operation::{Operation, VmSeed};
use crate::plan::pools::pool_trouble;
use crate::plan::recipe::{creation, deletion, provisioning_again, starting, update};
use crate::plan::refresh::refresh;
use crate::plan::{Action, Cause, Effect, Gate, Milestone, Plan};
use crate::state::{Actual, ActualState, DesiredState, Phase};

/// What the user asked for besides the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Where to go.
    pub goal: Goal,
    /// Whether resources that the file no longer has are deleted.
    pub remove_orphans: bool,
    /// On the way up, the vms that are meant; all where none is named.
    pub vms: BTreeSet<VmName>,
    /// Whether what those depend on is left alone.
    pub no_deps: bool,
    /// Vms that are made anew, whether anything asks for it or not.
    pub replace: BTreeSet<VmName>,
    /// Groups of replicas of which those are deleted that there shall be no more; then nothing else is meant but these and
    /// `vms`.
    #[serde(default)]
    pub surplus: BTreeSet<VmName>,
}

impl Options {
    /// All of a project, and nothing more than the goal asks for.
    pub const fn new(goal: Goal) -> Self {
        Self {
            goal,
            remove_orphans: false,
            vms: BTreeSet::new(),
            no_deps: false,
            replace: BTreeSet::new(),
            surplus: BTreeSet::new(),
        }
    }

    /// Whether something is deleted that is no longer wanted.
    pub(super) fn delete(&self, orphan: &Spec) -> bool {
        let group = orphan.as_vm().and_then(|vm| vm.replica_of.as_ref());
        self.remove_orphans || group.is_some_and(|group| self.surplus.contains(group))
    }
}

/// What a plan is about.
pub(super) struct Chosen<'a> {
    /// All where there is none.
    only: Option<BTreeSet<ResourceId>>,
    options: &'a Options,
}

impl<'a> Chosen<'a> {
    /// The vms that are named, and what they need.
    fn of(desired: &DesiredState, options: &'a Options) -> Self {
        let mut only = BTreeSet::new();
        let mut queue: Vec<ResourceId> = options.vms.iter().cloned().map(ResourceId::Vm).collect();
        while let Some(id) = queue.pop() {
            let required = desired.graph.requirements(&id).into_iter().map(|(required, _)| required);
            queue.extend(required.filter(|id| !options.no_deps || id.as_vm().is_none()).cloned());
            only.insert(id);
        }
        let all = options.vms.is_empty() && options.surplus.is_empty();
        Self { only: (!all).then_some(only), options }
    }

    /// Whether a vm that is there goes with this plan, because nobody wants it any more.
    pub(super) fn gives_up(&self, found: &Actual) -> bool {
        self.options.delete(&found.recorded)
    }

    /// Whether it is about a part of the project.
    pub(super) fn is_part(&self) -> bool {
        self.only.is_some()
    }

    /// Whether those that say `restart: true` go along, whoever they are.
    pub(super) fn takes_along(&self) -> bool {
        !self.options.no_deps
    }

    pub(super) fn has(&self, id: &ResourceId) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(id))
    }

    /// Whether a vm is made anew because somebody asks for it.
    pub(super) fn anew(&self, vm: &VmName) -> bool {
        self.options.replace.contains(vm)
    }
}

/// Where a plan leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// All that the file describes is there and runs.
    Up,
    /// What others changed is recorded, and nothing else is done.
    Refresh,
    /// Nothing of the project is there.
    Down {
        /// Not even its named volumes.
        volumes: bool,
    },
}

/// Makes the plan that leads from `actual` to `desired`.
pub fn plan(desired: &DesiredState, actual: &ActualState, options: &Options) -> Result<Plan, PlanError> {
    if let Some(first) = pools_first(desired, actual).filter(|_| options.goal != Goal::Refresh) {
        return Ok(first);
    }
    match options.goal {
        Goal::Up => up(desired, actual, options),
        Goal::Refresh => Ok(refresh(desired, actual)),
        Goal::Down { volumes } => down(desired, actual, volumes),
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

fn up(desired: &DesiredState, actual: &ActualState, options: &Options) -> Result<Plan, PlanError> {
    let with_orphans = with_orphans(desired, actual, options);
    let desired = with_orphans.as_ref().unwrap_or(desired);
    let chosen = Chosen::of(desired, options);
    let of_others = of_others(desired, actual, &chosen);
    let desired = of_others.as_ref().unwrap_or(desired);
    let (networks, before) = (networks(&desired.specs), recorded_networks(actual));
    let lans = Lans { before: &before, after: &networks };
    let (desired, actual) = (settled(desired, actual, &chosen, lans), viewed(desired, actual));
    let (desired, actual) = (desired.as_ref(), actual.as_ref());
    let mut obstacles = Vec::new();
    let mut drafts: BTreeMap<ResourceId, Draft> = BTreeMap::new();
    for (wave, ids) in desired.graph.waves().into_iter().enumerate() {
        for id in ids.into_iter().filter(|id| chosen.has(id)) {
            let found = actual.resources.get(id);
            obstacles.extend(obstacle(desired, actual, id, found, lans));
            obstacles.extend(shrinking(desired, actual, id));
            obstacles.extend(lost(desired, actual, &drafts, id));
            obstacles.extend(pool_trouble(desired, actual, id));
            obstacles.extend(not_offered(desired, actual, id));
            obstacles.extend(found.and_then(|found| fleeting(found, desired.origins.get(id))));
            let spec = &desired.specs[id];
            let seed = spec.as_vm().and_then(|vm| VmSeed::of(&desired.project, vm, &networks));
            let (gate, tasks) = (gate(desired, id), tasks(desired, id));
            let wanted = Wanted { spec, gate: &gate, seed, tasks, wave };
            let draft = match spec {
                Spec::Network(network) => decide_network(network, actual, wave),
                _ => decide(wanted, found, lans),
            };
            let draft = draft.map(|draft| told(afresh(draft, actual), spec, actual));
            drafts.extend(grown(draft, spec, &gate, actual, wave).map(|draft| (id.clone(), draft)));
        }
    }
    follow(desired, actual, &chosen, &mut drafts);
    deliver(desired, actual, &networks, &chosen, &mut drafts);
    let formers = formers(desired, actual, &chosen);
    let mut verified = awaited(desired, &drafts);
    verified.extend(proven(desired, &formers, &drafts));
    // Whoever wants no dependencies does not want to wait for them either.
    drafts.extend(verified.into_iter().filter(|(id, _)| chosen.has(id)));
    obstacles.extend(without_gates(desired, actual, &chosen, &mut drafts));
    connect(&desired.graph, &mut drafts);
    let unchanged =
        |id: &&ResourceId| chosen.has(id) && drafts.get(*id).is_none_or(|draft| draft.action == Action::Verify);
    let unchanged = desired.specs.keys().filter(unchanged).cloned().collect();

    let (going, left): (BTreeMap<&ResourceId, &Actual>, BTreeMap<_, _>) =
        orphans(desired, actual).into_iter().partition(|(_, orphan)| options.delete(&orphan.recorded));
    obstacles.extend(protected(desired, going.values().copied()));
    obstacles.extend(going.values().filter_map(|found| fleeting(found, None)));
    // Last, when all else has succeeded: until then a rollback can still put everything back.
    let done: BTreeMap<ResourceId, Milestone> = drafts.keys().map(|id| (id.clone(), Milestone::Passed)).collect();
    let first = drafts.values().map(|draft| draft.wave + 1).max().unwrap_or(0);
    for mut draft in deletions(&going, &Cause::Orphan)? {
        draft.wave += first;
        draft.after.extend(done.clone());
        drafts.insert(draft.resource.clone(), draft);
    }
    let machine = |(id, found): (&&ResourceId, &&Actual)| is_machine(&found.recorded).then(|| (*id).clone());
    let adopted = left.iter().filter_map(machine).collect();
    let mut left: Vec<ResourceId> = left.into_keys().cloned().collect();
    left.extend(unmentioned(desired, actual));
    left.sort();
    last(formers, &mut drafts);
    if !obstacles.is_empty() {
        return Err(PlanError::Blocked(obstacles));
    }
    Ok(Plan { adopted, ..number(desired, drafts, unchanged, left, Vec::new()) })
}

/// Secrets for every vm that starts, whatever it is that starts it.
fn deliver(
    desired: &DesiredState,
    actual: &ActualState,
    networks: &BTreeMap<NetworkName, Network>,
    chosen: &Chosen<'_>,
    drafts: &mut BTreeMap<ResourceId, Draft>,
) {
    for (id, spec) in &desired.specs {
        if !chosen.has(id) && !drafts.contains_key(id) {
            continue;
        }
        let Some(seed) = spec.as_vm().and_then(|vm| VmSeed::of(&desired.project, vm, networks)) else { continue };
        let wave = desired.graph.level(id).unwrap_or(0);
        let draft = delivered(drafts.remove(id), Some(&seed), spec, &gate(desired, id), actual);
        drafts.extend(draft.map(|draft| (id.clone(), Draft { wave, ..draft })));
    }
}

/// What has to be done to a network; `None` where nothing. Vms that ran on without it are plugged in.
fn decide_network(network: &Network, actual: &ActualState, wave: usize) -> Option<Draft> {
    let spec = Spec::Network(network.clone());
    let on_it = on(&network.name, actual);
    let Some(found) = actual.resources.get(&spec.id()) else {
        let operations = creation(&spec, None, &[]).into_iter().chain(plugged(network, &on_it)).collect();
        return Some(Draft { wave, ..Draft::new(spec.id(), Action::Create, Cause::Missing, operations) });
    };
    let Spec::Network(from) = &found.recorded else { return None };
    let change = network::change(from, network, found, actual.networks.get(&network.name), &on_it)?;
    let Change { action, cause, changes, effect, operations } = change;
    Some(Draft { changes, effect, wave, ..Draft::new(spec.id(), action, cause, operations) })
}

/// What is wanted of one resource, with what belongs to it.
struct Wanted<'a> {
    spec: &'a Spec,
    gate: &'a Gate,
    seed: Option<VmSeed>,
    tasks: &'a [Task],
    wave: usize,
}

/// What has to be done to one resource; `None` where nothing.
fn decide(wanted: Wanted<'_>, found: Option<&Actual>, lans: Lans<'_>) -> Option<Draft> {
    let Wanted { spec, gate, seed, tasks, wave } = wanted;
    let draft = |action, cause, operations| {
        let draft = Draft::new(spec.id(), action, cause, operations);
        Draft { gate: gate.clone(), wave, ..draft }
    };
    let Some(actual) = found else {
        return Some(draft(Action::Create, Cause::Missing, creation(spec, seed, tasks)));
    };
    if actual.phase == Phase::Incomplete {
        // A part of another content has another name on the hypervisor, and would stay there for ever.
        let stump = if changes(&actual.recorded, spec).is_empty() { Vec::new() } else { deletion(actual) };
        let operations = stump.into_iter().chain(creation(spec, seed, tasks)).collect();
        return Some(draft(Action::Create, Cause::Incomplete, operations));
    }
    let again = provisioning_again(&actual.recorded, spec, tasks);
    // A vm that has done its work is as it should be.
    let done = actual.phase == Phase::Completed && gate.is_completion() && again.is_empty();
    let start = if done || rests(spec) { Vec::new() } else { starting(spec, actual.phase) };
    if let (Spec::Vm(from), Spec::Vm(to)) = (&actual.recorded, spec)
        && let Some(change) = change(from, to, actual, seed, tasks, &start, lans)
    {
        let Change { action, cause, changes, effect, operations } = change;
        return Some(Draft { changes, effect, ..draft(action, cause, operations) });
    }
    let changes = changes(&actual.recorded, spec);
    match (update(&actual.recorded, spec, &changes), start.is_empty()) {
        (None, true) => None,
        (None, false) => {
            let cause = Cause::NotRunning { phase: actual.phase.as_str().to_owned() };
            Some(draft(Action::Start, cause, start))
        }
        (Some(update), _) => {
            let operations = std::iter::once(update).chain(start).collect();
            Some(Draft { changes, effect: Some(Effect::Live), ..draft(Action::Update, Cause::Changed, operations) })
        }
    }
}

/// What is done inside a vm; nothing where it is none.
fn tasks<'a>(desired: &'a DesiredState, id: &ResourceId) -> &'a [Task] {
    id.as_vm().and_then(|vm| desired.tasks.get(vm)).map_or(&[], Vec::as_slice)
}

pub(super) fn networks(specs: &BTreeMap<ResourceId, Spec>) -> BTreeMap<NetworkName, Network> {
    specs.values().filter_map(named_network).collect()
}

fn recorded_networks(actual: &ActualState) -> BTreeMap<NetworkName, Network> {
    actual.recorded().filter_map(named_network).collect()
}

fn named_network(spec: &Spec) -> Option<(NetworkName, Network)> {
    match spec {
        Spec::Network(network) => Some((network.name.clone(), network.clone())),
        _ => None,
    }
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
        let starts = |id: &ResourceId| drafts.get(id).is_some_and(Draft::starts);
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

/// Vms that were made anew by a run that was cut short: what they had before goes only when they are seen to stand.
fn proven(desired: &DesiredState, formers: &[Draft], drafts: &BTreeMap<ResourceId, Draft>) -> Vec<(ResourceId, Draft)> {
    let verify = |(vm, by): (VmName, ResourceId)| {
        let id = ResourceId::Vm(vm);
        let gate = gate(desired, &id);
        if gate == Gate::None || drafts.contains_key(&id) {
            return None;
        }
        let cause = Cause::Awaited { by };
        let wave = desired.graph.level(&id).unwrap_or(0);
        Some((id.clone(), Draft { gate, wave, ..Draft::new(id, Action::Verify, cause, Vec::new()) }))
    };
    proving(formers).into_iter().filter_map(verify).collect()
}
