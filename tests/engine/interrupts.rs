//! Interrupts: in a gate, in the last call, in a call that hangs; and what a rollback puts back.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use vmcompose::backend::Hypervisor;
use vmcompose::execute::{self, OnFailure, Outcome, Problem};
use vmcompose::names::ResourceId;
use vmcompose::plan::Operation;
use vmcompose::units::Span;

use crate::rig::{failing, operations, rig};

#[test]
fn an_interrupt_in_a_gate_undoes_everything() {
    let interrupt = CancellationToken::new();
    let signal = interrupt.clone();
    let rig = rig(|faulty| {
        faulty.answering(move |_, number| {
            if number == 2 {
                signal.cancel();
            }
            Ok(failing())
        })
    });
    let before = rig.observe();
    let mut plan = rig.plan();
    for step in plan.waves.iter_mut().flat_map(|wave| &mut wave.steps) {
        if let vmcompose::plan::Gate::Healthy { healthcheck, .. } = &mut step.gate {
            healthcheck.retries = u32::MAX;
        }
    }
    let (outcome, _) = rig.run(&plan, OnFailure::Rollback, &interrupt);
    let Outcome::RolledBack { causes } = outcome else { panic!("{outcome:?}") };
    assert!(causes.iter().all(|failure| failure.problem == Problem::Interrupted), "{causes:?}");
    assert_eq!(rig.observe(), before);
}

#[test]
fn an_interrupt_during_the_last_call_undoes_everything_too() {
    // `web` has no healthcheck, so its start is the last call of the run.
    let interrupt = CancellationToken::new();
    let signal = interrupt.clone();
    let rig = rig(|faulty| {
        faulty.noticing(move |operation| {
            if operation == "start vm `web`" {
                signal.cancel();
            }
        })
    });
    let before = rig.observe();
    let (outcome, _) = rig.run(&rig.plan(), OnFailure::Rollback, &interrupt);
    assert!(matches!(outcome, Outcome::RolledBack { .. }), "{outcome:?}");
    assert_eq!(rig.observe(), before);
}

#[test]
fn a_vm_that_was_paused_before_the_run_is_paused_after_its_rollback() {
    let rig = rig(|faulty| faulty);
    rig.up();
    rig.hypervisor.apply(&rig.project.name, &Operation::PauseVm("db".parse().expect("legal"))).expect("paused");
    rig.hypervisor.apply(&rig.project.name, &stop("web")).expect("stopped");
    let before = rig.observe();
    let plan = rig.plan();
    assert_eq!(operations(&plan), 2, "{plan:#?}");
    rig.hypervisor.fail(rig.hypervisor.calls() + 1);
    let (outcome, _) = rig.run(&plan, OnFailure::Rollback, &CancellationToken::new());
    assert!(matches!(outcome, Outcome::RolledBack { .. }), "{outcome:?}");
    assert_eq!(rig.observe(), before);
}

fn stop(vm: &str) -> Operation {
    Operation::StopVm { name: vm.parse().expect("legal"), grace: Span::secs(0) }
}

#[test]
fn a_second_interrupt_does_not_wait_for_a_call_that_hangs() {
    let (interrupt, abort) = (CancellationToken::new(), CancellationToken::new());
    let (signals, never) = ((interrupt.clone(), abort.clone()), Arc::new(std::sync::Barrier::new(2)));
    let hangs = Arc::clone(&never);
    let rig = rig(|faulty| {
        faulty.noticing(move |operation| {
            if operation == "start vm `db`" {
                signals.0.cancel();
                signals.1.cancel();
                hangs.wait();
            }
        })
    });
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let options = execute::Options { parallel: 8, interrupt, abort, ..execute::Options::default() };
    let (events, _stream) = execute::channel();
    let plan = rig.plan();
    let outcome = runtime.block_on(execute::execute(&plan, Arc::clone(&rig.hypervisor), &options, events));
    never.wait();
    let Outcome::Stuck { left_behind, .. } = outcome else { panic!("{outcome:?}") };
    let listed: BTreeSet<&ResourceId> = left_behind.iter().map(|failure| &failure.resource).collect();
    assert!(listed.contains(&ResourceId::Vm("db".parse().expect("legal"))), "{listed:?}");
}
