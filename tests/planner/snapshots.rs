//! Snapshots: in which order everybody is held, taken and let go on, and who can be in one.

use std::collections::{BTreeMap, BTreeSet};

use vmcompose::model::hardware::Firmware;
use vmcompose::model::{Condition, Disk, Moment, Share, Snapshot, Spec, Vm, Was};
use vmcompose::plan::snapshot::{self, Safety, Taking};
use vmcompose::plan::{Operation, Plan, PlanError, plan};
use vmcompose::state::seen::{Seen, Shape};
use vmcompose::state::{ActualState, Phase};
use vmcompose::units::Bytes;

use super::specs::{UP, applied, desired, edit, id, lines, name, vm};

const MEMORY: Taking = Taking { memory: true, freeze: false };

fn pair() -> ActualState {
    applied(&desired(&[vm("db", &[]), vm("web", &[("db", Condition::Started)])]))
}

fn snapshot(vms: &[&str]) -> Snapshot {
    let vms: BTreeSet<_> = vms.iter().map(|vm| name(vm)).collect();
    Snapshot { name: name("good"), id: "1".to_owned(), description: String::new(), taken_at: 1, vms, before: None }
}

fn take(actual: &ActualState, taking: Taking) -> Result<Plan, PlanError> {
    snapshot::take(&name("shop"), actual, &snapshot(&["db", "web"]), taking)
}

#[test]
fn nothing_is_taken_before_all_are_held_and_nobody_goes_on_before_all_are_taken() {
    let expected =
        ["1 | db <- ", "1 | web <- ", "2 * db <- db web", "2 * web <- db web", "3 > db <- db web", "3 > web <- db web"];
    assert_eq!(lines(&take(&pair(), MEMORY).expect("a plan")), expected);
    let frozen = take(&pair(), Taking { memory: false, freeze: true }).expect("a plan");
    assert_eq!(frozen.waves.len(), 5, "frozen, held, taken, let go on, thawed");
}

