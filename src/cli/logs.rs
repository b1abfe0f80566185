//! The options of the commands that tell what happened: logs, events, why.
//!
//! Knows nothing of where it is written down.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::names::VmName;

/// Options of `logs`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Logs {
    /// Go on as the guests go on, until Ctrl-C
    #[arg(long)]
    pub follow: bool,
    /// Only so many of the last lines of each vm
    #[arg(short = 'n', long, value_name = "LINES")]
    pub tail: Option<usize>,
    /// Only what is younger, such as 10m; a serial console has no times, so this needs --guest
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, requires = "guest")]
    pub since: Option<Duration>,
    /// The guest's own journal, through its agent, instead of its console
    #[arg(long)]
    pub guest: bool,
    /// No names in front of the lines
    #[arg(long)]
    pub no_prefix: bool,
    /// Only these; otherwise all
    #[arg(value_name = "VM")]
    pub vms: Vec<VmName>,
}

/// Options of `events`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Events {
    /// Those of the last run, as they were written down, instead of waiting for new ones
    #[arg(long)]
    pub last: bool,
    /// For people, or a line of JSON for each
    #[arg(long, default_value = "text")]
    pub format: EventFormat,
}

/// Options of `why`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Why {
    /// The vm; replicas by their own names
    #[arg(value_name = "VM")]
    pub vm: VmName,
}

/// What an event is shown as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EventFormat {
    /// A line to read
    Text,
    /// A line of JSON
    Json,
}
