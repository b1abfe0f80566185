//! Storage in the plan: disks that grow and never shrink, pools that are stopped, pools of the user's own.

use std::collections::BTreeSet;

use vmcompose::model::{Disk, Spec, Volume, VolumeRef};
use vmcompose::names::{Pool, ResourceId};
use vmcompose::plan::effects::{Class, VOLUME_TABLE};
use vmcompose::plan::{Action, Effect, Operation, Options, Plan, Step, plan};
use vmcompose::render::{self, Palette};
use vmcompose::state::{ActualState, DesiredState, OtherPool, Phase};
use vmcompose::units::Bytes;

use crate::specs::{DOWN, UP, applied, desired, edit, id, name, refusal, vm};

/// A vm with a root disk and one of its own, each of a size.
fn db(root: Bytes, own: Bytes) -> Spec {
    edit(vm("db", &[]), |vm| {
        vm.disk = Some(root);
        vm.disks = vec![Disk::Own { name: name("logs"), size: own }];
    })
}

fn volume(size: Bytes) -> Spec {
    Spec::Volume(Volume::new(name("data"), size))
}

/// What is there once `desired` was applied, with the sizes of the disks.
fn sized(desired: &DesiredState, sizes: [(&str, Bytes); 2]) -> ActualState {
    let disk_sizes = sizes.map(|(disk, size)| ((name("db"), name(disk)), size)).into();
    ActualState { disk_sizes, ..applied(desired) }
}

fn only(plan: &Plan) -> &Step {
    let steps: Vec<&Step> = plan.steps().collect();
    assert_eq!(steps.len(), 1, "{steps:#?}");
    steps[0]
}

fn told(step: &Step) -> (Vec<String>, Vec<String>) {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let changes =
        step.changes.iter().map(|change| format!("{} {} → {}", change.field, text(&change.old), text(&change.new)));
    (step.operations.iter().map(ToString::to_string).collect(), changes.collect())
}

const ONE: Bytes = Bytes::gib(1);
const TWO: Bytes = Bytes::gib(2);

#[test]
fn a_volume_that_the_file_no_longer_has_is_told_and_kept() {
    let actual = applied(&desired(&[db(ONE, ONE), volume(ONE)]));
    for options in [UP, Options { remove_orphans: true, ..UP }] {
        let plan = plan(&desired(&[db(ONE, ONE)]), &actual, &options).expect("a plan");
        assert!(plan.is_empty(), "{plan:#?}");
        assert_eq!(plan.orphans, [ResourceId::Volume(name("data"))]);
        let text = render::plan::text(&plan, &Palette::PLAIN);
        assert!(text.contains("left alone, though no longer in the file:\n  volume `data`\n"), "{text}");
        assert!(text.contains("`vmcompose volume rm NAME`") && !text.contains("--remove-orphans"), "{text}");
    }
}

#[test]
fn disks_grow_in_place_after_what_can_be_undone() {
    let before = desired(&[db(ONE, ONE)]);
    let actual = sized(&before, [("root", ONE), ("logs", ONE)]);
    let plan = plan(&desired(&[db(TWO, TWO)]), &actual, &UP).expect("a plan");
    let step = only(&plan);
    assert_eq!((step.action, step.effect), (Action::Update, Some(Effect::Live)));
    let grow = |disk: &str| format!("grow disk `{disk}` of vm `db` to 2GiB");
    let operations = vec!["update the record of vm `db`".to_owned(), grow("root"), grow("logs")];
    let changes = vec!["disk 1GiB → 2GiB".to_owned(), "disks.logs.size 1GiB → 2GiB".to_owned()];
    assert_eq!(told(step), (operations, changes));
    assert!(step.operations[1..].iter().all(|operation| operation.undo().is_none()));
}

#[test]
fn a_disk_that_is_smaller_than_recorded_grows_before_its_vm_starts() {
    let wanted = desired(&[db(TWO, ONE)]);
    let mut actual = sized(&wanted, [("root", ONE), ("logs", ONE)]);
    actual.resources.get_mut(&id("db")).expect("there").phase = Phase::Stopped;
    let plan = plan(&wanted, &actual, &UP).expect("a plan");
    let operations = vec!["grow disk `root` of vm `db` to 2GiB".to_owned(), "start vm `db`".to_owned()];
    assert_eq!(told(only(&plan)), (operations, vec!["disk 1GiB → 2GiB".to_owned()]));
}

