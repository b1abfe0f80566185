//! What the serial console of a vm has said since its last start, as the hypervisor records it.
//!
//! Owns the file: a volume in one of our pools, because so it can be read and removed where the hypervisor is another
//! machine or the user may not look into its folders. libvirt's own daemon writes it, begins it anew at each start and
//! moves it aside when it has grown too long. Knows nothing of what is said.

use std::path::Path;

use virt::connect::Connect;
use virt::storage_pool::StoragePool;
use virt::storage_vol::StorageVol;
use virt::stream::Stream;
use virt_sys::VIR_STORAGE_VOL_GET_PHYSICAL;

use super::error::{failed, present};
use super::host::Place;
use super::names::Stored;
use super::volumes::{self, path_of};
use super::{Call, Libvirt, storage, xml};
use crate::backend::HypervisorError;
use crate::model::{Boot, Vm};
use crate::names::{Pool, ProjectName, VmName};

/// Older parts that libvirt's daemon keeps; three as it is shipped.
const OLDER: std::ops::Range<u8> = 0..3;
/// Bytes asked for at once.
const CHUNK: usize = 64 << 10;
/// As much as is read of one file at most: the daemon moves one aside at two megabytes as it is shipped.
const MOST: usize = 16 << 20;

impl Libvirt {
    /// What the serial console of a vm has said since its last start, or since an earlier look, and where that ends, for
    /// the next look; `None` where nothing is recorded: the test driver has no consoles.
    pub fn console_log(
        &self,
        project: &ProjectName,
        vm: &VmName,
        from: Option<u64>,
    ) -> Result<Option<(Vec<u8>, u64)>, HypervisorError> {
        let read = self.connections.with(|connect| {
            if from.is_none() && !self.place.local {
                // Files of another machine cannot be looked for in any other way.
                for pool in [Pool::Disks, Pool::Images] {
                    storage::find_ours(connect, pool)?.map(|found| found.refresh(0));
                }
            }
            read(connect, &self.place, project, vm, from)
        })?;
        Ok(read.map(|(said, end)| (self.secrets.mask(&String::from_utf8_lossy(&said)).into_bytes(), end)))
    }
}

/// The file of a vm, made where there is none. In the pool that this vm needs in any case.
pub(super) fn prepare(call: Call<'_>, vm: &Vm) -> Result<String, HypervisorError> {
    let pool = if matches!(vm.boot, Boot::Image(_)) { Pool::Disks } else { Pool::Images };
    let stored = stored(&vm.name, pool, None);
    let (name, what) = (stored.name(call.project), called(&vm.name));
    storage::in_pool(call, pool, |found| {
        let _turn = call.turns.volumes(pool);
        if let Some(volume) = volumes::find_in(found, &name)? {
            return path_of(&volume, &what);
        }
        let empty = xml::Volume { name: name.clone(), capacity: 0, empty: true, format: "raw", backing: None };
        let made = StorageVol::create_xml(found, &xml::volume(&empty)?, 0);
        path_of(&made.map_err(failed(format!("cannot create {what}")))?, &what)
    })
}

/// Removes the file with its older parts; fine where there is none.
pub(super) fn delete(call: Call<'_>, vm: &VmName) -> Result<(), HypervisorError> {
    for pool in [Pool::Disks, Pool::Images] {
        let own = stored(vm, pool, None);
        let Some(found) = volumes::find(call, &own)? else { continue };
        let path = path_of(&found, &called(vm))?;
        // libvirt does not know of files that it moved aside until it looks; a look at a large pool takes its time.
        let older = !call.place.local || OLDER.clone().any(|n| Path::new(&format!("{path}.{n}")).exists());
        if older {
            storage::refresh(call, pool)?;
            for n in OLDER {
                volumes::delete(call, &stored(vm, pool, Some(n)), &called(vm))?;
            }
        }
        volumes::delete(call, &own, &called(vm))?;
    }
    Ok(())
}

