//! Which operations make, start, change and remove one resource, in their order.
//!
//! Owns the recipes. Whether one is wanted is decided before; knows nothing of other resources.

use crate::model::{Spec, Task, Vm};
use crate::names::VmName;
use crate::plan::diff::FieldChange;
use crate::plan::operation::{Operation, Provision, VmDisk, VmSeed};
use crate::state::{Actual, Phase};
use crate::units::Span;

/// Makes a resource that is not there, and starts it where it can run. The seed of a vm is made before the vm is defined,
/// and its tasks are done once it runs.
pub(super) fn creation(spec: &Spec, seed: Option<VmSeed>, tasks: &[Task]) -> Vec<Operation> {
    match spec {
        Spec::Pool(pool) => vec![Operation::CreatePool(*pool)],
        Spec::Image(image) => vec![Operation::UploadImage(image.clone())],
        Spec::Network(network) => {
            vec![Operation::DefineNetwork(network.clone()), Operation::StartNetwork(network.name.clone())]
        }
        Spec::Volume(volume) => vec![Operation::CreateVolume(volume.clone())],
        Spec::Vm(vm) => {
            let rest = [Operation::DefineVm(done(vm, 0)), Operation::StartVm(vm.name.clone())];
            belongings(vm, seed).chain(rest).chain(provisioning(vm, tasks, 0)).collect()
        }
    }
}

/// Makes a vm anew, beside the disks that it has: while it still runs, what can be made meanwhile. What it had stays as it
/// is, for whoever has to put it back.
pub(super) fn replacement(from: &Vm, to: &Vm, phase: Phase, seed: Option<VmSeed>, tasks: &[Task]) -> Vec<Operation> {
    let active = !matches!(phase, Phase::Stopped | Phase::Completed);
    let stop = active.then(|| Operation::StopVm { name: from.name.clone(), grace: from.stop_grace_period });
    let redefine = Operation::RedefineVm { from: Box::new(from.clone()), to: done(to, 0) };
    let start = [redefine, Operation::StartVm(to.name.clone())];
    belongings(to, seed).chain(stop).chain(start).chain(provisioning(to, tasks, 0)).collect()
}

/// Makes what belongs to a vm alone.
fn belongings(vm: &Vm, seed: Option<VmSeed>) -> impl Iterator<Item = Operation> {
    let disks = VmDisk::of(vm).into_iter().map(Operation::CreateDisk);
    let seed = seed.map(|seed| Operation::CreateSeed(Box::new(seed)));
    let (name, generation) = (vm.name.clone(), vm.generation);
    let ignition = vm.ignition.clone().map(|config| Operation::CreateIgnition { vm: name, generation, config });
    disks.chain(seed).chain(ignition)
}

/// The vm as it is recorded when only the first tasks are done.
pub(super) fn done(vm: &Vm, tasks: usize) -> Box<Vm> {
    let mut vm = Box::new(vm.clone());
    vm.provision.truncate(tasks);
    vm
}

/// Does the tasks of a vm that runs, but for the first ones. Each is recorded when it is done, so that a run that was cut
/// short is taken up at the task that did not come to its end.
pub(super) fn provisioning(vm: &Vm, tasks: &[Task], first: usize) -> impl Iterator<Item = Operation> {
    /// How long a guest may take to boot and to end its cloud-init.
    const PATIENCE: Span = Span::secs(600);
    let boot = vm.healthcheck.as_ref().map_or(PATIENCE, |check| check.start_period.max(PATIENCE));
    let later = tasks.iter().enumerate().skip(first);
    later.map(move |(n, task)| {
        let (vm, task) = (done(vm, n + 1), task.clone());
        // Whoever gives a task more time has a guest that needs it.
        let patience = boot.max(task.timeout);
        Operation::Provision(Box::new(Provision { vm, task, patience }))
    })
}

