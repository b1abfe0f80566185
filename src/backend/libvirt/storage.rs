//! Storage pools.
//!
//! Owns their making, starting and removing, and who may do so beside whom. Their volumes are the business of
//! `volumes` and `upload`.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;
use std::time::{Duration, Instant};

use virt::connect::Connect;
use virt::storage_pool::StoragePool;

use super::error::{failed, present};
use super::host::{Place, child};
use super::{Call, names, xml};
use crate::backend::{ErrorKind, HypervisorError};
use crate::names::Pool;

/// Who works on a pool. libvirt refuses to refresh or stop a pool while a volume is being made in it, so whoever does
/// either waits for all who make or remove volumes; those do not wait for one another.
#[derive(Debug, Default)]
pub(super) struct Turns {
    images: RwLock<()>,
    disks: RwLock<()>,
}

impl Turns {
    /// To make or remove volumes.
    pub(super) fn volumes(&self, pool: Pool) -> RwLockReadGuard<'_, ()> {
        self.of(pool).read().unwrap_or_else(PoisonError::into_inner)
    }

    /// To change the pool itself.
    pub(super) fn pool(&self, pool: Pool) -> RwLockWriteGuard<'_, ()> {
        self.of(pool).write().unwrap_or_else(PoisonError::into_inner)
    }

    /// To change both: in one order, so that nobody waits for ever.
    fn both(&self) -> (RwLockWriteGuard<'_, ()>, RwLockWriteGuard<'_, ()>) {
        (self.pool(Pool::Images), self.pool(Pool::Disks))
    }

    fn of(&self, pool: Pool) -> &RwLock<()> {
        match pool {
            Pool::Images => &self.images,
            Pool::Disks => &self.disks,
        }
    }
}

/// The pool, where it is there.
pub(super) fn find(connect: &Connect, pool: Pool) -> Result<Option<StoragePool>, HypervisorError> {
    present(StoragePool::lookup_by_name(connect, &names::pool(pool)), format!("cannot look for pool `{pool}`"))
}

/// The pool, where it is there and ours: what is in another one of that name is not.
pub(super) fn find_ours(connect: &Connect, pool: Pool) -> Result<Option<StoragePool>, HypervisorError> {
    let Some(found) = find(connect, pool)? else { return Ok(None) };
    Ok(foreign(&found, pool)?.is_none().then_some(found))
}

/// The pool, which must be there.
pub(super) fn get(connect: &Connect, pool: Pool) -> Result<StoragePool, HypervisorError> {
    find(connect, pool)?.ok_or_else(|| missing(pool))
}

fn missing(pool: Pool) -> HypervisorError {
    HypervisorError::new(ErrorKind::NotFound, format!("pool `{pool}` does not exist on the hypervisor"))
}

/// Does what puts something into the pool. All projects share it, so the end of another one can remove it, empty as it
/// was, at any moment before that; then it is made anew and the work done again.
pub(super) fn in_pool<T>(
    call: Call<'_>,
    pool: Pool,
    work: impl Fn(&StoragePool) -> Result<T, HypervisorError>,
) -> Result<T, HypervisorError> {
    shared(|| work(&make_sure(call, pool)?))
}

/// Works on a pool that others work on too. libvirt has no lock on one, so two that make or remove it at the same moment
/// meet each other's halves, and nobody says when the other is done; whoever does looks again.
pub(super) fn shared<T>(work: impl Fn() -> Result<T, HypervisorError>) -> Result<T, HypervisorError> {
    const TRIES: usize = 20;
    const PAUSE: Duration = Duration::from_millis(20);
    for _ in 1..TRIES {
        match work() {
            Err(error) if is_half_seen(&error) => thread::sleep(PAUSE),
            done => return done,
        }
    }
    work()
}

fn is_half_seen(error: &HypervisorError) -> bool {
    const WORDS: [&str; 6] = [
        "is not active",
        "is active",
        "is still active",
        "is already active",
        "already exists",
        "cannot open directory",
    ];
    error.kind == ErrorKind::NotFound || WORDS.iter().any(|words| error.message.contains(words))
}

fn make_sure(call: Call<'_>, pool: Pool) -> Result<StoragePool, HypervisorError> {
    if let Some(found) = find(call.connect, pool)? {
        refuse_foreign(&found, pool)?;
        if found.is_active() == Ok(true) {
            return Ok(found);
        }
    }
    create(call, pool)?;
    get(call.connect, pool)
}

