//! The options of the commands that only look: what to show, and in which format.
//!
//! Knows nothing of what is shown.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::{Choice, Filter};

/// Options of `plan`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Plan {
    /// For people or for programs
    #[arg(long, default_value = "text")]
    pub format: PlanFormat,
    /// End with 10 where there are changes
    #[arg(long)]
    pub exit_code: bool,
    /// Show what `down` would do
    #[arg(long, conflicts_with_all = ["vms", "replace", "force_recreate", "remove_orphans", "refresh_only"])]
    pub destroy: bool,
    /// With --destroy: as `down --volumes`
    #[arg(long, requires = "destroy")]
    pub volumes: bool,
    /// Save the plan for `up --plan`, with --destroy for `down --plan`, which does exactly this or refuses
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "refresh_only")]
    pub out: Option<PathBuf>,
    /// What is meant.
    #[command(flatten)]
    pub choice: Choice,
}

/// Options of `import`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Import {
    /// Which machines, by their names on the hypervisor
    #[arg(value_name = "MACHINE", required_unless_present = "all")]
    pub machines: Vec<String>,
    /// All that belong to no project
    #[arg(long, conflicts_with = "machines")]
    pub all: bool,
    /// Make them vms of the project
    #[arg(long)]
    pub adopt: bool,
    /// Write the file here, never over one that is there. Default: to stdout
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: Option<PathBuf>,
}

/// Options of `ps`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Ps {
    /// For people or for programs
    #[arg(long, default_value = "table")]
    pub format: TableFormat,
    /// Names only
    #[arg(short, long, conflicts_with = "format")]
    pub quiet: bool,
    /// Also vms that do not run or do not exist
    #[arg(short, long)]
    pub all: bool,
    /// Only rows that say so: name, status, health, label (KEY or KEY=VALUE), image; `*` stands for anything, and it may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = super::filter::of_vms)]
    pub filter: Vec<Filter>,
}

/// Options of `ls`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Ls {
    /// For people or for programs
    #[arg(long, default_value = "table")]
    pub format: TableFormat,
    /// Names only
    #[arg(short, long, conflicts_with = "format")]
    pub quiet: bool,
    /// Also projects without a vm that runs, such as those that have only volumes left
    #[arg(short, long)]
    pub all: bool,
    /// Only rows that say so: name, or the status or health of one of its vms; `*` stands for anything, and it may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = super::filter::of_projects)]
    pub filter: Vec<Filter>,
}

/// Options of `config`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Config {
    /// In which language
    #[arg(long, default_value = "yaml")]
    pub format: ConfigFormat,
    /// Check only, print nothing
    #[arg(short, long)]
    pub quiet: bool,
    /// One part instead of the whole.
    #[command(flatten)]
    pub part: Part,
}

/// One part of the file: names, one per line.
#[derive(Debug, Clone, PartialEq, Args)]
#[group(multiple = false)]
#[expect(clippy::struct_excessive_bools, reason = "one flag each on the command line; clap allows one at a time")]
pub struct Part {
    /// Names of the vms only
    #[arg(long)]
    pub vms: bool,
    /// Names of the images only
    #[arg(long)]
    pub images: bool,
    /// Names of the networks only
    #[arg(long)]
    pub networks: bool,
    /// Names of the volumes only
    #[arg(long)]
    pub volumes: bool,
    /// Names of the profiles only
    #[arg(long)]
    pub profiles: bool,
}

/// Options of `validate`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Validate {
    /// For people, or for programs: then what is wrong goes to stdout
    #[arg(long, default_value = "text")]
    pub format: PlanFormat,
}

/// Options of `schema`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Schema {
    /// For editors, or for people; what is printed for people is the compose file's language
    #[arg(long, default_value = "json")]
    pub format: SchemaFormat,
    /// Of what
    #[arg(long, value_name = "WHAT", default_value = "file", conflicts_with = "format")]
    pub of: SchemaOf,
}

/// Options of `graph`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Graph {
    /// As text, for Graphviz, for Markdown, or as a picture
    #[arg(long, default_value = "text")]
    pub format: GraphFormat,
}

/// Formats of a plan, and of what is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// For people
    Text,
    /// For programs; versioned
    Json,
}

/// Formats of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// For people
    Table,
    /// For programs; versioned
    Json,
    /// The same as YAML
    Yaml,
}

/// Formats of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConfigFormat {
    /// As the file is written
    Yaml,
    /// For programs
    Json,
}

/// Formats of the language's description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaFormat {
    /// JSON Schema, 2020-12
    Json,
    /// Every key with type, default and example
    Markdown,
}

/// What has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// The compose file
    File,
    /// What `plan --format json` prints
    Plan,
}

/// Formats of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// For people, wave by wave
    Text,
    /// For Graphviz
    Dot,
    /// For Markdown
    Mermaid,
    /// A picture
    Svg,
}
