//! The projects of a hypervisor as a table, as JSON and as YAML.
//!
//! Owns what is told of a project and its shape. What is true of its vms was found out before.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::cli::TableFormat;
use crate::names::ProjectName;
use crate::render::layout::{Text, columns};
use crate::render::style::{Palette, paint};
use crate::render::table::{self, Health, State, VmStatus};

/// Version of the shape for programs. Fields may be added without a new version; none is renamed or removed.
pub const VERSION: u32 = 1;

/// One project as it is now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProjectStatus {
    /// Its name.
    pub project: ProjectName,
    /// How many of its vms are in which state.
    pub vms: BTreeMap<State, usize>,
    /// How many of its vms are how healthy.
    pub health: BTreeMap<Health, usize>,
    /// How many named volumes it has.
    pub volumes: usize,
    /// Time since the first of its vms was made, in whole seconds.
    #[serde(rename = "age_s", serialize_with = "table::seconds")]
    pub age: Option<Duration>,
}

impl ProjectStatus {
    /// Counts the vms of a project.
    pub fn of(project: ProjectName, vms: &[VmStatus], volumes: usize) -> Self {
        let mut counted = Self { project, vms: BTreeMap::new(), health: BTreeMap::new(), volumes, age: None };
        for vm in vms {
            *counted.vms.entry(vm.state).or_default() += 1;
            *counted.health.entry(vm.health).or_default() += 1;
            counted.age = counted.age.max(vm.age);
        }
        counted
    }
}

#[derive(Serialize)]
struct Shape<'a> {
    version: u32,
    projects: &'a [ProjectStatus],
}

/// The projects in a format. JSON and YAML have this shape:
///
/// ```json
/// {
///   "version": 1,
///   "projects": [ {
///     "project": "shop",
///     "vms": { "running": 3, "stopped": 1 },
///     "health": { "healthy": 2, "unknown": 1, "none": 1 },
///     "volumes": 1,
///     "age_s": 62
///   } ]
/// }
/// ```
///
/// A state or a health that no vm has is left out. The words are those of `ps`.
pub fn projects(rows: &[ProjectStatus], format: TableFormat, palette: &Palette) -> String {
    let shape = Shape { version: VERSION, projects: rows };
    match format {
        TableFormat::Table => lines(rows, palette),
        TableFormat::Json => format!("{}\n", serde_json::to_string_pretty(&shape).expect("every key is a string")),
        TableFormat::Yaml => serde_yaml::to_string(&shape).expect("every key is a string"),
    }
}

/// Names only, one per line, for scripts.
pub fn names(rows: &[ProjectStatus]) -> String {
    let mut text = Text::default();
    for row in rows {
        text.line(format_args!("{}", row.project));
    }
    text.end()
}

fn lines(rows: &[ProjectStatus], palette: &Palette) -> String {
    let header = ["PROJECT", "VMS", "HEALTH", "VOLUMES", "AGE"].map(|name| paint(palette.faint, name)).to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(header).chain(rows.iter().map(|row| line(row, palette))).collect();
    columns(&rows)
}

fn line(row: &ProjectStatus, palette: &Palette) -> Vec<String> {
    let none = || "-".to_owned();
    let state = |(state, count): (&State, &usize)| {
        let style = if *state == State::Crashed { palette.bad } else { palette.good };
        paint(style, format_args!("{count} {}", state.as_str()))
    };
    let health = |(health, count): (&Health, &usize)| {
        let style = match health {
            Health::Unhealthy => palette.bad,
            Health::Starting => palette.busy,
            Health::Healthy | Health::Unknown | Health::None => palette.good,
        };
        (*health != Health::None).then(|| paint(style, format_args!("{count} {}", health.as_str())))
    };
    let joined = |parts: Vec<String>| if parts.is_empty() { none() } else { parts.join(", ") };
    vec![
        paint(palette.strong, &row.project),
        joined(row.vms.iter().map(state).collect()),
        joined(row.health.iter().filter_map(health).collect()),
        if row.volumes == 0 { none() } else { row.volumes.to_string() },
        row.age.map_or_else(none, table::age),
    ]
}
