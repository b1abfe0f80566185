//! Runs that came to no good end, as later commands meet them.
//!
//! Owns finding them, forgetting those of which nothing is left, and the words for the others.

use crate::error::Error;
use crate::execute::journal::Journal;
use crate::execute::journal::file::{Journals, Unfinished};
use crate::names::{ProjectName, ResourceId, VmName};
use crate::plan::operation::{VmDisk, VmSeed};
use crate::plan::{Operation, Plan, Step};
use crate::render::runs;
use crate::render::{Palette, output};
use crate::state::ActualState;

/// The journals of this user.
pub(super) fn journals() -> Result<Journals, Error> {
    Journals::of_this_user().map_err(|source| Error::Journal { path: "~/.local/state".into(), source })
}

/// The runs of a project that came to no good end, the last one first. The project's lock must be held.
pub(super) fn find(project: &ProjectName, hypervisor: &str) -> Result<Vec<Unfinished>, Error> {
    let journals = journals()?;
    let found = journals.unfinished(hypervisor, project);
    let mut found = found.map_err(|source| Error::Io { path: journals.root().to_owned(), source })?;
    // What reached its end has taken the place of all before it.
    if let Some(last) = found.iter().position(|run| run.completed) {
        forget(&found.split_off(last));
    }
    let (void, rest): (Vec<_>, Vec<_>) = found.into_iter().partition(Unfinished::is_void);
    forget(&void);
    Ok(rest)
}

/// Forgets runs. One that cannot be forgotten is met again.
pub(super) fn forget(runs: &[Unfinished]) {
    for run in runs {
        let _ = run.remove();
    }
}

/// Tells that there are such runs, and that the command goes on all the same.
pub(super) fn tell(runs: &[Unfinished]) {
    for run in runs {
        output::note(&runs::going_on(run, &Palette::stderr()));
    }
}

/// Whether an operation deletes a disk on which no user has written: an unfinished run made it, and the vm that it is for is
/// not there, or did not become the one that it was made for.
pub(super) fn is_blank(operation: &Operation, runs: &[Unfinished], actual: &ActualState) -> bool {
    let Operation::DeleteDisk(disk) = operation else { return false };
    let made = runs.iter().filter_map(|run| run.journal.as_ref()).flat_map(Journal::made);
    let mut disks = made.filter_map(|operation| match operation {
        Operation::CreateDisk(made) => Some(made),
        _ => None,
    });
    let vm = actual.resources.get(&ResourceId::Vm(disk.vm.clone())).and_then(|found| found.recorded.as_vm());
    let unused = vm.is_none_or(|vm| vm.generation < disk.generation);
    let same = |made: &VmDisk| (&made.vm, &made.disk, made.generation) == (&disk.vm, &disk.disk, disk.generation);
    unused && disks.any(same)
}

/// Of what a plan deletes, the disks and seeds that no vm has ever had: a run that was cut short made them, and the plan makes
/// them and their vm once more. Nothing is lost by these deletions, and none has to be undone.
pub(super) fn never_used(plan: &Plan, older: &[Unfinished]) -> Vec<Operation> {
    let made: Vec<&Operation> = older.iter().filter_map(|run| run.journal.as_ref()).flat_map(Journal::made).collect();
    let defined = |vm: &VmName, generation| {
        let defines = |operation: &Operation| matches!(operation, Operation::DefineVm(new) if new.name == *vm && new.generation == generation);
        plan.steps().flat_map(|step| &step.operations).any(defines)
    };
    let is = |operation: &&Operation| match operation {
        Operation::DeleteDisk(disk) => {
            let same =
                |made: &VmDisk| (&made.vm, &made.disk, made.generation) == (&disk.vm, &disk.disk, disk.generation);
            defined(&disk.vm, disk.generation)
                && made.iter().any(|made| matches!(made, Operation::CreateDisk(made) if same(made)))
        }
        Operation::DeleteSeed { vm, generation } => {
            let same = |seed: &VmSeed| (&seed.vm, seed.generation) == (vm, *generation);
            defined(vm, *generation)
                && made.iter().any(|made| matches!(made, Operation::CreateSeed(made) if same(made)))
        }
        _ => false,
    };
    plan.steps().flat_map(Step::all).filter(is).cloned().collect()
}
