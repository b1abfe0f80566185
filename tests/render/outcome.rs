//! The last words of a run.

use vmcompose::execute::{Event, EventKind, Outcome};
use vmcompose::plan::Plan;
use vmcompose::render::outcome::{About, text};
use vmcompose::render::{Palette, Progress};

use crate::fixtures::{creation_plan, empty_plan, removal_plan};
use crate::golden;
use crate::stream::{Stream, half_down, interrupted, rolled_back, stuck, success};

fn seen(events: &[Event]) -> (Progress, Outcome) {
    let mut progress = Progress::default();
    for event in events {
        progress.apply(event).unwrap();
    }
    let Some(EventKind::RunFinished { outcome }) = events.last().map(|event| event.kind.clone()) else {
        panic!("a run that does not end")
    };
    (progress, outcome)
}

fn told(plan: &Plan, events: &[Event], connect: Option<&str>, verbose: bool) -> String {
    let (progress, outcome) = seen(events);
    text(&outcome, &About { plan, progress: &progress, connect, verbose }, &Palette::PLAIN)
}

#[test]
fn a_run_that_reached_everything_says_so_in_one_line() {
    let plan = creation_plan();
    assert_eq!(told(&plan, &success(&plan), None, false), "3 vms healthy, 1 vm started in 12.8s\n");
}

#[test]
fn a_way_down_counts_what_is_gone() {
    let plan = removal_plan(true);
    let mut stream = Stream::of(&plan);
    let events = stream.whole(0).whole(1).whole(2).end(Outcome::Completed);
    assert_eq!(told(&plan, &events, None, false), "1 vm, 1 network, 1 volume deleted in 0.7s\n");
}

#[test]
fn a_run_of_nothing_says_so() {
    let plan = empty_plan(Vec::new());
    let events = Stream::of(&plan).end(Outcome::Completed);
    assert_eq!(told(&plan, &events, None, false), "nothing to do in 0.0s\n");
}

#[test]
fn a_rolled_back_run_names_vm_probe_attempts_and_last_answer() {
    let plan = creation_plan();
    golden("outcome-rolled-back.txt", &told(&plan, &rolled_back(&plan), None, false));
}

#[test]
fn an_interrupted_run_is_interrupted_once() {
    let plan = creation_plan();
    golden("outcome-interrupted.txt", &told(&plan, &interrupted(&plan), None, false));
}

#[test]
fn a_stuck_run_lists_what_is_left_with_the_commands_to_remove_it() {
    let plan = creation_plan();
    let connect = Some("qemu+ssh://ada@host/system?keyfile=/a b");
    golden("outcome-stuck.txt", &told(&plan, &stuck(&plan), connect, true));
}

#[test]
fn a_stuck_way_down_can_be_gone_on_with() {
    let plan = removal_plan(false);
    let events = half_down(&plan);
    golden("outcome-stuck-down.txt", &told(&plan, &events, Some("qemu:///system"), false));
    let verbose = told(&plan, &events, None, true);
    assert!(verbose.contains("\n  libvirt: internal error: monitor closed (code=1, domain=10)\n"), "{verbose}");
}

#[test]
fn a_guest_that_had_to_be_killed_is_told_of() {
    let plan = removal_plan(false);
    let mut stream = Stream::of(&plan);
    let events = stream.whole(0).whole(1).end(Outcome::Completed);
    let (mut progress, outcome) = seen(&events);
    let about = |progress: &Progress| {
        text(&outcome, &About { plan: &plan, progress, connect: None, verbose: false }, &Palette::PLAIN)
    };
    let before = about(&progress);
    assert!(!before.contains("note:"), "{before}");
    progress.tracks[0].notes.push("killed after 10s".to_owned());
    let resource = progress.tracks[0].summary.resource.to_string();
    assert_eq!(about(&progress), format!("{before}note: {resource}: killed after 10s\n"));
}
