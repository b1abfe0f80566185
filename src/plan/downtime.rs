//! Which vms are off for a while when a plan is carried out, and what ends that.
//!
//! Owns the prediction. How long a guest takes to shut down and to boot is its own business, so it is told in bounds and in
//! events, not in seconds that nobody can know.

use crate::names::VmName;
use crate::plan::operation::Operation;
use crate::plan::{Cause, Gate, Plan, Step, StepId};
use crate::units::Span;

/// A vm that runs, and is off between two moments of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Downtime<'a> {
    /// Which vm.
    pub vm: &'a VmName,
    /// By which step.
    pub step: StepId,
    /// Why.
    pub cause: &'a Cause,
    /// How long its guest may take to shut down before the plug is pulled.
    pub grace: Span,
    /// What it has reached when it is back: its gate, or only its start.
    pub until: &'a Gate,
}

impl Plan {
    /// The vms that are stopped and started again, in the order of their steps.
    pub fn downtime(&self) -> Vec<Downtime<'_>> {
        self.steps().filter_map(downtime).collect()
    }
}

fn downtime(step: &Step) -> Option<Downtime<'_>> {
    let vm = step.resource.as_vm()?;
    let stop = step.operations.iter().position(|operation| matches!(operation, Operation::StopVm { .. }))?;
    let Operation::StopVm { grace, .. } = &step.operations[stop] else { return None };
    let starts = |operation: &Operation| matches!(operation, Operation::StartVm(_));
    let back = step.operations[stop..].iter().any(starts);
    back.then_some(Downtime { vm, step: step.id, cause: &step.cause, grace: *grace, until: &step.gate })
}
