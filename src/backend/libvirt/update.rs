//! Changes to what exists and runs on: what a network hands out, what is recorded of a vm.
//!
//! Owns the difference between what a network hands out and what it shall, as libvirt's live updates. The running object is changed first and its definition
//! replaced after it, so that a run cut short in between is seen as not yet done, and can be done again.

use roxmltree::{Document, Node};
use virt::domain::Domain;
use virt::network::Network as Handle;
use virt_sys::{
    VIR_DOMAIN_AFFECT_CONFIG, VIR_DOMAIN_AFFECT_LIVE, VIR_DOMAIN_METADATA_ELEMENT, VIR_NETWORK_SECTION_DNS_HOST,
    VIR_NETWORK_SECTION_IP_DHCP_HOST, VIR_NETWORK_SECTION_IP_DHCP_RANGE, VIR_NETWORK_UPDATE_AFFECT_LIVE,
    VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, VIR_NETWORK_UPDATE_COMMAND_DELETE,
};

use super::error::failed;
use super::network_xml::{DhcpHost, DnsHost, Range};
use super::{Call, network_seen, network_xml, networks, record, vms, xml};
use crate::backend::{ErrorKind, HypervisorError};
use crate::model::{Network, Vm};
use crate::names::ResourceId;
use crate::state::record::Record;

/// Replaces a network's definition, and gives one that is up other reservations and names, of which those plugged in
/// notice nothing. Where a part of it fails, the parts before it are taken back.
pub(super) fn network(call: Call<'_>, record: &Record, to: &Network) -> Result<(), HypervisorError> {
    let id = ResourceId::Network(to.name.clone());
    // Whoever stopped a network that had no definition finds nothing here: it is defined now.
    let Some((found, _)) = networks::find(call, &to.name)? else { return networks::define(call, record, to) };
    if !networks::is_active(&found, &id)? {
        return networks::define(call, record, to);
    }
    if call.place.test {
        return anew(call, record, to);
    }
    let xml = found.get_xml_desc(0).map_err(failed(format!("cannot read the definition of {id}")))?;
    let document = Document::parse(&xml).map_err(|error| {
        HypervisorError::new(ErrorKind::Rejected, format!("the definition of {id} cannot be read: {error}"))
    })?;
    let (there, wanted) = (entries_in(document.root_element()), entries_of(to));
    hand_out(&found, &there, &wanted, &id)?;
    let defined = networks::define(call, record, to);
    if defined.is_err() {
        // Whatever of this works: the first error is the one to tell.
        let _ = hand_out(&found, &wanted, &there, &id);
    }
    defined
}

/// The test driver shows a network that is up as it was when it was started, for ever: there one is made anew.
fn anew(call: Call<'_>, record: &Record, to: &Network) -> Result<(), HypervisorError> {
    networks::stop(call, &to.name)?;
    networks::undefine(call, &to.name)?;
    networks::define(call, record, to)?;
    networks::start(call, &to.name)
}

/// One entry of what a network hands out.
#[derive(PartialEq)]
enum Entry<'a> {
    Range(Range),
    Dhcp(DhcpHost<'a>),
    Dns(DnsHost<'a>),
}

/// What a definition hands out.
fn entries_in<'a>(root: Node<'a, '_>) -> Vec<Entry<'a>> {
    let ranges = network_seen::ranges(root).into_iter().map(Entry::Range);
    let reserved = network_seen::reservations(root).into_iter().map(Entry::Dhcp);
    ranges.chain(reserved).chain(network_seen::dns_entries(root).into_iter().map(Entry::Dns)).collect()
}

/// What a network shall hand out.
fn entries_of(network: &Network) -> Vec<Entry<'_>> {
    let range = network_xml::dhcp_range(network.subnet, &network.settings.dhcp).filter(|_| network.has_dhcp());
    let reserved = network_xml::dhcp_hosts(network).into_iter().map(Entry::Dhcp);
    let named = network_xml::dns_hosts(network).into_iter().map(Entry::Dns);
    range.map(Entry::Range).into_iter().chain(reserved).chain(named).collect()
}

/// Changes what a running network hands out, all or nothing.
fn hand_out(network: &Handle, from: &[Entry<'_>], to: &[Entry<'_>], id: &ResourceId) -> Result<(), HypervisorError> {
    // What goes makes room for what comes: an address may pass from one vm to another.
    let gone = from.iter().filter(|entry| !to.contains(entry)).map(|entry| (VIR_NETWORK_UPDATE_COMMAND_DELETE, entry));
    let new = to.iter().filter(|entry| !from.contains(entry)).map(|entry| (VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, entry));
    let mut done: Vec<(u32, &Entry<'_>)> = Vec::new();
    for (command, entry) in gone.chain(new) {
        if let Err(error) = apply(network, command, entry, id) {
            for (command, entry) in done.into_iter().rev() {
                let _ = apply(network, opposite(command), entry, id);
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

fn apply(network: &Handle, command: u32, entry: &Entry<'_>, id: &ResourceId) -> Result<(), HypervisorError> {
    let (section, xml) = match entry {
        Entry::Range(range) => (VIR_NETWORK_SECTION_IP_DHCP_RANGE, network_xml::range(*range)?),
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
    write_record(&found, Some(record), &id)
}

/// Writes what is recorded of a domain, running or not; `None` takes it away.
pub(super) fn write_record(found: &Domain, record: Option<&Record>, id: &ResourceId) -> Result<(), HypervisorError> {
    let live = if found.is_active() == Ok(true) { VIR_DOMAIN_AFFECT_LIVE } else { 0 };
    let record = record.map(|record| record.clone().following(record::anybodys(found).as_ref()));
    let element = record.as_ref().map(xml::resource).transpose()?;
    let (kind, key, space) = (VIR_DOMAIN_METADATA_ELEMENT.cast_signed(), Some("vmcompose"), Some(record::NAMESPACE));
    let set = found.set_metadata(kind, element.as_deref(), key, space, VIR_DOMAIN_AFFECT_CONFIG | live);
    set.map(|_| ()).map_err(failed(format!("cannot record the spec of {id}")))
}
