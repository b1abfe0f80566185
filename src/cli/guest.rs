//! The options of the commands that go into a guest.
//!
//! Knows nothing of the ways there.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use crate::names::VmName;

/// Options of `exec`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Exec {
    /// Give the command stdin, which is read to its end first
    #[arg(short, long)]
    pub interactive: bool,
    /// Refused, with the way to a terminal: the guest agent has none
    #[arg(short, long)]
    pub tty: bool,
    /// The vm; replicas by their own names
    #[arg(value_name = "VM")]
    pub vm: VmName,
    /// The program and its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// Options of `ssh`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Ssh {
    /// Log in to this account
    #[arg(short, long, value_name = "USER")]
    pub login: Option<String>,
    /// Give the command a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// The vm; replicas by their own names
    #[arg(value_name = "VM")]
    pub vm: VmName,
    /// A command for the guest's shell; without one, the shell itself
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// Options of `ssh-config`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct SshConfig {
    /// Only these; otherwise all that have an address
    #[arg(value_name = "VM")]
    pub vms: Vec<VmName>,
}

/// Options of `cp`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Cp {
    /// What is copied: VM:PATH, a path of this machine, or `-`
    #[arg(value_name = "SRC", value_hint = ValueHint::AnyPath)]
    pub source: Place,
    /// Where to: VM:PATH, a path of this machine, or `-`
    #[arg(value_name = "DST", value_hint = ValueHint::AnyPath)]
    pub target: Place,
    /// The way: ssh, or the guest agent. Default: ssh where it answers
    #[arg(long, value_name = "HOW")]
    pub via: Option<Via>,
}

/// Options of `console`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Console {
    /// Take the console from whoever has it open
    #[arg(long)]
    pub force: bool,
    /// The vm; replicas by their own names
    #[arg(value_name = "VM")]
    pub vm: VmName,
}

/// Ways into a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Via {
    /// Over the network, as the account of `vmcompose ssh`
    Ssh,
    /// Through the guest agent, as root
    Agent,
}

/// One end of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A path of a guest.
    Guest(VmName, String),
    /// A path of this machine.
    Here(PathBuf),
    /// Stdin or stdout, as a tar archive.
    Stream,
}

impl std::str::FromStr for Place {
    type Err = String;

    /// What is before the first `:` is a vm, unless there is a `/` in it: `./a:b` is a path.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            _ if text == "-" => Ok(Self::Stream),
            _ if text.is_empty() => Err("a path must not be empty".to_owned()),
            Some((vm, path)) if !vm.is_empty() && !vm.contains('/') => {
                let name = vm.parse().map_err(|error| format!("{error}; a path with `:` is written `./{text}`"))?;
                if path.is_empty() {
                    return Err(format!(
                        "`{text}` has no path; write `{text}/`, or `{text}.` for the account's folder"
                    ));
                }
                Ok(Self::Guest(name, path.to_owned()))
            }
            _ => Ok(Self::Here(PathBuf::from(text))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vm_stands_before_a_colon_and_a_path_may_have_one_after_a_slash() {
        let place = |text: &str| text.parse::<Place>();
        let vm = VmName::new("web-1").expect("legal");
        assert_eq!(place("web-1:/etc/a:b"), Ok(Place::Guest(vm, "/etc/a:b".to_owned())));
        assert_eq!(place("./a:b"), Ok(Place::Here("./a:b".into())));
        assert_eq!(place("/a"), Ok(Place::Here("/a".into())));
        assert_eq!(place("-"), Ok(Place::Stream));
        assert!(place("Web:/a").expect_err("no vm").contains("`./Web:/a`"));
        assert!(place("web:").expect_err("no path").contains("has no path"));
    }
}
