//! The engine on libvirt's own test driver: order, gates, rollback with a fault at every operation.

mod faults;
mod guests;
mod interrupts;
mod lost;
mod networks;
mod notices;
mod patience;
mod replacement;
mod rig;
mod scopes;
mod snapshots;
mod storage;
#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rig::{DOWN, SHOP, UP, failing, load, operations, rig, rig_of};
use tokio_util::sync::CancellationToken;
use vmcompose::backend::{ErrorKind, Health, HypervisorError};
use vmcompose::execute::{OnFailure, Outcome, Problem};
use vmcompose::image;
use vmcompose::names::ResourceId;
use vmcompose::plan::plan;
use vmcompose::state::{DesiredState, Phase};

/// Place of a line in the log.
fn at(log: &[String], line: &str) -> usize {
    log.iter().position(|l| l == line).unwrap_or_else(|| panic!("`{line}` is not in {log:#?}"))
}

#[test]
fn up_reaches_the_desired_state_and_is_then_a_no_op() {
    let rig = rig(|faulty| faulty);
    assert_eq!(rig.up().0, Outcome::Completed);
    let actual = rig.observe();
    assert!(actual.resources.values().all(|actual| actual.phase == Phase::Running));
    assert_eq!(actual.resources.len(), rig.desired.specs.len());
    assert!(rig.plan().is_empty(), "{:#?}", rig.plan());
}

#[test]
fn down_after_up_leaves_only_pools_and_is_then_a_no_op() {
    let rig = rig(|faulty| faulty);
    rig.up();
    assert_eq!(rig.down().0, Outcome::Completed);
    let left: Vec<ResourceId> = rig.observe().resources.into_keys().collect();
    assert!(left.iter().all(|id| matches!(id, ResourceId::Pool(_))), "{left:?}");
    let nothing = DesiredState::nothing(&rig.project.name);
    assert!(plan(&nothing, &rig.observe(), &DOWN).expect("a plan").is_empty());
}

#[test]
fn a_dependent_starts_only_after_the_gates_it_waits_for_are_open() {
    let rig = rig(|faulty| faulty.answering(|_, attempt| Ok(if attempt < 3 { failing() } else { Health::Passing })));
    rig.up();
    let log = rig.hypervisor.log();
    for api in ["api-1", "api-2"] {
        assert!(at(&log, "passed db") < at(&log, &format!("start vm `{api}`")), "{log:#?}");
        assert!(at(&log, &format!("passed {api}")) < at(&log, "start vm `web`"), "{log:#?}");
    }
}

#[test]
fn a_vm_that_nobody_waits_for_holds_up_nobody() {
    // `slow` turns healthy only after `web`, which is two waves later, has started.
    let started = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let web = Arc::clone(&started);
    let rig = rig(move |faulty| {
        faulty
            .answering(move |attempt, _| {
                let open = attempt.vm.as_str() != "slow" || started.load(std::sync::atomic::Ordering::SeqCst);
                Ok(if open { Health::Passing } else { failing() })
            })
            .noticing(move |operation| {
                if operation == "start vm `web`" {
                    web.store(true, std::sync::atomic::Ordering::SeqCst);
                }
            })
    });
    let mut patient = rig.desired.clone();
    let slow = ResourceId::Vm("slow".parse().expect("legal"));
    if let Some(vmcompose::model::Spec::Vm(vm)) = patient.specs.get_mut(&slow) {
        vm.healthcheck.as_mut().expect("has one").retries = u32::MAX;
    }
    let plan = plan(&patient, &rig.observe(), &UP).expect("a plan");
    let outcome = rig.run(&plan, OnFailure::Rollback, &CancellationToken::new()).0;
    assert_eq!(outcome, Outcome::Completed);
}

