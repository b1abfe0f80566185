//! Networks as the file has them.
//!
//! Owns their keys, and how subnets, ranges and routes are written. Knows nothing of what becomes of them.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::guest::Fqdn;
use super::shape::{Entries, Labels, any_of, deserialize_form, refused};
use super::vm::Ip;
use crate::compose::decode::{At, Form, Refused};
use crate::units::Bytes;

/// A network of the project.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Network {
    /// How it reaches the outside. Default: nat
    pub(crate) mode: Option<At<Mode>>,
    /// Its addresses; the first one is the gateway's. Default: one that is free. Example: `subnet: 10.20.0.0/24`
    pub(crate) subnet: Option<At<Cidr>>,
    /// Its IPv6 addresses, a `/64`; vms make theirs of their hardware addresses. Default: none.
    /// Example: `subnet6: fd00:20::/64`
    pub(crate) subnet6: Option<At<Cidr6>>,
    /// Free text, kept with the network.
    pub(crate) labels: Labels,
    /// The bridge of the host that `mode: bridge` uses. Example: `bridge: br0`
    pub(crate) bridge: Option<At<String>>,
    /// The interface of the host that the vms share with `mode: direct`. Example: `interface: eth0`
    pub(crate) interface: Option<At<String>>,
    /// The router, with `mode: bridge` and `mode: direct`. Default: the first address of `subnet`
    pub(crate) gateway: Option<At<Ip>>,
    /// Largest packet. Default: 1500
    pub(crate) mtu: Option<At<u32>>,
    /// The VLAN that the vms are in, with `mode: bridge`.
    pub(crate) vlan: Option<At<u16>>,
    /// The domain of the vms' names. Default: that of the project, `PROJECT.internal`
    pub(crate) domain: Option<At<Fqdn>>,
    /// The DHCP server: `off`, or a mapping. Default: on
    pub(crate) dhcp: Option<At<Dhcp>>,
    /// The name server.
    pub(crate) dns: Option<At<Dns>>,
    /// Routes that the vms are told. Example: `routes: [{to: 10.30.0.0/16, via: 10.20.0.5}]`
    pub(crate) routes: Vec<Route>,
    /// Limits of what the network carries, in bytes per second.
    pub(crate) bandwidth: Option<At<Bandwidth>>,
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
    /// By an interface of the host that the vms share (macvtap).
    Direct,
}

/// A DHCP server: off, or on with settings.
#[derive(Debug, Clone)]
pub(crate) struct Dhcp {
    pub(crate) off: bool,
    pub(crate) range: Option<At<Range>>,
}

/// Settings of a DHCP server.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LongDhcp {
    /// Addresses for guests that are no vms of the project. Default: the whole subnet.
    /// Example: `range: 10.20.0.100-10.20.0.200`
    range: Option<At<Range>>,
}

/// Settings of a name server.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Dns {
    /// Addresses of the name servers that are asked what it does not know. Default: those of the host
    pub(crate) forwarders: Vec<IpText>,
    /// Names that it knows besides those of the vms. Example: `hosts: {registry: 10.20.0.5}`
    pub(crate) hosts: HostNames,
}

/// Names with an address each.
#[derive(Debug, Clone, Default)]
pub(crate) struct HostNames(pub(crate) Vec<(Fqdn, IpText)>);

/// A way to addresses that are not on the network.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Route {
    /// Where to: a subnet.
    pub(crate) to: At<NetText>,
    /// The address of the router, on this network.
    pub(crate) via: At<IpText>,
}

/// Limits of what a network carries, in bytes per second.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Bandwidth {
    /// What goes to the vms. Example: `inbound: 10MiB`
    pub(crate) inbound: Option<Bytes>,
    /// What comes from the vms.
    pub(crate) outbound: Option<Bytes>,
}

/// An IPv4 subnet whose host bits are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cidr(pub(crate) Ipv4Net);

/// An IPv6 subnet of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cidr6(pub(crate) Ipv6Net);

/// Addresses from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range(pub(crate) Ipv4Addr, pub(crate) Ipv4Addr);

/// An address of either kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IpText(pub(crate) IpAddr);

/// A subnet of either kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NetText(pub(crate) IpNet);

