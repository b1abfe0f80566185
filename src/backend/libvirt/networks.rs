//! Networks.
//!
//! Owns their definition and life. Nothing here looks at who is plugged in: a network is stopped when it is asked to be.

use virt::network::Network as Handle;

use super::error::{failed, is_absent, present, reason};
use super::record::{self, Owner};
use super::{Call, names, network_xml};
use crate::backend::{ErrorKind, HypervisorError};
use crate::model::{Network, Spec};
use crate::names::{NetworkName, ResourceId};
use crate::state::record::Record;

/// The project's own network and its record; refuses a foreign one of the same name.
pub(super) fn find(call: Call<'_>, network: &NetworkName) -> Result<Option<(Handle, Box<Record>)>, HypervisorError> {
    let id = ResourceId::Network(network.clone());
    let name = names::network(call.project, network);
    let found = present(Handle::lookup_by_name(call.connect, &name), format!("cannot look for {id}"))?;
    let Some(found) = found else { return Ok(None) };
    match record::of_network(&found, call.project, &id)? {
        Some(Owner::Us(record)) => Ok(Some((found, record))),
        Some(owner) => record::ours(&owner, &id, "network", &name).map(|()| None),
        None => Ok(None),
    }
}

pub(super) fn define(call: Call<'_>, record: &Record, network: &Network) -> Result<(), HypervisorError> {
    let id = ResourceId::Network(network.name.clone());
    let existing = find(call, &network.name)?;
    let xml = network_xml::network(record, network)?;
    let defined = Handle::define_xml(call.connect, &xml).map_err(failed(format!("cannot define {id}")))?;
    // A network that vms were left running on has to be there after the host restarts.
    if let Err(error) = defined.set_autostart(true) {
        if existing.is_none() {
            let _ = defined.undefine();
        }
        return Err(failed(format!("cannot have {id} started with the hypervisor"))(error));
    }
    Ok(())
}

pub(super) fn undefine(call: Call<'_>, network: &NetworkName) -> Result<(), HypervisorError> {
    let id = ResourceId::Network(network.clone());
    let Some((found, _)) = find(call, network)? else { return Ok(()) };
    if is_active(&found, &id)? {
        // It would live on without a definition, and nobody could tell whose it is.
        return Err(HypervisorError::new(ErrorKind::Rejected, format!("{id} is active; it has to be stopped first")));
    }
    present(found.undefine(), format!("cannot undefine {id}")).map(|_| ())
}

pub(super) fn start(call: Call<'_>, network: &NetworkName) -> Result<(), HypervisorError> {
    let id = ResourceId::Network(network.clone());
    let Some((found, record)) = find(call, network)? else {
        return Err(HypervisorError::new(ErrorKind::NotFound, format!("{id} is not defined on the hypervisor")));
    };
    if is_active(&found, &id)? {
        return Ok(());
    }
    match found.create() {
        Ok(_) => Ok(()),
        // Somebody else was faster.
        Err(_) if found.is_active() == Ok(true) => Ok(()),
        Err(error) => Err(explain(&record.spec, &id, error)),
    }
}

/// libvirt says "already in use" and leaves out what; the record knows.
fn explain(spec: &Spec, id: &ResourceId, error: virt::error::Error) -> HypervisorError {
    let Spec::Network(network) = spec else { return failed(format!("cannot start {id}"))(error) };
    let words = reason(&error);
    if words.contains("already in use") || words.contains("Address already in use") || words.contains("File exists") {
        let message = format!("cannot start {id}: its subnet {} is in use on the hypervisor ({words})", network.subnet);
        let mut error = failed("")(error);
        error.message = message;
        error.kind = ErrorKind::Conflict;
        error.hint =
            Some("give the network another `subnet`, or leave `subnet` out to have a free one chosen".to_owned());
        return error;
    }
    failed(format!("cannot start {id} ({})", network.subnet))(error)
}

pub(super) fn stop(call: Call<'_>, network: &NetworkName) -> Result<(), HypervisorError> {
    let id = ResourceId::Network(network.clone());
    let Some((found, _)) = find(call, network)? else { return Ok(()) };
    if !is_active(&found, &id)? {
        return Ok(());
    }
    match found.destroy() {
        Ok(()) => Ok(()),
        Err(error) if is_absent(&error) || found.is_active() == Ok(false) => Ok(()),
        Err(error) => Err(failed(format!("cannot stop {id}"))(error)),
    }
}

pub(super) fn is_active(network: &Handle, id: &ResourceId) -> Result<bool, HypervisorError> {
    match network.is_active() {
        Ok(active) => Ok(active),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(failed(format!("cannot ask for the state of {id}"))(error)),
    }
}
