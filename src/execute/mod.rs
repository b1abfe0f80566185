//! Carries a plan out and, when something fails, carries out its inverse.

pub mod event;

use serde::{Deserialize, Serialize};

use crate::backend::HypervisorError;
use crate::names::ResourceId;

pub use event::{Event, EventKind, StepResult, StepSummary};

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// Everything was done.
    Completed,
    /// Something failed, or the user interrupted, and all that this run did is undone.
    RolledBack {
        /// The failures, in the order they came.
        causes: Vec<Failure>,
    },
    /// The same, but an undo failed too, or was not possible.
    Stuck {
        /// What failed first.
        causes: Vec<Failure>,
        /// What could not be put back.
        left_behind: Vec<Failure>,
    },
}

/// Something that went wrong, with all that a reader needs to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// With which resource.
    pub resource: ResourceId,
    /// What happened.
    #[serde(flatten)]
    pub problem: Problem,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "problem", rename_all = "snake_case")]
pub enum Problem {
    /// A call failed.
    Operation {
        /// Which, as a fragment that fits "failed to …".
        operation: String,
        /// Why.
        error: HypervisorError,
    },
    /// A gate did not open in time.
    Unhealthy {
        /// The probe that did not pass.
        probe: String,
        /// How often it was tried.
        attempts: u32,
        /// Time waited, in whole seconds.
        waited_s: u64,
        /// Its last answer.
        answer: String,
    },
    /// The vm died while its gate was pending, or the probe cannot be made at all.
    Hopeless {
        /// The probe that was pending.
        probe: String,
        /// Why no further attempt can pass.
        error: HypervisorError,
    },
    /// The user interrupted.
    Interrupted,
    /// Never tried, because something that stands on it is still there.
    Blocked,
    /// It was removed for good before the run failed.
    Irreversible {
        /// By which call.
        operation: String,
    },
}
