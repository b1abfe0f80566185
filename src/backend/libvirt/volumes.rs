//! Volumes and disks: qcow2 files in the pool of disks, and finding what is in either pool.
//!
//! Owns making and removing them, and what makes an existing one the same. How an image's bytes get there is the
//! business of `upload`.

use virt::storage_pool::StoragePool;
use virt::storage_vol::StorageVol;
use virt_sys::{VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE, VIR_STORAGE_VOL_GET_PHYSICAL};

use super::Call;
use super::error::{failed, is_absent, present};
use super::host::Place;
use super::names::{self, Stored};
use super::xml::{self, Backing};
use super::{others, storage};
use crate::backend::{ErrorKind, HypervisorError};
use crate::model::{ImageFormat, ImageRef, Volume};
use crate::names::{Pool, ProjectName, ResourceId, VolumeName};
use crate::plan::operation::VmDisk;
use crate::units::Bytes;

/// The volume of this name, where pool and volume are there.
pub(super) fn find(call: Call<'_>, stored: &Stored) -> Result<Option<StorageVol>, HypervisorError> {
    storage::shared(|| {
        let pool = match stored.elsewhere() {
            Some(name) => others::find(call.connect, name)?,
            None => storage::find_ours(call.connect, stored.pool())?,
        };
        let Some(pool) = pool else { return Ok(None) };
        find_in(&pool, &stored.name(call.project))
    })
}

pub(super) fn find_in(pool: &StoragePool, name: &str) -> Result<Option<StorageVol>, HypervisorError> {
    present(StorageVol::lookup_by_name(pool, name), format!("cannot look for volume `{name}`"))
}

/// Where a volume is, for the domain that uses it. `what` names it for people: "volume `pgdata`".
pub(super) fn path(call: Call<'_>, stored: &Stored, what: &str) -> Result<String, HypervisorError> {
    let volume = find(call, stored)?.ok_or_else(|| missing(what))?;
    path_of(&volume, what)
}

pub(super) fn path_of(volume: &StorageVol, what: &str) -> Result<String, HypervisorError> {
    volume.get_path().map_err(failed(format!("cannot ask where {what} is")))
}

/// A named volume, wherever it is.
pub(super) fn named(call: Call<'_>, name: &VolumeName) -> Result<(StorageVol, Stored), HypervisorError> {
    let what = ResourceId::Volume(name.clone()).to_string();
    let ours = names::pool(Pool::Disks);
    let pools = call.connect.list_all_storage_pools(VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE);
    let pools = pools.map_err(failed("cannot list the pools"))?;
    let mut called = Vec::new();
    for pool in pools {
        called.push((pool.get_name().map_err(failed("cannot ask a pool for its name"))?, pool));
    }
    // Ours first; the others in an order that is always the same.
    called.sort_by_cached_key(|(pool, _)| (*pool != ours, pool.clone()));
    for (pool, found) in called {
        let elsewhere = (pool != ours).then_some(pool);
        for shared in [false, true] {
            let stored = Stored::Volume { name: name.clone(), shared, pool: elsewhere.clone() };
            if let Some(volume) = find_in(&found, &stored.name(call.project))? {
                return Ok((volume, stored));
            }
        }
    }
    Err(missing(&what))
}

pub(super) fn missing(what: &str) -> HypervisorError {
    HypervisorError::new(ErrorKind::NotFound, format!("{what} does not exist on the hypervisor"))
}

/// An image that is on the hypervisor, whole.
pub(super) struct Medium {
    pub(super) volume: StorageVol,
    pub(super) stored: Stored,
}

/// The image that a spec refers to.
pub(super) fn image(call: Call<'_>, reference: &ImageRef) -> Result<Medium, HypervisorError> {
    let what = ResourceId::Image(reference.name.clone()).to_string();
    let pool = storage::find_ours(call.connect, Pool::Images)?.ok_or_else(|| missing(&what))?;
    let wanted = |stored: &Stored| match stored {
        Stored::Image { name, digest, .. } => {
            *name == reference.name && reference.digest.as_ref().is_none_or(|wanted| wanted == digest)
        }
        _ => false,
    };
    for (volume, stored) in list(&pool, call.project, Pool::Images)? {
        if wanted(&stored) && is_whole(call.place, &volume, &stored)? {
            return Ok(Medium { volume, stored });
        }
    }
    Err(missing(&what))
}

