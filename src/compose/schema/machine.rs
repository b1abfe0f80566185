//! Keys about a vm's machine: processors, memory pages, limits, screen, devices.
//!
//! Owns their forms and what each of them can be by itself. What they mean together is settled in lowering.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::shape::{Entries, any_of, deserialize_form, refused};
use crate::compose::decode::{At, Form, Refused};
use crate::model::hardware::{self, GraphicsProtocol};
use crate::units::Bytes;

/// CPU model, topology and pinning.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Cpu {
    /// `host-passthrough`, `host-model`, `maximum`, or a model's name. Default: host-passthrough with KVM, else maximum
    pub(crate) mode: Option<At<String>>,
    /// Sockets, cores and threads; together as many as `cpus`. Default: as many sockets as cpus
    pub(crate) topology: Option<At<Topology>>,
    /// Host CPUs that it may run on: of all its CPUs, or by the number of each. Example: `pinning: "0-3,^2"`
    pub(crate) pinning: Option<At<Pinning>>,
}

/// How the virtual CPUs are arranged.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Topology {
    /// Number of sockets. Default: 1
    pub(crate) sockets: Option<u32>,
    /// Cores of each socket. Default: 1
    pub(crate) cores: Option<u32>,
    /// Threads of each core. Default: 1
    pub(crate) threads: Option<u32>,
}

/// Host CPUs: one text for all, or one for each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pinning {
    pub(crate) all: Option<At<String>>,
    pub(crate) each: Vec<(At<String>, At<String>)>,
}

/// Upper limits of what a vm may use.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Share and quota of the processors.
    pub(crate) cpu: CpuLimits,
    /// Memory of the vm with its emulator: above `hard` it is killed. A size alone is `hard`.
    pub(crate) memory: Option<At<MemoryLimits>>,
    /// Throughput of each disk.
    pub(crate) disk: Option<At<DiskLimits>>,
    /// Throughput of each network interface.
    pub(crate) network: NetworkLimits,
}

/// Share and quota of the processors.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CpuLimits {
    /// Weight against other vms when processors are scarce. Default: 1024
    pub(crate) shares: Option<At<u32>>,
    /// Processor time, in processors. Example: `quota: 1.5`
    pub(crate) quota: Option<At<f64>>,
}

/// Limits of memory.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct MemoryLimits(pub(crate) LongMemoryLimits);

/// The long form.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LongMemoryLimits {
    /// The vm is killed above this; leave room for the emulator itself.
    pub(crate) hard: Option<Bytes>,
    /// The vm is pressed back to this when the host's memory is scarce.
    pub(crate) soft: Option<Bytes>,
}

/// Limits of each disk.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DiskLimits {
    /// Bytes a second, reads and writes together. Example: `throughput: 50MiB`
    pub(crate) throughput: Option<Bytes>,
    /// Bytes read a second.
    pub(crate) read_throughput: Option<Bytes>,
    /// Bytes written a second.
    pub(crate) write_throughput: Option<Bytes>,
    /// Requests a second, reads and writes together.
    pub(crate) iops: Option<u64>,
    /// Reads a second.
    pub(crate) read_iops: Option<u64>,
    /// Writes a second.
    pub(crate) write_iops: Option<u64>,
}

/// Limits of each network interface.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NetworkLimits {
    /// Bytes a second that the guest receives. Example: `download: 10MiB`
    pub(crate) download: Option<At<Bytes>>,
    /// Bytes a second that the guest sends.
    pub(crate) upload: Option<At<Bytes>>,
}

/// A screen: `vnc`, `spice`, or a mapping.
#[derive(Debug, Clone)]
pub(crate) struct Graphics(pub(crate) LongGraphics);

/// The long form.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LongGraphics {
    /// How it is shown.
    pub(crate) protocol: GraphicsProtocol,
    /// The address of the host on which it is. Default: 127.0.0.1
    #[serde(default)]
    pub(crate) listen: Option<String>,
    /// Its port. Default: a free one
    #[serde(default)]
    pub(crate) port: Option<u16>,
}

