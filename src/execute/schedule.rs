//! Which steps may start now: a pure queue over a plan.
//!
//! Owns what each step still waits for. Knows nothing of time, tasks or what a step does.

use std::collections::{BTreeSet, VecDeque};

use crate::plan::{Milestone, Plan, StepId, Wave};

/// The steps of a plan that have not started, and what holds each of them.
#[derive(Debug)]
pub struct Schedule {
    /// By step: how many milestones it still waits for.
    holds: Vec<usize>,
    /// By step: who waits for it, and up to where.
    dependents: Vec<Vec<(StepId, Milestone)>>,
    ready: BTreeSet<StepId>,
    unstarted: BTreeSet<StepId>,
    /// Where each wave is a barrier: the steps of each that have not passed, the first wave in front.
    waves: Option<VecDeque<BTreeSet<StepId>>>,
}

/// What decides when a step may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// What the step itself waits for.
    #[default]
    Ready,
    /// That, and the wave before it: nothing of the next one starts until all of it has passed.
    Waves,
}

impl Schedule {
    /// All steps of a plan, none started.
    pub fn new(plan: &Plan, order: Order) -> Self {
        let count = plan.steps().count();
        let wave = |wave: &Wave| wave.steps.iter().map(|step| step.id).collect();
        let mut schedule = Self {
            waves: (order == Order::Waves).then(|| plan.waves.iter().map(wave).collect()),
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
        let wave = self.waves.as_ref().and_then(VecDeque::front);
        let may = |step: &StepId| wave.is_none_or(|wave| wave.contains(step));
        let ready: Vec<StepId> = self.ready.iter().copied().filter(may).collect();
        for step in &ready {
            self.ready.remove(step);
            self.unstarted.remove(step);
        }
        ready
    }

    /// A step has come this far. Call once for each milestone, `Applied` first.
    pub fn reached(&mut self, step: StepId, milestone: Milestone) {
        if let Some(waves) = self.waves.as_mut().filter(|_| milestone == Milestone::Passed) {
            for wave in waves.iter_mut() {
                wave.remove(&step);
            }
            while waves.front().is_some_and(BTreeSet::is_empty) {
                waves.pop_front();
            }
        }
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
