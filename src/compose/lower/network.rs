//! Networks: their modes and subnets.
//!
//! Owns which subnet a network has, and that no two overlap. Knows nothing of vms.

mod settings;

use std::collections::{BTreeMap, BTreeSet};

use ipnet::{Ipv4Net, Ipv6Net};

use super::{Declared, Surroundings, labels};
use crate::compose::decode::At;
use crate::compose::diagnostic::Diagnostic;
use crate::compose::place::Place;
use crate::compose::schema::network::{Cidr, Cidr6, Mode, Network};
use crate::model::{self, NetworkMode, address};
use crate::names::{NetworkName, ProjectName};

/// Networks by name, subnets settled, no hosts yet.
pub(crate) type Networks = BTreeMap<NetworkName, Declared<NetworkName, model::Network>>;

/// The name of the network that a vm is on when it names none.
pub(crate) const IMPLICIT: &str = "default";

/// Lowers the networks of the file; `implicit` is where the first vm on the implicit network stands, if there is one.
pub(crate) fn lower(
    project: &ProjectName,
    mut declared: Vec<Declared<NetworkName, Network>>,
    implicit: Option<Place>,
    surroundings: &Surroundings,
    mistakes: &mut Vec<Diagnostic>,
) -> Networks {
    let missing = !declared.iter().any(|network| network.name.as_str() == IMPLICIT);
    if let (Some(place), true, Ok(name)) = (implicit, missing, NetworkName::new(IMPLICIT)) {
        declared.push(Declared { name, place, within: place.at, spec: Network::default() });
    }
    overlaps(&declared, mistakes);
    overlaps6(&declared, mistakes);
    let subnet = |network: &Declared<_, Network>| network.spec.subnet.as_ref().map(|At { value: Cidr(net), .. }| *net);
    let fixed: Vec<Ipv4Net> = declared.iter().filter_map(subnet).collect();
    let wanted: BTreeSet<NetworkName> =
        declared.iter().filter(|n| n.spec.subnet.is_none()).map(|n| n.name.clone()).collect();
    let chosen = address::subnets(project, &wanted, &fixed, surroundings);
    let mut networks = Networks::new();
    for network in declared {
        let Some(subnet) = subnet(&network).or_else(|| chosen.get(&network.name).copied()) else {
            let full = Diagnostic::error(format!("no free subnet is left for network `{}`", network.name));
            mistakes.push(full.at(network.place, "needs a subnet").hint("give it one with `subnet:`"));
            continue;
        };
        let mode = mode(network.spec.mode.as_ref());
        let labels = labels(&network.spec.labels, mistakes);
        let settings = Box::new(settings::lower(&network, mode, subnet, mistakes));
        let name = network.name.clone();
        let spec = model::Network { name: name.clone(), mode, subnet, hosts: BTreeMap::new(), labels, settings };
        networks.insert(name.clone(), Declared { name, place: network.place, within: network.within, spec });
    }
    networks
}

fn mode(mode: Option<&At<Mode>>) -> NetworkMode {
    match mode.map(|mode| mode.value) {
        None | Some(Mode::Nat) => NetworkMode::Nat,
        Some(Mode::Isolated) => NetworkMode::Isolated,
        Some(Mode::Routed) => NetworkMode::Routed,
        Some(Mode::Bridge) => NetworkMode::Bridge,
        Some(Mode::Direct) => NetworkMode::Direct,
    }
}

/// Subnets that share addresses. Sorted by their first address, only neighbours can overlap unless one holds many.
fn overlaps(declared: &[Declared<NetworkName, Network>], mistakes: &mut Vec<Diagnostic>) {
    let mut sorted: Vec<(Ipv4Net, Place, &NetworkName)> = Vec::new();
    for network in declared {
        if let Some(At { value: Cidr(net), place }) = &network.spec.subnet {
            sorted.push((*net, *place, &network.name));
        }
    }
    sorted.sort_by_key(|(net, place, _)| (net.network(), net.prefix_len(), place.at.file, place.at.start));
    let mut widest: Option<&(Ipv4Net, Place, &NetworkName)> = None;
    for current in &sorted {
        match widest.filter(|wide| wide.0.contains(&current.0)) {
            Some(wide) => mistakes.push(overlap(wide, current)),
            None => widest = Some(current),
        }
    }
}

fn overlap(a: &(Ipv4Net, Place, &NetworkName), b: &(Ipv4Net, Place, &NetworkName)) -> Diagnostic {
    let later = |x: &(Ipv4Net, Place, &NetworkName)| (x.1.at.file, x.1.at.start);
    let (first, second) = if later(a) < later(b) { (a, b) } else { (b, a) };
    Diagnostic::error(format!(
        "subnet `{}` of network `{}` overlaps `{}` of `{}`",
        second.0, second.2, first.0, first.2
    ))
    .at(second.1, "overlaps")
    .and(first.1, "this one")
    .hint("give each network addresses of its own")
}

/// The same of IPv6, where all subnets have one length: they are the same or have nothing in common.
fn overlaps6(declared: &[Declared<NetworkName, Network>], mistakes: &mut Vec<Diagnostic>) {
    let mut seen: BTreeMap<Ipv6Net, (Place, &NetworkName)> = BTreeMap::new();
    for network in declared {
        let Some(At { value: Cidr6(net), place }) = network.spec.subnet6.as_ref() else { continue };
        if let Some((first, other)) = seen.insert(*net, (*place, &network.name)) {
            let twice = format!("`subnet6` `{net}` of network `{}` is that of `{other}`", network.name);
            mistakes.push(Diagnostic::error(twice).at(*place, "given again here").and(first, "first given here"));
        }
    }
}
