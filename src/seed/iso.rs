//! The disk: a flat ISO 9660 file system with Rock Ridge and Joliet names.
//!
//! Owns the layout (ECMA-119; SUSP and RRIP 1.12 for Rock Ridge; Microsoft's Joliet Specification). Writes no time and
//! no chance into it, so that the same files are the same bytes. Knows nothing of what the files are for.

use std::collections::BTreeMap;

pub(super) const SECTOR: usize = 2048;

// Where things are, in sectors. The first 16 are not for the file system (ECMA-119 section 6.2.1).
const PRIMARY: u32 = 16;
const PRIMARY_PATHS: u32 = 19;
const JOLIET_PATHS: u32 = 21;
const PRIMARY_ROOT: u32 = 23;
const JOLIET_ROOT: u32 = 24;
const CONTINUATION: u32 = 25;
const FILES: u32 = 26;

/// One file, and where its content is.
struct Entry<'a> {
    name: &'a str,
    content: &'a [u8],
    at: u32,
}

/// One of the two views of the same files.
#[derive(Clone, Copy, PartialEq)]
enum View {
    Primary,
    Joliet,
}

/// A file system with this label and these files. Names are of letters, digits, `-`, `_` and `.`, at most 30 long; the
/// label likewise, at most 16; as many files as fit one sector of directory, which are at least a dozen.
///
/// `length` says how many sectors it has, given how many it needs.
pub(super) fn write(label: &str, files: &BTreeMap<String, Vec<u8>>, length: impl FnOnce(u32) -> u32) -> Vec<u8> {
    let entries = lay_out(files);
    let end = entries.iter().map(|entry| entry.at + sectors(entry.content)).max().unwrap_or(FILES);
    let end = length(end).max(end);
    let mut image = vec![0; end as usize * SECTOR];
    let mut put = |sector: u32, bytes: &[u8]| {
        let at = sector as usize * SECTOR;
        image[at..at + bytes.len()].copy_from_slice(bytes);
    };
    put(PRIMARY, &descriptor(label, end, View::Primary));
    put(PRIMARY + 1, &descriptor(label, end, View::Joliet));
    put(PRIMARY + 2, b"\xffCD001\x01");
    for (paths, root) in [(PRIMARY_PATHS, PRIMARY_ROOT), (JOLIET_PATHS, JOLIET_ROOT)] {
        put(paths, &path_table(root.to_le_bytes(), 1u16.to_le_bytes()));
        put(paths + 1, &path_table(root.to_be_bytes(), 1u16.to_be_bytes()));
    }
    put(PRIMARY_ROOT, &directory(PRIMARY_ROOT, &entries, View::Primary));
    put(JOLIET_ROOT, &directory(JOLIET_ROOT, &entries, View::Joliet));
    put(CONTINUATION, &rock_ridge_announcement());
    for entry in &entries {
        put(entry.at, entry.content);
    }
    image
}

fn lay_out(files: &BTreeMap<String, Vec<u8>>) -> Vec<Entry<'_>> {
    let mut next = FILES;
    let mut entries = Vec::with_capacity(files.len());
    for (name, content) in files {
        entries.push(Entry { name, content, at: next });
        next += sectors(content);
    }
    entries
}

fn sectors(content: &[u8]) -> u32 {
    length(content).div_ceil(length(&[0; SECTOR]))
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("a seed has less than 4 GiB")
}

/// A number in both byte orders (ECMA-119 section 7.3.3).
fn both32(n: u32) -> [u8; 8] {
    let (little, big) = (n.to_le_bytes(), n.to_be_bytes());
    [little[0], little[1], little[2], little[3], big[0], big[1], big[2], big[3]]
}

/// The same for 16 bits (section 7.2.3).
fn both16(n: u16) -> [u8; 4] {
    let (little, big) = (n.to_le_bytes(), n.to_be_bytes());
    [little[0], little[1], big[0], big[1]]
}

