//! The options of the commands that tell what happened: logs, events, why.
//!
//! Knows nothing of where it is written down.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, CommandFactory as _, ValueEnum};

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
