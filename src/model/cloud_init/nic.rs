//! What a guest is told of its network interfaces.
//!
//! Owns which address, routes and name servers each of them has. Knows nothing of how that is written down.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::model::network::{Network, NetworkMode, Route};
use crate::model::{Interface, Mac, Vm, port};
use crate::names::NetworkName;

/// A network interface as the guest is to set it up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// By which the guest finds it.
    pub mac: Mac,
    /// How it gets its address.
    pub address: Address,
    /// Whether the default route goes through it.
    pub default_route: bool,
    /// Whether a router on this network tells IPv6 addresses. Where none does, asking holds up the boot by seconds.
    #[serde(default)]
    pub router_advertisements: bool,
    /// Its IPv6 address and the length of its network's prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address6: Option<Ipv6Net>,
    /// Ways to addresses that are not on the network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// What the guest is to call it; its own choice by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// How an interface gets its address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Address {
    /// Asked of the network, which has one reserved.
    Dhcp,
    /// Told.
    Static {
        /// The address and the length of its network's prefix.
        address: Ipv4Net,
        /// The router, where the default route goes through this interface.
        gateway: Ipv4Addr,
        /// Name servers.
        nameservers: Vec<Ipv4Addr>,
    },
}

/// The interfaces of a vm as the guest is to set them up: by DHCP where the network has that, because every address is
/// reserved. The default route goes through the network that the file says, else through the first that leads outside.
pub fn nics(vm: &Vm, networks: &BTreeMap<NetworkName, Network>) -> Vec<Nic> {
    let leads_out =
        |i: &Interface| networks.get(&i.network).is_none_or(|network| network.mode != NetworkMode::Isolated);
    let told = vm.interfaces.iter().position(|interface| interface.default_route);
    let route = told.or_else(|| vm.interfaces.iter().position(leads_out));
    // A wire leads nowhere.
    let route = route.filter(|index| vm.interfaces[*index].wire.is_none());
    let nic = |(index, interface)| nic(interface, networks, Some(index) == route);
    vm.interfaces.iter().enumerate().map(nic).chain(own_card(vm, route.is_none())).collect()
}

/// The card by which ports are published. Nothing else comes or goes by it, unless it is the vm's uplink as well.
fn own_card(vm: &Vm, no_other_route: bool) -> Option<Nic> {
    let address = Ipv4Net::new(port::PUBLISHED, port::PUBLISHING.prefix_len()).ok()?;
    let uplink = vm.hardware.uplink.as_ref();
    let outside = uplink.is_some_and(|uplink| uplink.outside);
    let nameservers = if outside { vec![port::NAME_SERVER] } else { Vec::new() };
    let nic = Nic {
        mac: port::PUBLISHED_MAC,
        address: Address::Static { address, gateway: port::ROUTER, nameservers },
        default_route: outside && no_other_route,
        router_advertisements: false,
        address6: None,
        routes: Vec::new(),
        name: None,
    };
    vm.has_own_card().then_some(nic)
}

fn nic(interface: &Interface, networks: &BTreeMap<NetworkName, Network>, default_route: bool) -> Nic {
    let network = networks.get(&interface.network);
    let prefix6 = network.and_then(|network| network.settings.subnet6).map(|subnet| subnet.prefix_len());
    let address6 = interface.ip6.zip(prefix6).and_then(|(ip, length)| Ipv6Net::new(ip, length).ok());
    Nic {
        mac: interface.mac,
        address: network
            .filter(|network| !network.has_dhcp())
            .map_or(Address::Dhcp, |network| told(interface, network)),
        default_route,
        // Whoever has its address anyway asks for the router only.
        router_advertisements: default_route && address6.is_some(),
        address6,
        routes: network.map(|network| network.settings.routes.clone()).unwrap_or_default(),
        name: None,
    }
}

fn told(interface: &Interface, network: &Network) -> Address {
    let length = network.subnet.prefix_len();
    let address = Ipv4Net::new(interface.ip, length).unwrap_or(network.subnet);
    let nameservers = if !network.is_served() {
        network
            .settings
            .dns
            .forwarders
            .iter()
            .filter_map(|ip| if let IpAddr::V4(ip) = ip { Some(*ip) } else { None })
            .collect()
    } else {
        vec![network.gateway()]
    };
    Address::Static { address, gateway: network.gateway(), nameservers }
}
