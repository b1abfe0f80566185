//! `vmcompose network`: what can be typed behind it.
//!
//! Owns the options of its commands. Knows nothing of what they do.

use clap::{Args, Subcommand};

use super::{Filter, TableFormat};
use crate::names::NetworkName;

/// What to do with networks.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum Network {
    /// Show the project's networks: how they reach the outside, their addresses, who is on them
    #[command(
        visible_alias = "ls",
        after_long_help = "\
Examples:
  vmcompose network list
  vmcompose network list --format json | jq -r '.networks[].subnet'"
    )]
    List(NetworkList),

    /// Show all that is known of a network: addresses and names of its vms, what it hands out
    #[command(after_long_help = "\
Examples:
  vmcompose network info front
  vmcompose network info front --format yaml")]
    Info(NetworkInfo),

    /// Print what lets this host find the vms by name; changes nothing itself
    ///
    /// The default is for systemd-resolved: questions about the project's domain go to its networks' own name servers,
    /// until the network is gone, the host restarts, or what --undo prints is run. --hosts prints lines for /etc/hosts
    /// instead.
    #[command(after_long_help = "\
Examples:
  vmcompose network dns | sudo sh              # then: ping db.shop.internal
  vmcompose network dns --undo | sudo sh
  vmcompose network dns --hosts")]
    Dns(NetworkDns),
}

/// Options of `network list`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct NetworkList {
    /// For people or for programs
    #[arg(long, default_value = "table")]
    pub format: TableFormat,
    /// Names only
    #[arg(short, long, conflicts_with = "format")]
    pub quiet: bool,
    /// Only rows that say so: name, status, mode, vm; `*` stands for anything, and it may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = super::filter::of_networks)]
    pub filter: Vec<Filter>,
}

/// Options of `network info`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct NetworkInfo {
    /// The network
    #[arg(value_name = "NETWORK")]
    pub network: NetworkName,
    /// For people or for programs
    #[arg(long, default_value = "table")]
    pub format: TableFormat,
}

/// Options of `network dns`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct NetworkDns {
    /// Print what takes it back
    #[arg(long, conflicts_with = "hosts")]
    pub undo: bool,
    /// Print lines for /etc/hosts
    #[arg(long)]
    pub hosts: bool,
}
