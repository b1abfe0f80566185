//! What every test of images needs: bytes that look like images, a cache in a folder of its own, a fetch in one line.
//!
//! Owns nothing that outlives a test. Knows nothing of servers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sha2::{Digest as _, Sha256, Sha512};
use tempfile::TempDir;
use vmcompose::image::{Cache, Fetch, Fetched, ImageError, Mode, Patience, Pins, Progress, fetch};
use vmcompose::model::{Checksum, ImageFrom, ImageRequest, ImageRole};
use vmcompose::names::ImageName;

/// A qcow2 image of version 3 with `extra` bytes behind its first cluster: enough for whoever reads headers.
pub(crate) fn qcow2(extra: usize) -> Vec<u8> {
    let mut bytes = vec![0; 0x1_0000];
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(0, b"QFI\xfb");
    put(4, &3u32.to_be_bytes());
    put(20, &16u32.to_be_bytes());
    put(24, &(10u64 << 30).to_be_bytes());
    put(36, &1u32.to_be_bytes());
    put(40, &0x3000u64.to_be_bytes());
    put(48, &0x1000u64.to_be_bytes());
    put(56, &1u32.to_be_bytes());
    put(96, &4u32.to_be_bytes());
    put(100, &104u32.to_be_bytes());
    bytes.extend(noise(extra));
    bytes
}

/// A raw disk with an MBR.
pub(crate) fn raw(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length.max(512)];
    bytes[510..512].copy_from_slice(b"\x55\xaa");
    bytes
}

/// Bytes without a pattern, always the same: so that they do not shrink when packed.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes it");
        text
    })
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(crate) fn sha512(bytes: &[u8]) -> String {
    hex(&Sha512::digest(bytes))
}

pub(crate) fn name(text: &str) -> ImageName {
    ImageName::new(text).expect("legal")
}

pub(crate) fn request(url: &str) -> ImageRequest {
    let from = ImageFrom::Url(url.parse().expect("a URL"));
    ImageRequest { name: name("debian"), from, checksum: None, role: ImageRole::Disk, format: None }
}

pub(crate) fn with_checksum(url: &str, checksum: &str) -> ImageRequest {
    ImageRequest { checksum: Some(checksum.parse::<Checksum>().expect("a checksum")), ..request(url) }
}

pub(crate) fn local(path: &Path) -> ImageRequest {
    ImageRequest { from: ImageFrom::Path(path.to_owned()), ..request("http://unused") }
}

pub(crate) fn one(request: ImageRequest) -> BTreeMap<ImageName, ImageRequest> {
    BTreeMap::from([(request.name.clone(), request)])
}

/// A cache in a folder of its own, and how to fetch into it.
pub(crate) struct Bench {
    pub(crate) folder: TempDir,
    pub(crate) cache: Cache,
    pub(crate) pins: Pins,
    pub(crate) mode: Mode,
    pub(crate) patience: Patience,
    pub(crate) told: Mutex<Vec<Progress>>,
    pub(crate) cancelled: AtomicBool,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self {
            cache: Cache::new(folder.path().join("cache")),
            folder,
            pins: Pins::default(),
            mode: Mode::Normal,
            patience: Patience {
                connect: Duration::from_secs(5),
                silence: Duration::from_mins(1),
                attempts: 3,
                pause: Duration::from_millis(10),
            },
            told: Mutex::default(),
            cancelled: AtomicBool::new(false),
        }
    }

    /// Fetches, and keeps what was pinned for the next time.
    pub(crate) fn fetch(&mut self, request: ImageRequest) -> Result<PathBuf, String> {
        let fetched = self
            .fetch_all(&one(request))
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
        self.pins = fetched.pins;
        Ok(fetched.sources.into_values().next().expect("one").path)
    }

    pub(crate) fn fetch_all(&self, requests: &BTreeMap<ImageName, ImageRequest>) -> Result<Fetched, Vec<ImageError>> {
        let with = Fetch {
            cache: &self.cache,
            pins: &self.pins,
            mode: self.mode,
            patience: self.patience,
            tell: &|_, progress| self.told.lock().expect("unpoisoned").push(progress),
            cancelled: &|| self.cancelled.load(Ordering::SeqCst),
        };
        fetch(requests, &with)
    }

    pub(crate) fn told(&self, matching: impl Fn(&Progress) -> bool) -> usize {
        self.told.lock().expect("unpoisoned").iter().filter(|progress| matching(progress)).count()
    }

    /// Everything in the cache but locks: relative names, in order.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        for folder in ["files", "records", "partial"] {
            let Ok(entries) = std::fs::read_dir(self.cache.root().join(folder)) else { continue };
            for entry in entries {
                let name = entry.expect("readable").file_name().to_string_lossy().into_owned();
                found.push(format!("{folder}/{name}"));
            }
        }
        found.sort();
        found
    }

    /// The cache has nothing that can be used, and nothing that is half-made.
    pub(crate) fn assert_untouched(&self) {
        assert_eq!(self.files(), Vec::<String>::new());
        assert_eq!(self.cache.list().expect("readable"), []);
    }

    /// The cache has nothing that can be used, whatever is still coming.
    pub(crate) fn assert_unusable(&self) {
        let made = |file: &String| !file.starts_with("partial/");
        assert_eq!(self.files().into_iter().filter(made).collect::<Vec<_>>(), Vec::<String>::new());
        assert_eq!(self.cache.list().expect("readable"), []);
    }
}

/// Files that are packed as their names say.
pub(crate) fn packed(ending: &str, bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    match ending {
        "gz" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("packs")
        }
        "xz" => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
            encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("packs")
        }
        _ => zstd::encode_all(bytes, 1).expect("packs"),
    }
}
