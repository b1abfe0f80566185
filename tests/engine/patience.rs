//! What makes a gate open or give up: thresholds, deadlines, intervals, and a vm that has done its work.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_util::sync::CancellationToken;
use vmcompose::backend::Health;
use vmcompose::execute::{EventKind, OnFailure, Outcome, Problem};
use vmcompose::plan::{Gate, Plan};
use vmcompose::units::Span;

use crate::rig::{Rig, failing, rig};

/// The plan of `up`, with every healthcheck changed.
fn changed(rig: &Rig, change: impl Fn(&mut vmcompose::model::Healthcheck)) -> Plan {
    let mut plan = rig.plan();
    for step in plan.waves.iter_mut().flat_map(|wave| &mut wave.steps) {
        if let Gate::Healthy { healthcheck, .. } = &mut step.gate {
            change(healthcheck);
        }
    }
    plan
}

fn up(rig: &Rig, plan: &Plan) -> (Outcome, Vec<vmcompose::execute::Event>) {
    rig.run(plan, OnFailure::Rollback, &CancellationToken::new())
}

#[test]
fn a_gate_opens_after_as_many_successes_in_a_row_as_it_asks_for() {
    let tries = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tries);
    // Of `db`, the second attempt fails: the first success does not count any more.
    let rig = rig(move |faulty| {
        faulty.answering(move |attempt, number| {
            if attempt.vm.as_str() == "db" {
                count.fetch_add(1, Ordering::SeqCst);
                return Ok(if number == 2 { failing() } else { Health::Passing });
            }
            Ok(Health::Passing)
        })
    });
    let plan = changed(&rig, |check| check.success_threshold = 3);
    let (outcome, events) = up(&rig, &plan);
    assert_eq!(outcome, Outcome::Completed);
    assert_eq!(tries.load(Ordering::SeqCst), 5);
    let said = |words: &str| {
        events.iter().any(|event| matches!(&event.kind, EventKind::GateWaiting { answer, .. } if answer == words))
    };
    assert!(said("passed 1 of 3 times in a row") && said("passed 2 of 3 times in a row"));
}

#[test]
fn a_gate_that_neither_opens_nor_fails_ends_at_its_deadline() {
    // Passes and fails by turns, so that failures in a row never decide.
    let rig = rig(|faulty| faulty.answering(|_, number| Ok(if number % 2 == 0 { failing() } else { Health::Passing })));
    let plan = changed(&rig, |check| {
        check.success_threshold = 2;
        check.deadline = Some("300ms".parse().expect("a time"));
    });
    let before = rig.observe();
    let (outcome, _) = up(&rig, &plan);
    let Outcome::RolledBack { causes } = outcome else { panic!("{outcome:?}") };
    let Problem::Unhealthy { waited_s, attempts, .. } = &causes[0].problem else { panic!("{causes:?}") };
    assert!(*waited_s >= 0.3 && *attempts > 2, "{causes:?}");
    assert_eq!(rig.observe(), before);
}

#[test]
fn while_a_vm_starts_its_own_interval_holds() {
    let rig = rig(|faulty| faulty.answering(|_, number| Ok(if number < 4 { failing() } else { Health::Passing })));
    // Were the ordinary interval taken, this would outlast every patience.
    let plan = changed(&rig, |check| {
        check.start_period = Span::secs(600);
        check.start_interval = Some("1ms".parse().expect("a time"));
        check.interval = Span::secs(3600);
    });
    assert_eq!(up(&rig, &plan).0, Outcome::Completed);
}
