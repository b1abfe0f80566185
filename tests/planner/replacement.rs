//! Vms that are made anew: when, beside what, and when the old goes.

use vmcompose::model::{Digest, Disk, Image, Spec};
use vmcompose::names::{Generation, ResourceId};
use vmcompose::plan::{Action, Cause, Effect, Operation, Options, Plan, plan};
use vmcompose::state::{Actual, ActualState, DesiredState, Phase, Seen, Shape};
use vmcompose::units::Bytes;

use crate::specs::{UP, applied, desired, edit, id, image, lines, name, refusal, vm};

fn anew(vm: &str) -> Options {
    Options { replace: [name(vm)].into(), ..UP }
}

fn words(plan: &Plan, id: &ResourceId) -> Vec<String> {
    let step = plan.steps().find(|step| step.resource == *id).expect("a step");
    step.all().map(ToString::to_string).collect()
}

/// The same, but image `os` has another content.
fn other_content(mut state: DesiredState) -> DesiredState {
    let other = Digest::new("ba9876543210").expect("a digest");
    for spec in state.specs.values_mut() {
        match spec {
            Spec::Image(image) => image.digest = other.clone(),
            Spec::Vm(vm) => vm.boot.images_mut().for_each(|image| image.digest = Some(other.clone())),
            _ => {}
        }
    }
    state
}

#[test]
fn what_is_asked_for_is_made_anew_though_nothing_changed() {
    let both = desired(&[
        edit(vm("db", &[]), |vm| vm.disks = vec![Disk::Own { name: name("data"), size: Bytes::gib(1) }]),
        vm("web", &[]),
    ]);
    let plan = plan(&both, &applied(&both), &anew("db")).expect("a plan");
    let step = plan.steps().next().expect("a step");
    assert_eq!((step.action, &step.cause, step.effect), (Action::Replace, &Cause::Asked, Some(Effect::Replace)));
    assert!(step.changes.is_empty(), "{:?}", step.changes);
    assert_eq!(
        words(&plan, &id("db")),
        [
            "create disk `root` of vm `db`",
            "create disk `data` of vm `db`",
            "stop vm `db`",
            "redefine vm `db`",
            "start vm `db`"
        ]
    );
    let generations: Vec<Generation> = plan
        .steps()
        .flat_map(|step| &step.operations)
        .filter_map(|operation| match operation {
            Operation::CreateDisk(disk) | Operation::DeleteDisk(disk) => Some(disk.generation),
            _ => None,
        })
        .collect();
    assert_eq!(generations, [1, 1, 0, 0].map(Generation));
    assert_eq!(plan.downtime().iter().map(|off| off.vm.as_str()).collect::<Vec<_>>(), ["db"]);
}

#[test]
fn what_is_there_keeps_its_generation_and_nothing_follows_from_it() {
    let wanted = desired(&[vm("db", &[])]);
    let seventh = desired(&[edit(vm("db", &[]), |vm| vm.generation = Generation(7))]);
    assert!(plan(&wanted, &applied(&seventh), &UP).expect("a plan").is_empty());
    let next = plan(&wanted, &applied(&seventh), &anew("db")).expect("a plan");
    let Operation::CreateDisk(disk) = &next.steps().next().expect("a step").operations[0] else { panic!("a disk") };
    assert_eq!(disk.generation, Generation(8));
}

#[test]
fn protection_is_from_this_too() {
    let protected = desired(&[edit(vm("db", &[]), |vm| vm.protect = true)]);
    assert_eq!(refusal(&protected, &applied(&protected), &anew("db")), "vm `db` is protected and would be replaced");
}

#[test]
fn snapshots_are_not_given_up_unasked() {
    let scratch = edit(vm("db", &[]), |vm| {
        vm.disks.push(Disk::Own { name: name("scratch"), size: Bytes::mib(64) });
    });
    let with = desired(&[scratch]);
    let mut actual = applied(&with);
    let Spec::Vm(spec) = &with.specs[&id("db")] else { panic!("a vm") };
    let seen = Seen {
        persistent: true,
        autostart: false,
        defined: Shape::of(spec),
        running: None,
        snapshots: Vec::new(),
        other_snapshots: vec!["mine".to_owned()],
    };
    actual.resources.get_mut(&id("db")).expect("there").seen = Some(Box::new(seen));
    let words = "vm `db` would be replaced, and its snapshots would go with that: `mine`";
    assert_eq!(refusal(&with, &actual, &anew("db")), words);
    // They are of all its disks at once, and restored with all of them or not at all.
    let words = "vm `db` would lose disk `scratch`, and its snapshots would go with that: `mine`";
    assert_eq!(refusal(&desired(&[vm("db", &[])]), &actual, &UP), words);
}

