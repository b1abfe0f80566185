//! Where downloaded and imported images are kept: once for all projects of a user.
//!
//! Owns the folder: `files` holds the images, named by content; a file in `records` makes one of them visible; `partial`
//! holds what is still coming; `locks` keeps two processes from bringing the same thing. Knows nothing of HTTP.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::disk::{free_space, gone, listing, open_lock, sync_folder, write_atomically};
use super::error::Fault;
use super::known::Digests;
use super::sums::{self, Sums};
use crate::model::url::plain;
use crate::model::{ImageRole, Url};
use crate::units::Bytes;

/// A cache of images.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
    free: fn(&Path) -> io::Result<u64>,
}

/// One image of the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The name under which it was imported.
    pub name: Option<String>,
    /// What it was downloaded from, without what may be secret.
    pub url: Option<String>,
    /// What it was fetched for: disks are unpacked, kernels are not.
    pub role: ImageRole,
    /// The file's name in the cache.
    pub file: String,
    /// What its publisher's bytes add up to: before anything was unpacked.
    pub published: Sums,
    /// What the file adds up to.
    pub content: Sums,
    /// The server's name for this version of the file.
    pub etag: Option<String>,
    /// When the server says that it was changed, in the server's own words.
    pub last_modified: Option<String>,
    /// When it was fetched, in seconds since 1970.
    pub fetched: u64,
    /// The publishers' lists that have these bytes, as they were looked up for it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub lists: BTreeSet<String>,
}

impl Entry {
    /// A short name for it, as good as any for `info` and `rm`.
    pub fn id(&self) -> &str {
        self.content.sha256.get(..12).unwrap_or_default()
    }

    pub(super) fn record(&self) -> String {
        let origin = self.url.as_ref().or(self.name.as_ref()).map_or("", String::as_str);
        sums::key(&format!("{origin}\n{:?}\n{}", self.role, self.published.sha256))
    }
}

/// What a prune removed.
#[derive(Debug, PartialEq, Eq)]
pub struct Pruned {
    /// The images.
    pub entries: Vec<Entry>,
    /// Unfinished downloads and other leftovers, in number.
    pub leftovers: usize,
    /// How much room that made.
    pub freed: Bytes,
}

