//! Disks and volumes that are not as large as the file asks for.
//!
//! Owns what larger and smaller entail: a disk grows in place and keeps what is on it, and never shrinks. It is held
//! against the size that the disk has, not the one that was recorded: somebody may have grown it by other means.

use crate::model::{Spec, Vm};
use crate::names::VolumeName;
use crate::plan::diff::{FieldChange, is_disk_size};
use crate::plan::draft::Draft;
use crate::plan::operation::{Operation, VmDisk};
use crate::plan::{Action, Cause, Effect, Gate};
use crate::state::ActualState;
use crate::units::Bytes;

/// One disk of a vm's own whose size differs from what the file asks for.
pub(super) struct Resize {
    /// Which.
    pub(super) disk: VolumeName,
    /// The size that it has.
    pub(super) has: Bytes,
    /// The size that the file asks for.
    pub(super) wants: Bytes,
    field: String,
}

impl Resize {
    /// Whether somebody changed it by other means: the file asks for what was recorded.
    pub(super) fn is_drift(&self, recorded: &Vm) -> bool {
        let of = |disk: VmDisk| (disk.disk == self.disk).then_some(disk.size).flatten();
        VmDisk::of(recorded).into_iter().find_map(of).map(Bytes::whole_kib) == Some(self.wants)
    }
}

/// The disks of a vm that differ. A root disk without a size in the file may have any.
pub(super) fn resizes(vm: &Vm, actual: &ActualState) -> Vec<Resize> {
    let differs = |disk: VmDisk| {
        let wants = disk.size?.whole_kib();
        let has = *actual.disk_sizes.get(&(vm.name.clone(), disk.disk.clone()))?;
        (has != wants).then(|| Resize { field: field(&disk.disk), disk: disk.disk, has, wants })
    };
    VmDisk::of(vm).into_iter().filter_map(differs).collect()
}

/// Where the spec has the size of a disk.
fn field(disk: &VolumeName) -> String {
    if disk.as_str() == VmDisk::ROOT { "disk".to_owned() } else { format!("disks.{disk}.size") }
}

/// Whether a field of a spec is the size of a disk.
pub(super) fn is_size(spec: &Spec, change: &FieldChange) -> bool {
    match spec {
        Spec::Vm(_) => is_disk_size(&change.field),
        Spec::Volume(_) => change.field == "size",
        Spec::Pool(_) | Spec::Image(_) | Spec::Network(_) => false,
    }
}

/// What makes the disks of a vm as large as the file asks for, with the field of each.
fn growth(vm: &Vm, recorded: Option<&Vm>, actual: &ActualState) -> Vec<(Operation, FieldChange)> {
    let grown = |resize: Resize| {
        let drift = recorded.is_some_and(|recorded| resize.is_drift(recorded));
        let Resize { disk, has, wants, field } = resize;
        let change = FieldChange { field, old: Some(has.to_string()), new: Some(wants.to_string()), drift };
        let (vm, generation) = (vm.name.clone(), vm.generation);
        (Operation::GrowDisk { vm, generation, disk, from: has, to: wants }, change)
    };
    resizes(vm, actual).into_iter().filter(|resize| resize.has < resize.wants).map(grown).collect()
}

/// Before which of these operations disks grow. What snapshots keep on a disk can be more than its size, and then a
/// hypervisor makes it larger only under a vm that runs.
fn place(operations: &[Operation], has_snapshots: bool) -> usize {
    let at = |is: fn(&Operation) -> bool| operations.iter().position(is);
    let starts = at(|operation| matches!(operation, Operation::StartVm(_) | Operation::ResumeVm(_)));
    if has_snapshots {
        let stops = at(|operation| matches!(operation, Operation::StopVm { .. }));
        if let Some(live) = stops.or(starts.map(|start| start + 1)) {
            return live;
        }
    }
    let provisions = at(|operation| matches!(operation, Operation::Provision(_)));
    starts.or(provisions).unwrap_or(operations.len())
}

/// A vm that is there gets larger disks where the file asks for them: after what can be undone, and before it starts
/// and does its tasks.
pub(super) fn grown(
    draft: Option<Draft>,
    spec: &Spec,
    gate: &Gate,
    actual: &ActualState,
    wave: usize,
) -> Option<Draft> {
    let recorded = actual.resources.get(&spec.id()).and_then(|found| found.recorded.as_vm());
    let growth = spec.as_vm().map(|vm| growth(vm, recorded, actual)).unwrap_or_default();
    if growth.is_empty() || draft.as_ref().is_some_and(|draft| matches!(draft.action, Action::Create | Action::Replace))
    {
        return draft;
    }
    let drifted = growth.iter().all(|(_, change)| change.drift);
    let cause = match draft.as_ref().map(|draft| &draft.cause) {
        None | Some(Cause::Drifted) if drifted => Cause::Drifted,
        _ => Cause::Changed,
    };
    let new = || Draft::new(spec.id(), Action::Update, cause.clone(), Vec::new());
    let mut draft = draft.unwrap_or_else(|| Draft { gate: gate.clone(), wave, ..new() });
    let seen = actual.resources.get(&spec.id()).and_then(|found| found.seen.as_deref());
    let at = place(&draft.operations, seen.is_some_and(|seen| !seen.all_snapshots().is_empty()));
    let (operations, changes): (Vec<Operation>, Vec<FieldChange>) = growth.into_iter().unzip();
    draft.operations.splice(at..at, operations);
    let told = |change: &FieldChange| draft.changes.iter().any(|known| known.field == change.field);
    let untold: Vec<FieldChange> = changes.into_iter().filter(|change| !told(change)).collect();
    draft.changes.extend(untold);
    let action = if draft.action == Action::Restart { Action::Restart } else { Action::Update };
    Some(Draft { action, cause, effect: draft.effect.or(Some(Effect::Live)), ..draft })
}
