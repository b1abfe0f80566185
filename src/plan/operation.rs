//! Operations: one call of a backend each, as plain values that know their inverse.
//!
//! Owns what can be done and what undoes it. How it is done is the backend's business; when, the executor's.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::cloud_init::{self, CloudInit};
use crate::model::hardware::Limits;
use crate::model::{Disk, Image, ImageRef, Interface, Network, Vm, Volume};
use crate::names::{NetworkName, Pool, ProjectName, ResourceId, VmName, VolumeName};
use crate::seed::Machine;
use crate::state::seen::Foreign;
use crate::units::{Bytes, Span};

/// One call of a backend. All or nothing; applying it again after it succeeded is harmless.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "operation", content = "of", rename_all = "snake_case")]
pub enum Operation {
    /// Makes and starts a storage pool.
    CreatePool(Pool),
    /// Removes a storage pool, if nothing is in it.
    DeletePool(Pool),
    /// Starts a storage pool that is there.
    StartPool(Pool),
    /// Stops a storage pool; nothing in it is touched.
    StopPool(Pool),
    /// Uploads a boot medium.
    UploadImage(Image),
    /// Removes a boot medium from the hypervisor; the user's own file stays.
    DeleteImage(Image),
    /// Defines a network.
    DefineNetwork(Network),
    /// Removes a network's definition.
    UndefineNetwork(Network),
    /// Changes what a network hands out (reservations, names) and what is recorded of it, while it runs.
    UpdateNetwork {
        /// As it was.
        from: Box<Network>,
        /// As it shall be; of the same mode and subnet.
        to: Box<Network>,
    },
    /// Starts a network.
    StartNetwork(NetworkName),
    /// Stops a network.
    StopNetwork(NetworkName),
    /// Makes an empty named volume.
    CreateVolume(Volume),
    /// Makes a named volume larger, also under a vm that runs. Nothing undoes it: to make it smaller would cut off what is
    /// at its end.
    GrowVolume {
        /// As it shall be.
        volume: Volume,
        /// What the guest saw before.
        from: Bytes,
    },
    /// Removes a named volume with all that is on it.
    DeleteVolume(Volume),
    /// Makes a disk of a vm's own.
    CreateDisk(VmDisk),
    /// Makes a disk of a vm's own larger, also while the vm runs. Nothing undoes it either.
    GrowDisk {
        /// Whose.
        vm: VmName,
        /// Which of its disks.
        disk: VolumeName,
        /// What the guest saw before.
        from: Bytes,
        /// What it shall see.
        to: Bytes,
    },
    /// Removes a disk of a vm's own with all that is on it.
    DeleteDisk(VmDisk),
    /// Makes the disk from which a vm learns what to do at its first boot; one that is there is written anew.
    CreateSeed(Box<VmSeed>),
    /// Removes that disk. What is on it can always be made again from the vm's spec.
    DeleteSeed(VmName),
    /// Defines a vm.
    DefineVm(Box<Vm>),
    /// Removes a vm's definition; its disks stay.
    UndefineVm(Box<Vm>),
    /// Changes what is recorded of a vm (healthcheck, dependencies, labels), not its hardware.
    RecordVm {
        /// As it was.
        from: Box<Vm>,
        /// As it shall be.
        to: Box<Vm>,
    },
    /// Replaces a vm's definition: what it will be at its next start, and what is recorded of it.
    RedefineVm {
        /// As it was.
        from: Box<Vm>,
        /// As it shall be.
        to: Box<Vm>,
    },
    /// Gives a running vm other memory, within what it started with.
    SetMemory {
        /// Which.
        vm: VmName,
        /// What it had.
        from: Bytes,
        /// What it shall have.
        to: Bytes,
    },
    /// Gives a running vm another number of processors, within what it started with.
    SetCpus {
        /// Which.
        vm: VmName,
        /// What it had.
        from: u32,
        /// What it shall have.
        to: u32,
    },
    /// Gives a running vm other limits.
    SetLimits {
        /// Which.
        vm: VmName,
        /// As they were.
        from: Box<Limits>,
        /// As they shall be.
        to: Box<Limits>,
    },
    /// Attaches a device to a running vm.
    Attach {
        /// Which vm.
        vm: VmName,
        /// What.
        device: Device,
        /// The limits of that vm, as far as they are those of the device.
        limits: Box<Limits>,
    },
    /// Takes a device off a running vm; waits until the guest has let go of it.
    Detach {
        /// Which vm.
        vm: VmName,
        /// What.
        device: Device,
        /// The limits of that vm.
        limits: Box<Limits>,
    },
    /// Starts a vm.
    StartVm(VmName),
    /// Lets a paused vm go on.
    ResumeVm(VmName),
    /// Holds a vm's processors; what it had in memory stays.
    PauseVm(VmName),
    /// Shuts a vm down, and pulls the plug after `grace`; at once where that is zero.
    StopVm {
        /// Which.
        name: VmName,
        /// How long the guest may take.
        grace: Span,
    },
}

