//! Whether a stream of events is one that a run can tell.
//!
//! Owns the check of the grammar that stands in [`crate::execute::event`]: tests hold every stream against it. A drawing
//! does not need it, and does not use it.

use std::time::Duration;

use crate::execute::{Before, Event, EventKind, Outcome, StepSummary};
use crate::names::ResourceId;
use crate::plan::StepId;
use crate::render::progress::{IllegalTransition, Progress, UndoState, name};

/// Where a stream leaves the grammar. `at` is the number of the event, from 0.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GrammarError {
    /// There is no event at all.
    #[error("there is no event")]
    Empty,
    /// The first event is not `RunStarted`, or a later one is.
    #[error("event {at}: `run_started` must be the first event, once")]
    Start {
        /// Which event.
        at: usize,
    },
    /// The last event is not `RunFinished`, or an earlier one is.
    #[error("event {at}: `run_finished` must be the last event, once")]
    End {
        /// Which event.
        at: usize,
    },
    /// Time goes backwards.
    #[error("event {at}: it came after {elapsed:?}, before the one in front of it")]
    Time {
        /// Which event.
        at: usize,
        /// Its time.
        elapsed: Duration,
    },
    /// The steps are not numbered in order, or wait for steps that are not before them.
    #[error("event {at}: step {} is not numbered in order, or waits for a later one", step.0)]
    Numbers {
        /// Which event.
        at: usize,
        /// Which step.
        step: StepId,
    },
    /// A step or an undo cannot do that now.
    #[error("event {at}: {source}")]
    Transition {
        /// Which event.
        at: usize,
        /// What cannot be.
        source: IllegalTransition,
    },
    /// A step begins before what it waits for is there.
    #[error("event {at}: step {} starts before step {} is applied", step.0, before.0)]
    Early {
        /// Which event.
        at: usize,
        /// Which step.
        step: StepId,
        /// What it waits for.
        before: StepId,
    },
    /// An undo outside a rollback, a second rollback, or one that begins before all steps are over.
    #[error("event {at}: `{event}` is out of place: a rollback comes once, after the last step is over")]
    Rollback {
        /// Which event.
        at: usize,
        /// Its word.
        event: &'static str,
    },
    /// The run ends, but something is still under way.
    #[error("the run has finished, but {resource} is {state}")]
    Unfinished {
        /// What.
        resource: ResourceId,
        /// Its state.
        state: &'static str,
    },
    /// The outcome is not what the events before it add up to.
    #[error("the outcome does not fit the events: {0}")]
    Outcome(&'static str),
}

/// Holds a whole stream against the grammar.
pub fn check(events: &[Event]) -> Result<(), GrammarError> {
    let last = events.len().checked_sub(1).ok_or(GrammarError::Empty)?;
    let mut progress = Progress::default();
    for (at, event) in events.iter().enumerate() {
        if matches!(event.kind, EventKind::RunStarted { .. }) != (at == 0) {
            return Err(GrammarError::Start { at });
        }
        if matches!(event.kind, EventKind::RunFinished { .. }) != (at == last) {
            return Err(GrammarError::End { at });
        }
        if event.elapsed < progress.elapsed {
            return Err(GrammarError::Time { at, elapsed: event.elapsed });
        }
        place(&progress, at, &event.kind)?;
        progress.apply(event).map_err(|source| GrammarError::Transition { at, source })?;
    }
    end(&progress)
}

/// What the state of one step alone cannot tell: order between steps, and between the run and its rollback.
fn place(progress: &Progress, at: usize, event: &EventKind) -> Result<(), GrammarError> {
    match event {
        EventKind::RunStarted { steps, .. } => {
            let ordered =
                |n: usize, step: &StepSummary| step.step.0 == n && step.after.iter().all(|before| before.step.0 < n);
            match steps.iter().enumerate().find(|(n, step)| !ordered(*n, step)) {
                Some((_, step)) => Err(GrammarError::Numbers { at, step: step.step }),
                None => Ok(()),
            }
        }
        EventKind::StepStarted { step } => early(progress, at, *step),
        EventKind::RollbackStarted { .. } => {
            let over = progress.tracks.iter().all(|track| track.state.is_over());
            misplaced(over && progress.rollback.is_none(), at, event)
        }
        EventKind::UndoStarted { .. } | EventKind::UndoFinished { .. } => {
            misplaced(progress.rollback.is_some(), at, event)
        }
        _ => Ok(()),
    }
}

fn misplaced(fits: bool, at: usize, event: &EventKind) -> Result<(), GrammarError> {
    if fits { Ok(()) } else { Err(GrammarError::Rollback { at, event: name(event) }) }
}

fn early(progress: &Progress, at: usize, step: StepId) -> Result<(), GrammarError> {
    let Some(track) = progress.track(step) else { return Ok(()) };
    let reached =
        |before: &Before| progress.track(before.step).is_some_and(|track| track.state.has_reached(before.until));
    match track.summary.after.iter().find(|before| !reached(before)) {
        Some(before) => Err(GrammarError::Early { at, step, before: before.step }),
        None => Ok(()),
    }
}

fn end(progress: &Progress) -> Result<(), GrammarError> {
    for track in &progress.tracks {
        let resource = || track.summary.resource.clone();
        if !track.state.is_over() {
            return Err(GrammarError::Unfinished { resource: resource(), state: track.state.as_str() });
        }
        if matches!(track.undo, UndoState::Undoing(_)) {
            return Err(GrammarError::Unfinished { resource: resource(), state: "being undone" });
        }
    }
    outcome(progress)
}

fn outcome(progress: &Progress) -> Result<(), GrammarError> {
    let all_done = progress.done() == progress.tracks.len();
    let stuck = progress.tracks.iter().any(|track| matches!(track.undo, UndoState::Failed(_)));
    let whole = progress.rollback.is_some_and(|rollback| rollback.undone == rollback.operations);
    let wrong = match &progress.outcome {
        Some(Outcome::Completed) if !all_done => "completed, but a step is not done",
        Some(Outcome::Completed) if progress.rollback.is_some() => "completed, but there was a rollback",
        Some(Outcome::RolledBack { .. }) if stuck => "rolled back, but an undo failed",
        Some(Outcome::RolledBack { .. }) if !whole => "rolled back, but not every call of the rollback went well",
        Some(Outcome::RolledBack { causes }) if causes.is_empty() => "rolled back without a cause",
        Some(Outcome::Stuck { left_behind, causes }) if left_behind.is_empty() && causes.is_empty() => {
            "stuck, but nothing failed and nothing is left behind"
        }
        Some(_) => return Ok(()),
        None => "there is none",
    };
    Err(GrammarError::Outcome(wrong))
}
