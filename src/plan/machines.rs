//! Machines that somebody else made: those that are left off, and those that would be gone for good once they are stopped.
//!
//! Owns what that means for their gates and for who waits for them. Knows nothing of what a machine consists of.

use std::collections::BTreeMap;

use crate::model::{Boot, Condition, Origin, Spec};
use crate::names::ResourceId;
use crate::plan::draft::Draft;
use crate::plan::obstacle::Obstacle;
use crate::plan::planner::{Chosen, gate};
use crate::plan::{Action, Gate};
use crate::state::{Actual, ActualState, DesiredState, Phase};

/// Whether somebody else made it.
pub(super) fn is_machine(spec: &Spec) -> bool {
    spec.as_vm().is_some_and(|vm| vm.existing().is_some())
}

/// Whether a vm is left off where it is off: somebody else made it, and the file does not ask for more.
pub(super) fn rests(spec: &Spec) -> bool {
    spec.as_vm().is_some_and(|vm| matches!(vm.boot, Boot::Existing { start: false, .. }))
}

/// Whether it is off, and left so: it reaches nothing. One that did its work has come as far as anybody asks.
pub(super) fn resting(desired: &DesiredState, actual: &ActualState, id: &ResourceId) -> bool {
    let phase = actual.resources.get(id).map(|found| found.phase);
    let done = phase == Some(Phase::Completed) && gate(desired, id).is_completion();
    rests(&desired.specs[id]) && phase != Some(Phase::Running) && !done
}

/// Takes the gates from vms that are left off. Whoever starts and needs one healthy would wait for ever.
pub(super) fn without_gates(
    desired: &DesiredState,
    actual: &ActualState,
    chosen: &Chosen<'_>,
    drafts: &mut BTreeMap<ResourceId, Draft>,
) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    for id in desired.specs.keys().filter(|id| chosen.has(id) && resting(desired, actual, id)) {
        let Some(vm) = id.as_vm() else { continue };
        drafts.entry(id.clone()).and_modify(|draft| draft.gate = Gate::None);
        if drafts.get(id).is_some_and(|draft| draft.action == Action::Verify) {
            drafts.remove(id);
        }
        let waiting = desired.graph.dependents(id).into_iter().filter(|(_, asks)| *asks >= Condition::Healthy);
        for (waiting, _) in waiting.filter(|(waiting, _)| drafts.get(*waiting).is_some_and(Draft::starts)) {
            let problem =
                format!("{waiting} waits for what it never reaches: it is off, and `start: false` leaves it so");
            let hint = format!("start it with `vmcompose start {vm}`, or wait only until it is `started`");
            let origin = desired.origins.get(id).cloned();
            obstacles.push(Obstacle::Machine { vm: vm.clone(), problem, hint, origin });
        }
    }
    obstacles
}

/// A machine whose definition somebody removed while it runs: it cannot be changed, and nothing of it is left when it stops.
pub(super) fn fleeting(found: &Actual, origin: Option<&Origin>) -> Option<Obstacle> {
    let vm = found.recorded.as_vm()?;
    let machine = vm.existing()?;
    let defined = found.seen.as_ref().is_none_or(|seen| seen.persistent);
    let problem = || {
        format!(
            "somebody removed the definition of machine `{machine}` while it runs; nothing of it is left once it stops"
        )
    };
    let hint = || format!("`virsh dumpxml {machine} > FILE` and `virsh define FILE` give it one again");
    let (vm, origin) = (vm.name.clone(), origin.cloned());
    (!defined).then(|| Obstacle::Machine { vm, problem: problem(), hint: hint(), origin })
}
