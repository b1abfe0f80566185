//! What a valid project is: one plain value per resource, hypervisor-neutral, legal once it exists.
//!
//! Owns the specs, and what each of them requires of others. A spec is also what is recorded with the object on the
//! hypervisor, so its serialised form is a format: add fields with a default, never rename one. Knows nothing of files,
//! positions, libvirt or plans.

pub mod address;
pub mod health;

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use address::{Mac, Surroundings};
pub use health::{Condition, Healthcheck, Probe};

use crate::names::{ImageName, NetworkName, Pool, ProjectName, ResourceId, VmName, VolumeName};
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
    pub images: BTreeMap<ImageName, ImageSource>,
    /// Its machines, replicas counted one by one.
    pub vms: BTreeMap<VmName, Vm>,
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

/// A network of the project's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// Its name.
    pub name: NetworkName,
    /// How it reaches the outside.
    pub mode: NetworkMode,
    /// Its addresses; the first host address is the gateway's.
    pub subnet: Ipv4Net,
    /// Names and addresses that its DHCP and DNS hand out, by vm, settled before anything boots.
    pub hosts: BTreeMap<VmName, Host>,
    /// Free text of the user's, kept with the network.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Network {
    /// The address of the hypervisor on this network: the first host of the subnet.
    pub fn gateway(&self) -> Ipv4Addr {
        self.subnet.hosts().next().unwrap_or(self.subnet.addr())
    }
}

/// One reservation of a network: this MAC gets this address, and answers to these names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The interface's hardware address.
    pub mac: Mac,
    /// The address reserved for it.
    pub ip: Ipv4Addr,
    /// DNS names: the host name first, then aliases.
    pub names: Vec<String>,
}

/// How a network reaches the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// Through the hypervisor, its address translated.
    #[default]
    Nat,
    /// Not at all; the vms and the hypervisor see one another.
    Isolated,
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nat => "nat",
            Self::Isolated => "isolated",
        })
    }
}

/// A named volume: an empty qcow2 disk that survives `down`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name.
    pub name: VolumeName,
    /// What the guest sees; allocated as it is written.
    pub size: Bytes,
}

/// A boot medium as the file names it; nobody has opened it yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSource {
    /// Its name: the one under `images`, or the file name of a kernel or initrd.
    pub name: ImageName,
    /// Where it is, absolute.
    pub path: PathBuf,
    /// What it is for.
    pub role: ImageRole,
}

/// What a boot medium is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageRole {
    /// A disk that root disks are overlays of.
    Disk,
    /// A kernel or an initrd, loaded by the hypervisor.
    Kernel,
}

/// A boot medium that was looked at: content, not just a path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// Its name.
    pub name: ImageName,
    /// Where its bytes are on this machine; empty when it is only known from the hypervisor.
    pub path: PathBuf,
    /// How the bytes are laid out.
    pub format: ImageFormat,
    /// Length of the file.
    pub length: Bytes,
    /// SHA-256 of the bytes: its identity.
    pub digest: Digest,
}

/// How an image's bytes are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageFormat {
    /// QEMU's own format, version 2 or 3.
    Qcow2,
    /// The bytes of the disk, or of a kernel, as they are.
    Raw,
}

impl ImageFormat {
    /// Its name, as QEMU and libvirt have it too.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Qcow2 => "qcow2",
            Self::Raw => "raw",
        }
    }
}

/// The first 48 bits of a SHA-256, in hexadecimal: enough to tell contents apart within a project, short enough to read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// Number of hexadecimal digits.
    pub const LEN: usize = 12;

    /// Takes a text of [`Digest::LEN`] lower-case hexadecimal digits.
    pub fn new(text: &str) -> Option<Self> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (text.len() == Self::LEN && text.bytes().all(hex)).then(|| Self(text.to_owned()))
    }

    /// Shortens a whole SHA-256.
    pub fn of(sha256: &[u8; 32]) -> Self {
        Self(sha256.iter().take(Self::LEN / 2).map(|b| format!("{b:02x}")).collect())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// An image by name, and by content once it was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRef {
    /// The image.
    pub name: ImageName,
    /// Its content; `None` between parsing and looking at the file.
    pub digest: Option<Digest>,
    /// Its layout; `None` likewise.
    pub format: Option<ImageFormat>,
}

impl ImageRef {
    /// A reference to an image nobody has looked at.
    pub fn unseen(name: ImageName) -> Self {
        Self { name, digest: None, format: None }
    }
}

/// What a vm starts from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Boot {
    /// A root disk that is an overlay of an image.
    Image(ImageRef),
    /// A kernel that the hypervisor loads itself.
    Kernel {
        /// The kernel.
        kernel: ImageRef,
        /// The initial RAM disk.
        initrd: Option<ImageRef>,
        /// The kernel's command line.
        cmdline: String,
    },
}

impl Boot {
    /// The images it refers to.
    pub fn images(&self) -> impl Iterator<Item = &ImageRef> {
        let (first, second) = match self {
            Self::Image(image) => (image, None),
            Self::Kernel { kernel, initrd, .. } => (kernel, initrd.as_ref()),
        };
        std::iter::once(first).chain(second)
    }

    /// The same, to be filled in.
    pub fn images_mut(&mut self) -> impl Iterator<Item = &mut ImageRef> {
        let (first, second) = match self {
            Self::Image(image) => (image, None),
            Self::Kernel { kernel, initrd, .. } => (kernel, initrd.as_mut()),
        };
        std::iter::once(first).chain(second)
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
    /// Its network interfaces, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<Interface>,
    /// The vms it waits for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub depends_on: BTreeMap<VmName, Dependency>,
    /// When it counts as healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
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
    /// Free text of the user's, kept with the vm, to select by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Free text of the user's, kept with the vm, to read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
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
            Self::Volume(_) => vec![exists(ResourceId::Pool(Pool::Disks))],
            Self::Vm(vm) => vm.requires(),
        }
    }
}

impl Vm {
    fn requires(&self) -> Vec<(ResourceId, Condition)> {
        let images = self.boot.images().map(|image| ResourceId::Image(image.name.clone()));
        let networks = self.interfaces.iter().map(|interface| ResourceId::Network(interface.network.clone()));
        let disks = self.disks.iter().map(|disk| match disk {
            Disk::Volume { volume } => ResourceId::Volume(volume.clone()),
            Disk::Own { .. } => ResourceId::Pool(Pool::Disks),
        });
        let root = matches!(self.boot, Boot::Image(_)).then_some(ResourceId::Pool(Pool::Disks));
        let exists = images.chain(networks).chain(disks).chain(root).map(|id| (id, Condition::Started));
        let vms = self.depends_on.iter().map(|(name, on)| (ResourceId::Vm(name.clone()), on.condition));
        let mut all: Vec<_> = exists.chain(vms).collect();
        all.sort();
        all.dedup();
        all
    }
}
