//! A run as it stands: the fold of its events.
//!
//! Owns which state a step can be in and which event leads where. Pure; what it looks like is the drawers' business,
//! and how long something takes it knows only from the events.

use std::fmt;
use std::time::Duration;

use crate::execute::{Before, Event, EventKind, Failure, Outcome, StepResult, StepSummary};
use crate::names::{ProjectName, ResourceId};
use crate::plan::{Action, Milestone, StepId};

/// How far a step has come.
#[derive(Debug, Clone, PartialEq)]
pub enum StepState {
    /// It waits for other steps.
    Pending,
    /// Its operations are carried out; the one that is under way.
    Running(Option<String>),
    /// All are applied; it waits for its gate, and this attempt was the last that did not pass.
    Gating(Option<Attempt>),
    /// Its gate is open, and what comes after that is carried out; the operation that is under way.
    Finishing(Option<String>),
    /// All of it is done.
    Done,
    /// Something went wrong.
    Failed(Failure),
    /// Given up, because another step failed or the user interrupted.
    Cancelled,
    /// Never begun, for the same reasons.
    NotStarted,
}

/// One attempt that did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Its number, from 1.
    pub number: u32,
    /// The probe.
    pub probe: String,
    /// Its answer.
    pub answer: String,
}

/// How far the undoing of what a step did has come.
#[derive(Debug, Clone, PartialEq)]
pub enum UndoState {
    /// Nothing is undone.
    Untouched,
    /// This call is under way.
    Undoing(String),
    /// The last call went well. There may be another.
    Undone,
    /// A call failed; there is no other.
    Failed(Failure),
}

/// An event that cannot come in this state.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("`{event}` cannot come while the step is {state}")]
pub struct IllegalTransition {
    /// The state, in one word.
    pub state: &'static str,
    /// The event, in one word.
    pub event: &'static str,
}

impl StepState {
    /// The state after an event of this step.
    pub fn next(&self, event: &EventKind) -> Result<Self, IllegalTransition> {
        use EventKind as E;
        Ok(match (self, event) {
            (Self::Pending, E::StepStarted { .. }) => Self::Running(None),
            (Self::Pending, E::StepFinished { result: StepResult::NotStarted, .. }) => Self::NotStarted,
            (Self::Running(None), E::OperationStarted { operation, .. }) => Self::Running(Some(operation.clone())),
            (Self::Running(Some(running)), E::OperationFinished { operation, .. }) if running == operation => {
                Self::Running(None)
            }
            (Self::Running(None), E::StepApplied { .. }) => Self::Gating(None),
            (Self::Gating(_), E::GateWaiting { attempt, probe, answer, .. }) => {
                Self::Gating(Some(Attempt { number: *attempt, probe: probe.clone(), answer: answer.clone() }))
            }
            // An operation that waits for a guest says so as a gate does.
            (Self::Running(Some(_)), E::GateWaiting { .. }) => self.clone(),
            (Self::Gating(last), E::EvidenceFound { .. }) => Self::Gating(last.clone()),
            (Self::Gating(_) | Self::Finishing(None), E::OperationStarted { operation, .. }) => {
                Self::Finishing(Some(operation.clone()))
            }
            (Self::Finishing(Some(running)), E::OperationFinished { operation, .. }) if running == operation => {
                Self::Finishing(None)
            }
            (Self::Gating(_) | Self::Finishing(None), E::StepFinished { result: StepResult::Done, .. }) => Self::Done,
            (
                Self::Running(_) | Self::Gating(_) | Self::Finishing(_),
                E::StepFinished { result: StepResult::Failed { failure }, .. },
            ) => Self::Failed(failure.clone()),
            (
                Self::Running(None) | Self::Gating(_) | Self::Finishing(None),
                E::StepFinished { result: StepResult::Cancelled, .. },
            ) => Self::Cancelled,
            _ => return Err(IllegalTransition { state: self.as_str(), event: name(event) }),
        })
    }

