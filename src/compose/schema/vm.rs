//! A vm as the file has it.
//!
//! Owns its keys and their short forms. Knows nothing of defaults, replicas or references: those are settled elsewhere.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::cloud_init::CloudInit;
use super::guest::{Fqdn, Ssh};
use super::hardware::{Port, Share};
use super::health::{DependsOn, Healthcheck};
use super::machine::{Cpu, Graphics, HostDevice, Hugepages, Limits};
use super::provision::{Ignition, Provision};
use super::shape::{Entries, Labels, OneOrMany, any_of, deserialize_form, refused};
use crate::compose::decode::{At, Form, Refused};
use crate::model::hardware::{Firmware, Restart, Watchdog};
use crate::model::{Accel, Mac};
use crate::units::{Bytes, Span};

/// A virtual machine.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Vm {
    /// The image that its root disk is an overlay of: a name under `images`, a path, a URL, or a well-known
    /// name. Either this or `boot` must be given. Example: `image: debian:12`
    pub(crate) image: Option<At<String>>,
    /// A kernel that the hypervisor loads itself, an installation disc, or a machine that is there, in place of an image.
    pub(crate) boot: Option<At<Boot>>,
    /// Number of virtual CPUs. Default: 1
    pub(crate) cpus: Option<At<u32>>,
    /// Memory. Default: 1GiB. Example: `memory: 512MiB`
    pub(crate) memory: Option<At<Bytes>>,
    /// Size of the root disk. Default: that of the image. Example: `disk: 20GiB`
    pub(crate) disk: Option<At<Bytes>>,
    /// Further disks: named volumes, or disks that go when the vm goes. Example: `disks: [{volume: data}, {size: 5GiB}]`
    pub(crate) disks: Vec<At<Disk>>,
    /// The networks it is on: a list of names, or a mapping with addresses. Default: [default].
    /// Example: `networks: {back: {ip: 10.20.1.10}}`
    pub(crate) networks: Option<VmNetworks>,
    /// What the guest is called. Default: the name of the vm
    pub(crate) hostname: Option<At<Fqdn>>,
    /// The vms that must be up first: a list of names, or a mapping with what is required of each.
    /// Example: `depends_on: {db: {condition: healthy}}`
    pub(crate) depends_on: DependsOn,
    /// When it counts as healthy. Example: `healthcheck: {tcp: 5432}`
    pub(crate) healthcheck: Option<At<Healthcheck>>,
    /// How long a shutdown may take before the plug is pulled. Default: 30s
    pub(crate) stop_grace_period: Option<Span>,
    /// Started with the hypervisor, by libvirt, which keeps to no order: `vmcompose service` does. Default: false
    pub(crate) autostart: Option<bool>,
    /// How the guest's instructions are run. Default: auto
    pub(crate) accel: Option<Accel>,
    /// Free text, kept with the vm, to select by. Example: `labels: {tier: front}`
    pub(crate) labels: Labels,
    /// Free text, kept with the vm, to read.
    pub(crate) annotations: Labels,
    /// How many of it there are, named `NAME-1`, `NAME-2`, …; `{{ index }}` is the number. Default: one, named `NAME`
    pub(crate) replicas: Option<Count>,
    /// One vm for each item of a list or a mapping, named `NAME-KEY`; `{{ each.key }}` and `{{ each.value }}` are there.
    pub(crate) for_each: Option<serde_json::Value>,
    /// Whether it is there at all; a template may decide. Default: true
    pub(crate) enabled: Option<bool>,
    /// It is there only when one of these profiles is active.
    pub(crate) profiles: OneOrMany<At<String>>,
    /// Another vm whose keys it takes over: a name, or `{vm: NAME, file: PATH}`.
    pub(crate) extends: Option<Extends>,
    /// CPU model, topology and pinning. Example: `cpu: {mode: host-model, topology: {cores: 2, threads: 2}}`
    pub(crate) cpu: Option<Cpu>,
    /// Up to how many CPUs it can be given while it runs. Default: as many as `cpus`
    pub(crate) max_cpus: Option<At<u32>>,
    /// Up to how much memory it can be given while it runs. Default: as much as `memory`
    pub(crate) max_memory: Option<At<Bytes>>,
    /// Memory in large pages, which the host must have set aside: `true`, or their size. Example: `hugepages: 2MiB`
    pub(crate) hugepages: Option<Hugepages>,
    /// Machine type. Default: the newest that the hypervisor has. Example: `machine: q35`
    pub(crate) machine: Option<At<String>>,
    /// What runs before the boot loader. Default: bios
    pub(crate) firmware: Option<Firmware>,
    /// Boots only what is signed; needs `firmware: uefi`. Default: false
    pub(crate) secure_boot: Option<At<bool>>,
    /// A TPM 2.0, emulated by swtpm. Default: false
    pub(crate) tpm: Option<bool>,
    /// A screen, by VNC or SPICE. Default: none. Example: `graphics: vnc`
    pub(crate) graphics: Option<Graphics>,
    /// A watchdog, and what happens when the guest stops feeding it. Default: none. Example: `watchdog: reset`
    pub(crate) watchdog: Option<Watchdog>,
    /// Devices of the host that the guest gets to itself. Example: `devices: [{pci: "0000:03:00.0"}]`
    pub(crate) devices: Vec<At<HostDevice>>,
    /// Folders of the hypervisor's machine inside the guest, mounted by its cloud-init.
    /// Example: `shares: ["./code:/srv/code", "./etc:/srv/etc:ro"]`
    pub(crate) shares: Vec<At<Share>>,
    /// Ports published on the host. Example: `ports: ["8080:80"]`
    pub(crate) ports: Vec<At<Port>>,
    /// What happens when the guest powers itself off (`always`, `unless-stopped`) or crashes (these and `on-failure`).
    /// What vmcompose stops stays off. Default: no
    pub(crate) restart: Option<Restart>,
    /// Settings for the guest's first boot, where its image has cloud-init. Example: `cloud_init: {packages: [nginx]}`
    pub(crate) cloud_init: Option<CloudInit>,
    /// The configuration that a guest with Ignition, such as Flatcar, reads at its first boot: JSON as a text, a
    /// mapping, or a file. Example: `ignition: {file: core.ign}`
    pub(crate) ignition: Option<At<Ignition>>,
    /// What is done in the guest through its agent once it is up: scripts and files, in order. Done again, with all that
    /// follows, when it changes. Example: `provision: [{script: setup.sh, env: {MODE: test}}]`
    pub(crate) provision: Option<Provision>,
    /// How to log in; `false` keeps the project's key out of the guest. Example: `ssh: {user: ada}`
    pub(crate) ssh: Option<Ssh>,
    /// Upper limits of what it may use. Example: `limits: {cpu: {quota: 1.5}, disk: {iops: 500}}`
    pub(crate) limits: Option<Limits>,
    /// Refuses deletion and replacement, until an `up` without it. Default: false
    pub(crate) protect: Option<bool>,
    /// A fragment of libvirt's domain XML, merged into the definition. Example: `xml: "<on_reboot>destroy</on_reboot>"`
    pub(crate) xml: Option<At<String>>,
    /// What of it did not fit, so that its absence is no further mistake.
    #[serde(skip)]
    pub(crate) lost: Lost,
}

