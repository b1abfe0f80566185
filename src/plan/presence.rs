//! Whether what an operation brings about is so on the hypervisor, as far as a look at it tells.
//!
//! Owns the question that stands before every undo of a run that was cut short: its journal says what was meant, only
//! the hypervisor knows what came of it. Pure; knows nothing of journals.

use crate::model::hardware::Limits;
use crate::model::{Image, Interface, Moment, Spec, Vm};
use crate::names::{Generation, ResourceId, VmName};
use crate::plan::operation::{Device, Operation, VmDisk};
use crate::state::seen::disk_name;
use crate::state::{Actual, ActualState, Phase, Shape};

/// What a look tells of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// What it brings about is so.
    There,
    /// It is not.
    Gone,
    /// The object is there, but neither as the operation makes it nor as it was: somebody changed it since.
    Changed,
    /// A look cannot tell. Its undo is harmless either way, as every operation is.
    Unknown,
}

impl Presence {
    fn of(there: bool) -> Self {
        if there { Self::There } else { Self::Gone }
    }
}

impl Operation {
    /// Whether what it brings about is so.
    pub fn presence(&self, actual: &ActualState) -> Presence {
        let found = |id: ResourceId| actual.resources.get(&id);
        let phase = |id: ResourceId| actual.resources.get(&id).map(|actual| actual.phase);
        let vm_phase = |vm: &VmName| phase(ResourceId::Vm(vm.clone()));
        match self {
            Self::CreatePool(pool) => Presence::of(found(ResourceId::Pool(*pool)).is_some()),
            Self::DeletePool(pool) => Presence::of(found(ResourceId::Pool(*pool)).is_none()),
            Self::StartPool(_) | Self::StartNetwork(_) => Presence::of(phase(self.resource()) == Some(Phase::Running)),
            // What is not there does not run either; its definition may come back before.
            Self::StopPool(_) | Self::StopNetwork(_) => Presence::of(phase(self.resource()) != Some(Phase::Running)),
            Self::CreateVolume(_) => Presence::of(found(self.resource()).is_some()),
            Self::UploadImage(image) => Presence::of(has_image(actual, image)),
            Self::DeleteImage(image) => Presence::of(!has_image(actual, image)),
            Self::DefineNetwork(network) => defined(&Spec::Network(network.clone()), actual),
            Self::DefineVm(vm) | Self::AdoptVm(vm) => defined(&Spec::Vm(vm.clone()), actual),
            Self::UpdateNetwork { from, to } => {
                changed(found(self.resource()), &Spec::Network((**from).clone()), &Spec::Network((**to).clone()))
            }
            Self::RecordVm { from, to } => {
                changed(found(self.resource()), &Spec::Vm(from.clone()), &Spec::Vm(to.clone()))
            }
            Self::RedefineVm { from, to } => redefined(found(self.resource()), from, to),
            Self::SetMemory { from, to, .. } => {
                match live(found(self.resource()), &from.kib_ceil(), &to.kib_ceil(), |shape| shape.memory.kib_ceil()) {
                    // A guest gives back when it likes, and may be on the way.
                    Presence::Changed => Presence::Unknown,
                    certain => certain,
                }
            }
            Self::SetCpus { from, to, .. } => live(found(self.resource()), from, to, |shape| shape.cpus),
            Self::SetLimits { from, to, .. } => {
                match live(found(self.resource()), from, to, |shape| Box::new(shape.limits.clone())) {
                    Presence::Changed if halfway(found(self.resource()), from, to) => Presence::Unknown,
                    certain => certain,
                }
            }
            Self::Attach { device, .. } => Presence::of(has_device(found(self.resource()), device)),
            Self::Detach { device, .. } => match found(self.resource()).and_then(running) {
                // A vm that is off, or gone, has it again as soon as it is as it was.
                None => Presence::Gone,
                Some(_) => Presence::of(!has_device(found(self.resource()), device)),
            },
            Self::FillSeed(seed) => Presence::of(actual.filled_seeds.contains(&seed.vm)),
            Self::CreateDisk(disk) => Presence::of(has_disk(actual, disk)),
            Self::CreateSeed(seed) => Presence::of(has_seed(actual, &seed.vm, seed.generation)),
            Self::CreateIgnition { vm, generation, .. } => Presence::of(has_seed(actual, vm, *generation)),
            Self::UndefineNetwork(_) | Self::UndefineVm(_) | Self::ReleaseVm(_) | Self::DeleteVolume(_) => {
                Presence::of(found(self.resource()).is_none())
            }
            Self::GrowVolume { volume, .. } => {
                let size = |actual: &Actual| match &actual.recorded {
                    Spec::Volume(volume) => Some(volume.size),
                    _ => None,
                };
                Presence::of(found(self.resource()).and_then(size) == Some(volume.size.whole_kib()))
            }
            Self::GrowDisk { vm, disk, to, .. } => {
                Presence::of(actual.disk_sizes.get(&(vm.clone(), disk.clone())) == Some(&to.whole_kib()))
            }
            Self::DeleteDisk(disk) => Presence::of(!has_disk(actual, disk)),
            Self::DeleteSeed { vm, generation } => Presence::of(!has_seed(actual, vm, *generation)),
            Self::StartVm(vm) => Presence::of(vm_phase(vm).is_some_and(|phase| !is_off(phase))),
            Self::StopVm { name, .. } => Presence::of(vm_phase(name).is_none_or(is_off)),
            Self::ResumeVm(vm) => Presence::of(vm_phase(vm) == Some(Phase::Running)),
            Self::PauseVm(vm) => Presence::of(vm_phase(vm) == Some(Phase::Paused)),
            Self::RestoreVm(vm) => Presence::of(vm_phase(vm).is_some_and(|phase| !is_off(phase))),
            Self::SaveVm(vm) => Presence::of(vm_phase(vm) == Some(Phase::Saved)),
            Self::Plug { vm, interface, on } => plugged(found(ResourceId::Vm(vm.clone())), interface, *on),
            Self::CreateSnapshot { vm, moment } => Presence::of(has_snapshot(actual, vm, moment)),
            Self::DeleteSnapshot { vm, moment } => Presence::of(!has_snapshot(actual, vm, moment)),
            // What was done inside a guest cannot be seen. A new kind of operation is undone unseen until it is told apart.
            _ => Presence::Unknown,
        }
    }
}