/// The project's volumes in a pool.
pub(super) fn list(
    pool: &StoragePool,
    project: &ProjectName,
    of: Pool,
) -> Result<Vec<(StorageVol, Stored)>, HypervisorError> {
    let volumes = pool.list_all_volumes(0).map_err(failed(format!("cannot list the volumes of pool `{of}`")))?;
    let ours = |volume: StorageVol| {
        let name = volume.get_name().ok()?;
        let stored = Stored::parse(project, of, &name)?;
        Some((name, volume, stored))
    };
    let mut named: Vec<_> = volumes.into_iter().filter_map(ours).collect();
    // libvirt lists in an order of its own, another one each time.
    named.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(named.into_iter().map(|(_, volume, stored)| (volume, stored)).collect())
}

/// Whether all bytes of an image have arrived: its file is as long as its name says. Anything else is whole.
pub(super) fn is_whole(place: &Place, volume: &StorageVol, stored: &Stored) -> Result<bool, HypervisorError> {
    let Stored::Image { length, .. } = stored else { return Ok(true) };
    // The test driver takes no bytes: there, being listed is being whole.
    if place.test {
        return Ok(true);
    }
    match volume.get_info_flags(VIR_STORAGE_VOL_GET_PHYSICAL) {
        Ok(info) => Ok(info.allocation == length.0),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(failed("cannot ask for the length of an image")(error)),
    }
}

/// What a guest sees of a volume, in bytes; `None` where it is gone by now.
pub(super) fn capacity(volume: &StorageVol, what: &str) -> Result<Option<Bytes>, HypervisorError> {
    let info = present(volume.get_info(), format!("cannot ask for the size of {what}"))?;
    Ok(info.map(|info| Bytes(info.capacity)))
}

pub(super) fn create_volume(call: Call<'_>, volume: &Volume) -> Result<(), HypervisorError> {
    let what = ResourceId::Volume(volume.name.clone()).to_string();
    let stored = Stored::volume(volume);
    create(call, &stored, volume.size, None, &what)
}

pub(super) fn create_disk(call: Call<'_>, disk: &VmDisk) -> Result<(), HypervisorError> {
    let what = format!("disk `{}` of vm `{}`", disk.disk, disk.vm);
    let stored = Stored::disk(disk);
    let Some(reference) = &disk.backing else {
        let size = disk.size.ok_or_else(|| {
            HypervisorError::new(ErrorKind::Rejected, format!("{what} has neither a size nor an image"))
        })?;
        return create(call, &stored, size, None, &what);
    };
    if let Some(source) = &reference.volume {
        let volume = others::volume(call.connect, source)?;
        let least = capacity(&volume, &what)?.ok_or_else(|| missing(&what))?;
        let xml = volume.get_xml_desc(0).map_err(failed(format!("cannot look at `{source}`")))?;
        let format = match storage::format_in(&xml).as_deref() {
            Some("qcow2") => ImageFormat::Qcow2,
            // Files that libvirt knows nothing of are as they are; so are those of the test driver.
            Some("raw") | None => ImageFormat::Raw,
            Some(_) if call.place.test => ImageFormat::Raw,
            Some(other) => {
                let message = format!("`{source}` is a {other} file; an image has to be qcow2 or raw");
                return Err(HypervisorError::new(ErrorKind::Unsupported, message));
            }
        };
        if let Some(says) = reference.format.filter(|says| *says != format && !call.place.test) {
            let message =
                format!("image `{}` is declared as {}, but is {}", reference.name, says.as_str(), format.as_str());
            return Err(HypervisorError::new(ErrorKind::Rejected, message));
        }
        let size = at_least(disk.size, least, reference, &what)?;
        return create(call, &stored, size, Some(&Backing::new(path_of(&volume, &what)?, format)), &what);
    }
    let medium = image(call, reference)?;
    let least = virtual_size(call, &medium, reference)?;
    let size = at_least(disk.size, least, reference, &what)?;
    let Stored::Image { format, .. } = medium.stored else { return Err(missing(&what)) };
    let backing = Backing::new(path_of(&medium.volume, &what)?, format);
    create(call, &stored, size, Some(&backing), &what)
}

/// The size of an overlay: no smaller than what it is on.
fn at_least(size: Option<Bytes>, least: Bytes, image: &ImageRef, what: &str) -> Result<Bytes, HypervisorError> {
    match size {
        Some(size) if size < least => {
            let message = format!("{what} is {size}, but its image `{}` needs {least}", image.name);
            Err(HypervisorError::new(ErrorKind::Rejected, message)
                .with_hint(format!("write `disk: {least}` or more, or leave `disk` out")))
        }
        size => Ok(size.unwrap_or(least)),
    }
}

