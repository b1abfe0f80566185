//! Everything at the top of the file besides vms: images, networks, volumes, secrets, includes.
//!
//! Owns their keys. Knows nothing of what becomes of them.

use ipnet::Ipv4Net;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use std::borrow::Cow;

use super::shape::{Labels, OneOrMany, any_of, deserialize_form, refused};
use crate::compose::decode::{At, Form, Refused};
use crate::model::ImageFormat;
use crate::units::Bytes;

/// An image: where it is, or a mapping.
#[derive(Debug, Clone, Default)]
pub(crate) struct Image(pub(crate) LongImage);

/// The long form of an image.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LongImage {
    /// Where it is: a path relative to this file's folder, a URL, `import:NAME`, a well-known name as `vmcompose image
    /// list --known` shows them, or `POOL:VOLUME` for one that is on the hypervisor already and stays the user's own. Example: `source: debian:12`
    pub(crate) source: Option<At<String>>,
    /// The same as `source`.
    pub(crate) path: Option<At<String>>,
    /// What its published bytes must hash to: `sha256:…`, `sha512:…`, or the URL of a list such as `SHA256SUMS`. Default:
    /// the publisher's list, of a well-known name
    pub(crate) checksum: Option<At<String>>,
    /// How its bytes are laid out: `qcow2` or `raw`. What they turn out to be otherwise is refused. Default: as its first
    /// bytes say. Example: `format: qcow2`
    pub(crate) format: Option<At<ImageFormat>>,
}

deserialize_form!(Image);

impl Form for Image {
    const EXPECTED: &'static str = "a path or a URL, or a mapping with `source`";
    type Scalar = At<String>;
    type List = Refused;
    type Mapping = LongImage;

    refused!(list);

    fn scalar(path: At<String>) -> Result<Self, String> {
        Ok(Self(LongImage { source: Some(path), ..LongImage::default() }))
    }

    fn mapping(long: LongImage) -> Result<Self, String> {
        Ok(Self(long))
    }
}

any_of!(Image, "Image", "a path, a URL or a well-known name, or a mapping", [{"type": "string"}], [LongImage]);

/// A network of the project.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Network {
    /// How it reaches the outside. Default: nat
    pub(crate) mode: Option<At<Mode>>,
    /// Its addresses; the first one is the gateway's. Default: one that is free. Example: `subnet: 10.20.0.0/24`
    pub(crate) subnet: Option<At<Cidr>>,
    /// Free text, kept with the network.
    pub(crate) labels: Labels,
    /// The bridge of the host that `mode: bridge` uses.
    pub(crate) bridge: Option<String>,
    /// IPv6 addresses of the network.
    pub(crate) subnet6: Option<String>,
    /// Largest packet.
    pub(crate) mtu: Option<u32>,
    /// VLAN number.
    pub(crate) vlan: Option<u16>,
    /// The domain of the vms' names.
    pub(crate) domain: Option<String>,
    /// DHCP settings.
    pub(crate) dhcp: Option<serde_json::Value>,
    /// DNS settings.
    pub(crate) dns: Option<serde_json::Value>,
    /// Static routes.
    pub(crate) routes: Option<serde_json::Value>,
}

/// How a network reaches the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// Through the hypervisor, its address translated.
    Nat,
    /// Not at all; the vms and the hypervisor see one another.
    Isolated,
    /// Through the hypervisor, with its own addresses.
    Routed,
    /// By a bridge that the host has already.
    Bridge,
}

/// An IPv4 subnet whose host bits are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cidr(pub(crate) Ipv4Net);

impl Cidr {
    fn parse(text: &str) -> Result<Ipv4Net, String> {
        let net: Ipv4Net = text.parse().map_err(|_| match text.parse::<std::net::Ipv4Addr>() {
            Ok(_) => format!("`{text}` lacks the length of the prefix; write `{text}/24`"),
            Err(_) if text.contains(':') => format!("`{text}` is not an IPv4 subnet; IPv6 is not supported yet"),
            Err(_) => format!("`{text}` is not a subnet; write an address and a length, such as `10.20.0.0/24`"),
        })?;
        if net.addr() != net.network() {
            return Err(format!("`{net}` is an address within a subnet; the subnet is `{}`", net.trunc()));
        }
        if net.prefix_len() > 29 {
            return Err(format!("`{net}` is too small for a network with a gateway; take a `/29` or larger"));
        }
        if net.prefix_len() < 8 {
            return Err(format!("`{net}` is larger than any network; take a `/8` or smaller"));
        }
        let first = net.addr();
        if first.is_loopback() || first.is_multicast() || first.is_link_local() || first.octets()[0] == 0 {
            return Err(format!("`{net}` is reserved; take one of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"));
        }
        Ok(net)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(text.trim()).map(Self).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Cidr {
    fn schema_name() -> Cow<'static, str> {
        "Subnet".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "an IPv4 subnet: 10.20.0.0/24",
            "type": "string",
            "pattern": r"^\s*[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}\s*$"
        })
    }
}

/// A named volume: a disk that survives `down`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Volume {
    /// What the guest sees; allocated as it is written. Example: `size: 20GiB`
    pub(crate) size: Option<At<Bytes>>,
    /// Several vms may have it as a disk at once; it is raw then, and no guest is told to mount it, because who writes
    /// what is for the guests to agree on. Default: false
    pub(crate) shared: Option<bool>,
    /// The storage pool it is kept in, which has to be one of files; `vmcompose pool add` makes one. Default: that of
    /// vmcompose. Example: `pool: fast`
    pub(crate) pool: Option<At<String>>,
    /// Refused: libvirt keeps nothing with a volume. Label the vms that use it.
    pub(crate) labels: Option<Labels>,
}

/// A secret: where its value comes from.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Secret {
    /// A variable of the environment.
    pub(crate) environment: Option<String>,
    /// A file.
    pub(crate) file: Option<String>,
    /// What a command prints.
    pub(crate) command: Option<serde_json::Value>,
    /// A file encrypted with sops.
    pub(crate) sops: Option<String>,
    /// A path in Vault.
    pub(crate) vault: Option<serde_json::Value>,
}

/// Another compose file whose resources become part of this project.
#[derive(Debug, Clone)]
pub(crate) struct Include(pub(crate) LongInclude);

/// The long form of an include.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LongInclude {
    /// The file, or several that are merged with one another, relative to this file's folder.
    pub(crate) path: OneOrMany<At<String>>,
    /// The folder whose `.env` is read. Default: that of the included file
    #[serde(default)]
    pub(crate) project_directory: Option<At<String>>,
    /// Files with defaults for variables. Default: `.env` in the project directory
    #[serde(default)]
    pub(crate) env_file: OneOrMany<At<String>>,
}

deserialize_form!(Include);

impl Form for Include {
    const EXPECTED: &'static str = "a path, or a mapping with `path`";
    type Scalar = At<String>;
    type List = Refused;
    type Mapping = LongInclude;

    refused!(list);

    fn scalar(path: At<String>) -> Result<Self, String> {
        let path = OneOrMany(vec![path]);
        Ok(Self(LongInclude { path, project_directory: None, env_file: OneOrMany::default() }))
    }

    fn mapping(long: LongInclude) -> Result<Self, String> {
        Ok(Self(long))
    }
}

any_of!(Include, "Include", "a path, or a mapping", [{"type": "string"}], [LongInclude]);
