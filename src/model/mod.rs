//! What a valid project is: one plain value per resource, hypervisor-neutral, legal once it exists.
//!
//! Owns the specs, and what each of them requires of others. A spec is also what is recorded with the object on the
//! hypervisor, so its serialised form is a format: add fields with a default, never rename one. Knows nothing of files,
//! positions, libvirt or plans.

pub mod address;
pub mod catalog;
pub mod cloud_init;
pub mod hardware;
pub mod health;
pub mod image;
pub mod instruction;
pub mod login;
pub mod network;
pub mod port;
pub mod provision;
pub mod secret;
pub mod share;
pub mod snapshot;
pub mod url;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use address::{Device, Mac, Surroundings};
pub use cloud_init::CloudInit;
pub use hardware::Hardware;
pub use health::{Condition, Healthcheck, Probe};
pub use image::{
    Checksum, ChecksumError, Digest, Image, ImageFormat, ImageFrom, ImageRef, ImageRequest, ImageRole, ImageSource,
    VolumeRef,
};
pub use login::{Login, ProjectKey};
pub use network::{Bandwidth, Dhcp, Dns, Host, Network, NetworkMode, NetworkSettings, Route};
pub use port::Port;
pub use provision::{Provisioned, Task, TaskAction};
pub use secret::{Secret, SecretFrom, SecretValue};
pub use share::Share;
pub use snapshot::{Moment, Snapshot, Was};
pub use url::{Url, UrlError};

use crate::names::{Generation, ImageName, NetworkName, Pool, ProjectName, ResourceId, SecretName, VmName, VolumeName};
use crate::units::{Bytes, Span};

/// A whole project, as the compose file describes it: merged, interpolated, checked, its addresses settled.
#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    /// Its name, the prefix of everything it owns.
    pub name: ProjectName,
    /// Its networks.
    pub networks: BTreeMap<NetworkName, Network>,
    /// Its named volumes.
    pub volumes: BTreeMap<VolumeName, Volume>,
    /// Its boot media, not yet looked at.
    pub images: BTreeMap<ImageName, ImageRequest>,
    /// Its machines, replicas counted one by one.
    pub vms: BTreeMap<VmName, Vm>,
    /// What is done inside them once they are up. Kept apart from them: only its digests are recorded.
    pub tasks: BTreeMap<VmName, Vec<Task>>,
    /// Where the values of its secrets come from. They themselves are in no spec.
    pub secrets: BTreeMap<SecretName, Secret>,
    /// Where in the user's files each resource stands.
    pub origins: BTreeMap<ResourceId, Origin>,
}

/// A place in a compose file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The file, as the user named it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A named volume: a disk that is empty at first and survives `down`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name.
    pub name: VolumeName,
    /// What the guest sees; allocated as it is written.
    pub size: Bytes,
    /// Whether several vms may have it at once. Its bytes are kept as they are then, because two emulators cannot keep
    /// one qcow2 file's tables in order.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
    /// The pool of the user's own that it is kept in; `None` for ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
}

impl Volume {
    /// A volume for one vm at a time, in our own pool.
    pub fn new(name: VolumeName, size: Bytes) -> Self {
        Self { name, size, shared: false, pool: None }
    }
}

/// What a vm starts from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Boot {
    /// A root disk that is an overlay of an image.
    Image(ImageRef),
    /// A root disk that is empty, and a disc that installs something on it.
    Cdrom(ImageRef),
    /// A kernel that the hypervisor loads itself.
    Kernel {
        /// The kernel.
        kernel: ImageRef,
        /// The initial RAM disk.
        initrd: Option<ImageRef>,
        /// The kernel's command line.
        cmdline: String,
    },
    /// A machine that somebody else made. What it has and boots from is his business.
    Existing {
        /// Its name on the hypervisor.
        machine: String,
        /// Whether it is to run; else it is left as it is found.
        #[serde(default = "yes")]
        start: bool,
    },
}

impl Boot {
    /// Whether the vm has a root disk.
    pub fn has_disk(&self) -> bool {
        matches!(self, Self::Image(_) | Self::Cdrom(_))
    }

    /// The images it refers to.
    pub fn images(&self) -> impl Iterator<Item = &ImageRef> {
        let (first, second) = match self {
            Self::Image(image) | Self::Cdrom(image) => (Some(image), None),
            Self::Kernel { kernel, initrd, .. } => (Some(kernel), initrd.as_ref()),
            Self::Existing { .. } => (None, None),
        };
        first.into_iter().chain(second)
    }

    /// The same, to be filled in.
    pub fn images_mut(&mut self) -> impl Iterator<Item = &mut ImageRef> {
        let (first, second) = match self {
            Self::Image(image) | Self::Cdrom(image) => (Some(image), None),
            Self::Kernel { kernel, initrd, .. } => (Some(kernel), initrd.as_mut()),
            Self::Existing { .. } => (None, None),
        };
        first.into_iter().chain(second)
    }
}

