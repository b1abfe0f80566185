//! Boot media: fetched from where the compose file names them, checked, and looked at.
//!
//! Owns the reading of image files, the cache of downloaded ones, and the lock file that pins them. Knows nothing of
//! where the hypervisor keeps its copies.
//!
//! An image goes one way: an [`ImageRequest`] is what the compose file says; [`fetch`] makes an
//! [`ImageSource`] of it, a file on this machine; [`inspect`] makes an [`Image`] of that, known by content. A file comes
//! into the cache when it is complete, has its checksum, is unpacked, and is something that a machine can start from; until
//! then nobody can see it.

mod cache;
mod disk;
mod download;
mod error;
mod fetch;
mod http;
mod import;
mod known;
mod local;
mod lockfile;
mod magic;
mod progress;
mod proxy;
mod qcow2;
mod remote;
mod settle;
mod sums;
mod unpack;

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;

pub use cache::{Cache, Entry, Pruned};
pub use error::{Fault, ImageError, LockFault, Problem, Unfit};
pub use fetch::{AtHand, Fetch, Fetched, Mode, at_hand, fetch, in_use};
pub use http::Patience;
pub use import::import;
pub use known::Digests;
pub use lockfile::{LOCK_FILE, LockFileError, Pin, PinnedDisk, Pins};
pub use magic::Disk;
pub use progress::Progress;
pub use qcow2::Qcow2Error;
pub use sums::{Sums, listed};

use crate::model::{Image, ImageFormat, ImageFrom, ImageRequest, ImageRole, ImageSource};
use crate::names::ImageName;
use crate::units::Bytes;

/// The files that are asked for, where nothing else is: no server, no import, and nothing to be held against a checksum.
pub fn files(requests: &BTreeMap<ImageName, ImageRequest>) -> Option<BTreeMap<ImageName, ImageSource>> {
    let file = |request: &ImageRequest| match (&request.from, &request.checksum) {
        (ImageFrom::Path(path), None) => {
            Some(ImageSource { name: request.name.clone(), path: path.clone(), role: request.role })
        }
        _ => None,
    };
    requests.iter().map(|(name, request)| Some((name.clone(), file(request)?))).collect()
}

/// Looks at every boot medium, several at once. Returns all errors, not only the first.
pub fn inspect(sources: &BTreeMap<ImageName, ImageSource>) -> Result<BTreeMap<ImageName, Image>, Vec<ImageError>> {
    inspect_known(sources, &Digests::none())
}

/// The same, and does not read those again that `digests` remembers.
pub fn inspect_known(
    sources: &BTreeMap<ImageName, ImageSource>,
    digests: &Digests,
) -> Result<BTreeMap<ImageName, Image>, Vec<ImageError>> {
    let looked_at: Vec<Result<Image, ImageError>> = thread::scope(|scope| {
        let look = |source| scope.spawn(move || look(source, digests).map_err(|fault: Fault| fault.of(&source.name)));
        let threads: Vec<_> = sources.values().map(look).collect();
        threads.into_iter().map(|thread| thread.join().expect("looking at a file does not panic")).collect()
    });
    let mut images = BTreeMap::new();
    let mut errors = Vec::new();
    for result in looked_at {
        match result {
            Ok(image) => drop(images.insert(image.name.clone(), image)),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(images) } else { Err(errors) }
}

/// Holds images against the formats that were declared of them.
pub fn as_declared(
    requests: &BTreeMap<ImageName, ImageRequest>,
    images: &BTreeMap<ImageName, Image>,
) -> Result<(), Vec<ImageError>> {
    let fault = |(name, image): (&ImageName, &Image)| {
        let request = requests.get(name)?;
        let says = request.format.filter(|says| *says != image.format)?;
        let unfit = Unfit::Declared { says: says.as_str(), is: image.format.as_str() };
        Some(Fault::unfit(&request.from, unfit).of(name))
    };
    let errors: Vec<ImageError> = images.iter().filter_map(fault).collect();
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn look(source: &ImageSource, digests: &Digests) -> Result<Image, Fault> {
    let path = &source.path;
    let unreadable = |error| Fault::Unreadable { path: path.clone(), source: error };
    let format = match source.role {
        ImageRole::Disk => disk(path)?.format,
        // What a hypervisor can load itself depends on the machine; it finds out.
        ImageRole::Kernel => ImageFormat::Raw,
    };
    let sums = digests.sums(path, &mut |_| true).map_err(unreadable)?.expect("nobody stops the reading");
    if sums.length == 0 {
        return Err(Fault::Empty { place: path.display().to_string() });
    }
    let digest = sums.digest().expect("a checksum is hexadecimal");
    Ok(Image { name: source.name.clone(), path: path.clone(), format, length: Bytes(sums.length), digest })
}

/// Looks at a disk image: how it is laid out, and how large the guest sees it. What no machine could start from is an
/// error.
pub fn disk(path: &Path) -> Result<Disk, Fault> {
    looked_at(path, magic::disk).map(|(disk, _)| disk)
}

/// Looks at a file that is to become a volume, and how long it is. No machine has to start from it; but a qcow2 that needs
/// other files is refused here too.
pub fn volume_file(path: &Path) -> Result<(Disk, Bytes), Fault> {
    looked_at(path, magic::volume)
}

fn looked_at(path: &Path, look: fn(&str, &[u8], u64) -> Result<Disk, Unfit>) -> Result<(Disk, Bytes), Fault> {
    let (start, length) =
        magic::start_of(path).map_err(|source| Fault::Unreadable { path: path.to_owned(), source })?;
    if length == 0 {
        return Err(Fault::Empty { place: path.display().to_string() });
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let disk = look(&name, &start, length).map_err(|unfit| Fault::unfit(path.display(), unfit))?;
    Ok((disk, Bytes(length)))
}
