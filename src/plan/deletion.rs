//! What goes: whole projects, orphans, and what lies about of vms that are no more.
//!
//! Owns who goes and in which order. What the deletion of one resource consists of is a recipe.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::{CycleError, Graph};
use crate::names::{ResourceId, VmName};
use crate::plan::draft::{Draft, number};
use crate::plan::machines::{fleeting, is_machine};
use crate::plan::obstacle::{Obstacle, PlanError, protected};
use crate::plan::operation::{Operation, VmDisk};
use crate::plan::recipe::deletion;
use crate::plan::{Action, Cause, Effect, Milestone, Plan};
use crate::state::{Actual, ActualState, DesiredState};

/// Takes a project down.
pub(super) fn down(desired: &DesiredState, actual: &ActualState, volumes: bool) -> Result<Plan, PlanError> {
    let is_volume = |id: &ResourceId| matches!(id, ResourceId::Volume(_));
    let pool = |id: &ResourceId| matches!(id, ResourceId::Pool(_));
    let goes = |(id, _): &(&ResourceId, &Actual)| !pool(id) && (volumes || !is_volume(id));
    let going: BTreeMap<&ResourceId, &Actual> = actual.resources.iter().filter(goes).collect();
    let stay = going.iter().filter_map(|(id, found)| fleeting(found, desired.origins.get(*id)));
    let obstacles: Vec<Obstacle> = protected(desired, going.values().copied()).chain(stay).collect();
    if !obstacles.is_empty() {
        return Err(PlanError::Blocked(obstacles));
    }
    let kept = actual.resources.keys().filter(|id| is_volume(id) && !volumes).cloned().collect();
    let drafts = deletions(&going, &Cause::Down)?;
    let mut drafts: BTreeMap<ResourceId, Draft> =
        drafts.into_iter().map(|draft| (draft.resource.clone(), draft)).collect();
    for (name, others) in &actual.other_images {
        if let Some(draft) = drafts.get_mut(&ResourceId::Image(name.clone())) {
            draft.operations.extend(others.iter().flat_map(deletion));
        }
    }
    let owners: BTreeSet<&VmName> =
        actual.loose_disks.iter().map(|(vm, ..)| vm).chain(actual.loose_seeds.iter().map(|(vm, _)| vm)).collect();
    for vm in owners {
        let id = ResourceId::Vm(vm.clone());
        let draft = drafts.entry(id.clone()).or_insert_with(|| Draft::new(id, Action::Delete, Cause::Down, Vec::new()));
        let loose = loose(actual, vm);
        draft.effect = draft.effect.max(loss(&loose));
        draft.operations.extend(loose);
    }
    Ok(number(desired, drafts, Vec::new(), Vec::new(), kept))
}

/// The resources of the project that the file does not have.
pub(super) fn orphans<'a>(desired: &DesiredState, actual: &'a ActualState) -> BTreeMap<&'a ResourceId, &'a Actual> {
    let counts = |id: &ResourceId| !matches!(id, ResourceId::Pool(_) | ResourceId::Volume(_));
    actual.resources.iter().filter(|(id, _)| counts(id) && !desired.specs.contains_key(id)).collect()
}

/// The volumes that the file does not have. They are data that it no longer mentions: told, but never deleted with orphans.
pub(super) fn unmentioned<'a>(
    desired: &'a DesiredState,
    actual: &'a ActualState,
) -> impl Iterator<Item = ResourceId> + use<'a> {
    let volume = |id: &&ResourceId| matches!(id, ResourceId::Volume(_)) && !desired.specs.contains_key(*id);
    actual.resources.keys().filter(volume).cloned()
}

/// Deletes these resources, dependents first. The order is the recorded one: there may be no file any more.
pub(super) fn deletions(going: &BTreeMap<&ResourceId, &Actual>, cause: &Cause) -> Result<Vec<Draft>, CycleError> {
    let graph = Graph::build(going.values().map(|actual| &actual.recorded))?;
    let last = graph.waves().len().saturating_sub(1);
    let draft = |(id, actual): (&&ResourceId, &&Actual)| {
        let operations = deletion(actual);
        let action = if is_machine(&actual.recorded) { Action::Release } else { Action::Delete };
        Draft {
            effect: loss(&operations),
            after: graph.dependents(id).iter().map(|(id, _)| ((*id).clone(), Milestone::Applied)).collect(),
            wave: last - graph.level(id).unwrap_or(0),
            ..Draft::new((*id).clone(), action, cause.clone(), operations)
        }
    };
    Ok(going.iter().map(draft).collect())
}

/// A vm that is made while disks of its name lie about gets new ones: nobody knows what is on the old. So does one that
/// gets one disk more.
pub(super) fn afresh(mut draft: Draft, actual: &ActualState) -> Draft {
    if let Some(vm) = draft.resource.as_vm() {
        let name = |operation: &Operation| match operation {
            Operation::CreateDisk(disk) | Operation::DeleteDisk(disk) => Some((disk.disk.clone(), disk.generation)),
            _ => None,
        };
        let made: BTreeSet<_> = draft.operations.iter().filter_map(name).collect();
        let in_the_way = |operation: &Operation| {
            draft.action == Action::Create || name(operation).is_some_and(|name| made.contains(&name))
        };
        let loose: Vec<Operation> = loose(actual, vm).into_iter().filter(in_the_way).collect();
        draft.effect = draft.effect.max(loss(&loose));
        draft.operations.splice(0..0, loose);
    }
    draft
}

/// Deletes what lies about of a vm.
pub(super) fn loose(actual: &ActualState, vm: &VmName) -> Vec<Operation> {
    let own = actual.loose_disks.iter().filter(|(owner, ..)| owner == vm);
    let disks = own.map(|(vm, disk, generation)| {
        let (vm, generation, disk) = (vm.clone(), *generation, disk.clone());
        Operation::DeleteDisk(VmDisk { vm, generation, disk, size: None, backing: None })
    });
    let seeds = actual.loose_seeds.iter().filter(|(owner, _)| owner == vm);
    let seeds = seeds.map(|(vm, generation)| Operation::DeleteSeed { vm: vm.clone(), generation: *generation });
    disks.chain(seeds).collect()
}

/// Whether bytes that a user may have written go with these.
pub(super) fn loss(operations: &[Operation]) -> Option<Effect> {
    let loses = |operation: &Operation| {
        matches!(operation, Operation::DeleteVolume(_) | Operation::DeleteDisk(_) | Operation::DeleteSnapshot { .. })
    };
    operations.iter().any(loses).then_some(Effect::DataLoss)
}