#[test]
fn a_fault_at_any_operation_leaves_the_state_as_it_was() {
    let count = operations(&rig(|faulty| faulty).plan());
    assert!(count > 20, "the project has fewer operations than meant: {count}");
    for fault in 0..count {
        let rig = rig(|faulty| faulty.failing([fault]));
        let before = rig.observe();
        let (outcome, _) = rig.up();
        assert!(matches!(outcome, Outcome::RolledBack { .. }), "fault at {fault}: {outcome:?}");
        assert_eq!(rig.observe(), before, "fault at {fault}");
    }
}

#[test]
fn a_fault_leaves_what_was_there_before_the_run_alone() {
    let rig = rig(|faulty| faulty);
    rig.up();
    let before = rig.observe();
    // One more vm, whose start fails: the others stay.
    let text = format!("{SHOP}  extra: {{ image: os, networks: [front], depends_on: [db] }}\n");
    std::fs::write(rig.folder.path().join("vmcompose.yaml"), text).expect("written");
    let project = load(rig.folder.path(), &before.surroundings);
    let desired = DesiredState::up(
        &project,
        &image::inspect(&image::files(&project.images).expect("files only")).expect("images"),
    )
    .expect("no cycle");
    let plan = plan(&desired, &before, &UP).expect("a plan");
    let count = operations(&plan);
    for fault in 0..count {
        rig.hypervisor.fail(rig.hypervisor.calls() + fault);
        let (outcome, _) = rig.run(&plan, OnFailure::Rollback, &CancellationToken::new());
        assert!(matches!(outcome, Outcome::RolledBack { .. }), "fault at {fault}: {outcome:?}");
        assert_eq!(rig.observe(), before, "fault at {fault}");
    }
}

#[test]
fn rollback_goes_on_past_an_undo_that_fails_and_lists_what_is_left() {
    let count = operations(&rig(|faulty| faulty).plan());
    // The last operation fails, and then each undo in turn.
    for undo in 0..count - 1 {
        let rig = rig(|faulty| faulty.failing([count - 1, count + undo]));
        let before: BTreeSet<ResourceId> = rig.observe().resources.into_keys().collect();
        let (outcome, _) = rig.up();
        let Outcome::Stuck { left_behind, .. } = outcome else { panic!("undo {undo}: {outcome:?}") };
        let after: BTreeSet<ResourceId> = rig.observe().resources.into_keys().collect();
        let listed: BTreeSet<ResourceId> = left_behind.iter().map(|failure| failure.resource.clone()).collect();
        let left: BTreeSet<ResourceId> = after.difference(&before).cloned().collect();
        // A vm whose definition is gone but whose disk is not is listed, but no longer observed as a vm.
        assert!(left.is_subset(&listed), "undo {undo}: {left:?} is there, {listed:?} is listed");
        assert!(!listed.is_empty(), "undo {undo}");
    }
}

#[test]
fn an_unhealthy_vm_is_named_with_probe_attempts_and_last_answer() {
    let rig = rig(|faulty| {
        faulty.answering(|attempt, _| Ok(if attempt.vm.as_str() == "api-2" { failing() } else { Health::Passing }))
    });
    let before = rig.observe();
    let (outcome, _) = rig.up();
    let Outcome::RolledBack { causes } = outcome else { panic!("{outcome:?}") };
    assert_eq!(causes[0].resource, ResourceId::Vm("api-2".parse().expect("legal")));
    let Problem::Unhealthy { probe, attempts, answer, .. } = &causes[0].problem else { panic!("{causes:?}") };
    assert!(probe.starts_with("tcp 10.") && probe.ends_with(":5432"), "{probe}");
    assert_eq!((*attempts, answer.as_str()), (3, "connection refused"));
    assert_eq!(rig.observe(), before);
}

#[test]
fn a_vm_that_dies_in_its_gate_fails_at_once() {
    let rig = rig(|faulty| {
        faulty.answering(|attempt, number| match (attempt.vm.as_str(), number) {
            ("db", 2) => Err(HypervisorError::new(ErrorKind::NotRunning, "vm `db` is shut off")),
            ("db", _) => Ok(failing()),
            _ => Ok(Health::Passing),
        })
    });
    let (outcome, _) = rig.up();
    let Outcome::RolledBack { causes } = outcome else { panic!("{outcome:?}") };
    assert!(matches!(&causes[0].problem, Problem::Hopeless { error, .. } if error.kind == ErrorKind::NotRunning));
}

