//! `vmcompose image`: what can be typed behind it.
//!
//! Owns the options of its commands. Knows nothing of what they do.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::TableFormat;
use crate::names::ImageName;

/// What to do with images.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum Image {
    /// Download images, check and unpack them
    ///
    /// Without a name: those of the compose file, and what they gave is written to vmcompose.lock. With names: URLs, files,
    /// or well-known images such as `debian:12`. Prints where each one is.
    #[command(after_long_help = "\
Examples:
  vmcompose image pull
  vmcompose image pull --locked          # in CI: nothing but what vmcompose.lock says
  vmcompose image pull debian:12")]
    Pull(Pull),

    /// Take what the servers have now, and write that to vmcompose.lock
    #[command(after_long_help = "\
Examples:
  vmcompose image update")]
    Update,

    /// Show what the cache has, or which images are known by name
    #[command(
        visible_alias = "ls",
        after_long_help = "\
Examples:
  vmcompose image list
  vmcompose image list --known
  vmcompose image rm $(vmcompose image list -q)
  vmcompose image list --format json | jq -r '.images[].id'"
    )]
    List(List),

    /// Copy a disk image into the cache; `source: import:NAME` refers to it
    #[command(after_long_help = "\
Examples:
  vmcompose image import golden ./golden.qcow2")]
    Import(Import),

    /// Show all that is known of an image of the cache
    #[command(after_long_help = "\
Examples:
  vmcompose image info golden
  vmcompose image info 3f2a9c0d")]
    Info(Info),

    /// Delete images from the cache
    ///
    /// Vms are not touched: the hypervisor has copies of its own. Asks where the compose file of this folder uses an image.
    #[command(after_long_help = "\
Examples:
  vmcompose image rm golden")]
    Rm(Rm),

    /// Delete from the cache what the compose file and its lock file do not refer to
    #[command(after_long_help = "\
Examples:
  vmcompose image prune
  vmcompose image prune --all --yes")]
    Prune(Prune),
}

/// Options of `image pull`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Pull {
    /// URLs, files or well-known names, instead of the compose file's images
    #[arg(value_name = "SOURCE", conflicts_with = "locked")]
    pub sources: Vec<String>,
    /// Refuse what vmcompose.lock does not mention, or what differs from it
    #[arg(long)]
    pub locked: bool,
}

/// Options of `image list`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct List {
    /// For people or for programs
    #[arg(long, default_value = "table")]
    pub format: TableFormat,
    /// The names that can be written for `source`, one per line
    #[arg(long, conflicts_with = "format")]
    pub known: bool,
    /// Ids only
    #[arg(short, long, conflicts_with_all = ["format", "known"])]
    pub quiet: bool,
}

/// Options of `image import`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Import {
    /// What to call it
    pub name: ImageName,
    /// A qcow2 or raw disk image
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
}

/// Options of `image info`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Info {
    /// The name of an import, a URL, or the start of an id
    pub image: String,
    /// For people or for programs
    #[arg(long, default_value = "table")]
    pub format: TableFormat,
}

/// Options of `image rm`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Rm {
    /// Names of imports, URLs, or starts of ids
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// Options of `image prune`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Prune {
    /// Everything, whoever refers to it
    #[arg(long)]
    pub all: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}