#[test]
fn what_a_run_that_was_cut_short_left_goes_when_the_vm_is_seen_to_stand() {
    let wanted = desired(&[vm("db", &[])]);
    let loose = |generation| (name("db"), name("root"), Generation(generation));
    let with = |generation| ActualState { loose_disks: [loose(generation)].into(), ..applied(&wanted) };
    // Whether it was made for a vm that never came, or is what was before: the vm that is there counts.
    let left = plan(&wanted, &with(1), &UP).expect("a plan");
    assert_eq!(lines(&left), ["1 = db <- ", "2 - db <- db!"]);
    assert_eq!(words(&left, &ResourceId::FormerVm(name("db"))), ["delete disk `root` of vm `db`"]);
    // What was begun is not built on.
    let again = plan(&wanted, &with(1), &anew("db")).expect("a plan");
    let Operation::CreateDisk(disk) = &again.steps().next().expect("a step").operations[0] else { panic!("a disk") };
    assert_eq!(disk.generation, Generation(2));
    assert_eq!(words(&again, &ResourceId::FormerVm(name("db"))).len(), 2);
}

#[test]
fn another_content_of_an_image_replaces_its_vms() {
    let before = desired(&[vm("db", &[])]);
    let wanted = other_content(before.clone());
    let plan = plan(&wanted, &applied(&before), &UP).expect("a plan");
    assert_eq!(lines(&plan), ["1 ~ os <- ", "2 ± db <- os", "3 - db <- os! db!", "4 - os <- os! db! db!"]);
    let [upload, anew] = [0, 1].map(|n| plan.steps().nth(n).expect("a step"));
    assert_eq!(upload.changes[0].field, "digest");
    assert_eq!((anew.changes[0].field.as_str(), &anew.cause), ("boot.image.digest", &Cause::Changed));
    let last = plan.steps().last().expect("a step");
    assert!(matches!(&last.operations[..], [Operation::DeleteImage(old)] if old.digest != upload_digest(&wanted)));
}

fn upload_digest(state: &DesiredState) -> Digest {
    let Spec::Image(image) = &state.specs[&ResourceId::Image(name("os"))] else { panic!("an image") };
    image.digest.clone()
}

#[test]
fn a_content_that_another_vm_is_on_stays() {
    let before = desired(&[vm("db", &[]), vm("web", &[])]);
    let wanted = other_content(before.clone());
    let one = Options { vms: [name("db")].into(), ..UP };
    let part = plan(&wanted, &applied(&before), &one).expect("a plan");
    assert!(!part.steps().any(|step| matches!(step.resource, ResourceId::FormerImage(_))), "{:#?}", lines(&part));
    // Later both contents are there, and whichever is looked at first, the one that is wanted counts.
    let Spec::Image(old) = image() else { panic!("an image") };
    let new = Image { digest: upload_digest(&wanted), ..old.clone() };
    let found = |image: &Image| Actual {
        recorded: Spec::Image(image.clone()),
        phase: Phase::Running,
        applied_at: None,
        seen: None,
    };
    for (first, second) in [(&old, &new), (&new, &old)] {
        let mut actual = applied(&wanted);
        actual.resources.insert(id("web"), applied(&before).resources[&id("web")].clone());
        actual.resources.insert(ResourceId::Image(name("os")), found(first));
        actual.other_images.insert(name("os"), vec![found(second)]);
        let rest = plan(&wanted, &actual, &UP).expect("a plan");
        assert_eq!(lines(&rest), ["1 ± web <- ", "2 - web <- web!", "3 - os <- web! web!"]);
        let last = rest.steps().last().expect("a step");
        assert!(matches!(&last.operations[..], [Operation::DeleteImage(gone)] if gone.digest == old.digest));
    }
}

#[test]
fn a_disk_that_is_named_again_is_made_anew() {
    let with = |disks: &[&str]| {
        let disk = |disk: &&str| Disk::Own { name: name(disk), size: Bytes::gib(1) };
        desired(&[edit(vm("db", &[]), |vm| vm.disks = disks.iter().map(disk).collect())])
    };
    let removed = plan(&with(&[]), &applied(&with(&["data"])), &UP).expect("a plan");
    assert_eq!(words(&removed, &ResourceId::FormerDisks(name("db"))), ["delete disk `data` of vm `db`"]);
    let text = vmcompose::render::plan::text(&removed, &vmcompose::render::Palette::PLAIN);
    assert!(text.contains("- former disks of vm `db`  delete: no longer in the file"), "{text}");
    assert!(!text.contains("former vm"), "the vm itself stays: {text}");
    let loose = [(name("db"), name("data"), Generation::FIRST)].into();
    let actual = ActualState { loose_disks: loose, ..applied(&with(&[])) };
    let back = plan(&with(&["data"]), &actual, &UP).expect("a plan");
    assert_eq!(words(&back, &id("db"))[..2], ["delete disk `data` of vm `db`", "create disk `data` of vm `db`"]);
    assert_eq!(back.steps().count(), 1);
}
