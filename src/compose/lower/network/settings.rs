//! What a network has besides its subnet: which key goes with which mode, and what fits into the subnet.
//!
//! Owns these checks. What the host has, such as bridges, is not known here.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use crate::compose::decode::At;
use crate::compose::diagnostic::Diagnostic;
use crate::compose::lower::Declared;
use crate::compose::place::Place;
use crate::compose::schema::network as file;
use crate::compose::schema::network::{IpText, NetText};
use crate::compose::schema::vm::Ip;
use crate::model::network::{Bandwidth, Dhcp, Dns, NetworkSettings, Route};
use crate::model::{NetworkMode, address};
use crate::names::NetworkName;

type Declaration = Declared<NetworkName, file::Network>;

/// The kernel takes no longer name of an interface.
const LONGEST_DEVICE: usize = 15;
/// IPv4 needs no larger packet; IPv6 does.
const LEAST_MTU: u32 = 576;
const LEAST_MTU6: u32 = 1280;
const MOST_MTU: u32 = 65_535;

/// What the file says; every key that its mode has no use for is a mistake.
pub(super) fn lower(
    network: &Declaration,
    mode: NetworkMode,
    subnet: Ipv4Net,
    mistakes: &mut Vec<Diagnostic>,
) -> NetworkSettings {
    let spec = &network.spec;
    misplaced(network, mode, mistakes);
    NetworkSettings {
        device: device(network, mode, mistakes),
        wire: false,
        gateway: spec.gateway.as_ref().map(|gateway| router(gateway, subnet, mistakes)),
        subnet6: spec.subnet6.as_ref().map(|net| net.0),
        mtu: spec.mtu.as_ref().map(|mtu| checked_mtu(mtu, spec.subnet6.is_some(), mistakes)),
        vlan: spec.vlan.as_ref().map(|vlan| checked_vlan(vlan, mistakes)),
        domain: spec.domain.as_ref().map(|domain| domain.0.clone()),
        dhcp: spec.dhcp.as_ref().map(|dhcp| checked_dhcp(dhcp, subnet, mistakes)).unwrap_or_default(),
        dns: spec.dns.as_ref().map(|dns| names(dns)).unwrap_or_default(),
        routes: spec.routes.iter().map(|route| checked_route(route, network, subnet, mistakes)).collect(),
        bandwidth: spec.bandwidth.as_ref().map(|limit| bandwidth(limit)).unwrap_or_default(),
    }
}

/// Keys that mean something in some modes only. A network that is the host's own has its addresses, names and limits from
/// whoever runs it.
fn misplaced(network: &Declaration, mode: NetworkMode, mistakes: &mut Vec<Diagnostic>) {
    let spec = &network.spec;
    let bridge = mode == NetworkMode::Bridge;
    let direct = mode == NetworkMode::Direct;
    let own = !bridge && !direct;
    let place = |at: Option<Place>, fits: bool| at.filter(|_| !fits);
    let keys = [
        ("bridge", place(spec.bridge.as_ref().map(|key| key.place), bridge), "`mode: bridge`"),
        ("interface", place(spec.interface.as_ref().map(|key| key.place), direct), "`mode: direct`"),
        ("vlan", place(spec.vlan.as_ref().map(|key| key.place), bridge), "`mode: bridge`"),
        ("gateway", place(spec.gateway.as_ref().map(|key| key.place), !own), "`mode: bridge` and `mode: direct`"),
        ("mtu", place(spec.mtu.as_ref().map(|key| key.place), own), OWN),
        ("domain", place(spec.domain.as_ref().map(|key| key.place), own), OWN),
        ("dhcp", place(spec.dhcp.as_ref().map(|key| key.place), own), OWN),
        ("bandwidth", place(spec.bandwidth.as_ref().map(|key| key.place), own), OWN),
        ("subnet6", place(spec.subnet6.as_ref().map(|key| key.place), own), OWN),
        ("dns.hosts", place(spec.dns.as_ref().filter(|dns| !dns.hosts.0.is_empty()).map(|key| key.place), own), OWN),
    ];
    for (key, place, modes) in keys {
        let Some(place) = place else { continue };
        let wrong = Diagnostic::error(format!("`{key}` means nothing with `mode: {mode}`; it belongs to {modes}"));
        mistakes.push(wrong.at(place, format!("of network `{}`", network.name)));
    }
    if spec.subnet.is_none() && !own {
        let missing = format!("network `{}` with `mode: {mode}` needs the `subnet` that it has", network.name);
        let hint = "its vms are told their addresses, which nobody there knows of";
        mistakes.push(Diagnostic::error(missing).at(network.place, "no `subnet`").hint(hint));
    }
}

const OWN: &str = "networks of the project's own (`nat`, `isolated`, `routed`)";

