//! `snapshot …`: what is there → plan → run.
//!
//! Owns which snapshot and which vms a name means, and what is asked before one is deleted. Reads the file for the
//! project's name alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::backend::libvirt::Libvirt;
use crate::cli::Global;
use crate::cli::snapshot::{Create, Delete, List, Prune, Restore, Show, Snapshot};
use crate::commands::power::known;
use crate::commands::stage::{Access, Sight};
use crate::commands::{print, request, run, stage};
use crate::compose::suggest;
use crate::error::{Error, Exit};
use crate::execute::OnFailure;
use crate::model::{self, Moment, Was};
use crate::names::{ProjectName, ResourceId, SnapshotName, VmName};
use crate::plan::Plan;
use crate::plan::snapshot::{self, Safety, Taking, Whole};
use crate::render::snapshots::{self, SnapshotStatus};
use crate::render::{Answer, Palette, ask, message, output};
use crate::state::{ActualState, Phase};

/// Runs one of them.
pub(super) fn snapshot(global: &Global, command: &Snapshot) -> Result<Exit, Error> {
    match command {
        Snapshot::Create(options) => create(global, options),
        Snapshot::List(options) => list(global, options),
        Snapshot::Show(options) => show(global, options),
        Snapshot::Restore(options) => restore(global, options),
        Snapshot::Delete(options) => delete(global, options),
        Snapshot::Prune(options) => prune(global, options),
    }
}

fn look(global: &Global, access: Access) -> Result<(ProjectName, Sight), Error> {
    let project = stage::project_name(global, &request(global)?)?;
    let sight = stage::observe(global, &project, access)?;
    Ok((project, sight))
}

fn create(global: &Global, options: &Create) -> Result<Exit, Error> {
    let (project, sight) = look(global, Access::Write)?;
    known(&project, &sight.actual, &options.vms)?;
    if snapshot::snapshots(&sight.actual).iter().any(|(snapshot, _)| snapshot.name == options.name) {
        let what = format!("project `{project}` has a snapshot `{}` already", options.name);
        let hint = format!("take another name, or delete it with `vmcompose snapshot delete {}`", options.name);
        return Err(Error::Refused { what, hint });
    }
    let vms = if options.vms.is_empty() { vms(&sight.actual) } else { options.vms.iter().cloned().collect() };
    let snapshot = fresh(options.name.clone(), options.description.clone(), vms, None);
    let taking = Taking { memory: !options.no_memory, freeze: options.freeze };
    let plan = snapshot::take(&project, &sight.actual, &snapshot, taking)?;
    run::run(global, sight, &plan, run::How::of("snapshot create", OnFailure::Rollback))
}

/// A snapshot that is about to be taken.
fn fresh(
    name: SnapshotName,
    description: String,
    vms: BTreeSet<VmName>,
    before: Option<SnapshotName>,
) -> model::Snapshot {
    let now = now();
    let id = format!("{:x}-{:x}", now.as_nanos(), std::process::id());
    model::Snapshot { name, id, description, taken_at: now.as_secs(), vms, before }
}

fn now() -> Duration {
    // A clock before 1970 is wrong anyway.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn vms(actual: &ActualState) -> BTreeSet<VmName> {
    actual.resources.keys().filter_map(ResourceId::as_vm).cloned().collect()
}

fn status((snapshot, kept): &Whole) -> SnapshotStatus {
    let age = now().checked_sub(Duration::from_secs(snapshot.taken_at));
    SnapshotStatus::of(snapshot, kept, age)
}

fn list(global: &Global, options: &List) -> Result<Exit, Error> {
    let (project, sight) = look(global, Access::Read)?;
    let rows: Vec<SnapshotStatus> = snapshot::snapshots(&sight.actual).iter().map(status).collect();
    if options.quiet {
        print(&snapshots::names(&rows))?;
    } else {
        print(&snapshots::snapshots(&project, &rows, options.format, &Palette::stdout()))?;
    }
    Ok(Exit::Done)
}

fn show(global: &Global, options: &Show) -> Result<Exit, Error> {
    let (project, sight) = look(global, Access::Read)?;
    let whole = found(&project, &sight.actual, &options.snapshot)?;
    print(&snapshots::snapshot(&project, &status(&whole), options.format, &Palette::stdout()))?;
    Ok(Exit::Done)
}

