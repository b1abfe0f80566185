//! Progress as lines, for logs: one for each event that is worth one.
//!
//! Owns the words of those lines, which scripts may look for: they do not change from run to run or with the terminal.
//! Knows nothing of where the lines go.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::execute::{Event, EventKind, Outcome, PASSED, StepResult};
use crate::plan::Action;
use crate::plan::StepId;
use crate::render::layout::tame;
use crate::render::outcome::{problem, remains};
use crate::render::progress::Progress;
use crate::render::words::{bare, count, done, took};

/// Turns events into lines. Remembers what has been said, so that a gate is heard of only when its answer changes.
#[derive(Debug, Default)]
pub struct Plain {
    answers: BTreeMap<(StepId, String), String>,
}

impl Plain {
    /// The line for an event, without a line end; `None` where it is not worth one. `progress` has the event in it.
    pub fn line(&mut self, progress: &Progress, event: &Event) -> Option<String> {
        let said = self.say(progress, &event.kind)?;
        Some(format!("[{:>8}] {said}", seconds(event.elapsed)))
    }

    fn say(&mut self, progress: &Progress, event: &EventKind) -> Option<String> {
        if only_looks(progress) && self.goes_without_saying(event) {
            return None;
        }
        match event {
            EventKind::RunStarted { project, steps } => {
                Some(format!("project `{project}`: {}", count(steps.len(), "step")))
            }
            EventKind::StepStarted { step } => {
                let summary = &progress.track(*step)?.summary;
                // Nothing is done to it but what the next line says.
                (summary.action != Action::Verify).then(|| format!("{}: {}", summary.resource, summary.action.as_str()))
            }
            EventKind::StepApplied { step } => {
                let summary = &progress.track(*step)?.summary;
                let waiting = || format!("{}: waiting until {}", summary.resource, tame(&summary.gate));
                (!summary.gate.is_empty()).then(waiting)
            }
            EventKind::GateWaiting { step, attempt, probe, answer } => {
                self.gate(progress, *step, (*attempt, probe, answer))
            }
            EventKind::EvidenceFound { step, telling, .. } => {
                let resource = &progress.track(*step)?.summary.resource;
                (!telling.is_empty()).then(|| format!("{resource}: found: {}", tame(&telling.join("; "))))
            }
            EventKind::StepFinished { step, result } => finished(progress, *step, result),
            EventKind::RollbackStarted { operations } => {
                Some(format!("rolling back: {} to undo", count(*operations, "operation")))
            }
            EventKind::UndoFinished { resource, failure: Some(failure), .. } => {
                Some(format!("{resource}: undo failed: {}", problem(failure)))
            }
            EventKind::UndoFinished { resource, operation, failure: None } => {
                Some(format!("{resource}: undone: {}", bare(operation, resource)))
            }
            EventKind::RunFinished { outcome } => {
                Some(format!("project {}: {}", name(progress), ended(progress, outcome)))
            }
            EventKind::OperationStarted { .. }
            | EventKind::OperationFinished { .. }
            | EventKind::UndoStarted { .. } => None,
        }
    }

    /// Of a look at what stands already, what is as expected.
    fn goes_without_saying(&self, event: &EventKind) -> bool {
        match event {
            EventKind::RunStarted { .. } | EventKind::StepApplied { .. } => true,
            EventKind::StepFinished { step, result: StepResult::Done } => {
                !self.answers.keys().any(|(of, _)| of == step)
            }
            EventKind::RunFinished { outcome } => *outcome == Outcome::Completed,
            _ => false,
        }
    }

    fn gate(&mut self, progress: &Progress, step: StepId, attempt: (u32, &str, &str)) -> Option<String> {
        let (number, probe, answer) = attempt;
        let before = self.answers.insert((step, probe.to_owned()), answer.to_owned());
        if before.as_deref() == Some(answer) {
            return None;
        }
        let resource = &progress.track(step)?.summary.resource;
        let so_far = if answer.starts_with(PASSED) { "" } else { "not yet: " };
        Some(format!("{resource}: {so_far}{}: {} (attempt {number})", tame(probe), tame(answer)))
    }
}

/// Whether a run does nothing but wait.
fn only_looks(progress: &Progress) -> bool {
    progress.tracks.iter().all(|track| track.summary.action == Action::Verify)
}

fn finished(progress: &Progress, step: StepId, result: &StepResult) -> Option<String> {
    let track = progress.track(step)?;
    let resource = &track.summary.resource;
    let spent = track.took(progress.elapsed).map(|time| format!(" ({})", took(time))).unwrap_or_default();
    Some(match result {
        StepResult::Done => {
            let word = done(track.summary.action, resource, &track.summary.gate);
            format!("{resource}: {word}{spent}")
        }
        StepResult::Failed { failure } => format!("{resource}: failed: {}{spent}", problem(failure)),
        StepResult::Cancelled => format!("{resource}: cancelled{spent}"),
        StepResult::NotStarted => format!("{resource}: not started"),
    })
}

fn name(progress: &Progress) -> String {
    progress.project.as_ref().map(|name| format!("`{name}`")).unwrap_or_default()
}

fn ended(progress: &Progress, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Completed => "completed".to_owned(),
        Outcome::RolledBack { .. } => "rolled back".to_owned(),
        // Who only waited has left nothing.
        Outcome::Stuck { .. } if only_looks(progress) => "failed".to_owned(),
        Outcome::Stuck { causes, left_behind } => {
            let left = remains(progress, causes, left_behind);
            format!("stuck, {} left behind", count(left.len(), "resource"))
        }
    }
}

/// Always with one digit after the point and never in minutes: a column of a log is to be compared and sorted.
fn seconds(time: Duration) -> String {
    let tenths = (time.as_millis() + 50) / 100;
    format!("{}.{}s", tenths / 10, tenths % 10)
}
