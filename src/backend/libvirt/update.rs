//! Changes to what exists and runs on: what a network hands out, what is recorded of a vm.
//!
//! Owns the difference between two specs as libvirt's live updates. A definition is replaced first and the running
//! object changed after it, so that a run cut short in between is seen as not yet done.

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

/// Gives a network other reservations and names; vms that are plugged in notice nothing.
pub(super) fn network(call: Call<'_>, record: &Record, from: &Network, to: &Network) -> Result<(), HypervisorError> {
    let id = ResourceId::Network(to.name.clone());
    let Some((found, _)) = networks::find(call, &to.name)? else {
        return Err(HypervisorError::new(ErrorKind::NotFound, format!("{id} is not defined on the hypervisor")));
    };
    Handle::define_xml(call.connect, &xml::network(record, to)?).map_err(failed(format!("cannot redefine {id}")))?;
    if !networks::is_active(&found, &id)? {
        return Ok(());
    }
    // What goes makes room for what comes: an address may pass from one vm to another.
    let gone = differing(&from.hosts, &to.hosts);
    let new = differing(&to.hosts, &from.hosts);
    for host in gone {
        apply(&found, VIR_NETWORK_UPDATE_COMMAND_DELETE, host, &id)?;
    }
    for host in new {
        apply(&found, VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, host, &id)?;
    }
    Ok(())
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
        (VIR_NETWORK_SECTION_DNS_HOST, xml::dns_host(host)?),
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
