//! What is done inside guests: after their start, recorded as far as it is done, and done again from what changed on.

use std::collections::BTreeMap;

use vmcompose::model::{Origin, Spec, Task, TaskAction, Vm};
use vmcompose::names::Generation;
use vmcompose::plan::{Action, Obstacle, Operation, Options, Plan, PlanError, plan};
use vmcompose::state::{ActualState, DesiredState};
use vmcompose::units::Span;

use crate::specs::{DOWN, UP, applied, desired, edit, id, name, vm};

fn task(script: &str) -> Task {
    let action = TaskAction::Run { script: script.to_owned(), env: BTreeMap::new(), user: None, workdir: None };
    Task { label: script.to_owned(), action, timeout: Task::TIMEOUT }
}

/// One vm with these tasks.
fn with(scripts: &[&str]) -> DesiredState {
    let tasks: Vec<Task> = scripts.iter().map(|script| task(script)).collect();
    let mut desired = desired(&[edit(vm("db", &[]), |vm| vm.provision = tasks.iter().map(Task::done).collect())]);
    desired.tasks.insert(name("db"), tasks);
    desired
}

fn operations(plan: &Plan) -> Vec<Operation> {
    let steps = plan.steps().filter(|step| step.resource == id("db"));
    steps.flat_map(|step| step.operations.clone()).collect()
}

fn words(plan: &Plan) -> Vec<String> {
    operations(plan).iter().map(ToString::to_string).collect()
}

/// What an operation records as done.
fn recorded(operation: &Operation) -> Option<Vec<String>> {
    let labels = |vm: &Vm| Some(vm.provision.iter().map(|done| done.task.clone()).collect());
    match operation {
        Operation::DefineVm(vm) => labels(vm),
        Operation::RecordVm { to, .. } => labels(to),
        Operation::Provision(provision) => labels(&provision.vm),
        _ => None,
    }
}

#[test]
fn tasks_come_after_the_start_and_each_is_recorded_when_it_is_done() {
    let plan = plan(&with(&["a", "b"]), &ActualState::default(), &UP).expect("a plan");
    let expected =
        ["define vm `db`", "start vm `db`", "apply task 1 (`a`) of vm `db`", "apply task 2 (`b`) of vm `db`"];
    assert_eq!(words(&plan)[1..], expected);
    let recorded: Vec<Vec<String>> = operations(&plan).iter().filter_map(recorded).collect();
    assert_eq!(recorded, [vec![], vec!["a".to_owned()], vec!["a".to_owned(), "b".to_owned()]]);
    assert!(operations(&plan).iter().all(|operation| operation.undo().is_some() != is_task(operation)));
}

#[test]
fn a_guest_is_waited_for_as_long_as_its_task_may_take_and_ten_minutes_in_any_case() {
    for (timeout, expected) in [(5, 600), (600, 600), (1800, 1800)] {
        let mut desired = with(&["a"]);
        for task in desired.tasks.values_mut().flatten() {
            task.timeout = Span::secs(timeout);
        }
        let plan = plan(&desired, &ActualState::default(), &UP).expect("a plan");
        let patience: Vec<Span> = operations(&plan).iter().filter_map(Operation::patience).collect();
        assert_eq!(patience, [Span::secs(expected)]);
    }
}

fn is_task(operation: &Operation) -> bool {
    matches!(operation, Operation::Provision(_))
}

#[test]
fn what_was_done_is_not_done_again() {
    let wanted = with(&["a", "b"]);
    assert!(plan(&wanted, &applied(&wanted), &UP).expect("a plan").is_empty());
    let mut patient = wanted.clone();
    patient.tasks.values_mut().flatten().for_each(|task| task.timeout = Span::secs(1));
    assert!(plan(&patient, &applied(&wanted), &UP).expect("a plan").is_empty());
}

#[test]
fn a_changed_task_is_done_again_with_all_after_it_and_a_rollback_claims_neither() {
    let plan = plan(&with(&["a", "x", "c"]), &applied(&with(&["a", "b", "c"])), &UP).expect("a plan");
    let step = plan.steps().next().expect("a step");
    assert_eq!(step.action, Action::Update);
    let record = "update the record of vm `db`";
    assert_eq!(words(&plan), [record, "apply task 2 (`x`) of vm `db`", "apply task 3 (`c`) of vm `db`"]);
    let undo = operations(&plan)[0].undo().expect("an undo");
    assert_eq!(recorded(&undo), Some(vec!["a".to_owned()]));
}

#[test]
fn a_run_that_was_cut_short_is_taken_up_where_it_was() {
    let mut actual = applied(&with(&["a", "b"]));
    let found = actual.resources.get_mut(&id("db")).expect("there");
    if let Spec::Vm(vm) = &mut found.recorded {
        vm.provision.truncate(1);
    }
    let plan = plan(&with(&["a", "b"]), &actual, &UP).expect("a plan");
    assert_eq!(words(&plan), ["apply task 2 (`b`) of vm `db`"]);
}

#[test]
fn a_task_that_is_no_longer_asked_for_is_forgotten() {
    let plan = plan(&with(&["a"]), &applied(&with(&["a", "b"])), &UP).expect("a plan");
    assert_eq!(words(&plan), ["update the record of vm `db`"]);
}

#[test]
fn what_protects_a_vm_is_shown_in_the_file() {
    let protected = || edit(vm("db", &[]), |vm| vm.protect = true);
    let actual = applied(&desired(&[protected()]));
    let origin = Origin { file: "vmcompose.yaml".to_owned(), line: 7 };
    let nothing = DesiredState { origins: [(id("db"), origin.clone())].into(), ..DesiredState::nothing(&name("shop")) };
    let obstacle = |desired: &DesiredState, options: &Options| match plan(desired, &actual, options) {
        Err(PlanError::Blocked(obstacles)) => obstacles,
        other => panic!("not refused: {other:?}"),
    };
    assert_eq!(obstacle(&nothing, &DOWN), [Obstacle::Protected { resource: id("db"), origin: Some(origin) }]);
    let orphaned = obstacle(&desired(&[]), &Options { remove_orphans: true, ..UP });
    assert_eq!(orphaned, [Obstacle::Protected { resource: id("db"), origin: None }]);
}

#[test]
fn ignition_is_there_before_its_vm_is_defined_and_goes_after_it() {
    let generation = Generation::FIRST;
    let config = serde_json::json!({ "ignition": { "version": "3.4.0" } });
    let wanted = desired(&[edit(vm("db", &[]), |vm| vm.ignition = Some(config.clone()))]);
    let up = plan(&wanted, &ActualState::default(), &UP).expect("a plan");
    assert_eq!(words(&up)[1..3], ["create the Ignition configuration of vm `db`", "define vm `db`"]);
    assert!(operations(&up).contains(&Operation::CreateIgnition { vm: name("db"), generation, config }));
    let down = plan(&DesiredState::nothing(&name("shop")), &applied(&wanted), &DOWN).expect("a plan");
    assert!(operations(&down).contains(&Operation::DeleteSeed { vm: name("db"), generation }));
}