/// The snapshot of this name.
fn found(project: &ProjectName, actual: &ActualState, name: &SnapshotName) -> Result<Whole, Error> {
    let all = snapshot::snapshots(actual);
    let mut called: Vec<&Whole> = all.iter().filter(|(snapshot, _)| snapshot.name == *name).collect();
    match (called.pop(), called.is_empty()) {
        (Some(whole), true) => Ok(whole.clone()),
        (Some(_), false) => {
            let what = format!("there are two snapshots `{name}`: two machines took one at the same time");
            let hint = format!("`virsh snapshot-delete {project}-VM {name}` deletes what is kept of one vm");
            Err(Error::Refused { what, hint })
        }
        (None, _) => {
            let near = suggest::did_you_mean(name.as_str(), all.iter().map(|(other, _)| other.name.as_str()));
            let what = format!("project `{project}` has no snapshot `{name}` on the hypervisor");
            let hint = near.unwrap_or_else(|| "`vmcompose snapshot list` shows those that it has".to_owned());
            Err(Error::Missing { what, hint })
        }
    }
}

fn restore(global: &Global, options: &Restore) -> Result<Exit, Error> {
    let (project, sight) = look(global, Access::Write)?;
    let (snapshot, kept) = found(&project, &sight.actual, &options.snapshot)?;
    let kept = chosen(&snapshot, kept, &options.vms)?;
    let others: Vec<String> = vms(&sight.actual).iter().filter(|vm| !kept.contains_key(vm)).map(quoted).collect();
    let before = (!options.no_safety).then(|| safety(&snapshot.name, &kept));
    let memory = !options.no_memory;
    let way_back = before.as_ref().map(|snapshot| Safety { snapshot, memory });
    let plan = snapshot::restore(&project, &sight.actual, &kept, way_back)?;
    if before.is_none() {
        let names: Vec<String> = kept.keys().map(quoted).collect();
        assent(&format!("losing what {} have now", names.join(", ")), options.yes)?;
    }
    if !others.is_empty() {
        tell(&format!("not in this restore, and left as they are: {}", others.join(", ")));
    }
    let hypervisor = Libvirt::connect(global.connect.as_deref())?;
    let ran = running(&sight.actual, &kept);
    let exit = run::run(global, sight, &plan, run::How::of("snapshot restore", OnFailure::Rollback))?;
    if exit == Exit::Done {
        clocks(&hypervisor, &project, &kept);
        if let Some(before) = before {
            output::note(&message::hint(
                &format!("`vmcompose snapshot restore {}` undoes this", before.name),
                &Palette::stderr(),
            ));
        }
    }
    if exit != Exit::Done && options.no_memory && !ran.is_empty() {
        tell(&format!("what {} had in memory was not kept: who was put back was booted", ran.join(", ")));
    }
    Ok(exit)
}

/// Those that run, of whom something is kept.
fn running(actual: &ActualState, kept: &BTreeMap<VmName, Moment>) -> Vec<String> {
    let runs = |vm: &&VmName| {
        let found = actual.resources.get(&ResourceId::Vm((*vm).clone()));
        found.is_some_and(|found| matches!(found.phase, Phase::Running | Phase::Paused))
    };
    kept.keys().filter(runs).map(quoted).collect()
}

/// What is kept of the vms that are meant.
fn chosen(
    snapshot: &model::Snapshot,
    mut kept: BTreeMap<VmName, Moment>,
    vms: &[VmName],
) -> Result<BTreeMap<VmName, Moment>, Error> {
    let name = &snapshot.name;
    if vms.is_empty() {
        let gone: Vec<String> = snapshot.vms.iter().filter(|vm| !kept.contains_key(vm)).map(quoted).collect();
        if gone.is_empty() {
            return Ok(kept);
        }
        let there: Vec<String> = kept.keys().map(ToString::to_string).collect();
        let what = format!("snapshot `{name}` is not whole: {} is gone, or was made anew since", gone.join(", "));
        let hint = format!("`vmcompose snapshot restore {name} {}` restores what is there", there.join(" "));
        return Err(Error::Refused { what, hint });
    }
    if let Some(missing) = vms.iter().find(|vm| !kept.contains_key(vm)) {
        let what = format!("vm `{missing}` is not in snapshot `{name}`");
        return Err(Error::Missing { what, hint: format!("`vmcompose snapshot show {name}` shows who is") });
    }
    kept.retain(|vm, _| vms.contains(vm));
    Ok(kept)
}

