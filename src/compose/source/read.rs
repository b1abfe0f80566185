//! One file's text.
//!
//! Owns how much is read and what counts as text. Knows nothing of YAML.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// The largest file that is read.
pub(super) const LARGEST: u64 = 16 << 20;

/// Reads a text in UTF-8, or standard input for `-`. A byte order mark is left out. The error is a fragment for people.
pub(super) fn text(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes)
    } else {
        regular(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| cannot(&error))?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("the file has more than {} MiB; a compose file is never that large", LARGEST >> 20));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = String::from_utf8_lossy(&error.as_bytes()[..good]).matches('\n').count() + 1;
        format!("not UTF-8 text: a stray byte in line {line}")
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// Opens a file; refuses folders, and devices and pipes that would never end.
fn regular(path: &Path) -> io::Result<File> {
    // Looked at before it is opened: opening a pipe waits for whoever writes to it, perhaps for ever.
    let kind = fs::metadata(path)?.file_type();
    if kind.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
    }
    // The shell's `<(…)` is a pipe as well, but one with somebody at its other end.
    let given = ["/dev/fd", "/dev/stdin", "/proc/self/fd"].iter().any(|given| path.starts_with(given));
    if !kind.is_file() && !given {
        return Err(io::Error::other("it is no regular file"));
    }
    File::open(path)
}

fn cannot(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder, not a file".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}
