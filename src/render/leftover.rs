//! The commands that do by hand what a rollback or a `down` could not do.
//!
//! Owns which operations were not carried out, and their order. What to type for each is the backend's to say.

use crate::backend::libvirt::by_hand;
use crate::execute::{Failure, Problem};
use crate::plan::{Cause, Operation, Plan, Step};

/// The commands for all that remains, in the order in which they work. `connect` is the hypervisor as the user named it.
pub(super) fn commands(plan: &Plan, connect: Option<&str>, remains: &[&Failure]) -> Vec<String> {
    let of = |failure: &&Failure| -> Vec<Operation> {
        let step = plan.steps().find(|step| step.resource == failure.resource);
        step.map(|step| remaining(step, &failure.problem)).unwrap_or_default()
    };
    remains.iter().flat_map(of).filter_map(|operation| by_hand(plan, connect, &operation)).collect()
}

/// The operations that were not carried out, the one that failed first. The step ran forwards when the failed operation
/// is one of its own, and backwards when it is the undo of one.
fn remaining(step: &Step, problem: &Problem) -> Vec<Operation> {
    let undo: Vec<Operation> = step.operations.iter().rev().filter_map(Operation::undo).collect();
    let from = |operations: &[Operation], failed: &str| {
        let at = operations.iter().position(|operation| operation.to_string() == failed)?;
        Some(operations[at..].to_vec())
    };
    match problem {
        // What was made before the failure and is kept.
        Problem::Operation { operation, .. } if is_forward(step) && from(&step.operations, operation).is_some() => {
            let at = step.operations.iter().position(|own| own.to_string() == *operation).unwrap_or_default();
            step.operations[..at].iter().rev().filter_map(Operation::undo).collect()
        }
        Problem::Operation { operation, .. } => {
            from(&step.operations, operation).or_else(|| from(&undo, operation)).unwrap_or_default()
        }
        Problem::Blocked | Problem::Interrupted | Problem::Overdue { .. } if step.action.is_going() => {
            step.operations.clone()
        }
        Problem::Irreversible { .. } => Vec::new(),
        _ => undo,
    }
}

/// Whether a step makes something, and is no undo.
fn is_forward(step: &Step) -> bool {
    !step.action.is_going() && step.cause != Cause::Rollback
}
