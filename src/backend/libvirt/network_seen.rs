//! What a network's XML says, in the words of its spec.
//!
//! Owns the reading of it. Only what a spec can set is read, so that nothing that libvirt adds can look like a change; and
//! where what is read comes to the same as what was recorded, the recorded words are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use roxmltree::{Document, Node};

use super::host::child;
use super::network_xml::{self, DhcpHost, DnsHost, Range};
use crate::model::{Bandwidth, Host, Network, NetworkMode, address};
use crate::names::ProjectName;
use crate::state::network::Found;
use crate::state::seen::Difference;
use crate::units::Bytes;

/// Namespace of what dnsmasq is told beyond libvirt's own elements.
const DNSMASQ: &str = "http://libvirt.org/schemas/network/dnsmasq/1.0";

/// What this definition says. `recorded` fills in what no definition can tell. `options` is whether the driver keeps what
/// dnsmasq is told.
pub(super) fn found(xml: &str, project: &ProjectName, recorded: &Network, options: bool) -> Found {
    let mut network = recorded.clone();
    let mut odd = Vec::new();
    if let Ok(document) = Document::parse(xml) {
        let root = document.root_element();
        mode(root, &mut network, &mut odd);
        if network.is_foreign() {
            joined(root, &mut network);
        } else {
            addresses(root, &mut network, &mut odd);
            own(root, project, recorded, &mut network, &mut odd);
            dhcp(root, recorded, &mut network, &mut odd);
            names(root, recorded, &mut network);
            if options {
                told(root, recorded, &mut odd);
            }
        }
    }
    Found { network, odd }
}

fn all<'a, 'input>(parent: Node<'a, 'input>, name: &'static str) -> impl Iterator<Item = Node<'a, 'input>> {
    parent.children().filter(move |node| node.has_tag_name(name))
}

fn mode(root: Node<'_, '_>, network: &mut Network, odd: &mut Vec<Difference>) {
    let forward = child(root, "forward");
    let word = forward.map(|forward| forward.attribute("mode").unwrap_or("nat"));
    network.mode = match word {
        None => NetworkMode::Isolated,
        Some("nat") => NetworkMode::Nat,
        Some("route") => NetworkMode::Routed,
        Some("bridge") if child(root, "bridge").is_some() => NetworkMode::Bridge,
        Some("bridge") => NetworkMode::Direct,
        Some(other) => {
            odd.push(("mode".to_owned(), Some(other.to_string()), Some(network.mode.to_string())));
            network.mode
        }
    };
}

/// What of the host it is joined to.
fn joined(root: Node<'_, '_>, network: &mut Network) {
    let name =
        |node: Option<Node<'_, '_>>, attribute| node.and_then(|node| node.attribute(attribute)).map(ToOwned::to_owned);
    let shared = || child(root, "forward").and_then(|forward| child(forward, "interface"));
    network.settings.device = name(child(root, "bridge"), "name").or_else(|| name(shared(), "dev"));
    let tag = child(root, "vlan").and_then(|vlan| child(vlan, "tag"));
    network.settings.vlan = tag.and_then(|tag| tag.attribute("id")).and_then(|id| id.parse().ok());
}

/// The address of an `<ip>`, with the length of its prefix.
fn address_of(ip: Node<'_, '_>) -> Option<IpNet> {
    let address: IpAddr = ip.attribute("address")?.parse().ok()?;
    match (ip.attribute("prefix"), ip.attribute("netmask")) {
        (Some(prefix), _) => IpNet::new(address, prefix.parse().ok()?).ok(),
        (None, Some(mask)) => IpNet::with_netmask(address, mask.parse().ok()?).ok(),
        (None, None) => None,
    }
}

