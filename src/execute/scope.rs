//! Which steps a rollback takes back.
//!
//! Owns the meaning of `--on-failure`. Decides by the plan and by what failed, and undoes nothing itself.

use std::collections::BTreeSet;

use super::pass::Ran;
use super::{OnFailure, Options};
use crate::plan::{Plan, Step, StepId};

/// What is taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    /// Nothing.
    Nothing,
    /// All that the run did.
    Everything,
    /// These steps.
    Steps(BTreeSet<StepId>),
}

impl Scope {
    /// What the failures of a way forward entail.
    pub(super) fn of(plan: &Plan, ran: &Ran, options: &Options) -> Self {
        // An interrupt is about the whole run, and so is its deadline.
        let all = ran.halted || options.abort.is_cancelled();
        match options.on_failure {
            OnFailure::Keep | OnFailure::Continue => Self::Nothing,
            OnFailure::Rollback => Self::Everything,
            OnFailure::RollbackWave | OnFailure::RollbackVm if all => Self::Everything,
            OnFailure::RollbackWave => {
                let first = plan.waves.iter().position(|wave| wave.steps.iter().any(|step| failed(ran, step)));
                let later = plan.waves.iter().skip(first.unwrap_or(0));
                Self::Steps(later.flat_map(|wave| &wave.steps).map(|step| step.id).collect())
            }
            OnFailure::RollbackVm => {
                // Steps are numbered behind what they wait for.
                let mut going: BTreeSet<StepId> = BTreeSet::new();
                for step in plan.steps() {
                    if failed(ran, step) || step.after.keys().any(|before| going.contains(before)) {
                        going.insert(step.id);
                    }
                }
                Self::Steps(going)
            }
        }
    }

    pub(super) fn has(&self, step: &Step) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Steps(steps) => steps.contains(&step.id),
        }
    }
}

fn failed(ran: &Ran, step: &Step) -> bool {
    ran.failures.iter().any(|failure| failure.resource == step.resource)
}