/// Keys that are written in the file, but wrongly.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lost {
    /// `image`, `boot`, or something that was meant to be one of them.
    pub(crate) start: bool,
    /// `healthcheck`.
    pub(crate) health: bool,
}

/// A kernel that the hypervisor loads itself, a disc that installs something on an empty root disk, or a machine that is
/// there.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Boot {
    /// The kernel's file: a path or a URL.
    pub(crate) kernel: Option<At<String>>,
    /// The initial RAM disk's file: a path or a URL.
    #[serde(default)]
    pub(crate) initrd: Option<At<String>>,
    /// The kernel's command line.
    #[serde(default)]
    pub(crate) cmdline: Option<String>,
    /// In place of a kernel, the disc's file, a path or a URL: the vm has an empty root disk of the size `disk`, starts from
    /// that where it can, and from the disc until then. Example: `cdrom: ./debian-12-netinst.iso`
    pub(crate) cdrom: Option<At<String>>,
    /// In place of all these, the name of a machine on the hypervisor that somebody else made: it is started, stopped and
    /// waited for with the others, and all that it consists of stays its maker's. `vmcompose import` writes this.
    pub(crate) existing: Option<At<String>>,
    /// Of such a machine, whether `up` starts it; else it is left as it is found, running or not. Default: true
    pub(crate) start: Option<At<bool>>,
}

/// A further disk: either `volume`, or `size` with an optional `name`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Disk {
    /// A named volume of this file.
    pub(crate) volume: Option<At<String>>,
    /// Size of a disk of the vm's own.
    pub(crate) size: Option<At<Bytes>>,
    /// Name of a disk of the vm's own. Default: disk1, disk2, … by its place among those without one
    pub(crate) name: Option<At<String>>,
    /// Where the guest mounts it; one that is empty gets a file system first. Example: `mount: /var/lib/postgresql`
    pub(crate) mount: Option<At<String>>,
}

