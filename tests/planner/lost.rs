//! A volume that somebody deleted under a vm: who is restarted for it, and who is left alone.

use vmcompose::model::{Disk, Spec, Volume};
use vmcompose::names::ResourceId;
use vmcompose::plan::{Action, Operation, Options, Plan, plan};
use vmcompose::state::{ActualState, DesiredState, Phase};
use vmcompose::units::Bytes;

use crate::specs::{UP, applied, desired, edit, id, lines, name, refusal, vm};

/// `db` on a volume, and `other` on none.
fn wanted() -> DesiredState {
    let db = edit(vm("db", &[]), |vm| vm.disks = vec![Disk::Volume { volume: name("data") }]);
    desired(&[db, vm("other", &[]), Spec::Volume(Volume::new(name("data"), Bytes::gib(1)))])
}

/// What is there without the volume, and `db` in this phase.
fn without(phase: Phase) -> ActualState {
    let mut actual = applied(&wanted());
    actual.resources.remove(&ResourceId::Volume(name("data"))).expect("there");
    actual.resources.get_mut(&id("db")).expect("there").phase = phase;
    actual
}

fn of(vm: &str) -> Options {
    Options { vms: [name(vm)].into(), ..UP }
}

fn words(plan: &Plan, called: &str) -> (Action, Vec<String>) {
    let step = plan.steps().find(|step| step.resource == id(called)).expect("a step");
    (step.action, step.operations.iter().map(ToString::to_string).collect())
}

#[test]
fn who_is_not_meant_is_left_alone_with_what_he_still_sees() {
    let made = plan(&wanted(), &without(Phase::Running), &of("other")).expect("a plan");
    assert_eq!(lines(&made), Vec::<String>::new(), "neither the volume nor its vm");
    // Where another vm has it made anew, the one on it is still nobody's business.
    let mut both = wanted();
    let on_it = edit(both.specs[&id("other")].clone(), |vm| vm.disks = vec![Disk::Volume { volume: name("data") }]);
    both.specs.insert(id("other"), on_it);
    let both = DesiredState { graph: vmcompose::graph::Graph::build(both.specs.values()).expect("no cycle"), ..both };
    let made = plan(&both, &without(Phase::Running), &of("other")).expect("a plan");
    assert!(made.steps().all(|step| step.resource != id("db")), "{made:#?}");
}

#[test]
fn who_is_on_it_is_restarted_whatever_else_is_left_alone() {
    for options in [of("db"), Options { no_deps: true, ..of("db") }, Options { no_deps: true, ..UP }] {
        let made = plan(&wanted(), &without(Phase::Running), &options).expect("a plan");
        assert_eq!(lines(&made), ["1 + data <- ", "2 ↻ db <- data"], "{options:?}");
    }
}

#[test]
fn who_is_held_does_not_go_on_upon_it() {
    for options in [UP, Options { no_deps: true, ..of("db") }] {
        let made = plan(&wanted(), &without(Phase::Paused), &options).expect("a plan");
        let (action, operations) = words(&made, "db");
        assert_eq!(operations, ["resume vm `db`", "stop vm `db`", "start vm `db`"]);
        assert_eq!(action, Action::Restart);
    }
    // Nothing is lost: it only goes on.
    let made = plan(&wanted(), &ActualState { ..applied(&wanted()) }, &UP).expect("a plan");
    assert!(made.is_empty(), "{made:#?}");
}

#[test]
fn a_memory_that_knows_it_is_not_let_go_on_upon_an_empty_one() {
    let words = refusal(&wanted(), &without(Phase::Saved), &UP);
    let expected = "vm `db` is suspended, and its memory knows what was on volume `data`: somebody deleted that";
    assert_eq!(words, expected);
    // One that nobody asks for stands in nobody's way, and one that is made anew has no memory.
    plan(&wanted(), &without(Phase::Saved), &of("other")).expect("a plan");
    let anew = Options { replace: [name("db")].into(), ..UP };
    let made = plan(&wanted(), &without(Phase::Saved), &anew).expect("a plan");
    let restores = |operation: &Operation| matches!(operation, Operation::RestoreVm(_));
    assert!(!made.steps().flat_map(|step| &step.operations).any(restores), "{made:#?}");
}
