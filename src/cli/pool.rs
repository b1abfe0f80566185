//! `vmcompose pool`: what can be typed behind it.
//!
//! Owns the options of its commands. Knows nothing of what they do.

use clap::{Args, Subcommand};

use super::TableFormat;

/// What to do with the hypervisor's storage pools.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum Pool {
    /// Show all pools of the hypervisor, and how full they are
    #[command(
        visible_alias = "ls",
        after_long_help = "\
Examples:
  vmcompose pool list
  vmcompose pool list -q
  vmcompose pool list --format json | jq '.pools[] | {name, available}'"
    )]
    List(List),

    /// Show a pool, and what projects have in it
    #[command(after_long_help = "\
Examples:
  vmcompose pool info vmcompose-disks")]
    Info(Info),

    /// Add a folder of the hypervisor as a pool; volumes go there with `pool: NAME`
    ///
    /// The folder is made where there is none, and what is in it stays as it is. The pool starts with the hypervisor.
    #[command(after_long_help = "\
Examples:
  vmcompose pool add fast /srv/nvme/vms
  vmcompose pool add nas /srv/nas --nfs nas.example.org:/export/vms")]
    Add(Add),

    /// Make the hypervisor forget a pool; all that is in it stays on its disk
    ///
    /// Refused for the two pools that vmcompose keeps itself, and for pools that a vm or a project uses.
    #[command(after_long_help = "\
Examples:
  vmcompose pool rm fast")]
    Rm(One),

    /// Look anew at what is in a pool, after files were put there by other means
    #[command(after_long_help = "\
Examples:
  vmcompose pool refresh fast")]
    Refresh(One),
}

/// Options of `pool list`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct List {
    /// For people or for programs
    #[arg(long, default_value = "table")]
    pub format: TableFormat,
    /// Names only
    #[arg(short, long, conflicts_with = "format")]
    pub quiet: bool,
}

/// Options of `pool info`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Info {
    /// The pool
    #[arg(value_name = "POOL")]
    pub pool: String,
    /// For people or for programs
    #[arg(long, default_value = "table")]
    pub format: TableFormat,
}

/// Options of `pool add`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Add {
    /// What to call it
    #[arg(value_name = "NAME", value_parser = name)]
    pub name: String,
    /// Its folder on the hypervisor, from the root
    #[arg(value_name = "FOLDER", value_parser = absolute)]
    pub folder: String,
    /// An NFS export that the hypervisor mounts there
    #[arg(long, value_name = "HOST:PATH", value_parser = export)]
    pub nfs: Option<(String, String)>,
}

/// One pool.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct One {
    /// The pool
    #[arg(value_name = "POOL")]
    pub pool: String,
}

/// libvirt takes nearly anything for a name; what `pool:volume` and a shell can tell apart is less.
fn name(text: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.chars().all(legal) && text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        Ok(text.to_owned())
    } else {
        Err("a pool's name is made of letters, digits, `-`, `_` and `.`, and starts with one of the first two"
            .to_owned())
    }
}

fn absolute(text: &str) -> Result<String, String> {
    match text.strip_prefix('/') {
        Some(rest) if !rest.is_empty() => Ok(text.to_owned()),
        _ => Err(format!("`{text}` is not a path from the root, such as `/srv/vms`: the hypervisor knows no other")),
    }
}

fn export(text: &str) -> Result<(String, String), String> {
    match text.rsplit_once(":/") {
        Some((host, path)) if !host.is_empty() => Ok((host.to_owned(), format!("/{path}"))),
        _ => Err(format!("`{text}` is not of the form HOST:PATH")),
    }
}