#[test]
fn a_root_disk_that_nobody_gave_a_size_may_have_any() {
    let free = desired(&[edit(db(ONE, ONE), |vm| vm.disk = None)]);
    let actual = sized(&free, [("root", TWO), ("logs", ONE)]);
    assert!(plan(&free, &actual, &UP).expect("a plan").is_empty());
}

#[test]
fn a_volume_grows_and_its_size_is_what_a_hypervisor_makes_of_it() {
    let state = |size| desired(&[vm("db", &[]), volume(size)]);
    let plan = |wanted, has| plan(&state(wanted), &applied(&state(has)), &UP).expect("a plan");
    let grown = plan(TWO, ONE);
    assert_eq!(told(only(&grown)).0, ["grow volume `data` to 2GiB"]);
    assert_eq!(only(&grown).operations, [Operation::GrowVolume { volume: Volume::new(name("data"), TWO), from: ONE }]);
}

#[test]
fn the_table_has_every_field_of_a_volume_and_the_planner_holds_to_it() {
    let full = Volume { pool: Some("nvme".to_owned()), shared: true, ..Volume::new(name("data"), ONE) };
    let fields = serde_json::to_value(&full).expect("JSON");
    let fields: BTreeSet<&str> = fields.as_object().expect("fields").keys().map(String::as_str).collect();
    assert_eq!(VOLUME_TABLE.iter().map(|(field, ..)| *field).chain(["name"]).collect::<BTreeSet<_>>(), fields);
    let state = |volume: &Volume| desired(&[vm("db", &[]), Spec::Volume(volume.clone())]);
    for (field, class, _) in VOLUME_TABLE {
        let mut to = full.clone();
        match field {
            "pool" => to.pool = None,
            "shared" => to.shared = false,
            "size" => to.size = TWO,
            other => panic!("the table has `{other}`, which no volume has"),
        }
        let mut actual = applied(&state(&full));
        let pool = OtherPool { kind: "dir".to_owned(), active: true, ..OtherPool::default() };
        actual.pools.insert("nvme".to_owned(), pool);
        if class == Class::Impossible {
            let words = refusal(&state(&to), &actual, &UP);
            assert!(words.contains("volume `data` cannot be changed in place"), "{field}: {words}");
            continue;
        }
        let plan = plan(&state(&to), &actual, &UP).expect("a plan");
        assert_eq!((only(&plan).effect, only(&plan).changes[0].top()), (Some(Effect::Live), field));
    }
}

#[test]
fn nothing_shrinks() {
    let wanted = desired(&[db(ONE, ONE), volume(ONE)]);
    let before = desired(&[db(TWO, TWO), volume(TWO)]);
    let actual = sized(&before, [("root", TWO), ("logs", TWO)]);
    let refusal = refusal(&wanted, &actual, &UP);
    assert_eq!(
        refusal.lines().collect::<Vec<_>>(),
        [
            "volume `data` cannot shrink from 2GiB to 1GiB",
            "disk `root` of vm `db` cannot shrink from 2GiB to 1GiB",
            "disk `logs` of vm `db` cannot shrink from 2GiB to 1GiB",
        ]
    );
}

#[test]
fn what_somebody_made_larger_stays_so_and_what_he_made_smaller_is_put_back_as_drift() {
    let wanted = desired(&[db(TWO, ONE)]);
    assert!(plan(&wanted, &sized(&wanted, [("root", TWO), ("logs", TWO)]), &UP).expect("a plan").is_empty());
    let shrunk = plan(&wanted, &sized(&wanted, [("root", ONE), ("logs", ONE)]), &UP).expect("a plan");
    assert_eq!(only(&shrunk).cause, vmcompose::plan::Cause::Drifted);
    assert!(only(&shrunk).changes.iter().all(|change| change.drift), "{shrunk:#?}");
    // What the file changed itself is no drift.
    let grown = plan(&desired(&[db(TWO, TWO)]), &sized(&wanted, [("root", TWO), ("logs", ONE)]), &UP).expect("a plan");
    assert_eq!(only(&grown).cause, vmcompose::plan::Cause::Changed);
}

