//! What a failure entails, as the user wants it; waves as barriers; the deadline of a run.

use std::collections::BTreeSet;
use std::time::Duration;

use vmcompose::backend::Health;
use vmcompose::execute::{OnFailure, Options, Order, Outcome, Problem};
use vmcompose::names::ResourceId;

use crate::rig::{Rig, failing, rig};

/// `api-2` never gets healthy; everything else does.
fn unhealthy() -> Rig {
    rig(|faulty| {
        faulty.answering(|attempt, _| Ok(if attempt.vm.as_str() == "api-2" { failing() } else { Health::Passing }))
    })
}

fn options(on_failure: OnFailure) -> Options {
    Options { parallel: 8, on_failure, ..Options::default() }
}

fn vms(rig: &Rig) -> BTreeSet<String> {
    let vm = |id: ResourceId| id.as_vm().map(ToString::to_string);
    rig.observe().resources.into_keys().filter_map(vm).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// What is left, by the words for it.
fn left(outcome: Outcome) -> (BTreeSet<String>, BTreeSet<String>) {
    let Outcome::Stuck { causes, left_behind } = outcome else { panic!("{outcome:?}") };
    assert_eq!(causes.len(), 1, "{causes:?}");
    let kept = left_behind.iter().filter(|failure| failure.problem == Problem::Kept);
    let kept = kept.filter_map(|failure| failure.resource.as_vm().map(ToString::to_string)).collect();
    let others = left_behind.iter().filter(|failure| failure.problem != Problem::Kept);
    (kept, others.map(|failure| failure.resource.to_string()).collect())
}

#[test]
fn a_wave_is_undone_with_all_behind_it_and_those_before_it_stay() {
    let rig = unhealthy();
    let (outcome, _) = rig.carry_out(&rig.plan(), &options(OnFailure::RollbackWave));
    assert_eq!(left(outcome), (set(&["db", "slow"]), BTreeSet::new()));
    assert_eq!(vms(&rig), set(&["db", "slow"]));
}

#[test]
fn a_vm_is_undone_with_what_depends_on_it_and_the_others_go_on() {
    let rig = unhealthy();
    let (outcome, _) = rig.carry_out(&rig.plan(), &options(OnFailure::RollbackVm));
    assert_eq!(left(outcome), (set(&["api-1", "db", "slow"]), BTreeSet::new()));
    assert_eq!(vms(&rig), set(&["api-1", "db", "slow"]));
    // What is there is whole: with the cause gone, only the others are missing.
    let missing: BTreeSet<String> = rig.plan().steps().map(|step| step.resource.to_string()).collect();
    assert!(missing.contains("vm `api-2`") && missing.contains("vm `web`"), "{missing:?}");
}

#[test]
fn nothing_is_undone_where_all_is_kept() {
    for (policy, expected) in [
        (OnFailure::Keep, set(&["api-1", "api-2", "db", "slow"])),
        (OnFailure::Continue, set(&["api-1", "api-2", "db", "slow"])),
    ] {
        let rig = unhealthy();
        let (outcome, _) = rig.carry_out(&rig.plan(), &options(policy));
        let (kept, others) = left(outcome);
        assert_eq!(kept, set(&["api-1", "db", "slow"]), "{policy:?}: what failed is told as that");
        assert_eq!(others, BTreeSet::new(), "{policy:?}");
        assert_eq!(vms(&rig), expected, "{policy:?}");
    }
}

#[test]
fn waves_can_be_barriers() {
    // `slow` is of an earlier wave than `web`, which does not depend on it.
    let slow = || {
        rig(|faulty| {
            faulty.answering(|attempt, number| {
                Ok(if attempt.vm.as_str() == "slow" && number < 3 { failing() } else { Health::Passing })
            })
        })
    };
    let rig = slow();
    let (outcome, _) = rig.carry_out(&rig.plan(), &Options { order: Order::Waves, ..options(OnFailure::Rollback) });
    assert_eq!(outcome, Outcome::Completed);
    let log = rig.hypervisor.log();
    let at = |line: &str| log.iter().position(|l| l == line).unwrap_or_else(|| panic!("`{line}` is not in {log:#?}"));
    for api in ["api-1", "api-2"] {
        assert!(at("passed slow") < at(&format!("start vm `{api}`")), "{log:#?}");
    }
}

#[test]
fn a_run_that_is_not_done_in_time_is_undone() {
    let rig = unhealthy();
    let before = rig.observe();
    let mut plan = rig.plan();
    for step in plan.waves.iter_mut().flat_map(|wave| &mut wave.steps) {
        if let vmcompose::plan::Gate::Healthy { healthcheck, .. } = &mut step.gate {
            healthcheck.retries = u32::MAX;
        }
    }
    let timeout = Some(Duration::from_millis(300));
    let (outcome, _) = rig.carry_out(&plan, &Options { timeout, ..options(OnFailure::Rollback) });
    let Outcome::RolledBack { causes } = outcome else { panic!("{outcome:?}") };
    assert!(causes.iter().all(|failure| matches!(failure.problem, Problem::Overdue { .. })), "{causes:?}");
    assert_eq!(rig.observe(), before);
}
