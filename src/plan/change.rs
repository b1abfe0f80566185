//! What is done to a vm that is there and not as it should be: with the least effect that does it.
//!
//! Owns the way from differences to operations, for what the file changed and for what somebody else did. Knows nothing
//! of other resources.

use std::collections::BTreeSet;

use crate::model::{Disk, Interface, Spec, Task, Vm};
use crate::plan::diff::{FieldChange, changes, drifted};
use crate::plan::effects::{Class, Lans, class};
use crate::plan::operation::{Device, Operation, VmDisk, VmSeed};
use crate::plan::recipe::{done, provisioning, replacement, same_tasks};
use crate::plan::{Action, Cause, Effect};
use crate::state::fixed::Fixed;
use crate::state::seen::{Difference, comparable, disk_name};
use crate::state::{Actual, Phase, Shape};

/// What is to be done, and why.
pub(super) struct Change {
    pub(super) action: Action,
    pub(super) cause: Cause,
    pub(super) changes: Vec<FieldChange>,
    pub(super) effect: Option<Effect>,
    pub(super) operations: Vec<Operation>,
}

/// What the file changes of a vm, and what somebody else did to it.
fn differences(from: &Vm, to: &Vm, actual: &Actual, lans: Lans<'_>) -> (Vec<FieldChange>, Vec<FieldChange>) {
    let wanted = wanted(from, to, lans);
    let drift = actual.seen.as_ref().map(|seen| seen.drift(from)).unwrap_or_default();
    let changed = |(field, old, new): Difference| FieldChange { field, old, new, drift: true };
    let shapes = actual.seen.iter().flat_map(|seen| seen.running.iter().chain([&seen.defined]));
    let mut fixed: Vec<FieldChange> = Vec::new();
    for change in shapes.flat_map(|shape| drifted(&shape.fixed, &Fixed::of(from))) {
        if !fixed.iter().any(|known| known.field == change.field) {
            fixed.push(change);
        }
    }
    let fresh = |change: &FieldChange| !wanted.iter().any(|own| own.field == change.field);
    let drift = drift.into_iter().map(changed).chain(fixed).filter(fresh).collect();
    (wanted, drift)
}

/// What the file changes of a vm. That it is made anew is no field of it.
fn wanted(from: &Vm, to: &Vm, lans: Lans<'_>) -> Vec<FieldChange> {
    let same = Vm { generation: from.generation, ..to.clone() };
    let mut wanted = changes(&Spec::Vm(Box::new(from.clone())), &Spec::Vm(Box::new(same)));
    wanted.extend(told_now(from, to, lans));
    wanted
}

/// Interfaces whose guest asked for its address, and has to be told it from now on: in no field of its own.
fn told_now(from: &Vm, to: &Vm, lans: Lans<'_>) -> Vec<FieldChange> {
    let stays = |new: &Interface| from.interfaces.iter().find(|old| old.mac == new.mac);
    let told = |new: &Interface| stays(new).is_some_and(|old| lans.tells_now(old, new));
    let change = |nic: &Interface| FieldChange {
        field: format!("interfaces.{}.address", nic.network),
        old: Some("asked by DHCP".to_owned()),
        new: Some("told by its seed".to_owned()),
        drift: false,
    };
    let seed = to.cloud_init.is_some();
    to.interfaces.iter().filter(|nic| seed && told(nic)).map(change).collect()
}

/// Fields whose change cannot be made.
pub(super) fn impossible(from: &Vm, to: &Vm, actual: &Actual, lans: Lans<'_>) -> Vec<FieldChange> {
    let running = actual.seen.as_ref().and_then(|seen| seen.running.as_ref());
    let wanted = wanted(from, to, lans).into_iter();
    wanted.filter(|change| class(&change.field, from, to, running, lans) == Class::Impossible).collect()
}

/// Whether a change of the file's replaces the vm.
pub(super) fn replaces(from: &Vm, to: &Vm, lans: Lans<'_>) -> bool {
    wanted(from, to, lans).iter().any(|change| class(&change.field, from, to, None, lans) == Class::Replace)
}

/// What has to be done to a vm that is there; `None` where it is as it should be. Of its tasks those that changed, and all
/// after them, are done again once it runs.
pub(super) fn change(
    from: &Vm,
    to: &Vm,
    actual: &Actual,
    seed: Option<VmSeed>,
    tasks: &[Task],
    start: &[Operation],
    lans: Lans<'_>,
) -> Option<Change> {
    let (wanted, drift) = differences(from, to, actual, lans);
    // A guest that is kept on disk goes on as it was defined.
    let running = actual.seen.as_ref().and_then(|seen| match actual.phase {
        Phase::Saved => Some(&seen.defined),
        _ => seen.running.as_ref(),
    });
    let of_file = wanted.iter().map(|change| class(&change.field, from, to, running, lans)).max();
    let of_drift = (!drift.is_empty()).then(|| drift_class(from, to, running, lans));
    let anew = (from.generation != to.generation).then_some(Class::Replace);
    let class = of_file.max(of_drift).max(anew)?;
    let cause = match (wanted.is_empty(), of_drift) {
        (false, _) => Cause::Changed,
        (true, Some(_)) if anew.is_none() => Cause::Drifted,
        (true, _) => Cause::Asked,
    };
    let off = matches!(actual.phase, Phase::Stopped | Phase::Crashed | Phase::Completed);
    let recorded = Recorded::of(from, to);
    let again = provisioning(to, tasks, recorded.same);
    // A guest that is held, or kept on disk with its memory, goes on before anything is done to it: it could not hear.
    let held = matches!(actual.phase, Phase::Paused | Phase::Saved);
    let (first, started) = if held { (start, &[][..]) } else { (&[][..], start) };
    let (first, started) = (first.iter().cloned(), started.iter().cloned());
    let (action, effect, operations): (_, _, Vec<Operation>) = match class {
        Class::Replace => {
            let operations = replacement(from, to, actual.phase, seed, tasks);
            (Action::Replace, Effect::Replace, operations)
        }
        Class::Reboot if !off => {
            let stop = Operation::StopVm { name: from.name.clone(), grace: from.stop_grace_period };
            let started = std::iter::once(Operation::StartVm(to.name.clone())).chain(again);
            let again = around(from, to, [stop, recorded.redefined()], started);
            (Action::Restart, Effect::Reboot, first.chain(again).collect())
        }
        Class::Recorded => {
            let operations = recorded.anew(from).chain(first).chain(started).chain(again).collect();
            (Action::Update, Effect::Live, operations)
        }
        _ => {
            let live = if off { Vec::new() } else { live(from, to, running) };
            let change = live.into_iter().chain([recorded.redefined()]);
            (Action::Update, Effect::Live, first.chain(around(from, to, change, started.chain(again))).collect())
        }
    };
    Some(Change { action, cause, changes: wanted.into_iter().chain(drift).collect(), effect: Some(effect), operations })
}

