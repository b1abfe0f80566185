//! Starting, stopping and holding vms that are there: whom a word means, and in which order.

use std::collections::BTreeSet;

use vmcompose::model::Condition;
use vmcompose::names::ResourceId;
use vmcompose::plan::{Company, Operation, Power, Selection, power};
use vmcompose::state::{ActualState, Phase};
use vmcompose::units::Span;

use super::specs::{applied, desired, edit, id, lines, name, vm};

/// db ← api ← web, and log beside them, which needs db and says `restart: true` of it.
fn shop() -> ActualState {
    let log = edit(vm("log", &[("db", Condition::Started)]), |vm| {
        vm.depends_on.get_mut(&name("db")).expect("there").restart = true;
    });
    let web = vm("web", &[("api", Condition::Started)]);
    applied(&desired(&[vm("db", &[]), vm("api", &[("db", Condition::Healthy)]), web, log]))
}

fn phase(mut state: ActualState, ids: &[ResourceId], phase: Phase) -> ActualState {
    for id in ids {
        state.resources.get_mut(id).expect("there").phase = phase;
    }
    state
}

fn planned(state: &ActualState, what: Power, vms: &[&str], company: Company) -> Vec<String> {
    let vms: BTreeSet<_> = vms.iter().map(|vm| name(vm)).collect();
    lines(&power(&name("shop"), state, what, &Selection { vms, company }).expect("a plan"))
}

#[test]
fn stopping_goes_against_the_order_and_takes_nobody_along() {
    let stop = Power::Stop(None);
    let all = ["1 < web <- ", "2 < api <- web", "2 < log <- ", "3 < db <- api log"];
    assert_eq!(planned(&shop(), stop, &[], Company::Nobody), all);
    assert_eq!(planned(&shop(), stop, &["db"], Company::Nobody), ["1 < db <- "]);
    assert_eq!(planned(&shop(), stop, &["db"], Company::Dependents), all);
    assert_eq!(planned(&shop(), Power::Kill, &["api"], Company::Dependents), ["1 < web <- ", "2 < api <- web"]);
    assert_eq!(planned(&shop(), Power::Pause, &["api", "db"], Company::Nobody), ["1 | api <- ", "2 | db <- api"]);
}

#[test]
fn who_stands_between_two_that_stop_does_not_hide_their_order() {
    let between = phase(shop(), &[id("api")], Phase::Stopped);
    assert_eq!(planned(&between, Power::Stop(None), &["web", "db"], Company::Nobody), ["1 < web <- ", "2 < db <- web"]);
}

#[test]
fn starting_takes_along_what_is_needed_and_waits_for_its_gates() {
    let off = phase(shop(), &["db", "api", "web", "log"].map(id), Phase::Stopped);
    let chain = ["1 > db <- ", "2 > api <- db!", "3 > web <- api"];
    assert_eq!(planned(&off, Power::Start, &["web"], Company::Needed), chain);
    assert_eq!(planned(&off, Power::Start, &["web"], Company::Nobody), ["1 > web <- "]);
    let one = phase(shop(), &[id("api")], Phase::Crashed);
    assert_eq!(planned(&one, Power::Start, &[], Company::Needed), ["1 = db <- ", "2 > api <- db!"]);
}

#[test]
fn a_network_that_is_down_is_started_for_a_vm() {
    let net = ResourceId::Network(name("net"));
    let off = phase(shop(), &[net, id("db")], Phase::Stopped);
    let steps = planned(&off, Power::Start, &["db"], Company::Needed);
    assert_eq!(steps[..1], ["1 > net <- "]);
    assert!(steps.contains(&"2 > db <- net".to_owned()), "{steps:?}");
    assert_eq!(planned(&off, Power::Start, &["db"], Company::Nobody), ["1 > db <- "]);
}

#[test]
fn restarting_takes_along_who_says_so() {
    let restart = Power::Restart(None);
    assert_eq!(planned(&shop(), restart, &["db"], Company::Needed), ["1 ↻ db <- ", "2 ↻ log <- db"]);
    assert_eq!(planned(&shop(), restart, &["db"], Company::Nobody), ["1 ↻ db <- "]);
    let all = ["1 ↻ db <- ", "2 ↻ api <- db!", "2 ↻ log <- db", "3 ↻ web <- api"];
    assert_eq!(planned(&shop(), restart, &["db"], Company::Dependents), all);
    let off = phase(shop(), &[id("api")], Phase::Stopped);
    assert_eq!(planned(&off, restart, &["api"], Company::Nobody), ["1 = db <- ", "2 > api <- db!"]);
}

#[test]
fn what_is_so_already_is_left_alone() {
    let off = phase(shop(), &["db", "api", "web", "log"].map(id), Phase::Stopped);
    for what in [Power::Stop(None), Power::Kill, Power::Pause, Power::Unpause] {
        assert_eq!(planned(&off, what, &[], Company::Nobody), Vec::<String>::new(), "{what:?}");
    }
    assert_eq!(planned(&shop(), Power::Start, &[], Company::Needed), Vec::<String>::new());
    let held = phase(shop(), &[id("web")], Phase::Paused);
    assert_eq!(planned(&held, Power::Pause, &["web"], Company::Nobody), Vec::<String>::new());
    assert_eq!(planned(&held, Power::Unpause, &[], Company::Needed), ["1 > web <- "]);
}

#[test]
fn a_vm_keeps_its_own_patience_unless_told_otherwise() {
    let grace = |what: Power| {
        let selection = Selection { vms: [name("db")].into(), company: Company::Nobody };
        let plan = power(&name("shop"), &shop(), what, &selection).expect("a plan");
        let operations = plan.steps().flat_map(|step| step.operations.clone());
        let mut operations = operations;
        operations
            .find_map(|operation| match operation {
                Operation::StopVm { grace, .. } => Some(grace),
                _ => None,
            })
            .expect("it is stopped")
    };
    assert_eq!(grace(Power::Stop(None)), Span::secs(30));
    assert_eq!(grace(Power::Stop(Some(Span::secs(5)))), Span::secs(5));
    assert_eq!(grace(Power::Restart(None)), Span::secs(30));
    assert_eq!(grace(Power::Kill), Span::secs(0));
}
