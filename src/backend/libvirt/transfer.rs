//! Volumes to and from files of the user's: all bytes go through libvirt, so that a hypervisor elsewhere works the same.
//!
//! Owns that a half of neither is left. What has to be another format on its way, the hypervisor converts, in a scratch
//! volume whose name is no volume of anybody's; one that was left by a process that was killed goes with the next try.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use virt::connect::Connect;
use virt::storage_pool::StoragePool;
use virt::storage_vol::StorageVol;
use virt::stream::Stream;
use virt_sys::VIR_STORAGE_VOL_GET_PHYSICAL;

use super::error::failed;
use super::names::Stored;
use super::{Call, others, storage, volumes, xml};
use crate::backend::storage::{Incoming, Tell, VolumeReport};
use crate::backend::{ErrorKind, HypervisorError};
use crate::model::ImageFormat;
use crate::units::Bytes;

/// Bytes asked for and handed over at once.
const CHUNK: usize = 256 << 10;

/// Writes a volume to a file, in a format of the user's choice. An overlay becomes a disk that stands alone.
pub(super) fn export(
    call: Call<'_>,
    from: &VolumeReport,
    format: ImageFormat,
    to: &mut File,
    tell: &Tell<'_>,
) -> Result<(), HypervisorError> {
    let what = format!("`{}`", from.name);
    let pool = others::usable(call.connect, &from.pool)?;
    let volume = volumes::find_in(&pool, &from.file)?.ok_or_else(|| volumes::missing(&what))?;
    if from.format == format && from.backing.is_none() {
        return receive(call.connect, &volume, to, tell, &what);
    }
    let name = format!("{}.export", from.file);
    clear(&pool, &name)?;
    let copy = convert(&pool, &volume, name, from.size, format, &what)?;
    let received = receive(call.connect, &copy, to, tell, &what);
    let gone = copy.delete(0).map_err(failed(format!("cannot delete the copy that was made to export {what}")));
    received.and(gone)
}

/// Makes a volume from a file. One that is there is replaced only once all bytes have arrived.
pub(super) fn import(
    call: Call<'_>,
    from: (&mut File, Incoming),
    to: &Stored,
    tell: &Tell<'_>,
) -> Result<(), HypervisorError> {
    let (file, incoming) = from;
    let name = to.name(call.project);
    let what = format!("`{name}`");
    let room = |pool: &StoragePool| Ok((pool.clone(), make_room(pool, format!("{name}.import"), incoming, &what)?));
    let (pool, scratch) = match to.elsewhere() {
        Some(name) => room(&others::usable(call.connect, name)?),
        None => storage::in_pool(call, to.pool(), room),
    }?;
    let sent = send(call.connect, &scratch, file, incoming.length, tell, &what);
    let made = sent.and_then(|()| settle(&pool, &scratch, name, to.format(), incoming.size, &what));
    let _ = scratch.delete(0);
    made
}

fn make_room(pool: &StoragePool, name: String, incoming: Incoming, what: &str) -> Result<StorageVol, HypervisorError> {
    clear(pool, &name)?;
    let format = incoming.format.as_str();
    let empty = xml::Volume { name, capacity: incoming.size.0, empty: true, format, backing: None };
    StorageVol::create_xml(pool, &xml::volume(&empty)?, 0).map_err(failed(format!("cannot make room for {what}")))
}

/// Makes the volume of what has arrived. Bytes that cannot be read as what they claim to be are found out before what was
/// there goes: libvirt has no call to give a volume another name, so a second copy has to prove it.
fn settle(
    pool: &StoragePool,
    arrived: &StorageVol,
    name: String,
    format: ImageFormat,
    size: Bytes,
    what: &str,
) -> Result<(), HypervisorError> {
    let Some(old) = volumes::find_in(pool, &name)? else {
        return convert(pool, arrived, name, size, format, what).map(|_| ());
    };
    let proof = format!("{name}.proof");
    clear(pool, &proof)?;
    let copy = convert(pool, arrived, proof.clone(), size, format, what)?;
    if let Err(error) = old.delete(0) {
        let _ = copy.delete(0);
        return Err(failed(format!("cannot delete what was there as {what}"))(error));
    }
    let made = convert(pool, &copy, name, size, format, what).map(|_| ());
    if made.is_ok() {
        let _ = copy.delete(0);
    }
    // All that there is of it now.
    made.map_err(|error| {
        error.with_hint(format!("its bytes are in `{proof}`, in the same pool; import the file again"))
    })
}

