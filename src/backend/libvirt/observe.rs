//! What a hypervisor has of a project, and what stands around it.
//!
//! Owns the sweep: one list per kind of object, and one call more for each object that could be the project's. What
//! disappears between the list and the look was not there. Changes nothing.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;
use roxmltree::Document;
use virt::connect::Connect;
use virt::domain::Domain;
use virt::network::Network;
use virt_sys::{
    VIR_CONNECT_LIST_DOMAINS_AUTOSTART, VIR_CONNECT_LIST_DOMAINS_RUNNING, VIR_DOMAIN_CRASHED, VIR_DOMAIN_PAUSED,
    VIR_DOMAIN_PMSUSPENDED, VIR_DOMAIN_SHUTOFF_CRASHED,
};

use super::error::{failed, is_absent};
use super::host::{self, Place};
use super::host_network;
use super::names::{self, Stored};
use super::record::{self, Owner};
use super::{others, probe, seeds, seen, storage, vms, volumes};
use crate::backend::HypervisorError;
use crate::model::{Image, Port, Spec, Vm, Volume};
use crate::names::{Pool, ProjectName, ResourceId, VmName, VolumeName};
use crate::plan::operation::VmDisk;
use crate::state::record::Record;
use crate::state::{Actual, ActualState, Phase};

/// Looks at everything.
pub(super) fn observe(connect: &Connect, place: &Place, project: &ProjectName) -> Result<ActualState, HypervisorError> {
    let mut state = ActualState::default();
    state.surroundings.rootless = place.rootless();
    let bridges = networks(connect, project, &mut state).map_err(HypervisorError::about_resource)?;
    // Which routes a machine elsewhere has is not known here, and the test driver has none.
    if place.local && !place.test {
        let others = host_network::routes().into_iter().filter(|(_, interface)| !bridges.contains(interface));
        state.surroundings.subnets.extend(others.map(|(net, interface)| (net, format!("interface `{interface}`"))));
        let others = host_network::routes6().into_iter().filter(|(_, interface)| !bridges.contains(interface));
        state.surroundings.subnets6.extend(others.map(|(net, interface)| (net, format!("interface `{interface}`"))));
        state.surroundings.devices = Some(host_network::devices());
    }
    // libvirt lists in an order of its own, another one each time.
    state.surroundings.subnets.sort();
    state.surroundings.subnets6.sort();
    domains(connect, project, &mut state)?;
    if place.local && !place.test {
        listeners(&mut state);
    }
    let mut parts = Parts::default();
    for pool in [Pool::Images, Pool::Disks] {
        let seen = stored(connect, place, project, pool, &mut state, &mut parts);
        seen.map_err(HypervisorError::about_resource)?;
    }
    others::observe(connect, project, &mut state).map_err(HypervisorError::about_resource)?;
    leases(&mut state);
    state.loose_disks = parts.disks.into_iter().filter(|(vm, disk)| !has_disk(&state, vm, disk)).collect();
    let seeds = parts.seeds.into_iter().filter(|vm| !has_seed(&state, vm));
    // What a console said goes with its vm, and with a seed where the vm is gone already.
    state.loose_seeds = seeds.chain(parts.records.into_iter().filter(|vm| recorded(&state, vm).is_none())).collect();
    Ok(state)
}

/// What was found in the pool of disks that belongs to one vm each.
#[derive(Default)]
struct Parts {
    disks: Vec<(VmName, VolumeName)>,
    seeds: Vec<VmName>,
    records: Vec<VmName>,
}

