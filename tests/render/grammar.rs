//! What can follow what: in one step, in an undo, in a whole stream.

use std::time::Duration;

use vmcompose::execute::{Event, EventKind, Failure, Outcome, Problem, StepResult};
use vmcompose::plan::StepId;
use vmcompose::render::grammar::{GrammarError, check};
use vmcompose::render::progress::{Attempt, StepState, UndoState};

use crate::fixtures::{creation_plan, vm_id};
use crate::progress::streams;
use crate::stream::{HEALTHZ, success};

const STEP: StepId = StepId(0);

fn failure() -> Failure {
    Failure { resource: vm_id("db"), problem: Problem::Interrupted }
}

fn operation(started: bool, operation: &str) -> EventKind {
    let operation = operation.to_owned();
    if started {
        EventKind::OperationStarted { step: STEP, operation }
    } else {
        EventKind::OperationFinished { step: STEP, operation, note: None }
    }
}

fn finished(result: StepResult) -> EventKind {
    EventKind::StepFinished { step: STEP, result }
}

fn gate() -> EventKind {
    EventKind::GateWaiting { step: STEP, attempt: 4, probe: "agent".to_owned(), answer: "silent".to_owned() }
}

fn undo(started: bool, failure: Option<Failure>) -> EventKind {
    let (resource, operation) = (vm_id("db"), "stop vm `db`".to_owned());
    if started {
        EventKind::UndoStarted { resource, operation }
    } else {
        EventKind::UndoFinished { resource, operation, failure }
    }
}

fn events() -> Vec<EventKind> {
    vec![
        EventKind::StepStarted { step: STEP },
        operation(true, "a"),
        operation(false, "a"),
        operation(false, "b"),
        EventKind::StepApplied { step: STEP },
        gate(),
        finished(StepResult::Done),
        finished(StepResult::Failed { failure: failure() }),
        finished(StepResult::Cancelled),
        finished(StepResult::NotStarted),
        undo(true, None),
        undo(false, None),
        undo(false, Some(failure())),
        EventKind::RollbackStarted { operations: 0 },
        EventKind::RunFinished { outcome: Outcome::Completed },
    ]
}

/// All that is legal, by state and by the number of the event above; everything else must be refused.
#[test]
fn exactly_the_legal_transitions_of_a_step_are_taken() {
    let attempt = Attempt { number: 4, probe: "agent".to_owned(), answer: "silent".to_owned() };
    let running = |name: &str| StepState::Running(Some(name.to_owned()));
    let finishing = |name: &str| StepState::Finishing(Some(name.to_owned()));
    let failed = StepState::Failed(failure());
    let table = [
        (StepState::Pending, vec![(0, StepState::Running(None)), (9, StepState::NotStarted)]),
        (
            StepState::Running(None),
            vec![(1, running("a")), (4, StepState::Gating(None)), (7, failed.clone()), (8, StepState::Cancelled)],
        ),
        (running("a"), vec![(2, StepState::Running(None)), (5, running("a")), (7, failed.clone())]),
        (
            StepState::Gating(None),
            vec![
                (1, finishing("a")),
                (5, StepState::Gating(Some(attempt.clone()))),
                (6, StepState::Done),
                (7, failed.clone()),
                (8, StepState::Cancelled),
            ],
        ),
        (
            StepState::Gating(Some(attempt.clone())),
            vec![
                (1, finishing("a")),
                (5, StepState::Gating(Some(attempt))),
                (6, StepState::Done),
                (7, failed.clone()),
                (8, StepState::Cancelled),
            ],
        ),
        (
            StepState::Finishing(None),
            vec![(1, finishing("a")), (6, StepState::Done), (7, failed.clone()), (8, StepState::Cancelled)],
        ),
        (finishing("a"), vec![(2, StepState::Finishing(None)), (7, failed.clone())]),
        (StepState::Done, vec![]),
        (failed, vec![]),
        (StepState::Cancelled, vec![]),
        (StepState::NotStarted, vec![]),
    ];
    for (state, legal) in table {
        for (number, event) in events().iter().enumerate() {
            let expected = legal.iter().find(|(n, _)| *n == number).map(|(_, next)| next.clone());
            assert_eq!(state.next(event).ok(), expected, "{state:?} at {event:?}");
        }
    }
}

#[test]
fn exactly_the_legal_transitions_of_an_undo_are_taken() {
    let undoing = UndoState::Undoing("stop vm `db`".to_owned());
    let table = [
        (UndoState::Untouched, vec![(10, undoing.clone())]),
        (undoing.clone(), vec![(11, UndoState::Undone), (12, UndoState::Failed(failure()))]),
        (UndoState::Undone, vec![(10, undoing)]),
        (UndoState::Failed(failure()), vec![]),
    ];
    for (state, legal) in table {
        for (number, event) in events().iter().enumerate() {
            let expected = legal.iter().find(|(n, _)| *n == number).map(|(_, next)| next.clone());
            assert_eq!(state.next(event).ok(), expected, "{state:?} at {event:?}");
        }
    }
}

