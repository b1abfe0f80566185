//! Reading a journal that somebody else wrote, and that may have been cut short.
//!
//! Owns the judgement of what can be believed. Refuses nothing: what cannot be read is told as such.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::{Header, Unfinished, VERSION};
use crate::execute::journal::{Entry, Journal};
use crate::plan::Plan;

/// The folders in a folder; none where that is not there.
pub(super) fn folders(path: &Path) -> io::Result<Vec<PathBuf>> {
    Ok(entries(path)?.into_iter().filter(|path| path.is_dir()).collect())
}

/// The journals in a folder.
pub(super) fn folder(path: &Path) -> io::Result<Vec<Unfinished>> {
    let is_journal = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "jsonl");
    let mut runs = Vec::new();
    for path in entries(path)?.into_iter().filter(is_journal) {
        match fs::read(&path) {
            Ok(bytes) => runs.push(read(path, &bytes)),
            // The run ended well in this moment.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(runs)
}

fn entries(path: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(path) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Length of what is whole: up to the last line end, and without the zeros that a power failure can leave behind it.
pub(super) fn whole(bytes: &[u8]) -> u64 {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes[..end].iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1) as u64
}

fn read(path: PathBuf, bytes: &[u8]) -> Unfinished {
    let run = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let whole = usize::try_from(whole(bytes)).unwrap_or(bytes.len());
    let torn = whole < bytes.len();
    let mut found =
        Unfinished { path, run, header: None, journal: None, stuck: false, completed: false, torn, damage: None };
    let text = String::from_utf8_lossy(&bytes[..whole]);
    found.damage = fill(&mut found, &mut text.lines()).err();
    found
}

/// Fills in what the lines tell, as far as they do.
fn fill<'a>(found: &mut Unfinished, lines: &mut impl Iterator<Item = &'a str>) -> Result<(), String> {
    // Cut short in its first line, or before it.
    let Some(header) = lines.next() else { return Ok(()) };
    let unreadable = |what: &str, error: serde_json::Error| format!("its {what} cannot be read: {error}");
    let raw: serde_json::Value = serde_json::from_str(header).map_err(|error| unreadable("first line", error))?;
    if raw["version"].as_u64().is_some_and(|version| version > u64::from(VERSION)) {
        return Err("a newer vmcompose wrote it; use that one".to_owned());
    }
    let header: Header = serde_json::from_value(raw).map_err(|error| unreadable("first line", error))?;
    found.header = Some(header);
    let Some(plan) = lines.next() else { return Ok(()) };
    let plan: Plan = serde_json::from_str(plan).map_err(|error| unreadable("plan", error))?;
    let mut journal = Journal::new(&plan);
    let damage = follow(&mut journal, found, lines);
    if damage.is_err() {
        journal.doubt();
    }
    found.journal = Some(journal);
    damage
}

fn follow<'a>(
    journal: &mut Journal,
    found: &mut Unfinished,
    lines: &mut impl Iterator<Item = &'a str>,
) -> Result<(), String> {
    // Header and plan are in front.
    for (number, line) in (3..).zip(lines) {
        let entry: Entry =
            serde_json::from_str(line).map_err(|error| format!("its line {number} cannot be read: {error}"))?;
        if !journal.knows(&entry) {
            return Err(format!("its line {number} speaks of an operation that its plan has not"));
        }
        found.stuck |= entry == Entry::Stuck;
        found.completed |= entry == Entry::Completed;
        journal.record(&entry);
    }
    Ok(())
}