/// The bridge, or the interface that is shared.
fn device(network: &Declaration, mode: NetworkMode, mistakes: &mut Vec<Diagnostic>) -> Option<String> {
    let spec = &network.spec;
    let (key, device) = match mode {
        NetworkMode::Bridge => ("bridge", spec.bridge.as_ref()),
        NetworkMode::Direct => ("interface", spec.interface.as_ref()),
        _ => return None,
    };
    let Some(device) = device else {
        let missing = format!("network `{}` with `mode: {mode}` needs `{key}`", network.name);
        let hint = format!("name the host's {key}, as `ip link` shows it");
        mistakes.push(Diagnostic::error(missing).at(network.place, format!("no `{key}`")).hint(hint));
        return None;
    };
    let legal = |c: char| !c.is_whitespace() && !c.is_control() && c != '/';
    if device.is_empty() || device.len() > LONGEST_DEVICE || !device.chars().all(legal) {
        let wrong = Diagnostic::error(format!("`{}` is not the name of a network interface", device.value));
        mistakes.push(wrong.at(device.place, format!("must have 1 to {LONGEST_DEVICE} characters, without spaces")));
    }
    Some(device.value.clone())
}

fn router(gateway: &At<Ip>, subnet: Ipv4Net, mistakes: &mut Vec<Diagnostic>) -> Ipv4Addr {
    if !subnet.contains(&gateway.0) || gateway.0 == subnet.network() || gateway.0 == subnet.broadcast() {
        let outside = Diagnostic::error(format!("gateway `{}` is no address of `{subnet}`", gateway.0));
        mistakes.push(outside.at(gateway.place, "cannot be reached from there"));
    }
    gateway.0
}

fn checked_mtu(mtu: &At<u32>, ipv6: bool, mistakes: &mut Vec<Diagnostic>) -> u32 {
    let least = if ipv6 { LEAST_MTU6 } else { LEAST_MTU };
    if !(least..=MOST_MTU).contains(&mtu.value) {
        let why = if ipv6 { " with `subnet6`" } else { "" };
        let range = format!("`mtu` must be from {least} to {MOST_MTU}{why}, not {}", mtu.value);
        mistakes.push(Diagnostic::error(range).at(mtu.place, "no size of packets"));
    }
    mtu.value
}

fn checked_vlan(vlan: &At<u16>, mistakes: &mut Vec<Diagnostic>) -> u16 {
    if !(1..=4094).contains(&vlan.value) {
        let range = Diagnostic::error(format!("`vlan` must be from 1 to 4094, not {}", vlan.value));
        mistakes.push(range.at(vlan.place, "no VLAN"));
    }
    vlan.value
}

fn checked_dhcp(dhcp: &At<file::Dhcp>, subnet: Ipv4Net, mistakes: &mut Vec<Diagnostic>) -> Dhcp {
    let range = dhcp.range.as_ref().map(|At { value: file::Range(first, last), place }| {
        let legal = |ip| address::check(subnet, address::first_host(subnet), ip);
        if let Some((ip, reason)) = [first, last].into_iter().find_map(|ip| Some((ip, legal(*ip).err()?))) {
            let outside = Diagnostic::error(format!("range `{first}-{last}`: `{ip}` is {reason}"));
            mistakes.push(outside.at(*place, format!("does not fit into `{subnet}`")));
        }
        (*first, *last)
    });
    Dhcp { off: dhcp.off, range }
}

fn names(dns: &file::Dns) -> Dns {
    Dns {
        forwarders: dns.forwarders.iter().map(|ip| ip.0).collect(),
        hosts: dns.hosts.0.iter().map(|(name, ip)| (name.0.clone(), ip.0)).collect(),
    }
}

fn bandwidth(limit: &file::Bandwidth) -> Bandwidth {
    Bandwidth { inbound: limit.inbound, outbound: limit.outbound }
}

fn checked_route(route: &file::Route, network: &Declaration, subnet: Ipv4Net, mistakes: &mut Vec<Diagnostic>) -> Route {
    let (At { value: NetText(to), .. }, At { value: IpText(via), place }) = (&route.to, &route.via);
    let reached = match via {
        IpAddr::V4(ip) => subnet.contains(ip),
        IpAddr::V6(ip) => network.spec.subnet6.as_ref().is_some_and(|net| net.0.contains(ip)),
    };
    if !reached {
        let outside = Diagnostic::error(format!("router `{via}` is not on network `{}`", network.name));
        mistakes.push(outside.at(*place, "cannot be reached from there"));
    } else if matches!((to, via), (IpNet::V4(_), IpAddr::V6(_)) | (IpNet::V6(_), IpAddr::V4(_))) {
        let mixed = Diagnostic::error(format!("the way to `{to}` cannot lead through `{via}`"));
        mistakes.push(mixed.at(*place, "IPv4 and IPv6 do not mix"));
    }
    Route { to: *to, via: *via }
}
