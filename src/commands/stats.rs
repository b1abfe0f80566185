//! `stats`: what the vms take, as two looks show it.
//!
//! Owns the time between two looks, and what processors did in it. Reads the file only for the project's name.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crate::backend::Hypervisor;
use crate::backend::usage::{Flow, Usage};
use crate::cli::{Global, Stats, TableFormat};
use crate::commands::choice;
use crate::commands::stage::{Access, Sight};
use crate::commands::{print, request, signals, stage};
use crate::error::{Error, Exit};
use crate::model::Vm;
use crate::names::{ProjectName, VmName};
use crate::render::{Palette, stats, table, terminal};
use crate::state::{ActualState, Phase};

/// Between two looks: what processors do is known only of a time.
const INTERVAL: Duration = Duration::from_secs(1);
/// Between two looks for a signal.
const LOOK: Duration = Duration::from_millis(100);

/// One look.
struct Look {
    at: Instant,
    usage: BTreeMap<VmName, Usage>,
}

/// Shows it, once or until Ctrl-C.
pub(super) fn stats(global: &Global, options: &Stats) -> Result<Exit, Error> {
    let project = stage::project_name(global, &request(global)?)?;
    let sight = stage::observe(global, &project, Access::Read)?;
    let options =
        &Stats { vms: choice::there(&project, &sight.actual, &options.vms)?.into_iter().collect(), ..options.clone() };
    let first = look(&sight, &project)?;
    let live = !options.no_stream && options.format == TableFormat::Table && io::stdout().is_terminal();
    if !live {
        thread::sleep(INTERVAL.saturating_sub(first.at.elapsed()));
        let rows = rows(&sight.actual, &first, &look(&sight, &project)?, options);
        print(&stats::stats(&project, &rows, options.format, &Palette::stdout()))?;
        return Ok(Exit::Done);
    }
    watch(&project, &sight, first, options)
}

fn watch(project: &ProjectName, sight: &Sight, mut before: Look, options: &Stats) -> Result<Exit, Error> {
    let (interrupted, palette) = (signals::flag(), Palette::stdout());
    let failed = |source| Error::Io { path: PathBuf::from("stdout"), source };
    loop {
        while before.at.elapsed() < INTERVAL {
            thread::sleep(LOOK);
            if interrupted.load(Ordering::Relaxed) {
                return Ok(Exit::Interrupted);
            }
        }
        let (actual, now) = (sight.hypervisor.observe(project)?, look(sight, project)?);
        let rows = rows(&actual, &before, &now, options);
        let text = stats::stats(project, &rows, options.format, &palette);
        terminal::show(stats::anew(&text).as_bytes()).map_err(failed)?;
        before = now;
    }
}

fn look(sight: &Sight, project: &ProjectName) -> Result<Look, Error> {
    let usage = sight.hypervisor.usage(project)?;
    Ok(Look { at: Instant::now(), usage })
}

fn rows(actual: &ActualState, before: &Look, now: &Look, options: &Stats) -> Vec<stats::VmUsage> {
    let runs = |phase: Phase| matches!(phase, Phase::Running | Phase::Paused);
    let wanted = |vm: &Vm, phase| match options.vms.as_slice() {
        [] => options.all || runs(phase),
        named => named.contains(&vm.name),
    };
    let vms = actual.resources.values().filter_map(|found| Some((found.recorded.as_vm()?, found.phase)));
    let row = |(vm, phase): (&Vm, Phase)| {
        // What was counted of one that has ended meanwhile is of no use.
        let usage = now.usage.get(&vm.name).filter(|_| runs(phase)).cloned().unwrap_or_default();
        row(vm, phase.into(), before.usage.get(&vm.name), &usage, now.at - before.at)
    };
    vms.filter(|(vm, phase)| wanted(vm, *phase)).map(row).collect()
}

fn row(vm: &Vm, state: table::State, before: Option<&Usage>, now: &Usage, between: Duration) -> stats::VmUsage {
    let inwards = |flow: Option<Flow>| flow.map(|flow| flow.inwards.0);
    let outwards = |flow: Option<Flow>| flow.map(|flow| flow.outwards.0);
    stats::VmUsage {
        vm: vm.name.clone(),
        state,
        cpu_percent: before.and_then(|before| percent(before.cpu?, now.cpu?, between)),
        cpus: vm.cpus,
        memory_bytes: now.memory.map(|bytes| bytes.0),
        memory_limit_bytes: vm.memory.0,
        disk_read_bytes: inwards(now.disk),
        disk_written_bytes: outwards(now.disk),
        network_received_bytes: inwards(now.network),
        network_sent_bytes: outwards(now.network),
    }
}

/// To one digit behind the point. A vm that started anew between both looks has counted less than before.
fn percent(before: Duration, now: Duration, between: Duration) -> Option<f64> {
    let share = now.checked_sub(before)?.as_secs_f64() / between.as_secs_f64();
    Some((share * 1000.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_that_is_busy_all_the_time_is_a_hundred_percent() {
        let seconds = Duration::from_secs;
        assert_eq!(percent(seconds(10), seconds(12), seconds(2)), Some(100.0));
        assert_eq!(percent(seconds(0), Duration::from_millis(123), seconds(1)), Some(12.3));
        assert_eq!(percent(seconds(10), seconds(1), seconds(1)), None, "it started anew");
    }
}
