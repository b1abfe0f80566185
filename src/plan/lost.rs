//! What somebody deleted by other means, with all that was on it.
//!
//! Owns how that is told and what follows: a named volume is made anew and empty, which is asked about like any loss; a disk
//! of a vm's own stands in the way until somebody asks for the vm to be made anew, and so does a volume that a saved memory
//! still knows. What cannot be seen is not lost.

use std::collections::BTreeMap;

use crate::model::{Disk, Spec, Vm};
use crate::names::{Pool, ResourceId};
use crate::plan::draft::Draft;
use crate::plan::obstacle::Obstacle;
use crate::plan::{Cause, Effect};
use crate::state::{ActualState, DesiredState, Phase};

/// Whose volume it was, where one that is to be made was there before.
fn owner(spec: &Spec, actual: &ActualState) -> Option<ResourceId> {
    let Spec::Volume(volume) = spec else { return None };
    let visible = match &volume.pool {
        None => actual.resources.get(&ResourceId::Pool(Pool::Disks)).is_some_and(|pool| pool.phase == Phase::Running),
        Some(pool) => actual.pools.get(pool).is_some_and(|pool| pool.active),
    };
    if !visible || actual.resources.contains_key(&spec.id()) {
        return None;
    }
    let has =
        |vm: &&Vm| vm.disks.iter().any(|disk| matches!(disk, Disk::Volume { volume: own } if *own == volume.name));
    actual.recorded().filter_map(Spec::as_vm).find(has).map(|vm| ResourceId::Vm(vm.name.clone()))
}

/// The step that makes a volume, where it was there before and is gone.
pub(super) fn told(draft: Draft, spec: &Spec, actual: &ActualState) -> Draft {
    match owner(spec, actual) {
        Some(by) => Draft { cause: Cause::Lost { by }, effect: Some(Effect::DataLoss), ..draft },
        None => draft,
    }
}

/// The volume that a vm of this spec had and that this plan makes anew: a guest that runs writes on to what nobody can open
/// any more.
pub(super) fn instead(
    desired: &DesiredState,
    actual: &ActualState,
    drafts: &BTreeMap<ResourceId, Draft>,
    id: &ResourceId,
) -> Option<ResourceId> {
    let disks = |spec: Option<&Spec>| spec.and_then(Spec::as_vm).map(|vm| vm.disks.clone()).unwrap_or_default();
    let had = disks(actual.resources.get(id).map(|found| &found.recorded));
    let both = disks(desired.specs.get(id)).into_iter().filter(|disk| had.contains(disk));
    let mut volumes = both.filter_map(|disk| match disk {
        Disk::Volume { volume } => Some(ResourceId::Volume(volume)),
        Disk::Own { .. } => None,
    });
    let made = |volume: &ResourceId| drafts.get(volume).is_some_and(|draft| matches!(draft.cause, Cause::Lost { .. }));
    volumes.find(made)
}

/// What keeps a vm from going on as it was: disks of its own that are gone, or a volume that its saved memory knows. Nothing
/// does where it is made anew anyway. `drafts` has what it needs.
pub(super) fn lost(
    desired: &DesiredState,
    actual: &ActualState,
    drafts: &BTreeMap<ResourceId, Draft>,
    id: &ResourceId,
) -> Vec<Obstacle> {
    let (Some(to), Some(found)) = (desired.specs[id].as_vm(), actual.resources.get(id)) else { return Vec::new() };
    if found.recorded.as_vm().is_none_or(|from| from.generation != to.generation) {
        return Vec::new();
    }
    let of_it = actual.lost_disks.iter().filter(|(vm, _)| *vm == to.name);
    let origin = || desired.origins.get(id).cloned();
    let disks = of_it.map(|(vm, disk)| Obstacle::LostDisk { vm: vm.clone(), disk: disk.clone(), origin: origin() });
    let saved = (found.phase == Phase::Saved).then(|| instead(desired, actual, drafts, id)).flatten();
    let saved = saved.map(|volume| Obstacle::LostVolume { vm: to.name.clone(), volume, origin: origin() });
    disks.chain(saved).collect()
}
