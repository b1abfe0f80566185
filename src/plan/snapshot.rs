//! Plans for snapshots of a project: taking, restoring, deleting.
//!
//! Owns what makes several vms fit together: nothing is taken before all are held, and nobody goes on before all are taken.
//! Each such stage is a wave, and a wave waits for all of the one before it; so a failure leads back the same way, to
//! where everything runs as it did.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::hardware::Firmware;
use crate::model::{Disk, Moment, Snapshot, Spec, Vm, Was};
use crate::names::{ProjectName, ResourceId, SnapshotName, VmName};
use crate::plan::obstacle::{Obstacle, PlanError};
use crate::plan::operation::{Operation, VmDisk};
use crate::plan::{Action, Cause, Effect, Gate, Milestone, Plan, Step, StepId, Wave};
use crate::state::{Actual, ActualState, Phase};

/// How a snapshot is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taking {
    /// What vms that run have in memory is kept too.
    pub memory: bool,
    /// Guests bring their file systems to rest first.
    pub freeze: bool,
}

/// What is taken before vms are put back, so that this can be undone.
#[derive(Debug, Clone, Copy)]
pub struct Safety<'a> {
    /// Its name and the like.
    pub snapshot: &'a Snapshot,
    /// What vms that run have in memory is kept too; where one's cannot be, nothing is done.
    pub memory: bool,
}

/// A snapshot, and what is kept of each of its vms.
pub type Whole = (Snapshot, BTreeMap<VmName, Moment>);

/// The snapshots that a project has, the oldest first.
pub fn snapshots(actual: &ActualState) -> Vec<Whole> {
    let mut found: BTreeMap<(u64, String, SnapshotName), Whole> = BTreeMap::new();
    for (vm, moment) in moments(actual) {
        let of = &moment.snapshot;
        let whole = found.entry((of.taken_at, of.id.clone(), of.name.clone()));
        whole.or_insert_with(|| (of.clone(), BTreeMap::new())).1.insert(vm.clone(), moment.clone());
    }
    found.into_values().collect()
}

fn moments(actual: &ActualState) -> impl Iterator<Item = (&VmName, &Moment)> {
    let kept = actual.resources.iter().filter_map(|(id, found)| Some((id.as_vm()?, found.seen.as_deref()?)));
    kept.flat_map(|(vm, seen)| seen.snapshots.iter().map(move |moment| (vm, moment)))
}

/// Takes the vms of `snapshot` as they are at one instant.
pub fn take(
    project: &ProjectName,
    actual: &ActualState,
    snapshot: &Snapshot,
    taking: Taking,
) -> Result<Plan, PlanError> {
    let vms: Vec<Found<'_>> = found(actual, |vm| snapshot.vms.contains(vm)).collect();
    let mut obstacles = Vec::new();
    for one in &vms {
        obstacles.extend(taken(one, &snapshot.name));
        obstacles.extend(untakable(one, actual));
        // What is in no snapshot at all is told that alone.
        if taking.memory && one.runs() && one.vm.existing().is_none() {
            obstacles.extend(forgetful(one.vm).map(|(reason, hint)| one.obstacle(reason, hint)));
        }
    }
    if !obstacles.is_empty() {
        return Err(PlanError::Blocked(obstacles));
    }
    let running = || vms.iter().filter(|one| one.found.phase == Phase::Running);
    let step = |one: &Found<'_>, action, operation| (one.id(), action, vec![operation]);
    let frozen = || running().filter(|_| taking.freeze);
    let stages = vec![
        frozen().map(|one| step(one, Action::Freeze, Operation::FreezeVm(one.name()))).collect(),
        running().map(|one| step(one, Action::Pause, Operation::PauseVm(one.name()))).collect(),
        vms.iter().map(|one| (one.id(), Action::Snapshot, vec![one.take(snapshot, taking.memory)])).collect(),
        running().map(|one| step(one, Action::Resume, Operation::ResumeVm(one.name()))).collect(),
        frozen().map(|one| step(one, Action::Thaw, Operation::ThawVm(one.name()))).collect(),
    ];
    Ok(staged(project, stages))
}

