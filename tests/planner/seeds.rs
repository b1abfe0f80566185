//! What a guest is told at its first boot: when its seed is made, and when it goes.

use vmcompose::model::{CloudInit, Condition};
use vmcompose::names::Generation;
use vmcompose::plan::{Action, Effect, Goal, Milestone, Operation, Options, Plan, plan};
use vmcompose::state::ActualState;

use crate::specs::{UP, applied, desired, edit, id, lines, name, vm};

#[test]
fn a_seed_is_there_before_its_vm_is_defined_and_goes_after_it() {
    let settings = CloudInit { timezone: Some("Europe/Berlin".to_owned()), ..CloudInit::default() };
    let told = edit(vm("db", &[]), |vm| vm.cloud_init = Some(Box::new(settings.clone())));
    let desired = desired(&[told]);
    let operations = |plan: &Plan| -> Vec<String> {
        let step = plan.steps().find(|step| step.resource == id("db")).expect("a step");
        step.operations.iter().map(ToString::to_string).collect()
    };
    let up = plan(&desired, &ActualState::default(), &UP).expect("a plan");
    let seed = "create the cloud-init seed of vm `db`";
    assert_eq!(operations(&up), ["create disk `root` of vm `db`", seed, "define vm `db`", "start vm `db`"]);
    let created = up.steps().flat_map(|step| &step.operations).find_map(|operation| match operation {
        Operation::CreateSeed(seed) => Some(seed.as_ref()),
        _ => None,
    });
    let created = created.expect("the seed");
    assert_eq!((created.machine.identity.as_str(), &created.settings), ("shop/db", &settings));
    assert_eq!(created.machine.nics.len(), 1);
    let down = plan(&desired, &applied(&desired), &Options { goal: Goal::Down { volumes: false }, ..UP });
    let gone = "delete the cloud-init seed of vm `db`";
    assert_eq!(
        operations(&down.expect("a plan")),
        ["stop vm `db`", "undefine vm `db`", gone, "delete disk `root` of vm `db`"]
    );
}

#[test]
fn a_seed_that_lies_about_is_made_anew_and_goes_with_down() {
    let desired = desired(&[vm("db", &[])]);
    let actual = ActualState { loose_seeds: [(name("db"), Generation::FIRST)].into(), ..ActualState::default() };
    let first = |plan: &Plan| {
        let step = plan.steps().find(|step| step.resource == id("db")).expect("a step");
        (step.operations[0].clone(), step.effect)
    };
    let gone = Operation::DeleteSeed { vm: name("db"), generation: Generation::FIRST };
    assert_eq!(first(&plan(&desired, &actual, &UP).expect("a plan")), (gone.clone(), None));
    let down = plan(&desired, &actual, &Options { goal: Goal::Down { volumes: false }, ..UP }).expect("a plan");
    assert_eq!(first(&down), (gone, None));
}

#[test]
fn what_a_guest_was_told_changes_by_replacing_it() {
    let told = |zone: &str| {
        let settings = CloudInit { timezone: Some(zone.to_owned()), ..CloudInit::default() };
        desired(&[edit(vm("db", &[]), |vm| vm.cloud_init = Some(Box::new(settings)))])
    };
    let plan = plan(&told("Europe/Paris"), &applied(&told("Europe/Berlin")), &UP).expect("a plan");
    let step = plan.steps().next().expect("one");
    assert_eq!((step.action, step.effect), (Action::Replace, Some(Effect::Replace)));
    let operations: Vec<String> = step.operations.iter().map(ToString::to_string).collect();
    let wanted = [
        "create disk `root` of vm `db`",
        "create the cloud-init seed of vm `db`",
        "stop vm `db`",
        "redefine vm `db`",
        "start vm `db`",
    ];
    assert_eq!(operations, wanted);
    // What it was told before is there until the new one has passed its gate.
    let former = plan.steps().nth(1).expect("another");
    assert_eq!((former.action, former.effect), (Action::Delete, Some(Effect::DataLoss)));
    assert_eq!(former.after.values().collect::<Vec<_>>(), [&Milestone::Passed]);
    let operations: Vec<String> = former.operations.iter().map(ToString::to_string).collect();
    assert_eq!(operations, ["delete disk `root` of vm `db`", "delete the cloud-init seed of vm `db`"]);
}

#[test]
fn who_is_asked_to_be_ready_is_gated_on_its_cloud_init_and_on_its_healthcheck() {
    let told = |called: &str| edit(vm(called, &[]), |vm| vm.cloud_init = Some(Box::default()));
    let checked = told("checked");
    let bare = edit(told("bare"), |vm| vm.healthcheck = None);
    let alone = edit(told("alone"), |vm| vm.healthcheck = None);
    let app = vm("app", &[("checked", Condition::Ready), ("bare", Condition::Ready), ("alone", Condition::Started)]);
    let desired = desired(&[checked, bare, alone, app]);
    let plan = plan(&desired, &ActualState::default(), &UP).expect("a plan");
    let gate = |called: &str| plan.steps().find(|step| step.resource == id(called)).expect("a step").gate.to_string();
    assert_eq!(gate("checked"), "healthy (agent, cloud-init)");
    assert_eq!(gate("bare"), "healthy (cloud-init)");
    assert_eq!(gate("alone"), "");
    let waits = lines(&plan).into_iter().find(|line| line.contains(" app <-")).expect("a step");
    assert!(waits.contains("bare!") && waits.contains("checked!") && !waits.contains("alone!"), "{waits}");
}
