//! The options that every command has.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum, ValueHint};

use crate::names::ProjectName;

/// Options that every command has, before or after its name.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// A compose file; given again, later ones are merged over earlier ones
    #[arg(short, long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Vec<PathBuf>,

    /// Name of the project, instead of `VMCOMPOSE_PROJECT` and the file's
    #[arg(short, long, global = true, value_name = "NAME")]
    pub project: Option<ProjectName>,

    /// Hypervisor, as a libvirt URI such as `qemu:///system`; otherwise libvirt chooses, by `LIBVIRT_DEFAULT_URI` and
    /// libvirt.conf
    #[arg(short, long, global = true, value_name = "URI")]
    pub connect: Option<String>,

    /// A value for `vars`; beats the file and --var-file
    #[arg(long, global = true, value_name = "NAME=VALUE", value_parser = assignment)]
    pub var: Vec<(String, String)>,

    /// A YAML file of values for `vars`
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub var_file: Vec<PathBuf>,

    /// A file of NAME=VALUE lines for `${NAME}`, instead of .env
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub env_file: Vec<PathBuf>,

    /// A profile to switch on, '*' for all; without it, those of `VMCOMPOSE_PROFILES`, between commas. Vms without a profile
    /// are always on
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Vec<String>,

    /// How progress is shown, on stderr: auto, fancy (lines that change in place), plain (a line per event), json (the
    /// events themselves) or quiet
    #[arg(long, global = true, value_name = "HOW", default_value = "auto", hide_possible_values = true)]
    pub progress: Progress,

    /// Say more: the hypervisor's own words in errors
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,

    /// When to use colours: auto (on a terminal, unless `NO_COLOR` is set), always or never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    pub color: Color,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// fancy on a terminal, plain elsewhere
    Auto,
    /// A line per resource that changes in place
    Fancy,
    /// A line per event
    Plain,
    /// Every event as a line of JSON
    Json,
    /// Not at all; errors are still shown
    Quiet,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not of the form NAME=VALUE")),
    }
}
