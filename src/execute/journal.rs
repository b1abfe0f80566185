//! What a run has applied, and the plan that undoes it.
//!
//! Owns the inversion: operations and edges reversed, gates gone. Pure; keeps no files.

use std::collections::BTreeMap;

use crate::plan::{Action, Cause, Gate, Milestone, Operation, Plan, Step, StepId, Wave};

/// Operations that were applied, by step, each in the order of application.
#[derive(Debug)]
pub struct Journal {
    plan: Plan,
    applied: BTreeMap<StepId, Vec<Operation>>,
}

impl Journal {
    /// Nothing applied yet.
    pub fn new(plan: &Plan) -> Self {
        Self { plan: plan.clone(), applied: BTreeMap::new() }
    }

    /// An operation was applied.
    pub fn record(&mut self, step: StepId, operation: Operation) {
        self.applied.entry(step).or_default().push(operation);
    }

    /// The operations that cannot be undone. An image is none of them: its bytes are those of the user's own file, and
    /// whoever needs it uploads it again. Nor are secrets, which are read again for every start, nor what was done inside a
    /// guest: that goes with a vm that this run made, and of one that was there before the record says so.
    pub fn irreversible(&self) -> impl Iterator<Item = &Operation> {
        let kept = |operation: &&Operation| {
            matches!(operation, Operation::DeleteImage(_) | Operation::ScrubSeed(_) | Operation::Provision(_))
        };
        let lost = move |operation: &&Operation| operation.undo().is_none() && !kept(operation);
        self.applied.values().flatten().filter(lost)
    }

    /// The plan that undoes what was applied: the last first, and nothing before what stands on it.
    pub fn into_undo_plan(self) -> Plan {
        let undone = |step: &StepId| self.applied.contains_key(step);
        let going: Vec<&Step> = self.plan.steps().filter(|step| undone(&step.id)).collect();
        // The undo of the last step is the first.
        let last = going.len().saturating_sub(1);
        let ids: BTreeMap<StepId, StepId> =
            going.iter().enumerate().map(|(n, step)| (step.id, StepId(last - n))).collect();
        let mut after: BTreeMap<StepId, BTreeMap<StepId, Milestone>> = BTreeMap::new();
        for step in &going {
            for before in step.after.keys().filter(|before| undone(before)) {
                after.entry(ids[before]).or_default().insert(ids[&step.id], Milestone::Applied);
            }
        }
        let invert = |step: &Step| Step {
            id: ids[&step.id],
            resource: step.resource.clone(),
            action: inverse(step.action),
            cause: Cause::Rollback,
            origin: step.origin.clone(),
            changes: Vec::new(),
            effect: None,
            operations: self.applied[&step.id].iter().rev().filter_map(Operation::undo).collect(),
            after: after.get(&ids[&step.id]).cloned().unwrap_or_default(),
            gate: Gate::None,
            finish: Vec::new(),
        };
        let wave =
            |wave: &Wave| Wave { steps: wave.steps.iter().rev().filter(|step| undone(&step.id)).map(invert).collect() };
        let waves = self.plan.waves.iter().rev().map(wave).filter(|wave| !wave.steps.is_empty()).collect();
        Plan { project: self.plan.project.clone(), waves, unchanged: Vec::new(), orphans: Vec::new(), kept: Vec::new() }
    }
}

fn inverse(action: Action) -> Action {
    match action {
        Action::Create => Action::Delete,
        Action::Delete => Action::Create,
        Action::Start => Action::Stop,
        Action::Stop => Action::Start,
        Action::Update | Action::Restart | Action::Replace | Action::Pause | Action::Verify => Action::Update,
    }
}
