//! Which operations make, start, change and remove one resource, in their order.
//!
//! Owns the recipes. Whether one is wanted is decided before; knows nothing of other resources.

use crate::model::Spec;
use crate::plan::diff::FieldChange;
use crate::plan::operation::{Operation, VmDisk, VmSeed};
use crate::state::{Actual, Phase};

/// Makes a resource that is not there, and starts it where it can run. The seed of a vm is made before the vm is defined.
pub(super) fn creation(spec: &Spec, seed: Option<VmSeed>) -> Vec<Operation> {
    match spec {
        Spec::Pool(pool) => vec![Operation::CreatePool(*pool)],
        Spec::Image(image) => vec![Operation::UploadImage(image.clone())],
        Spec::Network(network) => {
            vec![Operation::DefineNetwork(network.clone()), Operation::StartNetwork(network.name.clone())]
        }
        Spec::Volume(volume) => vec![Operation::CreateVolume(volume.clone())],
        Spec::Vm(vm) => {
            let disks = VmDisk::of(vm).into_iter().map(Operation::CreateDisk);
            let rest = [Operation::DefineVm(vm.clone()), Operation::StartVm(vm.name.clone())];
            let seed = seed.map(|seed| Operation::CreateSeed(Box::new(seed)));
            disks.chain(seed).chain(rest).collect()
        }
    }
}

/// Starts what is there but does not run; nothing where it runs.
pub(super) fn starting(spec: &Spec, phase: Phase) -> Vec<Operation> {
    match spec {
        _ if phase == Phase::Running => Vec::new(),
        Spec::Pool(pool) => vec![Operation::StartPool(*pool)],
        Spec::Network(network) => vec![Operation::StartNetwork(network.name.clone())],
        Spec::Vm(vm) if phase == Phase::Paused => vec![Operation::ResumeVm(vm.name.clone())],
        Spec::Vm(vm) => vec![Operation::StartVm(vm.name.clone())],
        Spec::Image(_) | Spec::Volume(_) => Vec::new(),
    }
}

/// Changes a resource in place; `None` where nothing differs, or nothing can be done. Changes of vms are more than a recipe.
pub(super) fn update(recorded: &Spec, spec: &Spec, changes: &[FieldChange]) -> Option<Operation> {
    if changes.is_empty() {
        return None;
    }
    match (recorded, spec) {
        (Spec::Network(from), Spec::Network(to)) => {
            Some(Operation::UpdateNetwork { from: Box::new(from.clone()), to: Box::new(to.clone()) })
        }
        (Spec::Volume(from), Spec::Volume(to)) => Some(Operation::GrowVolume { volume: to.clone(), from: from.size }),
        _ => None,
    }
}

/// Removes a resource: stops it first where it is active, and takes what belongs to it alone.
pub(super) fn deletion(actual: &Actual) -> Vec<Operation> {
    let active = !matches!(actual.phase, Phase::Stopped | Phase::Completed);
    match &actual.recorded {
        Spec::Pool(pool) => vec![Operation::DeletePool(*pool)],
        Spec::Image(image) => vec![Operation::DeleteImage(image.clone())],
        Spec::Volume(volume) => vec![Operation::DeleteVolume(volume.clone())],
        Spec::Network(network) => {
            let stop = active.then(|| Operation::StopNetwork(network.name.clone()));
            stop.into_iter().chain([Operation::UndefineNetwork(network.clone())]).collect()
        }
        Spec::Vm(vm) => {
            let stop = active.then(|| Operation::StopVm { name: vm.name.clone(), grace: vm.stop_grace_period });
            let disks = VmDisk::of(vm).into_iter().map(Operation::DeleteDisk);
            let seed = vm.cloud_init.is_some().then(|| Operation::DeleteSeed(vm.name.clone()));
            stop.into_iter().chain([Operation::UndefineVm(vm.clone())]).chain(seed).chain(disks).collect()
        }
    }
}