/// A virtual machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vm {
    /// Its name; a replica has its number in it.
    pub name: VmName,
    /// The name under which the file has it, where it is one of several replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica_of: Option<VmName>,
    /// What the guest is called.
    pub hostname: String,
    /// What it starts from.
    pub boot: Boot,
    /// Number of virtual CPUs.
    pub cpus: u32,
    /// Memory.
    pub memory: Bytes,
    /// Size of the root disk, where it has one and the image's own size is not enough.
    pub disk: Option<Bytes>,
    /// Further disks, in the order in which the guest sees them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<Disk>,
    /// Folders of the hypervisor's machine that it sees.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<Share>,
    /// Its network interfaces, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<Interface>,
    /// Its ports that are published on the host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// The vms it waits for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub depends_on: BTreeMap<VmName, Dependency>,
    /// When it counts as healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// What it is told at its first boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_init: Option<Box<CloudInit>>,
    /// How to log in, where the file says so or its image is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<Box<Login>>,
    /// What it is told at its first boot where it has Ignition in place of cloud-init.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignition: Option<serde_json::Value>,
    /// What is done in it once it is up, in order; of what was last applied, as far as it was done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provision: Vec<Provisioned>,
    /// How long a shutdown may take before the plug is pulled.
    pub stop_grace_period: Span,
    /// Started with the hypervisor.
    #[serde(default)]
    pub autostart: bool,
    /// Refuses deletion and replacement.
    #[serde(default)]
    pub protect: bool,
    /// How the guest's instructions are run.
    pub accel: Accel,
    /// The rest of its machine.
    #[serde(default, flatten)]
    pub hardware: Hardware,
    /// Free text of the user's, kept with the vm, to select by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Free text of the user's, kept with the vm, to read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// How often it was made anew. No file says so: what is wanted takes it over from what is there.
    #[serde(default, skip_serializing_if = "Generation::is_first")]
    pub generation: Generation,
}

/// A disk besides the root disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Disk {
    /// A named volume.
    Volume {
        /// Which.
        volume: VolumeName,
    },
    /// A disk of the vm's own, which goes when the vm goes.
    Own {
        /// Its name within the vm.
        name: VolumeName,
        /// What the guest sees.
        size: Bytes,
    },
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interface {
    /// The network it is on.
    pub network: NetworkName,
    /// Its hardware address.
    pub mac: Mac,
    /// Its address, reserved in the network.
    pub ip: Ipv4Addr,
    /// Its IPv6 address, where the network has such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip6: Option<Ipv6Addr>,
    /// The vm's default route goes through it, because the file says so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default_route: bool,
    /// The largest packet, where the network has another than usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// The subnet of the wire that it is on, where an ordinary user's vms are joined by such. Nobody but us tells the guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wire: Option<Ipv4Net>,
}

/// What a vm requires of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// What the other must have reached.
    pub condition: Condition,
    /// Whether the other must be there at all.
    #[serde(default = "yes")]
    pub required: bool,
    /// Whether this vm is restarted when the other is.
    #[serde(default)]
    pub restart: bool,
}

fn yes() -> bool {
    true
}

/// How a guest's instructions are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Accel {
    /// By the processor where that really works, else in software.
    #[default]
    Auto,
    /// By the processor.
    Kvm,
    /// In software.
    Tcg,
}

/// What is wanted of one resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "spec", rename_all = "lowercase")]
pub enum Spec {
    /// A storage pool.
    Pool(Pool),
    /// A boot medium.
    Image(Image),
    /// A network.
    Network(Network),
    /// A named volume.
    Volume(Volume),
    /// A vm.
    Vm(Box<Vm>),
}

impl Spec {
    /// Which resource it is the spec of.
    pub fn id(&self) -> ResourceId {
        match self {
            Self::Pool(pool) => ResourceId::Pool(*pool),
            Self::Image(image) => ResourceId::Image(image.name.clone()),
            Self::Network(network) => ResourceId::Network(network.name.clone()),
            Self::Volume(volume) => ResourceId::Volume(volume.name.clone()),
            Self::Vm(vm) => ResourceId::Vm(vm.name.clone()),
        }
    }

    /// The vm, where it is one.
    pub fn as_vm(&self) -> Option<&Vm> {
        match self {
            Self::Vm(vm) => Some(vm),
            _ => None,
        }
    }

    /// What has to be there before it, and in which condition.
    pub fn requires(&self) -> Vec<(ResourceId, Condition)> {
        let exists = |id| (id, Condition::Started);
        match self {
            Self::Pool(_) | Self::Network(_) => Vec::new(),
            Self::Image(_) => vec![exists(ResourceId::Pool(Pool::Images))],
            Self::Volume(volume) if volume.pool.is_some() => Vec::new(),
            Self::Volume(_) => vec![exists(ResourceId::Pool(Pool::Disks))],
            Self::Vm(vm) => vm.requires(),
        }
    }
}

impl Vm {
    /// Whether there is a volume with what it is told at its first boot.
    pub fn has_seed(&self) -> bool {
        self.cloud_init.is_some() || self.ignition.is_some()
    }

    /// The name of the machine that it is, where somebody else made that.
    pub fn existing(&self) -> Option<&str> {
        match &self.boot {
            Boot::Existing { machine, .. } => Some(machine),
            _ => None,
        }
    }

    /// Whether it has a card of its own to the host, besides those to its networks.
    pub fn has_own_card(&self) -> bool {
        !self.ports.is_empty() || self.hardware.uplink.is_some()
    }

    fn requires(&self) -> Vec<(ResourceId, Condition)> {
        // What lies in a pool of the user's own is nothing that anybody here makes.
        let ours = self.boot.images().filter(|image| image.volume.is_none());
        let images = ours.map(|image| ResourceId::Image(image.name.clone()));
        let networks = self.interfaces.iter().map(|interface| ResourceId::Network(interface.network.clone()));
        let disks = self.disks.iter().map(|disk| match disk {
            Disk::Volume { volume } => ResourceId::Volume(volume.clone()),
            Disk::Own { .. } => ResourceId::Pool(Pool::Disks),
        });
        let stored = self.boot.has_disk() || self.has_seed();
        let stored = stored.then_some(ResourceId::Pool(Pool::Disks));
        let exists = images.chain(networks).chain(disks).chain(stored).map(|id| (id, Condition::Started));
        let vms = self.depends_on.iter().map(|(name, on)| (ResourceId::Vm(name.clone()), on.condition));
        let mut all: Vec<_> = exists.chain(vms).collect();
        all.sort();
        all.dedup();
        all
    }
}
