//! The networks of a project as a table, as JSON and as YAML, and as what lets a host find their vms by name.
//!
//! Owns what is told of a network and its shape. What is true of it was found out before; knows nothing of hypervisors.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use serde::Serialize;

use crate::cli::TableFormat;
use crate::model::{Mac, Network, NetworkMode};
use crate::names::{NetworkName, ProjectName, VmName};
use crate::render::layout::{Text, columns};
use crate::render::style::{Palette, paint};
use crate::state::Phase;

/// Version of the shape for programs. Fields may be added without a new version; none is renamed or removed.
pub const VERSION: u32 = 1;

/// One network as it is now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NetworkStatus {
    /// Its name.
    pub network: NetworkName,
    /// Whether it runs: `running` or `stopped`.
    pub state: &'static str,
    /// How it reaches the outside.
    pub mode: NetworkMode,
    /// Its addresses.
    pub subnet: Ipv4Net,
    /// Its IPv6 addresses.
    pub subnet6: Option<Ipv6Net>,
    /// Its router.
    pub gateway: Ipv4Addr,
    /// The interface of the host that it is on.
    pub device: Option<String>,
    /// It is a wire between an ordinary user's vms: the host is not on it.
    pub wire: bool,
    /// The domain of its names; `None` where it has no name server of ours.
    pub domain: Option<String>,
    /// Who is on it.
    pub vms: Vec<Member>,
    /// Names that it knows besides.
    pub hosts: BTreeMap<String, IpAddr>,
}

/// A vm on a network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Member {
    /// The vm.
    pub vm: VmName,
    /// Its address.
    pub ip: Ipv4Addr,
    /// Its IPv6 address.
    pub ip6: Option<Ipv6Addr>,
    /// Its hardware address.
    pub mac: Mac,
    /// Its names there.
    pub names: Vec<String>,
}

impl NetworkStatus {
    /// What a recorded network tells.
    pub fn of(project: &ProjectName, network: &Network, phase: Phase, device: Option<String>) -> Self {
        let vms = network.hosts.iter().map(|(vm, host)| Member {
            vm: vm.clone(),
            ip: host.ip,
            ip6: host.ip6,
            mac: host.mac,
            names: host.names.clone(),
        });
        Self {
            network: network.name.clone(),
            state: phase.as_str(),
            mode: network.mode,
            subnet: network.subnet,
            subnet6: network.settings.subnet6,
            gateway: network.gateway(),
            device,
            wire: network.settings.wire,
            domain: network.is_served().then(|| network.domain(project)),
            vms: vms.collect(),
            hosts: network.settings.dns.hosts.clone(),
        }
    }
}

#[derive(Serialize)]
struct All<'a> {
    version: u32,
    project: &'a ProjectName,
    networks: &'a [NetworkStatus],
}

#[derive(Serialize)]
struct One<'a> {
    version: u32,
    project: &'a ProjectName,
    #[serde(flatten)]
    network: &'a NetworkStatus,
}

/// The networks in a format. JSON and YAML have this shape:
///
/// ```json
/// {
///   "version": 1,
///   "project": "shop",
///   "networks": [ {
///     "network": "front", "state": "running", "mode": "nat", "subnet": "10.20.0.0/24", "subnet6": null,
///     "gateway": "10.20.0.1", "device": "vmc-front-x3f2a", "wire": false, "domain": "shop.internal",
///     "vms": [ { "vm": "db", "ip": "10.20.0.9", "ip6": null, "mac": "52:54:00:12:34:56", "names": ["db"] } ],
///     "hosts": { "registry": "10.20.0.5" }
///   } ]
/// }
/// ```
pub fn networks(project: &ProjectName, rows: &[NetworkStatus], format: TableFormat, palette: &Palette) -> String {
    let shape = All { version: VERSION, project, networks: rows };
    match format {
        TableFormat::Table => table(rows, palette),
        TableFormat::Json => format!("{}\n", serde_json::to_string_pretty(&shape).expect("every key is a string")),
        TableFormat::Yaml => serde_yaml::to_string(&shape).expect("every key is a string"),
    }
}

