//! The planner's rules, on states made by hand: what is done, in which order, and what stands in the way.

mod changes;
mod combined;
mod devices;
mod laws;
mod lost;
mod machines;
mod named;
mod networks;
mod part;
mod power;
mod refresh;
mod replacement;
mod secrets;
mod seeds;
mod snapshots;
mod specs;
mod storage;
mod tasks;
mod wires;

use specs::{DOWN, UP, applied, desired, edit, id, lines, name, planned, refusal, vm, volume};
use vmcompose::graph::Graph;
use vmcompose::model::{Condition, Disk, Surroundings};
use vmcompose::names::{Generation, ResourceId};
use vmcompose::plan::{Effect, Goal, Options, plan};
use vmcompose::state::{ActualState, DesiredState, Phase};
use vmcompose::units::Span;

#[test]
fn an_empty_hypervisor_gets_everything_in_waves() {
    let desired =
        desired(&[vm("db", &[]), vm("api", &[("db", Condition::Healthy)]), vm("log", &[("db", Condition::Started)])]);
    assert_eq!(
        planned(&desired, &ActualState::default()),
        [
            "1 + images <- ",
            "1 + disks <- ",
            "1 + net <- ",
            "2 + os <- images",
            "3 + db <- disks net os",
            "4 + api <- disks net os db!",
            "4 + log <- disks net os db",
        ]
    );
}

#[test]
fn what_is_as_it_should_be_is_left_alone() {
    let desired = desired(&[vm("db", &[]), vm("api", &[("db", Condition::Healthy)])]);
    let plan = plan(&desired, &applied(&desired), &UP).expect("a plan");
    assert!(plan.is_empty());
    assert_eq!(plan.unchanged.len(), desired.specs.len());
}

#[test]
fn a_stopped_vm_is_started_and_its_unchanged_dependency_verified_first() {
    let desired = desired(&[vm("db", &[]), vm("api", &[("db", Condition::Healthy)])]);
    let mut actual = applied(&desired);
    actual.resources.get_mut(&id("api")).expect("there").phase = Phase::Stopped;
    assert_eq!(planned(&desired, &actual), ["1 = db <- ", "2 > api <- db!"]);
}

#[test]
fn a_dependency_that_only_has_to_run_is_not_verified() {
    let desired = desired(&[vm("db", &[]), vm("api", &[("db", Condition::Started)])]);
    let mut actual = applied(&desired);
    actual.resources.get_mut(&id("api")).expect("there").phase = Phase::Crashed;
    assert_eq!(planned(&desired, &actual), ["1 > api <- "]);
}

#[test]
fn order_holds_through_what_is_unchanged() {
    let desired =
        desired(&[vm("db", &[]), vm("api", &[("db", Condition::Started)]), vm("web", &[("api", Condition::Started)])]);
    let mut actual = applied(&desired);
    for stopped in ["db", "web"] {
        actual.resources.get_mut(&id(stopped)).expect("there").phase = Phase::Stopped;
    }
    assert_eq!(planned(&desired, &actual), ["1 > db <- ", "2 > web <- db"]);
}

#[test]
fn of_two_ways_to_a_step_the_one_that_asks_for_more_holds() {
    let desired = desired(&[
        vm("a", &[]),
        vm("b", &[("a", Condition::Started)]),
        vm("c", &[("a", Condition::Healthy), ("b", Condition::Started)]),
    ]);
    let mut actual = applied(&desired);
    for stopped in ["a", "c"] {
        actual.resources.get_mut(&id(stopped)).expect("there").phase = Phase::Stopped;
    }
    assert_eq!(planned(&desired, &actual), ["1 > a <- ", "2 > c <- a!"]);
}

#[test]
fn a_paused_vm_is_resumed_and_paused_again_by_a_rollback() {
    let desired = desired(&[vm("db", &[])]);
    let mut actual = applied(&desired);
    actual.resources.get_mut(&id("db")).expect("there").phase = Phase::Paused;
    let plan = plan(&desired, &actual, &UP).expect("a plan");
    let operation = &plan.steps().next().expect("one").operations[0];
    assert_eq!(operation.to_string(), "resume vm `db`");
    assert_eq!(operation.undo().expect("an undo").to_string(), "pause vm `db`");
}

#[test]
fn a_vm_that_ran_on_without_its_network_is_looked_at_again() {
    let desired = desired(&[vm("db", &[])]);
    let mut actual = applied(&desired);
    actual.resources.get_mut(&ResourceId::Network(name("net"))).expect("there").phase = Phase::Stopped;
    assert_eq!(planned(&desired, &actual), ["1 > net <- ", "2 = db <- net"]);
}

#[test]
fn an_image_uploaded_in_part_is_uploaded_again() {
    let desired = desired(&[vm("db", &[])]);
    let mut actual = applied(&desired);
    actual.resources.remove(&id("db"));
    actual.resources.get_mut(&ResourceId::Image(name("os"))).expect("there").phase = Phase::Incomplete;
    assert_eq!(planned(&desired, &actual), ["1 + os <- ", "2 + db <- os"]);
}

