//! What of a project a plan is about, and what it does beyond what the file asks for: the same for `plan` and `up`.
//!
//! Knows nothing of what a plan is.

use clap::Args;

use crate::names::VmName;

/// What a plan is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Choice {
    /// The vms that are meant, with what they depend on; all where none is named
    #[arg(value_name = "VM")]
    pub vms: Vec<VmName>,
    /// Only these, not the vms that they depend on
    #[arg(long, requires = "vms")]
    pub no_deps: bool,
    /// Make this vm anew, with new disks of its own, though nothing of it changed; may be given several times
    #[arg(long, value_name = "VM")]
    pub replace: Vec<VmName>,
    /// Make all these vms anew; where none is named, those that vmcompose made
    #[arg(long, conflicts_with = "replace")]
    pub force_recreate: bool,
    /// Keep what others changed: record it, put nothing back, and do nothing else. Needs no compose file
    #[arg(long, conflicts_with_all = ["vms", "replace", "force_recreate", "remove_orphans"])]
    pub refresh_only: bool,
    /// Delete what the file no longer has
    #[arg(long, conflicts_with = "vms")]
    pub remove_orphans: bool,
}
