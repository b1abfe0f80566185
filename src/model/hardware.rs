//! What a vm's machine is beyond its cpus, memory, disks and networks.
//!
//! Owns these values and their serialised form, which is part of what is recorded with a vm. Knows nothing of what a
//! particular hypervisor offers.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::Bytes;

/// Hardware that most vms leave to the defaults. Its fields are recorded as fields of the vm itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hardware {
    /// Model, arrangement and place of the processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// Up to how many processors it can have while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cpus: Option<u32>,
    /// Up to how much memory it can have while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_memory: Option<Bytes>,
    /// Pages of memory larger than the usual ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hugepages: Option<Hugepages>,
    /// The machine type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// What runs before the boot loader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<Firmware>,
    /// Boots only what is signed.
    #[serde(skip_serializing_if = "is_false")]
    pub secure_boot: bool,
    /// A TPM 2.0.
    #[serde(skip_serializing_if = "is_false")]
    pub tpm: bool,
    /// A screen that somebody can look at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graphics: Option<Graphics>,
    /// What happens when the guest no longer feeds its watchdog.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watchdog: Option<Watchdog>,
    /// Devices of the host that the guest has to itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<HostDevice>,
    /// What happens when the guest powers itself off or crashes.
    #[serde(skip_serializing_if = "Restart::is_default")]
    pub restart: Restart,
    /// Upper limits of what it may use of the host.
    #[serde(skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// Its way to the host and the world, where it is on wires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uplink: Option<Uplink>,
    /// A fragment of the hypervisor's own language, merged into the definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xml: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// A card of its own by which a vm reaches what is not on its wires, and is reached by its host: no bridge does that for
/// an ordinary user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Uplink {
    /// Whether it leads outside, and not only to the host.
    pub outside: bool,
    /// The names of those on its wires, where no name server is.
    pub hosts: BTreeMap<IpAddr, Vec<String>>,
}

/// Model, arrangement and place of the processors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cpu {
    /// A mode, or a model's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<CpuMode>,
    /// How they are arranged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topology: Option<Topology>,
    /// Host processors on which they may run.
    #[serde(skip_serializing_if = "Pinning::is_empty")]
    pub pinning: Pinning,
}

/// What the guest's processors look like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CpuMode {
    /// The host's own, as it is.
    HostPassthrough,
    /// The named model that comes closest to the host's.
    HostModel,
    /// All that the hypervisor can do.
    Maximum,
    /// A model by its name.
    #[serde(untagged)]
    Model(String),
}

impl CpuMode {
    /// Its word in the file.
    pub fn as_str(&self) -> &str {
        match self {
            Self::HostPassthrough => "host-passthrough",
            Self::HostModel => "host-model",
            Self::Maximum => "maximum",
            Self::Model(name) => name,
        }
    }
}

impl From<&str> for CpuMode {
    fn from(word: &str) -> Self {
        match word {
            "host-passthrough" => Self::HostPassthrough,
            "host-model" => Self::HostModel,
            "maximum" => Self::Maximum,
            model => Self::Model(model.to_owned()),
        }
    }
}

/// Sockets, cores and threads; their product is the number of processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// Number of sockets.
    pub sockets: u32,
    /// Cores of each socket.
    pub cores: u32,
    /// Threads of each core.
    pub threads: u32,
}

/// Host processors, as `0-3,^2`: for all of the vm's processors, or one by one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pinning {
    /// For all that have none of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<String>,
    /// For single processors, by their number from 0.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub each: BTreeMap<String, String>,
}

impl Pinning {
    /// Whether nothing is pinned.
    pub fn is_empty(&self) -> bool {
        self.all.is_none() && self.each.is_empty()
    }
}

/// Large pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hugepages {
    /// Of the host's usual large size.
    Default,
    /// Of this size.
    Size(Bytes),
}

/// What runs before the boot loader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Firmware {
    /// PC BIOS.
    Bios,
    /// UEFI.
    Uefi,
}

