//! Networks as libvirt's XML, and what of it can be changed while they run.
//!
//! Owns what libvirt's name server and DHCP server are told. Nothing is looked up here.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};
use serde::Serialize;

use super::templates::render;
use super::{names, record};
use crate::backend::HypervisorError;
use crate::model::network::{Bandwidth, Dhcp, Route};
use crate::model::{Host, Network, NetworkMode};
use crate::state::record::Record;
use crate::units::Bytes;

pub(super) const DHCP_HOST: &str = r#"<host mac="{{ mac }}"{% if name %} name="{{ name }}"{% endif %} ip="{{ ip }}"/>"#;
pub(super) const DHCP_RANGE: &str = r#"<range start="{{ first }}" end="{{ last }}"/>"#;
pub(super) const DNS_HOST: &str =
    r#"<host ip="{{ ip }}">{% for name in names %}<hostname>{{ name }}</hostname>{% endfor %}</host>"#;

/// libvirt takes no longer range than this.
const LONGEST_RANGE: u32 = 65_535;

/// Addresses for guests that nobody reserved one for.
#[derive(Debug, Clone, Copy, Serialize, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: Ipv4Addr,
    pub(super) last: Ipv4Addr,
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// A reservation, as DHCP has it.
#[derive(Serialize, PartialEq, Eq)]
pub(super) struct DhcpHost<'a> {
    pub(super) mac: String,
    pub(super) name: Option<&'a str>,
    pub(super) ip: Ipv4Addr,
}

/// All names of one address: libvirt tells entries apart by their addresses alone.
#[derive(Serialize, PartialEq, Eq)]
pub(super) struct DnsHost<'a> {
    pub(super) ip: IpAddr,
    pub(super) names: Vec<&'a str>,
}

#[derive(Serialize)]
struct Ip6 {
    gateway: Ipv6Addr,
    prefix: u8,
}

/// In units of 1000 bytes per second, as libvirt counts.
#[derive(Serialize)]
struct Limits {
    inbound: Option<u64>,
    outbound: Option<u64>,
}

#[derive(Serialize)]
struct NetworkXml<'a> {
    namespace: &'static str,
    record: String,
    project: &'a str,
    name: String,
    uuid: String,
    forward: Option<&'static str>,
    ipv6_nat: bool,
    bridge: String,
    domain: String,
    gateway: Ipv4Addr,
    prefix: u8,
    dhcp: bool,
    range: Option<Range>,
    dhcp_hosts: Vec<DhcpHost<'a>>,
    dns_hosts: Vec<DnsHost<'a>>,
    forwarders: &'a [IpAddr],
    ip6: Option<Ip6>,
    mtu: Option<u32>,
    bandwidth: Option<Limits>,
    options: Vec<String>,
}

#[derive(Serialize)]
struct ForeignXml<'a> {
    namespace: &'static str,
    record: String,
    project: &'a str,
    name: String,
    uuid: String,
    bridge: Option<&'a str>,
    interface: Option<&'a str>,
    vlan: Option<u16>,
}

/// A network.
pub(super) fn network(record: &Record, network: &Network) -> Result<String, HypervisorError> {
    if network.is_served() { own(record, network) } else { foreign(record, network) }
}

fn own(record: &Record, network: &Network) -> Result<String, HypervisorError> {
    let (project, settings) = (&record.project, &network.settings);
    let forward = match network.mode {
        NetworkMode::Nat => Some("nat"),
        NetworkMode::Routed => Some("route"),
        _ => None,
    };
    let context = NetworkXml {
        namespace: record::NAMESPACE,
        record: record.encode(),
        project: project.as_str(),
        name: names::network(project, &network.name),
        uuid: names::uuid("network", project, network.name.as_str()),
        forward,
        ipv6_nat: network.mode == NetworkMode::Nat && settings.subnet6.is_some(),
        bridge: names::bridge(project, &network.name),
        domain: network.domain(project),
        gateway: network.gateway(),
        prefix: network.subnet.prefix_len(),
        dhcp: network.has_dhcp(),
        range: dhcp_range(network.subnet, &settings.dhcp),
        dhcp_hosts: dhcp_hosts(network),
        dns_hosts: dns_hosts(network),
        forwarders: &settings.dns.forwarders,
        ip6: settings.subnet6.zip(network.gateway6()).map(|(net, gateway)| Ip6 { gateway, prefix: net.prefix_len() }),
        mtu: settings.mtu,
        bandwidth: limits(settings.bandwidth),
        options: options(network),
    };
    render("network.xml.j2", context)
}