/// Deletes what an earlier try left.
fn clear(pool: &StoragePool, name: &str) -> Result<(), HypervisorError> {
    match volumes::find_in(pool, name)? {
        Some(old) => old.delete(0).map_err(failed(format!("cannot delete `{name}`, which an earlier try left"))),
        None => Ok(()),
    }
}

/// A copy on the hypervisor, whole or not at all.
fn convert(
    pool: &StoragePool,
    from: &StorageVol,
    name: String,
    size: Bytes,
    format: ImageFormat,
    what: &str,
) -> Result<StorageVol, HypervisorError> {
    let wanted =
        xml::Volume { name, capacity: size.whole_kib().0, empty: true, format: format.as_str(), backing: None };
    StorageVol::create_xml_from(pool, &xml::volume(&wanted)?, from, 0)
        .map_err(failed(format!("cannot copy {what} on the hypervisor")))
}

fn stopped() -> HypervisorError {
    HypervisorError::new(ErrorKind::Interrupted, "interrupted; nothing was changed")
}

/// The volume's bytes, holes as holes.
fn receive(
    connect: &Connect,
    volume: &StorageVol,
    to: &mut File,
    tell: &Tell<'_>,
    what: &str,
) -> Result<(), HypervisorError> {
    let cannot = || failed(format!("cannot download {what}"));
    let total = volume.get_info_flags(VIR_STORAGE_VOL_GET_PHYSICAL).map_err(cannot())?.allocation;
    let stream = Stream::new(connect, 0).map_err(cannot())?;
    volume.download(&stream, 0, 0, 0).map_err(cannot())?;
    let mut chunk = vec![0; CHUNK];
    let mut done = 0;
    loop {
        let read = match stream.recv(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) => {
                let _ = stream.abort();
                return Err(cannot()(error));
            }
        };
        done += read as u64;
        let kept = keep(to, &chunk[..read]);
        if kept.is_err() || !tell(done, total.max(done)) {
            let _ = stream.abort();
            return Err(kept.err().map_or_else(stopped, |error| unwritten(&error)));
        }
    }
    stream.finish().map_err(cannot())?;
    to.set_len(done).map_err(|error| unwritten(&error))
}

fn keep(to: &mut File, bytes: &[u8]) -> io::Result<()> {
    if bytes.iter().all(|byte| *byte == 0) {
        return to.seek(SeekFrom::Current(i64::try_from(bytes.len()).unwrap_or(i64::MAX))).map(|_| ());
    }
    to.write_all(bytes)
}

fn unwritten(error: &io::Error) -> HypervisorError {
    HypervisorError::new(ErrorKind::Rejected, format!("cannot write the file: {error}"))
}

fn send(
    connect: &Connect,
    volume: &StorageVol,
    from: &mut File,
    length: Bytes,
    tell: &Tell<'_>,
    what: &str,
) -> Result<(), HypervisorError> {
    let cannot = || failed(format!("cannot upload {what}"));
    let stream = Stream::new(connect, 0).map_err(cannot())?;
    volume.upload(&stream, 0, length.0, 0).map_err(cannot())?;
    match feed(&stream, from, length, tell, what) {
        Ok(()) => stream.finish().map_err(cannot()),
        Err(error) => {
            let _ = stream.abort();
            Err(error)
        }
    }
}

fn feed(stream: &Stream, from: &mut File, length: Bytes, tell: &Tell<'_>, what: &str) -> Result<(), HypervisorError> {
    let mut chunk = vec![0; CHUNK];
    let mut done = 0;
    while done < length.0 {
        let most = usize::try_from(length.0 - done).map_or(CHUNK, |left| left.min(CHUNK));
        let read = from
            .read(&mut chunk[..most])
            .map_err(|error| HypervisorError::new(ErrorKind::Rejected, format!("cannot read the file: {error}")))?;
        if read == 0 {
            let short = "the file became shorter while it was uploaded; nothing was changed";
            return Err(HypervisorError::new(ErrorKind::Rejected, short));
        }
        let mut rest = &chunk[..read];
        while !rest.is_empty() {
            let sent = stream.send(rest).map_err(failed(format!("cannot upload {what}")))?;
            rest = &rest[sent..];
        }
        done += read as u64;
        if !tell(done, length.0) {
            return Err(stopped());
        }
    }
    Ok(())
}
