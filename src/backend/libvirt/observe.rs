//! What a hypervisor has of a project, and what stands around it.
//!
//! Owns the sweep: one list per kind of object, and one call more for each object that could be the project's. What
//! disappears between the list and the look was not there. Changes nothing.

mod networks;

use std::collections::{BTreeSet, HashSet};

use virt::connect::Connect;
use virt::domain::Domain;
use virt_sys::{
    VIR_CONNECT_LIST_DOMAINS_AUTOSTART, VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT, VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE,
    VIR_CONNECT_LIST_DOMAINS_RUNNING, VIR_CONNECT_LIST_DOMAINS_TRANSIENT, VIR_DOMAIN_CRASHED, VIR_DOMAIN_PAUSED,
    VIR_DOMAIN_PMSUSPENDED, VIR_DOMAIN_SHUTOFF_CRASHED,
};

use super::error::failed;
use super::host::Place;
use super::host_network;
use super::names::{self, Stored};
use super::plug::Plugs;
use super::record::{self, Owner};
use super::seen::Kept;
use super::{others, ports, probe, seeds, seen, snapshots, storage, vms, volumes};
use crate::backend::HypervisorError;
use crate::model::{Image, Spec, Vm, Volume};
use crate::names::{Generation, Pool, ProjectName, ResourceId, VmName, VolumeName};
use crate::plan::operation::VmDisk;
use crate::state::record::Record;
use crate::state::{Actual, ActualState, Phase};

/// Looks at everything.
pub(super) fn observe(connect: &Connect, place: &Place, project: &ProjectName) -> Result<ActualState, HypervisorError> {
    let mut state = ActualState::default();
    state.surroundings.rootless = place.rootless();
    let mut plugs = Plugs::new(project);
    let bridges =
        networks::networks(connect, place, &mut plugs, &mut state).map_err(HypervisorError::about_resource)?;
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
    domains(connect, &plugs, &mut state)?;
    if place.local && !place.test {
        ports::listeners(&mut state);
    }
    let mut parts = Parts::default();
    for pool in [Pool::Images, Pool::Disks] {
        let seen = stored(connect, place, project, pool, &mut state, &mut parts);
        seen.map_err(HypervisorError::about_resource)?;
    }
    others::observe(connect, project, &mut state).map_err(HypervisorError::about_resource)?;
    leases(&mut state);
    state.lost_disks = lost(&state, &parts);
    let loose = |(vm, disk, since): &(_, _, _)| !has_disk(&state, vm, disk, *since);
    let disks = parts.disks.into_iter().filter(loose).collect();
    let seeds = parts.seeds.into_iter().filter(|(vm, since)| !has_seed(&state, vm, *since));
    // What a console said goes with its vm, and as a seed where the vm is gone already.
    let records = parts.records.into_iter().filter(|vm| recorded(&state, vm).is_none());
    let seeds = seeds.chain(records.map(|vm| (vm, Generation::FIRST))).collect();
    (state.loose_disks, state.loose_seeds) = (disks, seeds);
    Ok(state)
}

/// What was found in the pool of disks that belongs to one vm each.
#[derive(Default)]
struct Parts {
    disks: Vec<(VmName, VolumeName, Generation)>,
    seeds: Vec<(VmName, Generation)>,
    records: Vec<VmName>,
}

fn name(domain: &Domain) -> Result<String, HypervisorError> {
    domain.get_name().map_err(failed("cannot ask a vm for its name"))
}

fn domains(connect: &Connect, plugs: &Plugs<'_>, state: &mut ActualState) -> Result<(), HypervisorError> {
    let project = plugs.project;
    let list = |flags| connect.list_all_domains(flags).map_err(failed("cannot list the vms"));
    let names = |domains: Vec<Domain>| domains.iter().map(name).collect::<Result<HashSet<_>, _>>();
    // Most domains run, and one list says so of all of them; only the others are asked one by one.
    let running = names(list(VIR_CONNECT_LIST_DOMAINS_RUNNING)?)?;
    let autostarted = names(list(VIR_CONNECT_LIST_DOMAINS_AUTOSTART)?)?;
    let transient = names(list(VIR_CONNECT_LIST_DOMAINS_TRANSIENT)?)?;
    let saved = names(list(VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE)?)?;
    let photographed = names(list(VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT)?)?;
    for domain in list(0)? {
        let name = name(&domain)?;
        let Some(record) = own_domain(&domain, &name, project, state)? else { continue };
        let (id, made) = (record.spec.id(), record.made_at());
        let phase = if running.contains(&name) { Some(Phase::Running) } else { phase(&domain, &id)? };
        let Some(phase) = phase else { continue };
        let phase = if saved.contains(&name) && phase == Phase::Stopped { Phase::Saved } else { phase };
        let persistent = !transient.contains(&name);
        // One without a definition has nothing to be started with.
        let kept = Kept { persistent, autostart: autostarted.contains(&name) };
        let applied_at = Some(record.applied_at);
        let Some((mut seen, definition)) = seen::seen(&domain, plugs, &record.spec, kept, phase)? else {
            continue;
        };
        if photographed.contains(&name) {
            (seen.snapshots, seen.other_snapshots) = snapshots::list(&domain, &id)?;
        }
        state.definitions.insert(id.clone(), definition);
        state.made.extend(id.as_vm().map(|vm| (vm.clone(), made)));
        state.resources.insert(id, Actual { recorded: record.spec, phase, applied_at, seen: Some(seen) });
    }
    Ok(())
}

