//! What the serial console of a vm has said since its last start, as the hypervisor records it.
//!
//! Owns the file: a volume in one of our pools, because so it can be read and removed where the hypervisor is another
//! machine or the user may not look into its folders. libvirt's own daemon writes it, begins it anew at each start and
//! moves it aside when it has grown too long. Knows nothing of what is said.

use std::path::Path;

use virt::connect::Connect;
use virt::storage_vol::StorageVol;
use virt::stream::Stream;
use virt_sys::VIR_STORAGE_VOL_GET_PHYSICAL;

use super::error::{failed, present};
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
/// As much as is read at most: the daemon moves a file aside at two megabytes as it is shipped.
const MOST: usize = 16 << 20;

impl Libvirt {
    /// What the serial console of a vm has said since its last start, from this byte on, and where that ends; `None` where
    /// nothing is recorded: the test driver has no consoles.
    pub fn console_log(
        &self,
        project: &ProjectName,
        vm: &VmName,
        from: u64,
    ) -> Result<Option<(Vec<u8>, u64)>, HypervisorError> {
        let read = self.connections.with(|connect| read(connect, project, vm, from))?;
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

/// What has been said from this byte on, and where that ends; `None` where nothing is recorded. A start of the vm begins
/// anew, and so does this.
pub(super) fn read(
    connect: &Connect,
    project: &ProjectName,
    vm: &VmName,
    from: u64,
) -> Result<Option<(Vec<u8>, u64)>, HypervisorError> {
    let cannot = || failed(format!("cannot read {}", called(vm)));
    for pool in [Pool::Disks, Pool::Images] {
        let Some(found) = storage::find_ours(connect, pool)? else { continue };
        let Some(volume) = volumes::find_in(&found, &stored(vm, pool, None).name(project))? else { continue };
        let info =
            present(volume.get_info_flags(VIR_STORAGE_VOL_GET_PHYSICAL), format!("cannot look at {}", called(vm)))?;
        let Some(length) = info.map(|info| info.allocation) else { continue };
        let from = if length < from { 0 } else { from };
        if length == from {
            return Ok(Some((Vec::new(), from)));
        }
        let stream = Stream::new(connect, 0).map_err(cannot())?;
        volume.download(&stream, from, length - from, 0).map_err(cannot())?;
        let bytes = receive(stream).map_err(cannot())?;
        let end = from + bytes.len() as u64;
        return Ok(Some((bytes, end)));
    }
    Ok(None)
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
