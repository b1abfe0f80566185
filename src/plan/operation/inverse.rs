//! What undoes an operation.
//!
//! Owns the inverses. When something is undone is the journal's business.

use super::Operation;
use crate::units::Span;

impl Operation {
    /// What undoes it; `None` where nothing does, because bytes are gone, or would be by undoing it.
    ///
    /// Where both are defined, `undo` of `undo` is the operation itself, up to the grace of a stop: a rollback does
    /// not wait for a guest that this run booted.
    pub fn undo(&self) -> Option<Self> {
        let now = Span::secs(0);
        Some(match self {
            Self::CreatePool(pool) => Self::DeletePool(*pool),
            Self::DeletePool(pool) => Self::CreatePool(*pool),
            Self::StartPool(pool) => Self::StopPool(*pool),
            Self::StopPool(pool) => Self::StartPool(*pool),
            Self::UploadImage(image) => Self::DeleteImage(image.clone()),
            Self::DefineNetwork(network) => Self::UndefineNetwork(network.clone()),
            Self::UndefineNetwork(network) => Self::DefineNetwork(network.clone()),
            Self::UpdateNetwork { from, to } => Self::UpdateNetwork { from: to.clone(), to: from.clone() },
            Self::StartNetwork(name) => Self::StopNetwork(name.clone()),
            Self::StopNetwork(name) => Self::StartNetwork(name.clone()),
            Self::CreateVolume(volume) => Self::DeleteVolume(volume.clone()),
            Self::CreateDisk(disk) => Self::DeleteDisk(disk.clone()),
            Self::CreateSeed(seed) => Self::DeleteSeed { vm: seed.vm.clone(), generation: seed.generation },
            Self::CreateIgnition { vm, generation, .. } => Self::DeleteSeed { vm: vm.clone(), generation: *generation },
            Self::FillSeed(seed) => Self::ScrubSeed(seed.clone()),
            Self::DefineVm(vm) => Self::UndefineVm(vm.clone()),
            Self::UndefineVm(vm) => Self::DefineVm(vm.clone()),
            Self::AdoptVm(vm) => Self::ReleaseVm(vm.clone()),
            Self::ReleaseVm(vm) => Self::AdoptVm(vm.clone()),
            Self::RecordVm { from, to } => Self::RecordVm { from: to.clone(), to: from.clone() },
            Self::RedefineVm { from, to } => Self::RedefineVm { from: to.clone(), to: from.clone() },
            Self::SetMemory { vm, from, to } => Self::SetMemory { vm: vm.clone(), from: *to, to: *from },
            Self::SetCpus { vm, from, to } => Self::SetCpus { vm: vm.clone(), from: *to, to: *from },
            Self::SetLimits { vm, from, to } => Self::SetLimits { vm: vm.clone(), from: to.clone(), to: from.clone() },
            Self::Attach { vm, device, limits } => {
                Self::Detach { vm: vm.clone(), device: device.clone(), limits: limits.clone() }
            }
            Self::Detach { vm, device, limits } => {
                Self::Attach { vm: vm.clone(), device: device.clone(), limits: limits.clone() }
            }
            Self::Plug { vm, interface, on } => Self::Plug { vm: vm.clone(), interface: interface.clone(), on: !on },
            Self::StartVm(name) => Self::StopVm { name: name.clone(), grace: now },
            Self::RestoreVm(name) => Self::SaveVm(name.clone()),
            Self::SaveVm(name) => Self::RestoreVm(name.clone()),
            Self::ResumeVm(name) => Self::PauseVm(name.clone()),
            Self::PauseVm(name) => Self::ResumeVm(name.clone()),
            Self::StopVm { name, .. } => Self::StartVm(name.clone()),
            Self::FreezeVm(name) => Self::ThawVm(name.clone()),
            Self::ThawVm(name) => Self::FreezeVm(name.clone()),
            Self::CreateSnapshot { vm, moment } => Self::DeleteSnapshot { vm: vm.clone(), moment: moment.clone() },
            Self::RestoreSnapshot { vm, to, from: Some(from) } => {
                Self::RestoreSnapshot { vm: vm.clone(), to: from.clone(), from: Some(to.clone()) }
            }
            // Before a run there were no secrets on a seed either, or none that should have been.
            Self::ScrubSeed(_)
            | Self::DeleteImage(_)
            | Self::DeleteVolume(_)
            | Self::DeleteDisk(_)
            | Self::DeleteSeed { .. }
            | Self::GrowVolume { .. }
            | Self::GrowDisk { .. }
            | Self::Provision(_)
            | Self::DeleteSnapshot { .. }
            | Self::RestoreSnapshot { from: None, .. }
            | Self::SetClock(_) => return None,
        })
    }
}
