//! The header of a qcow2 image.
//!
//! Owns what an image must not ask for: other files, keys, or features that nobody here knows. The format is described in
//! QEMU's `docs/interop/qcow2.rst`; all numbers are big-endian. Knows nothing of the clusters that follow.

use crate::units::Bytes;

/// First bytes of every qcow2 image.
pub(crate) const MAGIC: &[u8] = b"QFI\xfb";

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// 2 or 3.
    pub(crate) version: u32,
    /// Size of the disk as the guest sees it.
    pub(crate) virtual_size: Bytes,
}

/// Why a qcow2 image cannot be a base for others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Qcow2Error {
    /// It ends before its header or its tables do.
    #[error("is a qcow2 image that was cut short")]
    Short,
    /// Neither version 2 nor version 3.
    #[error("is a qcow2 image of version {0}; versions 2 and 3 are supported")]
    Version(u32),
    /// Its data are partly in another file. Following it would let an image read any file of the host.
    #[error("is a qcow2 image that needs another file, its backing file{}", .0.as_ref().map(|name| format!(" `{}`", name.escape_default())).unwrap_or_default())]
    Backing(Option<String>),
    /// Its data are in another file.
    #[error("is a qcow2 image that keeps its data in another file")]
    ExternalData,
    /// It is encrypted.
    #[error("is an encrypted qcow2 image")]
    Encrypted,
    /// It was open for writing when it was copied, or it is damaged.
    #[error("is a qcow2 image that is marked as {0}")]
    Unclean(&'static str),
    /// It needs features that are not known, as bits of `incompatible_features`.
    #[error("is a qcow2 image that needs unknown features ({0:#x})")]
    Features(u64),
    /// A field has a value that it cannot have.
    #[error("is not a valid qcow2 image: its {0} is wrong")]
    Invalid(&'static str),
}

const SHORTEST: u64 = 72;
const SHORTEST_V3: u32 = 104;
const LONGEST_BACKING_NAME: u64 = 1023;

const DIRTY: u64 = 1 << 0;
const CORRUPT: u64 = 1 << 1;
const EXTERNAL_DATA: u64 = 1 << 2;
const COMPRESSION_TYPE: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;
const KNOWN: u64 = DIRTY | CORRUPT | EXTERNAL_DATA | COMPRESSION_TYPE | EXTENDED_L2;

/// Reads the header from the start of a file of `length` bytes, and refuses what cannot stand alone.
pub(crate) fn parse(start: &[u8], length: u64) -> Result<Header, Qcow2Error> {
    if !start.starts_with(MAGIC) {
        return Err(Qcow2Error::Invalid("magic"));
    }
    if length < SHORTEST {
        return Err(Qcow2Error::Short);
    }
    let version = u32_at(start, 4)?;
    if !(2..=3).contains(&version) {
        return Err(Qcow2Error::Version(version));
    }
    if version == 3 {
        features(u64_at(start, 72)?)?;
        let header_length = u32_at(start, 100)?;
        if header_length < SHORTEST_V3 || header_length % 8 != 0 {
            return Err(Qcow2Error::Invalid("header length"));
        }
    }
    if u64_at(start, 8)? != 0 {
        return Err(Qcow2Error::Backing(backing_name(start)));
    }
    if u32_at(start, 32)? != 0 {
        return Err(Qcow2Error::Encrypted);
    }
    // QEMU opens no image with clusters above 2 MiB; the format has none below 512 bytes.
    if !(9..=21).contains(&u32_at(start, 20)?) {
        return Err(Qcow2Error::Invalid("cluster size"));
    }
    let virtual_size = Bytes(u64_at(start, 24)?);
    if virtual_size.0 == 0 {
        return Err(Qcow2Error::Invalid("virtual size"));
    }
    let l1_end = u64_at(start, 40)?.saturating_add(u64::from(u32_at(start, 36)?) * 8);
    if l1_end > length || u64_at(start, 48)? >= length {
        return Err(Qcow2Error::Short);
    }
    Ok(Header { version, virtual_size })
}

fn features(incompatible: u64) -> Result<(), Qcow2Error> {
    if incompatible & EXTERNAL_DATA != 0 {
        return Err(Qcow2Error::ExternalData);
    }
    if incompatible & !KNOWN != 0 {
        return Err(Qcow2Error::Features(incompatible & !KNOWN));
    }
    if incompatible & CORRUPT != 0 {
        return Err(Qcow2Error::Unclean("corrupt"));
    }
    if incompatible & DIRTY != 0 {
        return Err(Qcow2Error::Unclean("not closed after its last use"));
    }
    Ok(())
}

/// For the message only: it is not worth an error of its own when it cannot be read.
fn backing_name(start: &[u8]) -> Option<String> {
    let offset = u64_at(start, 8).ok()?;
    let length = u64::from(u32_at(start, 16).ok()?).min(LONGEST_BACKING_NAME);
    let range = usize::try_from(offset).ok()?..usize::try_from(offset.checked_add(length)?).ok()?;
    Some(String::from_utf8_lossy(start.get(range)?).into_owned())
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Qcow2Error> {
    let field = bytes.get(at..at + 4).and_then(|field| field.try_into().ok()).ok_or(Qcow2Error::Short)?;
    Ok(u32::from_be_bytes(field))
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64, Qcow2Error> {
    let field = bytes.get(at..at + 8).and_then(|field| field.try_into().ok()).ok_or(Qcow2Error::Short)?;
    Ok(u64::from_be_bytes(field))
}
