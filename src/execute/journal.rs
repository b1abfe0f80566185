//! What a run is about to do and has done, and the plan that undoes it.
//!
//! Owns the entries, what they amount to, and the inversion: operations and edges reversed, gates gone. Pure: where the
//! entries are kept is the business of [`mod@file`], so that the same undo follows a failure and a crash.

pub mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::io;

use serde::{Deserialize, Serialize};

use crate::model::Vm;
use crate::names::ResourceId;
use crate::plan::presence::Presence;
use crate::plan::{Action, Cause, Gate, Milestone, Operation, Plan, Step, StepId, Wave};
use crate::state::ActualState;

/// Which operation of a plan: of which step, and which of its operations, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place(pub StepId, pub usize);

/// One line of a journal. All places are those of the run's own plan, on the way back too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// It is about to be applied.
    Begun(Place),
    /// It was applied.
    Applied(Place),
    /// It had no effect: it was refused, or there was nothing to do.
    Void(Place),
    /// It is about to be undone.
    Undoing(Place),
    /// It was undone.
    Undone(Place),
    /// The run ended, and reached what it was for: nothing of it, and of what was before it, is to be undone.
    Completed,
    /// The run ended, but something is left of it.
    Stuck,
}

impl Entry {
    /// Whether it announces something, so that it has to be safe before that happens.
    pub fn announces(&self) -> bool {
        matches!(self, Self::Begun(_) | Self::Undoing(_))
    }
}

/// Where the entries of a run go.
pub trait Recorder: Debug + Send + Sync {
    /// Takes an entry. One that announces something is on the disk when this returns.
    fn record(&self, entry: &Entry) -> io::Result<()>;
}

/// Keeps nothing: for runs that nobody has to recover.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unrecorded;

impl Recorder for Unrecorded {
    fn record(&self, _: &Entry) -> io::Result<()> {
        Ok(())
    }
}

/// How far an operation has come. One that is not marked had no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// Nobody knows whether it had its effect, or lost it.
    Doubtful,
    Applied,
    Undone,
}

/// A plan, and what was done of it.
#[derive(Debug, Clone)]
pub struct Journal {
    plan: Plan,
    marks: BTreeMap<Place, Mark>,
}

/// Whether the journal is believed, or held against what the hypervisor has.
#[derive(Debug, Clone, Copy)]
pub enum Check<'a> {
    /// The run that wrote it goes on: it knows what it did.
    Trust,
    /// The run is over, and anything may have happened since.
    Against {
        /// What there is.
        actual: &'a ActualState,
        /// Undo also what somebody changed since.
        force: bool,
    },
}

/// The way back.
#[derive(Debug, Clone)]
pub struct Undo {
    /// What has to be done.
    pub plan: Plan,
    /// By operation of that plan: which one of the run it undoes.
    pub places: BTreeMap<Place, Place>,
    /// What cannot be undone.
    pub lost: Vec<Operation>,
    /// What is left alone, because somebody changed it after the run.
    pub changed: Vec<Operation>,
}

impl Journal {
    /// Nothing done yet.
    pub fn new(plan: &Plan) -> Self {
        Self { plan: plan.clone(), marks: BTreeMap::new() }
    }

    /// The plan that it is about.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Takes an entry.
    pub fn record(&mut self, entry: &Entry) {
        match *entry {
            Entry::Begun(place) | Entry::Undoing(place) => {
                self.marks.insert(place, Mark::Doubtful);
            }
            Entry::Applied(place) => {
                self.marks.insert(place, Mark::Applied);
            }
            Entry::Void(place) => {
                self.marks.remove(&place);
            }
            Entry::Undone(place) => {
                self.marks.insert(place, Mark::Undone);
            }
            Entry::Completed | Entry::Stuck => {}
        }
    }

    /// Whether its plan has the operation that an entry speaks of.
    pub fn knows(&self, entry: &Entry) -> bool {
        match entry {
            Entry::Begun(place)
            | Entry::Applied(place)
            | Entry::Void(place)
            | Entry::Undoing(place)
            | Entry::Undone(place) => self.operation(*place).is_some(),
            Entry::Completed | Entry::Stuck => true,
        }
    }

    /// Nothing that it says is certain: every operation may have been applied.
    pub fn doubt(&mut self) {
        let places = |step: &Step| (0..step.all().count()).map(|n| Place(step.id, n)).collect::<Vec<_>>();
        self.marks = self.plan.steps().flat_map(places).map(|place| (place, Mark::Doubtful)).collect();
    }

    /// How many operations are applied or may be.
    pub fn in_force(&self) -> usize {
        self.marks.values().filter(|mark| **mark != Mark::Undone).count()
    }