    /// Whether the step is over.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Done | Self::Failed(_) | Self::Cancelled | Self::NotStarted)
    }

    /// Whether the step has come as far as another may wait for.
    pub fn has_reached(&self, milestone: Milestone) -> bool {
        match milestone {
            Milestone::Applied => matches!(self, Self::Gating(_) | Self::Finishing(_) | Self::Done),
            Milestone::Passed => *self == Self::Done,
        }
    }

    /// One word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running(_) => "running",
            Self::Gating(_) => "gating",
            Self::Finishing(_) => "finishing",
            Self::Done => "done",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
            Self::NotStarted => "not started",
        }
    }
}

impl UndoState {
    /// The state after an undo event of this resource.
    pub fn next(&self, event: &EventKind) -> Result<Self, IllegalTransition> {
        use EventKind as E;
        Ok(match (self, event) {
            (Self::Untouched | Self::Undone, E::UndoStarted { operation, .. }) => Self::Undoing(operation.clone()),
            (Self::Undoing(running), E::UndoFinished { operation, failure, .. }) if running == operation => {
                failure.clone().map_or(Self::Undone, Self::Failed)
            }
            _ => return Err(IllegalTransition { state: self.as_str(), event: name(event) }),
        })
    }

    fn as_str(&self) -> &'static str {
        match self {
            Self::Untouched => "not being undone",
            Self::Undoing(_) => "being undone",
            Self::Undone => "undone",
            Self::Failed(_) => "stuck",
        }
    }
}

/// The word by which the stream itself calls an event.
pub(super) fn name(event: &EventKind) -> &'static str {
    match event {
        EventKind::RunStarted { .. } => "run_started",
        EventKind::StepStarted { .. } => "step_started",
        EventKind::OperationStarted { .. } => "operation_started",
        EventKind::OperationFinished { .. } => "operation_finished",
        EventKind::StepApplied { .. } => "step_applied",
        EventKind::GateWaiting { .. } => "gate_waiting",
        EventKind::EvidenceFound { .. } => "evidence_found",
        EventKind::StepFinished { .. } => "step_finished",
        EventKind::RollbackStarted { .. } => "rollback_started",
        EventKind::UndoStarted { .. } => "undo_started",
        EventKind::UndoFinished { .. } => "undo_finished",
        EventKind::RunFinished { .. } => "run_finished",
    }
}

/// One step on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// Which step.
    pub summary: StepSummary,
    /// How far it has come.
    pub state: StepState,
    /// How far it has been taken back.
    pub undo: UndoState,
    /// When it began, since the run began.
    pub began: Option<Duration>,
    /// When all was applied that others wait for before its gate is open.
    pub applied: Option<Duration>,
    /// When it was over.
    pub ended: Option<Duration>,
    /// What was found about a vm that did not become healthy: the lines that tell most.
    pub telling: Vec<String>,
    /// What was done otherwise than it should have been.
    pub notes: Vec<String>,
}

impl Track {
    /// Time spent on it, waiting for others not counted. `now` is counted from the beginning of the run.
    pub fn took(&self, now: Duration) -> Option<Duration> {
        Some(self.ended.unwrap_or(now).saturating_sub(self.began?))
    }
}

/// A run as it stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// The project, once the run has begun.
    pub project: Option<ProjectName>,
    /// Its steps, in the order of their numbers.
    pub tracks: Vec<Track>,
    /// Calls of the rollback, and how many of them went well, once there is one.
    pub rollback: Option<Rollback>,
    /// How it ended, once it has.
    pub outcome: Option<Outcome>,
    /// Time of the last event.
    pub elapsed: Duration,
    /// How long earlier runs of the same steps took; `None` where there was none.
    pub expected: Option<Duration>,
}

/// How far a rollback has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rollback {
    /// Calls that it takes.
    pub operations: usize,
    /// Calls that went well.
    pub undone: usize,
}