/// What can be attached to a vm while it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// A disk.
    Disk(Disk),
    /// A network interface.
    Interface(Interface),
    /// Something that somebody else attached.
    Foreign(Foreign),
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

/// A disk that belongs to one vm and goes with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VmDisk {
    /// Whose.
    pub vm: VmName,
    /// Which of its disks: [`VmDisk::ROOT`], or the name the file gives.
    pub disk: VolumeName,
    /// What the guest sees; the image's own size where `None`.
    pub size: Option<Bytes>,
    /// The image it is an overlay of.
    pub backing: Option<ImageRef>,
}

impl VmDisk {
    /// Name of the root disk.
    pub const ROOT: &'static str = "root";

    /// The disks that a vm has of its own, root disk first.
    pub fn of(vm: &Vm) -> Vec<Self> {
        use crate::model::Boot;
        let own = |disk: VolumeName, size, backing| Self { vm: vm.name.clone(), disk, size, backing };
        let root = match &vm.boot {
            Boot::Image(image) => {
                let name = VolumeName::new(Self::ROOT).expect("`root` is a legal name");
                Some(own(name, vm.disk, Some(image.clone())))
            }
            Boot::Kernel { .. } => None,
        };
        let others = vm.disks.iter().filter_map(|disk| match disk {
            Disk::Own { name, size } => Some(own(name.clone(), Some(*size), None)),
            Disk::Volume { .. } => None,
        });
        root.into_iter().chain(others).collect()
    }
}

/// What a vm is told at its first boot, complete: its disk is always the same bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VmSeed {
    /// Whose.
    pub vm: VmName,
    /// What the file says.
    pub settings: CloudInit,
    /// What is known of the machine.
    pub machine: Machine,
}

