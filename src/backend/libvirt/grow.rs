//! Disks that become larger where they are, also under a guest that runs.
//!
//! Owns who has to be told: a guest learns of a new size only through its own emulator, and a file that an emulator has
//! open is nobody else's to change.

use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::Error;
use virt::storage_vol::StorageVol;
use virt_sys::{VIR_CONNECT_LIST_DOMAINS_ACTIVE, VIR_DOMAIN_BLOCK_RESIZE_BYTES};

use super::error::{failed, is_absent};
use super::host::child;
use super::names::Stored;
use super::{Call, storage, volumes};
use crate::backend::{ErrorKind, HypervisorError};
use crate::units::Bytes;

/// Makes a disk as large as `to`. Fine where it is already; refused where it is larger.
pub(super) fn grow(call: Call<'_>, stored: &Stored, to: Bytes, what: &str) -> Result<(), HypervisorError> {
    let to = to.whole_kib();
    let volume = volumes::find(call, stored)?.ok_or_else(|| volumes::missing(what))?;
    let has = volumes::capacity(&volume, what)?.ok_or_else(|| volumes::missing(what))?;
    if has > to {
        return Err(HypervisorError::new(ErrorKind::Rejected, format!("{what} is {has}, and disks do not shrink")));
    }
    let users = users(call.connect, &volumes::path_of(&volume, what)?)?;
    if call.place.test {
        return anew(call, stored, &volume, to, what);
    }
    for (domain, target) in &users {
        domain
            .block_resize(target, to.0, VIR_DOMAIN_BLOCK_RESIZE_BYTES)
            .map_err(failed(format!("cannot grow {what} under the vm that runs on it")))?;
    }
    if users.is_empty() && has < to {
        let _turn = call.turns.volumes(stored.pool());
        volume.resize(to.0, 0).map_err(|error| still(&error, failed(format!("cannot grow {what}"))(error.clone())))?;
    }
    Ok(())
}

/// libvirt takes what snapshots keep on a disk for a part of its size.
fn still(error: &Error, told: HypervisorError) -> HypervisorError {
    if !error.message().contains("existing allocation") {
        return told;
    }
    told.with_hint("its snapshots keep more than that on it; it grows under a vm that runs: `vmcompose start` first")
}

/// The test driver cannot resize, and its volumes hold nothing: there one is made anew.
fn anew(call: Call<'_>, stored: &Stored, volume: &StorageVol, to: Bytes, what: &str) -> Result<(), HypervisorError> {
    let xml = volume.get_xml_desc(0).map_err(failed(format!("cannot look at {what}")))?;
    let backing = storage::backing_in(&xml);
    volume.delete(0).map_err(failed(format!("cannot grow {what}")))?;
    volumes::create_over(call, stored, to, backing, what)
}

/// The domains that run on a file, each with its name for the disk.
pub(super) fn users(connect: &Connect, path: &str) -> Result<Vec<(Domain, String)>, HypervisorError> {
    let active = connect.list_all_domains(VIR_CONNECT_LIST_DOMAINS_ACTIVE).map_err(failed("cannot list the vms"))?;
    let mut users = Vec::new();
    for domain in active {
        let xml = match domain.get_xml_desc(0) {
            Ok(xml) => xml,
            Err(error) if is_absent(&error) => continue,
            Err(error) => return Err(failed("cannot read the definition of a vm")(error)),
        };
        let target = disks(&xml).into_iter().find(|(source, _)| source == path).map(|(_, target)| target);
        users.extend(target.map(|target| (domain, target)));
    }
    Ok(users)
}

/// The files that a domain has as disks, each with its name for it.
pub(super) fn disks(domain_xml: &str) -> Vec<(String, String)> {
    let Ok(document) = roxmltree::Document::parse(domain_xml) else { return Vec::new() };
    let disks = document.descendants().filter(|node| node.has_tag_name("disk"));
    let file = |disk| {
        let source = child(disk, "source")?.attribute("file")?;
        let target = child(disk, "target")?.attribute("dev")?;
        Some((source.to_owned(), target.to_owned()))
    };
    disks.filter_map(file).collect()
}
