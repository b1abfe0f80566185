//! What a run tells the outside, in order.
//!
//! The grammar: the first event is `RunStarted`, the last `RunFinished`. A step is `StepStarted`, then any number of
//! `OperationStarted`, `OperationFinished` and `GateWaiting`, at most one `StepApplied` once the operations that others wait
//! for are done, at most one `EvidenceFound` once its gate has failed, and exactly one `StepFinished`. Operations after its gate come after every `GateWaiting`. `RollbackStarted`
//! comes at most once, after the last `StepFinished`; then each `UndoStarted` is followed by its `UndoFinished`. Observers
//! cannot steer: events flow one way.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Failure, Outcome};
use crate::backend::Exhibit;
use crate::names::{ProjectName, ResourceId};
use crate::plan::{Action, Milestone, StepId};

/// How the answer of a probe begins that passed, and about which there is more to say.
pub const PASSED: &str = "passed";

/// Something happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// Time since the run began, in seconds.
    #[serde(rename = "elapsed_s", with = "seconds")]
    pub elapsed: Duration,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// First of all: what is going to be done.
    RunStarted {
        /// The project.
        project: ProjectName,
        /// The steps, in the order of their numbers.
        steps: Vec<StepSummary>,
    },
    /// All that the step waited for is there.
    StepStarted {
        /// Which step.
        step: StepId,
    },
    /// One call begins.
    OperationStarted {
        /// Of which step.
        step: StepId,
        /// Which, as a fragment: "define vm `db`".
        operation: String,
    },
    /// One call returned.
    OperationFinished {
        /// Of which step.
        step: StepId,
        /// Which.
        operation: String,
        /// What was not as it should be about it, where it did what it is for all the same.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// All operations of the step are applied.
    StepApplied {
        /// Which step.
        step: StepId,
    },
    /// The gate is not open yet; or a probe of it passed, and something is not as it should be all the same.
    GateWaiting {
        /// Of which step.
        step: StepId,
        /// Number of attempts so far.
        attempt: u32,
        /// The probe.
        probe: String,
        /// Its last answer; begins with [`PASSED`] where it is one that counts.
        answer: String,
    },
    /// The gate failed, and this was found out about its vm before anything is undone.
    EvidenceFound {
        /// Of which step.
        step: StepId,
        /// The lines that tell most.
        telling: Vec<String>,
        /// All of it; no part of the stream, because it is long.
        #[serde(skip)]
        exhibits: Vec<Exhibit>,
    },
    /// The step is over.
    StepFinished {
        /// Which step.
        step: StepId,
        /// How.
        result: StepResult,
    },
    /// What this run did is going to be undone.
    RollbackStarted {
        /// How many operations.
        operations: usize,
    },
    /// One undo begins.
    UndoStarted {
        /// What is put back.
        resource: ResourceId,
        /// By which call.
        operation: String,
    },
    /// One undo returned.
    UndoFinished {
        /// What was put back.
        resource: ResourceId,
        /// By which call.
        operation: String,
        /// Why it was not, where it was not.
        failure: Option<Failure>,
    },
    /// Last of all.
    RunFinished {
        /// How it ended.
        outcome: Outcome,
    },
}

/// A step as observers know it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepSummary {
    /// Its number.
    pub step: StepId,
    /// Its wave, from 1.
    pub wave: usize,
    /// What it is done to.
    pub resource: ResourceId,
    /// What is done.
    pub action: Action,
    /// The steps it waits for.
    pub after: Vec<Before>,
    /// What it must reach; empty where nothing.
    pub gate: String,
}

/// A step that another waits for, and up to where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// Which.
    pub step: StepId,
    /// How far it has to come.
    pub until: Milestone,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StepResult {
    /// All operations applied and the gate open.
    Done,
    /// Something went wrong.
    Failed {
        /// What.
        failure: Failure,
    },
    /// Given up, because another step failed or the user interrupted.
    Cancelled,
    /// Never begun, for the same reasons.
    NotStarted,
}

mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(elapsed: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        // Milliseconds are what a reader can use; more digits would only be noise.
        serializer.serialize_f64((elapsed.as_secs_f64() * 1000.0).round() / 1000.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        Duration::try_from_secs_f64(seconds).map_err(serde::de::Error::custom)
    }
}