/// Notes the networks, own and foreign; returns the bridges of all, because the subnets behind them are noted already.
fn networks(
    connect: &Connect,
    project: &ProjectName,
    state: &mut ActualState,
) -> Result<BTreeSet<String>, HypervisorError> {
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
            Owner::Us(record) => own_network(&network, id, *record, state)?,
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

fn own_network(
    network: &Network,
    id: ResourceId,
    record: Record,
    state: &mut ActualState,
) -> Result<(), HypervisorError> {
    let phase = match network.is_active() {
        Ok(true) => Phase::Running,
        Ok(false) => Phase::Stopped,
        Err(error) if is_absent(&error) => return Ok(()),
        Err(error) => return Err(failed(format!("cannot ask for the state of {id}"))(error)),
    };
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

fn name(domain: &Domain) -> Result<String, HypervisorError> {
    domain.get_name().map_err(failed("cannot ask a vm for its name"))
}

fn domains(connect: &Connect, project: &ProjectName, state: &mut ActualState) -> Result<(), HypervisorError> {
    let list = |flags| connect.list_all_domains(flags).map_err(failed("cannot list the vms"));
    let names = |domains: Vec<Domain>| domains.iter().map(name).collect::<Result<HashSet<_>, _>>();
    // Most domains run, and one list says so of all of them; only the others are asked one by one.
    let running = names(list(VIR_CONNECT_LIST_DOMAINS_RUNNING)?)?;
    let autostarted = names(list(VIR_CONNECT_LIST_DOMAINS_AUTOSTART)?)?;
    for domain in list(0)? {
        let name = name(&domain)?;
        let Some(vm) = names::vm_of_domain(project, &name) else {
            published(&domain, running.contains(&name), state);
            continue;
        };
        let id = ResourceId::Vm(vm);
        let Some(owner) = record::of_domain(&domain, project, &id)? else { continue };
        match owner {
            Owner::Us(record) => {
                let phase = if running.contains(&name) { Some(Phase::Running) } else { phase(&domain, &id)? };
                let Some(phase) = phase else { continue };
                let autostart = autostarted.contains(&name);
                let applied_at = Some(record.applied_at);
                let Some(seen) = seen::seen(&domain, project, &record.spec, autostart, phase)? else { continue };
                state.resources.insert(id, Actual { recorded: record.spec, phase, applied_at, seen: Some(seen) });
            }
            owner => {
                published(&domain, running.contains(&name), state);
                state.foreign.extend(owner.describe("domain", &name).map(|words| (id, words)));
            }
        }
    }
    Ok(())
}

/// Notes the ports that a vm of another project's has.
fn published(domain: &Domain, running: bool, state: &mut ActualState) {
    let Some(Record { project, spec: Spec::Vm(vm), .. }) = running.then(|| record::anybodys(domain)).flatten() else {
        return;
    };
    let holder = format!("vm `{}` of project `{project}`", vm.name);
    state.surroundings.ports.extend(vm.ports.iter().map(|port| (*port, holder.clone())));
}

/// Notes the ports of this machine that somebody listens on, without those of the project's own vms.
fn listeners(state: &mut ActualState) {
    let own: Vec<Port> = state.recorded().filter_map(Spec::as_vm).flat_map(|vm| vm.ports.clone()).collect();
    let known: Vec<Port> = state.surroundings.ports.iter().map(|(port, _)| *port).collect();
    let others = host_network::listeners().into_iter();
    let others = others.filter(|port| !own.iter().chain(&known).any(|one| one.clashes(port)));
    state.surroundings.ports.extend(others.map(|port| (port, "a process of the host".to_owned())));
}

fn phase(domain: &Domain, id: &ResourceId) -> Result<Option<Phase>, HypervisorError> {
    Ok(vms::state(domain, id)?.map(|(state, reason)| match state {
        VIR_DOMAIN_PAUSED | VIR_DOMAIN_PMSUSPENDED => Phase::Paused,
        VIR_DOMAIN_CRASHED => Phase::Crashed,
        state if vms::is_off(state) && reason.cast_unsigned() == VIR_DOMAIN_SHUTOFF_CRASHED => Phase::Crashed,
        state if vms::is_off(state) && probe::by_itself(reason) => Phase::Completed,
        state if vms::is_off(state) => Phase::Stopped,
        _ => Phase::Running,
    }))
}

/// Notes a pool and what is in it; what is a vm's goes to `parts`.
fn stored(
    connect: &Connect,
    place: &Place,
    project: &ProjectName,
    pool: Pool,
    state: &mut ActualState,
    parts: &mut Parts,
) -> Result<(), HypervisorError> {
    let Some(found) = storage::find(connect, pool)? else { return Ok(()) };
    let id = ResourceId::Pool(pool);
    if let Some(words) = storage::foreign(&found, pool)? {
        state.foreign.insert(id, words);
        return Ok(());
    }
    if storage::is_half(&found, pool)? {
        state
            .resources
            .insert(id, Actual { recorded: Spec::Pool(pool), phase: Phase::Incomplete, applied_at: None, seen: None });
        return Ok(());
    }
    if !storage::is_active(&found, pool)? {
        // What is in it cannot be seen.
        state
            .resources
            .insert(id, Actual { recorded: Spec::Pool(pool), phase: Phase::Stopped, applied_at: None, seen: None });
        return Ok(());
    }
    for (volume, stored) in volumes::list(&found, project, pool)? {
        match stored {
            Stored::Disk { vm, disk } => {
                let size = volumes::capacity(&volume, &format!("disk `{disk}` of vm `{vm}`"))?;
                state.disk_sizes.extend(size.map(|size| ((vm.clone(), disk.clone()), size)));
                parts.disks.push((vm, disk));
            }
            Stored::Ignition(vm) => parts.seeds.push(vm),
            Stored::Console { vm, .. } => parts.records.push(vm),
            Stored::Seed(vm) => {
                if gets_secrets(state, &vm) && seeds::is_filled(&volume, &vm)? {
                    state.filled_seeds.insert(vm.clone());
                }
                parts.seeds.push(vm);
            }
            Stored::Volume { name, shared, pool } => {
                let id = ResourceId::Volume(name.clone());
                if let Some(size) = volumes::capacity(&volume, &id.to_string())? {
                    let recorded = Spec::Volume(Volume { name, size, shared, pool });
                    state
                        .resources
                        .insert(id, Actual { recorded, phase: Phase::Running, applied_at: None, seen: None });
                }
            }
            Stored::Image { .. } => {
                let whole = volumes::is_whole(place, &volume, &stored)?;
                image(stored, whole, state);
            }
        }
    }
    state
        .resources
        .insert(id, Actual { recorded: Spec::Pool(pool), phase: Phase::Running, applied_at: None, seen: None });
    Ok(())
}

/// Of several contents under one name, a whole one counts; a half one is noted only where there is no other.
fn image(stored: Stored, whole: bool, state: &mut ActualState) {
    let Stored::Image { name, digest, length, format } = stored else { return };
    let id = ResourceId::Image(name.clone());
    let phase = if whole { Phase::Running } else { Phase::Incomplete };
    if !whole && state.resources.contains_key(&id) {
        return;
    }
    let recorded = Spec::Image(Image { name, path: std::path::PathBuf::new(), format, length, digest });
    state.resources.insert(id, Actual { recorded, phase, applied_at: None, seen: None });
}

/// Notes the addresses that the project's networks and vms have. What the vm itself was given counts most.
fn leases(state: &mut ActualState) {
    let around = &mut state.surroundings;
    let specs = || state.resources.values().map(|actual| &actual.recorded);
    for spec in specs() {
        if let Spec::Network(network) = spec {
            around.own_subnets.insert(network.name.clone(), network.subnet);
            let hosts = network.hosts.iter().map(|(vm, host)| ((network.name.clone(), vm.clone()), host.ip));
            around.leases.extend(hosts);
        }
    }
    for spec in specs() {
        if let Spec::Vm(vm) = spec {
            let interfaces = vm.interfaces.iter();
            around.leases.extend(interfaces.map(|nic| ((nic.network.clone(), vm.name.clone()), nic.ip)));
        }
    }
}

fn recorded<'a>(state: &'a ActualState, vm: &VmName) -> Option<&'a Vm> {
    state.resources.get(&ResourceId::Vm(vm.clone())).and_then(|actual| actual.recorded.as_vm())
}

fn has_disk(state: &ActualState, vm: &VmName, disk: &VolumeName) -> bool {
    recorded(state, vm).is_some_and(|vm| VmDisk::of(vm).iter().any(|own| own.disk == *disk))
}

fn has_seed(state: &ActualState, vm: &VmName) -> bool {
    recorded(state, vm).is_some_and(Vm::has_seed)
}

fn gets_secrets(state: &ActualState, vm: &VmName) -> bool {
    let told = recorded(state, vm).and_then(|vm| vm.cloud_init.as_ref());
    told.is_some_and(|told| !told.asks_for().is_empty())
}
