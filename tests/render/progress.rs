//! Progress: the fold, and what is drawn of it.

use std::time::Duration;

use vmcompose::execute::{Event, EventKind};
use vmcompose::render::{Mode, Moment, Palette, Plain, Progress, Screen, frame};

use crate::fixtures::{creation_plan, removal_plan, vm_id};
use crate::golden;
use crate::stream::{half_down, half_way, interrupted, rolled_back, stuck, success};

/// Every way in which a run can end.
pub(crate) fn streams() -> [Vec<Event>; 5] {
    let plan = creation_plan();
    [success(&plan), rolled_back(&plan), stuck(&plan), interrupted(&plan), half_down(&removal_plan(false))]
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
            text.push_str(&line);
            text.push('\n');
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
    let text = plain(&success(&creation_plan()));
    assert_eq!(text.matches("connection refused").count(), 2, "once for db, once for api-1:\n{text}");
    assert_eq!(text.matches("no route to host").count(), 1, "{text}");
}

fn screen(width: usize, height: usize) -> Screen {
    Screen { width, height, unicode: true }
}

fn picture(progress: &Progress, screen: Screen) -> String {
    let moment = Moment { now: progress.elapsed, tick: 3 };
    let lines = frame(progress, moment, screen, &Palette::PLAIN);
    let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
    format!("{}\n", lines.join("\n"))
}

#[test]
fn a_frame_says_what_each_resource_does_or_waits_for() {
    let progress = fold(&half_way(&creation_plan()).events);
    for width in [39, 79, 119] {
        golden(&format!("frame-half-way-{width}.txt"), &picture(&progress, screen(width, 40)));
    }
    golden("frame-half-way-ascii.txt", &picture(&progress, Screen { unicode: false, ..screen(79, 40) }));
}

#[test]
fn a_frame_during_a_rollback_says_what_is_undone_and_why() {
    let events = stuck(&creation_plan());
    let undoing = events.iter().rposition(|event| matches!(event.kind, EventKind::UndoStarted { .. })).unwrap();
    golden("frame-rollback-79.txt", &picture(&fold(&events[..=undoing]), screen(79, 40)));
    golden("frame-stuck-119.txt", &picture(&fold(&events), screen(119, 40)));
}

#[test]
fn a_plan_longer_than_the_screen_shows_what_moves() {
    let progress = fold(&half_way(&creation_plan()).events);
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
        let events = success(&creation_plan());
        let expected = fold(&events);
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        for event in events {
            sender.send(event).unwrap();
        }
        drop(sender);
        assert_eq!(runtime.block_on(vmcompose::render::draw(mode, receiver, None)), expected, "{mode:?}");
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
    let progress = fold(&half_way(&creation_plan()).events);
    let waiting = |step: usize| progress.waiting_for(&progress.tracks[step]);
    assert_eq!(waiting(9), [&vm_id("api-1"), &vm_id("api-2")]);
    assert_eq!(waiting(7), [] as [&vmcompose::names::ResourceId; 0]);
}

#[test]
fn time_is_counted_from_the_start_of_the_step_to_its_end() {
    let progress = fold(&success(&creation_plan()));
    let db = &progress.tracks[6];
    assert_eq!(db.took(Duration::from_secs(999)), Some(Duration::from_millis(7_100)));
}
