//! Networks of a project, with all that they hand out.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::{self, Mac};
use crate::names::{NetworkName, ProjectName, VmName};
use crate::units::Bytes;

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
    /// What few networks say of themselves.
    #[serde(flatten)]
    pub settings: Box<NetworkSettings>,
}

/// What a network has besides its addresses; all of it may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkSettings {
    /// What of the host it is joined to: a bridge, or the interface that the vms share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// It has neither bridge nor servers: an ordinary user's vms are joined by a wire.
    #[serde(skip_serializing_if = "is_default")]
    pub wire: bool,
    /// The router of a network that the host has already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Ipv4Addr>,
    /// Its IPv6 addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet6: Option<Ipv6Net>,
    /// Its largest packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// The VLAN that its vms are in on the host's bridge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// The domain of its names, where it is not the project's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Its DHCP server.
    #[serde(skip_serializing_if = "is_default")]
    pub dhcp: Dhcp,
    /// Its name server.
    #[serde(skip_serializing_if = "is_default")]
    pub dns: Dns,
    /// Routes that its vms are told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// Limits of what goes in and out.
    #[serde(skip_serializing_if = "is_default")]
    pub bandwidth: Bandwidth,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A DHCP server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Dhcp {
    /// There is none: every vm is told its address by its seed.
    #[serde(skip_serializing_if = "is_default")]
    pub off: bool,
    /// First and last address for guests that nobody reserved one for; the whole subnet where `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<(Ipv4Addr, Ipv4Addr)>,
}

/// A name server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Dns {
    /// Who is asked what it does not know; the host's own name servers where empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forwarders: Vec<IpAddr>,
    /// Names that it knows besides those of vms.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub hosts: BTreeMap<String, IpAddr>,
}

/// A way to addresses that are not on the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Where to.
    pub to: IpNet,
    /// The router, on this network.
    pub via: IpAddr,
}

/// Upper limits, in bytes per second; none where `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Bandwidth {
    /// What goes to the vms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inbound: Option<Bytes>,
    /// What comes from the vms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbound: Option<Bytes>,
}

impl Network {
    /// The router of this network: the hypervisor has the first address of its own networks, others say who it is.
    pub fn gateway(&self) -> Ipv4Addr {
        self.settings.gateway.unwrap_or_else(|| address::first_host(self.subnet))
    }

    /// The address of the hypervisor in the IPv6 subnet.
    pub fn gateway6(&self) -> Option<Ipv6Addr> {
        self.settings.subnet6.map(address::first_host6)
    }

    /// The domain that its names are in: `internal` is set aside for private use, and a host name has no underscore.
    pub fn domain(&self, project: &ProjectName) -> String {
        let own = || format!("{}.internal", project.as_str().replace('_', "-"));
        self.settings.domain.clone().unwrap_or_else(own)
    }

    /// Whether it is the host's, and neither addresses nor names are handed out by us.
    pub fn is_foreign(&self) -> bool {
        matches!(self.mode, NetworkMode::Bridge | NetworkMode::Direct)
    }

    /// Whether the hypervisor serves it: is its router, and tells names and, mostly, addresses.
    pub fn is_served(&self) -> bool {
        !self.is_foreign() && !self.settings.wire
    }

    /// Whether a guest asks for its address; otherwise it has to be told.
    pub fn has_dhcp(&self) -> bool {
        self.is_served() && !self.settings.dhcp.off
    }

    /// All that its name server knows: one entry for each address, with all names of that.
    pub fn names(&self) -> BTreeMap<IpAddr, Vec<&str>> {
        let mut names: BTreeMap<IpAddr, Vec<&str>> = BTreeMap::new();
        for host in self.hosts.values() {
            for ip in [Some(IpAddr::V4(host.ip)), host.ip6.map(IpAddr::V6)].into_iter().flatten() {
                names.entry(ip).or_default().extend(host.names.iter().map(String::as_str));
            }
        }
        for (name, ip) in &self.settings.dns.hosts {
            names.entry(*ip).or_default().push(name);
        }
        names
    }
}

/// One reservation of a network: this MAC gets this address, and answers to these names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The interface's hardware address.
    pub mac: Mac,
    /// The address reserved for it.
    pub ip: Ipv4Addr,
    /// Its IPv6 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip6: Option<Ipv6Addr>,
    /// DNS names: the host name first, then its others; several vms may share one of those.
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
    /// Through the hypervisor, with its own addresses.
    Routed,
    /// By a bridge that the host has already.
    Bridge,
    /// By an interface of the host that the vms share (macvtap).
    Direct,
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nat => "nat",
            Self::Isolated => "isolated",
            Self::Routed => "routed",
            Self::Bridge => "bridge",
            Self::Direct => "direct",
        })
    }
}