/// A network that the host has already: vms are plugged in, and nothing of it is set up. The same is said of a wire, and of
/// a bridge that nobody has: nothing is plugged in there, but libvirt keeps the record of it, as of any other network.
fn foreign(record: &Record, network: &Network) -> Result<String, HypervisorError> {
    let (project, settings) = (&record.project, &network.settings);
    let nobodys = settings.wire.then(|| names::bridge(project, &network.name));
    let device = settings.device.as_deref();
    let context = ForeignXml {
        namespace: record::NAMESPACE,
        record: record.encode(),
        project: project.as_str(),
        name: names::network(project, &network.name),
        uuid: names::uuid("network", project, network.name.as_str()),
        bridge: device.filter(|_| network.mode == NetworkMode::Bridge).or(nobodys.as_deref()),
        interface: device.filter(|_| network.mode == NetworkMode::Direct),
        vlan: settings.vlan,
    };
    render("foreign-network.xml.j2", context)
}

/// The reservations; none where there is no DHCP.
pub(super) fn dhcp_hosts(network: &Network) -> Vec<DhcpHost<'_>> {
    let host = |host: &'_ Host| (host.mac.to_string(), host.ip);
    let hosts = network.hosts.values().filter(|_| network.has_dhcp());
    hosts
        .map(|of| {
            let (mac, ip) = host(of);
            DhcpHost { mac, name: of.names.first().map(String::as_str), ip }
        })
        .collect()
}

/// The names.
pub(super) fn dns_hosts(network: &Network) -> Vec<DnsHost<'_>> {
    if !network.is_served() {
        return Vec::new();
    }
    network.names().into_iter().map(|(ip, names)| DnsHost { ip, names }).collect()
}

/// A DHCP reservation by itself, for a live update.
pub(super) fn dhcp_host(host: &DhcpHost<'_>) -> Result<String, HypervisorError> {
    render("dhcp-host.xml.j2", host)
}

/// A range by itself, for a live update.
pub(super) fn range(range: Range) -> Result<String, HypervisorError> {
    render("dhcp-range.xml.j2", range)
}

/// A DNS entry by itself, for a live update: with its names, or by its address alone, because its names could be those of
/// others too.
pub(super) fn dns_host(host: &DnsHost<'_>, named: bool) -> Result<String, HypervisorError> {
    if named {
        return render("dns-host.xml.j2", host);
    }
    render("dns-host.xml.j2", DnsHost { ip: host.ip, names: Vec::new() })
}

/// The addresses for guests that nobody reserved one for. dnsmasq keeps reserved addresses out of it by itself.
pub(super) fn dhcp_range(subnet: Ipv4Net, dhcp: &Dhcp) -> Option<Range> {
    if let Some((first, last)) = dhcp.range {
        return Some(Range { first, last });
    }
    let first = u32::from(subnet.network()).saturating_add(2);
    let last = u32::from(subnet.broadcast()).saturating_sub(1);
    let last = last.min(first.saturating_add(LONGEST_RANGE - 1));
    (first <= last).then(|| Range { first: first.into(), last: last.into() })
}

/// As libvirt counts bytes a second.
pub(super) fn thousands(bytes: Bytes) -> u64 {
    bytes.0.div_ceil(1000)
}

fn limits(bandwidth: Bandwidth) -> Option<Limits> {
    let limits = Limits { inbound: bandwidth.inbound.map(thousands), outbound: bandwidth.outbound.map(thousands) };
    (limits.inbound.is_some() || limits.outbound.is_some()).then_some(limits)
}

/// What dnsmasq is told beyond what libvirt has elements for.
pub(super) fn options(network: &Network) -> Vec<String> {
    let mut options = Vec::new();
    if !network.has_dhcp() {
        return options;
    }
    if network.settings.dhcp.range.is_some() {
        // libvirt lets it give out as many leases as the range is long, and counts reserved ones among them.
        let most = 1u64 << (32 - network.subnet.prefix_len());
        options.push(format!("dhcp-lease-max={most}"));
    }
    options
        .extend(classless_routes(network).map(|routes| format!("dhcp-option=option:classless-static-route,{routes}")));
    options
}

/// Routes for DHCP (RFC 3442). A guest that gets them looks at no other default route than the one among them.
fn classless_routes(network: &Network) -> Option<String> {
    let v4 = |route: &Route| match (route.to, route.via) {
        (IpNet::V4(to), IpAddr::V4(via)) => Some((to, via)),
        _ => None,
    };
    let mut routes: Vec<(Ipv4Net, Ipv4Addr)> = network.settings.routes.iter().filter_map(v4).collect();
    if routes.is_empty() {
        return None;
    }
    let leads_out = network.mode != NetworkMode::Isolated;
    if leads_out && routes.iter().all(|(to, _)| to.prefix_len() > 0) {
        routes.push((Ipv4Net::default(), network.gateway()));
    }
    Some(routes.iter().map(|(to, via)| format!("{to},{via}")).collect::<Vec<_>>().join(","))
}
