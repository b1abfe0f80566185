//! Seeds: the disks from which guests learn what to do at their first boot.
//!
//! Owns getting a seed's bytes into the pool of disks. Knows nothing of what is on them: that is the business of
//! [`crate::seed`].

use serde_json::Value;
use virt::storage_vol::StorageVol;
use virt::stream::Stream;

use super::error::failed;
use super::names::Stored;
use super::{Call, storage, volumes, xml};
use crate::backend::HypervisorError;
use crate::names::VmName;
use crate::plan::operation::VmSeed;
use crate::seed;

/// Makes a seed. One that is there may have been cut short, or be an older one, and holds nothing that the spec does not
/// have: it is made anew. The test driver takes no bytes; there only the volume is made.
pub(super) fn create(call: Call<'_>, wanted: &VmSeed) -> Result<(), HypervisorError> {
    let bytes = seed::image(&seed::make(&wanted.settings, &wanted.machine));
    let stored = Stored::Seed(wanted.vm.clone());
    write(call, &stored, &bytes, &format!("the cloud-init seed of vm `{}`", wanted.vm))
}

/// Makes what a guest with Ignition reads, in the same way.
pub(super) fn create_ignition(call: Call<'_>, vm: &VmName, config: &Value) -> Result<(), HypervisorError> {
    let bytes = config.to_string().into_bytes();
    write(call, &Stored::Ignition(vm.clone()), &bytes, &format!("the Ignition configuration of vm `{vm}`"))
}

fn write(call: Call<'_>, stored: &Stored, bytes: &[u8], what: &str) -> Result<(), HypervisorError> {
    let pool = storage::make_sure(call, stored.pool())?;
    let _turn = call.turns.volumes(stored.pool());
    let name = stored.name(call.project);
    if let Some(found) = volumes::find_in(&pool, &name)? {
        found.delete(0).map_err(failed(format!("cannot delete what was there of {what}")))?;
    }
    let capacity = bytes.len() as u64;
    let xml = xml::volume(&xml::Volume { name, capacity, empty: true, format: "raw", backing: None })?;
    let volume = StorageVol::create_xml(&pool, &xml, 0).map_err(failed(format!("cannot create {what}")))?;
    if call.place.test {
        return Ok(());
    }
    let sent = send(call, &volume, bytes, what);
    if sent.is_err() {
        let _ = volume.delete(0);
    }
    sent
}

fn send(call: Call<'_>, volume: &StorageVol, bytes: &[u8], what: &str) -> Result<(), HypervisorError> {
    let cannot = || failed(format!("cannot upload {what}"));
    let stream = Stream::new(call.connect, 0).map_err(cannot())?;
    volume.upload(&stream, 0, bytes.len() as u64, 0).map_err(cannot())?;
    let mut rest = bytes;
    while !rest.is_empty() {
        match stream.send(rest) {
            Ok(sent) => rest = &rest[sent..],
            Err(error) => {
                let _ = stream.abort();
                return Err(cannot()(error));
            }
        }
    }
    stream.finish().map_err(cannot())
}