/// Puts vms back to how they were. `before` is taken first, so that this can be undone.
pub fn restore(
    project: &ProjectName,
    actual: &ActualState,
    moments: &BTreeMap<VmName, Moment>,
    before: Option<Safety<'_>>,
) -> Result<Plan, PlanError> {
    let vms: Vec<Found<'_>> = found(actual, |vm| moments.contains_key(vm)).collect();
    let obstacles: Vec<Obstacle> = match before {
        Some(before) => {
            let one = |one| untakable(one, actual).chain(taken(one, &before.snapshot.name)).collect::<Vec<_>>();
            let lost =
                vms.iter().filter(|one| before.memory && one.runs() && one.vm.existing().is_none()).filter_map(losing);
            vms.iter().flat_map(one).chain(lost).collect()
        }
        None => Vec::new(),
    };
    if !obstacles.is_empty() {
        return Err(PlanError::Blocked(obstacles));
    }
    let running = || vms.iter().filter(|one| before.is_some() && one.found.phase == Phase::Running);
    let safety = |one: &Found<'_>| before.map(|before| one.moment(before.snapshot, before.memory));
    let restored = |one: &Found<'_>| {
        let (to, from) = (Box::new(moments[&one.vm.name].clone()), safety(one).map(Box::new));
        (one.id(), Action::Restore, vec![Operation::RestoreSnapshot { vm: one.name(), to, from }])
    };
    let ran = |one: &&Found<'_>| moments[&one.vm.name].was == Was::Running;
    let going_on = |one: &Found<'_>| {
        let clock = moments[&one.vm.name].memory.then(|| Operation::SetClock(one.name()));
        let operations = std::iter::once(Operation::ResumeVm(one.name())).chain(clock).collect();
        (one.id(), Action::Resume, operations)
    };
    let stages = vec![
        networks(actual, &vms),
        running().map(|one| (one.id(), Action::Pause, vec![Operation::PauseVm(one.name())])).collect(),
        vms.iter()
            .filter_map(|one| {
                let moment = Box::new(safety(one)?);
                Some((one.id(), Action::Snapshot, vec![Operation::CreateSnapshot { vm: one.name(), moment }]))
            })
            .collect(),
        vms.iter().map(restored).collect(),
        vms.iter().filter(ran).map(going_on).collect(),
    ];
    Ok(staged(project, stages))
}

/// Deletes snapshots, one after the other.
pub fn forget(project: &ProjectName, snapshots: &[BTreeMap<VmName, Moment>]) -> Plan {
    let one = |(vm, moment): (&VmName, &Moment)| {
        let operation = Operation::DeleteSnapshot { vm: vm.clone(), moment: Box::new(moment.clone()) };
        (ResourceId::Vm(vm.clone()), Action::Forget, vec![operation])
    };
    staged(project, snapshots.iter().map(|moments| moments.iter().map(one).collect()).collect())
}

/// A vm of the project, as it was found.
struct Found<'a> {
    vm: &'a Vm,
    found: &'a Actual,
}

impl Found<'_> {
    fn id(&self) -> ResourceId {
        ResourceId::Vm(self.name())
    }

    fn name(&self) -> VmName {
        self.vm.name.clone()
    }

    fn runs(&self) -> bool {
        matches!(self.found.phase, Phase::Running | Phase::Paused)
    }

    fn moment(&self, snapshot: &Snapshot, memory: bool) -> Moment {
        let was = match self.found.phase {
            Phase::Running => Was::Running,
            Phase::Paused => Was::Paused,
            _ => Was::Off,
        };
        Moment { snapshot: snapshot.clone(), memory: memory && self.runs(), was }
    }

    fn take(&self, snapshot: &Snapshot, memory: bool) -> Operation {
        Operation::CreateSnapshot { vm: self.name(), moment: Box::new(self.moment(snapshot, memory)) }
    }

    fn obstacle(&self, reason: String, hint: String) -> Obstacle {
        Obstacle::Snapshot { vm: self.name(), reason, hint }
    }
}

fn found(actual: &ActualState, chosen: impl Fn(&VmName) -> bool) -> impl Iterator<Item = Found<'_>> {
    let vms = actual.resources.values().filter_map(|found| Some(Found { vm: found.recorded.as_vm()?, found }));
    vms.filter(move |one| chosen(&one.vm.name))
}

/// Why a vm can have no snapshot of this name.
fn taken(one: &Found<'_>, name: &SnapshotName) -> Option<Obstacle> {
    let seen = one.found.seen.as_ref()?;
    let ours = seen.snapshots.iter().any(|moment| moment.snapshot.name == *name);
    let others = seen.other_snapshots.iter().any(|other| other == name.as_str());
    let whose = if ours { "" } else { ", which vmcompose did not take" };
    (ours || others).then(|| {
        let hint = format!("take another name, or delete it with `vmcompose snapshot delete {name}`");
        let hint = if ours { hint } else { "take another name".to_owned() };
        one.obstacle(format!("there is a snapshot `{name}` already{whose}"), hint)
    })
}