#[test]
fn a_disk_that_lies_about_is_made_anew_and_said_to_lose_its_data() {
    let desired = desired(&[vm("db", &[])]);
    let mut actual = applied(&desired);
    actual.resources.remove(&id("db"));
    actual.loose_disks.insert((name("db"), name("root"), Generation::FIRST));
    let up = plan(&desired, &actual, &UP).expect("a plan");
    let step = up.steps().next().expect("one");
    let operations: Vec<String> = step.operations.iter().map(ToString::to_string).collect();
    assert_eq!(operations[..2], ["delete disk `root` of vm `db`", "create disk `root` of vm `db`"]);
    assert_eq!(step.effect, Some(Effect::DataLoss));
    let down = plan(&DesiredState::nothing(&desired.project), &actual, &DOWN).expect("a plan");
    assert!(lines(&down).contains(&"1 - db <- ".to_owned()), "{:?}", lines(&down));
}

#[test]
fn a_new_healthcheck_is_recorded_while_the_vm_runs() {
    let before = desired(&[vm("db", &[])]);
    let after = desired(&[edit(vm("db", &[]), |vm| vm.stop_grace_period = Span::secs(5))]);
    let plan = plan(&after, &applied(&before), &UP).expect("a plan");
    assert_eq!(lines(&plan), ["1 ~ db <- "]);
    let step = plan.steps().next().expect("one");
    let change = &step.changes[0];
    assert_eq!(
        (change.field.as_str(), change.old.as_deref(), change.new.as_deref()),
        ("stop_grace_period", Some("30s"), Some("5s"))
    );
}

#[test]
fn all_obstacles_are_named_at_once() {
    let desired = desired(&[vm("db", &[]), vm("api", &[])]);
    let mut actual = ActualState::default();
    actual.foreign.insert(id("api"), "a domain `shop-api` that vmcompose did not make".to_owned());
    actual.foreign.insert(id("db"), "a domain `shop-db` that vmcompose did not make".to_owned());
    actual.surroundings = Surroundings {
        subnets: vec![("10.0.0.128/25".parse().expect("a subnet"), "libvirt network `default`".to_owned())],
        ..Surroundings::default()
    };
    let text = refusal(&desired, &actual, &UP);
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        [
            "network `net` cannot have subnet 10.0.0.0/24: libvirt network `default` uses 10.0.0.128/25",
            "vm `api` cannot be made: there is a domain `shop-api` that vmcompose did not make",
            "vm `db` cannot be made: there is a domain `shop-db` that vmcompose did not make",
        ]
    );
}

#[test]
fn orphans_are_shown_and_kept_unless_asked() {
    let before = desired(&[vm("db", &[]), vm("old", &[("db", Condition::Healthy)])]);
    let after = desired(&[vm("db", &[])]);
    let shown = plan(&after, &applied(&before), &UP).expect("a plan");
    assert!(shown.is_empty());
    assert_eq!(shown.orphans, [id("old")]);
}

#[test]
fn orphans_are_deleted_last() {
    let before = desired(&[vm("old", &[])]);
    let after = desired(&[vm("new", &[])]);
    let options = Options { remove_orphans: true, ..UP };
    let plan = plan(&after, &applied(&before), &options).expect("a plan");
    assert_eq!(lines(&plan), ["1 + new <- ", "2 - old <- new!"]);
    assert!(plan.orphans.is_empty());
}

#[test]
fn down_takes_dependents_first_and_keeps_volumes() {
    let mut desired = desired(&[
        edit(vm("db", &[]), |vm| vm.disks.push(Disk::Volume { volume: name("data") })),
        vm("api", &[("db", Condition::Healthy)]),
    ]);
    desired.specs.insert(volume().id(), volume());
    let actual = applied(&desired);
    let nothing = DesiredState::nothing(&desired.project);
    let down = plan(&nothing, &actual, &DOWN).expect("a plan");
    assert_eq!(lines(&down), ["1 - api <- ", "2 - db <- api", "3 - os <- api db", "3 - net <- api db"]);
    assert_eq!(down.kept, [volume().id()]);

    let all = Options { goal: Goal::Down { volumes: true }, ..DOWN };
    let down = plan(&nothing, &actual, &all).expect("a plan");
    assert!(lines(&down).contains(&"3 - data <- db".to_owned()));
    assert!(down.kept.is_empty());
}

#[test]
fn a_protected_vm_is_not_taken_down() {
    let desired = desired(&[edit(vm("db", &[]), |vm| vm.protect = true)]);
    let nothing = DesiredState::nothing(&desired.project);
    assert_eq!(refusal(&nothing, &applied(&desired), &DOWN), "vm `db` is protected and would be deleted");
}

#[test]
fn a_cycle_is_named_whole() {
    let specs = [
        vm("a", &[("b", Condition::Started)]),
        vm("b", &[("c", Condition::Started)]),
        vm("c", &[("a", Condition::Started)]),
        vm("d", &[("a", Condition::Started)]),
    ];
    let error = Graph::build(&specs).expect_err("a cycle");
    assert_eq!(
        error.to_string(),
        "dependency cycle: vm `a` waits for vm `b`, which waits for vm `c`, which waits for vm `a`"
    );
}
