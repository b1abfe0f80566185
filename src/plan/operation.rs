//! Operations: one call of a backend each, as plain values that know their inverse.
//!
//! Owns what can be done and what undoes it. How it is done is the backend's business; when, the executor's.

mod words;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::cloud_init::{self, CloudInit};
use crate::model::hardware::Limits;
use crate::model::{Disk, Image, ImageRef, Interface, Network, Task, Vm, Volume};
use crate::names::{Generation, NetworkName, Pool, ProjectName, ResourceId, VmName, VolumeName};
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

/// A disk that belongs to one vm and goes with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VmDisk {
    /// Whose.
    pub vm: VmName,
    /// Since when it is the vm's.
    #[serde(default, skip_serializing_if = "Generation::is_first")]
    pub generation: Generation,
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
        let own = |disk: VolumeName, size, backing| {
            let (vm, generation) = (vm.name.clone(), vm.generation);
            Self { vm, generation, disk, size, backing }
        };
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

/// What a vm is told at its first boot, complete: its disk is always the same bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VmSeed {
    /// Whose.
    pub vm: VmName,
    /// Since when it is the vm's.
    #[serde(default, skip_serializing_if = "Generation::is_first")]
    pub generation: Generation,
    /// What the file says.
    pub settings: CloudInit,
    /// What is known of the machine.
    pub machine: Machine,
}

impl VmSeed {
    /// The seed of a vm; `None` where it is told nothing. `networks` say through which of them it reaches others.
    pub fn of(project: &ProjectName, vm: &Vm, networks: &BTreeMap<NetworkName, Network>) -> Option<Self> {
        let user = vm.ssh.as_ref().and_then(|ssh| ssh.user.as_deref());
        let settings = vm.cloud_init.as_deref()?.clone().with_project_key(user);
        let machine = Machine {
            identity: format!("{project}/{}", vm.name),
            hostname: vm.hostname.clone(),
            nics: cloud_init::nics(vm, networks),
            disks: settings.disks.clone(),
        };
        Some(Self { vm: vm.name.clone(), generation: vm.generation, settings, machine })
    }

    /// Whether the guest gets secrets.
    pub fn has_secrets(&self) -> bool {
        !self.settings.asks_for().is_empty()
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
            Self::CreateSeed(seed) => Self::DeleteSeed { vm: seed.vm.clone(), generation: seed.generation },
            Self::CreateIgnition { vm, generation, .. } => Self::DeleteSeed { vm: vm.clone(), generation: *generation },
            Self::FillSeed(seed) => Self::ScrubSeed(seed.clone()),
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
            Self::Plug { vm, interface, on } => Self::Plug { vm: vm.clone(), interface: interface.clone(), on: !on },
            Self::StartVm(name) => Self::StopVm { name: name.clone(), grace: now },
            Self::RestoreVm(name) => Self::SaveVm(name.clone()),
            Self::SaveVm(name) => Self::RestoreVm(name.clone()),
            Self::ResumeVm(name) => Self::PauseVm(name.clone()),
            Self::PauseVm(name) => Self::ResumeVm(name.clone()),
            Self::StopVm { name, .. } => Self::StartVm(name.clone()),
            // Before a run there were no secrets on a seed either, or none that should have been.
            Self::ScrubSeed(_)
            | Self::DeleteImage(_)
            | Self::DeleteVolume(_)
            | Self::DeleteDisk(_)
            | Self::DeleteSeed { .. }
            | Self::GrowVolume { .. }
            | Self::GrowDisk { .. }
            | Self::Provision(_) => return None,
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
            | Self::Detach { vm, .. }
            | Self::Plug { vm, .. }
            | Self::GrowDisk { vm, .. }
            | Self::CreateIgnition { vm, .. } => ResourceId::Vm(vm.clone()),
            Self::StartNetwork(name) | Self::StopNetwork(name) => ResourceId::Network(name.clone()),
            Self::CreateVolume(volume) | Self::GrowVolume { volume, .. } | Self::DeleteVolume(volume) => {
                ResourceId::Volume(volume.name.clone())
            }
            Self::CreateDisk(disk) | Self::DeleteDisk(disk) => ResourceId::Vm(disk.vm.clone()),
            Self::CreateSeed(seed) | Self::FillSeed(seed) | Self::ScrubSeed(seed) => ResourceId::Vm(seed.vm.clone()),
            Self::Provision(provision) => ResourceId::Vm(provision.vm.name.clone()),
            Self::DefineVm(vm) | Self::UndefineVm(vm) => ResourceId::Vm(vm.name.clone()),
            Self::DeleteSeed { vm: name, .. }
            | Self::StartVm(name)
            | Self::ResumeVm(name)
            | Self::PauseVm(name)
            | Self::RestoreVm(name)
            | Self::SaveVm(name)
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

    /// What it is done to, in words: finer than [`Operation::resource`], for a vm has disks.
    pub fn object(&self) -> String {
        match self {
            Self::CreateDisk(disk) | Self::DeleteDisk(disk) => format!("disk `{}` of vm `{}`", disk.disk, disk.vm),
            Self::GrowDisk { vm, disk, .. } => format!("disk `{disk}` of vm `{vm}`"),
            other => other.resource().to_string(),
        }
    }
}
