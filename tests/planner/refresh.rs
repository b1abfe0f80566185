//! What others changed, kept: recorded where a spec can say it, and nothing put back.

use vmcompose::model::hardware::{CpuMode, Limits, Watchdog};
use vmcompose::model::{NetworkMode, Spec};
use vmcompose::names::ResourceId;
use vmcompose::plan::{Cause, Goal, Operation, Options, Plan, plan};
use vmcompose::state::seen::{Foreign, Seen, Shape};
use vmcompose::state::{ActualState, DesiredState, SeenNetwork};
use vmcompose::units::Bytes;

use super::specs::{UP, applied, desired, edit, id, name, vm};

fn there() -> (DesiredState, ActualState) {
    let db = edit(vm("db", &[]), |vm| {
        vm.hardware.watchdog = Some(Watchdog::Reset);
        vm.hardware.cpu = Some(vmcompose::model::hardware::Cpu { mode: Some(CpuMode::Maximum), ..Default::default() });
    });
    let desired = desired(&[db]);
    let mut actual = applied(&desired);
    for found in actual.resources.values_mut() {
        match &found.recorded {
            Spec::Vm(vm) => {
                let shape = Shape::of(vm);
                let (snapshots, other_snapshots) = (Vec::new(), Vec::new());
                let (defined, running) = (shape.clone(), Some(shape));
                let seen = Seen { persistent: true, autostart: false, defined, running, snapshots, other_snapshots };
                found.seen = Some(Box::new(seen));
            }
            Spec::Network(network) => drop(actual.networks.insert(network.name.clone(), SeenNetwork::of(network))),
            _ => {}
        }
    }
    (desired, actual)
}

fn refresh(actual: &ActualState) -> Plan {
    plan(&DesiredState::nothing(&name("shop")), actual, &Options::new(Goal::Refresh)).expect("a plan")
}

fn seen(actual: &mut ActualState) -> &mut Seen {
    actual.resources.get_mut(&id("db")).expect("there").seen.as_mut().expect("seen")
}

#[test]
fn what_is_as_it_was_recorded_needs_nothing() {
    let (_, actual) = there();
    assert!(refresh(&actual).is_empty());
    assert!(refresh(&ActualState::default()).is_empty());
}

#[test]
fn what_runs_is_recorded_and_then_only_the_file_says_otherwise() {
    let (desired, mut actual) = there();
    let change = |shape: &mut Shape| {
        shape.memory = Bytes::mib(64);
        shape.cpus = 3;
        shape.limits = Limits { cpu_shares: Some(7), ..Limits::default() };
        shape.fixed.hardware.watchdog = Some(Watchdog::Pause);
        shape.fixed.hardware.cpu.as_mut().expect("has one").mode = Some(CpuMode::HostModel);
    };
    let found = seen(&mut actual);
    found.autostart = true;
    change(found.running.as_mut().expect("it runs"));
    let network = actual.networks.get_mut(&name("net")).expect("there");
    network.running.as_mut().expect("up").network.mode = NetworkMode::Isolated;
    let kept = refresh(&actual);
    assert!(kept.steps().all(|step| step.cause == Cause::Kept && step.changes.iter().all(|change| !change.drift)));
    let fields: Vec<&str> = kept.steps().flat_map(|step| &step.changes).map(|change| change.field.as_str()).collect();
    assert_eq!(fields, ["mode", "autostart", "cpu.mode", "cpus", "limits", "memory", "watchdog"]);
    // Nothing is stopped, started, attached or set.
    let words: Vec<String> = kept.steps().flat_map(|step| &step.operations).map(ToString::to_string).collect();
    assert_eq!(words, ["update network `net`", "redefine vm `db`"]);

    // After it was applied there is no drift, and the file says what it says.
    for step in kept.steps() {
        for operation in &step.operations {
            match operation {
                Operation::RedefineVm { to, .. } => {
                    actual.resources.get_mut(&id("db")).expect("there").recorded = Spec::Vm(to.clone());
                    change(&mut seen(&mut actual).defined);
                }
                Operation::UpdateNetwork { to, .. } => {
                    let id = ResourceId::Network(to.name.clone());
                    actual.resources.get_mut(&id).expect("there").recorded = Spec::Network((**to).clone());
                    actual.networks.insert(to.name.clone(), SeenNetwork::of(to));
                }
                other => panic!("{other}"),
            }
        }
    }
    assert!(refresh(&actual).is_empty(), "{:#?}", refresh(&actual));
    let back = plan(&desired, &actual, &UP).expect("a plan");
    assert!(back.steps().all(|step| step.cause != Cause::Drifted));
    let named = |field: &str| back.steps().flat_map(|step| &step.changes).any(|change| change.top() == field);
    assert!(["mode", "memory", "cpus", "watchdog", "autostart", "limits"].into_iter().all(named));
}

#[test]
fn what_no_file_can_say_is_neither_kept_nor_put_back() {
    let (desired, mut actual) = there();
    let foreign = Foreign { name: "disk `/tmp/x`".to_owned(), description: "<disk/>".to_owned() };
    let shape = seen(&mut actual).running.as_mut().expect("it runs");
    shape.foreign.push(foreign);
    shape.interfaces.clear();
    actual.networks.get_mut(&name("net")).expect("there").autostart = false;
    assert!(refresh(&actual).is_empty());
    assert_eq!(plan(&desired, &actual, &UP).expect("a plan").steps().count(), 2);
}
