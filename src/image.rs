//! Looks at boot media on this machine: what format they have, and what they contain.
//!
//! Owns the reading of image files. Knows nothing of where the hypervisor keeps its copies.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread;

use sha2::{Digest as _, Sha256};

use crate::model::{Digest, Image, ImageFormat, ImageRole, ImageSource};
use crate::names::ImageName;
use crate::units::Bytes;

/// Why a boot medium cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// It cannot be opened or read.
    #[error("image `{name}` cannot be read: `{}`: {}", .path.display(), reason(.source))]
    Unreadable {
        /// Which image.
        name: ImageName,
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is nothing in it.
    #[error("image `{name}` is empty: `{}` has no bytes", .path.display())]
    Empty {
        /// Which image.
        name: ImageName,
        /// Where it is.
        path: PathBuf,
    },
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    }
}

/// Looks at every boot medium, several at once. Returns all errors, not only the first.
pub fn inspect(sources: &BTreeMap<ImageName, ImageSource>) -> Result<BTreeMap<ImageName, Image>, Vec<ImageError>> {
    let looked_at: Vec<Result<Image, ImageError>> = thread::scope(|scope| {
        let threads: Vec<_> = sources.values().map(|source| scope.spawn(|| look(source))).collect();
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

fn look(source: &ImageSource) -> Result<Image, ImageError> {
    let unreadable =
        |error| ImageError::Unreadable { name: source.name.clone(), path: source.path.clone(), source: error };
    let (start, length, digest) = read(&source.path).map_err(unreadable)?;
    if length == 0 {
        return Err(ImageError::Empty { name: source.name.clone(), path: source.path.clone() });
    }
    let format = match source.role {
        ImageRole::Disk if start.starts_with(QCOW2) => ImageFormat::Qcow2,
        ImageRole::Disk | ImageRole::Kernel => ImageFormat::Raw,
    };
    Ok(Image { name: source.name.clone(), path: source.path.clone(), format, length: Bytes(length), digest })
}

/// First bytes of a qcow2 file (QEMU's `docs/interop/qcow2.rst`, "Header").
const QCOW2: &[u8] = b"QFI\xfb";

/// The first bytes, the length and the digest of a file, read once.
fn read(path: &Path) -> io::Result<(Vec<u8>, u64, Digest)> {
    let mut file = File::open(path)?;
    let mut sha = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut start = Vec::new();
    let mut length = 0;
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if length == 0 {
            start = buffer[..read.min(QCOW2.len())].to_vec();
        }
        sha.update(&buffer[..read]);
        length += read as u64;
    }
    Ok((start, length, Digest::of(&sha.finalize().into())))
}
