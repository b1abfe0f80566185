//! Storage pools of the user's own: what the file may put volumes into, or take an image from.
//!
//! Owns the look at them. Makes, starts and removes none of them; ours are the business of `storage`.

use virt::connect::Connect;
use virt::storage_pool::StoragePool;
use virt::storage_vol::StorageVol;

use super::error::{failed, present};
use super::names::{self, Stored};
use super::{storage, volumes};
use crate::backend::{ErrorKind, HypervisorError};
use crate::model::{Spec, Volume, VolumeRef};
use crate::names::{Pool, ProjectName, ResourceId};
use crate::state::{Actual, ActualState, OtherPool, Phase};

/// Notes all pools but ours, and the project's volumes in them.
pub(super) fn observe(
    connect: &Connect,
    project: &ProjectName,
    state: &mut ActualState,
) -> Result<(), HypervisorError> {
    for pool in connect.list_all_storage_pools(0).map_err(failed("cannot list the pools"))? {
        let name = pool.get_name().map_err(failed("cannot ask a pool for its name"))?;
        if [Pool::Images, Pool::Disks].map(names::pool).contains(&name) {
            continue;
        }
        let Some(mut other) = describe(&pool, &name)? else { continue };
        if other.active && other.holds_files() {
            let Some(volumes) = present(pool.list_all_volumes(0), format!("cannot list the volumes of pool `{name}`"))?
            else {
                continue;
            };
            for volume in volumes {
                let Ok(called) = volume.get_name() else { continue };
                named(&volume, project, &name, &called, state)?;
                other.volumes.insert(called);
            }
        }
        state.pools.insert(name, other);
    }
    Ok(())
}

/// Notes a volume where it is one of the project's named volumes.
fn named(
    volume: &StorageVol,
    project: &ProjectName,
    pool: &str,
    called: &str,
    state: &mut ActualState,
) -> Result<(), HypervisorError> {
    let Some(Stored::Volume { name, shared, .. }) = Stored::parse_elsewhere(project, pool, called) else {
        return Ok(());
    };
    let id = ResourceId::Volume(name.clone());
    if let Some(size) = volumes::capacity(volume, &id.to_string())? {
        let recorded = Spec::Volume(Volume { name, size, shared, pool: Some(pool.to_owned()) });
        state.resources.entry(id).or_insert(Actual { recorded, phase: Phase::Running, applied_at: None, seen: None });
    }
    Ok(())
}

/// What a pool is; `None` where it is gone by now.
fn describe(pool: &StoragePool, name: &str) -> Result<Option<OtherPool>, HypervisorError> {
    let Some(active) = present(pool.is_active(), format!("cannot ask for the state of pool `{name}`"))? else {
        return Ok(None);
    };
    Ok(Some(OtherPool { kind: storage::kind(pool, name)?, active, ..OtherPool::default() }))
}

/// A pool by the name that libvirt has for it.
pub(super) fn find(connect: &Connect, name: &str) -> Result<Option<StoragePool>, HypervisorError> {
    present(StoragePool::lookup_by_name(connect, name), format!("cannot look for pool `{name}`"))
}

/// A pool to put something into.
pub(super) fn usable(connect: &Connect, name: &str) -> Result<StoragePool, HypervisorError> {
    find(connect, name)?.ok_or_else(|| {
        HypervisorError::new(ErrorKind::NotFound, format!("the hypervisor has no pool `{name}`"))
            .with_hint(format!("`vmcompose pool add {name} FOLDER` makes one"))
    })
}

/// A volume of the user's own.
pub(super) fn volume(connect: &Connect, source: &VolumeRef) -> Result<StorageVol, HypervisorError> {
    let pool = usable(connect, &source.pool)?;
    volumes::find_in(&pool, &source.volume)?.ok_or_else(|| {
        HypervisorError::new(ErrorKind::NotFound, format!("pool `{}` has no volume `{}`", source.pool, source.volume))
    })
}
