//! Runs that came to no good end: as a table, as JSON and as YAML, and in the words of the commands that meet them.
//!
//! Owns what is told of such a run and its shape. What it did is its journal's to know.

use serde::Serialize;

use crate::cli::TableFormat;
use crate::execute::journal::Journal;
use crate::execute::journal::file::Unfinished;
use crate::render::layout::{Text, columns};
use crate::render::message::{hint, note, warning};
use crate::render::style::{Palette, paint};
use crate::render::words::count;

/// Version of the shape for programs. Fields may be added without a new version; none is renamed or removed.
pub const VERSION: u32 = 1;

#[derive(Serialize)]
struct Shape<'a> {
    version: u32,
    runs: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    run: &'a str,
    state: &'static str,
    project: Option<&'a str>,
    command: Option<&'a str>,
    since: Option<&'a str>,
    process: Option<u32>,
    host: Option<&'a str>,
    hypervisor: Option<&'a str>,
    /// Operations that are done, or may be.
    operations: Option<usize>,
    journal: String,
    damage: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn of(run: &'a Unfinished) -> Self {
        let header = run.header.as_ref();
        Self {
            run: &run.run,
            state: state(run),
            project: header.map(|header| header.project.as_str()),
            command: header.map(|header| header.command.as_str()),
            since: header.map(|header| header.since.as_str()),
            process: header.map(|header| header.process),
            host: header.map(|header| header.host.as_str()),
            hypervisor: header.map(|header| header.hypervisor.as_str()),
            operations: run.journal.as_ref().map(Journal::in_force),
            journal: run.path.display().to_string(),
            damage: run.damage.as_deref(),
        }
    }
}

fn state(run: &Unfinished) -> &'static str {
    match run {
        Unfinished { damage: Some(_), .. } => "damaged",
        Unfinished { stuck: true, .. } => "stuck",
        _ => "unfinished",
    }
}

/// The runs in a format. JSON and YAML have this shape:
///
/// ```json
/// {
///   "version": 1,
///   "runs": [ {
///     "run": "20261121T102030.123Z-4242",
///     "state": "unfinished",
///     "project": "shop", "command": "up", "since": "2026-11-21T10:20:30Z",
///     "process": 4242, "host": "build1", "hypervisor": "qemu:///system",
///     "operations": 7, "journal": "/home/ada/.local/state/vmcompose/journal/…", "damage": null
///   } ]
/// }
/// ```
///
/// A state is `unfinished`, `stuck` or `damaged`.
pub fn table(runs: &[Unfinished], format: TableFormat, palette: &Palette) -> String {
    let shape = Shape { version: VERSION, runs: runs.iter().map(Row::of).collect() };
    match format {
        TableFormat::Table => lines(&shape.runs, palette),
        TableFormat::Json => format!("{}\n", serde_json::to_string_pretty(&shape).expect("every key is a string")),
        TableFormat::Yaml => serde_yaml::to_string(&shape).expect("every key is a string"),
    }
}

fn lines(runs: &[Row<'_>], palette: &Palette) -> String {
    let header = ["RUN", "STATE", "PROJECT", "COMMAND", "SINCE", "HOST", "DONE", "HYPERVISOR"];
    let header = header.map(|name| paint(palette.faint, name)).to_vec();
    let or = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let line = |row: &Row<'_>| {
        let style = if row.state == "unfinished" { palette.warning } else { palette.bad };
        vec![
            paint(palette.strong, row.run),
            paint(style, row.state),
            or(row.project),
            or(row.command),
            or(row.since),
            or(row.host),
            row.operations.map_or_else(|| "-".to_owned(), |n| count(n, "operation")),
            or(row.hypervisor),
        ]
    };
    columns(&std::iter::once(header).chain(runs.iter().map(line)).collect::<Vec<_>>())
}

/// What an unfinished run was: "an `up` (process 4242 on build1, since …)".
fn who(run: &Unfinished) -> String {
    match &run.header {
        Some(header) => {
            let kind = if header.command.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
            let (command, process, host, since) = (&header.command, header.process, &header.host, &header.since);
            format!("{kind} `{command}` of project `{}` (process {process} on {host}, since {since})", header.project)
        }
        None => format!("a run (journal `{}`)", run.path.display()),
    }
}

/// What is known of it.
fn known(run: &Unfinished) -> String {
    let mut text = Text::default();
    if let Some(journal) = run.journal.as_ref().filter(|_| run.damage.is_none()) {
        text.line(format_args!("{} done, or perhaps done", count(journal.in_force(), "operation")));
    }
    if run.torn {
        text.line(format_args!("its journal ends in the middle of a line; that line had no effect"));
    }
    if let Some(damage) = &run.damage {
        text.line(format_args!("its journal is damaged: {damage}"));
    }
    text.end()
}

fn end(run: &Unfinished) -> &'static str {
    if run.stuck { "left something behind" } else { "was cut short" }
}

/// For a command that goes on from what is there.
pub fn going_on(run: &Unfinished, palette: &Palette) -> String {
    let text = format!("{} {}; going on from what is there\n{}", who(run), end(run), known(run));
    let advice = hint("`vmcompose recover` undoes it instead", palette);
    let word = if run.damage.is_some() { warning } else { note };
    format!("{}{advice}", word(&text, palette))
}

/// For a command that goes back.
pub fn undoing(run: &Unfinished, palette: &Palette) -> String {
    note(&format!("undoing {} that {}\n{}", who(run), end(run), known(run)), palette)
}

/// For a journal that nobody can read.
pub fn forgotten(run: &Unfinished, palette: &Palette) -> String {
    note(&format!("the journal `{}` is forgotten; nothing was undone", run.path.display()), palette)
}