/// Held while something is fetched; let go when dropped, or by the kernel when the process dies.
#[derive(Debug)]
pub(crate) struct Guard(#[expect(dead_code, reason = "held for its lock, which ends with it")] File);

/// The places of what is still coming.
pub(crate) struct Partial {
    pub(crate) part: PathBuf,
    pub(crate) sidecar: PathBuf,
    pub(crate) unpacked: PathBuf,
}

const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl Cache {
    /// A cache in a folder, which is made when something is put into it.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), free: free_space }
    }

    /// Has another way to find out how many bytes are free: for tests, which cannot fill a disk.
    #[must_use]
    pub fn with_free_space(self, free: fn(&Path) -> io::Result<u64>) -> Self {
        Self { free, ..self }
    }

    /// The folder for a user, by the XDG base directory specification; `var` looks up an environment variable.
    pub fn folder_of_user(var: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        // The specification says that a relative path is to be ignored.
        let absolute = |name| var(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
        Some(base.join("vmcompose").join("images"))
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the file of an entry is.
    pub fn path(&self, entry: &Entry) -> PathBuf {
        self.root.join("files").join(&entry.file)
    }

    /// All that is there, the latest first. Reads only.
    pub fn list(&self) -> Result<Vec<Entry>, Fault> {
        let folder = self.root.join("records");
        let mut entries: Vec<Entry> = Vec::new();
        let finished = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "json");
        for path in listing(&folder).map_err(Fault::cache(&folder))?.into_iter().filter(finished) {
            // A record that cannot be read is one that an older or newer version wrote: not an image for this one.
            let Ok(text) = fs::read(&path) else { continue };
            let Ok(entry) = serde_json::from_slice::<Entry>(&text) else { continue };
            if plain(&entry.file) == entry.file && self.path(&entry).is_file() {
                entries.push(entry);
            }
        }
        entries.sort_by(|a, b| b.fetched.cmp(&a.fetched).then_with(|| a.record().cmp(&b.record())));
        Ok(entries)
    }

    /// The entries that a user means by the name of an import, a URL, or the start of a digest.
    pub fn find(&self, text: &str) -> Result<Vec<Entry>, Fault> {
        let url = text.parse::<Url>().ok().map(|url| sums::identity(&url));
        let digest = |entry: &Entry| text.len() >= 4 && entry.content.sha256.starts_with(text);
        let meant =
            |entry: &Entry| entry.name.as_deref() == Some(text) || (url.is_some() && entry.url == url) || digest(entry);
        Ok(self.list()?.into_iter().filter(meant).collect())
    }

    /// When an entry was last asked for.
    pub fn last_used(&self, entry: &Entry) -> Option<SystemTime> {
        fs::metadata(self.record_path(entry)).and_then(|metadata| metadata.modified()).ok()
    }

    /// Marks an entry as asked for now. That it cannot be marked is no reason not to use it.
    pub(crate) fn touch(&self, entry: &Entry) {
        if let Ok(record) = File::options().append(true).open(self.record_path(entry)) {
            let _ = record.set_modified(SystemTime::now());
        }
    }

    /// Deletes an entry, and its file where no other entry has the same.
    pub fn remove(&self, entry: &Entry) -> Result<Bytes, Fault> {
        let _index = self.index()?;
        self.remove_held(entry)
    }

    fn remove_held(&self, entry: &Entry) -> Result<Bytes, Fault> {
        let record = self.record_path(entry);
        gone(&record).map_err(Fault::cache(&record))?;
        let file = self.path(entry);
        if self.list()?.iter().any(|other| other.file == entry.file) {
            return Ok(Bytes(0));
        }
        gone(&file).map_err(Fault::cache(&file))?;
        Ok(Bytes(entry.content.length))
    }

    /// Deletes what is not in use, with unfinished downloads that nobody is working on.
    pub fn prune(&self, used: &dyn Fn(&Entry) -> bool) -> Result<Pruned, Fault> {
        let mut pruned = Pruned { entries: Vec::new(), leftovers: 0, freed: Bytes(0) };
        if !self.root.is_dir() {
            return Ok(pruned);
        }
        let _index = self.index()?;
        for entry in self.list()?.into_iter().filter(|entry| !used(entry)) {
            pruned.freed.0 += self.remove_held(&entry)?.0;
            pruned.entries.push(entry);
        }
        for path in self.leftovers()? {
            pruned.freed.0 += fs::metadata(&path).map_or(0, |metadata| metadata.len());
            gone(&path).map_err(Fault::cache(&path))?;
            pruned.leftovers += 1;
        }
        Ok(pruned)
    }

    /// Files without a record, and partial ones without a process. Call with the index held.
    fn leftovers(&self) -> Result<Vec<PathBuf>, Fault> {
        let known: BTreeSet<PathBuf> = self.list()?.iter().map(|entry| self.path(entry)).collect();
        let (files, partial) = (self.root.join("files"), self.root.join("partial"));
        let mut left: Vec<PathBuf> = listing(&files).map_err(Fault::cache(&files))?;
        left.retain(|path| !known.contains(path));
        for path in listing(&partial).map_err(Fault::cache(&partial))? {
            let key = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split('.').next());
            if key.is_some_and(|key| self.try_hold(key).is_ok_and(|held| held.is_ok())) {
                left.push(path);
            }
        }
        Ok(left)
    }

    /// Takes a finished file in, and makes it visible. `from` is a file of the same cache, complete and checked.
    pub(crate) fn admit(&self, mut entry: Entry, name: &str, from: &Path) -> Result<Entry, Fault> {
        entry.file = plain(&format!("{}-{name}", entry.id()));
        let path = self.path(&entry);
        let _index = self.index()?;
        let take_in = || {
            // Nobody may write to it: overlays of running machines rest on it.
            fs::set_permissions(from, Permissions::from_mode(0o444))?;
            File::open(from)?.sync_all()?;
            fs::create_dir_all(self.root.join("files"))?;
            fs::rename(from, &path)?;
            sync_folder(&path)
        };
        take_in().map_err(Fault::cache(&path))?;
        self.note(&entry)?;
        Digests::of(self).remember(&path, &entry.content);
        Ok(entry)
    }

    /// Notes that a list has the bytes of an entry, so that it need not be asked again.
    pub(crate) fn held_against(&self, entry: &Entry, list: &str) -> Result<(), Fault> {
        if entry.lists.contains(list) {
            return Ok(());
        }
        let mut entry = entry.clone();
        entry.lists.insert(list.to_owned());
        let _index = self.index()?;
        self.note(&entry)
    }

    /// Writes an entry's record. Call with the index held.
    fn note(&self, entry: &Entry) -> Result<(), Fault> {
        let record = self.record_path(entry);
        let text = serde_json::to_vec_pretty(entry).expect("an entry is plain text and numbers");
        write_atomically(&record, &text).map_err(Fault::cache(&record))
    }

    /// Waits until nobody else works on `key`. `waiting` is told once, with the process that does, where it is known.
    pub(crate) fn hold(
        &self,
        key: &str,
        waiting: &dyn Fn(Option<u32>),
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Guard, Fault> {
        let mut told = false;
        loop {
            match self.try_hold(key)? {
                Ok(guard) => return Ok(guard),
                Err(holder) if !told => {
                    waiting(holder);
                    told = true;
                }
                Err(_) => {}
            }
            if cancelled() {
                return Err(Fault::Cancelled);
            }
            // Looked at again and again, because a blocking lock cannot be given up when the user interrupts.
            thread::sleep(LOOK_AGAIN);
        }
    }

    fn try_hold(&self, key: &str) -> Result<Result<Guard, Option<u32>>, Fault> {
        let path = self.root.join("locks").join(format!("{key}.lock"));
        let attempt = || {
            let mut file = open_lock(&path)?;
            match file.try_lock() {
                Ok(()) => {
                    file.set_len(0)?;
                    file.rewind()?;
                    write!(file, "{}", std::process::id())?;
                    Ok(Ok(Guard(file)))
                }
                Err(TryLockError::WouldBlock) => {
                    let mut text = String::new();
                    file.read_to_string(&mut text)?;
                    Ok(Err(text.trim().parse().ok()))
                }
                Err(TryLockError::Error(error)) => Err(error),
            }
        };
        attempt().map_err(Fault::cache(&path))
    }

    /// Held for moments only, while records and files change together.
    fn index(&self) -> Result<Guard, Fault> {
        let path = self.root.join("locks").join("index.lock");
        let held = || {
            let file = open_lock(&path)?;
            file.lock()?;
            Ok(Guard(file))
        };
        held().map_err(Fault::cache(&path))
    }

    pub(crate) fn partial(&self, key: &str) -> Result<Partial, Fault> {
        let folder = self.root.join("partial");
        fs::create_dir_all(&folder).map_err(Fault::cache(&folder))?;
        let place = |ending| folder.join(format!("{key}.{ending}"));
        Ok(Partial { part: place("part"), sidecar: place("json"), unpacked: place("unpacked") })
    }

    /// How many bytes may be written.
    pub(crate) fn room(&self) -> Result<u64, Fault> {
        fs::create_dir_all(&self.root).map_err(Fault::cache(&self.root))?;
        (self.free)(&self.root).map_err(Fault::cache(&self.root))
    }

    pub(crate) fn room_for(&self, needed: u64) -> Result<(), Fault> {
        let free = self.room()?;
        if free < needed { Err(self.no_space(Some(needed), free)) } else { Ok(()) }
    }

    pub(crate) fn no_space(&self, needed: Option<u64>, free: u64) -> Fault {
        Fault::NoSpace { folder: self.root.clone(), needed: needed.map(Bytes), free: Bytes(free) }
    }

    fn record_path(&self, entry: &Entry) -> PathBuf {
        self.root.join("records").join(format!("{}.json", entry.record()))
    }
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