impl Cidr {
    fn parse(text: &str) -> Result<Self, String> {
        let net: Ipv4Net = text.parse().map_err(|_| match text.parse::<Ipv4Addr>() {
            Ok(_) => format!("`{text}` lacks the length of the prefix; write `{text}/24`"),
            Err(_) if text.contains(':') => format!("`{text}` is not an IPv4 subnet; IPv6 has its own key, `subnet6`"),
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
        Ok(Self(net))
    }
}

impl Cidr6 {
    fn parse(text: &str) -> Result<Self, String> {
        let net: Ipv6Net =
            text.parse().map_err(|_| format!("`{text}` is not an IPv6 subnet; write one such as `fd00:20::/64`"))?;
        // Guests make their addresses of a prefix of this length, and of no other.
        if net.prefix_len() != 64 {
            return Err(format!("`{net}` is not a `/64`, which vms need to make their addresses of"));
        }
        if net.addr() != net.network() {
            return Err(format!("`{net}` is an address within a subnet; the subnet is `{}`", net.trunc()));
        }
        let first = net.addr();
        if first.is_unicast_link_local() || first.is_multicast() || first.segments()[0] == 0 {
            return Err(format!("`{net}` is reserved; take one of `fd00::/8`"));
        }
        Ok(Self(net))
    }
}

impl Range {
    fn parse(text: &str) -> Result<Self, String> {
        let malformed = || format!("`{text}` is not a range; write two addresses, such as `10.20.0.100-10.20.0.200`");
        let (first, last) = text.split_once('-').ok_or_else(malformed)?;
        let address = |text: &str| text.trim().parse::<Ipv4Addr>().map_err(|_| malformed());
        let (first, last) = (address(first)?, address(last)?);
        if first > last { Err(format!("`{text}` ends before it begins")) } else { Ok(Self(first, last)) }
    }
}

impl IpText {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("`{text}` is not an address"))
    }
}

impl NetText {
    fn parse(text: &str) -> Result<Self, String> {
        let net: IpNet = text
            .parse()
            .map_err(|_| format!("`{text}` is not a subnet; write an address and a length, such as `10.30.0.0/16`"))?;
        if net.addr() == net.network() {
            return Ok(Self(net));
        }
        Err(format!("`{net}` is an address within a subnet; the subnet is `{}`", net.trunc()))
    }
}

/// Types that are written as a text: how it is read, and what an editor is told of it.
macro_rules! texts {
    ($($type:ident, $name:literal, $description:literal, $pattern:literal;)*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::parse(String::deserialize(deserializer)?.trim()).map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "description": $description, "type": "string", "pattern": $pattern })
            }
        }
    )*};
}

texts! {
    Cidr, "Subnet", "an IPv4 subnet: 10.20.0.0/24", r"^\s*[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}\s*$";
    Cidr6, "Subnet6", "an IPv6 subnet: fd00:20::/64", r"^\s*[0-9a-fA-F:]+/[0-9]{1,3}\s*$";
    Range, "Range", "addresses from the first to the last: 10.20.0.100-10.20.0.200", r"^\s*[0-9.]+\s*-\s*[0-9.]+\s*$";
    IpText, "AnyAddress", "an address: 10.20.0.5 or fd00:20::5", r"^\s*[0-9a-fA-F.:]+\s*$";
    NetText, "AnySubnet", "a subnet: 10.30.0.0/16 or fd00:30::/64", r"^\s*[0-9a-fA-F.:]+/[0-9]{1,3}\s*$";
}

deserialize_form!(Dhcp, HostNames);

impl Form for Dhcp {
    const EXPECTED: &'static str = "`on`, `off`, or a mapping with `range`";
    type Scalar = serde_json::Value;
    type List = Refused;
    type Mapping = LongDhcp;

    refused!(list);

    fn scalar(value: serde_json::Value) -> Result<Self, String> {
        let off = match value {
            serde_json::Value::Bool(on) => !on,
            serde_json::Value::String(word) if word == "off" => true,
            serde_json::Value::String(word) if word == "on" => false,
            other => return Err(format!("`{}` is neither `on` nor `off`", other.to_string().trim_matches('"'))),
        };
        Ok(Self { off, range: None })
    }

    fn mapping(LongDhcp { range }: LongDhcp) -> Result<Self, String> {
        Ok(Self { off: false, range })
    }
}

any_of!(
    Dhcp, "Dhcp", "`on`, `off`, or a mapping with `range`", [{"type": "boolean"}, {"type": "string", "pattern": "^(on|off)$"}], [LongDhcp]
);

impl Form for HostNames {
    const EXPECTED: &'static str = "a mapping of names to addresses";
    type Scalar = Refused;
    type List = Refused;
    type Mapping = Entries<IpText>;

    refused!(scalar, list);

    fn mapping(entries: Entries<IpText>) -> Result<Self, String> {
        let host = |(name, ip): (At<String>, IpText)| Ok((Fqdn::parse(&name)?, ip));
        entries.0.into_iter().map(host).collect::<Result<_, String>>().map(Self)
    }
}

any_of!(HostNames, "HostNames", "names with an address each", [], [Entries<IpText>]);
