//! Vms that are restarted because another is: those that say `restart: true` of a vm, and those on a network that cannot be
//! plugged in otherwise, and those whose volume is made anew because somebody deleted it.
//!
//! Owns these rules. Knows nothing of why the other is restarted.

use std::collections::BTreeMap;

use crate::model::{Spec, Vm};
use crate::names::ResourceId;
use crate::plan::draft::Draft;
use crate::plan::lost::instead;
use crate::plan::network::needs_reboots;
use crate::plan::operation::Operation;
use crate::plan::planner::{Chosen, gate};
use crate::plan::{Action, Cause, Effect};
use crate::state::{ActualState, DesiredState, Phase};

/// Whether a network is started anew in a way that only a restart of those on it can follow.
fn reboots(
    desired: &DesiredState,
    actual: &ActualState,
    drafts: &BTreeMap<ResourceId, Draft>,
    network: &ResourceId,
) -> bool {
    let recorded = actual.resources.get(network).map(|found| &found.recorded);
    let restarts = drafts.get(network).is_some_and(|draft| draft.action == Action::Restart);
    match (recorded, desired.specs.get(network)) {
        (Some(Spec::Network(from)), Some(Spec::Network(to))) => restarts && needs_reboots(from, to),
        _ => false,
    }
}

/// Whom a vm goes along with; `None` where with nobody. What needs it is left alone where dependencies are, but a guest never
/// stays on a volume that is gone.
fn company(
    desired: &DesiredState,
    actual: &ActualState,
    chosen: &Chosen<'_>,
    drafts: &BTreeMap<ResourceId, Draft>,
    vm: &Vm,
) -> Option<ResourceId> {
    let id = ResourceId::Vm(vm.name.clone());
    let networks = vm.interfaces.iter().map(|nic| ResourceId::Network(nic.network.clone()));
    let moved = || networks.into_iter().find(|network| reboots(desired, actual, drafts, network));
    let restarts = |other: &ResourceId| {
        drafts.get(other).is_some_and(|draft| matches!(draft.action, Action::Restart | Action::Replace))
    };
    let others = || vm.depends_on.iter().filter(|(_, on)| on.restart).map(|(name, _)| ResourceId::Vm(name.clone()));
    let along = || moved().or_else(|| others().find(restarts));
    let along = if chosen.takes_along() { along() } else { None };
    along.or_else(|| if chosen.has(&id) { instead(desired, actual, drafts, &id) } else { None })
}

/// Adds a step for each vm that goes along with one that is restarted or replaced, however far away.
pub(super) fn follow(
    desired: &DesiredState,
    actual: &ActualState,
    chosen: &Chosen<'_>,
    drafts: &mut BTreeMap<ResourceId, Draft>,
) {
    // In order, so that one that goes along takes along those that depend on it.
    for id in desired.graph.in_order() {
        let Some(vm) = desired.specs.get(id).and_then(|spec| spec.as_vm()) else { continue };
        let phase = actual.resources.get(id).map(|found| found.phase);
        // Who is held goes on only where the plan is about him.
        let held = phase == Some(Phase::Paused) && chosen.has(id);
        let stays = |draft: &Draft| matches!(draft.action, Action::Update | Action::Start);
        if !(held || phase == Some(Phase::Running)) || !drafts.get(id).is_none_or(stays) {
            continue;
        }
        let Some(with) = company(desired, actual, chosen, drafts, vm) else { continue };
        let cause = Cause::Along { with };
        let draft = drafts.entry(id.clone()).or_insert_with(|| Draft {
            gate: gate(desired, id),
            wave: desired.graph.level(id).unwrap_or(0),
            ..Draft::new(id.clone(), Action::Restart, cause.clone(), Vec::new())
        });
        if draft.action == Action::Start {
            draft.cause = cause;
        }
        draft.action = Action::Restart;
        draft.effect = draft.effect.max(Some(Effect::Reboot));
        again(vm, held, &mut draft.operations);
    }
}

/// Stops a vm and starts it again, besides what else is done. A guest that is held goes on before: it could not hear.
fn again(vm: &Vm, held: bool, operations: &mut Vec<Operation>) {
    let resumes = operations.iter().any(|operation| matches!(operation, Operation::ResumeVm(_)));
    let resume = (held && !resumes).then(|| Operation::ResumeVm(vm.name.clone()));
    let stop = Operation::StopVm { name: vm.name.clone(), grace: vm.stop_grace_period };
    let again = resume.into_iter().chain([stop, Operation::StartVm(vm.name.clone())]);
    // What is done in the guest is done in the one that stays up.
    let tasks = operations.iter().position(|operation| matches!(operation, Operation::Provision(_)));
    let at = tasks.unwrap_or(operations.len());
    operations.splice(at..at, again);
}