#[test]
fn a_volume_that_somebody_deleted_is_a_loss_that_is_told() {
    let on_it = edit(vm("db", &[]), |vm| vm.disks = vec![Disk::Volume { volume: name("data") }]);
    let wanted = desired(&[on_it, volume(ONE)]);
    let mut actual = applied(&wanted);
    actual.resources.remove(&ResourceId::Volume(name("data")));
    let made = plan(&wanted, &actual, &UP).expect("a plan");
    let steps: Vec<(Action, Option<Effect>, String)> =
        made.steps().map(|step| (step.action, step.effect, step.cause.to_string())).collect();
    let expected = [
        (Action::Create, Effect::DataLoss, "vm `db` has it, and somebody deleted it"),
        (Action::Restart, Effect::Reboot, "goes along with volume `data`"),
    ];
    assert_eq!(steps, expected.map(|(action, effect, cause)| (action, Some(effect), cause.to_owned())));
    // Where nobody can look, nobody says that anything is lost; what nobody had is none either.
    let mut blind = actual.clone();
    blind.resources.remove(&ResourceId::Pool(Pool::Disks));
    actual.resources.remove(&id("db"));
    for actual in [blind, actual] {
        let made = plan(&wanted, &actual, &UP).expect("a plan");
        assert!(made.steps().all(|step| step.effect != Some(Effect::DataLoss)), "{made:#?}");
    }
}

#[test]
fn a_disk_of_its_own_that_somebody_deleted_is_in_the_way_until_the_vm_is_made_anew() {
    let wanted = desired(&[db(ONE, ONE)]);
    let mut actual = sized(&wanted, [("root", ONE), ("logs", ONE)]);
    actual.lost_disks.insert((name("db"), name("logs")));
    let refusal = refusal(&wanted, &actual, &UP);
    assert_eq!(refusal, "disk `logs` of vm `db` is gone: somebody deleted it, with all that was on it");
    let anew = Options { replace: [name("db")].into(), ..UP };
    let made = plan(&wanted, &actual, &anew).expect("a plan");
    assert!(made.steps().any(|step| step.action == Action::Replace), "{made:#?}");
    plan(&desired(&[]), &actual, &DOWN).expect("it can go");
}

#[test]
fn a_stopped_pool_is_started_before_anything_else_is_planned() {
    let wanted = desired(&[vm("db", &[])]);
    let mut actual = applied(&wanted);
    let pool = ResourceId::Pool(Pool::Disks);
    actual.resources.get_mut(&pool).expect("there").phase = Phase::Stopped;
    // Its content is out of sight; whoever planned on would make it anew.
    actual.resources.remove(&id("db"));
    for options in [UP, DOWN] {
        let plan = plan(&wanted, &actual, &options).expect("a plan");
        assert_eq!(only(&plan).operations, [Operation::StartPool(Pool::Disks)]);
        assert!(plan.is_preliminary());
    }
    let whole = plan(&wanted, &ActualState::default(), &UP).expect("a plan");
    assert!(!whole.is_preliminary());
}

#[test]
fn a_pool_of_the_users_own_has_to_be_there_and_fit() {
    let elsewhere = Spec::Volume(Volume { pool: Some("fast".to_owned()), ..Volume::new(name("data"), ONE) });
    let golden = VolumeRef { pool: "fast".to_owned(), volume: "golden.qcow2".to_owned() };
    let on_golden = edit(vm("db", &[]), |vm| {
        for image in vm.boot.images_mut() {
            image.volume = Some(golden.clone());
        }
    });
    let wanted = desired(&[on_golden, elsewhere]);
    let with = |pool: Option<OtherPool>| {
        let pools = pool.into_iter().map(|pool| ("fast".to_owned(), pool)).collect();
        ActualState { pools, ..ActualState::default() }
    };
    let pool = |kind: &str, active| OtherPool { kind: kind.to_owned(), active, volumes: [].into() };
    let both = |words: &str| format!("volume `data`: {words}\nvm `db`: {words}");
    assert_eq!(refusal(&wanted, &with(None), &UP), both("the hypervisor has no pool `fast`"));
    assert_eq!(refusal(&wanted, &with(Some(pool("dir", false))), &UP), both("pool `fast` is stopped"));
    let logical = both("pool `fast` is of type `logical`, and disks are files");
    assert_eq!(refusal(&wanted, &with(Some(pool("logical", true))), &UP), logical);
    let empty = refusal(&wanted, &with(Some(pool("dir", true))), &UP);
    assert_eq!(empty, "vm `db`: pool `fast` has no volume `golden.qcow2`");
    let full = OtherPool { volumes: ["golden.qcow2".to_owned()].into(), ..pool("dir", true) };
    plan(&wanted, &with(Some(full)), &UP).expect("a plan");
}
