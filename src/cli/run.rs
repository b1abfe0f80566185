//! Options of what carries a plan out, and of what undoes one.
//!
//! Owns what can be typed. What it means for a run is the engine's.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};

use super::{Choice, TableFormat};

/// How a run is carried out.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Run {
    /// How many calls of the hypervisor are under way at once
    #[arg(long, value_name = "N")]
    pub parallel: Option<NonZeroUsize>,
    /// How long all of it may take, such as 90s or 10m; then it counts as failed
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub timeout: Option<Duration>,
    /// Write a page on which each step of the run stands on an axis of time, to be looked at in a browser
    #[arg(long, value_name = "FILE.html", value_hint = ValueHint::FilePath)]
    pub timings: Option<PathBuf>,
}

/// Options of `up`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Up {
    /// Do not ask, also where data is deleted
    #[arg(short, long)]
    pub yes: bool,
    /// What is meant.
    #[command(flatten)]
    pub choice: Choice,
    /// Carry out a plan that `plan --out` saved, or nothing where it would be another one by now
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    #[arg(conflicts_with_all = ["vms", "replace", "force_recreate", "remove_orphans", "refresh_only"])]
    pub plan: Option<PathBuf>,
    /// Refuse images that vmcompose.lock does not mention, or that differ from it
    #[arg(long)]
    pub locked: bool,
    /// What a failure or an interrupt entails
    #[arg(long, value_name = "WHAT", default_value = "rollback")]
    pub on_failure: OnFailure,
    /// What decides when a vm may start
    #[arg(long, value_name = "HOW", default_value = "ready")]
    pub schedule: Schedule,
    /// Go on with a run that was cut short as if it were this one: a failure undoes both
    #[arg(long)]
    pub resume: bool,
    /// How it is carried out.
    #[command(flatten)]
    pub run: Run,
}

/// Options of `down`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Down {
    /// Delete the named volumes too, with all that is on them
    #[arg(long)]
    pub volumes: bool,
    /// Carry out a plan that `plan --destroy --out` saved, or nothing where it would be another one by now
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "volumes")]
    pub plan: Option<PathBuf>,
    /// Do not ask, also where data is deleted
    #[arg(short, long)]
    pub yes: bool,
    /// How it is carried out.
    #[command(flatten)]
    pub run: Run,
}

/// What a failure entails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnFailure {
    /// Everything stops, and all that this run did is undone
    Rollback,
    /// Everything stops, and what this run did in the failed wave and behind it is undone
    RollbackWave,
    /// What does not depend on the failed vm goes on; the vm and what depends on it is undone
    RollbackVm,
    /// Everything stops and is left as it is
    Keep,
    /// What does not depend on the failed vm goes on; nothing is undone
    Continue,
}

/// What decides when a vm may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Schedule {
    /// Each one as soon as what it waits for itself is there
    Ready,
    /// One wave after the other: nothing of the next one starts before all of it is healthy
    Waves,
}

/// Options of `doctor`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Doctor {
    /// For people or for programs
    #[arg(long, default_value = "table")]
    pub format: TableFormat,
}

/// Options of `recover`.
#[derive(Debug, Clone, PartialEq, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Recover {
    /// Show the runs that came to no good end, of all projects and hypervisors, and change nothing
    #[arg(long, conflicts_with_all = ["all", "force", "yes"])]
    pub list: bool,
    /// With --list: for people or for programs
    #[arg(long, default_value = "table", requires = "list")]
    pub format: TableFormat,
    /// The runs of all projects on the hypervisor; needs no compose file
    #[arg(long, conflicts_with = "run")]
    pub all: bool,
    /// Only this run, by the name that --list shows
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// Undo also what was changed after the run, and forget a journal that cannot be read
    #[arg(long)]
    pub force: bool,
    /// Do not ask, also where data is deleted
    #[arg(short, long)]
    pub yes: bool,
}
