//! What belongs to one vm alone: its disks, and what it is told at its first boot.
//!
//! Owns what they consist of. Knows nothing of when they are made and when they go.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::cloud_init::{self, CloudInit};
use crate::model::{Disk, ImageRef, Network, Vm};
use crate::names::{Generation, NetworkName, ProjectName, VmName, VolumeName};
use crate::seed::Machine;
use crate::units::Bytes;

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
            Boot::Cdrom(_) => {
                let name = VolumeName::new(Self::ROOT).expect("`root` is a legal name");
                Some(own(name, vm.disk, None))
            }
            Boot::Kernel { .. } | Boot::Existing { .. } => None,
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
            hosts: vm.hardware.uplink.as_ref().map(|uplink| uplink.hosts.clone()).unwrap_or_default(),
        };
        Some(Self { vm: vm.name.clone(), generation: vm.generation, settings, machine })
    }

    /// Whether the guest gets secrets.
    pub fn has_secrets(&self) -> bool {
        !self.settings.asks_for().is_empty()
    }
}