#[test]
fn who_is_off_or_held_is_taken_as_it_is() {
    let mut actual = pair();
    actual.resources.get_mut(&id("db")).expect("there").phase = Phase::Stopped;
    actual.resources.get_mut(&id("web")).expect("there").phase = Phase::Paused;
    let plan = take(&actual, MEMORY).expect("a plan");
    assert_eq!(lines(&plan), ["1 * db <- ", "1 * web <- "]);
    let was: Vec<(Was, bool)> = plan
        .steps()
        .flat_map(|step| &step.operations)
        .map(|operation| match operation {
            Operation::CreateSnapshot { moment, .. } => (moment.was, moment.memory),
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(was, [(Was::Off, false), (Was::Paused, true)]);
}

fn refused(change: impl FnOnce(&mut Vm)) -> String {
    let actual = applied(&desired(&[edit(vm("db", &[]), change)]));
    take(&actual, MEMORY).expect_err("it cannot be").to_string()
}

#[test]
fn who_has_a_memory_that_cannot_be_kept_is_named_with_the_reason() {
    let uefi = refused(|vm| vm.hardware.firmware = Some(Firmware::Uefi));
    assert!(uefi.contains("vm `db` cannot be in the snapshot") && uefi.contains("UEFI"), "{uefi}");
    let share = Share { source: "/a".to_owned(), target: "/b".to_owned(), read_only: false };
    assert!(refused(|vm| vm.shares = vec![share]).contains("shares a folder"));
    let uefi = applied(&desired(&[edit(vm("db", &[]), |vm| vm.hardware.firmware = Some(Firmware::Uefi))]));
    take(&uefi, Taking { memory: false, freeze: false }).expect("its disks can be taken");
}

/// A vm that is in a snapshot.
fn photographed(mut actual: ActualState, vm: &str, moment: &Moment) -> ActualState {
    let found = actual.resources.get_mut(&id(vm)).expect("there");
    let Spec::Vm(spec) = found.recorded.clone() else { panic!("a vm") };
    let running = Some(Shape::of(&spec));
    let (autostart, defined, other_snapshots) = (false, Shape::of(&spec), vec!["by-hand".to_owned()]);
    let snapshots = vec![moment.clone()];
    found.seen = Some(Box::new(Seen { persistent: true, autostart, defined, running, snapshots, other_snapshots }));
    actual
}

fn moment(was: Was, memory: bool) -> Moment {
    Moment { snapshot: snapshot(&["db", "web"]), memory, was }
}

#[test]
fn a_name_that_a_vm_has_already_is_refused_whoever_took_it() {
    let actual = photographed(pair(), "db", &moment(Was::Off, false));
    let twice = take(&actual, MEMORY).expect_err("it is there").to_string();
    assert!(twice.contains("there is a snapshot `good` already") && !twice.contains("did not take"), "{twice}");
    let by_hand = Snapshot { name: name("by-hand"), ..snapshot(&["db", "web"]) };
    let other = snapshot::take(&name("shop"), &actual, &by_hand, MEMORY).expect_err("it is there").to_string();
    assert!(other.contains("which vmcompose did not take"), "{other}");
}

#[test]
fn a_restore_takes_what_is_now_first_and_lets_go_on_only_who_ran() {
    let moments = BTreeMap::from([(name("db"), moment(Was::Running, true)), (name("web"), moment(Was::Off, false))]);
    let before = Snapshot { name: name("undo"), id: "2".to_owned(), ..snapshot(&["db", "web"]) };
    let restore = |before: Option<&Snapshot>| {
        let safety = before.map(|snapshot| Safety { snapshot, memory: true });
        snapshot::restore(&name("shop"), &pair(), &moments, safety).expect("a plan")
    };
    let plan = restore(Some(&before));
    let expected = [
        "1 | db <- ",
        "1 | web <- ",
        "2 * db <- db web",
        "2 * web <- db web",
        "3 ↺ db <- db web",
        "3 ↺ web <- db web",
        "4 > db <- db web",
    ];
    assert_eq!(lines(&plan), expected);
    assert_eq!(lines(&restore(None)), ["1 ↺ db <- ", "1 ↺ web <- ", "2 > db <- db web"]);
    for operation in plan.steps().flat_map(|step| &step.operations) {
        let there_and_back = operation.undo().and_then(|undo| undo.undo());
        if matches!(operation, Operation::RestoreSnapshot { .. }) {
            assert_eq!(there_and_back.as_ref(), Some(operation));
        }
    }
}

#[test]
fn networks_that_are_down_are_started_before_a_vm_comes_back_to_life() {
    let mut actual = pair();
    let net = vmcompose::names::ResourceId::Network(name("net"));
    actual.resources.get_mut(&net).expect("there").phase = Phase::Stopped;
    let moments = BTreeMap::from([(name("db"), moment(Was::Running, true))]);
    let plan = snapshot::restore(&name("shop"), &actual, &moments, None).expect("a plan");
    assert_eq!(lines(&plan), ["1 > net <- ", "2 ↺ db <- net", "3 > db <- db"]);
}

#[test]
fn a_memory_that_would_be_lost_on_the_way_back_is_not_lost_silently() {
    let uefi = || edit(vm("db", &[]), |vm| vm.hardware.firmware = Some(Firmware::Uefi));
    let mut actual = applied(&desired(&[uefi()]));
    let moments = BTreeMap::from([(name("db"), moment(Was::Off, false))]);
    let before = Snapshot { name: name("undo"), id: "2".to_owned(), ..snapshot(&["db"]) };
    let restore = |actual: &ActualState, memory| {
        snapshot::restore(&name("shop"), actual, &moments, Some(Safety { snapshot: &before, memory }))
    };
    let refused = restore(&actual, true).expect_err("it would be lost").to_string();
    assert!(refused.contains("cannot be kept for the way back: it boots by UEFI"), "{refused}");
    let kept = |plan: &Plan| {
        let operations = plan.steps().flat_map(|step| step.operations.clone());
        let taken = operations.filter_map(|operation| match operation {
            Operation::CreateSnapshot { moment, .. } => Some(moment.memory),
            _ => None,
        });
        taken.collect::<Vec<_>>()
    };
    assert_eq!(kept(&restore(&actual, false).expect("who says so loses it")), [false]);
    actual.resources.get_mut(&id("db")).expect("there").phase = Phase::Stopped;
    assert_eq!(kept(&restore(&actual, true).expect("it has none")), [false]);
}

#[test]
fn a_disk_with_snapshots_on_it_grows_under_a_vm_that_runs() {
    let (small, large) = (Bytes::gib(1), Bytes::gib(2));
    let db = |size, cpus| {
        desired(&[edit(vm("db", &[]), |vm| {
            vm.disks = vec![Disk::Own { name: name("logs"), size }];
            vm.cpus = cpus;
        })])
    };
    let actual = photographed(applied(&db(small, 1)), "db", &moment(Was::Off, false));
    let disk_sizes = [((name("db"), name("logs")), small)].into();
    let mut actual = ActualState { disk_sizes, ..actual };
    let operations = |actual: &ActualState, cpus| -> Vec<String> {
        let plan = plan(&db(large, cpus), actual, &UP).expect("a plan");
        plan.steps().flat_map(|step| &step.operations).map(ToString::to_string).collect()
    };
    let grow = "grow disk `logs` of vm `db` to 2GiB";
    let rebooted = operations(&actual, 2);
    let at =
        |what: &str| rebooted.iter().position(|one| one.starts_with(what)).unwrap_or_else(|| panic!("{rebooted:?}"));
    assert!(at(grow) < at("stop") && at("stop") < at("redefine") && at("redefine") < at("start"), "{rebooted:?}");
    actual.resources.get_mut(&id("db")).expect("there").phase = Phase::Stopped;
    let started = operations(&actual, 1);
    assert_eq!(started.last().map(String::as_str), Some(grow), "{started:?}");
    assert!(started.iter().any(|one| one == "start vm `db`"), "{started:?}");
}