impl Progress {
    /// Takes the next event in. What cannot come now leaves everything as it is: a drawing must go on whatever it is
    /// told.
    pub fn apply(&mut self, event: &Event) -> Result<(), IllegalTransition> {
        self.elapsed = self.elapsed.max(event.elapsed);
        match &event.kind {
            EventKind::RunStarted { project, steps } => {
                self.project = Some(project.clone());
                self.tracks = steps.iter().map(pending).collect();
                Ok(())
            }
            EventKind::RollbackStarted { operations } => {
                self.rollback = Some(Rollback { operations: *operations, undone: 0 });
                Ok(())
            }
            EventKind::RunFinished { outcome } => {
                self.outcome = Some(outcome.clone());
                Ok(())
            }
            EventKind::UndoStarted { resource, .. } | EventKind::UndoFinished { resource, .. } => {
                self.undo(resource, &event.kind)
            }
            EventKind::StepStarted { step }
            | EventKind::OperationStarted { step, .. }
            | EventKind::OperationFinished { step, .. }
            | EventKind::StepApplied { step }
            | EventKind::GateWaiting { step, .. }
            | EventKind::EvidenceFound { step, .. }
            | EventKind::StepFinished { step, .. } => self.step(*step, event),
        }
    }

    fn step(&mut self, step: StepId, event: &Event) -> Result<(), IllegalTransition> {
        let Some(track) = self.tracks.get_mut(step.0) else {
            return Err(IllegalTransition { state: "unknown", event: name(&event.kind) });
        };
        track.state = track.state.next(&event.kind)?;
        match &event.kind {
            EventKind::EvidenceFound { telling, .. } => track.telling.clone_from(telling),
            EventKind::OperationFinished { note, .. } => track.notes.extend(note.clone()),
            EventKind::StepApplied { .. } => track.applied = Some(event.elapsed),
            _ => {}
        }
        match &track.state {
            StepState::Running(None) if track.began.is_none() => track.began = Some(event.elapsed),
            state if state.is_over() => track.ended = Some(event.elapsed),
            _ => {}
        }
        Ok(())
    }

    fn undo(&mut self, resource: &ResourceId, event: &EventKind) -> Result<(), IllegalTransition> {
        let Some(track) = self.tracks.iter_mut().find(|track| track.summary.resource == *resource) else {
            return Err(IllegalTransition { state: "unknown", event: name(event) });
        };
        track.undo = track.undo.next(event)?;
        if let (EventKind::UndoFinished { failure: None, .. }, Some(rollback)) = (event, &mut self.rollback) {
            rollback.undone += 1;
        }
        Ok(())
    }

    /// The step of that number.
    pub fn track(&self, step: StepId) -> Option<&Track> {
        self.tracks.get(step.0)
    }

    /// What a step waits for: the resources of those steps before it that have not come far enough.
    pub fn waiting_for(&self, track: &Track) -> Vec<&ResourceId> {
        let open =
            |before: &&Before| self.track(before.step).is_some_and(|track| !track.state.has_reached(before.until));
        let before = track.summary.after.iter().filter(open);
        before.filter_map(|before| self.track(before.step)).map(|track| &track.summary.resource).collect()
    }

    /// How long the vms were held that were held and let go on again: the longest counts, from the beginning of one to
    /// the end of the other.
    pub fn held(&self) -> Option<Duration> {
        let of = |action: Action| self.tracks.iter().filter(move |track| track.summary.action == action);
        let held = |paused: &Track| {
            let resource = &paused.summary.resource;
            let resumed = of(Action::Resume).find(|track| track.summary.resource == *resource)?;
            Some(resumed.ended?.saturating_sub(paused.began?))
        };
        of(Action::Pause).filter_map(held).max()
    }

    /// How many steps are done.
    pub fn done(&self) -> usize {
        self.tracks.iter().filter(|track| track.state == StepState::Done).count()
    }
}

fn pending(summary: &StepSummary) -> Track {
    Track {
        summary: summary.clone(),
        state: StepState::Pending,
        undo: UndoState::Untouched,
        began: None,
        applied: None,
        ended: None,
        telling: Vec::new(),
        notes: Vec::new(),
    }
}

impl fmt::Display for Attempt {
    /// "http 10.20.0.5:80/: connection refused (attempt 4)".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (attempt {})", self.probe, self.answer, self.number)
    }
}