/// What is recorded of a domain of the project's. Anybody else's is noted as far as it is in the way.
fn own_domain(
    domain: &Domain,
    name: &str,
    project: &ProjectName,
    state: &mut ActualState,
) -> Result<Option<Record>, HypervisorError> {
    let mut in_the_way = None;
    if let Some(vm) = names::vm_of_domain(project, name) {
        let id = ResourceId::Vm(vm);
        match record::of_domain(domain, project, &id)? {
            None => return Ok(None),
            Some(Owner::Us(record)) => return Ok(Some(*record)),
            Some(owner) => in_the_way = owner.describe("domain", name).map(|words| (id, words)),
        }
    }
    let Some(record) = record::anybodys(domain) else {
        state.foreign.extend(in_the_way);
        return Ok(None);
    };
    if let Some(record) = record::adopted(record.clone(), project, name) {
        return Ok(Some(record));
    }
    ports::published(record, state);
    state.foreign.extend(in_the_way);
    Ok(None)
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
            Stored::Disk { vm, disk, generation } => {
                if recorded(state, &vm).is_none_or(|vm| vm.generation == generation) {
                    let size = volumes::capacity(&volume, &format!("disk `{disk}` of vm `{vm}`"))?;
                    state.disk_sizes.extend(size.map(|size| ((vm.clone(), disk.clone()), size)));
                }
                parts.disks.push((vm, disk, generation));
            }
            Stored::Ignition(vm, generation) => parts.seeds.push((vm, generation)),
            Stored::Console { vm, .. } => parts.records.push(vm),
            Stored::Seed(vm, generation) => {
                if gets_secrets(state, &vm, generation) && seeds::is_filled(&volume, &vm)? {
                    state.filled_seeds.insert(vm.clone());
                }
                parts.seeds.push((vm, generation));
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

/// Of several contents under one name, the first that is whole counts; the others are noted beside it.
fn image(stored: Stored, whole: bool, state: &mut ActualState) {
    let Stored::Image { name, digest, length, format } = stored else { return };
    let id = ResourceId::Image(name.clone());
    let phase = if whole { Phase::Running } else { Phase::Incomplete };
    let image = Image { name: name.clone(), path: std::path::PathBuf::new(), format, length, digest };
    let found = Actual { recorded: Spec::Image(image), phase, applied_at: None, seen: None };
    let Some(known) = state.resources.get_mut(&id) else {
        state.resources.insert(id, found);
        return;
    };
    let better = whole && known.phase == Phase::Incomplete;
    let other = if better { std::mem::replace(known, found) } else { found };
    state.other_images.entry(name).or_default().push(other);
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

/// The disks that recorded vms have and the pool has not, as far as that can be seen.
fn lost(state: &ActualState, parts: &Parts) -> BTreeSet<(VmName, VolumeName)> {
    if state.resources.get(&ResourceId::Pool(Pool::Disks)).is_none_or(|pool| pool.phase != Phase::Running) {
        return BTreeSet::new();
    }
    let there: HashSet<_> = parts.disks.iter().map(|(vm, disk, since)| (vm, disk, *since)).collect();
    let own = state.recorded().filter_map(Spec::as_vm).flat_map(VmDisk::of);
    let gone = own.filter(|own| !there.contains(&(&own.vm, &own.disk, own.generation)));
    gone.map(|own| (own.vm, own.disk)).collect()
}

fn recorded<'a>(state: &'a ActualState, vm: &VmName) -> Option<&'a Vm> {
    state.resources.get(&ResourceId::Vm(vm.clone())).and_then(|actual| actual.recorded.as_vm())
}

fn has_disk(state: &ActualState, vm: &VmName, disk: &VolumeName, since: Generation) -> bool {
    let is = |own: &VmDisk| own.disk == *disk && own.generation == since;
    recorded(state, vm).is_some_and(|vm| VmDisk::of(vm).iter().any(is))
}

fn has_seed(state: &ActualState, vm: &VmName, since: Generation) -> bool {
    recorded(state, vm).is_some_and(|vm| vm.has_seed() && vm.generation == since)
}

fn gets_secrets(state: &ActualState, vm: &VmName, since: Generation) -> bool {
    let told = recorded(state, vm).filter(|vm| vm.generation == since).and_then(|vm| vm.cloud_init.as_ref());
    told.is_some_and(|told| !told.asks_for().is_empty())
}
