//! The commands that look at what vms do and are made of: `stats`, `top`, `images`.
//!
//! Knows nothing of how that is found out.

use clap::{Args, Subcommand};

use super::{Filter, TableFormat};
use crate::names::VmName;

/// What looks at vms more closely than `ps`.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum Looking {
    /// Show what the vms that run take: processor, memory, disk, network
    ///
    /// On a terminal until Ctrl-C, every second anew; elsewhere once. 100% is one processor of the host; memory is what
    /// the vm holds of the host's, its emulator's own included. Disk and network are counted since the vm started.
    #[command(after_long_help = "\
Examples:
  vmcompose stats
  vmcompose stats --no-stream db api-1
  vmcompose stats --format json | jq '.vms[] | {vm, cpu_percent}'")]
    Stats(Stats),

    /// Show the processes in a vm, through its guest agent
    ///
    /// What `ps` in the guest says, the busiest first where that can sort. Arguments behind `--` are given to it instead.
    #[command(after_long_help = "\
Examples:
  vmcompose top db
  vmcompose top db -- -u postgres -o pid,etime,args")]
    Top(Top),

    /// Show the images that the project's vms are on, as the hypervisor has them
    ///
    /// What this machine has downloaded is `image list`.
    #[command(after_long_help = "\
Examples:
  vmcompose images
  vmcompose images --filter vm=db --format json | jq -r '.images[].digest'")]
    Images(Images),
}

/// Options of `images`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Images {
    /// For people or for programs
    #[arg(long, default_value = "table")]
    pub format: TableFormat,
    /// Names only
    #[arg(short, long, conflicts_with = "format")]
    pub quiet: bool,
    /// Only rows that say so: name, vm, format; `*` stands for anything, and it may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = super::filter::of_images)]
    pub filter: Vec<Filter>,
}

/// Options of `stats`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Stats {
    /// Only these, whether they run or not, replicas by their own or their common name; otherwise all that run
    #[arg(value_name = "VM")]
    pub vms: Vec<VmName>,
    /// Once, and not again and again
    #[arg(long)]
    pub no_stream: bool,
    /// Also vms that do not run
    #[arg(short, long)]
    pub all: bool,
    /// For people or for programs; for programs it is told once
    #[arg(long, default_value = "table")]
    pub format: TableFormat,
}

/// Options of `top`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Top {
    /// The vm; replicas by their own names
    #[arg(value_name = "VM")]
    pub vm: VmName,
    /// Arguments of the guest's `ps`
    #[arg(value_name = "ARGUMENT", last = true)]
    pub arguments: Vec<String>,
    /// For people or for programs
    #[arg(long, default_value = "table")]
    pub format: TableFormat,
}
