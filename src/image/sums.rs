//! Checksums: of bytes, of files, and in the lists that publishers put beside their images.
//!
//! Owns hashing and the forms of those lists. Knows nothing of where the bytes come from.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha512};

use crate::model::{Checksum, Digest, Url};

/// What bytes add up to, in both ways in which publishers give it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// SHA-256, in 64 hexadecimal digits.
    pub sha256: String,
    /// SHA-512, in 128 hexadecimal digits.
    pub sha512: String,
    /// How many bytes.
    pub length: u64,
}

impl Sums {
    /// The short form by which the rest of the program knows content. Digits that are not hexadecimal are an error of the
    /// file they were read from.
    pub fn digest(&self) -> Option<Digest> {
        Digest::new(self.sha256.get(..Digest::LEN)?)
    }

    /// Whether they are what was promised; a list has to be looked up first, and is never met by itself.
    pub fn meet(&self, checksum: &Checksum) -> bool {
        match checksum {
            Checksum::Sha256(hex) => *hex == self.sha256,
            Checksum::Sha512(hex) => *hex == self.sha512,
            Checksum::Listed(_) => false,
        }
    }

    /// What is there, in the algorithm of what was promised.
    pub(crate) fn like(&self, checksum: &Checksum) -> String {
        match checksum {
            Checksum::Sha512(_) => format!("sha512:{}", self.sha512),
            Checksum::Sha256(_) | Checksum::Listed(_) => format!("sha256:{}", self.sha256),
        }
    }
}

/// Adds bytes up as they pass.
#[derive(Default)]
pub(crate) struct Hasher {
    sha256: Sha256,
    sha512: Sha512,
    length: u64,
}

impl Hasher {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.sha512.update(bytes);
        self.length += bytes.len() as u64;
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn finish(self) -> Sums {
        Sums { sha256: hex(&self.sha256.finalize()), sha512: hex(&self.sha512.finalize()), length: self.length }
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits.filter_map(|nibble| char::from_digit(nibble.into(), 16)).collect()
}

/// A short name made of a longer one that may have any characters in it.
pub(crate) fn key(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes())[..8])
}

/// What a URL is known by on disk: without user and password, and with the query hashed, which may hold a token. These
/// names go into files that people commit.
pub(crate) fn identity(url: &Url) -> String {
    match url.parts() {
        (path, None) => path,
        (path, Some(query)) => format!("{path}?sha256-{}", key(&query)),
    }
}

/// Reads a whole file. `go_on` is asked after each piece, with the bytes so far; when it says no, nothing is returned.
pub(crate) fn of_file(path: &Path, go_on: &mut dyn FnMut(u64) -> bool) -> io::Result<Option<Sums>> {
    let mut file = File::open(path)?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Some(hasher.finish())),
            Ok(read) => hasher.add(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if !go_on(hasher.length()) {
            return Ok(None);
        }
    }
}

/// Finds a file's checksum in a list. Understood are the two forms of coreutils (`digits  name`, `digits *name`), the BSD
/// form (`SHA256 (name) = digits`), and digits alone where the list is about one file. Lines of other kinds, such as
/// comments and the armour of a PGP signature, are passed over.
pub fn listed(list: &str, file: &str) -> Option<Checksum> {
    let lines = || list.lines().map(str::trim);
    let named = lines().filter_map(entry).filter(|(name, _)| base(name) == file).map(|(_, sum)| sum);
    // SHA-512 first: where a list has both, the longer was added for a reason.
    named.max_by_key(|sum| matches!(sum, Checksum::Sha512(_))).or_else(|| {
        let mut alone = lines().filter_map(digits);
        let only = alone.next()?;
        alone.next().is_none().then_some(only)
    })
}

fn entry(line: &str) -> Option<(&str, Checksum)> {
    if let Some((head, sum)) = line.rsplit_once(") = ") {
        let (_, name) = head.split_once(" (")?;
        return Some((name, digits(sum.trim())?));
    }
    let (sum, name) = line.split_once(char::is_whitespace)?;
    Some((name.trim_start().trim_start_matches('*'), digits(sum)?))
}

fn base(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The algorithm is known by the number of digits, which differs for all that are in use.
fn digits(text: &str) -> Option<Checksum> {
    let hex = text.bytes().all(|b| b.is_ascii_hexdigit()).then(|| text.to_ascii_lowercase())?;
    match hex.len() {
        64 => Some(Checksum::Sha256(hex)),
        128 => Some(Checksum::Sha512(hex)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha256(digit: &str) -> String {
        digit.repeat(64)
    }

    #[test]
    fn lists_of_every_publisher_are_understood() {
        let (a, b, c) = (sha256("a"), sha256("b"), "c".repeat(128));
        let coreutils = format!("{b} *other.img\n{a} *noble.img\n");
        let text = format!("{c}  debian.qcow2\n{c}  ./dir/noble.img\n");
        let bsd = format!("# noble.img: 12 bytes\nSHA256 (noble.img) = {}\n", a.to_uppercase());
        let signed =
            format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{bsd}-----BEGIN PGP SIGNATURE-----\n");
        for (list, sum) in [
            (coreutils.as_str(), Checksum::Sha256(a.clone())),
            (text.as_str(), Checksum::Sha512(c.clone())),
            (bsd.as_str(), Checksum::Sha256(a.clone())),
            (signed.as_str(), Checksum::Sha256(a.clone())),
            (format!("{c}\n").as_str(), Checksum::Sha512(c.clone())),
        ] {
            assert_eq!(listed(list, "noble.img"), Some(sum), "{list}");
        }
    }

    #[test]
    fn a_list_of_others_says_nothing() {
        let (a, b) = (sha256("a"), sha256("b"));
        for list in [format!("{a}  x.img\n{b}  y.img\n"), format!("{a}\n{b}\n"), "<html>".to_owned(), String::new()] {
            assert_eq!(listed(&list, "noble.img"), None, "{list}");
        }
        assert_eq!(listed(&format!("{a}  not-noble.img\n"), "noble.img"), None);
        assert_eq!(listed("d41d8cd98f00b204e9800998ecf8427e  noble.img", "noble.img"), None, "MD5 proves nothing");
    }
}
