//! Remembers what local files add up to, so that an image of gigabytes is not read anew by every command.
//!
//! Owns the question whether a file is still the one that was read. Knows nothing of what files are for.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::cache::Cache;
use super::disk::write_atomically;
use super::sums::{self, Sums};

/// What files add up to, remembered in the cache folder.
#[derive(Debug)]
pub struct Digests {
    folder: Option<PathBuf>,
    writes: bool,
}

/// What a file looked like when it was read. The change time cannot be set back, as the modification time can.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Look {
    path: PathBuf,
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    look: Look,
    sums: Sums,
}

/// Within this time of a change, another could have the same time stamp: file systems count in ticks, some in seconds.
const SETTLED: Duration = Duration::from_secs(2);

impl Digests {
    /// Remembered in a cache.
    pub fn of(cache: &Cache) -> Self {
        Self { folder: Some(cache.root().join("digests")), writes: true }
    }

    /// Not remembered: every file is read.
    pub fn none() -> Self {
        Self { folder: None, writes: false }
    }

    /// Uses what is remembered, and adds nothing to it: for commands that must not write.
    #[must_use]
    pub fn read_only(self) -> Self {
        Self { writes: false, ..self }
    }

    /// What a file adds up to. It is only read when it is not the file that was read before. `go_on` is asked while it is;
    /// when it says no, there is no answer.
    pub fn sums(&self, path: &Path, go_on: &mut dyn FnMut(u64) -> bool) -> io::Result<Option<Sums>> {
        let before = Look::at(path)?;
        if let Some(sums) = self.recall(&before) {
            return Ok(Some(sums));
        }
        let Some(sums) = sums::of_file(path, go_on)? else { return Ok(None) };
        if before == Look::at(path)? && before.settled() {
            self.store(&before, &sums);
        }
        Ok(Some(sums))
    }

    /// Remembers what the cache itself has written, and nobody else writes to.
    pub(crate) fn remember(&self, path: &Path, sums: &Sums) {
        if let Ok(look) = Look::at(path) {
            self.store(&look, sums);
        }
    }

    fn place(&self, look: &Look) -> Option<PathBuf> {
        let key = sums::key(&look.path.to_string_lossy());
        self.folder.as_ref().map(|folder| folder.join(format!("{key}.json")))
    }

    fn recall(&self, look: &Look) -> Option<Sums> {
        let text = fs::read(self.place(look)?).ok()?;
        let remembered: Remembered = serde_json::from_slice(&text).ok()?;
        (remembered.look == *look).then_some(remembered.sums)
    }

    /// A memory that cannot be written costs time and nothing else, so it is no error.
    fn store(&self, look: &Look, sums: &Sums) {
        let Some(place) = self.place(look).filter(|_| self.writes) else { return };
        let remembered = Remembered { look: look.clone(), sums: sums.clone() };
        if let Ok(text) = serde_json::to_vec(&remembered) {
            let _ = write_atomically(&place, &text);
        }
    }
}

impl Look {
    fn at(path: &Path) -> io::Result<Self> {
        let metadata: Metadata = fs::metadata(path)?;
        Ok(Self {
            path: fs::canonicalize(path)?,
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    fn settled(&self) -> bool {
        let latest = self.modified.0.max(self.changed.0);
        let Ok(seconds) = u64::try_from(latest) else { return true };
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        // A time in the future, from a clock that was set back, is not settled either.
        changed.elapsed().is_ok_and(|since| since > SETTLED)
    }
}
