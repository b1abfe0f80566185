//! The options of commands for the day: waiting, running a command in a vm that is started for it, scaling, ports.
//!
//! Knows nothing of how that is done.

use std::str::FromStr;

use clap::{Args, ValueEnum};

use super::{Run, TableFormat};
use crate::names::VmName;
use crate::units::Span;

/// Options of `wait`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Wait {
    /// The vms, replicas by their own or their common name; all that have one where none is named and a healthcheck is waited for
    #[arg(value_name = "VM")]
    pub vms: Vec<VmName>,
    /// What is waited for
    #[arg(long = "for", value_name = "WHAT", default_value = "healthy")]
    pub until: Until,
    /// How long at most, instead of each healthcheck's own patience; an hour for what has none
    #[arg(short, long, value_name = "DURATION")]
    pub timeout: Option<Span>,
}

/// What can be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Until {
    /// The healthcheck passes
    Healthy,
    /// The vm did its work and powered itself off
    Completed,
    /// The vm is off, whatever the reason
    Stopped,
}

/// Options of `run`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct RunCommand {
    /// The vm; replicas by their own names
    #[arg(value_name = "VM")]
    pub vm: VmName,
    /// The program and its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
    /// Let what was started run on
    #[arg(long)]
    pub keep: bool,
}

/// Options of `scale`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Scale {
    /// A vm that has `replicas` in the file, and how many there shall be
    #[arg(value_name = "VM=N", required = true)]
    pub vms: Vec<Replicas>,
    /// Do not ask, also where data is deleted
    #[arg(short, long)]
    pub yes: bool,
    /// Only these, not the vms that they depend on
    #[arg(long)]
    pub no_deps: bool,
    /// How it is carried out.
    #[command(flatten)]
    pub run: Run,
}

/// How many there shall be of a vm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replicas {
    /// Its name in the file.
    pub vm: VmName,
    /// How many.
    pub count: u32,
}

impl FromStr for Replicas {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("`{text}` is not of the form VM=N, such as `api=3`");
        let (vm, count) = text.split_once('=').ok_or_else(form)?;
        let vm = VmName::new(vm).map_err(|error| format!("`{vm}`: {error}"))?;
        Ok(Self { vm, count: count.parse().map_err(|_| form())? })
    }
}

/// Options of `port`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Port {
    /// The vm; replicas by their own names
    #[arg(value_name = "VM")]
    pub vm: VmName,
    /// A port of the guest; all that are published where none is given
    #[arg(value_name = "PORT")]
    pub port: Option<u16>,
    /// Of UDP
    #[arg(long)]
    pub udp: bool,
    /// For people or for programs
    #[arg(long, default_value = "table")]
    pub format: TableFormat,
}

/// Options of `version`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Version {
    /// For people or for programs
    #[arg(long, default_value = "table")]
    pub format: TableFormat,
}
