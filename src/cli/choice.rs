//! Options that are one of a few words.
//!
//! Owns the words and their help. What a choice leads to is not known here.

use clap::ValueEnum;

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

/// Formats of a plan.
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
