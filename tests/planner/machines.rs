//! Machines that somebody else made, in the plan: those that are left off, and those without a definition.

use vmcompose::model::{Boot, Condition, Spec};
use vmcompose::plan::awaiting::standing;
use vmcompose::plan::{Company, Gate, Options, PlanError, Power, Selection, plan, power};
use vmcompose::render::{self, Palette};
use vmcompose::state::seen::{Seen, Shape};
use vmcompose::state::{ActualState, DesiredState, Phase};

use crate::specs::{DOWN, UP, applied, desired, edit, id, lines, name, planned, refusal, vm};

/// `old`, which somebody else made and which has a healthcheck, and `web`, which waits for it.
fn pair(start: bool, asks: Condition) -> DesiredState {
    let old = edit(vm("old", &[]), |vm| vm.boot = Boot::Existing { machine: "legacy".to_owned(), start });
    desired(&[old, vm("web", &[("old", asks)])])
}

fn phase(mut actual: ActualState, vm: &str, phase: Phase) -> ActualState {
    actual.resources.get_mut(&id(vm)).expect("there").phase = phase;
    actual
}

/// What is there when the definition of `old` is gone, or is not.
fn defined(wanted: &DesiredState, persistent: bool) -> ActualState {
    let mut actual = applied(wanted);
    let found = actual.resources.get_mut(&id("old")).expect("there");
    let Spec::Vm(vm) = &found.recorded else { panic!("a vm") };
    let (defined, running) = (Shape::of(vm), Some(Shape::of(vm)));
    let (snapshots, other_snapshots) = (Vec::new(), Vec::new());
    found.seen = Some(Box::new(Seen { persistent, autostart: false, defined, running, snapshots, other_snapshots }));
    actual
}

#[test]
fn who_is_left_off_is_not_waited_for() {
    let wanted = pair(false, Condition::Started);
    let off = phase(phase(applied(&wanted), "old", Phase::Stopped), "web", Phase::Stopped);
    assert_eq!(planned(&wanted, &off), ["1 > web <- "]);
    // What is recorded of him is no reason to ask how he is.
    let mut other = wanted.clone();
    other
        .specs
        .insert(id("old"), edit(other.specs[&id("old")].clone(), |vm| vm.labels = [("a".into(), "b".into())].into()));
    let made = plan(&other, &off, &UP).expect("a plan");
    let recorded = made.steps().find(|step| step.resource == id("old")).expect("a step");
    assert_eq!(recorded.gate, Gate::None);
    // Nor does the look at what stands already; who runs is looked at like anybody else.
    let up = applied(&wanted);
    let looked = |actual: &ActualState| {
        let plan = plan(&wanted, actual, &UP).expect("a plan");
        lines(&standing(&wanted, actual, &plan))
    };
    assert_eq!(looked(&phase(up.clone(), "old", Phase::Stopped)), ["1 = web <- "]);
    assert_eq!(looked(&up), ["1 = old <- ", "1 = web <- "]);
}

#[test]
fn who_needs_one_healthy_that_is_left_off_is_refused_as_long_as_it_is() {
    let wanted = pair(false, Condition::Healthy);
    let off = phase(phase(applied(&wanted), "old", Phase::Stopped), "web", Phase::Stopped);
    let expected = "vm `old`: vm `web` waits for what it never reaches: it is off, and `start: false` leaves it so";
    assert_eq!(refusal(&wanted, &off, &UP), expected);
    // Who runs waits for nobody, and one that is started, or that runs, is healthy like any other.
    assert_eq!(planned(&wanted, &phase(off.clone(), "web", Phase::Running)), Vec::<String>::new());
    assert_eq!(planned(&wanted, &phase(off.clone(), "old", Phase::Running)), ["1 = old <- ", "2 > web <- old!"]);
    assert_eq!(planned(&pair(true, Condition::Healthy), &off), ["1 ~ old <- ", "2 > web <- old!"]);
    let alone = Options { vms: [name("web")].into(), no_deps: true, ..UP };
    assert_eq!(lines(&plan(&wanted, &off, &alone).expect("a plan")), ["1 > web <- "]);
}

#[test]
fn a_machine_without_a_definition_is_neither_changed_nor_stopped() {
    let wanted = pair(true, Condition::Started);
    let expected = "vm `old`: somebody removed the definition of machine `legacy` while it runs; nothing of it is left once it stops";
    let orphans = Options { remove_orphans: true, ..UP };
    let without = desired(&[vm("web", &[])]);
    for (wanted, options) in [(&wanted, &UP), (&wanted, &DOWN), (&without, &orphans)] {
        assert_eq!(refusal(wanted, &defined(&pair(true, Condition::Started), false), options), expected);
        plan(wanted, &defined(&pair(true, Condition::Started), true), options).expect("nothing is in the way");
    }
    let all = Selection { vms: [].into(), company: Company::Needed };
    for what in [Power::Stop(None), Power::Restart(None), Power::Suspend, Power::Kill] {
        let refused = power(&wanted.project, &defined(&wanted, false), what, &all);
        let Err(refused @ PlanError::Blocked(_)) = refused else { panic!("not refused: {refused:?}") };
        assert_eq!(refused.to_string(), expected);
        power(&wanted.project, &defined(&wanted, true), what, &all).expect("nothing is in the way");
    }
    power(&wanted.project, &defined(&wanted, false), Power::Pause, &all).expect("it stays there");
}

#[test]
fn who_is_let_go_of_is_said_to_be_stopped_and_never_to_be_deleted() {
    let both = pair(true, Condition::Started);
    let text = |wanted: &DesiredState, actual: &ActualState, options: &Options| {
        render::plan::text(&plan(wanted, actual, options).expect("a plan"), &Palette::PLAIN)
    };
    let without = desired(&[vm("web", &[])]);
    let left = text(&without, &applied(&both), &UP);
    assert!(left.contains("let go of by `--remove-orphans`: stopped, and not deleted"), "{left}");
    assert!(!left.contains("delete them"), "{left}");
    let off = "off: up to 30s to shut down, and nothing starts it again";
    for (wanted, options) in [(&both, &DOWN), (&without, &Options { remove_orphans: true, ..UP })] {
        assert!(text(wanted, &applied(&both), options).contains(off));
        assert!(!text(wanted, &phase(applied(&both), "old", Phase::Stopped), options).contains(off));
    }
    // Beside one of our own both are told.
    let left = text(&desired(&[]), &applied(&both), &UP);
    assert!(left.contains("delete them with `--remove-orphans`") && left.contains("let go of by"), "{left}");
}
