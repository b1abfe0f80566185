//! What vms take, and the processes in one, as tables, as JSON and as YAML.
//!
//! Owns what is told of them and its shape, and the display that is drawn anew. What is true was found out before.

use console::Term;
use serde::Serialize;

use crate::cli::TableFormat;
use crate::names::{ProjectName, VmName};
use crate::render::images::about;
use crate::render::layout::{Text, columns, tame};
use crate::render::style::{Palette, paint};
use crate::render::table::State;
use crate::units::Bytes;

/// Version of both shapes for programs. Fields may be added without a new version; none is renamed or removed.
pub const VERSION: u32 = 1;

/// What one vm takes. What its hypervisor does not count is `None`, and so is everything of a vm that does not run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VmUsage {
    /// Its name.
    pub vm: VmName,
    /// Whether it runs.
    pub state: State,
    /// Of the time since the look before; 100 is one processor of the host.
    pub cpu_percent: Option<f64>,
    /// Number of virtual CPUs.
    pub cpus: u32,
    /// Memory of the host's that it holds.
    pub memory_bytes: Option<u64>,
    /// Memory that it was given.
    pub memory_limit_bytes: u64,
    /// Read from its disks since it started.
    pub disk_read_bytes: Option<u64>,
    /// Written to its disks since it started.
    pub disk_written_bytes: Option<u64>,
    /// Received from its networks since it started.
    pub network_received_bytes: Option<u64>,
    /// Sent to its networks since it started.
    pub network_sent_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Shape<'a> {
    version: u32,
    project: &'a ProjectName,
    vms: &'a [VmUsage],
}

/// What the vms take, in a format. JSON and YAML have this shape:
///
/// ```json
/// {
///   "version": 1,
///   "project": "shop",
///   "vms": [ {
///     "vm": "db",
///     "state": "running",
///     "cpu_percent": 12.5,
///     "cpus": 2,
///     "memory_bytes": 734003200,
///     "memory_limit_bytes": 2147483648,
///     "disk_read_bytes": 52428800,
///     "disk_written_bytes": 1048576,
///     "network_received_bytes": 20480,
///     "network_sent_bytes": 4096
///   } ]
/// }
/// ```
///
/// `state` has the words of `ps`. What is not counted is null.
pub fn stats(project: &ProjectName, vms: &[VmUsage], format: TableFormat, palette: &Palette) -> String {
    for_programs(&Shape { version: VERSION, project, vms }, format).unwrap_or_else(|| table(vms, palette))
}

fn for_programs(shape: &impl Serialize, format: TableFormat) -> Option<String> {
    match format {
        TableFormat::Table => None,
        TableFormat::Json => Some(format!("{}\n", serde_json::to_string_pretty(shape).expect("every key is a string"))),
        TableFormat::Yaml => Some(serde_yaml::to_string(shape).expect("every key is a string")),
    }
}

fn table(vms: &[VmUsage], palette: &Palette) -> String {
    let header = ["VM", "CPU", "MEMORY", "LIMIT", "READ", "WRITTEN", "RECEIVED", "SENT"];
    let header = header.map(|name| paint(palette.faint, name)).to_vec();
    let none = || "-".to_owned();
    let size = |size: Option<u64>| size.map_or_else(none, |bytes| about(Bytes(bytes)));
    let row = |vm: &VmUsage| {
        vec![
            paint(palette.strong, &vm.vm),
            vm.cpu_percent.map_or_else(none, |percent| format!("{percent:.1}%")),
            size(vm.memory_bytes),
            Bytes(vm.memory_limit_bytes).to_string(),
            size(vm.disk_read_bytes),
            size(vm.disk_written_bytes),
            size(vm.network_received_bytes),
            size(vm.network_sent_bytes),
        ]
    };
    columns(&std::iter::once(header).chain(vms.iter().map(row)).collect::<Vec<_>>())
}

/// A text in the place of the one before, on a terminal: no longer than that is high.
pub fn anew(text: &str) -> String {
    let (height, _) = Term::stdout().size();
    in_place(text, usize::from(height))
}

fn in_place(text: &str, height: usize) -> String {
    const HOME: &str = "\u{1b}[H";
    const REST_OF_LINE: &str = "\u{1b}[K";
    const REST: &str = "\u{1b}[J";
    let mut drawn = Text::default();
    drawn.push(HOME);
    for line in text.lines().take(height.saturating_sub(1)) {
        drawn.line(format_args!("{line}{REST_OF_LINE}"));
    }
    drawn.push(REST);
    drawn.end()
}

/// The processes in a vm, as the guest tells them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Processes {
    version: u32,
    vm: VmName,
    titles: Vec<String>,
    #[serde(rename = "processes")]
    cells: Vec<Vec<String>>,
}

impl Processes {
    /// Reads what `ps` printed: a line of titles, and one for each process, whose last column may have spaces in it.
    pub fn read(vm: VmName, text: &str) -> Self {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let titles: Vec<String> = lines.next().unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        let cells = lines.map(|line| cells(line, titles.len())).collect();
        Self { version: VERSION, vm, titles, cells }
    }

    /// In a format. JSON and YAML have this shape, with the titles that the guest's `ps` has:
    ///
    /// ```json
    /// { "version": 1, "vm": "db", "titles": ["PID", "USER", "COMMAND"], "processes": [ ["1", "root", "init -s"] ] }
    /// ```
    pub fn text(&self, format: TableFormat, palette: &Palette) -> String {
        for_programs(self, format).unwrap_or_else(|| {
            let header = self.titles.iter().map(|title| paint(palette.faint, tame(title))).collect();
            let row = |cells: &Vec<String>| cells.iter().map(|cell| tame(cell)).collect();
            columns(&std::iter::once(header).chain(self.cells.iter().map(row)).collect::<Vec<_>>())
        })
    }
}

fn cells(line: &str, count: usize) -> Vec<String> {
    let mut rest = line.trim();
    let mut cells = Vec::with_capacity(count);
    while cells.len() + 1 < count {
        let Some((cell, more)) = rest.split_once(char::is_whitespace) else { break };
        cells.push(cell.to_owned());
        rest = more.trim_start();
    }
    cells.push(rest.to_owned());
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_is_no_longer_than_the_terminal_is_high() {
        assert_eq!(in_place("a\nb\nc\n", 3), "\u{1b}[Ha\u{1b}[K\nb\u{1b}[K\n\u{1b}[J");
        assert_eq!(in_place("a\n", 24), "\u{1b}[Ha\u{1b}[K\n\u{1b}[J");
    }
}
