//! `ps`: what is there, and whether it is healthy right now.
//!
//! Reads the hypervisor alone where the project is named: the specs recorded there have all that it tells.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::backend::libvirt::Libvirt;
use crate::backend::{self, Attempt, Hypervisor};
use crate::cli::{Global, LABEL, Ps, TableFormat};
use crate::commands::stage::Access;
use crate::commands::{chronicle, filter, print, request, stage};
use crate::compose::Request;
use crate::error::{Error, Exit};
use crate::model::Vm;
use crate::names::{ProjectName, VmName};
use crate::render::progress::StepState;
use crate::render::table::{self, Address, Health, State, VmStatus};
use crate::render::{Palette, message, output};
use crate::state::{Actual, ActualState, Phase};

/// How long `ps` waits for one answer at most: it is for looking, and a gate is for waiting.
const PATIENCE: Duration = Duration::from_secs(3);
/// Vms whose health is asked for at once.
const AT_ONCE: usize = 32;

/// Shows the vms.
pub(super) fn ps(global: &Global, options: &Ps) -> Result<Exit, Error> {
    let request = request(global)?;
    let project = stage::project_name(global, &request)?;
    let sight = stage::observe(global, &project, Access::Read)?;
    let mut rows = statuses(&sight.hypervisor, &project, &sight.actual);
    // Whoever asks for what does not run means it.
    let by_status = options.filter.iter().any(|filter| filter.key == "status");
    if options.all || by_status {
        for vm in described(global, &request)? {
            rows.entry(vm.name.clone()).or_insert_with(|| status(&vm, State::Missing, Health::Unknown, None));
        }
    }
    rows.retain(|_, row| filter::passes(&options.filter, |key| says(row, key)));
    let all = rows.len();
    if !options.all && !by_status {
        rows.retain(|_, row| row.state != State::Stopped);
    }
    if rows.is_empty() && all > 0 && !options.quiet && options.format == TableFormat::Table {
        let words = format!("not shown: {all} stopped; `vmcompose ps -a` shows all");
        output::note(&message::hint(&words, &Palette::stderr()));
    }
    let rows: Vec<VmStatus> = rows.into_values().collect();
    let text = if options.quiet {
        table::names(&rows)
    } else {
        table::vms(&project, &rows, options.format, &Palette::stdout())
    };
    print(&text)?;
    Ok(Exit::Done)
}

/// What a vm says to a key of a filter.
fn says(row: &VmStatus, key: &str) -> Vec<String> {
    match key {
        "status" => vec![row.state.as_str().to_owned()],
        "health" => vec![row.health.as_str().to_owned()],
        "image" => row.image.iter().map(ToString::to_string).collect(),
        LABEL => filter::labels(&row.labels),
        _ => vec![row.vm.to_string()],
    }
}

/// The vms that the file describes. Where the project is named, there need not be a file; one that is there must be right.
fn described(global: &Global, request: &Request) -> Result<Vec<Vm>, Error> {
    match stage::parse(request) {
        Ok(parsed) => Ok(parsed.project.vms.into_values().collect()),
        Err(error) if global.project.is_some() && global.file.is_empty() && error.exit() == Exit::Usage => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

/// Every vm of the project, looked at.
pub(super) fn statuses(
    hypervisor: &Libvirt,
    project: &ProjectName,
    actual: &ActualState,
) -> BTreeMap<VmName, VmStatus> {
    let vms: Vec<(&Vm, &Actual)> =
        actual.resources.values().filter_map(|found| Some((found.recorded.as_vm()?, found))).collect();
    let mut rows = BTreeMap::new();
    for some in vms.chunks(AT_ONCE) {
        thread::scope(|scope| {
            let asked: Vec<_> =
                some.iter().map(|(vm, found)| scope.spawn(|| look(hypervisor, project, vm, found))).collect();
            for row in asked {
                let row = row.join().expect("a look does not panic");
                let age = actual.made.get(&row.vm).and_then(|at| since(*at));
                rows.insert(row.vm.clone(), VmStatus { age, ..row });
            }
        });
    }
    starting(hypervisor, project, &mut rows);
    rows
}

/// Tells those that a run waits for right now from those that nobody expects to come right.
fn starting(hypervisor: &Libvirt, project: &ProjectName, rows: &mut BTreeMap<VmName, VmStatus>) {
    if rows.values().all(|row| row.health != Health::Unhealthy) {
        return;
    }
    for run in chronicle::runs(project, &hypervisor.uri()).unwrap_or_default() {
        let progress = run.progress();
        if progress.outcome.is_some() || !run.is_alive() {
            continue;
        }
        for track in progress.tracks.iter().filter(|track| matches!(track.state, StepState::Gating(_))) {
            let row = track.summary.resource.as_vm().and_then(|vm| rows.get_mut(vm));
            if let Some(row) = row.filter(|row| row.health == Health::Unhealthy) {
                row.health = Health::Starting;
            }
        }
    }
}

/// Time since then, in seconds since 1970-01-01 UTC.
fn since(at: u64) -> Option<Duration> {
    SystemTime::now().duration_since(UNIX_EPOCH + Duration::from_secs(at)).ok()
}

fn look(hypervisor: &Libvirt, project: &ProjectName, vm: &Vm, found: &Actual) -> VmStatus {
    let (health, answer) = match (&vm.healthcheck, found.phase) {
        (None, _) => (Health::None, None),
        (Some(_), phase) if phase != Phase::Running => (Health::Unknown, None),
        (Some(healthcheck), _) => {
            let attempt = |probe: &crate::model::Probe| Attempt {
                vm: vm.name.clone(),
                address: vm.interfaces.first().map(|interface| interface.ip),
                probe: probe.clone(),
                timeout: healthcheck.timeout.0.min(PATIENCE),
                // A login takes longer than a look.
                login: None,
            };
            let answers = healthcheck.probes.iter().map(|probe| match hypervisor.probe(project, &attempt(probe)) {
                Ok(backend::Health::Passing | backend::Health::Degraded(_)) => None,
                Ok(backend::Health::Failing(answer) | backend::Health::Awaiting(answer)) => {
                    Some(format!("{probe}: {answer}"))
                }
                Err(error) => Some(format!("{probe}: {error}")),
            });
            match answers.flatten().next() {
                None => (Health::Healthy, None),
                Some(answer) => (Health::Unhealthy, Some(answer)),
            }
        }
    };
    status(vm, found.phase.into(), health, answer)
}

fn status(vm: &Vm, state: State, health: Health, answer: Option<String>) -> VmStatus {
    let address = |nic: &crate::model::Interface| Address { network: nic.network.clone(), ip: nic.ip, ip6: nic.ip6 };
    let image = vm.boot.images().next().map(|image| image.name.clone());
    VmStatus {
        vm: vm.name.clone(),
        state,
        health,
        answer,
        addresses: vm.interfaces.iter().map(address).collect(),
        ports: vm.ports.clone(),
        image,
        cpus: vm.cpus,
        memory: vm.memory,
        labels: vm.labels.clone(),
        age: None,
    }
}
