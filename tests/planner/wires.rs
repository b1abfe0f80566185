//! Vms on wires, where the hypervisor is an ordinary user's own: what there is no room for is told before anything is done.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use vmcompose::model::hardware::Uplink;
use vmcompose::model::{Boot, ImageRef, Spec, Vm};
use vmcompose::plan::plan;
use vmcompose::state::{ActualState, DesiredState};

use super::specs::{UP, applied, desired, edit, id, name, refusal, vm};

/// A vm on so many wires, each as wide as the one network that there is.
fn on_wires(vm: &mut Vm, count: usize) {
    vm.interfaces[0].wire = Some("10.0.0.0/24".parse().expect("a subnet"));
    vm.interfaces = vec![vm.interfaces[0].clone(); count];
    vm.hardware.uplink = Some(Uplink::default());
}

/// A vm whose kernel is to be told this many names.
fn told(count: u8) -> DesiredState {
    desired(&[edit(vm("db", &[]), |vm| {
        on_wires(vm, 1);
        let kernel = ImageRef::unseen(name("os"));
        vm.boot = Boot::Kernel { kernel, initrd: None, cmdline: "quiet".to_owned() };
        let host = |n: u8| (Ipv4Addr::new(10, 0, 0, n).into(), vec![format!("neighbour-with-a-name-{n}")]);
        vm.hardware.uplink = Some(Uplink { outside: true, hosts: (0..count).map(host).collect::<BTreeMap<_, _>>() });
    })])
}

fn with_a_seed(mut desired: DesiredState) -> DesiredState {
    let Some(Spec::Vm(vm)) = desired.specs.get_mut(&id("db")) else { panic!("a vm") };
    vm.cloud_init = Some(Box::default());
    desired
}

#[test]
fn more_networks_than_wires_are_refused() {
    let on = |count| desired(&[edit(vm("db", &[]), |vm| on_wires(vm, count))]);
    assert!(plan(&on(12), &ActualState::default(), &UP).is_ok());
    let words = refusal(&on(13), &ActualState::default(), &UP);
    assert!(words.contains("vm `db` asks for 13 networks, which this hypervisor does not offer"), "{words}");
}

#[test]
fn names_that_a_kernels_command_line_has_no_room_for_are_told() {
    assert!(plan(&told(40), &ActualState::default(), &UP).is_ok());
    let words = refusal(&told(80), &ActualState::default(), &UP);
    assert!(words.contains("vm `db` asks for a kernel's command line of "), "{words}");
    // A seed has room for them; what is there already is left in peace.
    assert!(plan(&with_a_seed(told(80)), &ActualState::default(), &UP).is_ok());
    assert!(plan(&told(80), &applied(&told(80)), &UP).is_ok());
}