    /// Whether anything of a step is applied, or may be.
    pub fn is_in_force(&self, step: StepId) -> bool {
        self.marks.iter().any(|(place, mark)| place.0 == step && *mark != Mark::Undone)
    }

    /// The disks and seeds of vms that the run made, or may have made. Nobody has written on one whose vm was not
    /// defined.
    pub fn made(&self) -> impl Iterator<Item = &Operation> {
        let made = |operation: &&Operation| matches!(operation, Operation::CreateDisk(_) | Operation::CreateSeed(_));
        self.marks.keys().filter_map(|place| self.operation(*place)).filter(made)
    }

    fn operation(&self, Place(step, index): Place) -> Option<&Operation> {
        self.plan.steps().nth(step.0)?.all().nth(index)
    }

    /// The way back from the steps in `scope`: the last first, and nothing before what stands on it.
    pub fn undo(&self, scope: impl Fn(&Step) -> bool, check: Check<'_>) -> Undo {
        let judged = self.judge(scope, check);
        let (plan, places) = self.invert(&judged.back);
        Undo { plan, places, lost: judged.lost, changed: judged.changed }
    }

    fn judge(&self, scope: impl Fn(&Step) -> bool, check: Check<'_>) -> Judged {
        let mut judged = Judged::default();
        let steps: Vec<&Step> = self.plan.steps().filter(|step| scope(step)).collect();
        let gone = self.gone(&steps, check);
        // What is done to one resource may be several steps: one holds it, a later one lets it go on.
        let mut touched: BTreeSet<&ResourceId> = BTreeSet::new();
        for step in steps.into_iter().rev() {
            // What was done before something was lost for good would be put back onto nothing.
            let first = gone.get(&step.id).map_or(0, |index| index + 1);
            let mut swept = None;
            let all: Vec<&Operation> = step.all().collect();
            for (index, operation) in all.iter().copied().enumerate().rev() {
                let behind = touched.contains(&step.resource);
                match self.verdict(Place(step.id, index), operation, check, behind) {
                    None => {}
                    Some(_) if is_told(operation) => judged.lost.push(operation.clone()),
                    Some(_) if is_for_good(operation) => {}
                    Some(_) if index < first => swept = Some(operation),
                    Some(Presence::Changed) => judged.changed.push(operation.clone()),
                    Some(_) => {
                        judged.back.entry(step.id).or_default().insert(index);
                        touched.insert(&step.resource);
                    }
                }
            }
            // Lost with what it stood on: nothing of its own says so.
            let silent = !all.iter().any(|operation| is_told(operation));
            judged.lost.extend(swept.filter(|_| silent).cloned());
        }
        // Told in the order in which it was done.
        judged.lost.reverse();
        judged.changed.reverse();
        judged
    }

    /// What became of an operation; `None` where there is nothing to undo. `behind` where a later one on its resource is undone
    /// before it: then a look now tells nothing of it, as a vm that was stopped and started again runs.
    fn verdict(&self, place: Place, operation: &Operation, check: Check<'_>, behind: bool) -> Option<Presence> {
        let mark = self.marks.get(&place).filter(|mark| **mark != Mark::Undone)?;
        match check {
            Check::Trust => Some(if *mark == Mark::Applied { Presence::There } else { Presence::Unknown }),
            Check::Against { actual, force } => match operation.presence(actual) {
                _ if behind => Some(Presence::Unknown),
                Presence::Gone => None,
                Presence::Changed if force => Some(Presence::Unknown),
                presence => Some(presence),
            },
        }
    }

    /// The steps in which something was lost for good, and with which of their operations. Where a resource is lost that
    /// was to go, so are those that stood on it and went before; and where what a resource was before is lost, it stays what
    /// it is now, with all that it needs.
    fn gone(&self, steps: &[&Step], check: Check<'_>) -> BTreeMap<StepId, usize> {
        let mut gone = BTreeMap::new();
        for step in steps {
            let lost = |(index, operation): (usize, &Operation)| {
                let done = self.verdict(Place(step.id, index), operation, check, false).is_some();
                (takes_away(operation) && done).then_some(index)
            };
            let index = step.all().enumerate().filter_map(lost).last();
            gone.extend(index.map(|index| (step.id, index)));
        }
        let by_id: BTreeMap<StepId, &Step> = steps.iter().map(|step| (step.id, *step)).collect();
        let deleted = |id: &StepId| by_id.get(id).is_some_and(|step| step.action.is_going());
        let mut queue: Vec<StepId> = gone.keys().copied().filter(deleted).collect();
        while let Some(id) = queue.pop() {
            let step = by_id[&id];
            let needed = step.after.keys().filter(|before| !deleted(&id) || deleted(before)).copied();
            let stays = steps.iter().filter(|other| takes_place(other, &step.resource)).map(|other| other.id);
            for other in needed.chain(stays).filter(|other| by_id.contains_key(other)).collect::<Vec<_>>() {
                let all = by_id[&other].all().count();
                if gone.insert(other, all) != Some(all) {
                    queue.push(other);
                }
            }
        }
        gone
    }

