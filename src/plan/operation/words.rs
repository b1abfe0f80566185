//! Operations in words.
//!
//! Owns how each is called where people read of it. Knows nothing of what it does.

use std::fmt;

use super::{Device, Operation, Provision};
use crate::model::Disk;

impl fmt::Display for Operation {
    /// A fragment that fits "failed to …".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreatePool(pool) => write!(f, "create pool `{pool}`"),
            Self::DeletePool(pool) => write!(f, "delete pool `{pool}`"),
            Self::StartPool(pool) => write!(f, "start pool `{pool}`"),
            Self::StopPool(pool) => write!(f, "stop pool `{pool}`"),
            Self::UploadImage(image) => write!(f, "upload image `{}`", image.name),
            Self::DeleteImage(image) => write!(f, "delete image `{}`", image.name),
            Self::DefineNetwork(network) => write!(f, "define network `{}`", network.name),
            Self::UndefineNetwork(network) => write!(f, "undefine network `{}`", network.name),
            Self::UpdateNetwork { to, .. } => write!(f, "update network `{}`", to.name),
            Self::RecordVm { to, .. } => write!(f, "update the record of vm `{}`", to.name),
            Self::StartNetwork(name) => write!(f, "start network `{name}`"),
            Self::StopNetwork(name) => write!(f, "stop network `{name}`"),
            Self::CreateVolume(volume) => write!(f, "create volume `{}`", volume.name),
            Self::GrowVolume { volume, .. } => write!(f, "grow volume `{}` to {}", volume.name, volume.size),
            Self::DeleteVolume(volume) => write!(f, "delete volume `{}`", volume.name),
            Self::CreateDisk(disk) => write!(f, "create disk `{}` of vm `{}`", disk.disk, disk.vm),
            Self::GrowDisk { vm, disk, to, .. } => write!(f, "grow disk `{disk}` of vm `{vm}` to {to}"),
            Self::DeleteDisk(disk) => write!(f, "delete disk `{}` of vm `{}`", disk.disk, disk.vm),
            Self::CreateSeed(seed) => write!(f, "create the cloud-init seed of vm `{}`", seed.vm),
            Self::CreateIgnition { vm, .. } => write!(f, "create the Ignition configuration of vm `{vm}`"),
            Self::FillSeed(seed) => write!(f, "put secrets on the seed of vm `{}`", seed.vm),
            Self::ScrubSeed(seed) => write!(f, "take secrets off the seed of vm `{}`", seed.vm),
            Self::DeleteSeed { vm, .. } => write!(f, "delete the cloud-init seed of vm `{vm}`"),
            Self::DefineVm(vm) => write!(f, "define vm `{}`", vm.name),
            Self::UndefineVm(vm) => write!(f, "undefine vm `{}`", vm.name),
            Self::AdoptVm(vm) => write!(f, "adopt vm `{}`", vm.name),
            Self::ReleaseVm(vm) => write!(f, "release vm `{}`", vm.name),
            Self::RedefineVm { to, .. } => write!(f, "redefine vm `{}`", to.name),
            Self::SetMemory { vm, to, .. } => write!(f, "set the memory of vm `{vm}` to {to}"),
            Self::SetCpus { vm, to, .. } => write!(f, "set the cpus of vm `{vm}` to {to}"),
            Self::SetLimits { vm, .. } => write!(f, "set the limits of vm `{vm}`"),
            Self::Attach { vm, device, .. } => write!(f, "attach {device} to vm `{vm}`"),
            Self::Detach { vm, device, .. } => write!(f, "detach {device} from vm `{vm}`"),
            Self::Plug { vm, interface, on: true } => write!(f, "plug vm `{vm}` into network `{}`", interface.network),
            Self::Plug { vm, interface, on: false } => {
                write!(f, "unplug vm `{vm}` from network `{}`", interface.network)
            }
            Self::Provision(provision) => {
                let Provision { vm, task, .. } = provision.as_ref();
                write!(f, "apply task {} (`{}`) of vm `{}`", provision.number(), task.label, vm.name)
            }
            Self::StartVm(name) => write!(f, "start vm `{name}`"),
            Self::ResumeVm(name) => write!(f, "resume vm `{name}`"),
            Self::PauseVm(name) => write!(f, "pause vm `{name}`"),
            Self::RestoreVm(name) => write!(f, "restore vm `{name}`"),
            Self::SaveVm(name) => write!(f, "save vm `{name}`"),
            Self::StopVm { name, .. } => write!(f, "stop vm `{name}`"),
            Self::FreezeVm(name) => write!(f, "freeze vm `{name}`"),
            Self::ThawVm(name) => write!(f, "thaw vm `{name}`"),
            Self::CreateSnapshot { vm, moment } => write!(f, "create snapshot `{}` of vm `{vm}`", moment.snapshot.name),
            Self::DeleteSnapshot { vm, moment } => write!(f, "delete snapshot `{}` of vm `{vm}`", moment.snapshot.name),
            Self::RestoreSnapshot { vm, to, .. } => write!(f, "restore snapshot `{}` of vm `{vm}`", to.snapshot.name),
            Self::SetClock(name) => write!(f, "set the clock of vm `{name}`"),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(Disk::Volume { volume }) => write!(f, "volume `{volume}`"),
            Self::Disk(Disk::Own { name, .. }) => write!(f, "disk `{name}`"),
            Self::Interface(interface) => write!(f, "the interface on network `{}`", interface.network),
            Self::Foreign(foreign) => f.write_str(&foreign.name),
        }
    }
}
