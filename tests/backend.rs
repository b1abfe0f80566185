//! The libvirt backend on private worlds of libvirt's test driver: every operation and its undo, twice, and beside
//! objects of others. Real guests are in `qemu.rs`.

mod support;

use std::collections::BTreeMap;

use support::{World, apply, observe};
use vmcompose::backend::libvirt::Libvirt;
use vmcompose::backend::{Attempt, ErrorKind, Health, Hypervisor, HypervisorError};
use vmcompose::model::{Boot, Disk, ImageFormat, Probe, Spec};
use vmcompose::names::{Pool, ProjectName, ResourceId};
use vmcompose::plan::Operation;
use vmcompose::plan::operation::VmDisk;
use vmcompose::state::{ActualState, Phase};
use vmcompose::units::{Bytes, Span};

/// A project with one of everything, as the operations that make it, in order.
fn everything(world: &World) -> Vec<Operation> {
    let image = world.image("debian", ImageFormat::Raw, b"a disk that boots");
    let kernel = world.image("vmlinuz", ImageFormat::Raw, b"a kernel");
    let network = support::network("back", "10.20.1.0/24", "db", "10.20.1.10");
    let volume = support::volume("pgdata", Bytes::gib(1));
    let mut db = support::vm("db", Boot::Image(support::seen(&image)));
    db.disk = Some(Bytes::gib(2));
    db.interfaces = vec![support::interface(&network, "db")];
    db.disks = vec![support::on(&volume), Disk::Own { name: "scratch".parse().expect("legal"), size: Bytes::mib(64) }];
    db.autostart = true;
    let boot =
        Boot::Kernel { kernel: support::seen(&kernel), initrd: None, cmdline: "console=ttyS0 a<b&'c'".to_owned() };
    let tiny = support::vm("tiny", boot);
    let mut all = vec![
        Operation::CreatePool(Pool::Images),
        Operation::CreatePool(Pool::Disks),
        Operation::UploadImage(image),
        Operation::UploadImage(kernel),
        Operation::DefineNetwork(network.clone()),
        Operation::StartNetwork(network.name),
        Operation::CreateVolume(volume),
    ];
    all.extend(VmDisk::of(&db).into_iter().map(Operation::CreateDisk));
    for vm in [db, tiny] {
        all.push(Operation::DefineVm(Box::new(vm.clone())));
        all.push(Operation::StartVm(vm.name));
    }
    all
}

/// What undoes it; for what has no undo in a plan, the removal that a `down` makes.
fn undo(operation: &Operation) -> Operation {
    operation.undo().expect("everything that makes something can be undone")
}

/// A state as text, to compare.
fn text(state: &ActualState) -> String {
    format!("{state:#?}")
}

#[test]
fn every_operation_and_its_undo_must_leave_the_state_as_before() {
    let world = World::new();
    let (libvirt, shop) = (world.connect(), support::project("shop"));
    let mut before = Vec::new();
    for operation in everything(&world) {
        let state = text(&observe(&libvirt, &shop));
        apply(&libvirt, &shop, &operation);
        apply(&libvirt, &shop, &undo(&operation));
        assert_eq!(text(&observe(&libvirt, &shop)), state, "{operation}, and back");
        apply(&libvirt, &shop, &operation);
        before.push((operation, state));
    }
    while let Some((operation, state)) = before.pop() {
        apply(&libvirt, &shop, &undo(&operation));
        assert_eq!(text(&observe(&libvirt, &shop)), state, "undo of {operation}");
    }
}

#[test]
fn applying_an_operation_twice_must_be_harmless() {
    let world = World::new();
    let (libvirt, shop) = (world.connect(), support::project("shop"));
    let all = everything(&world);
    for operation in &all {
        apply(&libvirt, &shop, operation);
        let once = text(&observe(&libvirt, &shop));
        apply(&libvirt, &shop, operation);
        assert_eq!(text(&observe(&libvirt, &shop)), once, "{operation}, twice");
    }
    for operation in all.iter().rev().map(undo) {
        apply(&libvirt, &shop, &operation);
        let once = text(&observe(&libvirt, &shop));
        apply(&libvirt, &shop, &operation);
        assert_eq!(text(&observe(&libvirt, &shop)), once, "{operation}, twice");
    }
}
