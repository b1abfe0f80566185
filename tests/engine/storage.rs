//! Storage on libvirt's own test driver: disks grow and stay so, a stopped pool is no empty one.

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;
use vmcompose::backend::Hypervisor;
use vmcompose::execute::{OnFailure, Outcome, Problem};
use vmcompose::image;
use vmcompose::names::{Pool, ResourceId};
use vmcompose::plan::{Operation, Plan, plan};
use vmcompose::state::{DesiredState, Phase};

use crate::rig::{Rig, SHOP, UP, load, rig};

/// The plan for the same project with other sizes.
fn grown(rig: &Rig, volume: &str, own: &str) -> Plan {
    plan(&resized(rig, volume, own), &rig.observe(), &UP).expect("a plan")
}

fn resized(rig: &Rig, volume: &str, own: &str) -> DesiredState {
    let text = SHOP.replace("data: { size: 1MiB }", &format!("data: {{ size: {volume} }}"));
    let text = text.replace("name: scratch, size: 1MiB", &format!("name: scratch, size: {own}"));
    std::fs::write(rig.folder.path().join("vmcompose.yaml"), text).expect("written");
    let project = load(rig.folder.path(), &rig.observe().surroundings);
    let images = image::inspect(&image::files(&project.images).expect("files only")).expect("images");
    DesiredState::up(&project, &images).expect("no cycle")
}

fn sizes(rig: &Rig) -> BTreeMap<String, String> {
    let actual = rig.observe();
    let disks = actual.disk_sizes.iter().map(|((vm, disk), size)| (format!("{vm}/{disk}"), size.to_string()));
    let volumes = actual.resources.values().filter_map(|found| match &found.recorded {
        vmcompose::model::Spec::Volume(volume) => Some((volume.name.to_string(), volume.size.to_string())),
        _ => None,
    });
    disks.chain(volumes).filter(|(name, _)| ["data", "db/scratch"].contains(&name.as_str())).collect()
}

fn are(rig: &Rig, data: &str, scratch: &str) {
    let wanted = [("data", data), ("db/scratch", scratch)].map(|(name, size)| (name.to_owned(), size.to_owned()));
    assert_eq!(sizes(rig), BTreeMap::from(wanted));
}

#[test]
fn disks_and_volumes_grow_and_are_then_as_they_should_be() {
    let rig = rig(|faulty| faulty);
    assert_eq!(rig.up().0, Outcome::Completed);
    are(&rig, "1MiB", "1MiB");
    let plan = grown(&rig, "2MiB", "3MiB");
    let operations: Vec<String> = plan.steps().flat_map(|step| &step.operations).map(ToString::to_string).collect();
    let grow = ["grow volume `data` to 2MiB", "update the record of vm `db`", "grow disk `scratch` of vm `db` to 3MiB"];
    assert_eq!(operations, grow);
    assert_eq!(rig.run(&plan, OnFailure::Rollback, &CancellationToken::new()).0, Outcome::Completed);
    are(&rig, "2MiB", "3MiB");
    assert!(grown(&rig, "2MiB", "3MiB").is_empty());
}

#[test]
fn a_growth_stays_when_the_run_fails_after_it_and_that_is_said() {
    let rig = rig(|faulty| faulty);
    assert_eq!(rig.up().0, Outcome::Completed);
    let plan = grown(&rig, "2MiB", "3MiB");
    // The volume, the record, the disk.
    rig.hypervisor.fail(rig.hypervisor.calls() + 2);
    let Outcome::Stuck { left_behind, .. } = rig.run(&plan, OnFailure::Rollback, &CancellationToken::new()).0 else {
        panic!("a growth cannot be undone");
    };
    let left: Vec<(String, &Problem)> =
        left_behind.iter().map(|failure| (failure.resource.to_string(), &failure.problem)).collect();
    let grown_volume = Problem::Irreversible { operation: "grow volume `data` to 2MiB".to_owned() };
    assert_eq!(left, [("volume `data`".to_owned(), &grown_volume)]);
    are(&rig, "2MiB", "1MiB");
    // The record of the vm went back, and the same file leads to the rest.
    let rest = grown(&rig, "2MiB", "3MiB");
    let rest: Vec<String> = rest.steps().flat_map(|step| &step.operations).map(ToString::to_string).collect();
    assert_eq!(rest, ["update the record of vm `db`", "grow disk `scratch` of vm `db` to 3MiB"]);
}

#[test]
fn what_is_in_a_stopped_pool_is_neither_made_anew_nor_forgotten() {
    let rig = rig(|faulty| faulty);
    assert_eq!(rig.up().0, Outcome::Completed);
    let pool = Operation::StopPool(Pool::Disks);
    rig.hypervisor.apply(&rig.project.name, &pool).expect("stopped");
    let found = rig.observe().resources[&ResourceId::Pool(Pool::Disks)].phase;
    assert_eq!(found, Phase::Stopped);
    let first = rig.plan();
    assert!(first.is_preliminary());
    assert_eq!(rig.run(&first, OnFailure::Rollback, &CancellationToken::new()).0, Outcome::Completed);
    assert!(rig.plan().is_empty(), "{:#?}", rig.plan());
}