/// Joliet's characters: UCS-2, the high byte first.
fn ucs2(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// A text field, filled up with spaces.
fn padded(text: &str, width: usize, view: View) -> Vec<u8> {
    let text: String = text.chars().chain(std::iter::repeat(' ')).take(width).collect();
    match view {
        View::Primary => text.into_bytes(),
        View::Joliet => {
            let mut wide = ucs2(&text);
            wide.truncate(width);
            wide
        }
    }
}

/// A volume descriptor (ECMA-119 sections 8.4 and 8.5).
fn descriptor(label: &str, sectors: u32, view: View) -> Vec<u8> {
    let (kind, paths, root) = match view {
        View::Primary => (1, PRIMARY_PATHS, PRIMARY_ROOT),
        View::Joliet => (2, JOLIET_PATHS, JOLIET_ROOT),
    };
    let mut out = vec![kind];
    out.extend(b"CD001\x01\0");
    out.extend(padded("", 32, view));
    out.extend(padded(label, 32, view));
    out.extend([0; 8]);
    out.extend(both32(sectors));
    // The escape sequence that says Joliet, level 3.
    let escape: &[u8] = if view == View::Joliet { b"%/E" } else { b"" };
    out.extend(escape);
    out.extend(vec![0; 32 - escape.len()]);
    out.extend([both16(1), both16(1), both16(2048)].concat());
    out.extend(both32(length(&path_table([0; 4], [0; 2]))));
    out.extend(paths.to_le_bytes());
    out.extend([0; 4]);
    out.extend((paths + 1).to_be_bytes());
    out.extend([0; 4]);
    out.extend(record(&[0], root, length(&[0; SECTOR]), true, &[]));
    for width in [128, 128, 128, 128, 37, 37, 37] {
        out.extend(padded("", width, view));
    }
    for _ in 0..4 {
        // No date (section 8.4.26.1).
        out.extend(b"0000000000000000\0");
    }
    out.push(1);
    out.resize(SECTOR, 0);
    out
}

/// The path table of a file system whose only folder is its root (section 9.4).
fn path_table(root: [u8; 4], parent: [u8; 2]) -> Vec<u8> {
    [&[1, 0][..], &root, &parent, &[0, 0]].concat()
}

/// A directory record (section 9.1), with what Rock Ridge adds to it.
fn record(identifier: &[u8], at: u32, size: u32, folder: bool, system_use: &[u8]) -> Vec<u8> {
    // 2020-01-01, as years since 1900, month and day: whoever lists the disk sees some date.
    const DATE: [u8; 7] = [120, 1, 1, 0, 0, 0, 0];
    let mut out = vec![0, 0];
    out.extend([both32(at), both32(size)].concat());
    out.extend(DATE);
    out.extend([if folder { 2 } else { 0 }, 0, 0]);
    out.extend(both16(1));
    out.push(u8::try_from(identifier.len()).expect("names are short"));
    out.extend(identifier);
    if out.len() % 2 == 1 {
        out.push(0);
    }
    out.extend(system_use);
    if out.len() % 2 == 1 {
        out.push(0);
    }
    out[0] = u8::try_from(out.len()).expect("names are short");
    out
}

fn directory(root: u32, entries: &[Entry<'_>], view: View) -> Vec<u8> {
    let rock = |extra: Vec<u8>| if view == View::Primary { extra } else { Vec::new() };
    let size = length(&[0; SECTOR]);
    let announced = [indicator().as_slice(), &attributes(true), &continuation()].concat();
    let mut records =
        vec![record(&[0], root, size, true, &rock(announced)), record(&[1], root, size, true, &rock(attributes(true)))];
    let mut named: Vec<(Vec<u8>, &Entry<'_>)> =
        entries.iter().map(|entry| (identifier(entry.name, view), entry)).collect();
    // Records stand in the order of their names (section 9.3).
    named.sort_by(|a, b| a.0.cmp(&b.0));
    for (identifier, entry) in named {
        let extra = [attributes(false), alternate_name(entry.name)].concat();
        records.push(record(&identifier, entry.at, length(entry.content), false, &rock(extra)));
    }
    let records = records.concat();
    assert!(records.len() <= SECTOR, "a seed has a handful of files");
    records
}

/// What a reader without Rock Ridge sees: capitals, digits, `_` and one dot (section 7.5.1); or Joliet's whole name.
fn identifier(name: &str, view: View) -> Vec<u8> {
    match view {
        View::Joliet => ucs2(&format!("{name};1")),
        View::Primary => {
            let legal = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_uppercase() } else { '_' };
            let dot = if name.contains('.') { "" } else { "." };
            format!("{}{dot};1", name.chars().map(legal).collect::<String>()).into_bytes()
        }
    }
}

/// SUSP section 5.3: from here on system use means SUSP.
fn indicator() -> Vec<u8> {
    b"SP\x07\x01\xbe\xef\0".to_vec()
}

/// SUSP section 5.1: where there is more of it.
fn continuation() -> Vec<u8> {
    let mut out = b"CE\x1c\x01".to_vec();
    out.extend([both32(CONTINUATION), both32(0), both32(length(&rock_ridge_announcement()))].concat());
    out
}

/// SUSP section 5.5: what follows it is Rock Ridge, by the words that RRIP 1.12 section 4.3 gives for this.
fn rock_ridge_announcement() -> Vec<u8> {
    const ID: &[u8] = b"IEEE_P1282";
    const DESCRIPTION: &[u8] = b"THE IEEE P1282 PROTOCOL PROVIDES SUPPORT FOR POSIX FILE SYSTEM SEMANTICS.";
    const SOURCE: &[u8] =
        b"PLEASE CONTACT THE IEEE STANDARDS DEPARTMENT, PISCATAWAY, NJ, USA FOR THE P1282 SPECIFICATION.";
    let short = |text: &[u8]| u8::try_from(text.len()).expect("a short text");
    let lengths = [short(ID), short(DESCRIPTION), short(SOURCE)];
    let whole = 8 + lengths.iter().sum::<u8>();
    [&b"ER"[..], &[whole, 1], &lengths, &[1], ID, DESCRIPTION, SOURCE].concat()
}

/// RRIP section 4.1.1: root's, readable by root alone, because a seed may hold secrets.
fn attributes(folder: bool) -> Vec<u8> {
    let (mode, links, serial) = if folder { (0o040_700, 2, 1) } else { (0o100_600, 1, 2) };
    let mut out = b"PX\x2c\x01".to_vec();
    out.extend([both32(mode), both32(links), both32(0), both32(0), both32(serial)].concat());
    out
}

/// RRIP section 4.1.4: the name as it is.
fn alternate_name(name: &str) -> Vec<u8> {
    let length = u8::try_from(5 + name.len()).expect("names are short");
    [&b"NM"[..], &[length, 1, 0], name.as_bytes()].concat()
}
