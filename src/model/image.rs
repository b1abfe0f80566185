//! Boot media: named by the file, brought to this machine, then looked at, then referred to by content.
//!
//! Knows nothing of how they are downloaded, read or kept.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::url::{Url, UrlError};
use crate::names::ImageName;
use crate::units::Bytes;

/// A boot medium as the file names it, wherever it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRequest {
    /// Its name: the one under `images`, or the file name of a kernel or initrd.
    pub name: ImageName,
    /// Where it comes from.
    pub from: ImageFrom,
    /// What its bytes must add up to, as its publisher gives it: before anything is unpacked.
    pub checksum: Option<Checksum>,
    /// What it is for.
    pub role: ImageRole,
    /// How its bytes are laid out, where the file says so.
    pub format: Option<ImageFormat>,
}

impl From<ImageSource> for ImageRequest {
    fn from(source: ImageSource) -> Self {
        Self { name: source.name, from: ImageFrom::Path(source.path), checksum: None, role: source.role, format: None }
    }
}

/// Where a boot medium comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageFrom {
    /// A file on this machine, absolute.
    Path(PathBuf),
    /// A server.
    Url(Url),
    /// The cache, where the user put it under this name.
    Imported(String),
}

impl fmt::Display for ImageFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Url(url) => write!(f, "{url}"),
            Self::Imported(name) => write!(f, "import:{name}"),
        }
    }
}

/// What the bytes of a boot medium must add up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checksum {
    /// 64 lower-case hexadecimal digits.
    Sha256(String),
    /// 128 lower-case hexadecimal digits.
    Sha512(String),
    /// Listed in a file on a server, such as `SHA256SUMS`.
    Listed(Url),
}

/// Why a text is not a checksum.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChecksumError {
    /// None of the forms.
    #[error("`{0}` is not a checksum; write `sha256:…`, `sha512:…` or the URL of a file that lists it")]
    Form(String),
    /// Not as many hexadecimal digits as the algorithm gives.
    #[error("a {algorithm} checksum has {expected} hexadecimal digits, and `{text}` is not that")]
    Digits {
        /// What follows the colon.
        text: String,
        /// `sha256` or `sha512`.
        algorithm: &'static str,
        /// How many digits it gives.
        expected: usize,
    },
    /// The URL of a list that is not a URL.
    #[error(transparent)]
    Url(#[from] UrlError),
}

impl Checksum {
    /// The list that it has to be looked up in, where it is not given in digits.
    pub fn list(&self) -> Option<&Url> {
        if let Self::Listed(list) = self { Some(list) } else { None }
    }
}

impl FromStr for Checksum {
    type Err = ChecksumError;

    fn from_str(text: &str) -> Result<Self, ChecksumError> {
        let digits = |hex: &str, algorithm, expected| {
            let legal = hex.len() == expected && hex.bytes().all(|b| b.is_ascii_hexdigit());
            if legal {
                Ok(hex.to_ascii_lowercase())
            } else {
                Err(ChecksumError::Digits { text: hex.to_owned(), algorithm, expected })
            }
        };
        match text.split_once(':') {
            Some(("sha256", hex)) => digits(hex, "sha256", 64).map(Self::Sha256),
            Some(("sha512", hex)) => digits(hex, "sha512", 128).map(Self::Sha512),
            Some(("http" | "https", _)) => Ok(Self::Listed(text.parse()?)),
            _ => Err(ChecksumError::Form(text.to_owned())),
        }
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(hex) => write!(f, "sha256:{hex}"),
            Self::Sha512(hex) => write!(f, "sha512:{hex}"),
            Self::Listed(url) => write!(f, "{url}"),
        }
    }
}

/// A boot medium as a file on this machine; nobody has opened it yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSource {
    /// Its name: the one under `images`, or the file name of a kernel or initrd.
    pub name: ImageName,
    /// Where it is, absolute.
    pub path: PathBuf,
    /// What it is for.
    pub role: ImageRole,
}

/// What a boot medium is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageRole {
    /// A disk that root disks are overlays of.
    Disk,
    /// A kernel or an initrd, loaded by the hypervisor.
    Kernel,
}

/// A boot medium that was looked at: content, not just a path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// Its name.
    pub name: ImageName,
    /// Where its bytes are on this machine; empty when they are not, and it is known from the hypervisor or a lock file.
    pub path: PathBuf,
    /// How the bytes are laid out.
    pub format: ImageFormat,
    /// Length of the file.
    pub length: Bytes,
    /// SHA-256 of the bytes: its identity.
    pub digest: Digest,
}

impl Image {
    /// One that nobody has seen yet.
    pub fn unknown(name: ImageName) -> Self {
        let digest = Digest(Digest::UNKNOWN.to_owned());
        Self { name, path: PathBuf::new(), format: ImageFormat::Qcow2, length: Bytes(0), digest }
    }

    /// Whether nobody has seen it yet; its format and length mean nothing then.
    pub fn is_unknown(&self) -> bool {
        self.digest.0 == Digest::UNKNOWN
    }
}

/// How an image's bytes are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ImageFormat {
    /// QEMU's own format, version 2 or 3.
    Qcow2,
    /// The bytes of the disk, or of a kernel, as they are.
    Raw,
}

impl ImageFormat {
    /// Its name, as QEMU and libvirt have it too.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Qcow2 => "qcow2",
            Self::Raw => "raw",
        }
    }
}

/// The first 48 bits of a SHA-256, in hexadecimal: enough to tell contents apart within a project, short enough to read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// Number of hexadecimal digits.
    pub const LEN: usize = 12;
    /// In place of the digits of an image that nobody has seen yet.
    const UNKNOWN: &str = "unknown";

    /// Takes a text of [`Digest::LEN`] lower-case hexadecimal digits.
    pub fn new(text: &str) -> Option<Self> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (text.len() == Self::LEN && text.bytes().all(hex)).then(|| Self(text.to_owned()))
    }

    /// Shortens a whole SHA-256.
    pub fn of(sha256: &[u8; 32]) -> Self {
        let hex = sha256.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        Self(hex.take(Self::LEN).filter_map(|nibble| char::from_digit(nibble.into(), 16)).collect())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// An image by name, and by content once it was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRef {
    /// The image.
    pub name: ImageName,
    /// Its content; `None` between parsing and looking at the file.
    pub digest: Option<Digest>,
    /// Its layout; `None` likewise.
    pub format: Option<ImageFormat>,
    /// The volume on the hypervisor that it is, where it is one of the user's own; then nothing else is known of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeRef>,
}

/// A volume of the user's own, in a pool of the user's own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VolumeRef {
    /// The pool, as libvirt knows it.
    pub pool: String,
    /// The volume in it.
    pub volume: String,
}

impl fmt::Display for VolumeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.pool, self.volume)
    }
}

impl ImageRef {
    /// A reference to an image nobody has looked at.
    pub fn unseen(name: ImageName) -> Self {
        Self { name, digest: None, format: None, volume: None }
    }
}
