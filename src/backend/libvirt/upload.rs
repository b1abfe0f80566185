//! Images: getting a file's bytes into the pool of images, whole or not at all.
//!
//! Owns the upload and its proof. The volume starts with length zero and grows as bytes arrive, and its name says how long it
//! must get: so a half-uploaded image is known as one by anybody, after any crash, without a note anywhere.
//! Knows nothing of who boots from it.

use std::fs::File;
use std::io::Read;

use sha2::{Digest as _, Sha256};
use virt::storage_pool::StoragePool;
use virt::storage_vol::StorageVol;
use virt::stream::Stream;

use super::Call;
use super::error::failed;
use super::names::Stored;
use super::{storage, volumes, xml};
use crate::backend::{ErrorKind, HypervisorError};
use crate::model::{Digest, Image};
use crate::names::{Pool, ResourceId};

/// Bytes handed to libvirt at once; larger ones it would cut up itself.
const CHUNK: usize = 256 << 10;

/// Uploads an image. The test driver takes no bytes; there only the volume is made.
pub(super) fn upload(call: Call<'_>, image: &Image) -> Result<(), HypervisorError> {
    storage::in_pool(call, Pool::Images, |pool| upload_into(call, pool, image))
}

fn upload_into(call: Call<'_>, pool: &StoragePool, image: &Image) -> Result<(), HypervisorError> {
    let id = ResourceId::Image(image.name.clone());
    let stored = Stored::image(image);
    {
        let _turn = call.turns.volumes(Pool::Images);
        if let Some(found) = volumes::find_in(pool, &stored.name(call.project))? {
            if volumes::is_whole(call.place, &found, &stored)? {
                return call.nothing();
            }
            found.delete(0).map_err(failed(format!("cannot delete what an earlier upload left of {id}")))?;
        }
        let file = open(image, &id)?;
        let volume = create(call, pool, image, &stored, &id)?;
        if call.place.test {
            return Ok(());
        }
        if let Err(error) = send(call, &volume, file, image, &id) {
            // What is left would be known as incomplete; better there is nothing.
            let _ = volume.delete(0);
            return Err(error);
        }
    }
    // libvirt believes the volume to be raw and without a size until it looks again. Where this fails, whoever needs the
    // size has libvirt look.
    let _ = storage::refresh(call, Pool::Images);
    Ok(())
}

fn open(image: &Image, id: &ResourceId) -> Result<File, HypervisorError> {
    if image.path.as_os_str().is_empty() {
        return Err(HypervisorError::new(ErrorKind::NotFound, format!("the file of {id} is not known any more")));
    }
    File::open(&image.path).map_err(|error| {
        HypervisorError::new(ErrorKind::Rejected, format!("cannot open `{}` for {id}: {error}", image.path.display()))
    })
}

fn create(
    call: Call<'_>,
    pool: &StoragePool,
    image: &Image,
    stored: &Stored,
    id: &ResourceId,
) -> Result<StorageVol, HypervisorError> {
    let (capacity, format) = if call.place.test { (image.length.0, image.format.as_str()) } else { (0, "raw") };
    let xml =
        xml::volume(&xml::Volume { name: stored.name(call.project), capacity, empty: true, format, backing: None })?;
    StorageVol::create_xml(pool, &xml, 0).map_err(failed(format!("cannot create the volume of {id}")))
}

fn send(
    call: Call<'_>,
    volume: &StorageVol,
    file: File,
    image: &Image,
    id: &ResourceId,
) -> Result<(), HypervisorError> {
    let what = || failed(format!("cannot upload {id}"));
    let stream = Stream::new(call.connect, 0).map_err(what())?;
    volume.upload(&stream, 0, image.length.0, 0).map_err(what())?;
    match copy(&stream, file, image, id) {
        Ok(()) => stream.finish().map_err(what()),
        Err(error) => {
            let _ = stream.abort();
            Err(error)
        }
    }
}

/// Sends the file and measures it on the way: what arrives is what was planned, or nothing is.
fn copy(stream: &Stream, mut file: File, image: &Image, id: &ResourceId) -> Result<(), HypervisorError> {
    let mut sha = Sha256::new();
    let mut length = 0;
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = file.read(&mut chunk).map_err(|error| {
            HypervisorError::new(ErrorKind::Rejected, format!("cannot read `{}`: {error}", image.path.display()))
        })?;
        if read == 0 {
            break;
        }
        length += read as u64;
        // A file that grew under us: the bytes beyond the planned length have no place.
        if length > image.length.0 {
            return Err(changed(image));
        }
        let mut rest = &chunk[..read];
        sha.update(rest);
        while !rest.is_empty() {
            let sent = stream.send(rest).map_err(failed(format!("cannot upload {id}")))?;
            rest = &rest[sent..];
        }
    }
    if length != image.length.0 || Digest::of(&sha.finalize().into()) != image.digest {
        return Err(changed(image));
    }
    Ok(())
}

fn changed(image: &Image) -> HypervisorError {
    let message = format!("`{}` changed while image `{}` was uploaded", image.path.display(), image.name);
    HypervisorError::new(ErrorKind::Rejected, message).with_hint("wait until nobody writes it, then run again")
}