fn addresses(root: Node<'_, '_>, network: &mut Network, odd: &mut Vec<Difference>) {
    let mut mine: Vec<IpNet> = all(root, "ip").filter_map(address_of).collect();
    let mut take = |six: bool| {
        let at = mine.iter().position(|net| matches!(net, IpNet::V6(_)) == six)?;
        Some(mine.remove(at))
    };
    let (four, six) = (take(false), take(true));
    match four {
        Some(IpNet::V4(net)) => {
            let recorded = network.gateway();
            network.subnet = net.trunc();
            let gateway = address::first_host(network.subnet);
            if net.addr() != gateway && net.addr() != recorded {
                odd.push(("gateway".to_owned(), Some(net.addr().to_string()), Some(gateway.to_string())));
            }
        }
        _ => odd.push(("subnet".to_owned(), None, Some(network.subnet.to_string()))),
    }
    network.settings.subnet6 = match six {
        Some(IpNet::V6(net)) => Some(net.trunc()),
        _ => None,
    };
    odd.extend(mine.iter().map(|net| ("subnet".to_owned(), Some(format!("{net} besides")), None)));
}

fn own(
    root: Node<'_, '_>,
    project: &ProjectName,
    recorded: &Network,
    network: &mut Network,
    odd: &mut Vec<Difference>,
) {
    let number = |node: Option<Node<'_, '_>>, attribute: &str| -> Option<u64> {
        node.and_then(|node| node.attribute(attribute)).and_then(|text| text.parse().ok())
    };
    network.settings.mtu = number(child(root, "mtu"), "size").and_then(|mtu| u32::try_from(mtu).ok());
    let wanted = recorded.domain(project);
    match child(root, "domain").and_then(|domain| domain.attribute("name")) {
        Some(domain) if domain == wanted => {}
        Some(domain) => network.settings.domain = Some(domain.to_owned()),
        None => odd.push(("domain".to_owned(), None, Some(wanted))),
    }
    let bandwidth = child(root, "bandwidth");
    let rate = |name: &str, recorded: Option<Bytes>| {
        let found = number(bandwidth.and_then(|bandwidth| child(bandwidth, name)), "average");
        let same = found == recorded.map(network_xml::thousands);
        if same { recorded } else { found.map(|thousands| Bytes(thousands * 1000)) }
    };
    let Bandwidth { inbound, outbound } = recorded.settings.bandwidth;
    network.settings.bandwidth = Bandwidth { inbound: rate("inbound", inbound), outbound: rate("outbound", outbound) };
}

/// Where a network has its DHCP server.
fn server<'a, 'input>(root: Node<'a, 'input>) -> Option<Node<'a, 'input>> {
    all(root, "ip").find_map(|ip| child(ip, "dhcp"))
}

/// The ranges that a definition has.
pub(super) fn ranges(root: Node<'_, '_>) -> Vec<Range> {
    let range = |node: Node<'_, '_>| {
        let end = |name| node.attribute(name)?.parse().ok();
        Some(Range { first: end("start")?, last: end("end")? })
    };
    server(root).into_iter().flat_map(|server| all(server, "range")).filter_map(range).collect()
}

/// The reservations that a definition has.
pub(super) fn reservations<'a>(root: Node<'a, '_>) -> Vec<DhcpHost<'a>> {
    let host = |node: Node<'a, '_>| {
        let mac = node.attribute("mac")?.to_ascii_lowercase();
        Some(DhcpHost { mac, name: node.attribute("name"), ip: node.attribute("ip")?.parse().ok()? })
    };
    server(root).into_iter().flat_map(|server| all(server, "host")).filter_map(host).collect()
}

/// The names that a definition has.
pub(super) fn dns_entries<'a>(root: Node<'a, '_>) -> Vec<DnsHost<'a>> {
    let host = |node: Node<'a, '_>| {
        let names = all(node, "hostname").filter_map(|name| name.text()).collect();
        Some(DnsHost { ip: node.attribute("ip")?.parse().ok()?, names })
    };
    child(root, "dns").into_iter().flat_map(|dns| all(dns, "host")).filter_map(host).collect()
}

