//! Changes of vms that are there, together with what else happens to them: tasks in the guest, secrets, published ports,
//! what a guest was told at its first boot.

use std::collections::BTreeMap;

use vmcompose::model::cloud_init::{CloudInit, SecretFile};
use vmcompose::model::{Condition, Interface, Port, Spec, Task, TaskAction, Vm};
use vmcompose::plan::{Action, Operation, Step, plan};
use vmcompose::state::DesiredState;

use crate::specs::{UP, applied, desired, edit, id, name, refusal, vm};

fn task(script: &str) -> Task {
    let action = TaskAction::Run { script: script.to_owned(), env: BTreeMap::new(), user: None, workdir: None };
    Task { label: script.to_owned(), action, timeout: Task::TIMEOUT }
}

/// One vm with these tasks, edited.
fn with(scripts: &[&str], change: impl FnOnce(&mut Vm)) -> DesiredState {
    let tasks: Vec<Task> = scripts.iter().map(|script| task(script)).collect();
    let spec = edit(vm("db", &[]), |vm| vm.provision = tasks.iter().map(Task::done).collect());
    let mut desired = desired(&[edit(spec, change)]);
    desired.tasks.insert(name("db"), tasks);
    desired
}

fn step(wanted: &DesiredState, before: &DesiredState, called: &str) -> Step {
    let plan = plan(wanted, &applied(before), &UP).expect("a plan");
    plan.steps().find(|step| step.resource == id(called)).expect("a step").clone()
}

fn words(operations: &[Operation]) -> Vec<String> {
    operations.iter().map(ToString::to_string).collect()
}

/// What was done, as a redefinition records it before and after.
fn recorded(step: &Step) -> (usize, usize) {
    let found = step.operations.iter().find_map(|operation| match operation {
        Operation::RedefineVm { from, to } => Some((from.provision.len(), to.provision.len())),
        _ => None,
    });
    found.expect("a redefinition")
}

#[test]
fn changed_tasks_are_done_in_the_changed_machine_and_recorded_one_by_one() {
    let before = with(&["a", "b"], |_| ());
    let reboot = step(&with(&["a", "x"], |vm| vm.hardware.tpm = true), &before, "db");
    let again = "apply task 2 (`x`) of vm `db`";
    assert_eq!(reboot.action, Action::Restart);
    assert_eq!(words(&reboot.operations), ["stop vm `db`", "redefine vm `db`", "start vm `db`", again]);
    assert_eq!(recorded(&reboot), (1, 1));

    let live = step(&with(&["a", "x"], |vm| vm.cpus = 2), &before, "db");
    assert_eq!(live.action, Action::Update);
    assert_eq!(words(&live.operations).last().map(String::as_str), Some(again));
    assert_eq!(recorded(&live), (1, 1));

    // The same tasks in the same guest: a reboot undoes none of them.
    let kept = step(&with(&["a", "b"], |vm| vm.hardware.tpm = true), &before, "db");
    assert_eq!(words(&kept.operations).last().map(String::as_str), Some("start vm `db`"));
    assert_eq!(recorded(&kept), (2, 2));
}

#[test]
fn a_guest_that_is_replaced_gets_all_its_tasks() {
    let told = |vm: &mut Vm| vm.ignition = Some("{}".into());
    let step = step(&with(&["a", "b"], told), &with(&["a", "b"], |_| ()), "db");
    assert_eq!(step.action, Action::Replace);
    let words = words(&step.operations);
    let all = ["create the Ignition configuration of vm `db`", "stop vm `db`", "redefine vm `db`", "start vm `db`"];
    let tasks = ["apply task 1 (`a`) of vm `db`", "apply task 2 (`b`) of vm `db`"];
    assert_eq!(words[words.len() - 6..], [&all[..], &tasks[..]].concat());
}

fn secretive(vm: &mut Vm) {
    let file = SecretFile {
        source: name("password"),
        path: "/run/secrets/password".to_owned(),
        owner: None,
        mode: SecretFile::MODE.to_owned(),
    };
    vm.cloud_init = Some(Box::new(CloudInit { secrets: vec![file], ..CloudInit::default() }));
}

const FILL: &str = "put secrets on the seed of vm `db`";
const SCRUB: &str = "take secrets off the seed of vm `db`";

