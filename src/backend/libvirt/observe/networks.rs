//! What a hypervisor has of networks: the project's own, and the subnets of all others.
//!
//! Owns telling them apart. Vms and storage are the sweep's.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use roxmltree::Document;
use virt::connect::Connect;
use virt::network::Network;

use super::super::error::{failed, is_absent, present};
use super::super::host::{self, Place};
use super::super::plug::Plugs;
use super::super::record::{self, Owner};
use super::super::{names, network_seen, seen};
use crate::backend::HypervisorError;
use crate::model::Spec;
use crate::names::ResourceId;
use crate::state::record::Record;
use crate::state::{Actual, ActualState, Phase, SeenNetwork};

/// Notes the networks, own and foreign; returns the bridges of all, because the subnets behind them are noted already.
pub(super) fn networks(
    connect: &Connect,
    place: &Place,
    plugs: &mut Plugs<'_>,
    state: &mut ActualState,
) -> Result<BTreeSet<String>, HypervisorError> {
    let project = plugs.project;
    let mut bridges = BTreeSet::new();
    for network in connect.list_all_networks(0).map_err(failed("cannot list the networks"))? {
        let name = network.get_name().map_err(failed("cannot ask a network for its name"))?;
        let xml = match record::definition(&network) {
            Ok(xml) => xml,
            Err(error) if is_absent(&error) => continue,
            Err(error) => return Err(failed(format!("cannot read the definition of network `{name}`"))(error)),
        };
        let (bridge, subnets) = addresses(&xml);
        bridges.extend(bridge);
        let Some(local) = names::network_of(project, &name) else {
            around(state, &subnets, &holder(&xml, &name));
            continue;
        };
        let id = ResourceId::Network(local);
        match record::in_definition(&xml, project, &id)? {
            Owner::Us(record) => {
                state.definitions.insert(id.clone(), seen::digest(&xml));
                own_network(&network, (&name, &xml), *record, place, plugs, state)?;
            }
            owner => {
                around(state, &subnets, &holder(&xml, &name));
                state.foreign.extend(owner.describe("network", &name).map(|words| (id, words)));
            }
        }
    }
    Ok(bridges)
}

fn around(state: &mut ActualState, subnets: &[IpNet], holder: &str) {
    for subnet in subnets {
        match subnet {
            IpNet::V4(net) => state.surroundings.subnets.push((*net, holder.to_owned())),
            IpNet::V6(net) => state.surroundings.subnets6.push((*net, holder.to_owned())),
        }
    }
}

/// Words for somebody else's network.
fn holder(xml: &str, network: &str) -> String {
    match record::project_in_definition(xml) {
        Some(project) => format!("network `{network}` of project `{project}`"),
        None => format!("network `{network}`"),
    }
}

/// Notes one of the project's own: what it is called on the hypervisor, and how it is defined there.
fn own_network(
    network: &Network,
    (called, defined): (&str, &str),
    record: Record,
    place: &Place,
    plugs: &mut Plugs<'_>,
    state: &mut ActualState,
) -> Result<(), HypervisorError> {
    let Spec::Network(recorded) = &record.spec else { return Ok(()) };
    let id = record.spec.id();
    let what = || format!("cannot ask for the state of {id}");
    let Some(active) = present(network.is_active(), what())? else { return Ok(()) };
    let Some(persistent) = present(network.is_persistent(), what())? else { return Ok(()) };
    // One without a definition has nothing to be started with.
    let autostart = !persistent || present(network.get_autostart(), what())?.unwrap_or(true);
    let found = |xml: &str| network_seen::found(xml, plugs.project, recorded, !place.test);
    let running = if active { present(network.get_xml_desc(0), what())? } else { None };
    let running = running.map(|xml| found(&xml));
    let seen = SeenNetwork { autostart, persistent, defined: found(defined), running };
    state.networks.insert(recorded.name.clone(), seen);
    // Whoever is on a network of the host's stays there while ours is down.
    if active && !recorded.is_foreign() {
        plugs.add(network, called.to_owned());
    }
    let phase = if active { Phase::Running } else { Phase::Stopped };
    let applied_at = Some(record.applied_at);
    state.resources.insert(id, Actual { recorded: record.spec, phase, applied_at, seen: None });
    Ok(())
}

/// The bridge of a network and its subnets, from its XML.
fn addresses(xml: &str) -> (Option<String>, Vec<IpNet>) {
    let Ok(document) = Document::parse(xml) else { return (None, Vec::new()) };
    let root = document.root_element();
    let bridge = host::child(root, "bridge").and_then(|bridge| bridge.attribute("name")).map(ToOwned::to_owned);
    let subnet = |ip: roxmltree::Node<'_, '_>| {
        let address: IpAddr = ip.attribute("address")?.parse().ok()?;
        let net = match (ip.attribute("prefix"), ip.attribute("netmask")) {
            (Some(prefix), _) => IpNet::new(address, prefix.parse().ok()?).ok()?,
            (None, Some(mask)) => IpNet::with_netmask(address, mask.parse().ok()?).ok()?,
            (None, None) => return None,
        };
        Some(net.trunc())
    };
    let subnets = root.children().filter(|node| node.has_tag_name("ip")).filter_map(subnet).collect();
    (bridge, subnets)
}