/// What somebody gave a guest in processors can be taken back only by a reboot, and what he had it started as too.
fn drift_class(from: &Vm, to: &Vm, running: Option<&Shape>, lans: Lans<'_>) -> Class {
    let cpus = running.filter(|shape| shape.cpus != from.cpus);
    if running.is_some_and(|shape| shape.fixed != Fixed::of(from)) {
        return Class::Reboot;
    }
    if cpus.is_some() { class("cpus", from, to, running, lans) } else { Class::Live }
}

/// A vm as it was and as it shall be, of its tasks only those that are done and stay: what a rollback puts back is a guest
/// of which no more is known.
struct Recorded {
    from: Box<Vm>,
    to: Box<Vm>,
    same: usize,
}

impl Recorded {
    fn of(from: &Vm, to: &Vm) -> Self {
        let same = same_tasks(from, to);
        Self { from: done(from, same), to: done(to, same), same }
    }

    fn redefined(&self) -> Operation {
        Operation::RedefineVm { from: self.from.clone(), to: self.to.clone() }
    }

    /// Only the record; nothing where that is `known` already.
    fn anew(&self, known: &Vm) -> impl Iterator<Item = Operation> + use<> {
        let record = || Operation::RecordVm { from: self.from.clone(), to: self.to.clone() };
        (*known != *self.to).then(record).into_iter()
    }
}

/// Disks of the vm's own that are new are made before. Those that are gone go when everything else stands.
fn around(
    from: &Vm,
    to: &Vm,
    change: impl IntoIterator<Item = Operation>,
    start: impl IntoIterator<Item = Operation>,
) -> Vec<Operation> {
    let old = VmDisk::of(from);
    let new = VmDisk::of(to).into_iter().filter(|disk| !old.iter().any(|other| other.disk == disk.disk));
    new.map(Operation::CreateDisk).chain(change).chain(start).collect()
}

/// What is done to a vm that runs, from what it really has. Room is made before it is taken.
fn live(from: &Vm, to: &Vm, running: Option<&Shape>) -> Vec<Operation> {
    let recorded = Shape::of(from);
    let is = running.unwrap_or(&recorded);
    let vm = &to.name;
    let limits = Box::new(to.hardware.limits.clone());
    let mut operations = Vec::new();
    let memory = Shape::of(to).memory;
    // A guest that did not give back what it should is asked again only when the file asks for something else.
    if is.memory < memory || (from.memory != to.memory && is.memory != memory) {
        operations.push(Operation::SetMemory { vm: vm.clone(), from: is.memory, to: to.memory });
    }
    if is.cpus != to.cpus {
        operations.push(Operation::SetCpus { vm: vm.clone(), from: is.cpus, to: to.cpus });
    }
    let tidy = comparable(&to.hardware.limits);
    if is.limits != tidy {
        let from = Box::new(is.limits.clone());
        operations.push(Operation::SetLimits { vm: vm.clone(), from, to: Box::new(tidy) });
    }
    let detach = |device| Operation::Detach { vm: vm.clone(), device, limits: limits.clone() };
    let attach = |device| Operation::Attach { vm: vm.clone(), device, limits: limits.clone() };
    let wanted: BTreeSet<String> = to.disks.iter().map(disk_name).collect();
    let kept = |nic: &Interface| to.interfaces.iter().any(|own| own.mac == nic.mac);
    let leaving = from.disks.iter().filter(|disk| is.disks.contains(&disk_name(disk)));
    let leaving = leaving.filter(|disk| !wanted.contains(&disk_name(disk))).cloned().map(Device::Disk);
    operations.extend(is.foreign.iter().cloned().map(Device::Foreign).chain(leaving).map(detach));
    let unplugged = from.interfaces.iter().filter(|nic| is.interfaces.contains(&nic.mac) && !kept(nic));
    operations.extend(unplugged.cloned().map(Device::Interface).map(detach));
    let missing = |disk: &&Disk| !is.disks.contains(&disk_name(disk));
    operations.extend(to.disks.iter().filter(missing).cloned().map(Device::Disk).map(attach));
    let unplugged = |nic: &&Interface| nic.wire.is_none() && !is.interfaces.contains(&nic.mac);
    operations.extend(to.interfaces.iter().filter(unplugged).cloned().map(Device::Interface).map(attach));
    let astray = to.interfaces.iter().filter(|nic| is.astray.contains_key(&nic.mac)).cloned();
    operations.extend(astray.map(|interface| Operation::Plug { vm: vm.clone(), interface, on: true }));
    operations
}