/// A screen that somebody can look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Graphics {
    /// How it is shown.
    pub protocol: GraphicsProtocol,
    /// The address of the host on which it is.
    pub listen: String,
    /// Its port; a free one where `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// How a screen is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GraphicsProtocol {
    /// VNC.
    Vnc,
    /// SPICE.
    Spice,
}

impl GraphicsProtocol {
    /// Its word in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vnc => "vnc",
            Self::Spice => "spice",
        }
    }
}

/// What happens when the guest no longer feeds its watchdog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Watchdog {
    /// The vm is reset.
    Reset,
    /// The guest is asked to shut down.
    Shutdown,
    /// The plug is pulled.
    Poweroff,
    /// Its processors are held.
    Pause,
}

impl Watchdog {
    /// Its word in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Shutdown => "shutdown",
            Self::Poweroff => "poweroff",
            Self::Pause => "pause",
        }
    }
}

/// A device of the host that the guest has to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostDevice {
    /// By its place on the PCI bus.
    Pci {
        /// The domain, 0 nearly always.
        domain: u16,
        /// The bus.
        bus: u8,
        /// The slot.
        slot: u8,
        /// The function.
        function: u8,
    },
    /// By maker and product.
    Usb {
        /// The maker.
        vendor: u16,
        /// The product.
        product: u16,
    },
}

/// What happens when the guest powers itself off or crashes; Compose's words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// It stays off.
    #[default]
    No,
    /// It is started again, also after a crash.
    Always,
    /// It is started again after a crash.
    OnFailure,
    /// The same as `always`: what `vmcompose` stops stays off in both cases.
    UnlessStopped,
}

impl Restart {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_default(&self) -> bool {
        *self == Self::No
    }

    /// Whether a guest that powers itself off is started again.
    pub fn after_poweroff(self) -> bool {
        matches!(self, Self::Always | Self::UnlessStopped)
    }

    /// Whether a guest that crashed is started again.
    pub fn after_crash(self) -> bool {
        self != Self::No
    }
}

/// Upper limits of what a vm may use of the host; nothing is limited where there is no value.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Weight against other vms when processors are scarce; the usual one is 1024.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_shares: Option<u32>,
    /// Processor time, in processors: 1.5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_quota: Option<f64>,
    /// Memory of the vm and its emulator, above which it is killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_hard: Option<Bytes>,
    /// Memory that it is pressed back to when memory is scarce.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_soft: Option<Bytes>,
    /// Of each disk.
    #[serde(skip_serializing_if = "DiskLimits::is_empty")]
    pub disk: DiskLimits,
    /// Bytes a second that the guest receives on each interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download: Option<Bytes>,
    /// Bytes a second that the guest sends on each interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload: Option<Bytes>,
}

impl Limits {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |label: &str, value: Option<String>| value.map(|value| format!("{label} {value}"));
        let all = [
            text("cpu shares", self.cpu_shares.map(|n| n.to_string())),
            text("cpus", self.cpu_quota.map(|n| n.to_string())),
            text("memory", self.memory_hard.map(|n| n.to_string())),
            text("memory softly", self.memory_soft.map(|n| n.to_string())),
            (!self.disk.is_empty()).then(|| "disks".to_owned()),
            text("download", self.download.map(|n| format!("{n}/s"))),
            text("upload", self.upload.map(|n| format!("{n}/s"))),
        ];
        f.write_str(&all.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

/// Upper limits of each disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DiskLimits {
    /// Bytes a second, reads and writes together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throughput: Option<Bytes>,
    /// Bytes read a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_throughput: Option<Bytes>,
    /// Bytes written a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_throughput: Option<Bytes>,
    /// Requests a second, reads and writes together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iops: Option<u64>,
    /// Reads a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_iops: Option<u64>,
    /// Writes a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_iops: Option<u64>,
}

impl DiskLimits {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
