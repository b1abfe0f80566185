//! The options of the commands that start, stop and hold vms.
//!
//! Knows nothing of how that is done.

use clap::Args;

use crate::names::VmName;
use crate::units::Span;

/// Options of `start` and `unpause`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Forwards {
    /// The vms, replicas by their own names; all where none is named
    #[arg(value_name = "VM")]
    pub vms: Vec<VmName>,
    /// Only these, not what they depend on
    #[arg(long)]
    pub no_deps: bool,
}

/// Options of `pause` and `kill`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Backwards {
    /// The vms, replicas by their own names; all where none is named
    #[arg(value_name = "VM")]
    pub vms: Vec<VmName>,
    /// Those that depend on them too
    #[arg(long)]
    pub with_dependents: bool,
}

/// Options of `stop`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Stop {
    /// Which.
    #[command(flatten)]
    pub vms: Backwards,
    /// Time that guests get to shut down, instead of each one's `stop_grace_period`
    #[arg(short, long, value_name = "DURATION")]
    pub timeout: Option<Span>,
}

/// Options of `restart`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Restart {
    /// The vms, replicas by their own names; all where none is named
    #[arg(value_name = "VM")]
    pub vms: Vec<VmName>,
    /// Those that depend on them too
    #[arg(long, conflicts_with = "no_deps")]
    pub with_dependents: bool,
    /// Only these, not those that say `restart: true` of them
    #[arg(long)]
    pub no_deps: bool,
    /// Time that guests get to shut down, instead of each one's `stop_grace_period`
    #[arg(short, long, value_name = "DURATION")]
    pub timeout: Option<Span>,
}
