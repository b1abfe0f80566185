//! Networks of an ordinary user, whose hypervisor makes no bridges.

use std::net::IpAddr;

use vmcompose::model::hardware::Uplink;
use vmcompose::model::{Boot, CloudInit, Condition, Network, NetworkMode, Spec, Surroundings, Vm};
use vmcompose::names::ResourceId;
use vmcompose::plan::{Action, plan};
use vmcompose::state::{ActualState, DesiredState};

use super::specs::{UP, applied, desired, edit, id, name, network, refusal, vm};

fn rootless() -> ActualState {
    let surroundings = Surroundings { rootless: true, ..Surroundings::default() };
    ActualState { surroundings, ..ActualState::default() }
}

/// The network of the specs, with these on it.
fn network_of(names: &[&str], change: impl FnOnce(&mut Network)) -> Spec {
    let Spec::Network(mut network) = network() else { panic!("not a network") };
    network.hosts = (9u8..)
        .zip(names)
        .map(|(number, vm)| {
            let ip = [10, 0, 0, number].into();
            let host = vmcompose::model::Host {
                mac: vmcompose::model::Mac([0x52, 0x54, 0, 0, 0, number]),
                ip,
                ip6: None,
                names: vec![(*vm).to_owned()],
            };
            (name(vm), host)
        })
        .collect();
    change(&mut network);
    Spec::Network(network)
}

fn joined(names: &[&str], actual: &ActualState, change: impl FnOnce(&mut Network)) -> DesiredState {
    let vms: Vec<Spec> = names.iter().map(|name| vm(name, &[] as &[(&str, Condition)])).collect();
    let mut desired = desired(&vms);
    desired.specs.insert(network_id(), network_of(names, change));
    desired.join_by_wires(actual);
    desired
}

fn network_id() -> ResourceId {
    ResourceId::Network(name("net"))
}

fn of<'a>(desired: &'a DesiredState, vm: &str) -> &'a Vm {
    desired.specs[&id(vm)].as_vm().expect("a vm")
}

fn known(vm: &Vm) -> Vec<String> {
    let uplink = vm.hardware.uplink.as_ref().expect("an uplink");
    uplink.hosts.values().flatten().cloned().collect()
}

#[test]
fn a_system_hypervisor_needs_no_wires() {
    let desired = joined(&["db"], &ActualState::default(), |_| {});
    assert_eq!((of(&desired, "db").interfaces[0].wire, &of(&desired, "db").hardware.uplink), (None, &None));
}

#[test]
fn vms_on_wires_are_told_what_no_server_tells_them() {
    let desired = joined(&["api", "db"], &rootless(), |network| {
        network.settings.dns.hosts.insert("far".to_owned(), IpAddr::from([10, 0, 0, 77]));
    });
    let db = of(&desired, "db");
    assert_eq!(db.interfaces[0].wire, Some("10.0.0.0/24".parse().expect("a subnet")));
    assert_eq!(known(db), ["api", "db", "far"]);
    assert!(db.hardware.uplink.as_ref().is_some_and(|uplink| uplink.outside), "the network is one with NAT");
    assert!(matches!(db.boot, Boot::Image(_)) && db.cloud_init.is_some(), "by its seed");
    let closed = joined(&["db"], &rootless(), |network| network.mode = NetworkMode::Isolated);
    assert!(of(&closed, "db").hardware.uplink.as_ref().is_some_and(|uplink| !uplink.outside));
}

#[test]
fn nobody_is_changed_for_the_sake_of_a_neighbours_name() {
    let before = joined(&["db"], &rootless(), |_| {});
    let there = ActualState { surroundings: rootless().surroundings, ..applied(&before) };
    let after = joined(&["api", "db"], &there, |_| {});
    assert_eq!(known(of(&after, "api")), ["api", "db"]);
    assert_eq!(known(of(&after, "db")), ["db"]);
    let steps = plan(&after, &there, &UP)
        .expect("a plan")
        .steps()
        .map(|step| (step.resource.clone(), step.action))
        .collect::<Vec<_>>();
    assert_eq!(steps, [(network_id(), Action::Update), (id("api"), Action::Create)]);

    let mut changed = joined(&["api", "db"], &ActualState::default(), |_| {});
    let wish = |vm: &mut Vm| vm.hardware.machine = Some("pc".to_owned());
    let spec = edit(changed.specs[&id("db")].clone(), wish);
    changed.specs.insert(id("db"), spec);
    changed.join_by_wires(&there);
    assert_eq!(known(of(&changed, "db")), ["api", "db"], "it changes anyway");
}

#[test]
fn what_a_wire_cannot_do_is_refused_before_anything_is_done() {
    let wishes: [(&str, fn(&mut Network)); 2] = [
        ("mode: routed", |network| network.mode = NetworkMode::Routed),
        ("mtu", |network| network.settings.mtu = Some(1400)),
    ];
    for (key, wish) in wishes {
        let desired = joined(&["db"], &rootless(), wish);
        let words = refusal(&desired, &rootless(), UP);
        assert!(words.contains(&format!("network `net` asks for `{key}`")), "{words}");
    }
}

#[test]
fn a_seed_of_a_vm_on_wires_has_addresses_names_and_the_way_out() {
    use vmcompose::plan::operation::VmSeed;
    let desired = joined(&["api", "db"], &rootless(), |_| {});
    let mut vm = of(&desired, "db").clone();
    vm.cloud_init = Some(Box::new(CloudInit::default()));
    let Spec::Network(network) = &desired.specs[&network_id()] else { panic!("not a network") };
    let networks = std::collections::BTreeMap::from([(network.name.clone(), network.clone())]);
    let seed = VmSeed::of(&desired.project, &vm, &networks).expect("a seed");
    let made = vmcompose::seed::make(&seed.settings, &seed.machine);
    let text = |file: &str| String::from_utf8(made.files[file].clone()).expect("text");
    let config: serde_json::Value = serde_json::from_str(&text("network-config")).expect("json");
    assert_eq!(config["ethernets"]["nic0"]["addresses"], serde_json::json!(["10.0.0.9/24"]));
    assert_eq!(config["ethernets"]["nic0"]["routes"], serde_json::Value::Null);
    assert_eq!(config["ethernets"]["nic1"]["routes"][0]["via"], "192.0.2.2");
    assert_eq!(config["ethernets"]["nic1"]["nameservers"]["addresses"][0], "192.0.2.3");
    assert!(text("user-data").contains("10.0.0.9 api"), "{}", text("user-data"));
    // A name that comes later makes no other guest of it.
    let mut later = seed.clone();
    vm.hardware.uplink = Some(Uplink::default());
    later.machine.hosts.clear();
    let again = vmcompose::seed::make(&later.settings, &later.machine);
    assert_eq!(again.instance_id, made.instance_id);
}