#[test]
fn down_goes_on_past_a_failure_and_lists_what_is_left() {
    let rig = rig(|faulty| faulty);
    rig.up();
    // The first call of `down` fails: it stops a vm that nothing else stands on.
    rig.hypervisor.fail(rig.hypervisor.calls());
    let (outcome, _) = rig.down();
    let Outcome::Stuck { causes, left_behind } = outcome else { panic!("{outcome:?}") };
    assert_eq!(causes.len(), 1);
    let left: BTreeSet<ResourceId> = rig.observe().resources.into_keys().collect();
    let listed = causes.iter().chain(&left_behind).map(|failure| &failure.resource);
    let listed: BTreeSet<ResourceId> = listed.cloned().collect();
    let pools = |id: &&ResourceId| matches!(id, ResourceId::Pool(_));
    assert_eq!(left.iter().filter(|id| !pools(id)).cloned().collect::<BTreeSet<_>>(), listed);
    assert_eq!(rig.down().0, Outcome::Completed);
}

#[test]
fn a_thousand_vms_come_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "name: many\nvms: { vm: { replicas: 1000, boot: { kernel: os.qcow2 } } }\nnetworks: { default: { subnet: 10.9.0.0/16 } }\n";
    std::fs::write(folder.path().join("vmcompose.yaml"), text).expect("written");
    std::fs::write(folder.path().join("os.qcow2"), "a kernel").expect("written");
    let rig = rig_of(folder, |faulty| faulty);
    assert_eq!(rig.up().0, Outcome::Completed);
    let phases: BTreeMap<ResourceId, Phase> =
        rig.observe().resources.into_iter().map(|(id, actual)| (id, actual.phase)).collect();
    assert_eq!(phases.len(), 1003);
}

#[test]
fn to_plan_asks_the_hypervisor_for_nothing_but_a_look() {
    use vmcompose::backend::Hypervisor as _;
    use vmcompose::plan::{Goal, Options, awaiting, power};

    let rig = rig(|faulty| faulty);
    for up in [false, true] {
        if up {
            assert_eq!(rig.up().0, Outcome::Completed);
        }
        let done = rig.hypervisor.calls();
        (done..done + 100).for_each(|call| rig.hypervisor.fail(call));
        let before = rig.observe();
        let some = [support::vm_name("api-1")];
        for options in [
            UP,
            DOWN,
            Options::new(Goal::Refresh),
            Options { remove_orphans: true, ..UP },
            Options { vms: some.clone().into(), ..UP },
            Options { vms: some.clone().into(), no_deps: true, ..UP },
            Options { replace: some.into(), ..UP },
        ] {
            plan(&rig.desired, &rig.observe(), &options).expect("a plan");
        }
        let name = &rig.project.name;
        let all = power::Selection { vms: BTreeSet::new(), company: power::Company::Nobody };
        for word in [power::Power::Start, power::Power::Stop(None), power::Power::Restart(None), power::Power::Kill] {
            power::power(name, &rig.observe(), word, &all).expect("a plan");
        }
        awaiting::awaiting(name, &rig.observe(), &BTreeSet::new(), awaiting::Until::Healthy, None).expect("a plan");
        assert_eq!(rig.hypervisor.calls(), done, "nothing was applied");
        assert_eq!(rig.observe(), before);
        // What this test relies on: whoever applied anything would have been refused.
        let start = vmcompose::plan::Operation::StartVm(support::vm_name("db"));
        rig.hypervisor.apply(name, &start).expect_err("refused");
        if !up {
            // The calls that were not made would be refused later.
            (1..100).for_each(|_| drop(rig.hypervisor.apply(name, &start)));
        }
    }
}