impl VmSeed {
    /// The seed of a vm; `None` where it is told nothing. `networks` say through which of them it reaches others.
    pub fn of(project: &ProjectName, vm: &Vm, networks: &BTreeMap<NetworkName, Network>) -> Option<Self> {
        let settings = vm.cloud_init.as_deref()?.clone();
        let machine = Machine {
            identity: format!("{project}/{}", vm.name),
            hostname: vm.hostname.clone(),
            nics: cloud_init::nics(vm, networks),
            disks: settings.disks.clone(),
        };
        Some(Self { vm: vm.name.clone(), settings, machine })
    }
}

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
            Self::CreateSeed(seed) => Self::DeleteSeed(seed.vm.clone()),
            Self::DefineVm(vm) => Self::UndefineVm(vm.clone()),
            Self::UndefineVm(vm) => Self::DefineVm(vm.clone()),
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
            Self::StartVm(name) => Self::StopVm { name: name.clone(), grace: now },
            Self::ResumeVm(name) => Self::PauseVm(name.clone()),
            Self::PauseVm(name) => Self::ResumeVm(name.clone()),
            Self::StopVm { name, .. } => Self::StartVm(name.clone()),
            Self::DeleteImage(_)
            | Self::DeleteVolume(_)
            | Self::DeleteDisk(_)
            | Self::DeleteSeed(_)
            | Self::GrowVolume { .. }
            | Self::GrowDisk { .. } => return None,
        })
    }

    /// The resource whose step it belongs to.
    pub fn resource(&self) -> ResourceId {
        match self {
            Self::CreatePool(pool) | Self::DeletePool(pool) | Self::StartPool(pool) | Self::StopPool(pool) => {
                ResourceId::Pool(*pool)
            }
            Self::UploadImage(image) | Self::DeleteImage(image) => ResourceId::Image(image.name.clone()),
            Self::DefineNetwork(network) | Self::UndefineNetwork(network) => ResourceId::Network(network.name.clone()),
            Self::UpdateNetwork { to, .. } => ResourceId::Network(to.name.clone()),
            Self::RecordVm { to, .. } | Self::RedefineVm { to, .. } => ResourceId::Vm(to.name.clone()),
            Self::SetMemory { vm, .. }
            | Self::SetCpus { vm, .. }
            | Self::SetLimits { vm, .. }
            | Self::Attach { vm, .. }
            | Self::Detach { vm, .. } => ResourceId::Vm(vm.clone()),
            Self::StartNetwork(name) | Self::StopNetwork(name) => ResourceId::Network(name.clone()),
            Self::CreateVolume(volume) | Self::GrowVolume { volume, .. } | Self::DeleteVolume(volume) => {
                ResourceId::Volume(volume.name.clone())
            }
            Self::CreateDisk(disk) | Self::DeleteDisk(disk) => ResourceId::Vm(disk.vm.clone()),
            Self::GrowDisk { vm, .. } => ResourceId::Vm(vm.clone()),
            Self::CreateSeed(seed) => ResourceId::Vm(seed.vm.clone()),
            Self::DefineVm(vm) | Self::UndefineVm(vm) => ResourceId::Vm(vm.name.clone()),
            Self::DeleteSeed(name)
            | Self::StartVm(name)
            | Self::ResumeVm(name)
            | Self::PauseVm(name)
            | Self::StopVm { name, .. } => ResourceId::Vm(name.clone()),
        }
    }
}

impl Operation {
    /// What it is done to, in words: finer than [`Operation::resource`], for a vm has disks.
    pub fn object(&self) -> String {
        match self {
            Self::CreateDisk(disk) | Self::DeleteDisk(disk) => format!("disk `{}` of vm `{}`", disk.disk, disk.vm),
            Self::GrowDisk { vm, disk, .. } => format!("disk `{disk}` of vm `{vm}`"),
            other => other.resource().to_string(),
        }
    }
}

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
            Self::DeleteSeed(vm) => write!(f, "delete the cloud-init seed of vm `{vm}`"),
            Self::DefineVm(vm) => write!(f, "define vm `{}`", vm.name),
            Self::UndefineVm(vm) => write!(f, "undefine vm `{}`", vm.name),
            Self::RedefineVm { to, .. } => write!(f, "redefine vm `{}`", to.name),
            Self::SetMemory { vm, to, .. } => write!(f, "set the memory of vm `{vm}` to {to}"),
            Self::SetCpus { vm, to, .. } => write!(f, "set the cpus of vm `{vm}` to {to}"),
            Self::SetLimits { vm, .. } => write!(f, "set the limits of vm `{vm}`"),
            Self::Attach { vm, device, .. } => write!(f, "attach {device} to vm `{vm}`"),
            Self::Detach { vm, device, .. } => write!(f, "detach {device} from vm `{vm}`"),
            Self::StartVm(name) => write!(f, "start vm `{name}`"),
            Self::ResumeVm(name) => write!(f, "resume vm `{name}`"),
            Self::PauseVm(name) => write!(f, "pause vm `{name}`"),
            Self::StopVm { name, .. } => write!(f, "stop vm `{name}`"),
        }
    }
}
