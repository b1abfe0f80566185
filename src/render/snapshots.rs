//! Snapshots as a table, as JSON and as YAML.
//!
//! Owns what is told of a snapshot and its shape. What is true of it was found out before.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::cli::TableFormat;
use crate::model::{Moment, Snapshot, Was};
use crate::names::{ProjectName, SnapshotName, VmName};
use crate::render::layout::{Text, columns, tame};
use crate::render::style::{Palette, paint};
use crate::render::table;
use crate::render::words::list;

/// Version of the shape for programs. Fields may be added without a new version; none is renamed or removed.
pub const VERSION: u32 = 1;

/// Names in one line; the rest are counted.
const MOST: usize = 4;

/// A snapshot as it is now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SnapshotStatus {
    /// Its name.
    pub name: SnapshotName,
    /// What the user said of it.
    pub description: String,
    /// When it was taken, in seconds since 1970-01-01 UTC.
    pub taken_at: u64,
    /// Time since then, in whole seconds.
    #[serde(rename = "age_s", serialize_with = "table::seconds")]
    pub age: Option<Duration>,
    /// The snapshot before whose restoring it was taken.
    pub before: Option<SnapshotName>,
    /// Whether every vm that was taken is still in it.
    pub complete: bool,
    /// Its vms.
    pub vms: Vec<Part>,
}

/// A vm in a snapshot.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    /// Its name.
    pub vm: VmName,
    /// How it was; `None` where it is in the snapshot no more.
    pub was: Option<Was>,
    /// Whether what it had in memory is kept.
    pub memory: bool,
}

impl SnapshotStatus {
    /// What there is of a snapshot.
    pub fn of(snapshot: &Snapshot, kept: &BTreeMap<VmName, Moment>, age: Option<Duration>) -> Self {
        let part = |vm: &VmName| {
            let moment = kept.get(vm);
            let memory = moment.is_some_and(|moment| moment.memory);
            Part { vm: vm.clone(), was: moment.map(|moment| moment.was), memory }
        };
        let vms: Vec<Part> = snapshot.vms.iter().map(part).collect();
        Self {
            name: snapshot.name.clone(),
            description: snapshot.description.clone(),
            taken_at: snapshot.taken_at,
            age,
            before: snapshot.before.clone(),
            complete: vms.iter().all(|part| part.was.is_some()),
            vms,
        }
    }
}

#[derive(Serialize)]
struct Many<'a> {
    version: u32,
    project: &'a ProjectName,
    snapshots: &'a [SnapshotStatus],
}

#[derive(Serialize)]
struct One<'a> {
    version: u32,
    project: &'a ProjectName,
    #[serde(flatten)]
    snapshot: &'a SnapshotStatus,
}

fn for_programs(shape: &impl Serialize, format: TableFormat) -> Option<String> {
    match format {
        TableFormat::Table => None,
        TableFormat::Json => Some(format!("{}\n", serde_json::to_string_pretty(shape).expect("every key is a string"))),
        TableFormat::Yaml => Some(serde_yaml::to_string(shape).expect("every key is a string")),
    }
}

/// The snapshots in a format. JSON and YAML have this shape:
///
/// ```json
/// {
///   "version": 1,
///   "project": "shop",
///   "snapshots": [ {
///     "name": "before-upgrade",
///     "description": "all tests pass",
///     "taken_at": 1795272405,
///     "age_s": 62,
///     "before": null,
///     "complete": true,
///     "vms": [ { "vm": "db", "was": "running", "memory": true } ]
///   } ]
/// }
/// ```
///
/// `was` is `running`, `paused` or `off`, and null for a vm that was taken but is gone, or was made anew; then the
/// snapshot is not complete.
pub fn snapshots(project: &ProjectName, rows: &[SnapshotStatus], format: TableFormat, palette: &Palette) -> String {
    if let Some(text) = for_programs(&Many { version: VERSION, project, snapshots: rows }, format) {
        return text;
    }
    let header = ["SNAPSHOT", "AGE", "MEMORY", "VMS", "DESCRIPTION"].map(|name| paint(palette.faint, name)).to_vec();
    columns(&std::iter::once(header).chain(rows.iter().map(|row| line(row, palette))).collect::<Vec<_>>())
}

fn line(row: &SnapshotStatus, palette: &Palette) -> Vec<String> {
    let names = list(row.vms.iter().filter(|part| part.was.is_some()).map(|part| &part.vm), MOST);
    let missing = row.vms.iter().filter(|part| part.was.is_none()).count();
    let missing = if missing == 0 {
        String::new()
    } else {
        paint(palette.bad, format!(" ({missing} of {} gone)", row.vms.len()))
    };
    vec![
        paint(palette.strong, &row.name),
        age(row.age),
        memory(row).to_owned(),
        format!("{names}{missing}"),
        tame(&row.description),
    ]
}

fn age(age: Option<Duration>) -> String {
    age.map_or_else(|| "-".to_owned(), table::age)
}

/// Whether it has what the vms had in memory.
fn memory(row: &SnapshotStatus) -> &'static str {
    let kept = row.vms.iter().filter(|part| part.memory).count();
    let ran = row.vms.iter().filter(|part| part.was.is_some_and(|was| was != Was::Off)).count();
    match kept {
        0 => "no",
        n if n == ran => "yes",
        _ => "partly",
    }
}

/// One snapshot, a line for each vm. JSON and YAML have the shape of one of [`snapshots`], with `version` and `project`.
pub fn snapshot(project: &ProjectName, row: &SnapshotStatus, format: TableFormat, palette: &Palette) -> String {
    if let Some(text) = for_programs(&One { version: VERSION, project, snapshot: row }, format) {
        return text;
    }
    let fact = |name: &str, value: String| vec![paint(palette.faint, name), value];
    let mut facts = vec![
        fact("snapshot", paint(palette.strong, &row.name)),
        fact("project", project.to_string()),
        fact("age", age(row.age)),
    ];
    if !row.description.is_empty() {
        facts.push(fact("description", tame(&row.description)));
    }
    if let Some(before) = &row.before {
        facts.push(fact("taken before", format!("the restore of `{before}`")));
    }
    let header = ["VM", "WAS", "MEMORY"].map(|name| paint(palette.faint, name)).to_vec();
    let line = |part: &Part| {
        let was = part.was.map_or_else(|| paint(palette.bad, "gone"), |was| was.as_str().to_owned());
        let memory = if part.memory { "yes" } else { "no" };
        vec![paint(palette.strong, &part.vm), was, memory.to_owned()]
    };
    let vms: Vec<Vec<String>> = std::iter::once(header).chain(row.vms.iter().map(line)).collect();
    format!("{}\n{}", columns(&facts), columns(&vms))
}

/// Names only, one per line, for scripts.
pub fn names(rows: &[SnapshotStatus]) -> String {
    let mut text = Text::default();
    for row in rows {
        text.line(format_args!("{}", row.name));
    }
    text.end()
}
