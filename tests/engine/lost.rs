//! A hypervisor that is lost for a moment, for good, or does not answer; and what was so before the run.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use vmcompose::backend::{ErrorKind, Hypervisor, HypervisorError};
use vmcompose::execute::{OnFailure, Options, Outcome, Patience, Problem};
use vmcompose::names::ResourceId;
use vmcompose::plan::Operation;
use vmcompose::state::Phase;
use vmcompose::units::Span;

use crate::rig::{operations, rig};

const HASTY: Patience = Patience {
    call: Duration::from_mins(1),
    pause: Duration::from_millis(1),
    reconnects: 3,
    reconnecting: Duration::from_mins(1),
    retries: 2,
};

fn hasty() -> Options {
    Options { parallel: 8, patience: HASTY, ..Options::default() }
}

fn gone() -> HypervisorError {
    HypervisorError::new(ErrorKind::Unreachable, "the connection was lost")
}

#[test]
fn a_connection_that_comes_back_costs_nothing_but_time() {
    // Every other call is cut off: half of those before their effect, half of them after it.
    let rig = rig(|faulty| faulty.losing(|call| (call % 2 == 0).then(|| (gone(), call % 4 == 0))));
    let plan = rig.plan();
    let options = Options { parallel: 1, ..hasty() };
    assert_eq!(rig.carry_out(&plan, &options).0, Outcome::Completed);
    assert_eq!(rig.hypervisor.calls(), 2 * operations(&plan));
    assert!(rig.plan().is_empty());
}

#[test]
fn an_effect_whose_answer_was_lost_is_undone_with_the_rest() {
    let count = operations(&rig(|faulty| faulty).plan());
    for fault in 0..count {
        // Lost at this call, after its effect, and at all attempts to repeat it; back for the rollback.
        let lost = fault..fault + 4;
        let rig = rig(move |faulty| faulty.losing(move |call| lost.contains(&call).then(|| (gone(), true))));
        let before = rig.observe();
        let (outcome, _) = rig.carry_out(&rig.plan(), &Options { parallel: 1, ..hasty() });
        assert!(matches!(outcome, Outcome::RolledBack { .. }), "fault at {fault}: {outcome:?}");
        assert_eq!(rig.observe(), before, "fault at {fault}");
    }
}

#[test]
fn a_hypervisor_that_is_busy_is_asked_again_and_one_that_refuses_is_not() {
    let busy = |kind| {
        rig(move |faulty| faulty.losing(move |call| (call == 3).then(|| (HypervisorError::new(kind, "no"), false))))
    };
    let patient = busy(ErrorKind::Busy);
    assert_eq!(patient.carry_out(&patient.plan(), &hasty()).0, Outcome::Completed);
    let refused = busy(ErrorKind::Rejected);
    assert!(matches!(refused.carry_out(&refused.plan(), &hasty()).0, Outcome::RolledBack { .. }));
}

#[test]
fn a_hypervisor_that_is_gone_for_good_is_not_asked_for_ever() {
    let rig = rig(|faulty| faulty.losing(|call| (call >= 12).then(|| (gone(), false))));
    let (outcome, _) = rig.carry_out(&rig.plan(), &hasty());
    let Outcome::Stuck { causes, left_behind } = outcome else { panic!("{outcome:?}") };
    let lost =
        |problem: &Problem| matches!(problem, Problem::Operation { error, .. } if error.kind == ErrorKind::Unreachable);
    assert!(causes.iter().all(|failure| lost(&failure.problem)), "{causes:?}");
    // Three calls in a row on either way, four attempts each, and those that were under way beside them.
    assert!(rig.hypervisor.calls() < 12 + 2 * 8 * 4, "{} calls", rig.hypervisor.calls());
    let there: BTreeSet<ResourceId> = rig.observe().resources.into_keys().collect();
    let listed: BTreeSet<ResourceId> = left_behind.into_iter().map(|failure| failure.resource).collect();
    assert!(there.is_subset(&listed), "{there:?} is there, {listed:?} is listed");
}

#[test]
fn a_call_that_hangs_ends_at_its_deadline() {
    let released = Arc::new((Mutex::new(false), Condvar::new()));
    let hangs = Arc::clone(&released);
    let rig = rig(|faulty| {
        faulty.noticing(move |operation| {
            if operation == "start vm `db`" {
                let mut free = hangs.0.lock().expect("no panic under the lock");
                while !*free {
                    free = hangs.1.wait(free).expect("no panic under the lock");
                }
            }
        })
    });
    let before = rig.observe();
    let began = Instant::now();
    let patience = Patience { call: Duration::from_millis(500), ..HASTY };
    let (outcome, _) = rig.carry_out(&rig.plan(), &Options { patience, ..hasty() });
    assert!(began.elapsed() < Duration::from_secs(30));
    // The effect was there, and only the answer was not: so it could be undone.
    let Outcome::RolledBack { causes } = outcome else { panic!("{outcome:?}") };
    let Problem::Operation { error, .. } = &causes[0].problem else { panic!("{causes:?}") };
    assert!(error.message.contains("no answer within 500ms"), "{error}");
    assert_eq!(rig.observe(), before);
    *released.0.lock().expect("no panic under the lock") = true;
    released.1.notify_all();
}

#[test]
fn what_somebody_else_did_in_the_meantime_is_not_undone() {
    let rig = rig(|faulty| faulty);
    rig.up();
    let (db, web) = ("db".parse().expect("legal"), "web".parse().expect("legal"));
    let apply = |operation: &Operation| rig.hypervisor.apply(&rig.project.name, operation).expect("applied");
    for name in [web, db] {
        apply(&Operation::StopVm { name, grace: Span::secs(0) });
    }
    let plan = rig.plan();
    assert_eq!(operations(&plan), 2, "{plan:#?}");
    // Somebody starts the one after the plan was made; the start of the other fails.
    let db = ResourceId::Vm("db".parse().expect("legal"));
    apply(&Operation::StartVm("db".parse().expect("legal")));
    rig.hypervisor.fail(rig.hypervisor.calls() + 1);
    let (outcome, _) = rig.run(&plan, OnFailure::Rollback, &CancellationToken::new());
    assert!(matches!(outcome, Outcome::RolledBack { .. }), "{outcome:?}");
    assert_eq!(rig.observe().resources[&db].phase, Phase::Running);
}