/// What a guest sees of an image. libvirt reads it from the image's header, once it has noticed that there is one.
fn virtual_size(call: Call<'_>, medium: &Medium, reference: &ImageRef) -> Result<Bytes, HypervisorError> {
    let what = ResourceId::Image(reference.name.clone()).to_string();
    let Stored::Image { format, length, .. } = &medium.stored else { return Err(missing(&what)) };
    let described = |volume: &StorageVol| volume.get_xml_desc(0).map_err(failed(format!("cannot look at {what}")));
    let is_known = |xml: &str| storage::format_in(xml).as_deref() == Some(format.as_str());
    let again;
    let mut volume = &medium.volume;
    if !call.place.test && !is_known(&described(volume)?) {
        storage::refresh(call, medium.stored.pool())?;
        again = find(call, &medium.stored)?.ok_or_else(|| missing(&what))?;
        volume = &again;
        if *format == ImageFormat::Qcow2 && !is_known(&described(volume)?) {
            return Err(HypervisorError::new(
                ErrorKind::Rejected,
                format!("{what} is not the qcow2 that it should be"),
            ));
        }
    }
    match format {
        ImageFormat::Raw => Ok(*length),
        ImageFormat::Qcow2 => capacity(volume, &what)?.ok_or_else(|| missing(&what)),
    }
}

fn create(
    call: Call<'_>,
    stored: &Stored,
    size: Bytes,
    backing: Option<&Backing>,
    what: &str,
) -> Result<(), HypervisorError> {
    let create = |pool: &StoragePool| create_in(call, pool, stored, size, backing.cloned(), what);
    match stored.elsewhere() {
        Some(name) => create(&others::usable(call.connect, name)?),
        None => storage::in_pool(call, stored.pool(), create),
    }
}

fn create_in(
    call: Call<'_>,
    pool: &StoragePool,
    stored: &Stored,
    size: Bytes,
    backing: Option<Backing>,
    what: &str,
) -> Result<(), HypervisorError> {
    // libvirt hands sizes on in KiB.
    let size = size.whole_kib();
    let _turn = call.turns.volumes(stored.pool());
    if let Some(found) = find_in(pool, &stored.name(call.project))? {
        let in_pool = pool.get_name().unwrap_or_default();
        same(&found, size, backing.as_ref(), &in_pool, what)?;
        return call.nothing();
    }
    let xml = xml::volume(&xml::Volume {
        name: stored.name(call.project),
        capacity: size.0,
        empty: true,
        format: stored.format().as_str(),
        backing,
    })?;
    StorageVol::create_xml(pool, &xml, 0).map_err(failed(format!("cannot create {what}")))?;
    Ok(())
}

/// A volume on a file that has been looked at before; only for the test driver, where formats mean nothing.
pub(super) fn create_over(
    call: Call<'_>,
    stored: &Stored,
    size: Bytes,
    on: Option<String>,
    what: &str,
) -> Result<(), HypervisorError> {
    create(call, stored, size, on.map(|path| Backing::new(path, ImageFormat::Qcow2)).as_ref(), what)
}

/// A disk that is there already is the one wanted when a guest would see no difference; its content is not looked at.
fn same(
    found: &StorageVol,
    size: Bytes,
    backing: Option<&Backing>,
    pool: &str,
    what: &str,
) -> Result<(), HypervisorError> {
    let has = capacity(found, what)?.unwrap_or(size);
    let xml = found.get_xml_desc(0).map_err(failed(format!("cannot look at {what}")))?;
    let on = storage::backing_in(&xml);
    let different = if has != size {
        format!("it is {has} instead of {size}")
    } else if on.as_deref() != backing.map(Backing::path) {
        "it is on another image".to_owned()
    } else {
        return Ok(());
    };
    let name = found.get_name().unwrap_or_default();
    Err(HypervisorError::new(ErrorKind::Conflict, format!("{what} exists already, and {different}"))
        .with_hint(format!("if nothing on it is needed: `virsh vol-delete {name} --pool {pool}`")))
}

/// Removes a volume with all that is on it; fine where it is gone.
pub(super) fn delete(call: Call<'_>, stored: &Stored, what: &str) -> Result<(), HypervisorError> {
    let _turn = call.turns.volumes(stored.pool());
    let Some(found) = find(call, stored)? else { return call.nothing() };
    storage::shared(|| present(found.delete(0), format!("cannot delete {what}")).map(|_| ()))
}
