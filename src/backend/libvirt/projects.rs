//! Which projects a hypervisor has anything of.
//!
//! Owns the sweep over all that could be somebody's. What a project has is the business of `observe`.

use std::collections::BTreeSet;

use virt::connect::Connect;

use super::error::{failed, is_absent};
use super::names::{self, Stored};
use super::{record, storage};
use crate::backend::HypervisorError;
use crate::names::{Pool, ProjectName};

/// The projects that own a vm, a network or a volume.
pub(super) fn projects(connect: &Connect) -> Result<BTreeSet<ProjectName>, HypervisorError> {
    let mut found = BTreeSet::new();
    for domain in connect.list_all_domains(0).map_err(failed("cannot list the vms"))? {
        let Ok(name) = domain.get_name() else { continue };
        let owner = record::project_of_domain(&domain).and_then(|owner| ProjectName::new(&owner).ok());
        let adopted = |project: &ProjectName| {
            record::anybodys(&domain).and_then(|record| record::adopted(record, project, &name)).is_some()
        };
        // Tools that clone a domain clone its metadata with it, but not its name.
        found.extend(owner.filter(|project| names::vm_of_domain(project, &name).is_some() || adopted(project)));
    }
    for network in connect.list_all_networks(0).map_err(failed("cannot list the networks"))? {
        let Ok(name) = network.get_name() else { continue };
        let xml = match record::definition(&network) {
            Ok(xml) => xml,
            Err(error) if is_absent(&error) => continue,
            Err(error) => return Err(failed(format!("cannot read the definition of network `{name}`"))(error)),
        };
        let owner = record::project_in_definition(&xml).and_then(|owner| ProjectName::new(&owner).ok());
        found.extend(owner.filter(|project| names::network_of(project, &name).is_some()));
    }
    found.extend(of_volumes(connect)?);
    Ok(found)
}

/// Volumes have no metadata: their names tell.
fn of_volumes(connect: &Connect) -> Result<BTreeSet<ProjectName>, HypervisorError> {
    let Some(pool) = storage::find_ours(connect, Pool::Disks)? else { return Ok(BTreeSet::new()) };
    if !storage::is_active(&pool, Pool::Disks)? {
        return Ok(BTreeSet::new());
    }
    let volumes = pool.list_all_volumes(0).map_err(failed("cannot list the volumes of pool `disks`"))?;
    let owner = |name: String| {
        let project = ProjectName::new(name.split(names::SEPARATOR).next()?).ok()?;
        Stored::parse(&project, Pool::Disks, &name).is_some().then_some(project)
    };
    Ok(volumes.iter().filter_map(|volume| owner(volume.get_name().ok()?)).collect())
}
