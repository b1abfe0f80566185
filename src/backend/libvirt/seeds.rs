//! Seeds: the disks from which guests learn what to do at their first boot.
//!
//! Owns getting a seed's bytes into the pool of disks, and secrets onto it and off it again. Knows nothing of how they
//! are laid out: that is the business of [`crate::seed`].

use serde_json::Value;
use virt::storage_pool::StoragePool;
use virt::storage_vol::StorageVol;
use virt::stream::Stream;

use super::error::failed;
use super::names::Stored;
use super::{Call, storage, volumes, xml};
use crate::backend::{ErrorKind, HypervisorError};
use crate::model::SecretValue;
use crate::names::{Generation, VmName};
use crate::plan::operation::VmSeed;
use crate::secret::SecretError;
use crate::seed::{self, FillError};

/// Makes a seed. One that is there may have been cut short, or be an older one, and holds nothing that the spec does not
/// have: it is made anew.
pub(super) fn create(call: Call<'_>, wanted: &VmSeed) -> Result<(), HypervisorError> {
    complete(wanted)?;
    plain(call, wanted)
}

fn plain(call: Call<'_>, wanted: &VmSeed) -> Result<(), HypervisorError> {
    let bytes = seed::image(&seed::make(&wanted.settings, &wanted.machine));
    write(call, &stored(wanted), &bytes, &called(&wanted.vm))
}

/// Makes a seed anew with secrets on it. The test driver takes no bytes, so nobody's secrets are read for it.
pub(super) fn fill(call: Call<'_>, wanted: &VmSeed) -> Result<(), HypervisorError> {
    let names = wanted.settings.asks_for();
    let values = if call.place.test {
        names.into_iter().map(|name| (name, SecretValue::new(Vec::new()))).collect()
    } else {
        call.secrets.values(&names).map_err(|errors| unread(&errors))?
    };
    let refused = |error: FillError| {
        HypervisorError::new(ErrorKind::Rejected, format!("{} cannot be made: {error}", called(&wanted.vm)))
    };
    let disk = seed::filled(&wanted.settings, &wanted.machine, &values).map_err(refused)?;
    write(call, &stored(wanted), &disk, &called(&wanted.vm)).inspect_err(|_| {
        // Without any seed the vm could not be started; the first error is the one to tell.
        let _ = plain(call, wanted);
    })
}

/// Refuses to make a guest whose accounts would have no passwords.
fn complete(wanted: &VmSeed) -> Result<(), HypervisorError> {
    let Some(user) = wanted.settings.lacking() else { return Ok(()) };
    let message = format!(
        "{} cannot be made: of the password's hash of `{}` only a fingerprint is known",
        called(&wanted.vm),
        user.name
    );
    Err(HypervisorError::new(ErrorKind::Rejected, message).with_hint("run `up` with the compose file"))
}

fn unread(errors: &[SecretError]) -> HypervisorError {
    let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let error = HypervisorError::new(ErrorKind::Rejected, messages.join("; "));
    match errors.iter().find_map(|error| error.fault.hint()) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// Writes a seed over in place, because a guest may have it open, and then makes it one sector longer: a run that is cut
/// short before that is seen as not yet done. Fine where there are no secrets on it, or no seed at all.
pub(super) fn scrub(call: Call<'_>, wanted: &VmSeed) -> Result<(), HypervisorError> {
    let what = called(&wanted.vm);
    let stored = stored(wanted);
    let turn = call.turns.volumes(stored.pool());
    let Some(found) = volumes::find(call, &stored)? else { return Ok(()) };
    let Some(length) = volumes::capacity(&found, &what)?.map(|length| length.0) else { return Ok(()) };
    if !seed::holds_secrets(length) {
        return Ok(());
    }
    if call.place.test {
        // It can neither write nor resize.
        drop(turn);
        return plain(call, wanted);
    }
    let disk = seed::scrubbed(&seed::make(&wanted.settings, &wanted.machine), length);
    send(call, &found, 0, &disk, &what)?;
    // A file grows by what is written behind its end. libvirt's own call to resize it asks a program that refuses while a
    // guest has it open.
    send(call, &found, length, &[0; seed::SECTOR], &what)
}

/// Removes a seed; fine where it is gone. What may still be on it is overwritten first.
pub(super) fn delete(call: Call<'_>, vm: &VmName, generation: Generation) -> Result<(), HypervisorError> {
    let what = called(vm);
    let stored = Stored::Seed(vm.clone(), generation);
    if !call.place.test
        && let Some(found) = volumes::find(call, &stored)?
        && let Some(length) = volumes::capacity(&found, &what)?
        && seed::holds_secrets(length.0)
    {
        let _turn = call.turns.volumes(stored.pool());
        // It goes in any case.
        let _ = send(call, &found, 0, &vec![0; usize::try_from(length.0).unwrap_or_default()], &what);
    }
    volumes::delete(call, &stored, &what)
}

/// Whether the seed of a vm has secrets on it now.
pub(super) fn is_filled(volume: &StorageVol, vm: &VmName) -> Result<bool, HypervisorError> {
    Ok(volumes::capacity(volume, &called(vm))?.is_some_and(|length| seed::holds_secrets(length.0)))
}

fn stored(wanted: &VmSeed) -> Stored {
    Stored::Seed(wanted.vm.clone(), wanted.generation)
}

fn called(vm: &VmName) -> String {
    format!("the cloud-init seed of vm `{vm}`")
}

/// Makes what a guest with Ignition reads, in the same way.
pub(super) fn create_ignition(
    call: Call<'_>,
    (vm, generation): (&VmName, Generation),
    config: &Value,
) -> Result<(), HypervisorError> {
    let bytes = config.to_string().into_bytes();
    write(call, &Stored::Ignition(vm.clone(), generation), &bytes, &format!("the Ignition configuration of vm `{vm}`"))
}

/// Makes a volume of these bytes in the place of what was there. The test driver takes no bytes; there only the volume is
/// made.
fn write(call: Call<'_>, stored: &Stored, bytes: &[u8], what: &str) -> Result<(), HypervisorError> {
    storage::in_pool(call, stored.pool(), |pool| write_into(call, pool, stored, bytes, what))
}

fn write_into(
    call: Call<'_>,
    pool: &StoragePool,
    stored: &Stored,
    bytes: &[u8],
    what: &str,
) -> Result<(), HypervisorError> {
    let _turn = call.turns.volumes(stored.pool());
    let name = stored.name(call.project);
    if let Some(found) = volumes::find_in(pool, &name)? {
        found.delete(0).map_err(failed(format!("cannot delete what was there of {what}")))?;
    }
    let capacity = bytes.len() as u64;
    let xml = xml::volume(&xml::Volume { name, capacity, empty: true, format: "raw", backing: None })?;
    let volume = StorageVol::create_xml(pool, &xml, 0).map_err(failed(format!("cannot create {what}")))?;
    if call.place.test {
        return Ok(());
    }
    let sent = send(call, &volume, 0, bytes, what);
    if sent.is_err() {
        let _ = volume.delete(0);
    }
    sent
}

/// Writes bytes into a volume, from this place on.
fn send(call: Call<'_>, volume: &StorageVol, from: u64, bytes: &[u8], what: &str) -> Result<(), HypervisorError> {
    let cannot = || failed(format!("cannot upload {what}"));
    let stream = Stream::new(call.connect, 0).map_err(cannot())?;
    volume.upload(&stream, from, bytes.len() as u64, 0).map_err(cannot())?;
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