/// Why a vm can be in no snapshot at all.
fn untakable(one: &Found<'_>, actual: &ActualState) -> impl Iterator<Item = Obstacle> {
    let raw = |disk: &Disk| match disk {
        Disk::Volume { volume } => match actual.resources.get(&ResourceId::Volume(volume.clone()))?.recorded {
            Spec::Volume(ref spec) if spec.shared => Some(volume.clone()),
            _ => None,
        },
        Disk::Own { .. } => None,
    };
    let asleep = (one.found.phase == Phase::Saved).then(|| {
        let reason = "it is suspended, and what it had in memory is not on its own disks".to_owned();
        one.obstacle(reason, format!("`vmcompose resume {}` lets it go on", one.vm.name))
    });
    let raw: Vec<_> = one.vm.disks.iter().filter_map(raw).collect();
    let shared = raw.into_iter().map(|volume| {
        let reason = format!("its volume `{volume}` is shared, and therefore raw: only qcow2 has snapshots inside");
        one.obstacle(reason, "name the vms that are to be in the snapshot".to_owned())
    });
    let strange = one.vm.existing().map(|machine| {
        let reason = format!("it is machine `{machine}`, which vmcompose did not make, and its disks are not known");
        one.obstacle(reason, "name the vms that are to be in the snapshot".to_owned())
    });
    asleep.into_iter().chain(strange).chain(shared.collect::<Vec<_>>())
}

/// Why a restore of a vm could not be undone.
fn losing(one: &Found<'_>) -> Option<Obstacle> {
    let (reason, _) = forgetful(one.vm)?;
    let hint =
        "`--no-memory` keeps its disks alone for the way back, on which it would be booted; `--no-safety` nothing";
    Some(one.obstacle(format!("what it has in memory now cannot be kept for the way back: {reason}"), hint.to_owned()))
}

/// Why what a vm has in memory cannot be kept, and what can be done; `None` where it can.
fn forgetful(vm: &Vm) -> Option<(String, String)> {
    let disks = VmDisk::of(vm).len() + vm.disks.iter().filter(|disk| matches!(disk, Disk::Volume { .. })).count();
    let reason = if vm.hardware.firmware == Some(Firmware::Uefi) {
        "it boots by UEFI, whose variables hypervisors cannot keep beside its memory"
    } else if !vm.shares.is_empty() {
        "it shares a folder of the host, which cannot be held"
    } else if !vm.hardware.devices.is_empty() {
        "it has a device of the host, whose state nobody can keep"
    } else if disks == 0 {
        "it has no disk on which its memory could be kept"
    } else {
        return None;
    };
    let hint = "`--no-memory` takes the disks alone; a vm that ran is booted after it is restored".to_owned();
    Some((reason.to_owned(), hint))
}

/// What is done to one resource in a stage.
type Doing = (ResourceId, Action, Vec<Operation>);

/// The networks of vms that come back to life, where they are down.
fn networks(actual: &ActualState, vms: &[Found<'_>]) -> Vec<Doing> {
    let interfaces = vms.iter().flat_map(|one| &one.vm.interfaces);
    let names: BTreeSet<_> = interfaces.map(|interface| interface.network.clone()).collect();
    let down = |id: &ResourceId| actual.resources.get(id).is_some_and(|found| found.phase == Phase::Stopped);
    let start = |name| (ResourceId::Network(name), Action::Start);
    let stopped = names.into_iter().map(start).filter(|(id, _)| down(id));
    stopped
        .filter_map(|(id, action)| match &id {
            ResourceId::Network(name) => Some((id.clone(), action, vec![Operation::StartNetwork(name.clone())])),
            _ => None,
        })
        .collect()
}

/// A plan in which every stage waits for all of the one before it.
fn staged(project: &ProjectName, stages: Vec<Vec<Doing>>) -> Plan {
    let mut waves = Vec::new();
    let mut before: BTreeMap<StepId, Milestone> = BTreeMap::new();
    let mut next = 0;
    for stage in stages.into_iter().filter(|stage| !stage.is_empty()) {
        let steps: Vec<Step> = stage
            .into_iter()
            .zip(next..)
            .map(|((resource, action, operations), number)| Step {
                id: StepId(number),
                resource,
                action,
                cause: Cause::Asked,
                origin: None,
                changes: Vec::new(),
                effect: matches!(action, Action::Forget).then_some(Effect::DataLoss),
                operations,
                after: before.clone(),
                gate: Gate::None,
                finish: Vec::new(),
            })
            .collect();
        next += steps.len();
        before = steps.iter().map(|step| (step.id, Milestone::Applied)).collect();
        waves.push(Wave { steps });
    }
    Plan {
        project: project.clone(),
        waves,
        unchanged: Vec::new(),
        orphans: Vec::new(),
        adopted: Vec::new(),
        kept: Vec::new(),
    }
}