/// What is in the way of our pool, in words, where something is: pools carry no metadata, so a folder of files under
/// our name is ours wherever it lies, and anything else is not.
pub(super) fn foreign(pool: &StoragePool, of: Pool) -> Result<Option<String>, HypervisorError> {
    let kind = kind(pool, of.as_str())?;
    Ok((kind != "dir").then(|| format!("a pool `{}` of type `{kind}` that vmcompose did not make", names::pool(of))))
}

/// What a pool is made of: `dir`, `logical`, …
pub(super) fn kind(pool: &StoragePool, name: &str) -> Result<String, HypervisorError> {
    let xml = pool.get_xml_desc(0).map_err(failed(format!("cannot read the definition of pool `{name}`")))?;
    let document = roxmltree::Document::parse(&xml).ok();
    let kind = document.as_ref().and_then(|document| document.root_element().attribute("type"));
    Ok(kind.unwrap_or_default().to_owned())
}

fn refuse_foreign(pool: &StoragePool, of: Pool) -> Result<(), HypervisorError> {
    match foreign(pool, of)? {
        None => Ok(()),
        Some(words) => {
            Err(HypervisorError::new(ErrorKind::Conflict, format!("pool `{of}` is in conflict with {words}")))
        }
    }
}

pub(super) fn create(call: Call<'_>, pool: Pool) -> Result<(), HypervisorError> {
    let _turns = call.turns.both();
    shared(|| create_once(call, pool))
}

fn create_once(call: Call<'_>, pool: Pool) -> Result<(), HypervisorError> {
    let Call { connect, place, .. } = call;
    if let Some(found) = find(connect, pool)? {
        adopt(&found, pool)?;
        return call.nothing();
    }
    let xml = xml::pool(&names::pool(pool), &place.folder(pool)?)?;
    let made = match StoragePool::define_xml(connect, &xml, 0) {
        Ok(made) => made,
        // Another project's run may have been faster: the pools are everybody's.
        Err(error) => {
            let found = find(connect, pool)?.ok_or_else(|| failed(format!("cannot define pool `{pool}`"))(error))?;
            adopt(&found, pool)?;
            return call.nothing();
        }
    };
    let started = settle(&made, pool);
    // Who was faster in starting it goes on using it, whatever went wrong here.
    if started.is_err() && made.is_active() != Ok(true) {
        // Whatever of this works: the first error is the one to tell.
        let _ = made.delete(0);
        let _ = made.undefine();
        remove_parent(connect, place);
    }
    started
}

/// Uses a pool that is there. Its folder may not be yet: somebody else is just making it.
fn adopt(found: &StoragePool, pool: Pool) -> Result<(), HypervisorError> {
    refuse_foreign(found, pool)?;
    settle(found, pool)
}

/// Brings a defined pool to where it is of use, together with whoever else does so at the same time.
fn settle(found: &StoragePool, pool: Pool) -> Result<(), HypervisorError> {
    if !is_active(found, pool)? {
        // A folder that cannot be made cannot be started in, and that error says more.
        let _ = found.build(0);
    }
    start_found(found, pool)?;
    keep(found, pool)
}

/// Has a pool started with the hypervisor. That comes last when one is made and goes first when one is removed, so that
/// one without it that is not active is known as half of a pool by anybody, after any crash.
fn keep(found: &StoragePool, pool: Pool) -> Result<(), HypervisorError> {
    let kept =
        found.set_autostart(true).map_err(failed(format!("cannot have pool `{pool}` started with the hypervisor")));
    kept.map(|_| ())
}

/// Whether somebody was cut short while making or removing the pool: nothing is in it.
pub(super) fn is_half(found: &StoragePool, pool: Pool) -> Result<bool, HypervisorError> {
    let kept = found.get_autostart().map_err(failed(format!("cannot ask for the state of pool `{pool}`")))?;
    Ok(!kept && !is_active(found, pool)?)
}

pub(super) fn delete(call: Call<'_>, pool: Pool) -> Result<(), HypervisorError> {
    let _turns = call.turns.both();
    shared(|| delete_once(call, pool))
}

