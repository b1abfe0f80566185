//! What asks for more than a hypervisor can do, or for less than a disk can be.
//!
//! Owns these two refusals. Knows nothing of what stands around a project.

use super::Obstacle;
use crate::model::Spec;
use crate::names::ResourceId;
use crate::plan::growth::resizes;
use crate::state::{ActualState, DesiredState, wires};

/// What a vm that is made or changed asks of the hypervisor in vain. One that is there as it should be proves by that that
/// it can be.
pub(in crate::plan) fn not_offered(
    desired: &DesiredState,
    actual: &ActualState,
    id: &ResourceId,
) -> impl Iterator<Item = Obstacle> {
    let spec = &desired.specs[id];
    let there = actual.resources.get(id).is_some_and(|found| found.recorded == *spec);
    let mut lacks = Vec::new();
    if let Some(vm) = spec.as_vm().filter(|_| !there) {
        lacks.extend(wires::lacks(vm));
        lacks.extend(actual.offer.iter().flat_map(|offer| offer.lacks(vm)));
    }
    let origin = desired.origins.get(id).cloned();
    let resource = id.clone();
    lacks.into_iter().map(move |(what, instead)| Obstacle::NotOffered {
        resource: resource.clone(),
        what,
        instead,
        origin: origin.clone(),
    })
}

/// The disks that would have to become smaller.
pub(in crate::plan) fn shrinking(desired: &DesiredState, actual: &ActualState, id: &ResourceId) -> Vec<Obstacle> {
    let shrinks = |disk: String, has, wants| {
        let origin = desired.origins.get(id).cloned();
        (wants < has).then_some(Obstacle::Shrinks { resource: id.clone(), disk, has, wants, origin })
    };
    let found = actual.resources.get(id).map(|found| &found.recorded);
    match (&desired.specs[id], found) {
        // What is made anew has new disks.
        (Spec::Vm(vm), Some(Spec::Vm(found))) if vm.generation != found.generation => Vec::new(),
        // Who made a disk larger by other means may keep it so.
        (Spec::Vm(vm), Some(Spec::Vm(found))) => resizes(vm, actual)
            .into_iter()
            .filter(|resize| !resize.is_drift(found))
            .filter_map(|resize| shrinks(format!("disk `{}` of {id}", resize.disk), resize.has, resize.wants))
            .collect(),
        (Spec::Volume(wanted), Some(Spec::Volume(found))) => {
            shrinks(id.to_string(), found.size, wanted.size.whole_kib()).into_iter().collect()
        }
        _ => Vec::new(),
    }
}
