//! Turns published bytes into the file that machines start from: unpacks it, and looks whether it can be started.
//!
//! Owns that nothing unfit gets into the cache. Knows nothing of where the bytes are from.

use std::fmt;
use std::path::{Path, PathBuf};

use super::cache::Partial;
use super::disk::gone;
use super::error::{Fault, Unfit};
use super::magic::{self, Kind};
use super::progress::Progress;
use super::remote::Remote;
use super::sums::Sums;
use super::unpack::{Packing, UnpackError, unpack};
use crate::model::ImageRole;

/// A file that may be admitted to the cache.
pub(super) struct Settled {
    pub(super) file: PathBuf,
    pub(super) name: String,
    pub(super) content: Sums,
}

/// So much is left free on the disk when something is unpacked: other programs want to live there too.
const MARGIN: u64 = 64 << 20;

/// Looks at what was published at `place` as `name`, and is in `from` now. Kernels and initrds are taken as they are.
pub(super) fn settle(
    place: &dyn fmt::Display,
    name: &str,
    from: &Path,
    partial: &Partial,
    published: &Sums,
    remote: &Remote<'_>,
) -> Result<Settled, Fault> {
    let as_it_is = || Settled { file: from.to_owned(), name: name.to_owned(), content: published.clone() };
    if remote.role == ImageRole::Kernel {
        return Ok(as_it_is());
    }
    let unfit = |unfit: Unfit| Fault::unfit(place, unfit);
    let (start, length) = magic::start_of(from).map_err(Fault::cache(from))?;
    let kind = magic::kind(&start);
    let Kind::Packed(packing) = kind else {
        magic::disk(name, &start, length).map_err(unfit)?;
        return Ok(as_it_is());
    };
    magic::check_name(name, kind).map_err(unfit)?;
    let content = open(packing, from, partial, remote).map_err(|error| match error {
        Opened::Fault(fault) => fault,
        Opened::Packed(why) => unfit(Unfit::Packed(why)),
    })?;
    let name = magic::unpacked_name(name).to_owned();
    let (start, length) = magic::start_of(&partial.unpacked).map_err(Fault::cache(&partial.unpacked))?;
    if let Err(why) = magic::disk(&name, &start, length) {
        gone(&partial.unpacked).map_err(Fault::cache(&partial.unpacked))?;
        return Err(unfit(why));
    }
    Ok(Settled { file: partial.unpacked.clone(), name, content })
}

enum Opened {
    Fault(Fault),
    Packed(String),
}

fn open(packing: Packing, from: &Path, partial: &Partial, remote: &Remote<'_>) -> Result<Sums, Opened> {
    let cache = remote.with.cache;
    let to = &partial.unpacked;
    let free = cache.room().map_err(Opened::Fault)?;
    let mut go_on = |out| {
        (remote.tell)(Progress::Unpacking { out });
        !remote.cancelled()
    };
    let result = unpack(packing, from, to, free.saturating_sub(MARGIN), &mut go_on);
    if result.is_err() {
        gone(to).map_err(|error| Opened::Fault(Fault::cache(to)(error)))?;
    }
    result.map_err(|error| match error {
        UnpackError::Packed(error) => Opened::Packed(error.to_string()),
        UnpackError::TooLarge => Opened::Fault(cache.no_space(None, free)),
        UnpackError::Stopped => Opened::Fault(Fault::Cancelled),
        UnpackError::Write(error) if error.kind() == std::io::ErrorKind::StorageFull => {
            Opened::Fault(cache.no_space(None, free))
        }
        UnpackError::Write(error) => Opened::Fault(Fault::cache(to)(error)),
    })
}
