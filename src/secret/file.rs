//! Secrets in files.
//!
//! Owns the question who else may read one. The file is opened once, and asked about as it is open: nobody can put another
//! one in its place in between.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::error::Fault;

/// Larger is no secret, and would not fit where it goes.
pub(super) const LONGEST: usize = 1 << 20;

pub(super) fn read(path: &Path, insecure: bool) -> Result<Vec<u8>, Fault> {
    let unreadable = |source: io::Error| Fault::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(unreadable(io::ErrorKind::IsADirectory.into()));
    }
    let mode = metadata.permissions().mode() & 0o7777;
    // A pipe, as `<(…)` makes one, is nobody's to read who is not given it.
    if metadata.is_file() && mode & 0o077 != 0 && !insecure {
        return Err(Fault::Open { path: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    file.take(LONGEST as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > LONGEST { Err(Fault::TooLong { limit: LONGEST }) } else { Ok(bytes) }
}
