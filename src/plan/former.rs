//! What is left of vms that were made anew or have fewer disks, and of images whose content is another one now.
//!
//! Owns when that goes: last of all, when everything else stands. Until then a rollback puts the old vm back, on its old
//! disks.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Digest, Image, ImageRef, Spec};
use crate::names::{ImageName, ResourceId, VmName};
use crate::plan::chosen::Chosen;
use crate::plan::deletion::{loose, loss};
use crate::plan::draft::Draft;
use crate::plan::operation::{Operation, VmDisk};
use crate::plan::{Action, Cause, Milestone};
use crate::state::{ActualState, DesiredState, Phase};

/// Removes what no vm of the plan has any more.
pub(super) fn formers(desired: &DesiredState, actual: &ActualState, chosen: &Chosen<'_>) -> Vec<Draft> {
    let vms = desired.specs.keys().filter(|id| chosen.has(id)).filter_map(|id| vm(desired, actual, id));
    let images = images(actual).into_iter().filter(|(name, _)| chosen.has(&ResourceId::Image((*name).clone())));
    let images = images.filter_map(|(name, contents)| image(desired, actual, chosen, name, &contents));
    vms.chain(images).collect()
}

/// Lets them go when all these have passed, images last.
pub(super) fn last(formers: Vec<Draft>, drafts: &mut BTreeMap<ResourceId, Draft>) {
    let all = |drafts: &BTreeMap<ResourceId, Draft>| -> BTreeMap<ResourceId, Milestone> {
        drafts.keys().map(|id| (id.clone(), Milestone::Passed)).collect()
    };
    let is_vm = |draft: &Draft| matches!(draft.resource, ResourceId::FormerVm(_) | ResourceId::FormerDisks(_));
    let (vms, images): (Vec<Draft>, Vec<Draft>) = formers.into_iter().partition(is_vm);
    for some in [vms, images] {
        let (after, wave) = (all(drafts), drafts.values().map(|draft| draft.wave + 1).max().unwrap_or(0));
        let some = some.into_iter().map(|draft| Draft { after: after.clone(), wave, ..draft });
        drafts.extend(some.map(|draft| (draft.resource.clone(), draft)));
    }
}

/// The disks and seeds of a vm that is there which are not those that it will have.
fn vm(desired: &DesiredState, actual: &ActualState, id: &ResourceId) -> Option<Draft> {
    let (to, from) = (desired.specs[id].as_vm()?, actual.resources.get(id)?.recorded.as_vm()?);
    let mut operations = Vec::new();
    let kept: Vec<VmDisk> = VmDisk::of(to);
    let is_kept = |disk: &VmDisk| kept.iter().any(|own| (&own.disk, own.generation) == (&disk.disk, disk.generation));
    operations.extend(VmDisk::of(from).into_iter().filter(|disk| !is_kept(disk)).map(Operation::DeleteDisk));
    if from.generation != to.generation {
        let seed = || Operation::DeleteSeed { vm: from.name.clone(), generation: from.generation };
        operations.extend(from.has_seed().then(seed));
    }
    let taken = |operation: &Operation| matches!(operation, Operation::DeleteDisk(disk) if is_kept(disk));
    operations.extend(loose(actual, &from.name).into_iter().filter(|operation| !taken(operation)));
    let same =
        |operation: &Operation| matches!(operation, Operation::DeleteDisk(disk) if disk.generation == to.generation);
    if operations.is_empty() {
        None
    } else if operations.iter().all(same) {
        let draft = deletion(ResourceId::FormerDisks(from.name.clone()), operations);
        Some(Draft { cause: Cause::Orphan, ..draft })
    } else {
        Some(deletion(ResourceId::FormerVm(from.name.clone()), operations))
    }
}

fn deletion(id: ResourceId, operations: Vec<Operation>) -> Draft {
    Draft { effect: loss(&operations), ..Draft::new(id, Action::Delete, Cause::Superseded, operations) }
}

/// All contents of all images, by their names.
fn images(actual: &ActualState) -> BTreeMap<&ImageName, Vec<&Image>> {
    let mut images: BTreeMap<&ImageName, Vec<&Image>> = BTreeMap::new();
    let known = actual.resources.values().filter(|found| found.phase != Phase::Incomplete);
    for found in known.chain(actual.other_images.values().flatten()) {
        if let Spec::Image(image) = &found.recorded {
            images.entry(&image.name).or_default().push(image);
        }
    }
    images
}

/// The contents of an image that nobody will be on.
fn image(
    desired: &DesiredState,
    actual: &ActualState,
    chosen: &Chosen<'_>,
    name: &ImageName,
    contents: &[&Image],
) -> Option<Draft> {
    let Some(Spec::Image(wanted)) = desired.specs.get(&ResourceId::Image(name.clone())) else { return None };
    let mut used: BTreeSet<&Digest> = users(desired, actual, chosen).filter_map(|image| of(name, image)).collect();
    used.insert(&wanted.digest);
    let idle = contents.iter().filter(|image| !used.contains(&image.digest));
    let operations: Vec<Operation> = idle.map(|image| Operation::DeleteImage((*image).clone())).collect();
    (!operations.is_empty()).then(|| deletion(ResourceId::FormerImage(name.clone()), operations))
}

fn of<'a>(name: &ImageName, image: &'a ImageRef) -> Option<&'a Digest> {
    image.digest.as_ref().filter(|_| image.name == *name)
}

/// What vms will be on after the plan: those that it is about on what they shall have, the others on what they have.
fn users<'a>(
    desired: &'a DesiredState,
    actual: &'a ActualState,
    chosen: &Chosen<'_>,
) -> impl Iterator<Item = &'a ImageRef> {
    let left = actual.resources.iter().filter(|(id, _)| !desired.specs.contains_key(id) || !chosen.has(id));
    let left = left.map(|(_, found)| &found.recorded).filter_map(Spec::as_vm);
    let wanted = desired.specs.values().filter_map(Spec::as_vm);
    left.chain(wanted).flat_map(|vm| vm.boot.images())
}

/// The vms whose replacement was done before, and only has to be seen to stand; each with what goes then.
pub(super) fn proving(formers: &[Draft]) -> BTreeMap<VmName, ResourceId> {
    let vm = |draft: &Draft| match &draft.resource {
        ResourceId::FormerVm(vm) | ResourceId::FormerDisks(vm) => Some((vm.clone(), draft.resource.clone())),
        _ => None,
    };
    formers.iter().filter_map(vm).collect()
}
