//! Changes of networks that are there: what they cost those on them, and what somebody else did to them.

use std::collections::BTreeSet;

use vmcompose::model::{Dhcp, Interface, Mac, Network, NetworkMode, Spec};
use vmcompose::names::ResourceId;
use vmcompose::plan::effects::NETWORK_TABLE;
use vmcompose::plan::{Action, Cause, Effect, Plan, Step, plan};
use vmcompose::state::network::Found;
use vmcompose::state::seen::{Seen, Shape};
use vmcompose::state::{ActualState, DesiredState, Phase, SeenNetwork};

use super::specs::{UP, applied, desired, edit, id, name, network, refusal, vm};

fn lan() -> ResourceId {
    ResourceId::Network(name("net"))
}

fn net(change: impl FnOnce(&mut Network)) -> Network {
    let Spec::Network(mut net) = network() else { panic!("a network") };
    change(&mut net);
    net
}

/// A vm on this network that is told of it, or is not.
fn on(net: &Network, told: bool, change: impl FnOnce(&mut Interface)) -> DesiredState {
    let db = edit(vm("db", &[]), |vm| {
        vm.cloud_init = told.then(Box::default);
        change(&mut vm.interfaces[0]);
    });
    let mut desired = desired(&[db]);
    desired.specs.insert(lan(), Spec::Network(net.clone()));
    desired
}

/// What there is after that was applied, as a hypervisor shows it.
fn shown(desired: &DesiredState) -> ActualState {
    let mut actual = applied(desired);
    for found in actual.resources.values_mut() {
        if let Spec::Vm(vm) = &found.recorded {
            found.seen = Some(Box::new(Seen {
                persistent: true,
                autostart: false,
                defined: Shape::of(vm),
                running: Some(Shape::of(vm)),
                snapshots: Vec::new(),
                other_snapshots: Vec::new(),
            }));
        }
        if let Spec::Network(network) = &found.recorded {
            actual.networks.insert(network.name.clone(), SeenNetwork::of(network));
        }
    }
    actual
}

fn step(plan: &Plan, id: &ResourceId) -> Option<Step> {
    plan.steps().find(|step| step.resource == *id).cloned()
}

fn words(step: &Step) -> Vec<String> {
    step.operations.iter().map(ToString::to_string).collect()
}

const UNPLUG: &str = "unplug vm `db` from network `net`";
const PLUG: &str = "plug vm `db` into network `net`";

#[test]
fn the_table_has_every_field_of_a_network() {
    let full = net(|net| {
        let settings = &mut net.settings;
        settings.device = Some("br0".to_owned());
        settings.gateway = Some(net.subnet.addr());
        settings.subnet6 = Some("fd00::/64".parse().expect("a subnet"));
        (settings.mtu, settings.vlan, settings.domain) = (Some(1400), Some(7), Some("a.b".to_owned()));
        settings.dhcp.off = true;
        settings.dns.forwarders.push(net.subnet.addr().into());
        let to = "10.0.0.0/8".parse().expect("a net");
        settings.routes.push(vmcompose::model::Route { to, via: net.subnet.addr().into() });
        settings.bandwidth.inbound = Some(vmcompose::units::Bytes::mib(1));
        net.labels.insert("a".to_owned(), "b".to_owned());
    });
    let fields = serde_json::to_value(full).expect("JSON");
    let fields: BTreeSet<&str> = fields.as_object().expect("fields").keys().map(String::as_str).collect();
    let listed: BTreeSet<&str> = NETWORK_TABLE.iter().map(|(field, ..)| *field).chain(["name"]).collect();
    assert_eq!(listed, fields);
}

#[test]
fn who_is_on_a_network_that_starts_anew_is_unplugged_before_and_plugged_in_after() {
    let before = shown(&on(&net(|_| ()), false, |_| ()));
    let after = on(&net(|net| net.settings.domain = Some("lab.test".to_owned())), false, |_| ());
    let plan = plan(&after, &before, &UP).expect("a plan");
    let step = step(&plan, &lan()).expect("a step");
    assert_eq!((step.action, step.effect), (Action::Restart, Some(Effect::Interruption)));
    let all = [UNPLUG, "stop network `net`", "update network `net`", "start network `net`", PLUG];
    assert_eq!(words(&step), all);
    let back: Vec<String> =
        step.operations.iter().rev().map(|operation| operation.undo().expect("an undo").to_string()).collect();
    assert_eq!(back, all);
    // Its health is looked at once more, and it runs on.
    assert_eq!(super::specs::lines(&plan), ["1 ↻ net <- ", "2 = db <- net"]);
}

#[test]
fn who_ran_on_without_its_network_is_plugged_in_again() {
    let desired = on(&net(|_| ()), false, |_| ());
    let mut stopped = shown(&desired);
    stopped.resources.get_mut(&lan()).expect("there").phase = Phase::Stopped;
    stopped.networks.get_mut(&name("net")).expect("there").running = None;
    let mut removed = shown(&desired);
    removed.resources.remove(&lan());
    removed.networks.clear();
    for (actual, first) in [(stopped, &[][..]), (removed, &["define network `net`"])] {
        let plan = plan(&desired, &actual, &UP).expect("a plan");
        let step = step(&plan, &lan()).expect("a step");
        assert_eq!(words(&step), [first, &["start network `net`", PLUG]].concat());
    }
    // One that somebody started again has nobody on it, and that is the vm's own to put right.
    let mut cut = shown(&desired);
    let shape = cut.resources.get_mut(&id("db")).expect("there").seen.as_mut().expect("seen").running.as_mut();
    shape.expect("it runs").astray.insert(Mac([0x52, 0x54, 0, 0, 0, 1]), "cut off".to_owned());
    let plan = plan(&desired, &cut, &UP).expect("a plan");
    let step = step(&plan, &id("db")).expect("a step");
    assert_eq!((step.cause.clone(), step.effect), (Cause::Drifted, Some(Effect::Live)));
    let change = &step.changes[0];
    let told = (change.field.as_str(), change.old.as_deref(), change.new.as_deref());
    assert_eq!(told, ("interfaces.52:54:00:00:00:01", Some("cut off"), Some("plugged in")));
    assert_eq!(words(&step), [PLUG, "redefine vm `db`"]);
}

