//! The options of the commands that tell what happened: logs, events, why.
//!
//! Knows nothing of where it is written down.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, CommandFactory as _, Subcommand, ValueEnum};

use crate::names::VmName;

/// What tells of what happened.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum Telling {
    /// Tell why a vm is not there yet, or what became of it
    ///
    /// While a run goes on, from another terminal: what the vm waits for, since when, the last answer of each probe, and which
    /// vms wait for it. After the run: how it ended, what was found, and where all of it is kept.
    #[command(after_long_help = "\
Examples:
  vmcompose why web-1")]
    Why(Why),

    /// Show what runs do and what the hypervisor notices, as it happens
    ///
    /// Goes on until Ctrl-C. Runs of this user on this machine are told of, and what happens to the project's vms by whomever: a
    /// vm that crashes, one that virsh stops, an agent that connects.
    #[command(after_long_help = "\
Examples:
  vmcompose events
  vmcompose events --format json | jq -r 'select(.event == \"crashed\").vm'
  vmcompose events --last           # what the last run told")]
    Events(Events),

    /// Show what the vms said on their serial consoles
    ///
    /// Every console is recorded from the vm's start on, whether anybody watches or not; a new start begins a new record, and
    /// `down` removes it with its vm. Lines of several vms are told apart by the name in front. --guest shows the guest's
    /// journal instead. Behind `logs`, -f is --follow, as in Compose; a file is named before it.
    #[command(after_long_help = "\
Examples:
  vmcompose logs -f
  vmcompose logs --tail 50 db
  vmcompose logs --guest --since 10m db web-1")]
    Logs(Logs),
}

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

/// Behind `logs`, `-f` is `--follow`, because everybody types it so. For all other commands it names a file.
pub(super) fn following(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let command = super::Cli::command();
    let takes_value = |word: &str| {
        let known = command.get_arguments().find(|known| {
            let long = known.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long));
            long || known.get_short().is_some_and(|short| word.strip_prefix('-') == Some(short.to_string().as_str()))
        });
        known.is_some_and(|known| known.get_action().takes_values())
    };
    let mut at = 1;
    while let Some(word) = arguments.get(at).and_then(|word| word.to_str()).filter(|word| word.starts_with('-')) {
        at += if takes_value(word) { 2 } else { 1 };
    }
    if arguments.get(at).is_some_and(|word| word == "logs") {
        for word in arguments[at..].iter_mut().filter(|word| *word == "-f") {
            *word = "--follow".into();
        }
    }
    arguments
}