/// What has been said, and the byte of the newest file at which that ends: all since the start of the vm, or what came
/// after such a byte. `None` where nothing is recorded. A start of the vm begins anew, and so does this.
pub(super) fn read(
    connect: &Connect,
    place: &Place,
    project: &ProjectName,
    vm: &VmName,
    from: Option<u64>,
) -> Result<Option<(Vec<u8>, u64)>, HypervisorError> {
    for pool in [Pool::Disks, Pool::Images] {
        let Some(found) = storage::find_ours(connect, pool)? else { continue };
        let record = Record { connect, place, project, vm, pool, found };
        let Some(newest) = volumes::find_in(&record.found, &stored(vm, pool, None).name(project))? else { continue };
        let Some(length) = record.length(&newest)? else { continue };
        let mut said = Vec::new();
        let begin = match from {
            Some(from) if from <= length => from,
            // What was read up to there has been moved aside, unless it is gone with an earlier start.
            Some(from) => {
                said.extend(record.older(&newest, 0, from)?);
                0
            }
            None => {
                for n in OLDER.rev() {
                    said.extend(record.older(&newest, n, 0)?);
                }
                0
            }
        };
        let latest = record.part(&newest, begin, length)?;
        let end = begin + latest.len() as u64;
        said.extend(latest);
        return Ok(Some((said, end)));
    }
    Ok(None)
}

/// The files of one vm.
struct Record<'a> {
    connect: &'a Connect,
    place: &'a Place,
    project: &'a ProjectName,
    vm: &'a VmName,
    pool: Pool,
    found: StoragePool,
}

impl Record<'_> {
    fn length(&self, volume: &StorageVol) -> Result<Option<u64>, HypervisorError> {
        let info = volume.get_info_flags(VIR_STORAGE_VOL_GET_PHYSICAL);
        let info = present(info, format!("cannot look at {}", called(self.vm)))?;
        Ok(info.map(|info| info.allocation))
    }

    fn part(&self, volume: &StorageVol, from: u64, length: u64) -> Result<Vec<u8>, HypervisorError> {
        if length <= from {
            return Ok(Vec::new());
        }
        let cannot = || failed(format!("cannot read {}", called(self.vm)));
        let stream = Stream::new(self.connect, 0).map_err(cannot())?;
        volume.download(&stream, from, length - from, 0).map_err(cannot())?;
        receive(stream).map_err(cannot())
    }

    /// What an older file says from a byte on; nothing where there is none.
    fn older(&self, newest: &StorageVol, n: u8, from: u64) -> Result<Vec<u8>, HypervisorError> {
        let name = stored(self.vm, self.pool, Some(n)).name(self.project);
        let mut volume = volumes::find_in(&self.found, &name)?;
        if volume.is_none() && self.place.local {
            let path = path_of(newest, &called(self.vm))?;
            if Path::new(&format!("{path}.{n}")).exists() {
                // libvirt does not know of files that were moved aside until it looks. Where it has no time for that
                // now, the newest is better than nothing.
                let _ = self.found.refresh(0);
                volume = volumes::find_in(&self.found, &name)?;
            }
        }
        let Some(volume) = volume else { return Ok(Vec::new()) };
        let length = self.length(&volume)?.unwrap_or(0);
        self.part(&volume, from, length)
    }
}

fn receive(stream: Stream) -> Result<Vec<u8>, virt::error::Error> {
    let mut said = Vec::new();
    let mut chunk = vec![0; CHUNK];
    while said.len() < MOST {
        match stream.recv(&mut chunk) {
            Ok(0) => {
                // All of it has come; how the stream ends changes nothing about that.
                let _ = stream.finish();
                return Ok(said);
            }
            Ok(count) => said.extend_from_slice(&chunk[..count]),
            Err(error) => {
                let _ = stream.abort();
                return Err(error);
            }
        }
    }
    let _ = stream.abort();
    Ok(said)
}

fn stored(vm: &VmName, pool: Pool, older: Option<u8>) -> Stored {
    Stored::Console { vm: vm.clone(), pool, older }
}

fn called(vm: &VmName) -> String {
    format!("the record of the console of vm `{vm}`")
}