/// One network in a format; the same keys as above, without the list.
pub fn network(project: &ProjectName, row: &NetworkStatus, format: TableFormat, palette: &Palette) -> String {
    let shape = One { version: VERSION, project, network: row };
    match format {
        TableFormat::Table => details(row, palette),
        TableFormat::Json => format!("{}\n", serde_json::to_string_pretty(&shape).expect("every key is a string")),
        TableFormat::Yaml => serde_yaml::to_string(&shape).expect("every key is a string"),
    }
}

/// Names only, one per line, for scripts.
pub fn names(rows: &[NetworkStatus]) -> String {
    let mut text = Text::default();
    for row in rows {
        text.line(format_args!("{}", row.network));
    }
    text.end()
}

fn table(rows: &[NetworkStatus], palette: &Palette) -> String {
    let header =
        ["NETWORK", "STATE", "MODE", "SUBNET", "DEVICE", "VMS"].map(|name| paint(palette.faint, name)).to_vec();
    let row = |row: &NetworkStatus| {
        let subnets = row.subnet6.map_or_else(|| row.subnet.to_string(), |six| format!("{}, {six}", row.subnet));
        vec![
            paint(palette.strong, &row.network),
            paint(if row.state == "running" { palette.good } else { palette.faint }, row.state),
            row.mode.to_string(),
            subnets,
            row.device.clone().unwrap_or_else(|| "-".to_owned()),
            row.vms.len().to_string(),
        ]
    };
    columns(&std::iter::once(header).chain(rows.iter().map(row)).collect::<Vec<_>>())
}

fn details(row: &NetworkStatus, palette: &Palette) -> String {
    let mut facts = vec![
        ("network", row.network.to_string()),
        ("state", row.state.to_owned()),
        ("mode", row.mode.to_string()),
        ("subnet", row.subnet.to_string()),
        ("gateway", row.gateway.to_string()),
    ];
    facts.extend(row.subnet6.map(|subnet| ("subnet6", subnet.to_string())));
    facts.extend(row.device.clone().map(|device| ("device", device)));
    facts.extend(row.domain.clone().map(|domain| ("domain", domain)));
    let facts: Vec<Vec<String>> =
        facts.into_iter().map(|(name, value)| vec![paint(palette.faint, name), value]).collect();
    let header = ["VM", "ADDRESS", "MAC", "NAMES"].map(|name| paint(palette.faint, name)).to_vec();
    let vm = |member: &Member| {
        let six = member.ip6.map(|ip| format!(", {ip}")).unwrap_or_default();
        let address = format!("{}{six}", member.ip);
        vec![paint(palette.strong, &member.vm), address, member.mac.to_string(), member.names.join(", ")]
    };
    let host = |(name, ip): (&String, &IpAddr)| vec!["-".to_owned(), ip.to_string(), "-".to_owned(), name.clone()];
    let rows = std::iter::once(header).chain(row.vms.iter().map(vm)).chain(row.hosts.iter().map(host));
    format!("{}\n{}", columns(&facts), columns(&rows.collect::<Vec<_>>()))
}

/// Commands by which systemd-resolved asks the networks' own name servers for their domains, or stops to.
pub fn resolved(rows: &[NetworkStatus], undo: bool) -> String {
    let mut text = Text::default();
    for row in rows.iter().filter(|row| row.state == "running") {
        let (Some(device), Some(domain)) = (&row.device, &row.domain) else { continue };
        if undo {
            text.line(format_args!("resolvectl revert {device}"));
        } else {
            text.line(format_args!("resolvectl dns {device} {}", row.gateway));
            text.line(format_args!("resolvectl domain {device} '~{domain}'"));
        }
    }
    text.end()
}

/// Lines for `/etc/hosts`: the addresses with all their names, each with its domain and without.
pub fn hosts_file(rows: &[NetworkStatus]) -> String {
    let mut text = Text::default();
    for row in rows.iter().filter(|row| !row.wire) {
        let domain = row.domain.as_ref().map(|domain| format!(".{domain}")).unwrap_or_default();
        for member in &row.vms {
            let Some(name) = member.names.first() else { continue };
            let full = if name.contains('.') { name.clone() } else { format!("{name}{domain}") };
            for ip in [Some(IpAddr::V4(member.ip)), member.ip6.map(IpAddr::V6)].into_iter().flatten() {
                text.line(format_args!("{ip} {full} {}", member.names.join(" ")));
            }
        }
    }
    text.end()
}
