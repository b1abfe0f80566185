//! Changes to what exists and runs on: what a network hands out, what is recorded of a vm.
//!
//! Owns the difference between two specs as libvirt's live updates. The running object is changed first and its definition
//! replaced after it, so that a run cut short in between is seen as not yet done, and can be done again.

use virt::network::Network as Handle;
use virt_sys::{
    VIR_DOMAIN_AFFECT_CONFIG, VIR_DOMAIN_AFFECT_LIVE, VIR_DOMAIN_METADATA_ELEMENT, VIR_NETWORK_SECTION_DNS_HOST,
    VIR_NETWORK_SECTION_IP_DHCP_HOST, VIR_NETWORK_UPDATE_AFFECT_LIVE, VIR_NETWORK_UPDATE_COMMAND_ADD_LAST,
    VIR_NETWORK_UPDATE_COMMAND_DELETE,
};

use super::error::failed;
use super::network_xml::{DhcpHost, DnsHost};
use super::{Call, network_xml, networks, record, vms, xml};
use crate::backend::{ErrorKind, HypervisorError};
use crate::model::{Network, Vm};
use crate::names::ResourceId;
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
    let defined = network_xml::network(record, to).and_then(|xml| {
        Handle::define_xml(call.connect, &xml).map(|_| ()).map_err(failed(format!("cannot redefine {id}")))
    });
    if defined.is_err() && live {
        // Whatever of this works: the first error is the one to tell.
        let _ = hand_out(&found, to, from, &id);
    }
    defined
}

/// One entry of what a network hands out.
enum Entry<'a> {
    Dhcp(DhcpHost<'a>),
    Dns(DnsHost<'a>),
}

/// Changes what a running network hands out, all or nothing.
fn hand_out(network: &Handle, from: &Network, to: &Network, id: &ResourceId) -> Result<(), HypervisorError> {
    // What goes makes room for what comes: an address may pass from one vm to another.
    let gone = differing(from, to).map(|entry| (VIR_NETWORK_UPDATE_COMMAND_DELETE, entry));
    let new = differing(to, from).map(|entry| (VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, entry));
    let mut done: Vec<(u32, Entry<'_>)> = Vec::new();
    for (command, entry) in gone.chain(new) {
        if let Err(error) = apply(network, command, &entry, id) {
            for (command, entry) in done.into_iter().rev() {
                let _ = apply(network, opposite(command), &entry, id);
            }
            return Err(error);
        }
        done.push((command, entry));
    }
    Ok(())
}

fn opposite(command: u32) -> u32 {
    match command {
        VIR_NETWORK_UPDATE_COMMAND_DELETE => VIR_NETWORK_UPDATE_COMMAND_ADD_LAST,
        _ => VIR_NETWORK_UPDATE_COMMAND_DELETE,
    }
}

/// What one of two networks hands out and the other does not.
fn differing<'a>(one: &'a Network, other: &'a Network) -> impl Iterator<Item = Entry<'a>> {
    let (dhcp, dns) = (network_xml::dhcp_hosts(other), network_xml::dns_hosts(other));
    let reserved = network_xml::dhcp_hosts(one).into_iter().filter(move |host| !dhcp.contains(host));
    let named = network_xml::dns_hosts(one).into_iter().filter(move |host| !dns.contains(host));
    reserved.map(Entry::Dhcp).chain(named.map(Entry::Dns))
}

fn apply(network: &Handle, command: u32, entry: &Entry<'_>, id: &ResourceId) -> Result<(), HypervisorError> {
    let (section, xml) = match entry {
        Entry::Dhcp(host) => (VIR_NETWORK_SECTION_IP_DHCP_HOST, network_xml::dhcp_host(host)?),
        Entry::Dns(host) => {
            let named = command != VIR_NETWORK_UPDATE_COMMAND_DELETE;
            (VIR_NETWORK_SECTION_DNS_HOST, network_xml::dns_host(host, named)?)
        }
    };
    match network.update(command, section, -1, &xml, VIR_NETWORK_UPDATE_AFFECT_LIVE) {
        Ok(()) => Ok(()),
        // Done already, by an earlier run that was cut short.
        Err(error) if repeated(command, &error) => Ok(()),
        Err(error) => Err(failed(format!("cannot update {id}"))(error)),
    }
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