fn is_off(phase: Phase) -> bool {
    matches!(phase, Phase::Stopped | Phase::Completed | Phase::Saved)
}

/// Of a vm that is off, a plug tells nothing: it is plugged in when it starts.
fn plugged(found: Option<&Actual>, interface: &Interface, on: bool) -> Presence {
    let running = found.and_then(|found| found.seen.as_ref()).and_then(|seen| seen.running.as_ref());
    running.map_or(Presence::Unknown, |shape| Presence::of(shape.astray.contains_key(&interface.mac) != on))
}

fn defined(spec: &Spec, actual: &ActualState) -> Presence {
    match actual.resources.get(&spec.id()) {
        None => Presence::Gone,
        Some(found) if same(&found.recorded, spec) => Presence::There,
        Some(_) => Presence::Changed,
    }
}

/// An update that was cut short shows the old record and may have done a part; so only a third state tells anything.
fn changed(found: Option<&Actual>, from: &Spec, to: &Spec) -> Presence {
    match found.map(|actual| &actual.recorded) {
        None => Presence::Gone,
        Some(recorded) if same(recorded, from) || same(recorded, to) => Presence::Unknown,
        Some(_) => Presence::Changed,
    }
}

/// The definition is replaced by one call and what is beside it by another, so that the old record alone does not say that
/// nothing was done. Of firmware that leaves variables behind, the old definition goes before the new one comes.
fn redefined(found: Option<&Actual>, from: &Vm, to: &Vm) -> Presence {
    let spec = |vm: &Vm| Spec::Vm(Box::new(vm.clone()));
    match found {
        None if from.hardware.firmware != to.hardware.firmware => Presence::Unknown,
        None => Presence::Gone,
        Some(found) if same(&found.recorded, &spec(to)) => Presence::There,
        Some(found) if same(&found.recorded, &spec(from)) => {
            let beside = found.seen.as_ref().is_some_and(|seen| seen.autostart == from.autostart);
            if beside { Presence::Gone } else { Presence::Unknown }
        }
        Some(_) => Presence::Changed,
    }
}

