//! What a file is, by its first bytes, and whether that is what its name says.
//!
//! Owns the magic numbers and the boot signatures. Knows nothing of where files come from.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::error::Unfit;
use super::qcow2;
use super::unpack::Packing;
use crate::model::ImageFormat;
use crate::units::Bytes;

/// How much of a file is looked at: enough for the volume descriptor of an ISO 9660 image at 32 KiB.
const START: u64 = 36 << 10;

/// What the first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Qcow2,
    /// A disk with a boot signature.
    Bootable,
    Packed(Packing),
    /// Something that people download by mistake, with its article.
    Foreign(&'static str),
    /// Nothing that is known: raw, if anything.
    Unknown,
}

impl Kind {
    fn words(self) -> &'static str {
        match self {
            Self::Qcow2 => "a qcow2 image",
            Self::Bootable => "a raw image",
            Self::Packed(packing) => packing.words(),
            Self::Foreign(words) => words,
            Self::Unknown => "not",
        }
    }
}

/// The first bytes of a file, and its length.
pub(crate) fn start_of(path: &Path) -> io::Result<(Vec<u8>, u64)> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut start = Vec::new();
    file.take(START).read_to_end(&mut start)?;
    Ok((start, length))
}

/// What a file that starts so is.
pub(crate) fn kind(start: &[u8]) -> Kind {
    let at = |offset: usize, magic: &[u8]| start.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    let table: [(usize, &[u8], Kind); 13] = [
        (0, qcow2::MAGIC, Kind::Qcow2),
        (0, b"\x1f\x8b", Kind::Packed(Packing::Gzip)),
        (0, b"\xfd7zXZ\0", Kind::Packed(Packing::Xz)),
        (0, b"\x28\xb5\x2f\xfd", Kind::Packed(Packing::Zstd)),
        (0, b"BZh", Kind::Foreign("packed with bzip2")),
        (0, b"PK\x03\x04", Kind::Foreign("a ZIP archive")),
        (0, b"KDMV", Kind::Foreign("a VMDK image")),
        (0, b"# Disk DescriptorFile", Kind::Foreign("a VMDK descriptor")),
        (0, b"vhdxfile", Kind::Foreign("a VHDX image")),
        (0, b"conectix", Kind::Foreign("a VHD image")),
        (0x40, b"\x7f\x10\xda\xbe", Kind::Foreign("a VDI image")),
        (257, b"ustar", Kind::Foreign("a tar archive")),
        (0, b"\x7fELF", Kind::Foreign("a program")),
    ];
    if let Some((_, _, kind)) = table.iter().find(|(offset, magic, _)| at(*offset, magic)) {
        return *kind;
    }
    if let Some(words) = text(start) {
        return Kind::Foreign(words);
    }
    // The signature of an MBR, which a GPT is protected by; or the GPT itself, for sectors of 512 and of 4096 bytes
    // (UEFI specification 2.10, sections 5.2.3 and 5.3.2).
    if at(510, b"\x55\xaa") || at(512, b"EFI PART") || at(4096, b"EFI PART") {
        return Kind::Bootable;
    }
    if at(0x8001, b"CD001") { Kind::Foreign("an ISO 9660 image that only a CD drive can boot") } else { Kind::Unknown }
}

/// A page that says "not found" or "log in", where an image was expected, is the usual accident.
fn text(start: &[u8]) -> Option<&'static str> {
    let head = std::str::from_utf8(start.get(..512.min(start.len()))?).ok()?.trim_start().to_ascii_lowercase();
    if head.starts_with("<!doctype html") || head.starts_with("<html") || head.contains("<head") {
        return Some("an HTML page");
    }
    let printable = |c: char| !c.is_control() || c.is_ascii_whitespace();
    (!head.is_empty() && head.chars().all(printable)).then_some("text")
}

/// What the end of a name promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promise {
    Qcow2,
    Raw,
    Packed(Packing),
    /// `.img` and what has no known ending: anything.
    Nothing,
}

fn promise(name: &str) -> Promise {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    match ending.as_str() {
        "qcow2" | "qcow" => Promise::Qcow2,
        "raw" => Promise::Raw,
        "gz" | "gzip" => Promise::Packed(Packing::Gzip),
        "xz" => Promise::Packed(Packing::Xz),
        "zst" | "zstd" => Promise::Packed(Packing::Zstd),
        _ => Promise::Nothing,
    }
}

/// Whether what a name promises is kept. Packed or not: what is inside is looked at when it is out.
pub(crate) fn check_name(name: &str, kind: Kind) -> Result<(), Unfit> {
    let says = match (promise(name), kind) {
        (Promise::Nothing, _) | (Promise::Qcow2, Kind::Qcow2) | (Promise::Raw, Kind::Bootable | Kind::Unknown) => {
            return Ok(());
        }
        (Promise::Packed(promised), Kind::Packed(packing)) if promised == packing => return Ok(()),
        (Promise::Qcow2, _) => "a qcow2 image",
        (Promise::Raw, _) => "a raw image",
        (Promise::Packed(Packing::Gzip), _) => "a gzip file",
        (Promise::Packed(Packing::Xz), _) => "an xz file",
        (Promise::Packed(Packing::Zstd), _) => "a zstd file",
    };
    Err(Unfit::Named { says, is: kind.words() })
}

/// The name without the ending that says how it is packed.
pub(crate) fn unpacked_name(name: &str) -> &str {
    match (promise(name), name.rsplit_once('.')) {
        (Promise::Packed(_), Some((inner, _))) if !inner.is_empty() => inner,
        _ => name,
    }
}

/// A disk that a machine can start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// How its bytes are laid out.
    pub format: ImageFormat,
    /// Its size as the guest sees it.
    pub virtual_size: Bytes,
}

/// The same of a disk that only holds data.
pub(crate) fn volume(name: &str, start: &[u8], length: u64) -> Result<Disk, Unfit> {
    match disk(name, start, length) {
        Err(Unfit::Bootless) => Ok(Disk { format: ImageFormat::Raw, virtual_size: Bytes(length) }),
        looked_at => looked_at,
    }
}

/// Looks at a disk image by its name, its first bytes and its length, and refuses what no machine could start from.
pub(crate) fn disk(name: &str, start: &[u8], length: u64) -> Result<Disk, Unfit> {
    let kind = kind(start);
    check_name(name, kind)?;
    match kind {
        Kind::Qcow2 => {
            let header = qcow2::parse(start, length)?;
            Ok(Disk { format: ImageFormat::Qcow2, virtual_size: header.virtual_size })
        }
        Kind::Bootable => Ok(Disk { format: ImageFormat::Raw, virtual_size: Bytes(length) }),
        Kind::Packed(packing) => Err(Unfit::Foreign(packing.words())),
        Kind::Foreign(words) => Err(Unfit::Foreign(words)),
        Kind::Unknown => Err(Unfit::Bootless),
    }
}
