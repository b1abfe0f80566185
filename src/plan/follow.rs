//! Vms that are restarted because another is: those that say `restart: true` of a vm, and those on a network that cannot be
//! plugged in otherwise, and those whose volume is made anew because somebody deleted it.
//!
//! Owns these rules. Knows nothing of why the other is restarted.

use std::collections::BTreeMap;

use crate::model::Spec;
use crate::names::ResourceId;
use crate::plan::draft::Draft;
use crate::plan::lost::instead;
use crate::plan::network::needs_reboots;
use crate::plan::operation::Operation;
use crate::plan::planner::gate;
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

/// Adds a step for each vm that goes along with one that is restarted or replaced, however far away.
pub(super) fn follow(desired: &DesiredState, actual: &ActualState, drafts: &mut BTreeMap<ResourceId, Draft>) {
    // In order, so that one that goes along takes along those that depend on it.
    for id in desired.graph.in_order() {
        let Some(vm) = desired.specs.get(id).and_then(|spec| spec.as_vm()) else { continue };
        let runs = actual.resources.get(id).is_some_and(|found| found.phase == Phase::Running);
        let changes = drafts.get(id).is_some_and(|draft| draft.action != Action::Update);
        if !runs || changes {
            continue;
        }
        let moved = vm.interfaces.iter().map(|nic| ResourceId::Network(nic.network.clone()));
        let moved = moved.into_iter().find(|network| reboots(desired, actual, drafts, network));
        let restarts = |other: &ResourceId| {
            drafts.get(other).is_some_and(|draft| matches!(draft.action, Action::Restart | Action::Replace))
        };
        let mut others = vm.depends_on.iter().filter(|(_, on)| on.restart);
        let other = others.find_map(|(name, _)| Some(ResourceId::Vm(name.clone())).filter(&restarts));
        let instead = instead(desired, actual, id);
        let Some(with) = moved.or(other).or(instead) else { continue };
        let stop = Operation::StopVm { name: vm.name.clone(), grace: vm.stop_grace_period };
        let again = [stop, Operation::StartVm(vm.name.clone())];
        let draft = drafts.entry(id.clone()).or_insert_with(|| Draft {
            gate: gate(desired, id),
            wave: desired.graph.level(id).unwrap_or(0),
            ..Draft::new(id.clone(), Action::Restart, Cause::Along { with }, Vec::new())
        });
        draft.action = Action::Restart;
        draft.effect = draft.effect.max(Some(Effect::Reboot));
        // What is done in the guest is done in the one that stays up.
        let tasks = draft.operations.iter().position(|operation| matches!(operation, Operation::Provision(_)));
        let at = tasks.unwrap_or(draft.operations.len());
        draft.operations.splice(at..at, again);
    }
}
