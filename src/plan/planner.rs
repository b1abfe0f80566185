//! Compares two states and decides what has to be done: a pure, total, deterministic function.

use crate::plan::Plan;
use crate::state::{ActualState, DesiredState};

/// What the user asked for besides the file.
#[derive(Debug, Clone, Default)]
pub struct Options {}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PlanError {}

/// Makes the plan.
pub fn plan(desired: &DesiredState, actual: &ActualState, options: &Options) -> Result<Plan, PlanError> {
    let _ = (desired, actual, options);
    Err(panic!())
}
