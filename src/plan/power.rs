//! Plans for vms that are there: starting, stopping, restarting, holding.
//!
//! Owns which vms a word like `stop db` means, and their order. There need not be a file: order and gates are the
//! recorded ones. Nothing is made, changed or removed.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::Graph;
use crate::model::{Spec, Vm};
use crate::names::{ProjectName, ResourceId, VmName};
use crate::plan::delivery::delivered;
use crate::plan::draft::{Draft, connect, number};
use crate::plan::machines::fleeting;
use crate::plan::obstacle::PlanError;
use crate::plan::operation::{Operation, VmSeed};
use crate::plan::planner::{awaited, gate, networks};
use crate::plan::recipe::{starting, waking};
use crate::plan::{Action, Cause, Milestone, Plan};
use crate::state::{ActualState, DesiredState, Phase};
use crate::units::Span;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// What is off, crashed or held runs.
    Start,
    /// Guests shut down; the plug is pulled after this time, or after each vm's own.
    Stop(Option<Span>),
    /// Guests shut down and start again, what others wait for first.
    Restart(Option<Span>),
    /// Processors are held; memory stays.
    Pause,
    /// What is held goes on.
    Unpause,
    /// What they have in memory is put on a disk, and they are switched off.
    Suspend,
    /// What is suspended goes on.
    Wake,
    /// The plug is pulled at once.
    Kill,
}

/// Whom it is done to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// These; all where there is none.
    pub vms: BTreeSet<VmName>,
    /// Who else.
    pub company: Company,
}

/// Who goes along with the vms that were named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Company {
    /// Who is needed: what a vm that starts requires; who says `restart: true` of a vm that restarts.
    Needed,
    /// Nobody.
    Nobody,
    /// Everybody who requires them too.
    Dependents,
}

/// Makes the plan. A name that no recorded vm has is left out: that it is none has been told before.
pub fn power(
    project: &ProjectName,
    actual: &ActualState,
    power: Power,
    selection: &Selection,
) -> Result<Plan, PlanError> {
    let desired = recorded(project, actual)?;
    let chosen = chosen(&desired, power, selection);
    let networks = networks(&desired.specs);
    let forwards = matches!(power, Power::Start | Power::Restart(_) | Power::Unpause | Power::Wake);
    let (mut drafts, mut obstacles): (BTreeMap<ResourceId, Draft>, Vec<_>) = Default::default();
    for (id, cause) in chosen {
        let Some(found) = actual.resources.get(&id) else { continue };
        let Some((action, operations)) = operations(&found.recorded, found.phase, power) else { continue };
        if matches!(action, Action::Stop | Action::Restart | Action::Suspend) {
            obstacles.extend(fleeting(found, None));
        }
        let mut draft = Draft::new(id.clone(), action, cause, operations);
        draft.wave = desired.graph.level(&id).unwrap_or(0);
        if forwards {
            draft.gate = gate(&desired, &id);
            let seed = found.recorded.as_vm().and_then(|vm| VmSeed::of(project, vm, &networks));
            let gate = draft.gate.clone();
            drafts
                .extend(delivered(Some(draft), seed.as_ref(), &found.recorded, &gate, actual).map(|draft| (id, draft)));
        } else {
            drafts.insert(id, draft);
        }
    }
    if !obstacles.is_empty() {
        return Err(PlanError::Blocked(obstacles));
    }
    if forwards {
        drafts.extend(awaited(&desired, &drafts));
        connect(&desired.graph, &mut drafts);
    } else {
        backwards(&desired.graph, &mut drafts);
    }
    let unchanged = |id: &&ResourceId| drafts.get(*id).is_none_or(|draft| draft.action == Action::Verify);
    let unchanged = desired.specs.keys().filter(unchanged).cloned().collect();
    Ok(number(&desired, drafts, unchanged, Vec::new(), Vec::new()))
}

/// What was last applied, as if it were wanted: the order and the gates of a project without its file.
fn recorded(project: &ProjectName, actual: &ActualState) -> Result<DesiredState, PlanError> {
    let specs: BTreeMap<ResourceId, Spec> =
        actual.resources.iter().map(|(id, found)| (id.clone(), found.recorded.clone())).collect();
    let graph = Graph::build(specs.values())?;
    Ok(DesiredState { project: project.clone(), specs, graph, origins: BTreeMap::new(), tasks: BTreeMap::new() })
}

