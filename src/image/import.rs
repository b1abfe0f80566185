//! Takes a file of the user's into the cache under a name.
//!
//! Owns what an import is checked for. Knows nothing of servers.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::cache::{Cache, Entry, Partial, now};
use super::disk::gone;
use super::error::Fault;
use super::{magic, sums};
use crate::model::ImageRole;
use crate::model::url::plain;

/// Copies a disk image into the cache under a name, which then means this file and no other.
pub fn import(cache: &Cache, name: &str, path: &Path, cancelled: &dyn Fn() -> bool) -> Result<Entry, Fault> {
    let unreadable = |source| Fault::Unreadable { path: path.to_owned(), source };
    let (start, length) = magic::start_of(path).map_err(unreadable)?;
    let file_name = path.file_name().map(|name| plain(&name.to_string_lossy())).unwrap_or_default();
    magic::disk(&file_name, &start, length).map_err(|unfit| Fault::unfit(path.display(), unfit))?;
    cache.room_for(length)?;
    let key = sums::key(&format!("import:{name}"));
    let _guard = cache.hold(&key, &|_| {}, cancelled)?;
    let partial = cache.partial(&key)?;
    let entry = copy(cache, name, path, &partial, cancelled).inspect_err(|_| {
        let _ = gone(&partial.part);
    })?;
    let entry = cache.admit(entry, &file_name, &partial.part)?;
    for old in cache.list()? {
        if old.name.as_deref() == Some(name) && old.record() != entry.record() {
            cache.remove(&old)?;
        }
    }
    Ok(entry)
}

fn copy(
    cache: &Cache,
    name: &str,
    path: &Path,
    partial: &Partial,
    cancelled: &dyn Fn() -> bool,
) -> Result<Entry, Fault> {
    // The rights of the original are not wanted: a part must be writable until it is whole.
    gone(&partial.part).map_err(Fault::cache(&partial.part))?;
    fs::copy(path, &partial.part).map_err(Fault::cache(cache.root()))?;
    let read = sums::of_file(&partial.part, &mut |_| !cancelled()).map_err(Fault::cache(&partial.part))?;
    let sums = read.ok_or(Fault::Cancelled)?;
    Ok(Entry {
        name: Some(name.to_owned()),
        url: None,
        role: ImageRole::Disk,
        file: String::new(),
        published: sums.clone(),
        content: sums,
        etag: None,
        last_modified: None,
        lists: BTreeSet::new(),
        fetched: now(),
    })
}
