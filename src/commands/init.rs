//! `init`: a commented file to start from.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use crate::cli::Global;
use crate::error::{Error, Exit};
use crate::render::output;

const STARTER: &str = include_str!("starter.yaml");

/// Writes the starter file; never over one that is there.
pub(super) fn init(global: &Global) -> Result<Exit, Error> {
    let path = global.file.first().cloned().unwrap_or_else(|| PathBuf::from("vmcompose.yaml"));
    // `create_new` looks and creates in one step, so that not even a race overwrites a file.
    let mut file = match OpenOptions::new().write(true).create_new(true).open(&path) {
        Ok(file) => file,
        Err(source) if source.kind() == ErrorKind::AlreadyExists => {
            return Err(Error::Missing {
                what: format!("`{}` is there already", path.display()),
                hint: "`vmcompose -f OTHER init` writes a starter file under another name".to_owned(),
            });
        }
        Err(source) => return Err(Error::Io { path, source }),
    };
    file.write_all(STARTER.as_bytes()).map_err(|source| Error::Io { path: path.clone(), source })?;
    output::note(&format!("wrote `{}`; look at it, then `vmcompose plan`", path.display()));
    Ok(Exit::Done)
}