#[test]
fn whatever_starts_a_vm_secrets_come_first_and_go_after_the_gate() {
    let before = desired(&[edit(vm("db", &[]), secretive)]);
    let changed = |change: fn(&mut Vm)| desired(&[edit(edit(vm("db", &[]), secretive), change)]);
    let reboot = step(&changed(|vm| vm.hardware.tpm = true), &before, "db");
    assert_eq!(words(&reboot.operations), ["stop vm `db`", "redefine vm `db`", FILL, "start vm `db`"]);
    assert_eq!(words(&reboot.finish), [SCRUB]);
    let replaced = step(&changed(|vm| vm.hostname = "other".to_owned()), &before, "db");
    assert_eq!(replaced.action, Action::Replace);
    let operations = words(&replaced.operations);
    let end = ["create the cloud-init seed of vm `db`", "stop vm `db`", "redefine vm `db`", FILL, "start vm `db`"];
    assert_eq!(operations[operations.len() - 5..], end);
    assert_eq!(words(&replaced.finish), [SCRUB]);
    let live = step(&changed(|vm| vm.autostart = true), &before, "db");
    assert_eq!(words(&live.operations), ["redefine vm `db`"]);
    assert!(live.finish.is_empty());
}

#[test]
fn who_is_restarted_along_with_another_gets_its_secrets_too() {
    let follower = edit(edit(vm("db", &[("os", Condition::Started)]), secretive), |vm| {
        vm.depends_on.values_mut().for_each(|on| on.restart = true);
    });
    let changed = edit(vm("os", &[]), |vm| vm.hardware.tpm = true);
    let step = step(&desired(&[changed, follower.clone()]), &desired(&[vm("os", &[]), follower]), "db");
    assert_eq!(words(&step.operations), ["stop vm `db`", FILL, "start vm `db`"]);
    assert_eq!(words(&step.finish), [SCRUB]);
}

#[test]
fn a_guest_that_restarts_along_does_its_changed_tasks_afterwards() {
    let follower = |scripts: &[&str]| {
        let tasks: Vec<Task> = scripts.iter().map(|script| task(script)).collect();
        let spec = edit(vm("db", &[("os", Condition::Started)]), |vm| {
            vm.depends_on.values_mut().for_each(|on| on.restart = true);
            vm.provision = tasks.iter().map(Task::done).collect();
        });
        (spec, tasks)
    };
    let ((old, _), (new, tasks)) = (follower(&["a"]), follower(&["x"]));
    let mut wanted = desired(&[edit(vm("os", &[]), |vm| vm.hardware.tpm = true), new]);
    wanted.tasks.insert(name("db"), tasks);
    let step = step(&wanted, &desired(&[vm("os", &[]), old]), "db");
    let all = ["update the record of vm `db`", "stop vm `db`", "start vm `db`", "apply task 1 (`x`) of vm `db`"];
    assert_eq!(words(&step.operations), all);
}

#[test]
fn an_interface_that_stays_changes_as_far_as_its_guest_can_hear_of_it() {
    let with = |told: bool, change: fn(&mut Interface)| {
        let spec = edit(vm("db", &[]), |vm| {
            vm.cloud_init = told.then(Box::default);
            change(&mut vm.interfaces[0]);
        });
        desired(&[spec])
    };
    let action = |told, change| step(&with(told, change), &with(told, |_| ()), "db").action;
    let route: fn(&mut Interface) = |nic| nic.default_route = true;
    let six: fn(&mut Interface) = |nic| nic.ip6 = Some("fd00::9".parse().expect("an address"));
    let packets: fn(&mut Interface) = |nic| nic.mtu = Some(9000);
    assert_eq!((action(true, route), action(false, route)), (Action::Replace, Action::Update));
    assert_eq!((action(true, six), action(false, six)), (Action::Replace, Action::Restart));
    assert_eq!((action(true, packets), action(false, packets)), (Action::Restart, Action::Restart));
}

fn published(told: bool, ports: &[u16]) -> DesiredState {
    let port = |host: &u16| Port { address: None, host: *host, guest: 80, udp: false };
    let ports: Vec<Port> = ports.iter().map(port).collect();
    let spec: Spec = edit(vm("db", &[]), |vm| (vm.cloud_init, vm.ports) = (told.then(Box::default), ports));
    desired(&[spec])
}

#[test]
fn a_guest_must_be_told_of_the_card_of_its_first_port_and_of_no_other() {
    let action = |told, from: &[u16], to: &[u16]| step(&published(told, to), &published(told, from), "db").action;
    assert_eq!(action(true, &[], &[8080]), Action::Replace);
    assert_eq!(action(false, &[], &[8080]), Action::Restart);
    assert_eq!(action(true, &[8080], &[8081]), Action::Restart);
    assert_eq!(action(true, &[8080], &[]), Action::Restart);
}

#[test]
fn a_port_that_somebody_else_has_is_refused_to_a_vm_that_is_there_too() {
    let mut actual = applied(&published(false, &[8080]));
    for host in [8080, 8081] {
        let port = Port { address: None, host, guest: 0, udp: false };
        actual.surroundings.ports.push((port, "a process of the host".to_owned()));
    }
    let refused = refusal(&published(false, &[8081]), &actual, &UP);
    assert!(refused.contains("8081") && refused.contains("a process of the host"), "{refused}");
    // Of the port that it has, it may itself be that process.
    assert!(plan(&published(false, &[8080]), &actual, &UP).expect("a plan").is_empty());
}
