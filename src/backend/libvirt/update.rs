//! Changes to what exists and runs on: what a network hands out, what is recorded of a vm.
//!
//! Owns the difference between two specs as libvirt's live updates. The running object is changed first and its definition
//! replaced after it, so that a run cut short in between is seen as not yet done, and can be done again.

use std::collections::BTreeMap;

use virt::network::Network as Handle;
use virt_sys::{
    VIR_DOMAIN_AFFECT_CONFIG, VIR_DOMAIN_AFFECT_LIVE, VIR_DOMAIN_METADATA_ELEMENT, VIR_NETWORK_SECTION_DNS_HOST,
    VIR_NETWORK_SECTION_IP_DHCP_HOST, VIR_NETWORK_UPDATE_AFFECT_LIVE, VIR_NETWORK_UPDATE_COMMAND_ADD_LAST,
    VIR_NETWORK_UPDATE_COMMAND_DELETE,
};

use super::error::failed;
use super::{Call, networks, record, vms, xml};
use crate::backend::{ErrorKind, HypervisorError};
use crate::model::{Host, Network, Vm};
use crate::names::{ResourceId, VmName};
use crate::state::record::Record;

/// Gives a network other reservations and names; vms that are plugged in notice nothing. Where a part of it fails, the
/// parts before it are taken back.
pub(super) fn network(call: Call<'_>, record: &Record, from: &Network, to: &Network) -> Result<(), HypervisorError> {
    let id = ResourceId::Network(to.name.clone());
    let Some((found, _)) = networks::find(call, &to.name)? else {
        return Err(HypervisorError::new(ErrorKind::NotFound, format!("{id} is not defined on the hypervisor")));
    };
    let live = networks::is_active(&found, &id)?;
    if live {
        hand_out(&found, from, to, &id)?;
    }
    let defined = xml::network(record, to).and_then(|xml| {
        Handle::define_xml(call.connect, &xml).map(|_| ()).map_err(failed(format!("cannot redefine {id}")))
    });
    if defined.is_err() && live {
        // Whatever of this works: the first error is the one to tell.
        let _ = hand_out(&found, to, from, &id);
    }
    defined
}

/// Changes what a running network hands out, all or nothing.
fn hand_out(network: &Handle, from: &Network, to: &Network, id: &ResourceId) -> Result<(), HypervisorError> {
    // What goes makes room for what comes: an address may pass from one vm to another.
    let gone = differing(&from.hosts, &to.hosts).map(|host| (VIR_NETWORK_UPDATE_COMMAND_DELETE, host));
    let new = differing(&to.hosts, &from.hosts).map(|host| (VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, host));
    let mut done: Vec<(u32, &Host)> = Vec::new();
    for (command, host) in gone.chain(new) {
        if let Err(error) = apply(network, command, host, id) {
            for (command, host) in done.into_iter().rev() {
                let _ = apply(network, opposite(command), host, id);
            }
            return Err(error);
        }
        done.push((command, host));
    }
    Ok(())
}

fn opposite(command: u32) -> u32 {
    match command {
        VIR_NETWORK_UPDATE_COMMAND_DELETE => VIR_NETWORK_UPDATE_COMMAND_ADD_LAST,
        _ => VIR_NETWORK_UPDATE_COMMAND_DELETE,
    }
}

/// The hosts that are not the same among the others.
fn differing<'a>(
    hosts: &'a BTreeMap<VmName, Host>,
    others: &'a BTreeMap<VmName, Host>,
) -> impl Iterator<Item = &'a Host> {
    hosts.iter().filter(|(vm, host)| others.get(*vm) != Some(*host)).map(|(_, host)| host)
}

fn apply(network: &Handle, command: u32, host: &Host, id: &ResourceId) -> Result<(), HypervisorError> {
    let sections = [
        (VIR_NETWORK_SECTION_IP_DHCP_HOST, xml::dhcp_host(host)?),
        // One address is one entry, and names could be those of others too.
        (VIR_NETWORK_SECTION_DNS_HOST, xml::dns_host(host, command != VIR_NETWORK_UPDATE_COMMAND_DELETE)?),
    ];
    for (section, xml) in sections {
        let done = network.update(command, section, -1, &xml, VIR_NETWORK_UPDATE_AFFECT_LIVE);
        match done {
            Ok(()) => {}
            // Done already, by an earlier run that was cut short.
            Err(error) if repeated(command, &error) => {}
            Err(error) => return Err(failed(format!("cannot update {id}"))(error)),
        }
    }
    Ok(())
}

/// libvirt has no code of its own for "is there already" and "is not there"; only its words tell.
fn repeated(command: u32, error: &virt::error::Error) -> bool {
    let words = error.message();
    match command {
        VIR_NETWORK_UPDATE_COMMAND_DELETE => words.contains("couldn't locate"),
        _ => words.contains("there is already") || words.contains("there is an existing"),
    }
}

/// Replaces what is recorded of a vm, running or not.
pub(super) fn record_vm(call: Call<'_>, record: &Record, vm: &Vm) -> Result<(), HypervisorError> {
    let id = ResourceId::Vm(vm.name.clone());
    let gone = || HypervisorError::new(ErrorKind::NotFound, format!("{id} is not defined on the hypervisor"));
    let found = vms::find(call.connect, call.project, &vm.name)?.ok_or_else(gone)?;
    let live = if found.is_active() == Ok(true) { VIR_DOMAIN_AFFECT_LIVE } else { 0 };
    let element = xml::resource(record)?;
    let (kind, key, space) = (VIR_DOMAIN_METADATA_ELEMENT.cast_signed(), Some("vmcompose"), Some(record::NAMESPACE));
    let set = found.set_metadata(kind, Some(&element), key, space, VIR_DOMAIN_AFFECT_CONFIG | live);
    set.map(|_| ()).map_err(failed(format!("cannot record the spec of {id}")))
}
