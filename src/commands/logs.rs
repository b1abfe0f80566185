//! `logs`: what the guests said on their consoles, or wrote into their journals.
//!
//! Owns the turns between several vms and where each was read up to. Reads the file only for the project's name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::backend::libvirt::Libvirt;
use crate::backend::{End, ErrorKind, HypervisorError};
use crate::cli::{Global, Logs};
use crate::commands::stage::Access;
use crate::commands::{login, print, request, signals, stage};
use crate::error::{Error, Exit};
use crate::names::{ProjectName, VmName};
use crate::render::Palette;
use crate::render::lines::{Lines, Prefixes};
use crate::state::ActualState;

/// Time between two looks while it is followed: a file on the hypervisor tells nobody when it grows.
const LOOK: Duration = Duration::from_millis(400);

/// Where the next lines of a vm come from.
struct Source {
    /// Up to where it was read: a byte of the console's record, or a cursor of the journal.
    from: Option<u64>,
    cursor: Option<String>,
    /// The last line, as far as it has come.
    lines: Lines,
}

struct Reading<'a> {
    hypervisor: &'a Libvirt,
    project: &'a ProjectName,
    options: &'a Logs,
}

/// Shows the logs.
pub(super) fn logs(global: &Global, options: &Logs) -> Result<Exit, Error> {
    let project = stage::project_name(global, &request(global)?)?;
    let sight = stage::observe(global, &project, Access::Read)?;
    let vms = chosen(&sight.actual, options)?;
    let prefixes = (!options.no_prefix).then(|| Prefixes::new(&vms));
    let mut sources: BTreeMap<VmName, Source> =
        vms.iter().map(|vm| (vm.clone(), Source { from: None, cursor: None, lines: Lines::default() })).collect();
    let reading = Reading { hypervisor: &sight.hypervisor, project: &project, options };
    // Else Ctrl-C ends it as it ends any program.
    let stop = if options.follow { signals::flag() } else { Arc::default() };
    let (mut first, palette) = (true, Palette::stdout());
    loop {
        for (vm, source) in &mut sources {
            let mut lines = reading.next(vm, source, first)?;
            if let Some(most) = options.tail.filter(|_| first) {
                lines.drain(..lines.len().saturating_sub(most));
            }
            let text: String = lines
                .iter()
                .map(|line| prefixes.as_ref().map_or_else(|| format!("{line}\n"), |all| all.line(vm, line, &palette)))
                .collect();
            if !text.is_empty() {
                print(&text)?;
            }
        }
        first = false;
        if !options.follow || pause(&stop) {
            return Ok(if options.follow { Exit::Interrupted } else { Exit::Done });
        }
    }
}

/// Whether to stop.
fn pause(stop: &AtomicBool) -> bool {
    if !stop.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK);
    }
    stop.load(Ordering::Relaxed)
}

fn chosen(actual: &ActualState, options: &Logs) -> Result<Vec<VmName>, Error> {
    for vm in &options.vms {
        login::find(actual, vm)?;
    }
    let all = actual.resources.keys().filter_map(|id| id.as_vm().cloned());
    Ok(if options.vms.is_empty() { all.collect() } else { options.vms.clone() })
}

impl Reading<'_> {
    /// The whole lines that came since the last time; at the end of a record that is not followed, the last one as well.
    fn next(&self, vm: &VmName, source: &mut Source, first: bool) -> Result<Vec<String>, Error> {
        if self.options.guest {
            return self.journal(vm, source, first);
        }
        let Some((said, end)) = self.hypervisor.console_log(self.project, vm, source.from)? else {
            if self.options.vms.contains(vm) {
                let message = format!("the console of vm `{vm}` is not recorded");
                let error = HypervisorError::new(ErrorKind::Unsupported, message);
                return Err(error
                    .with_hint("`up` records the consoles of the vms that it makes, on QEMU alone")
                    .into());
            }
            return Ok(Vec::new());
        };
        // Of a record that began anew, what the old one ended with is a line of its own.
        let anew = source.from.is_some_and(|from| end < from) && said.len() as u64 == end;
        source.from = Some(end);
        let mut lines: Vec<String> = if anew { source.lines.rest().into_iter().collect() } else { Vec::new() };
        lines.extend(source.lines.take(&said));
        if !self.options.follow {
            lines.extend(source.lines.rest());
        }
        Ok(lines)
    }

    /// What the guest's journal has behind its cursor. A guest that has no agent yet has nothing to say yet while it is
    /// followed; else that is an error.
    fn journal(&self, vm: &VmName, source: &mut Source, first: bool) -> Result<Vec<String>, Error> {
        let mut command: Vec<String> =
            ["journalctl", "--no-pager", "--quiet", "--output=short-iso", "--show-cursor"].map(str::to_owned).to_vec();
        match (&source.cursor, self.options.since, self.options.tail) {
            (Some(cursor), ..) => command.push(format!("--after-cursor={cursor}")),
            (None, since, tail) => {
                command.extend(since.map(|since| format!("--since=-{}s", since.as_secs())));
                command.extend(tail.filter(|_| first).map(|tail| format!("--lines={tail}")));
            }
        }
        let ran = match self.hypervisor.exec(self.project, vm, &command, None) {
            Ok(ran) => ran,
            Err(_) if self.options.follow && !first => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        if ran.end != End::Code(0) {
            let words = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
            let message = format!("`journalctl` in vm `{vm}` failed: {words}");
            return Err(HypervisorError::new(ErrorKind::Rejected, message).into());
        }
        let text = String::from_utf8_lossy(&ran.stdout);
        let (cursors, lines): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with("-- cursor: "));
        if let Some(cursor) = cursors.last() {
            source.cursor = Some(cursor.trim_start_matches("-- cursor: ").to_owned());
        }
        Ok(lines.into_iter().map(str::to_owned).collect())
    }
}
