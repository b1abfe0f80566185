//! Which steps may start now: a pure queue over a plan.
//!
//! Owns what each step still waits for. Knows nothing of time, tasks or what a step does.

use std::collections::BTreeSet;

use crate::plan::{Milestone, Plan, StepId};

/// The steps of a plan that have not started, and what holds each of them.
#[derive(Debug)]
pub struct Schedule {
    /// By step: how many milestones it still waits for.
    holds: Vec<usize>,
    /// By step: who waits for it, and up to where.
    dependents: Vec<Vec<(StepId, Milestone)>>,
    ready: BTreeSet<StepId>,
    unstarted: BTreeSet<StepId>,
}

impl Schedule {
    /// All steps of a plan, none started.
    pub fn new(plan: &Plan) -> Self {
        let count = plan.steps().count();
        let mut schedule = Self {
            holds: vec![0; count],
            dependents: vec![Vec::new(); count],
            ready: BTreeSet::new(),
            unstarted: plan.steps().map(|step| step.id).collect(),
        };
        for step in plan.steps() {
            schedule.holds[step.id.0] = step.after.len();
            for (before, milestone) in &step.after {
                schedule.dependents[before.0].push((step.id, *milestone));
            }
            if step.after.is_empty() {
                schedule.ready.insert(step.id);
            }
        }
        schedule
    }

    /// Takes the steps that may start now, lowest number first. Each is returned once.
    pub fn release(&mut self) -> Vec<StepId> {
        let ready: Vec<StepId> = std::mem::take(&mut self.ready).into_iter().collect();
        for step in &ready {
            self.unstarted.remove(step);
        }
        ready
    }

    /// A step has come this far. Call once for each milestone, `Applied` first.
    pub fn reached(&mut self, step: StepId, milestone: Milestone) {
        for (dependent, waits_for) in &self.dependents[step.0] {
            if *waits_for == milestone {
                self.holds[dependent.0] -= 1;
                if self.holds[dependent.0] == 0 {
                    self.ready.insert(*dependent);
                }
            }
        }
    }

    /// Steps that were never released.
    pub fn unstarted(&self) -> impl Iterator<Item = StepId> {
        self.unstarted.iter().copied()
    }
}
