//! Why a boot medium cannot be used, in words that name it and the place where it comes from.
//!
//! Owns the faults and the hints. Knows nothing of how each is found out.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::qcow2::Qcow2Error;
use crate::model::Url;
use crate::names::ImageName;
use crate::units::Bytes;

/// Why one boot medium cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("image `{name}` {fault}")]
pub struct ImageError {
    /// Which one.
    pub name: ImageName,
    /// Why not.
    pub fault: Fault,
}

/// What is wrong. Its `Display` is a fragment that follows the image's name.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It cannot be opened or read.
    #[error("cannot be read: `{}`: {}", .path.display(), reason(.source))]
    Unreadable {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is nothing in it.
    #[error("is empty: `{place}` has no bytes")]
    Empty {
        /// Where it comes from.
        place: String,
    },
    /// It cannot be downloaded.
    #[error("cannot be downloaded: `{url}`: {problem}")]
    Download {
        /// What was asked for.
        url: Url,
        /// What went wrong, the last time.
        problem: Problem,
    },
    /// Its bytes are not those that its publisher, or the user, promised.
    #[error("has the wrong checksum: `{place}` should be {expected} and is {found}")]
    Checksum {
        /// Where it comes from.
        place: String,
        /// What was promised, with its algorithm.
        expected: String,
        /// What is there, with its algorithm.
        found: String,
    },
    /// It is not what a machine can start from.
    #[error("cannot be used: `{place}` {unfit}")]
    Unfit {
        /// Where it comes from.
        place: String,
        /// What it is instead.
        unfit: Unfit,
    },
    /// There is no room for it.
    #[error("does not fit: it needs {} in `{}`, where {} are free", needs(*.needed), .folder.display(), about(*.free))]
    NoSpace {
        /// Where it should be kept.
        folder: PathBuf,
        /// How much it takes; `None` of a packed file that turned out to be too large.
        needed: Option<Bytes>,
        /// How much there is.
        free: Bytes,
    },
    /// The lock file does not allow it.
    #[error("{0}")]
    Lock(#[from] LockFault),
    /// The cache has nothing under this name.
    #[error("is not in the cache: nothing was imported as `{imported}`")]
    Unknown {
        /// The name that was asked for.
        imported: String,
    },
    /// The cache cannot be read or written.
    #[error("cannot be kept: `{}`: {}", .path.display(), reason(.source))]
    Cache {
        /// Which file or folder of the cache.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The user interrupted.
    #[error("was not fetched: interrupted")]
    Cancelled,
}

/// What went wrong between here and a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The server answered, but not with the file.
    #[error("the server answered {}", status(*.0))]
    Status(u16),
    /// Nothing came for so long.
    #[error("nothing came for {}", crate::units::Span(*.0))]
    Silent(Duration),
    /// There is no connection, or it broke; in the network's words.
    #[error("{0}")]
    Network(String),
    /// The connection ended before the file did.
    #[error("the connection ended after {got} of {of} bytes")]
    Cut {
        /// How many bytes are here.
        got: u64,
        /// How many there should be.
        of: u64,
    },
    /// The list of checksums does not mention the file.
    #[error("`{list}` has no SHA-256 or SHA-512 checksum of `{file}`")]
    Unlisted {
        /// The list.
        list: Url,
        /// The name that was looked for.
        file: String,
    },
}

/// What a file is, instead of what can be booted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Its name says something else than its bytes.
    #[error("is named like {says}, but is {is}")]
    Named {
        /// What the name promises.
        says: &'static str,
        /// What the bytes are.
        is: &'static str,
    },
    /// The file declares something else than its bytes are.
    #[error("is declared as {says}, but is {is}")]
    Declared {
        /// What stands in the file.
        says: &'static str,
        /// What the bytes are.
        is: &'static str,
    },
    /// Neither qcow2 nor raw.
    #[error("is {0}, not a qcow2 or raw disk image")]
    Foreign(&'static str),
    /// Raw, but nothing a firmware would start.
    #[error("has no boot signature: it starts with neither an MBR nor a GPT")]
    Bootless,
    /// A qcow2 that cannot stand alone.
    #[error("{0}")]
    Qcow2(#[from] Qcow2Error),
    /// It cannot be unpacked.
    #[error("cannot be unpacked: {0}")]
    Packed(String),
}

/// How what is there differs from the lock file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockFault {
    /// Locked, and it is not mentioned.
    #[error("is not locked: `vmcompose.lock` does not mention `{0}`")]
    Unpinned(Url),
    /// Locked, and the compose file asks for other bytes.
    #[error("is locked to other bytes: the compose file says {asked} of `{url}`, `vmcompose.lock` says {pinned}")]
    Stale {
        /// Where it comes from.
        url: Url,
        /// The compose file's checksum.
        asked: String,
        /// The lock file's.
        pinned: String,
    },
    /// The server has other bytes than it had when they were locked.
    #[error("has changed: `{url}` was sha256:{pinned} when it was locked, and is sha256:{found} now")]
    Moved {
        /// Where it comes from.
        url: Url,
        /// The lock file's digest.
        pinned: String,
        /// The digest of what came.
        found: String,
    },
}

impl Fault {
    /// What the user could do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Lock(LockFault::Moved { .. } | LockFault::Stale { .. }) => {
                "`vmcompose image update` takes what is there now and locks that"
            }
            Self::Lock(LockFault::Unpinned(_)) => "run once without `--locked`, and commit `vmcompose.lock`",
            Self::Download { problem: Problem::Status(404 | 410), .. } => {
                "publishers delete old images: look in the folder above for a newer one"
            }
            Self::Download { problem: Problem::Status(401 | 403), .. } => {
                "the server wants to know who asks: `https://user:password@…` is understood"
            }
            Self::Download { problem: Problem::Silent(_) | Problem::Network(_) | Problem::Cut { .. }, .. } => {
                "what has come so far is kept: the next run goes on from there; \
                 a proxy is taken from HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
            }
            Self::Download { problem: Problem::Unlisted { .. }, .. } => {
                "write `checksum: sha256:…` with the digits that the publisher gives"
            }
            Self::Checksum { .. } => "nothing of it was kept; compare the checksum with the publisher's",
            Self::NoSpace { .. } => {
                "`vmcompose image prune` deletes what is not in use; XDG_CACHE_HOME moves the cache"
            }
            Self::Unfit { unfit: Unfit::Foreign(_), .. } => "`qemu-img convert -O qcow2 FILE NEW` converts disk images",
            Self::Unfit { unfit: Unfit::Qcow2(Qcow2Error::Backing(_) | Qcow2Error::ExternalData), .. } => {
                "`qemu-img convert -O qcow2 FILE NEW` makes one file of both"
            }
            Self::Unfit { unfit: Unfit::Declared { .. }, .. } => {
                "correct `format`, or leave it out: its bytes say what it is"
            }
            Self::Unknown { .. } => {
                "`vmcompose image list` shows what is there; `vmcompose image import NAME FILE` adds"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }

    /// Wraps an error of the cache's own files; a full disk is a fault of its own kind elsewhere, where sizes are known.
    pub(crate) fn cache(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Cache { path, source }
    }

    pub(crate) fn unfit(place: impl fmt::Display, unfit: impl Into<Unfit>) -> Self {
        Self::Unfit { place: place.to_string(), unfit: unfit.into() }
    }

    pub(crate) fn of(self, name: &ImageName) -> ImageError {
        ImageError { name: name.clone(), fault: self }
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        io::ErrorKind::StorageFull => "no space left on the disk".to_owned(),
        _ => error.to_string(),
    }
}

/// A size for people: whole units rather than exact bytes.
fn about(bytes: Bytes) -> String {
    let shift = match bytes.0 {
        0..0x2800 => 0,
        0x2800..0xa0_0000 => 10,
        0xa0_0000..0x2_8000_0000 => 20,
        _ => 30,
    };
    Bytes(bytes.0 >> shift << shift).to_string()
}

fn needs(bytes: Option<Bytes>) -> String {
    bytes.map_or_else(|| "more than that".to_owned(), about)
}

/// A status with its name (RFC 9110, section 15), where it is one that people meet.
fn status(code: u16) -> String {
    let name = match code {
        400 => " Bad Request",
        401 => " Unauthorized",
        403 => " Forbidden",
        404 => " Not Found",
        408 => " Request Timeout",
        410 => " Gone",
        429 => " Too Many Requests",
        500 => " Internal Server Error",
        502 => " Bad Gateway",
        503 => " Service Unavailable",
        504 => " Gateway Timeout",
        _ => "",
    };
    format!("{code}{name}")
}
