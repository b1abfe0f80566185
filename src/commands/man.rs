//! `man`: manual pages, from the same text as `--help`.
//!
//! Owns which pages there are. How one is laid out is the business of `clap_mangen`.

use std::fs;

use clap::CommandFactory;

use crate::cli::{Cli, Man};
use crate::error::{Error, Exit};
use crate::render::output;

/// Writes a page for the program and for each of its commands.
pub(super) fn man(options: &Man) -> Result<Exit, Error> {
    let folder = &options.folder;
    fs::create_dir_all(folder).map_err(|source| Error::Io { path: folder.clone(), source })?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(|source| Error::Io { path: folder.clone(), source })?;
    output::note(&format!("wrote the pages to `{}`; the first is vmcompose.1", folder.display()));
    Ok(Exit::Done)
}
