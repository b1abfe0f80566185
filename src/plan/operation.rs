//! Operations: one call of a backend each, as plain values that know their inverse.
//!
//! Owns what can be done and what undoes it. How it is done is the backend's business; when, the executor's.

mod inverse;
mod own;
mod words;

use serde::{Deserialize, Serialize};

pub use own::{VmDisk, VmSeed};

use crate::model::hardware::Limits;
use crate::model::{Disk, Image, Interface, Moment, Network, Task, Vm, Volume};
use crate::names::{Generation, NetworkName, Pool, ResourceId, VmName, VolumeName};
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
    /// Replaces a network's definition and what is recorded of it; one that is up hands out what it shall at once, and is
    /// in everything else as it was until it is started again.
    UpdateNetwork {
        /// As it was.
        from: Box<Network>,
        /// As it shall be.
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
        /// Since when it is the vm's.
        #[serde(default, skip_serializing_if = "Generation::is_first")]
        generation: Generation,
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
    /// Writes the disk anew with secrets on it, for a vm that is about to start. What reads them is not in the plan.
    FillSeed(Box<VmSeed>),
    /// Writes the disk over without secrets, whether the vm runs or not.
    ScrubSeed(Box<VmSeed>),
    /// Makes the volume from which a guest with Ignition learns the same; one that is there is written anew.
    CreateIgnition {
        /// Whose.
        vm: VmName,
        /// Since when it is the vm's.
        #[serde(default, skip_serializing_if = "Generation::is_first")]
        generation: Generation,
        /// What it is told.
        config: serde_json::Value,
    },
    /// Removes either of these. What is on it can always be made again from the vm's spec.
    DeleteSeed {
        /// Whose.
        vm: VmName,
        /// Since when it is the vm's.
        #[serde(default, skip_serializing_if = "Generation::is_first")]
        generation: Generation,
    },
    /// Defines a vm.
    DefineVm(Box<Vm>),
    /// Removes a vm's definition; its disks stay.
    UndefineVm(Box<Vm>),
    /// Makes a vm of a machine that somebody else made: its spec is recorded with it, and nothing of it is touched.
    AdoptVm(Box<Vm>),
    /// Lets go of such a machine: what was recorded with it goes, and all else of it stays.
    ReleaseVm(Box<Vm>),
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
    /// Plugs an interface of a running vm into its network, or takes it off: the guest sees its link come and go.
    Plug {
        /// Which vm.
        vm: VmName,
        /// What.
        interface: Interface,
        /// Whether it is plugged in.
        on: bool,
    },
    /// Does one task inside a guest that is up, and records that it is done. Nothing undoes it: what a script did is
    /// gone only with the vm.
    Provision(Box<Provision>),
    /// Starts a vm.
    StartVm(VmName),
    /// Lets a paused vm go on.
    ResumeVm(VmName),
    /// Holds a vm's processors; what it had in memory stays.
    PauseVm(VmName),
    /// Lets a vm go on from the memory that was kept when it was turned off.
    RestoreVm(VmName),
    /// Keeps a vm's memory, and turns it off.
    SaveVm(VmName),
    /// Shuts a vm down, and pulls the plug after `grace`; at once where that is zero.
    StopVm {
        /// Which.
        name: VmName,
        /// How long the guest may take.
        grace: Span,
    },
    /// Brings the file systems of a guest to rest, and holds up who writes to them.
    FreezeVm(VmName),
    /// Lets them go on.
    ThawVm(VmName),
    /// Takes a vm into a snapshot, with its disks and, where that is wanted, its memory. It does not go on by itself.
    CreateSnapshot {
        /// Which vm.
        vm: VmName,
        /// What is kept of it.
        moment: Box<Moment>,
    },
    /// Takes a vm out of a snapshot, for good.
    DeleteSnapshot {
        /// Which vm.
        vm: VmName,
        /// What was kept of it.
        moment: Box<Moment>,
    },
    /// Puts a vm back to how it was in a snapshot: disks, definition, memory. One that ran is held then.
    RestoreSnapshot {
        /// Which vm.
        vm: VmName,
        /// To where.
        to: Box<Moment>,
        /// What undoes it; `None` where nobody took it.
        from: Option<Box<Moment>>,
    },
    /// Sets the clock of a guest that goes on with an old memory; nothing where no agent answers.
    SetClock(VmName),
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

/// A task to be done inside a guest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provision {
    /// The vm, as it is recorded once the task is done: with this task and those before it.
    pub vm: Box<Vm>,
    /// What is done.
    pub task: Task,
    /// How long the guest may take until it can do anything at all.
    pub patience: Span,
}

impl Provision {
    /// Its place among the vm's tasks, from 1.
    pub fn number(&self) -> usize {
        self.vm.provision.len()
    }
}

impl Operation {
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
            | Self::Detach { vm, .. }
            | Self::Plug { vm, .. }
            | Self::GrowDisk { vm, .. }
            | Self::CreateIgnition { vm, .. }
            | Self::CreateSnapshot { vm, .. }
            | Self::DeleteSnapshot { vm, .. }
            | Self::RestoreSnapshot { vm, .. } => ResourceId::Vm(vm.clone()),
            Self::StartNetwork(name) | Self::StopNetwork(name) => ResourceId::Network(name.clone()),
            Self::CreateVolume(volume) | Self::GrowVolume { volume, .. } | Self::DeleteVolume(volume) => {
                ResourceId::Volume(volume.name.clone())
            }
            Self::CreateDisk(disk) | Self::DeleteDisk(disk) => ResourceId::Vm(disk.vm.clone()),
            Self::CreateSeed(seed) | Self::FillSeed(seed) | Self::ScrubSeed(seed) => ResourceId::Vm(seed.vm.clone()),
            Self::Provision(provision) => ResourceId::Vm(provision.vm.name.clone()),
            Self::DefineVm(vm) | Self::UndefineVm(vm) | Self::AdoptVm(vm) | Self::ReleaseVm(vm) => {
                ResourceId::Vm(vm.name.clone())
            }
            Self::DeleteSeed { vm: name, .. }
            | Self::StartVm(name)
            | Self::ResumeVm(name)
            | Self::PauseVm(name)
            | Self::RestoreVm(name)
            | Self::SaveVm(name)
            | Self::FreezeVm(name)
            | Self::ThawVm(name)
            | Self::SetClock(name)
            | Self::StopVm { name, .. } => ResourceId::Vm(name.clone()),
        }
    }
}

impl Operation {
    /// How long what it needs may take to be there. Until then it may be tried again and again; `None` where it is
    /// tried once.
    pub fn patience(&self) -> Option<Span> {
        match self {
            Self::Provision(provision) => Some(provision.patience),
            _ => None,
        }
    }

    /// The vm as it shall be, where that is what is told of it.
    pub fn wanted(&self) -> Option<&Vm> {
        match self {
            Self::DefineVm(vm) | Self::RecordVm { to: vm, .. } | Self::RedefineVm { to: vm, .. } => Some(vm),
            _ => None,
        }
    }

    /// What it is done to, in words: finer than [`Operation::resource`], for a vm has disks.
    pub fn object(&self) -> String {
        match self {
            Self::CreateDisk(disk) | Self::DeleteDisk(disk) => format!("disk `{}` of vm `{}`", disk.disk, disk.vm),
            Self::GrowDisk { vm, disk, .. } => format!("disk `{disk}` of vm `{vm}`"),
            other => other.resource().to_string(),
        }
    }
}