/// The networks of a vm: a list of names, or a mapping.
#[derive(Debug, Clone, Default)]
pub(crate) struct VmNetworks(pub(crate) Vec<(At<String>, VmNetwork)>);

/// How a vm is on a network.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct VmNetwork {
    /// Its address. Default: one that is free
    pub(crate) ip: Option<At<Ip>>,
    /// Its IPv6 address, where the network has `subnet6`. Default: made from its hardware address
    pub(crate) ip6: Option<At<Ip6>>,
    /// Its hardware address. Default: made from its address where that is given, else from its name
    pub(crate) mac: Option<At<MacText>>,
    /// Names that it has on this network besides its own; vms may share one. Example: `aliases: [db]`
    pub(crate) aliases: Vec<At<Fqdn>>,
    /// Whether the vm's default route goes this way. Default: of the first network that leads outside
    pub(crate) default_route: Option<At<bool>>,
}

/// An IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ip(pub(crate) Ipv4Addr);

/// An IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ip6(pub(crate) Ipv6Addr);

/// A hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct MacText(pub(crate) Mac);

/// How many: a number, or a template that gives one.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct Count(pub(crate) u32);

/// The vm that another one takes its keys from.
#[derive(Debug, Clone)]
pub(crate) struct Extends(pub(crate) LongExtends);

/// The long form of `extends`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LongExtends {
    /// The vm's name.
    pub(crate) vm: At<String>,
    /// The file that it is in. Default: this one
    #[serde(default)]
    pub(crate) file: Option<At<String>>,
}

deserialize_form!(VmNetworks, Extends);

impl Form for VmNetworks {
    const EXPECTED: &'static str = "a list of networks, or a mapping";
    type Scalar = Refused;
    type List = Vec<At<String>>;
    type Mapping = Entries<Option<VmNetwork>>;

    refused!(scalar);

    fn list(names: Vec<At<String>>) -> Result<Self, String> {
        Ok(Self(names.into_iter().map(|name| (name, VmNetwork::default())).collect()))
    }

    fn mapping(entries: Entries<Option<VmNetwork>>) -> Result<Self, String> {
        Ok(Self(entries.0.into_iter().map(|(name, network)| (name, network.unwrap_or_default())).collect()))
    }
}

impl Form for Extends {
    const EXPECTED: &'static str = "the name of a vm, or a mapping with `vm` and `file`";
    type Scalar = At<String>;
    type List = Refused;
    type Mapping = LongExtends;

    refused!(list);

    fn scalar(vm: At<String>) -> Result<Self, String> {
        Ok(Self(LongExtends { vm, file: None }))
    }

    fn mapping(long: LongExtends) -> Result<Self, String> {
        Ok(Self(long))
    }
}

any_of!(
    VmNetworks, "VmNetworks", "a list of networks, or a mapping with addresses", [],
    [Vec<String>, Entries<Option<VmNetwork>>]
);
any_of!(Extends, "Extends", "the name of a vm, or a mapping", [{"type": "string"}], [LongExtends]);

impl<'de> Deserialize<'de> for Ip {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let malformed = || {
            let more = if text.contains(':') {
                "IPv6 has its own key, `ip6`"
            } else if text.contains('/') {
                "the length of the prefix belongs to the network's `subnet`"
            } else {
                "write four numbers, such as `10.20.1.10`"
            };
            serde::de::Error::custom(format!("`{text}` is not an IPv4 address; {more}"))
        };
        text.trim().parse().map(Self).map_err(|_| malformed())
    }
}

impl JsonSchema for Ip {
    fn schema_name() -> Cow<'static, str> {
        "Address".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "an IPv4 address: 10.20.1.10",
            "type": "string",
            "pattern": r"^\s*[0-9]{1,3}(\.[0-9]{1,3}){3}\s*$"
        })
    }
}

impl<'de> Deserialize<'de> for Ip6 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let malformed =
            |_| serde::de::Error::custom(format!("`{text}` is not an IPv6 address; write one such as `fd00:20::10`"));
        text.trim().parse().map(Self).map_err(malformed)
    }
}

impl JsonSchema for Ip6 {
    fn schema_name() -> Cow<'static, str> {
        "Address6".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "an IPv6 address: fd00:20::10",
            "type": "string",
            "pattern": r"^\s*[0-9a-fA-F:.]+\s*$"
        })
    }
}

impl JsonSchema for MacText {
    fn schema_name() -> Cow<'static, str> {
        "Mac".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "a hardware address: 52:54:00:12:34:56",
            "type": "string",
            "pattern": "^[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}$"
        })
    }
}