fn dhcp(root: Node<'_, '_>, recorded: &Network, network: &mut Network, odd: &mut Vec<Difference>) {
    // A subnet that has no room for guests has no server, whatever the file says.
    let usual = |subnet: Ipv4Net| network_xml::dhcp_range(subnet, &recorded.settings.dhcp);
    let has_room = usual(recorded.subnet).is_some();
    let serves = server(root).is_some();
    if serves != (recorded.has_dhcp() && has_room) {
        network.settings.dhcp.off = !serves;
    }
    if !serves {
        return;
    }
    let ranges = ranges(root);
    let expected = usual(network.subnet).or(usual(recorded.subnet));
    match ranges.first() {
        Some(range) if Some(range) == expected.as_ref() => {}
        Some(range) => network.settings.dhcp.range = Some((range.first, range.last)),
        None => odd.push(("dhcp.range".to_owned(), None, expected.map(|range| range.to_string()))),
    }
    odd.extend(ranges.iter().skip(1).map(|range| ("dhcp.range".to_owned(), Some(format!("{range} besides")), None)));
    if recorded.has_dhcp() {
        hosts(&reservations(root), network, odd);
    }
}

fn hosts(reserved: &[DhcpHost<'_>], network: &mut Network, odd: &mut Vec<Difference>) {
    let ours = |mac: &str, hosts: &BTreeMap<_, Host>| hosts.values().any(|host| host.mac.to_string() == mac);
    let foreign = reserved.iter().filter(|entry| !ours(&entry.mac, &network.hosts));
    odd.extend(foreign.map(|entry| (format!("hosts.{}", entry.mac), Some(entry.ip.to_string()), None)));
    let mut gone = Vec::new();
    for (vm, host) in &mut network.hosts {
        match reserved.iter().find(|entry| entry.mac == host.mac.to_string()) {
            Some(entry) => host.ip = entry.ip,
            None => gone.push((vm.clone(), host.ip)),
        }
    }
    // It may still have its names; but whoever asks for its address gets another.
    odd.extend(gone.into_iter().map(|(vm, ip)| (format!("hosts.{vm}.ip"), None, Some(ip.to_string()))));
}

fn names(root: Node<'_, '_>, recorded: &Network, network: &mut Network) {
    let dns = child(root, "dns");
    let forwarders = dns.into_iter().flat_map(|dns| all(dns, "forwarder"));
    let forwarders = forwarders.filter_map(|forwarder| forwarder.attribute("addr")?.parse().ok());
    network.settings.dns.forwarders = forwarders.collect();
    let pairs = |hosts: Vec<DnsHost<'_>>| -> BTreeSet<(IpAddr, String)> {
        let named = |host: DnsHost<'_>| host.names.iter().map(|name| (host.ip, (*name).to_owned())).collect::<Vec<_>>();
        hosts.into_iter().flat_map(named).collect()
    };
    let (wanted, there) = (pairs(network_xml::dns_hosts(recorded)), pairs(dns_entries(root)));
    for (ip, name) in there.difference(&wanted) {
        network.settings.dns.hosts.insert(name.clone(), *ip);
    }
    for (ip, name) in wanted.difference(&there) {
        if network.settings.dns.hosts.get(name) == Some(ip) {
            network.settings.dns.hosts.remove(name);
        }
        for host in network.hosts.values_mut().filter(|host| {
            let six = host.ip6.map(IpAddr::V6);
            recorded.hosts.values().any(|old| old.mac == host.mac && IpAddr::V4(old.ip) == *ip) || six == Some(*ip)
        }) {
            host.names.retain(|own| own != name);
        }
    }
}

/// What dnsmasq is told: what is missing of ours. What somebody added is not ours to speak of.
fn told(root: Node<'_, '_>, recorded: &Network, odd: &mut Vec<Difference>) {
    let there: Vec<&str> = root
        .descendants()
        .filter(|node| node.has_tag_name((DNSMASQ, "option")))
        .filter_map(|node| node.attribute("value"))
        .collect();
    let missing = network_xml::options(recorded).into_iter().filter(|option| !there.contains(&option.as_str()));
    odd.extend(missing.map(|option| ("dhcp.options".to_owned(), None, Some(option))));
}