/// What is taken before a restore, so that it can be undone.
fn safety(name: &SnapshotName, kept: &BTreeMap<VmName, Moment>) -> model::Snapshot {
    let stamp = humantime::format_rfc3339_millis(UNIX_EPOCH + now()).to_string().replace([':', '-', '.'], "");
    let own = format!("undo-{}", stamp.to_lowercase().trim_end_matches('z'));
    let own = SnapshotName::new(own).expect("letters, digits and a dash");
    fresh(own, format!("before the restore of `{name}`"), kept.keys().cloned().collect(), Some(name.clone()))
}

/// Tells of guests whose clocks are still those of the snapshot.
fn clocks(hypervisor: &Libvirt, project: &ProjectName, kept: &BTreeMap<VmName, Moment>) {
    /// Less is no matter.
    const CLOSE: Duration = Duration::from_secs(5);
    for (vm, _) in kept.iter().filter(|(_, moment)| moment.memory && moment.was == Was::Running) {
        match hypervisor.clock_off_by(project, vm) {
            Ok(Some(off)) if off < CLOSE => {}
            Ok(Some(off)) => tell(&format!("the clock of vm `{vm}` is {}s off", off.as_secs())),
            Ok(None) | Err(_) => {
                tell(&format!(
                    "the clock of vm `{vm}` is that of the snapshot: no guest agent answers that could set it"
                ));
            }
        }
    }
}

fn delete(global: &Global, options: &Delete) -> Result<Exit, Error> {
    let (project, sight) = look(global, Access::Write)?;
    let names: BTreeSet<&SnapshotName> = options.snapshots.iter().collect();
    let wholes = names.into_iter().map(|name| found(&project, &sight.actual, name)).collect::<Result<Vec<_>, _>>()?;
    forget(global, sight, &project, wholes, options.yes, "snapshot delete")
}

fn prune(global: &Global, options: &Prune) -> Result<Exit, Error> {
    let (project, sight) = look(global, Access::Write)?;
    let mut all = snapshot::snapshots(&sight.actual);
    all.truncate(all.len().saturating_sub(options.keep.get()));
    if all.is_empty() {
        output::note(&format!("nothing to do: project `{project}` has no more than {} snapshots", options.keep));
        return Ok(Exit::Done);
    }
    forget(global, sight, &project, all, options.yes, "snapshot prune")
}

fn forget(
    global: &Global,
    sight: Sight,
    project: &ProjectName,
    wholes: Vec<Whole>,
    yes: bool,
    command: &'static str,
) -> Result<Exit, Error> {
    let names: Vec<String> = wholes.iter().map(|(snapshot, _)| quoted(&snapshot.name)).collect();
    let noun = if names.len() == 1 { "snapshot" } else { "snapshots" };
    assent(&format!("deleting {noun} {} for good", names.join(", ")), yes)?;
    let kept: Vec<BTreeMap<VmName, Moment>> = wholes.into_iter().map(|(_, kept)| kept).collect();
    let plan: Plan = snapshot::forget(project, &kept);
    run::run(global, sight, &plan, run::How::of(command, OnFailure::Continue))
}

/// Asks before something is lost.
fn assent(what: &str, yes: bool) -> Result<(), Error> {
    if yes {
        return Ok(());
    }
    match ask(&format!("{what}?")).map_err(|source| Error::Io { path: "stdin".into(), source })? {
        Answer::Yes => Ok(()),
        Answer::No | Answer::Nobody => Err(Error::Unconfirmed { what: what.to_owned() }),
    }
}

fn quoted(name: &impl std::fmt::Display) -> String {
    format!("`{name}`")
}

fn tell(text: &str) {
    output::note(&message::note(text, &Palette::stderr()));
}