/// The resources in question, each with the reason.
fn chosen(desired: &DesiredState, power: Power, selection: &Selection) -> BTreeMap<ResourceId, Cause> {
    let named = |vm: &VmName| selection.vms.is_empty() || selection.vms.contains(vm);
    let mut chosen: BTreeMap<ResourceId, Cause> = BTreeMap::new();
    let vms = desired.specs.keys().filter(|id| id.as_vm().is_some_and(named));
    let mut queue: Vec<(ResourceId, Cause)> = vms.map(|id| (id.clone(), Cause::Asked)).collect();
    queue.reverse();
    while let Some((id, cause)) = queue.pop() {
        if chosen.contains_key(&id) {
            continue;
        }
        let along = company(desired, &id, power, selection.company);
        queue.extend(along.into_iter().map(|other| (other, Cause::Along { with: id.clone() })));
        chosen.insert(id, cause);
    }
    chosen
}

fn company(desired: &DesiredState, id: &ResourceId, power: Power, company: Company) -> Vec<ResourceId> {
    let dependents = || desired.graph.dependents(id).into_iter().filter(|(other, _)| other.as_vm().is_some());
    let needed: Vec<ResourceId> = match power {
        _ if company == Company::Nobody => return Vec::new(),
        Power::Start | Power::Unpause | Power::Wake => {
            desired.graph.requirements(id).into_iter().map(|(other, _)| other.clone()).collect()
        }
        Power::Restart(_) => {
            let Some(vm) = id.as_vm() else { return Vec::new() };
            let follows = |other: &Vm| other.depends_on.get(vm).is_some_and(|on| on.restart);
            let follows = |id: &ResourceId| desired.specs[id].as_vm().is_some_and(follows);
            dependents().map(|(other, _)| other).filter(|other| follows(other)).cloned().collect()
        }
        Power::Stop(_) | Power::Pause | Power::Suspend | Power::Kill => Vec::new(),
    };
    let all = (company == Company::Dependents).then(|| dependents().map(|(other, _)| other.clone()));
    needed.into_iter().chain(all.into_iter().flatten()).collect()
}

/// What has to be done to one resource; `None` where it is as it should be.
fn operations(recorded: &Spec, phase: Phase, power: Power) -> Option<(Action, Vec<Operation>)> {
    let Spec::Vm(vm) = recorded else {
        // A network that is down, for a vm that starts.
        let start = if matches!(power, Power::Start | Power::Wake) { starting(recorded, phase) } else { Vec::new() };
        return (!start.is_empty()).then_some((Action::Start, start));
    };
    let off = matches!(phase, Phase::Stopped | Phase::Completed | Phase::Crashed | Phase::Saved);
    let stop =
        |grace: Option<Span>| Operation::StopVm { name: vm.name.clone(), grace: grace.unwrap_or(vm.stop_grace_period) };
    Some(match (power, phase) {
        (Power::Start, Phase::Running)
        | (Power::Stop(_) | Power::Kill, Phase::Stopped | Phase::Completed | Phase::Saved) => {
            return None;
        }
        (Power::Start, _) => (Action::Start, starting(recorded, phase)),
        (Power::Stop(grace), _) => (Action::Stop, vec![stop(grace)]),
        (Power::Kill, _) => (Action::Stop, vec![stop(Some(Span::secs(0)))]),
        (Power::Restart(_), _) if off => (Action::Start, starting(recorded, phase)),
        (Power::Restart(grace), _) => (Action::Restart, vec![stop(grace), Operation::StartVm(vm.name.clone())]),
        (Power::Pause, Phase::Running) => (Action::Pause, vec![Operation::PauseVm(vm.name.clone())]),
        (Power::Unpause, Phase::Paused) => (Action::Start, vec![Operation::ResumeVm(vm.name.clone())]),
        (Power::Suspend, Phase::Running | Phase::Paused) => (Action::Suspend, vec![Operation::SaveVm(vm.name.clone())]),
        (Power::Wake, Phase::Saved) => (Action::Resume, waking(&vm.name)),
        (Power::Pause | Power::Unpause | Power::Suspend | Power::Wake, _) => return None,
    })
}

/// Lets each step wait for the steps of all who need its vm, however far away.
fn backwards(graph: &Graph, drafts: &mut BTreeMap<ResourceId, Draft>) {
    let last = drafts.values().map(|draft| draft.wave).max().unwrap_or(0);
    let ids: Vec<ResourceId> = drafts.keys().cloned().collect();
    for id in &ids {
        let mut after = BTreeMap::new();
        let mut queue = vec![id.clone()];
        let mut seen = BTreeSet::new();
        while let Some(at) = queue.pop() {
            for (dependent, _) in graph.dependents(&at) {
                if !seen.insert(dependent.clone()) {
                    continue;
                }
                if drafts.contains_key(dependent) {
                    after.insert(dependent.clone(), Milestone::Applied);
                } else {
                    queue.push(dependent.clone());
                }
            }
        }
        let draft = drafts.get_mut(id).expect("its own key");
        draft.after = after;
        draft.wave = last - draft.wave;
    }
}