#[test]
fn an_illegal_transition_names_both_sides() {
    let error = StepState::Done.next(&gate()).unwrap_err();
    assert_eq!(error.to_string(), "`gate_waiting` cannot come while the step is done");
}

#[test]
fn streams_of_real_runs_keep_to_the_grammar() {
    for events in streams() {
        assert_eq!(check(&events), Ok(()));
    }
}

#[test]
fn a_stream_with_an_event_missing_or_doubled_is_refused() {
    for events in streams() {
        let done = |id: &StepId| {
            let is =
                |e: &Event| matches!(&e.kind, EventKind::StepFinished { step, result: StepResult::Done } if step == id);
            events.iter().any(is)
        };
        for (at, event) in events.iter().enumerate() {
            // An observer cannot tell how many attempts there were, nor what a step that was given up had reached.
            let free = match &event.kind {
                EventKind::GateWaiting { .. } => continue,
                EventKind::StepApplied { step } | EventKind::OperationStarted { step, .. } => !done(step),
                _ => false,
            };
            let mut missing = events.clone();
            missing.remove(at);
            assert!(free || check(&missing).is_err(), "without event {at}: {event:?}");
            let mut doubled = events.clone();
            doubled.insert(at, event.clone());
            assert!(check(&doubled).is_err(), "event {at} twice: {event:?}");
        }
    }
}

#[test]
fn each_rule_of_the_grammar_has_its_error() {
    let events = success(&creation_plan());
    let broken = |change: &dyn Fn(&mut Vec<Event>)| {
        let mut events = events.clone();
        change(&mut events);
        check(&events).unwrap_err()
    };
    assert_eq!(check(&[]), Err(GrammarError::Empty));
    assert_eq!(broken(&|e| drop(e.remove(0))), GrammarError::Start { at: 0 });
    assert_eq!(broken(&|e| drop(e.pop())), GrammarError::End { at: events.len() - 2 });
    let late = events.len() - 1;
    assert!(matches!(broken(&|e| e[late].elapsed = Duration::ZERO), GrammarError::Time { at, .. } if at == late));
    let numbers = |e: &mut Vec<Event>| {
        if let EventKind::RunStarted { steps, .. } = &mut e[0].kind {
            steps.swap(0, 1);
        }
    };
    assert!(matches!(broken(&numbers), GrammarError::Numbers { at: 0, .. }));
    let start = |e: &Event| matches!(e.kind, EventKind::StepStarted { step: StepId(6) });
    let from = events.iter().position(start).unwrap();
    let early = |e: &mut Vec<Event>| {
        let started = e.remove(from);
        e.insert(1, Event { elapsed: Duration::ZERO, ..started });
    };
    assert_eq!(broken(&early), GrammarError::Early { at: 1, step: StepId(6), before: StepId(1) });
    let undo = |e: &mut Vec<Event>| {
        let kind = EventKind::UndoStarted { resource: vm_id("db"), operation: String::new() };
        e.insert(1, Event { elapsed: Duration::ZERO, kind });
    };
    assert_eq!(broken(&undo), GrammarError::Rollback { at: 1, event: "undo_started" });
    let outcome = |e: &mut Vec<Event>| {
        let causes = vec![Failure { resource: vm_id("db"), problem: Problem::Interrupted }];
        e[late].kind = EventKind::RunFinished { outcome: Outcome::RolledBack { causes } };
    };
    assert!(matches!(broken(&outcome), GrammarError::Outcome(_)));
    let unfinished = |e: &mut Vec<Event>| {
        e.retain(|event| !matches!(&event.kind, EventKind::StepFinished { step: StepId(9), result: StepResult::Done }));
    };
    assert!(matches!(broken(&unfinished), GrammarError::Unfinished { .. }));
}

#[test]
fn a_step_that_says_something_after_its_end_is_refused() {
    let mut events = success(&creation_plan());
    let end = |event: &Event| matches!(event.kind, EventKind::StepFinished { step: StepId(6), .. });
    let at = events.iter().position(end).unwrap() + 1;
    let (probe, answer) = (HEALTHZ.to_owned(), "late".to_owned());
    let elapsed = events[at].elapsed;
    events.insert(at, Event { elapsed, kind: EventKind::GateWaiting { step: StepId(6), attempt: 9, probe, answer } });
    assert!(matches!(check(&events), Err(GrammarError::Transition { at: found, .. }) if found == at));
}
