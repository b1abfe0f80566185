//! `vmcompose volume`: what can be typed behind it.
//!
//! Owns the options of its commands. Knows nothing of what they do.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use super::{Filter, TableFormat};
use crate::names::VolumeName;

/// What to do with volumes.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum Volume {
    /// Show the volumes and the disks of the vms: how large they are, and who uses them
    #[command(
        visible_alias = "ls",
        after_long_help = "\
Examples:
  vmcompose volume list
  vmcompose volume list --all                # of all projects; no file is needed
  vmcompose volume list --format json | jq '.volumes[] | select(.used_by == []) | .name'"
    )]
    List(List),

    /// Show all that is known of a volume, or of the disk of a vm
    #[command(after_long_help = "\
Examples:
  vmcompose volume info pgdata
  vmcompose volume info db/root")]
    Info(Info),

    /// Delete volumes with all that is on them
    ///
    /// Refused while a vm has them as a disk, whether it runs or not.
    #[command(after_long_help = "\
Examples:
  vmcompose volume rm pgdata
  vmcompose -p shop volume rm --yes pgdata cache")]
    Rm(Rm),

    /// Copy a volume, or the disk of a vm, to a file
    ///
    /// Works the same on a hypervisor elsewhere. A root disk becomes an image that stands alone. The file is there whole
    /// or not at all.
    #[command(after_long_help = "\
Examples:
  vmcompose volume export pgdata pgdata.qcow2
  vmcompose volume export db/root golden.img --format raw")]
    Export(Export),

    /// Make a volume from a file, qcow2 or raw
    ///
    /// Where the compose file has the volume, it goes where that says; `size` there has to be no smaller than the file's.
    #[command(after_long_help = "\
Examples:
  vmcompose volume import pgdata.qcow2 pgdata
  vmcompose volume import --replace backup.qcow2 pgdata")]
    Import(Import),
}

/// Options of `volume list`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct List {
    /// Of all projects
    #[arg(short, long)]
    pub all: bool,
    /// For people or for programs
    #[arg(long, default_value = "table")]
    pub format: TableFormat,
    /// Names only
    #[arg(short, long, conflicts_with = "format")]
    pub quiet: bool,
    /// Only rows that say so: name, kind, used (yes or no), vm, pool; `*` stands for anything, and it may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = super::filter::of_volumes)]
    pub filter: Vec<Filter>,
}

/// Options of `volume info`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Info {
    /// A volume, or VM/DISK
    #[arg(value_name = "VOLUME")]
    pub volume: String,
    /// For people or for programs
    #[arg(long, default_value = "table")]
    pub format: TableFormat,
}

/// Options of `volume rm`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Rm {
    /// Volumes, or VM/DISK of vms that are gone
    #[arg(value_name = "VOLUME", required = true)]
    pub volumes: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// Options of `volume export`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Export {
    /// A volume, or VM/DISK
    #[arg(value_name = "VOLUME")]
    pub volume: String,
    /// The file to write
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub path: PathBuf,
    /// How its bytes are laid out
    #[arg(long, default_value = "qcow2")]
    pub format: FileFormat,
    /// Also while a vm that runs writes it: what comes is what a power cut would have left
    #[arg(long)]
    pub force: bool,
    /// Write over a file that is there
    #[arg(long)]
    pub replace: bool,
}

/// Options of `volume import`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Import {
    /// The file to read
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub path: PathBuf,
    /// The volume to make
    #[arg(value_name = "VOLUME")]
    pub volume: VolumeName,
    /// In place of one that is there: what is on that is lost
    #[arg(long)]
    pub replace: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// How the bytes of a disk are laid out in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    /// QEMU's own format: no larger than what is on it
    Qcow2,
    /// The bytes as they are
    Raw,
}