/// Does again what changed, and all tasks after it, which may build on it.
pub(super) fn provisioning_again(recorded: &Spec, spec: &Spec, tasks: &[Task]) -> Vec<Operation> {
    match (recorded, spec) {
        (Spec::Vm(from), Spec::Vm(to)) => provisioning(to, tasks, same_tasks(from, to)).collect(),
        _ => Vec::new(),
    }
}

/// How many tasks, from the first, are as they were.
pub(super) fn same_tasks(from: &Vm, to: &Vm) -> usize {
    let same = |(from, to): &(&_, &_)| from == to;
    from.provision.iter().zip(&to.provision).take_while(same).count()
}

/// Starts what is there but does not run; nothing where it runs.
pub(super) fn starting(spec: &Spec, phase: Phase) -> Vec<Operation> {
    match spec {
        _ if phase == Phase::Running => Vec::new(),
        Spec::Pool(pool) => vec![Operation::StartPool(*pool)],
        Spec::Network(network) => vec![Operation::StartNetwork(network.name.clone())],
        Spec::Vm(vm) if phase == Phase::Paused => vec![Operation::ResumeVm(vm.name.clone())],
        Spec::Vm(vm) if phase == Phase::Saved => waking(&vm.name),
        Spec::Vm(vm) => vec![Operation::StartVm(vm.name.clone())],
        Spec::Image(_) | Spec::Volume(_) => Vec::new(),
    }
}

/// Lets a saved vm go on; its guest does not know how much time has passed.
pub(super) fn waking(vm: &VmName) -> Vec<Operation> {
    vec![Operation::RestoreVm(vm.clone()), Operation::SetClock(vm.clone())]
}

/// Changes a resource in place; `None` where nothing differs, or nothing can be done. Changes of vms and networks are more
/// than a recipe.
pub(super) fn update(recorded: &Spec, spec: &Spec, changes: &[FieldChange]) -> Option<Operation> {
    if changes.is_empty() {
        return None;
    }
    match (recorded, spec) {
        (Spec::Image(_), Spec::Image(to)) => Some(Operation::UploadImage(to.clone())),
        (Spec::Volume(from), Spec::Volume(to)) => Some(Operation::GrowVolume { volume: to.clone(), from: from.size }),
        _ => None,
    }
}

/// Removes a resource: stops it first where it is active, and takes what belongs to it alone.
pub(super) fn deletion(actual: &Actual) -> Vec<Operation> {
    let active = !matches!(actual.phase, Phase::Stopped | Phase::Completed | Phase::Saved);
    match &actual.recorded {
        Spec::Pool(pool) => vec![Operation::DeletePool(*pool)],
        Spec::Image(image) => vec![Operation::DeleteImage(image.clone())],
        Spec::Volume(volume) => vec![Operation::DeleteVolume(volume.clone())],
        Spec::Network(network) => {
            let stop = active.then(|| Operation::StopNetwork(network.name.clone()));
            stop.into_iter().chain([Operation::UndefineNetwork(network.clone())]).collect()
        }
        // Nothing of it is ours but what is recorded with it.
        Spec::Vm(vm) if vm.existing().is_some() => {
            let stop = active.then(|| Operation::StopVm { name: vm.name.clone(), grace: vm.stop_grace_period });
            stop.into_iter().chain([Operation::ReleaseVm(vm.clone())]).collect()
        }
        Spec::Vm(vm) => {
            let stop = active.then(|| Operation::StopVm { name: vm.name.clone(), grace: vm.stop_grace_period });
            let disks = VmDisk::of(vm).into_iter().map(Operation::DeleteDisk);
            let seed = || Operation::DeleteSeed { vm: vm.name.clone(), generation: vm.generation };
            let seed = vm.has_seed().then(seed);
            let snapshots = actual
                .seen
                .iter()
                .flat_map(|seen| &seen.snapshots)
                .map(|moment| Operation::DeleteSnapshot { vm: vm.name.clone(), moment: Box::new(moment.clone()) });
            let gone = stop.into_iter().chain(snapshots).chain([Operation::UndefineVm(vm.clone())]);
            gone.chain(seed).chain(disks).collect()
        }
    }
}
