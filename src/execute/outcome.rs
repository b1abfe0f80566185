//! How a run ends, and what can go wrong in it.
//!
//! Owns the words of success and failure, as plain values. Knows nothing of how they come about.

use serde::{Deserialize, Serialize};

use crate::backend::HypervisorError;
use crate::names::ResourceId;

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
    /// The same, but not all of it could be undone, or there is no way back.
    Stuck {
        /// What failed first.
        causes: Vec<Failure>,
        /// What is not as it should be, and why.
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
        /// Time waited, in seconds.
        waited_s: f64,
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
    /// The run took longer than it may.
    Overdue {
        /// How long it may take, in seconds.
        limit_s: f64,
    },
    /// Never tried, because something that stands on it is still there.
    Blocked,
    /// Made by this run and left, as the user asked for.
    Kept,
    /// It was removed for good before the run failed.
    Irreversible {
        /// By which call.
        operation: String,
    },
}
