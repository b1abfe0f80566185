//! Pools by hand: adding, removing and refreshing those of the user's own.
//!
//! Owns that no data is ever deleted with a pool. Our own two are the business of `storage`.

use virt::connect::Connect;
use virt::storage_pool::StoragePool;

use super::error::{failed, present};
use super::{inventory, others, xml};
use crate::backend::storage::NewPool;
use crate::backend::{ErrorKind, HypervisorError};

/// Defines a pool, starts it, and has it start with the hypervisor. What goes wrong leaves nothing behind.
pub(super) fn add(connect: &Connect, new: &NewPool) -> Result<(), HypervisorError> {
    let name = &new.name;
    refuse_ours(name)?;
    if others::find(connect, name)?.is_some() {
        return Err(HypervisorError::new(ErrorKind::Conflict, format!("there is a pool `{name}` already"))
            .with_hint(format!("`vmcompose pool info {name}` shows it")));
    }
    let xml = xml::user_pool(new)?;
    let pool = StoragePool::define_xml(connect, &xml, 0).map_err(failed(format!("cannot add pool `{name}`")))?;
    let started = start(&pool).and_then(|()| pool.set_autostart(true).map(|_| ()));
    started.map_err(|error| {
        let _ = pool.destroy();
        let _ = pool.undefine();
        failed(format!("cannot start pool `{name}`"))(error)
    })
}

/// A folder that is there is used as it is; only one that is not is made, and goes again where that was no help.
fn start(pool: &StoragePool) -> Result<(), virt::error::Error> {
    if pool.create(0).is_ok() {
        return Ok(());
    }
    pool.build(0)?;
    pool.create(0).map(|_| ()).inspect_err(|_| {
        // libvirt removes no folder that anything is in.
        let _ = pool.delete(0);
    })
}

/// Forgets a pool. All that is in it stays where it is.
pub(super) fn remove(connect: &Connect, name: &str) -> Result<(), HypervisorError> {
    refuse_ours(name)?;
    let pool = others::usable(connect, name)?;
    if pool.is_active().map_err(failed(format!("cannot ask for the state of pool `{name}`")))? {
        present(pool.destroy(), format!("cannot stop pool `{name}`"))?;
    }
    // One that was only started is gone with that.
    present(pool.undefine(), format!("cannot remove pool `{name}`")).map(|_| ())
}

/// Has libvirt look anew at what is in a pool.
pub(super) fn refresh(connect: &Connect, name: &str) -> Result<(), HypervisorError> {
    let pool = others::usable(connect, name)?;
    pool.refresh(0).map(|_| ()).map_err(failed(format!("cannot refresh pool `{name}`")))
}

fn refuse_ours(name: &str) -> Result<(), HypervisorError> {
    match inventory::ours(name) {
        Some(_) => {
            Err(HypervisorError::new(ErrorKind::Conflict, format!("pool `{name}` is one that vmcompose keeps itself")))
        }
        None => Ok(()),
    }
}
