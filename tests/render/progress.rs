//! Progress: the fold, the grammar, and what is drawn of both.

use std::time::Duration;

use vmcompose::execute::{Event, EventKind, Failure, Outcome, Problem, StepResult};
use vmcompose::plan::StepId;
use vmcompose::render::grammar::{GrammarError, check};
use vmcompose::render::progress::{Attempt, StepState, UndoState};
use vmcompose::render::{Mode, Moment, Palette, Plain, Progress, Screen, frame};

use crate::fixtures::{creation_plan, removal_plan, vm_id};
use crate::golden;
use crate::stream::{HEALTHZ, half_down, half_way, interrupted, rolled_back, stuck, success};

fn streams() -> [Vec<Event>; 5] {
    let plan = creation_plan;
    [success(plan()), rolled_back(plan()), stuck(plan()), interrupted(plan()), half_down(removal_plan(false))]
}

fn fold(events: &[Event]) -> Progress {
    let mut progress = Progress::default();
    for event in events {
        progress.apply(event).unwrap();
    }
    progress
}

fn plain(events: &[Event]) -> String {
    let (mut progress, mut plain) = (Progress::default(), Plain::default());
    let mut text = String::new();
    for event in events {
        progress.apply(event).unwrap();
        if let Some(line) = plain.line(&progress, event) {
            text.push_str(&format!("{line}\n"));
        }
    }
    text
}

#[test]
fn plain_lines_tell_each_run_from_begin_to_end() {
    for (name, events) in ["success", "rolled-back", "stuck", "interrupted", "stuck-down"].iter().zip(streams()) {
        golden(&format!("plain-{name}.txt"), &plain(&events));
    }
}

#[test]
fn a_gate_that_gives_the_same_answer_is_heard_of_once() {
    let text = plain(&success(creation_plan()));
    assert_eq!(text.matches("connection refused").count(), 2, "once for db, once for api-1:\n{text}");
    assert_eq!(text.matches("no route to host").count(), 1, "{text}");
}

fn screen(width: usize, height: usize) -> Screen {
    Screen { width, height, unicode: true }
}

fn picture(progress: &Progress, screen: Screen) -> String {
    let moment = Moment { now: progress.elapsed, tick: 3 };
    let lines = frame(progress, moment, screen, &Palette::PLAIN);
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[test]
fn a_frame_says_what_each_resource_does_or_waits_for() {
    let progress = fold(&half_way(creation_plan()).events);
    for width in [39, 79, 119] {
        golden(&format!("frame-half-way-{width}.txt"), &picture(&progress, screen(width, 40)));
    }
    golden("frame-half-way-ascii.txt", &picture(&progress, Screen { unicode: false, ..screen(79, 40) }));
}

#[test]
fn a_frame_during_a_rollback_says_what_is_undone_and_why() {
    let events = stuck(creation_plan());
    let undoing = events.iter().rposition(|event| matches!(event.kind, EventKind::UndoStarted { .. })).unwrap();
    golden("frame-rollback-79.txt", &picture(&fold(&events[..=undoing]), screen(79, 40)));
    golden("frame-stuck-119.txt", &picture(&fold(&events), screen(119, 40)));
}

#[test]
fn a_plan_longer_than_the_screen_shows_what_moves() {
    let progress = fold(&half_way(creation_plan()).events);
    golden("frame-low-79.txt", &picture(&progress, screen(79, 8)));
    for height in 1..20 {
        let lines = picture(&progress, screen(79, height)).lines().count();
        assert!(lines <= height.max(3), "{lines} lines on a screen of {height}");
    }
}

#[test]
fn no_line_is_wider_than_the_screen() {
    for events in streams() {
        for end in 1..=events.len() {
            let progress = fold(&events[..end]);
            for width in [20, 39, 48, 79, 119] {
                for line in picture(&progress, screen(width, 40)).lines() {
                    assert!(line.chars().count() <= width, "{width}: {line}");
                }
            }
        }
    }
}

#[test]
fn the_mode_follows_the_flag_and_the_terminal() {
    use vmcompose::cli::Progress as Asked;
    assert_eq!([Mode::auto(true), Mode::auto(false)], [Mode::Fancy, Mode::Plain]);
    assert_eq!(Mode::choose(Asked::Fancy, false), Mode::Plain, "a log cannot show lines that change");
    assert_eq!(Mode::choose(Asked::Json, true), Mode::Json);
    assert_eq!(Mode::choose(Asked::Quiet, true), Mode::Quiet);
}

#[test]
fn a_drawing_ends_with_its_stream_and_returns_what_it_saw() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for mode in [Mode::Quiet, Mode::Fancy] {
        let events = success(creation_plan());
        let expected = fold(&events);
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        for event in events {
            sender.send(event).unwrap();
        }
        drop(sender);
        assert_eq!(runtime.block_on(vmcompose::render::draw(mode, receiver)), expected, "{mode:?}");
    }
}

