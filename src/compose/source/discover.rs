//! Which compose files there are.
//!
//! Owns the names that are looked for, and where. Reads nothing.

use std::path::{Path, PathBuf};

use super::Request;
use crate::compose::diagnostic::Diagnostic;

const NAMES: [&str; 2] = ["vmcompose.yaml", "vmcompose.yml"];
const OVERRIDES: [&str; 2] = ["vmcompose.override.yaml", "vmcompose.override.yml"];

/// The files that the user named, else the one in this folder or the nearest above, with its override file.
pub(super) fn entry_files(request: &Request) -> Result<Vec<PathBuf>, Diagnostic> {
    if !request.files.is_empty() {
        return Ok(request.files.iter().map(|file| absolute(request, file)).collect());
    }
    let Some(found) = request.directory.ancestors().find_map(|folder| present(folder, NAMES)) else {
        return Err(Diagnostic::error(format!(
            "no `{}` in `{}` or any folder above it",
            NAMES[0],
            request.directory.display()
        ))
        .hint("go to the project's folder, or name the file with `-f FILE`"));
    };
    let folder = found.parent().unwrap_or(Path::new(""));
    let more = present(folder, OVERRIDES);
    Ok(std::iter::once(found.clone()).chain(more).collect())
}

fn present(folder: &Path, names: [&str; 2]) -> Option<PathBuf> {
    names.into_iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

fn absolute(request: &Request, file: &Path) -> PathBuf {
    if file == Path::new("-") { file.to_path_buf() } else { request.directory.join(file) }
}