fn delete_once(call: Call<'_>, pool: Pool) -> Result<(), HypervisorError> {
    let Call { connect, place, .. } = call;
    let Some(found) = find(connect, pool)? else { return call.nothing() };
    refuse_foreign(&found, pool)?;
    if is_active(&found, pool)? {
        refresh_now(&found, pool)?;
        if found.num_of_volumes().map_err(failed(format!("cannot count the volumes of pool `{pool}`")))? > 0 {
            return call.nothing();
        }
        found.set_autostart(false).map_err(failed(format!("cannot take leave of pool `{pool}`")))?;
        match found.destroy() {
            // Another process is filling it: so it is not empty after all.
            Err(error) if has_jobs(&error) => {
                keep(&found, pool)?;
                return call.nothing();
            }
            stopped => stopped.map_err(failed(format!("cannot stop pool `{pool}`")))?,
        }
    }
    // libvirt removes the folder only when it is empty, so what appeared in the meantime is safe: then the pool starts
    // again. It does not start when the folder is gone already, and then only the definition is left to remove.
    if found.delete(0).is_err() && start_found(&found, pool).is_ok() {
        keep(&found, pool)?;
        return call.nothing();
    }
    found.undefine().map_err(failed(format!("cannot remove the definition of pool `{pool}`")))?;
    remove_parent(connect, place);
    Ok(())
}

/// Removes the folder that held both pools' folders once both are gone. libvirt makes it on the way to a pool's
/// folder and has no call to remove it; but it removes the folder of a pool, so that is what the folder becomes for a
/// moment. This works on another machine too, and a folder that is not empty stays.
fn remove_parent(connect: &Connect, place: &Place) {
    let gone = |pool| matches!(find(connect, pool), Ok(None));
    if place.test || !gone(Pool::Images) || !gone(Pool::Disks) {
        return;
    }
    let define = || {
        let xml = xml::pool("vmcompose", &place.state().ok()?).ok()?;
        StoragePool::define_xml(connect, &xml, 0).ok()
    };
    if let Some(parent) = define() {
        let _ = parent.delete(0);
        let _ = parent.undefine();
    }
}

pub(super) fn start(call: Call<'_>, pool: Pool) -> Result<(), HypervisorError> {
    let found = get(call.connect, pool)?;
    refuse_foreign(&found, pool)?;
    if is_active(&found, pool)? {
        return call.nothing();
    }
    start_found(&found, pool)
}

fn start_found(found: &StoragePool, pool: Pool) -> Result<(), HypervisorError> {
    if is_active(found, pool)? {
        return Ok(());
    }
    match found.create(0) {
        Ok(_) => Ok(()),
        // Somebody else was faster.
        Err(_) if found.is_active() == Ok(true) => Ok(()),
        Err(error) => Err(failed(format!("cannot start pool `{pool}`"))(error)),
    }
}

pub(super) fn stop(call: Call<'_>, pool: Pool) -> Result<(), HypervisorError> {
    let _turn = call.turns.pool(pool);
    let Some(found) = find(call.connect, pool)? else { return call.nothing() };
    refuse_foreign(&found, pool)?;
    if !is_active(&found, pool)? {
        return call.nothing();
    }
    found.destroy().map_err(failed(format!("cannot stop pool `{pool}`")))
}

pub(super) fn is_active(found: &StoragePool, pool: Pool) -> Result<bool, HypervisorError> {
    found.is_active().map_err(failed(format!("cannot ask for the state of pool `{pool}`")))
}

/// Has libvirt look at the files anew, formats included.
pub(super) fn refresh(call: Call<'_>, pool: Pool) -> Result<(), HypervisorError> {
    let _turn = call.turns.pool(pool);
    refresh_now(&get(call.connect, pool)?, pool)
}

/// Whether volumes of the pool are being filled, by whomever.
fn has_jobs(error: &virt::error::Error) -> bool {
    error.message().contains("asynchronous jobs")
}

/// Another process may be making a volume, during which libvirt refuses and tells nobody when it is done.
fn refresh_now(found: &StoragePool, pool: Pool) -> Result<(), HypervisorError> {
    const PATIENCE: Duration = Duration::from_secs(30);
    let deadline = Instant::now() + PATIENCE;
    loop {
        match found.refresh(0) {
            Ok(_) => return Ok(()),
            Err(error) if has_jobs(&error) && Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(100));
            }
            Err(error) => return Err(failed(format!("cannot refresh pool `{pool}`"))(error)),
        }
    }
}

/// The format of a volume as libvirt believes it to be.
pub(super) fn format_in(volume_xml: &str) -> Option<String> {
    let document = roxmltree::Document::parse(volume_xml).ok()?;
    let format = child(child(document.root_element(), "target")?, "format")?;
    format.attribute("type").map(ToOwned::to_owned)
}

/// The path of what a volume is an overlay of, as its header has it.
pub(super) fn backing_in(volume_xml: &str) -> Option<String> {
    let document = roxmltree::Document::parse(volume_xml).ok()?;
    let path = child(child(document.root_element(), "backingStore")?, "path")?;
    path.text().map(ToOwned::to_owned)
}
