//! Networks of a project, with all that they hand out.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::Mac;
use crate::names::{NetworkName, VmName};

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