/// A device of the host: exactly one of the keys.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HostDevice {
    /// By its place on the PCI bus, as `lspci -D` shows it. Example: `pci: "0000:03:00.0"`
    pub(crate) pci: Option<At<String>>,
    /// By maker and product, as `lsusb` shows it. Example: `usb: "046d:c52b"`
    pub(crate) usb: Option<At<String>>,
}

/// `true`, or the size of the pages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hugepages(pub(crate) Option<hardware::Hugepages>);

deserialize_form!(Pinning, MemoryLimits, Graphics, Hugepages);

impl Form for Pinning {
    const EXPECTED: &'static str = "host CPUs such as `0-3`, or a mapping from the vm's CPUs to them";
    type Scalar = At<String>;
    type List = Refused;
    type Mapping = Entries<At<String>>;

    refused!(list);

    fn scalar(all: At<String>) -> Result<Self, String> {
        Ok(Self { all: Some(all), each: Vec::new() })
    }

    fn mapping(entries: Entries<At<String>>) -> Result<Self, String> {
        Ok(Self { all: None, each: entries.0 })
    }
}

impl Form for MemoryLimits {
    const EXPECTED: &'static str = "a size, or a mapping with `hard` and `soft`";
    type Scalar = Bytes;
    type List = Refused;
    type Mapping = LongMemoryLimits;

    refused!(list);

    fn scalar(hard: Bytes) -> Result<Self, String> {
        Ok(Self(LongMemoryLimits { hard: Some(hard), soft: None }))
    }

    fn mapping(long: LongMemoryLimits) -> Result<Self, String> {
        match (long.hard, long.soft) {
            (Some(hard), Some(soft)) if soft > hard => {
                Err(format!("the soft limit `{soft}` must not be above the hard one, `{hard}`"))
            }
            _ => Ok(Self(long)),
        }
    }
}

impl Form for Graphics {
    const EXPECTED: &'static str = "`vnc`, `spice`, or a mapping with `protocol`";
    type Scalar = GraphicsProtocol;
    type List = Refused;
    type Mapping = LongGraphics;

    refused!(list);

    fn scalar(protocol: GraphicsProtocol) -> Result<Self, String> {
        Ok(Self(LongGraphics { protocol, listen: None, port: None }))
    }

    fn mapping(long: LongGraphics) -> Result<Self, String> {
        match &long.listen {
            Some(text) if text.parse::<std::net::IpAddr>().is_err() => {
                Err(format!("`{text}` is not an address; write `127.0.0.1`, or `0.0.0.0` for all of the host's"))
            }
            _ => Ok(Self(long)),
        }
    }
}

impl Form for Hugepages {
    const EXPECTED: &'static str = "`true`, `false`, or a size such as `2MiB`";
    type Scalar = String;
    type List = Refused;
    type Mapping = Refused;

    refused!(list, mapping);

    fn scalar(word: String) -> Result<Self, String> {
        match word.as_str() {
            "true" => Ok(Self(Some(hardware::Hugepages::Default))),
            "false" => Ok(Self(None)),
            size => {
                let size: Bytes =
                    size.parse().map_err(|_| format!("`{word}` is neither `true` nor a size of pages"))?;
                if size.0.is_power_of_two() && size >= Bytes::mib(1) {
                    return Ok(Self(Some(hardware::Hugepages::Size(size))));
                }
                Err(format!("no host has pages of `{size}`; usual sizes are `2MiB` and `1GiB`"))
            }
        }
    }
}

any_of!(
    Pinning, "Pinning", "host CPUs for all CPUs of the vm, or for each", [{"type": "string"}], [Entries<String>]
);
any_of!(MemoryLimits, "MemoryLimits", "a size, or a mapping", [], [Bytes, LongMemoryLimits]);
any_of!(Graphics, "Graphics", "`vnc`, `spice`, or a mapping", [], [GraphicsProtocol, LongGraphics]);

impl JsonSchema for Hugepages {
    fn schema_name() -> Cow<'static, str> {
        "Hugepages".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let size = generator.subschema_for::<Bytes>();
        json_schema!({ "description": "`true`, or a size of pages", "anyOf": [{ "type": "boolean" }, size] })
    }
}
