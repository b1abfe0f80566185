//! What a plan's text calls things: disks and networks by their names, ports as they are published, memory as a guest gives it.

use vmcompose::model::{Disk, Interface, Mac, Port, Spec, Vm};
use vmcompose::plan::plan;
use vmcompose::render::{self, Palette};
use vmcompose::state::seen::{Seen, Shape};
use vmcompose::state::{ActualState, DesiredState};
use vmcompose::units::Bytes;

use crate::specs::{UP, applied, desired, edit, id, name, vm};

fn own(disk: &str, mib: u64) -> Disk {
    Disk::Own { name: name(disk), size: Bytes::mib(mib) }
}

fn on(network: &str, last: u8) -> Interface {
    let Spec::Vm(vm) = vm("x", &[]) else { panic!("a vm") };
    let mac = Mac([0x52, 0x54, 0, 0, 0, last]);
    Interface { network: name(network), mac, ip: [10, 0, 0, last].into(), ..vm.interfaces[0].clone() }
}

fn with(change: impl FnOnce(&mut Vm)) -> DesiredState {
    desired(&[edit(vm("db", &[]), change)])
}

/// The lines below the vm's own, without the blanks that align them.
fn text(wanted: &DesiredState, actual: &ActualState) -> Vec<String> {
    let plan = plan(wanted, actual, &UP).expect("a plan");
    let text = render::plan::text(&plan, &Palette::PLAIN);
    let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let below = text.lines().skip_while(|line| !line.contains("vm `db`")).skip(1);
    below.take_while(|line| line.starts_with("      ")).map(squeezed).collect()
}

#[test]
fn one_disk_that_goes_changes_nothing_about_the_others() {
    let before = with(|vm| vm.disks = vec![own("a", 1), own("b", 2), Disk::Volume { volume: name("data") }]);
    let after = with(|vm| vm.disks = vec![own("b", 4), own("c", 8), Disk::Volume { volume: name("data") }]);
    let lines = text(&after, &applied(&before));
    assert_eq!(lines[..3], ["disk `a` size 1MiB → none", "disk `b` size 2MiB → 4MiB", "disk `c` none → size 8MiB"]);
    let turned = with(|vm| vm.disks = vec![own("b", 2), own("a", 1), Disk::Volume { volume: name("data") }]);
    assert_eq!(text(&turned, &applied(&before))[0], "disks.order a, b, volume data → b, a, volume data");
    let none = with(|vm| vm.disks = Vec::new());
    let gone = ["disk `a` size 1MiB → none", "disk `b` size 2MiB → none", "volume `data` attached → none"];
    assert_eq!(text(&none, &applied(&before))[..3], gone);
}

#[test]
fn an_interface_goes_by_its_network() {
    let before = with(|vm| vm.interfaces = vec![on("front", 1), on("back", 2)]);
    let after = with(|vm| vm.interfaces = vec![Interface { ip: [10, 0, 0, 9].into(), ..on("back", 2) }]);
    let lines = text(&after, &applied(&before));
    assert!(lines[0].starts_with("network `front` ") && lines[0].ends_with("→ none"), "{lines:?}");
    assert_eq!(lines[1], "network `back` ip 10.0.0.2 → 10.0.0.9");
}

#[test]
fn a_vm_that_is_made_is_told_with_its_ports() {
    let port = Port { address: Some([127, 0, 0, 1].into()), host: 8080, guest: 80, udp: false };
    let lines = text(&with(|vm| vm.ports = vec![port]), &ActualState::default());
    assert!(lines.contains(&"ports 127.0.0.1:8080:80".to_owned()), "{lines:?}");
}

#[test]
fn less_memory_is_what_the_guest_gives_back_and_more_is_there_at_once() {
    let before = with(|vm| vm.hardware.max_memory = Some(Bytes::gib(1)));
    let mut actual = applied(&before);
    let found = actual.resources.get_mut(&id("db")).expect("there");
    let shape = Shape::of(found.recorded.as_vm().expect("a vm"));
    found.seen = Some(Box::new(Seen {
        persistent: true,
        autostart: false,
        defined: shape.clone(),
        running: Some(shape),
        snapshots: Vec::new(),
        other_snapshots: Vec::new(),
    }));
    let effect = |memory| {
        let wanted = with(|vm| (vm.hardware.max_memory, vm.memory) = (Some(Bytes::gib(1)), memory));
        text(&wanted, &actual).into_iter().find(|line| line.starts_with("effect")).expect("an effect")
    };
    assert_eq!(effect(Bytes::mib(64)), "effect live, once the guest gives the memory back");
    assert_eq!(effect(Bytes::mib(256)), "effect live");
}
