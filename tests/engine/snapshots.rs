//! Snapshots of several vms: all or nothing, with a fault at every operation of taking and of restoring.

use std::collections::{BTreeMap, BTreeSet};

use tokio_util::sync::CancellationToken;
use vmcompose::backend::Hypervisor;
use vmcompose::execute::{OnFailure, Outcome, Problem};
use vmcompose::model::{Moment, Snapshot, Spec, Was};
use vmcompose::names::VmName;
use vmcompose::plan::snapshot::{self, Taking};
use vmcompose::plan::{Operation, Plan};
use vmcompose::state::{ActualState, Phase};
use vmcompose::units::Span;

use crate::rig::{Rig, operations, rig};

const MEMORY: Taking = Taking { memory: true, freeze: false };

fn whole(actual: &ActualState, name: &str) -> Snapshot {
    let vms: BTreeSet<VmName> = actual.resources.keys().filter_map(|id| id.as_vm()).cloned().collect();
    let name = name.parse().expect("legal");
    Snapshot { id: format!("{name} 1"), name, description: "fine".to_owned(), taken_at: 7, vms, before: None }
}

fn take(rig: &Rig, name: &str) -> Plan {
    let actual = rig.observe();
    snapshot::take(&rig.project.name, &actual, &whole(&actual, name), MEMORY).expect("a plan")
}

fn completes(rig: &Rig, plan: &Plan) {
    let (outcome, _) = rig.run(plan, OnFailure::Rollback, &CancellationToken::new());
    assert_eq!(outcome, Outcome::Completed);
}

fn kept(rig: &Rig) -> BTreeMap<VmName, Moment> {
    let (_, kept) = snapshot::snapshots(&rig.observe()).into_iter().next().expect("one");
    kept
}

/// Fails each operation of a plan in turn; each time all is as before.
fn undone_wherever_it_fails(rig: &Rig, plan: &Plan) {
    let before = rig.observe();
    for n in 0..operations(plan) {
        rig.hypervisor.fail(rig.hypervisor.calls() + n);
        let (outcome, _) = rig.run(plan, OnFailure::Rollback, &CancellationToken::new());
        assert!(matches!(outcome, Outcome::RolledBack { .. }), "at {n}: {outcome:?}");
        assert_eq!(rig.observe(), before, "at {n}");
    }
}

#[test]
fn a_snapshot_is_taken_of_all_vms_or_of_none() {
    let rig = rig(|faulty| faulty);
    rig.up();
    rig.hypervisor.apply(&rig.project.name, &Operation::PauseVm("slow".parse().expect("legal"))).expect("paused");
    let before = rig.observe();
    let plan = take(&rig, "good");
    assert_eq!(operations(&plan), 4 + 5 + 4, "one is held already, and stays so");
    undone_wherever_it_fails(&rig, &plan);
    completes(&rig, &plan);
    let was: Vec<(String, Was, bool)> =
        kept(&rig).into_iter().map(|(vm, moment)| (vm.to_string(), moment.was, moment.memory)).collect();
    let how = |vm: &str| if vm == "slow" { Was::Paused } else { Was::Running };
    let expected = ["api-1", "api-2", "db", "slow", "web"].map(|vm| (vm.to_owned(), how(vm), true));
    assert_eq!(was, expected);
    let phases = |state: &ActualState| state.resources.values().map(|found| found.phase).collect::<Vec<_>>();
    assert_eq!(phases(&rig.observe()), phases(&before), "everybody goes on");
}

#[test]
fn an_interrupt_while_a_snapshot_is_taken_leaves_nothing_of_it() {
    let interrupt = CancellationToken::new();
    let signal = interrupt.clone();
    let rig = rig(|faulty| {
        faulty.noticing(move |operation| {
            if operation == "create snapshot `good` of vm `db`" {
                signal.cancel();
            }
        })
    });
    rig.up();
    let before = rig.observe();
    let (outcome, _) = rig.run(&take(&rig, "good"), OnFailure::Rollback, &interrupt);
    let Outcome::RolledBack { causes } = outcome else { panic!("{outcome:?}") };
    assert!(causes.iter().all(|failure| failure.problem == Problem::Interrupted), "{causes:?}");
    assert_eq!(rig.observe(), before);
}

#[test]
fn a_restore_puts_all_vms_back_or_none() {
    let rig = rig(|faulty| faulty);
    rig.up();
    completes(&rig, &take(&rig, "good"));
    let good = rig.observe();
    changed(&rig);
    let before = rig.observe();
    let safety = Snapshot { before: Some("good".parse().expect("legal")), ..whole(&before, "undo") };
    let way_back = snapshot::Safety { snapshot: &safety, memory: true };
    let plan = snapshot::restore(&rig.project.name, &before, &kept(&rig), Some(way_back)).expect("a plan");
    undone_wherever_it_fails(&rig, &plan);
    completes(&rig, &plan);
    let mut after = rig.observe();
    for found in after.resources.values_mut() {
        if let Some(seen) = &mut found.seen {
            seen.snapshots.retain(|moment| moment.snapshot.name.as_str() == "good");
        }
    }
    assert_eq!(after, good, "definitions, records and states");
}

/// Stops one vm and records another one differently.
fn changed(rig: &Rig) {
    let apply = |operation: Operation| rig.hypervisor.apply(&rig.project.name, &operation).expect("applied");
    apply(Operation::StopVm { name: "web".parse().expect("legal"), grace: Span::secs(0) });
    let Spec::Vm(from) = &rig.desired.specs[&vmcompose::names::ResourceId::Vm("db".parse().expect("legal"))] else {
        panic!("a vm")
    };
    let mut to = from.clone();
    to.labels.insert("tier".to_owned(), "data".to_owned());
    apply(Operation::RecordVm { from: from.clone(), to });
    assert_eq!(rig.observe().resources.values().filter(|found| found.phase == Phase::Stopped).count(), 1);
}

#[test]
fn without_what_was_before_a_restore_that_fails_says_what_it_has_done() {
    let rig = rig(|faulty| faulty);
    rig.up();
    completes(&rig, &take(&rig, "good"));
    let plan = snapshot::restore(&rig.project.name, &rig.observe(), &kept(&rig), None).expect("a plan");
    rig.hypervisor.fail(rig.hypervisor.calls() + operations(&plan) - 1);
    let (outcome, _) = rig.run(&plan, OnFailure::Rollback, &CancellationToken::new());
    let Outcome::Stuck { left_behind, .. } = outcome else { panic!("{outcome:?}") };
    let lost = |problem: &Problem| matches!(problem, Problem::Irreversible { operation } if operation.starts_with("restore snapshot"));
    assert_eq!(left_behind.iter().filter(|failure| lost(&failure.problem)).count(), 5, "{left_behind:?}");
}

#[test]
fn a_project_that_goes_takes_its_snapshots_along() {
    let rig = rig(|faulty| faulty);
    rig.up();
    completes(&rig, &take(&rig, "good"));
    assert_eq!(rig.down().0, Outcome::Completed);
    let log = rig.hypervisor.log();
    let at = |line: &str| log.iter().position(|l| l == line).unwrap_or_else(|| panic!("no `{line}` in {log:#?}"));
    assert!(at("delete snapshot `good` of vm `db`") < at("undefine vm `db`"));
    assert_eq!(rig.up().0, Outcome::Completed);
    assert!(snapshot::snapshots(&rig.observe()).is_empty());
}
