//! `vmcompose snapshot`: what can be typed behind it.
//!
//! Owns the options of its commands. Knows nothing of what they do.

use std::num::NonZeroUsize;

use clap::{Args, Subcommand};

use super::TableFormat;
use crate::names::{SnapshotName, VmName};

/// What to do with snapshots of the project.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum Snapshot {
    /// Take the whole project as it is now, at one instant
    ///
    /// All vms that run are held, all are taken, all go on; how long they were held is shown. With what they have in memory,
    /// unless --no-memory is given, and with their named volumes. When one vm fails, or on Ctrl-C, what was taken of the
    /// others is deleted again. It is kept inside the vms' qcow2 disks, and goes when they go.
    #[command(after_long_help = "\
Examples:
  vmcompose snapshot create before-upgrade --description 'postgres 15, all tests pass'
  vmcompose snapshot create disks --no-memory --freeze     # guests flush their files first
  vmcompose snapshot create db-only db")]
    Create(Create),

    /// Show the snapshots, the oldest first
    #[command(
        visible_alias = "ls",
        after_long_help = "\
Examples:
  vmcompose snapshot list
  vmcompose -p shop snapshot list --format json | jq -r '.snapshots[].name'"
    )]
    List(List),

    /// Show a snapshot: each vm in it, and how it was
    #[command(after_long_help = "\
Examples:
  vmcompose snapshot show before-upgrade")]
    Show(Show),

    /// Put the vms back to how they were: disks, memory, definition; those that ran go on together
    ///
    /// What is now is taken as a snapshot first, so that this can be undone; its name is told. The clocks of guests with an
    /// agent are set. Vms whose memory was not kept are booted. Vms that are not in the snapshot stay as they are.
    #[command(after_long_help = "\
Examples:
  vmcompose snapshot restore before-upgrade
  vmcompose snapshot restore before-upgrade db
  vmcompose snapshot restore before-upgrade --no-safety --yes")]
    Restore(Restore),

    /// Delete snapshots; the vms stay as they are
    #[command(
        visible_alias = "rm",
        after_long_help = "\
Examples:
  vmcompose snapshot delete before-upgrade
  vmcompose snapshot delete --yes monday tuesday"
    )]
    Delete(Delete),

    /// Delete all snapshots but the newest
    #[command(after_long_help = "\
Examples:
  vmcompose snapshot prune --keep 3")]
    Prune(Prune),
}

/// Options of `snapshot create`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Create {
    /// Its name
    #[arg(value_name = "NAME")]
    pub name: SnapshotName,
    /// The vms, replicas by their own names; all where none is named
    #[arg(value_name = "VM")]
    pub vms: Vec<VmName>,
    /// What it is good for
    #[arg(short, long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub description: String,
    /// Take the disks alone: a vm that runs now is booted after it is restored
    #[arg(long)]
    pub no_memory: bool,
    /// Have the guests' agents bring their file systems to rest first; with memory that is of no use
    #[arg(long, requires = "no_memory")]
    pub freeze: bool,
}

/// Options of `snapshot list`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct List {
    /// For people or for programs
    #[arg(long, default_value = "table")]
    pub format: TableFormat,
    /// Names only
    #[arg(short, long, conflicts_with = "format")]
    pub quiet: bool,
}

/// Options of `snapshot show`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Show {
    /// Which
    #[arg(value_name = "SNAPSHOT")]
    pub snapshot: SnapshotName,
    /// For people or for programs
    #[arg(long, default_value = "table")]
    pub format: TableFormat,
}

/// Options of `snapshot restore`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Restore {
    /// Which
    #[arg(value_name = "SNAPSHOT")]
    pub snapshot: SnapshotName,
    /// The vms, replicas by their own names; all that are in it where none is named
    #[arg(value_name = "VM")]
    pub vms: Vec<VmName>,
    /// Take the disks alone first: where this fails or is undone, vms that run now are booted
    #[arg(long, conflicts_with = "no_safety")]
    pub no_memory: bool,
    /// Do not take what is now first: then it is lost
    #[arg(long)]
    pub no_safety: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// Options of `snapshot delete`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Delete {
    /// Which
    #[arg(value_name = "SNAPSHOT", required = true)]
    pub snapshots: Vec<SnapshotName>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// Options of `snapshot prune`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Prune {
    /// How many stay
    #[arg(long, value_name = "N")]
    pub keep: NonZeroUsize,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}