#[test]
fn events_survive_the_way_through_json() {
    for events in streams() {
        for event in &events {
            let line = serde_json::to_string(event).unwrap();
            let back: Event = serde_json::from_str(&line).unwrap();
            assert_eq!(serde_json::to_string(&back).unwrap(), line);
        }
    }
}

#[test]
fn what_a_step_waits_for_shrinks_as_others_end() {
    let progress = fold(&half_way(creation_plan()).events);
    let waiting = |step: usize| progress.waiting_for(&progress.tracks[step]);
    assert_eq!(waiting(9), [&vm_id("api-2"), &vm_id("api-1")], "first who is not even applied");
    assert_eq!(waiting(7), [] as [&vmcompose::names::ResourceId; 0]);
}

#[test]
fn time_is_counted_from_the_start_of_the_step_to_its_end() {
    let progress = fold(&success(creation_plan()));
    let db = &progress.tracks[6];
    assert_eq!(db.took(Duration::from_secs(999)), Some(Duration::from_millis(7_100)));
}

mod transitions {
    use super::{Attempt, EventKind, Failure, Outcome, Problem, StepId, StepResult, StepState, UndoState, vm_id};

    const STEP: StepId = StepId(0);

    fn failure() -> Failure {
        Failure { resource: vm_id("db"), problem: Problem::Interrupted }
    }

    fn operation(started: bool, operation: &str) -> EventKind {
        let operation = operation.to_owned();
        if started {
            EventKind::OperationStarted { step: STEP, operation }
        } else {
            EventKind::OperationFinished { step: STEP, operation }
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
        let failed = StepState::Failed(failure());
        let table = [
            (StepState::Pending, vec![(0, StepState::Running(None)), (9, StepState::NotStarted)]),
            (
                StepState::Running(None),
                vec![(1, running("a")), (4, StepState::Gating(None)), (7, failed.clone()), (8, StepState::Cancelled)],
            ),
            (running("a"), vec![(2, StepState::Running(None)), (7, failed.clone())]),
            (
                StepState::Gating(None),
                vec![
                    (5, StepState::Gating(Some(attempt.clone()))),
                    (6, StepState::Done),
                    (7, failed.clone()),
                    (8, StepState::Cancelled),
                ],
            ),
            (
                StepState::Gating(Some(attempt.clone())),
                vec![
                    (5, StepState::Gating(Some(attempt))),
                    (6, StepState::Done),
                    (7, failed.clone()),
                    (8, StepState::Cancelled),
                ],
            ),
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
    let events = success(creation_plan());
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
    let mut events = success(creation_plan());
    let end = |event: &Event| matches!(event.kind, EventKind::StepFinished { step: StepId(6), .. });
    let at = events.iter().position(end).unwrap() + 1;
    let (probe, answer) = (HEALTHZ.to_owned(), "late".to_owned());
    let elapsed = events[at].elapsed;
    events.insert(at, Event { elapsed, kind: EventKind::GateWaiting { step: StepId(6), attempt: 9, probe, answer } });
    assert!(matches!(check(&events), Err(GrammarError::Transition { at: found, .. }) if found == at));
}

/// Not a check but a way to look, in a terminal: `cargo test --test render look_at -- --ignored --nocapture`.
#[test]
#[ignore = "for eyes: replays runs in real time on a terminal"]
fn look_at_runs_as_they_go() {
    use std::io::IsTerminal;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let name = std::env::var("RUN").unwrap_or_default();
    let plan = if name == "down" { removal_plan(false) } else { creation_plan() };
    let events = match name.as_str() {
        "rolled-back" => rolled_back(plan.clone()),
        "stuck" => stuck(plan.clone()),
        "down" => half_down(plan.clone()),
        _ => success(plan.clone()),
    };
    let Some(EventKind::RunFinished { outcome }) = events.last().map(|event| event.kind.clone()) else { return };
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let replay = async move {
        let mut now = Duration::ZERO;
        for event in events {
            // No one looks at a minute of waiting.
            tokio::time::sleep((event.elapsed - now).min(Duration::from_secs(3))).await;
            now = event.elapsed;
            sender.send(event).unwrap();
        }
    };
    let mode = Mode::auto(std::io::stderr().is_terminal());
    let drawn = async { tokio::join!(vmcompose::render::draw(mode, receiver), replay).0 };
    let progress = runtime.block_on(drawn);
    let palette = Palette::stderr();
    let about = vmcompose::render::outcome::About { plan: &plan, progress: &progress, connect: None, verbose: false };
    vmcompose::render::output::note(&vmcompose::render::outcome::text(&outcome, &about, &palette));
}
