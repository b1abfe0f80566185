//! `vmcompose.lock`: what each URL gave when it was first used, so that it gives the same to everybody.
//!
//! Owns the file's format. Knows nothing of when a difference matters; that is for whoever fetches.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::disk::write_atomically;
use super::sums::{self, Sums};
use crate::model::{Digest, Image, ImageFormat, ImageRole, Url};
use crate::names::ImageName;
use crate::units::Bytes;

/// Name of the file, beside the compose file.
pub const LOCK_FILE: &str = "vmcompose.lock";

const VERSION: u32 = 1;

const HEAD: &str = "\
# What the URLs of the compose file gave. Commit it; `vmcompose image update` writes it anew.
";

/// What is pinned, by URL. User, password and query of a URL are not kept in readable form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins(BTreeMap<String, Pin>);

/// What a URL gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// SHA-256 of the published bytes.
    pub sha256: String,
    /// SHA-512 of the published bytes.
    pub sha512: String,
    /// How many they are.
    pub length: u64,
    /// The server's name for this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The disk that they are, unpacked; a kernel has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<PinnedDisk>,
    /// The publisher's list that had these bytes when they were pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
}

/// A disk image that was once downloaded: enough to plan with where it is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedDisk {
    /// How it is laid out.
    pub format: ImageFormat,
    /// Its length in bytes.
    pub length: u64,
    /// Its SHA-256.
    pub sha256: String,
}

impl Pin {
    pub(crate) fn new(sums: &Sums, etag: Option<String>, disk: Option<PinnedDisk>) -> Self {
        Self { sha256: sums.sha256.clone(), sha512: sums.sha512.clone(), length: sums.length, etag, disk, list: None }
    }

    /// The boot medium that it is, wherever that is; `None` where the lock file does not say enough.
    pub(crate) fn image(&self, name: &ImageName, role: ImageRole) -> Option<Image> {
        let (format, length, sha256) = match role {
            ImageRole::Kernel => (ImageFormat::Raw, self.length, &self.sha256),
            ImageRole::Disk => self.disk.as_ref().map(|disk| (disk.format, disk.length, &disk.sha256))?,
        };
        let digest = Digest::new(&sha256.get(..Digest::LEN)?.to_ascii_lowercase())?;
        Some(Image { name: name.clone(), path: PathBuf::new(), format, length: Bytes(length), digest })
    }

    pub(crate) fn sums(&self) -> Sums {
        Sums { sha256: self.sha256.clone(), sha512: self.sha512.clone(), length: self.length }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    #[serde(default)]
    images: BTreeMap<String, Pin>,
}

/// Why a lock file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockFileError {
    /// It cannot be read or written.
    #[error("`{}`: {source}", .path.display())]
    Io {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Not a lock file.
    #[error("`{}` is not a lock file: {why}", .path.display())]
    Malformed {
        /// Where it is.
        path: PathBuf,
        /// What is wrong in it.
        why: String,
    },
    /// A later version of vmcompose wrote it.
    #[error("`{}` has version {version}, and this vmcompose knows version {VERSION}", .path.display())]
    Version {
        /// Where it is.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

impl Pins {
    /// What a URL gave.
    pub fn get(&self, url: &Url) -> Option<&Pin> {
        self.by_identity(&sums::identity(url))
    }

    pub(crate) fn by_identity(&self, identity: &str) -> Option<&Pin> {
        self.0.get(identity)
    }

    pub(crate) fn set(&mut self, identity: String, pin: Pin) {
        self.0.insert(identity, pin);
    }

    /// Forgets all but these URLs: what the compose file no longer names.
    pub fn keep_only<'a>(&mut self, urls: impl IntoIterator<Item = &'a Url>) {
        let kept: Vec<String> = urls.into_iter().map(sums::identity).collect();
        self.0.retain(|identity, _| kept.contains(identity));
    }

    /// Whether nothing is pinned.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text of the file. The same pins give the same text.
    pub fn print(&self) -> String {
        let document = Document { version: VERSION, images: self.0.clone() };
        let yaml = serde_yaml::to_string(&document).expect("pins are plain text and numbers");
        format!("{HEAD}{yaml}")
    }

    /// Reads the text of the file at `path`, which is for the messages only.
    pub fn parse(text: &str, path: &Path) -> Result<Self, LockFileError> {
        let malformed = |why: String| LockFileError::Malformed { path: path.to_owned(), why };
        let document: Document = serde_yaml::from_str(text).map_err(|error| malformed(error.to_string()))?;
        if document.version != VERSION {
            return Err(LockFileError::Version { path: path.to_owned(), version: document.version });
        }
        let hex = |text: &str, digits| text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
        for (url, pin) in &document.images {
            let disk = pin.disk.as_ref().is_none_or(|disk| hex(&disk.sha256, 64));
            if !hex(&pin.sha256, 64) || !hex(&pin.sha512, 128) || !disk {
                return Err(malformed(format!("the digests of `{url}` are not hexadecimal")));
            }
        }
        Ok(Self(document.images))
    }

    /// Reads the file. One that is not there pins nothing.
    pub fn read(path: &Path) -> Result<Self, LockFileError> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(LockFileError::Io { path: path.to_owned(), source }),
        }
    }

    /// Writes the file, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), LockFileError> {
        write_atomically(path, self.print().as_bytes())
            .map_err(|source| LockFileError::Io { path: path.to_owned(), source })
    }
}
