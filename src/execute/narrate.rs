//! Turns what the loop sees into events.
//!
//! Owns the sending end of the stream and its clock. Decides nothing.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use super::event::{Before, Event, EventKind, StepResult, StepSummary};
use super::worker::{Ended, Message};
use super::{Failure, Problem, Told};
use crate::backend::Change;
use crate::names::ResourceId;
use crate::plan::{Operation, Plan, Step};

/// The way events leave a run.
#[derive(Debug, Clone)]
pub struct EventSender {
    began: Instant,
    events: UnboundedSender<Event>,
}

/// A channel for the events of one run, whose clock starts now.
pub fn channel() -> (EventSender, UnboundedReceiver<Event>) {
    let (events, stream) = unbounded_channel();
    (EventSender { began: Instant::now(), events }, stream)
}

impl EventSender {
    pub(super) fn send(&self, kind: EventKind) {
        // A run does not depend on being watched.
        let _ = self.events.send(Event { elapsed: self.began.elapsed(), kind });
    }
}

/// The steps of a plan as observers know them.
pub fn summaries(plan: &Plan) -> Vec<StepSummary> {
    let waves = plan.waves.iter().enumerate();
    let summary = |(wave, step): (usize, &Step)| StepSummary {
        step: step.id,
        wave: wave + 1,
        resource: step.resource.clone(),
        action: step.action,
        after: step.after.iter().map(|(step, until)| Before { step: *step, until: *until }).collect(),
        gate: step.gate.to_string(),
    };
    waves.flat_map(|(n, wave)| wave.steps.iter().map(move |step| (n, step))).map(summary).collect()
}

/// Tells of a step on the way forward.
pub(super) fn narrate(events: &EventSender, step: &Step, told: Told) {
    let operation = |index: usize| step.all().nth(index);
    let name = |index: usize| operation(index).map(ToString::to_string).unwrap_or_default();
    let (resource, step) = (&step.resource, step.id);
    events.send(match told {
        Told::Message(Message::Refused(_)) => return,
        Told::Started => EventKind::StepStarted { step },
        Told::NotStarted => EventKind::StepFinished { step, result: StepResult::NotStarted },
        Told::Message(Message::Begun(index)) => EventKind::OperationStarted { step, operation: name(index) },
        Told::Message(Message::Applied(index, change)) => {
            let note = operation(index).and_then(|operation| note(operation, change));
            EventKind::OperationFinished { step, operation: name(index), note }
        }
        Told::Message(Message::AllApplied) => EventKind::StepApplied { step },
        Told::Message(Message::Waiting(waiting)) => {
            EventKind::GateWaiting { step, attempt: waiting.attempt, probe: waiting.probe, answer: waiting.answer }
        }
        Told::Message(Message::Found(exhibits)) => {
            let telling = exhibits.iter().filter_map(|exhibit| exhibit.telling.clone()).collect();
            EventKind::EvidenceFound { step, telling, exhibits }
        }
        Told::Message(Message::Ended(ended)) => EventKind::StepFinished { step, result: result(resource, ended) },
    });
}

/// What force is told of.
fn note(operation: &Operation, change: Change) -> Option<String> {
    match (operation, change) {
        (Operation::StopVm { grace, .. }, Change::Forced) => {
            Some(format!("killed after {grace}: it had not reacted to the shutdown by then"))
        }
        _ => None,
    }
}

fn result(resource: &ResourceId, ended: Ended) -> StepResult {
    match ended {
        Ended::Done => StepResult::Done,
        Ended::Cancelled => StepResult::Cancelled,
        Ended::Failed(problem) => StepResult::Failed { failure: Failure { resource: resource.clone(), problem } },
    }
}

/// Tells of a step on the way back: by operation, for an undo has no gate.
pub(super) fn narrate_undo(events: &EventSender, step: &Step, told: Told) {
    let resource = step.resource.clone();
    match told {
        Told::Message(Message::Begun(index)) => {
            events.send(EventKind::UndoStarted { resource, operation: step.operations[index].to_string() });
        }
        Told::Message(Message::Applied(index, _)) => {
            let operation = step.operations[index].to_string();
            events.send(EventKind::UndoFinished { resource, operation, failure: None });
        }
        Told::Message(Message::Ended(Ended::Failed(problem))) => {
            let operation = match &problem {
                Problem::Operation { operation, .. } => operation.clone(),
                _ => String::new(),
            };
            let failure = Some(Failure { resource: resource.clone(), problem });
            events.send(EventKind::UndoFinished { resource, operation, failure });
        }
        Told::Started | Told::NotStarted | Told::Message(_) => {}
    }
}