    fn invert(&self, back: &BTreeMap<StepId, BTreeSet<usize>>) -> (Plan, BTreeMap<Place, Place>) {
        let going: Vec<&Step> = self.plan.steps().filter(|step| back.contains_key(&step.id)).collect();
        // The undo of the last step is the first.
        let last = going.len().saturating_sub(1);
        let ids: BTreeMap<StepId, StepId> =
            going.iter().enumerate().map(|(n, step)| (step.id, StepId(last - n))).collect();
        let mut after: BTreeMap<StepId, BTreeMap<StepId, Milestone>> = BTreeMap::new();
        for step in &going {
            for before in step.after.keys().filter(|before| ids.contains_key(before)) {
                after.entry(ids[before]).or_default().insert(ids[&step.id], Milestone::Applied);
            }
        }
        let mut places = BTreeMap::new();
        let mut invert = |step: &Step| {
            let mut operations = Vec::new();
            for index in back[&step.id].iter().rev() {
                let Some(undo) = step.all().nth(*index).and_then(Operation::undo) else { continue };
                places.insert(Place(ids[&step.id], operations.len()), Place(step.id, *index));
                operations.push(undo);
            }
            Step {
                id: ids[&step.id],
                resource: step.resource.clone(),
                action: inverse(step.action),
                cause: Cause::Rollback,
                origin: step.origin.clone(),
                changes: Vec::new(),
                effect: None,
                operations,
                after: after.get(&ids[&step.id]).cloned().unwrap_or_default(),
                gate: Gate::None,
                finish: Vec::new(),
            }
        };
        let mut waves = Vec::new();
        for wave in self.plan.waves.iter().rev() {
            let undone = wave.steps.iter().rev().filter(|step| ids.contains_key(&step.id));
            let steps: Vec<Step> = undone.map(&mut invert).collect();
            if !steps.is_empty() {
                waves.push(Wave { steps });
            }
        }
        let project = self.plan.project.clone();
        (
            Plan { project, waves, unchanged: Vec::new(), orphans: Vec::new(), adopted: Vec::new(), kept: Vec::new() },
            places,
        )
    }
}

/// What is to be done about the operations of a run.
#[derive(Default)]
struct Judged {
    back: BTreeMap<StepId, BTreeSet<usize>>,
    lost: Vec<Operation>,
    changed: Vec<Operation>,
}

/// Whether nothing undoes it.
fn is_for_good(operation: &Operation) -> bool {
    operation.undo().is_none()
}

/// Whether what stood on it cannot be put back. What has only grown hinders nobody.
fn takes_away(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::DeleteImage(_)
            | Operation::DeleteVolume(_)
            | Operation::DeleteDisk(_)
            | Operation::DeleteSeed { .. }
    )
}

/// Whether a step brought about what made something a thing of the past.
fn takes_place(step: &Step, former: &ResourceId) -> bool {
    match former {
        ResourceId::FormerVm(vm) | ResourceId::FormerDisks(vm) => step.resource.as_vm() == Some(vm),
        ResourceId::FormerImage(image) => {
            let was_on = |vm: &Vm| vm.boot.images().any(|other| other.name == *image);
            let leaves =
                |operation: &Operation| matches!(operation, Operation::RedefineVm { from, .. } if was_on(from));
            step.resource == ResourceId::Image(image.clone()) || step.all().any(leaves)
        }
        _ => false,
    }
}

/// Whether its loss is told. An image's bytes are those of the user's own file, and whoever needs it uploads it again.
/// Secrets are read again for every start; what was done inside a guest goes with a vm that this run made, and of one that was there before the record says so.
fn is_told(operation: &Operation) -> bool {
    is_for_good(operation)
        && !matches!(
            operation,
            Operation::DeleteImage(_) | Operation::ScrubSeed(_) | Operation::Provision(_) | Operation::SetClock(_)
        )
}

fn inverse(action: Action) -> Action {
    match action {
        Action::Create => Action::Delete,
        Action::Delete => Action::Create,
        Action::Adopt => Action::Release,
        Action::Release => Action::Adopt,
        Action::Start => Action::Stop,
        Action::Stop => Action::Start,
        Action::Pause | Action::Suspend => Action::Resume,
        Action::Resume => Action::Pause,
        Action::Freeze => Action::Thaw,
        Action::Thaw => Action::Freeze,
        Action::Snapshot => Action::Forget,
        Action::Restore => Action::Restore,
        Action::Update | Action::Restart | Action::Replace | Action::Verify | Action::Forget => Action::Update,
    }
}
