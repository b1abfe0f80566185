//! Boot media that are files on this machine: used where they are, or unpacked into the cache.
//!
//! Owns what a packed file's name is in the cache. Knows nothing of servers but the list that a checksum may stand in.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::cache::{Cache, Entry, now};
use super::download::discard;
use super::error::Fault;
use super::known::Digests;
use super::magic::{self, Kind};
use super::progress::Progress;
use super::remote::Remote;
use super::settle::settle;
use super::sums::{self, Sums};
use crate::model::url::plain;
use crate::model::{Checksum, ImageRequest, ImageRole};

/// What a file is known by in the cache.
pub(super) fn identity(path: &Path) -> String {
    let whole = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    format!("file://{}", whole.display())
}

/// Checks a file, and unpacks it where that is needed.
pub(super) fn from_path(path: &Path, checksum: Option<&Checksum>, remote: &Remote<'_>) -> Result<PathBuf, Fault> {
    let packed = is_packed(path)? && remote.role == ImageRole::Disk;
    if checksum.is_none() && !packed {
        return Ok(path.to_owned());
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let sums = sums_of(path, remote)?;
    if let Some(checksum) = checksum {
        let expected = remote.digits(checksum, &name)?;
        held_against(path, &sums, &expected)?;
    }
    if packed { unpacked(path, &plain(&name), sums, remote) } else { Ok(path.to_owned()) }
}

fn is_packed(path: &Path) -> Result<bool, Fault> {
    let unreadable = |source| Fault::Unreadable { path: path.to_owned(), source };
    // Before it is opened: a pipe waits for whoever writes to it, perhaps for ever.
    let kind = fs::metadata(path).map_err(unreadable)?.file_type();
    if !kind.is_file() && !kind.is_dir() {
        return Err(unreadable(io::Error::other("it is no regular file")));
    }
    let (start, _) = magic::start_of(path).map_err(unreadable)?;
    Ok(matches!(magic::kind(&start), Kind::Packed(_)))
}

fn sums_of(path: &Path, remote: &Remote<'_>) -> Result<Sums, Fault> {
    let unreadable = |source| Fault::Unreadable { path: path.to_owned(), source };
    let sums = Digests::of(remote.with.cache).sums(path, &mut |_| !remote.cancelled()).map_err(unreadable)?;
    sums.ok_or(Fault::Cancelled)
}

fn unpacked(path: &Path, name: &str, published: Sums, remote: &Remote<'_>) -> Result<PathBuf, Fault> {
    let cache = remote.with.cache;
    let identity = identity(path);
    let key = sums::key(&identity);
    let waiting = |holder| (remote.tell)(Progress::Waiting { holder });
    let _guard = cache.hold(&key, &waiting, remote.with.cancelled)?;
    if let Some(entry) = unpacked_before(cache, &identity, Some(&published))? {
        cache.touch(&entry);
        (remote.tell)(Progress::Ready { cached: true });
        return Ok(cache.path(&entry));
    }
    let partial = cache.partial(&key)?;
    let settled = settle(&path.display(), name, path, &partial, &published, remote)?;
    let entry = Entry {
        name: None,
        url: Some(identity),
        role: remote.role,
        file: String::new(),
        published,
        content: settled.content,
        etag: None,
        last_modified: None,
        lists: BTreeSet::new(),
        fetched: now(),
    };
    let entry = cache.admit(entry, &settled.name, &settled.file)?;
    discard(&partial)?;
    (remote.tell)(Progress::Ready { cached: false });
    Ok(cache.path(&entry))
}

fn unpacked_before(cache: &Cache, identity: &str, published: Option<&Sums>) -> Result<Option<Entry>, Fault> {
    let same = |entry: &Entry| {
        entry.url.as_deref() == Some(identity) && published.is_none_or(|sums| entry.published.sha256 == sums.sha256)
    };
    Ok(cache.list()?.into_iter().find(same))
}

/// The file to use, without unpacking anything and without writing anything. A list of checksums on a server is not asked.
pub(super) fn here(path: &Path, request: &ImageRequest, cache: &Cache) -> Result<Option<PathBuf>, Fault> {
    let packed = is_packed(path)? && request.role == ImageRole::Disk;
    let literal = request.checksum.as_ref().filter(|sum| !matches!(sum, Checksum::Listed(_)));
    if literal.is_none() && !packed {
        return Ok(Some(path.to_owned()));
    }
    let unreadable = |source| Fault::Unreadable { path: path.to_owned(), source };
    let sums = Digests::of(cache).read_only().sums(path, &mut |_| true).map_err(unreadable)?;
    if let (Some(sums), Some(expected)) = (&sums, literal) {
        held_against(path, sums, expected)?;
    }
    if !packed {
        return Ok(Some(path.to_owned()));
    }
    let entry = unpacked_before(cache, &identity(path), sums.as_ref())?;
    Ok(entry.map(|entry| cache.path(&entry)))
}

fn held_against(path: &Path, sums: &Sums, expected: &Checksum) -> Result<(), Fault> {
    if sums.meet(expected) {
        return Ok(());
    }
    let (expected, found) = (expected.to_string(), sums.like(expected));
    Err(Fault::Checksum { place: path.display().to_string(), expected, found })
}
