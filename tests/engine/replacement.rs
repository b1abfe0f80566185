//! Vms that are made anew: what they were stays until everything else stands, and comes back when something fails.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;
use vmcompose::backend::Health;
use vmcompose::execute::{self, OnFailure, Outcome};
use vmcompose::image;
use vmcompose::names::{Generation, ResourceId};
use vmcompose::plan::{Action, Options, Plan, plan};
use vmcompose::state::{ActualState, DesiredState, Phase};

use crate::rig::{Rig, SHOP, UP, failing, load, qcow2, rig};
use crate::support::faulty::Faulty;

/// What the file of a project asks for once its image has another content, and its `db` one disk less.
fn changed(rig: &Rig, actual: &ActualState) -> DesiredState {
    let other = [qcow2(), vec![0; 512]].concat();
    std::fs::write(rig.folder.path().join("os.qcow2"), other).expect("written");
    let text = SHOP.replace(", { name: scratch, size: 1MiB }", "");
    assert_ne!(text, SHOP);
    std::fs::write(rig.folder.path().join("vmcompose.yaml"), text).expect("written");
    let project = load(rig.folder.path(), &actual.surroundings);
    let files = image::files(&project.images).expect("files only");
    DesiredState::up(&project, &image::inspect(&files).expect("images")).expect("no cycle")
}

fn former(plan: &Plan) -> usize {
    let steps = plan.steps().filter(|step| step.action == Action::Delete);
    steps.map(|step| step.operations.len()).sum()
}

fn one_by_one(rig: &Rig, plan: &Plan) -> Outcome {
    let options = execute::Options { parallel: 1, ..execute::Options::default() };
    rig.carry_out(plan, &options).0
}

/// Every vm runs, on disks of one generation each, and nothing else of it is there.
fn tidy(actual: &ActualState, generation: Generation) {
    assert!(actual.loose_disks.is_empty() && actual.other_images.is_empty(), "{actual:#?}");
    for (id, found) in actual.resources.iter().filter(|(id, _)| id.as_vm().is_some()) {
        assert_eq!(found.phase, Phase::Running, "{id}");
        assert_eq!(found.recorded.as_vm().expect("a vm").generation, generation, "{id}");
    }
}

#[test]
fn an_image_with_another_content_replaces_its_vms_and_goes_when_they_stand() {
    let rig = rig(|faulty| faulty);
    rig.up();
    let before = rig.observe();
    let desired = changed(&rig, &before);
    let plan = plan(&desired, &before, &UP).expect("a plan");
    let replaced: Vec<&str> =
        plan.steps().filter(|step| step.action == Action::Replace).map(|step| step.resource.name()).collect();
    assert_eq!(replaced, ["db", "slow", "api-1", "api-2", "web"]);
    let last: Vec<&ResourceId> =
        plan.waves.iter().rev().take(2).flat_map(|wave| &wave.steps).map(|step| &step.resource).collect();
    assert_eq!(last[0], &ResourceId::FormerImage("os".parse().expect("legal")));
    assert!(last[1..].iter().all(|id| matches!(id, ResourceId::FormerVm(_))) && last.len() == 6, "{last:?}");
    assert_eq!(rig.run(&plan, OnFailure::Rollback, &CancellationToken::new()).0, Outcome::Completed);
    let after = rig.observe();
    tidy(&after, Generation(1));
    assert!(vmcompose::plan::plan(&desired, &after, &UP).expect("a plan").is_empty());
    // The way down knows what they are called by now.
    assert_eq!(rig.down().0, Outcome::Completed);
    assert!(rig.observe().resources.keys().all(|id| matches!(id, ResourceId::Pool(_))));
}

#[test]
fn a_fault_at_any_operation_puts_the_old_vms_back() {
    let rig = rig(|faulty| faulty);
    rig.up();
    let before = rig.observe();
    let desired = changed(&rig, &before);
    let plan = plan(&desired, &before, &UP).expect("a plan");
    let all: usize = plan.steps().map(|step| step.operations.len()).sum();
    let way_back = all - former(&plan);
    assert!(way_back > 20, "{way_back} operations only");
    for fault in 0..way_back {
        rig.hypervisor.fail(rig.hypervisor.calls() + fault);
        let outcome = one_by_one(&rig, &plan);
        assert!(matches!(outcome, Outcome::RolledBack { .. }), "fault at {fault}: {outcome:?}");
        assert_eq!(rig.observe(), before, "fault at {fault}");
    }
}

#[test]
fn once_something_old_is_gone_the_new_stays_and_the_next_run_removes_the_rest() {
    let count = {
        let rig = rig(|faulty| faulty);
        rig.up();
        let before = rig.observe();
        let plan = plan(&changed(&rig, &before), &before, &UP).expect("a plan");
        let all: usize = plan.steps().map(|step| step.operations.len()).sum();
        all - former(&plan)..all
    };
    assert!(count.len() > 4);
    for fault in count {
        let rig = rig(|faulty| faulty);
        rig.up();
        let before = rig.observe();
        let desired = changed(&rig, &before);
        let plan = plan(&desired, &before, &UP).expect("a plan");
        rig.hypervisor.fail(rig.hypervisor.calls() + fault);
        let outcome = one_by_one(&rig, &plan);
        // Where it is the first of several at once, it depends on whether another of them was faster.
        assert!(!matches!(outcome, Outcome::Completed), "fault at {fault}: {outcome:?}");
        let running = rig.observe();
        let vms = running.resources.iter().filter(|(id, _)| id.as_vm().is_some());
        assert!(vms.clone().all(|(_, found)| found.phase == Phase::Running), "fault at {fault}");
        let next = vmcompose::plan::plan(&desired, &running, &UP).expect("a plan");
        let outcome = rig.run(&next, OnFailure::Rollback, &CancellationToken::new()).0;
        assert_eq!(outcome, Outcome::Completed, "fault at {fault}");
        let after = rig.observe();
        assert!(after.loose_disks.is_empty() && after.other_images.is_empty(), "fault at {fault}: {after:#?}");
        assert!(vmcompose::plan::plan(&desired, &after, &UP).expect("a plan").is_empty(), "fault at {fault}");
    }
}

#[test]
fn a_new_vm_that_fails_its_gate_gives_way_to_the_old_one() {
    let sick = Arc::new(AtomicBool::new(false));
    let ill = Arc::clone(&sick);
    let answer = move |faulty: Faulty<_>| {
        faulty.answering(move |attempt, _| {
            let fails = ill.load(Ordering::SeqCst) && attempt.vm.as_str() == "db";
            Ok(if fails { failing() } else { Health::Passing })
        })
    };
    let rig = rig(answer);
    rig.up();
    let before = rig.observe();
    sick.store(true, Ordering::SeqCst);
    let options = Options { replace: BTreeSet::from(["db".parse().expect("legal")]), ..UP };
    let plan = plan(&rig.desired, &before, &options).expect("a plan");
    let (outcome, _) = rig.run(&plan, OnFailure::Rollback, &CancellationToken::new());
    let Outcome::RolledBack { causes } = outcome else { panic!("{outcome:?}") };
    assert_eq!(causes[0].resource.name(), "db");
    assert_eq!(rig.observe(), before);
    assert!(!rig.hypervisor.log().iter().any(|line| line.starts_with("delete volume")));
}