/// What a vm has while it runs; `None` where it does not.
fn running(found: &Actual) -> Option<&Shape> {
    found.seen.as_ref().and_then(|seen| seen.running.as_ref())
}

/// A change that is made to a running vm alone. One that is off has lost it, and starts as it is defined.
fn live<T: PartialEq>(found: Option<&Actual>, from: &T, to: &T, of: impl Fn(&Shape) -> T) -> Presence {
    match found.and_then(running).map(of) {
        None => Presence::Gone,
        Some(is) if is == *to => Presence::There,
        Some(is) if is == *from => Presence::Gone,
        Some(_) => Presence::Changed,
    }
}

/// Whether each limit is as it was or as it shall be: they are set one after the other.
fn halfway(found: Option<&Actual>, from: &Limits, to: &Limits) -> bool {
    fn known<T: PartialEq>(is: &T, from: &T, to: &T) -> bool {
        is == from || is == to
    }
    found.and_then(running).map(|shape| &shape.limits).is_some_and(|is| {
        known(&is.cpu_shares, &from.cpu_shares, &to.cpu_shares)
            && known(&is.cpu_quota, &from.cpu_quota, &to.cpu_quota)
            && known(&is.memory_hard, &from.memory_hard, &to.memory_hard)
            && known(&is.memory_soft, &from.memory_soft, &to.memory_soft)
            && known(&is.disk, &from.disk, &to.disk)
            && known(&is.download, &from.download, &to.download)
            && known(&is.upload, &from.upload, &to.upload)
    })
}

/// Whether a vm that runs has a device. An interface that its record does not have yet looks like somebody else's.
fn has_device(found: Option<&Actual>, device: &Device) -> bool {
    let foreign = |shape: &Shape, name: &str| shape.foreign.iter().any(|other| other.name == name);
    found.and_then(running).is_some_and(|shape| match device {
        Device::Disk(disk) => shape.disks.contains(&disk_name(disk)),
        Device::Interface(nic) => {
            shape.interfaces.contains(&nic.mac) || foreign(shape, &format!("interface `{}`", nic.mac))
        }
        Device::Foreign(other) => foreign(shape, &other.name),
    })
}

/// Whether a record is that of a spec. What was done in a vm since then is recorded with it, and changes nothing about it.
fn same(recorded: &Spec, spec: &Spec) -> bool {
    let (Spec::Vm(recorded), Spec::Vm(spec)) = (recorded, spec) else { return recorded == spec };
    let plain = |vm: &Vm| Vm { provision: Vec::new(), ..vm.clone() };
    plain(recorded) == plain(spec)
}

fn has_image(actual: &ActualState, image: &Image) -> bool {
    let others = actual.other_images.get(&image.name).into_iter().flatten();
    let all = actual.resources.get(&ResourceId::Image(image.name.clone())).into_iter().chain(others);
    all.map(|found| &found.recorded).any(|found| matches!(found, Spec::Image(other) if other.digest == image.digest))
}

fn has_disk(actual: &ActualState, disk: &VmDisk) -> bool {
    let recorded = actual.resources.get(&ResourceId::Vm(disk.vm.clone())).and_then(|found| found.recorded.as_vm());
    let is = |own: &VmDisk| own.disk == disk.disk && own.generation == disk.generation;
    let own = recorded.is_some_and(|vm| VmDisk::of(vm).iter().any(is));
    own || actual.loose_disks.contains(&(disk.vm.clone(), disk.disk.clone(), disk.generation))
}

fn has_snapshot(actual: &ActualState, vm: &VmName, moment: &Moment) -> bool {
    let seen = actual.resources.get(&ResourceId::Vm(vm.clone())).and_then(|found| found.seen.as_ref());
    seen.is_some_and(|seen| seen.snapshots.iter().any(|kept| kept.snapshot.id == moment.snapshot.id))
}

fn has_seed(actual: &ActualState, vm: &VmName, generation: Generation) -> bool {
    let recorded = actual.resources.get(&ResourceId::Vm(vm.clone())).and_then(|found| found.recorded.as_vm());
    let own = recorded.is_some_and(|vm| vm.has_seed() && vm.generation == generation);
    own || actual.loose_seeds.contains(&(vm.clone(), generation))
}