#[test]
fn what_somebody_did_to_a_network_is_named_and_costs_the_least() {
    let desired = on(&net(|_| ()), false, |_| ());
    let drifted = |change: &dyn Fn(&mut SeenNetwork)| {
        let mut actual = shown(&desired);
        change(actual.networks.get_mut(&name("net")).expect("there"));
        let step = step(&plan(&desired, &actual, &UP).expect("a plan"), &lan()).expect("a step");
        assert_eq!(step.cause, Cause::Drifted);
        let change = &step.changes[0];
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        (format!("{} {} → {}", change.field, text(&change.old), text(&change.new)), step.effect, step.operations.len())
    };
    let isolate = |found: &mut Found| found.network.mode = NetworkMode::Isolated;
    let told = |text: &str| text.to_owned();
    let (live, cut) = (Some(Effect::Live), Some(Effect::Interruption));
    assert_eq!(drifted(&|seen| seen.autostart = false), (told("autostart no → yes"), live, 1));
    assert_eq!(drifted(&|seen| seen.persistent = false), (told("defined no → yes"), live, 1));
    // Only its next start would be another one.
    assert_eq!(drifted(&|seen| isolate(&mut seen.defined)), (told("mode isolated → nat"), live, 1));
    assert_eq!(drifted(&|seen| isolate(seen.running.as_mut().expect("up"))), (told("mode isolated → nat"), cut, 5));
    let other = |seen: &mut SeenNetwork, field: &str| {
        let odd = (field.to_owned(), Some("10.0.0.77".to_owned()), None);
        seen.running.as_mut().expect("up").odd.push(odd);
    };
    assert_eq!(drifted(&|seen| other(seen, "hosts.52:54:00:00:00:77")).1, live);
    assert_eq!(drifted(&|seen| other(seen, "subnet")).1, cut);
}

#[test]
fn a_guest_that_was_told_its_address_is_made_anew_where_that_is_another() {
    let off = |net: &mut Network| net.settings.dhcp = Dhcp { off: true, range: None };
    let action = |told: bool, from: fn(&mut Interface), to: fn(&mut Interface), dhcp: (bool, bool)| {
        let with = |without: bool| {
            net(|net| {
                if without {
                    off(net);
                }
            })
        };
        let before = shown(&on(&with(dhcp.0), told, from));
        let plan = plan(&on(&with(dhcp.1), told, to), &before, &UP).expect("a plan");
        step(&plan, &id("db")).map(|step| step.action)
    };
    let same: fn(&mut Interface) = |_| ();
    let moved: fn(&mut Interface) = |nic| nic.ip = "10.0.0.33".parse().expect("an address");
    let renumbered: fn(&mut Interface) = |nic| {
        nic.ip = "10.0.0.33".parse().expect("an address");
        nic.mac = Mac([0x52, 0x54, 0, 0, 0, 33]);
    };
    let (with, without, lost) = ((false, false), (true, true), (false, true));
    assert_eq!(action(true, same, moved, with), Some(Action::Restart));
    assert_eq!(action(true, same, moved, without), Some(Action::Replace));
    assert_eq!(action(true, same, renumbered, without), Some(Action::Replace));
    assert_eq!(action(false, same, moved, without), Some(Action::Restart));
    assert_eq!(action(true, same, same, lost), Some(Action::Replace));
    // Without a seed nobody told it, and nobody will.
    assert_eq!(action(false, same, same, lost), Some(Action::Verify));
    assert_eq!(action(true, same, same, (true, false)), Some(Action::Verify));
}

#[test]
fn an_interface_that_is_shared_with_the_host_is_moved_by_a_restart_of_its_vm() {
    let direct = |device: &str| {
        net(|net| {
            net.mode = NetworkMode::Direct;
            net.settings.device = Some(device.to_owned());
        })
    };
    let before = shown(&on(&direct("eth0"), false, |_| ()));
    let plan = plan(&on(&direct("eth1"), false, |_| ()), &before, &UP).expect("a plan");
    let network = step(&plan, &lan()).expect("a step");
    assert_eq!(words(&network), ["stop network `net`", "update network `net`", "start network `net`"]);
    let db = step(&plan, &id("db")).expect("a step");
    assert_eq!((db.action, &db.cause), (Action::Restart, &Cause::Along { with: lan() }));
}

#[test]
fn a_network_does_not_move_where_somebody_is() {
    let mut before = shown(&on(&net(|_| ()), false, |_| ()));
    before.surroundings.subnets.push(("10.1.0.0/16".parse().expect("a subnet"), "interface `eth0`".to_owned()));
    let moved = net(|net| net.subnet = "10.1.2.0/24".parse().expect("a subnet"));
    let words = refusal(&on(&moved, false, |_| ()), &before, &UP);
    assert!(words.contains("cannot have subnet 10.1.2.0/24") && words.contains("interface `eth0`"), "{words}");
}
