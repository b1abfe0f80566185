//! Changes of vms that are there: the table of effects against the planner, and what is done in which order.

use std::collections::BTreeSet;

use vmcompose::model::hardware::{
    Cpu, CpuMode, Firmware, Graphics, GraphicsProtocol, Hardware, HostDevice, Hugepages, Restart, Uplink, Watchdog,
};
use vmcompose::model::{
    Accel, Boot, CloudInit, Condition, Disk, Interface, Login, Mac, Port, Provisioned, Share, Spec, Vm,
};
use vmcompose::names::VmName;
use vmcompose::plan::effects::{Class, TABLE};
use vmcompose::plan::{Action, Cause, Effect, Step, plan};
use vmcompose::state::seen::{Foreign, Seen, Shape};
use vmcompose::state::{ActualState, Offer, Phase};
use vmcompose::units::{Bytes, Span};

use super::specs::{UP, applied, desired, edit, id, lines, name, refusal, vm};

/// A vm with something in every field.
fn full() -> Vm {
    let Spec::Vm(mut full) = vm("db", &[("other", Condition::Started)]) else { panic!("a vm") };
    full.replica_of = Some(name::<VmName>("dbs"));
    full.disk = Some(Bytes::gib(1));
    full.disks = vec![Disk::Own { name: name("scratch"), size: Bytes::gib(1) }];
    full.cloud_init = Some(Box::default());
    full.ssh = Some(Box::default());
    full.ports = vec![Port { address: None, host: 8080, guest: 80, udp: false }];
    full.shares = vec![Share { source: "/a".to_owned(), target: "/b".to_owned(), read_only: false }];
    full.ignition = Some("{}".into());
    full.provision = vec![done("a")];
    full.labels.insert("a".to_owned(), "b".to_owned());
    full.annotations.insert("a".to_owned(), "b".to_owned());
    full.hardware = Hardware {
        cpu: Some(Cpu { mode: Some(CpuMode::Maximum), ..Cpu::default() }),
        max_cpus: Some(4),
        max_memory: Some(Bytes::gib(1)),
        hugepages: Some(Hugepages::Default),
        machine: Some("q35".to_owned()),
        firmware: Some(Firmware::Uefi),
        secure_boot: true,
        tpm: true,
        graphics: Some(Graphics { protocol: GraphicsProtocol::Vnc, listen: "127.0.0.1".to_owned(), port: None }),
        watchdog: Some(Watchdog::Reset),
        devices: vec![HostDevice::Usb { vendor: 1, product: 2 }],
        restart: Restart::Always,
        limits: vmcompose::model::hardware::Limits { cpu_shares: Some(5), ..Default::default() },
        uplink: Some(Uplink::default()),
        xml: Some("<a/>".to_owned()),
    };
    *full
}

/// The same vm with another value in one field.
fn changed(field: &str) -> Vm {
    let mut vm = full();
    let hardware = &mut vm.hardware;
    match field {
        "accel" => vm.accel = Accel::Auto,
        "annotations" => vm.annotations.clear(),
        "autostart" => vm.autostart = true,
        "boot" => *vm.boot.images_mut().next().expect("an image") = other_image(),
        "cloud_init" => {
            vm.cloud_init = Some(Box::new(CloudInit { timezone: Some("UTC".to_owned()), ..CloudInit::default() }));
        }
        "cpu" => hardware.cpu = None,
        "cpus" => vm.cpus = 2,
        "depends_on" => vm.depends_on.clear(),
        "devices" => hardware.devices.clear(),
        "disk" => vm.disk = Some(Bytes::gib(2)),
        "disks" => vm.disks.push(Disk::Own { name: name("more"), size: Bytes::gib(1) }),
        "firmware" => hardware.firmware = None,
        "graphics" => hardware.graphics = None,
        "healthcheck" => vm.healthcheck = None,
        "hostname" => "other".clone_into(&mut vm.hostname),
        "hugepages" => hardware.hugepages = None,
        "ignition" => vm.ignition = Some("{1}".into()),
        "interfaces" => vm.interfaces.push(another_interface()),
        "labels" => vm.labels.clear(),
        "limits" => hardware.limits.cpu_shares = Some(6),
        "machine" => hardware.machine = None,
        "max_cpus" => hardware.max_cpus = Some(8),
        "max_memory" => hardware.max_memory = Some(Bytes::gib(2)),
        "memory" => vm.memory = Bytes::mib(256),
        "ports" => vm.ports[0].host = 8081,
        "protect" => vm.protect = true,
        "provision" => vm.provision = vec![done("b")],
        "replica_of" => vm.replica_of = None,
        "restart" => hardware.restart = Restart::No,
        "secure_boot" => hardware.secure_boot = false,
        "shares" => vm.shares[0].read_only = true,
        "ssh" => vm.ssh = Some(Box::new(Login { user: Some("ada".to_owned()), port: None })),
        "stop_grace_period" => vm.stop_grace_period = Span::secs(1),
        "tpm" => hardware.tpm = false,
        "uplink" => hardware.uplink = Some(Uplink { outside: true, ..Uplink::default() }),
        "watchdog" => hardware.watchdog = None,
        "xml" => hardware.xml = None,
        other => panic!("the table has `{other}`, which no vm has"),
    }
    vm
}

fn done(task: &str) -> Provisioned {
    let digest = vmcompose::model::Digest::new("0123456789ab").expect("a digest");
    Provisioned { task: task.to_owned(), digest }
}

fn other_image() -> vmcompose::model::ImageRef {
    let Spec::Vm(vm) = vm("x", &[]) else { panic!("a vm") };
    let Boot::Image(mut image) = vm.boot else { panic!("an image") };
    image.digest = vmcompose::model::Digest::new("ba9876543210");
    image
}

fn another_interface() -> Interface {
    let mac = Mac([0x52, 0x54, 0, 0, 0, 7]);
    let ip = std::net::Ipv4Addr::new(10, 0, 0, 7);
    Interface { network: name("net"), mac, ip, ip6: None, default_route: false, mtu: None, wire: None }
}

/// What is there after these were applied, as a hypervisor shows it.
fn running(vms: &[Vm]) -> ActualState {
    let specs: Vec<Spec> = vms.iter().map(|vm| Spec::Vm(Box::new(vm.clone()))).collect();
    let mut actual = applied(&desired(&specs));
    for vm in vms {
        let found = actual.resources.get_mut(&id(vm.name.as_str())).expect("there");
        found.seen = Some(Box::new(seen(vm)));
    }
    actual
}

fn seen(vm: &Vm) -> Seen {
    Seen {
        persistent: true,
        autostart: vm.autostart,
        defined: Shape::of(vm),
        running: Some(Shape::of(vm)),
        snapshots: Vec::new(),
        other_snapshots: Vec::new(),
    }
}

fn other() -> Vm {
    let Spec::Vm(vm) = vm("other", &[]) else { panic!("a vm") };
    *vm
}

fn step(from: &Vm, to: &Vm) -> Step {
    step_on(&running(&[from.clone(), other()]), to)
}

fn step_on(actual: &ActualState, to: &Vm) -> Step {
    let wanted = desired(&[Spec::Vm(Box::new(to.clone())), Spec::Vm(Box::new(other()))]);
    let plan = plan(&wanted, actual, &UP).expect("a plan");
    plan.steps().find(|step| step.resource == id("db")).expect("a step").clone()
}

fn operations(step: &Step) -> Vec<String> {
    step.operations
        .iter()
        .map(|operation| operation.to_string().replace(" of vm `db`", "").replace(" vm `db`", ""))
        .collect()
}

#[test]
fn the_table_has_every_field_of_a_vm_and_the_planner_holds_to_it() {
    let fields = serde_json::to_value(full()).expect("JSON");
    let fields: BTreeSet<&str> = fields.as_object().expect("fields").keys().map(String::as_str).collect();
    let listed: BTreeSet<&str> = TABLE.iter().map(|(field, ..)| *field).chain(["name"]).collect();
    assert_eq!(listed, fields);
    for (field, class, _) in TABLE {
        let (from, to) = (full(), changed(field));
        if class == Class::Impossible {
            let wanted = desired(&[Spec::Vm(Box::new(to)), Spec::Vm(Box::new(other()))]);
            let words = refusal(&wanted, &running(&[from, other()]), &UP);
            assert!(words.contains("cannot be changed in place"), "{field}: {words}");
            continue;
        }
        let step = step(&from, &to);
        assert_eq!((&step.cause, step.changes[0].top()), (&Cause::Changed, field));
        let (action, effect) = match class {
            Class::Recorded | Class::Live => (Action::Update, Effect::Live),
            Class::Interruption | Class::Reboot => (Action::Restart, Effect::Reboot),
            Class::Replace | Class::Impossible => (Action::Replace, Effect::Replace),
        };
        assert_eq!((step.action, step.effect), (action, Some(effect)), "{field}");
        for operation in &step.operations {
            let back = operation.undo().and_then(|undo| undo.undo());
            assert!(back.is_none_or(|back| back.to_string() == operation.to_string()), "{field}: {operation}");
        }
    }
}

#[test]
fn memory_and_cpus_change_live_only_within_what_the_vm_was_started_with() {
    let live = step(&full(), &changed("memory"));
    assert_eq!(operations(&live), ["set the memory to 256MiB", "redefine"]);
    let mut more = full();
    more.memory = Bytes::gib(2);
    more.hardware.max_memory = Some(Bytes::gib(2));
    assert_eq!(operations(&step(&full(), &more)), ["stop", "redefine", "start"]);
    let mut fewer = full();
    fewer.cpus = 2;
    let mut one = fewer.clone();
    one.cpus = 1;
    assert_eq!(operations(&step(&full(), &fewer)), ["set the cpus to 2", "redefine"]);
    assert_eq!(operations(&step(&fewer, &one)), ["stop", "redefine", "start"]);
}

#[test]
fn a_vm_that_is_off_is_only_redefined_before_it_starts() {
    let from = full();
    let mut actual = running(&[from.clone(), other()]);
    let found = actual.resources.get_mut(&id("db")).expect("there");
    found.phase = Phase::Stopped;
    found.seen.as_mut().expect("seen").running = None;
    for field in ["machine", "limits", "memory"] {
        assert_eq!(operations(&step_on(&actual, &changed(field))), ["redefine", "start"], "{field}");
    }
}

#[test]
fn disks_of_its_own_are_made_before_and_go_last() {
    let added = step(&full(), &changed("disks"));
    assert_eq!(operations(&added), ["create disk `more`", "attach disk `more` to", "redefine"]);
    let mut without = full();
    without.disks.clear();
    let removed = step(&full(), &without);
    assert_eq!(operations(&removed), ["detach disk `scratch` from", "redefine"]);
    assert_eq!(removed.effect, Some(Effect::Live));
}

#[test]
fn a_guest_that_runs_sees_another_order_after_a_reboot() {
    let disk = |disk: &str| Disk::Own { name: name(disk), size: Bytes::mib(1) };
    let disks = |names: &[&str]| {
        let mut vm = full();
        vm.disks = names.iter().map(|name| disk(name)).collect();
        vm
    };
    let turned = step(&disks(&["a", "b"]), &disks(&["b", "a"]));
    assert_eq!((turned.action, turned.effect), (Action::Restart, Some(Effect::Reboot)));
    assert_eq!(operations(&turned), ["stop", "redefine", "start"]);
    // One more before the others turns nothing round, even where it is called so.
    assert_eq!(step(&disks(&["a", "b"]), &disks(&["order", "a", "b"])).effect, Some(Effect::Live));
    let nics = |last: &[u8]| {
        let mut vm = full();
        let nic = |last: &u8| Interface {
            network: name(&format!("net{last}")),
            mac: Mac([0x52, 0x54, 0, 0, 0, *last]),
            ..another_interface()
        };
        vm.interfaces = last.iter().map(nic).collect();
        vm
    };
    let turned = step(&nics(&[1, 2]), &nics(&[2, 1]));
    assert_eq!((turned.changes[0].field.as_str(), turned.effect), ("interfaces.order", Some(Effect::Reboot)));
}

#[test]
fn what_somebody_else_did_is_named_and_put_back() {
    let from = full();
    let drifted = |change: &dyn Fn(&mut Seen)| {
        let mut actual = running(&[from.clone(), other()]);
        change(actual.resources.get_mut(&id("db")).expect("there").seen.as_mut().expect("seen"));
        let step = step_on(&actual, &from);
        assert_eq!(step.cause, Cause::Drifted);
        assert!(step.changes.iter().all(|change| change.drift), "{:?}", step.changes);
        let change = &step.changes[0];
        (change.field.clone(), change.old.clone(), change.new.clone(), operations(&step))
    };
    let text = |text: &str| Some(text.to_owned());
    let shape = |seen: &mut Seen, change: &dyn Fn(&mut Shape)| change(seen.running.as_mut().expect("it runs"));
    assert_eq!(
        drifted(&|seen| shape(seen, &|shape| shape.memory = Bytes::mib(64))),
        (
            "memory".to_owned(),
            text("64MiB"),
            text("128MiB"),
            vec!["set the memory to 128MiB".to_owned(), "redefine".to_owned()]
        )
    );
    assert_eq!(drifted(&|seen| seen.autostart = true).3, ["redefine"]);
    assert_eq!(drifted(&|seen| seen.defined.cpus = 3).3, ["redefine"]);
    assert_eq!(drifted(&|seen| shape(seen, &|shape| shape.cpus = 3)).3, ["stop", "redefine", "start"]);
    assert_eq!(drifted(&|seen| shape(seen, &|shape| shape.limits.cpu_shares = None)).3, ["set the limits", "redefine"]);
    assert_eq!(
        drifted(&|seen| shape(seen, &|shape| shape.disks.clear())),
        (
            "disks.scratch".to_owned(),
            None,
            text("attached"),
            vec!["attach disk `scratch` to".to_owned(), "redefine".to_owned()]
        )
    );
    let foreign = Foreign { name: "disk `/tmp/x`".to_owned(), description: "<disk/>".to_owned() };
    assert_eq!(
        drifted(&|seen| shape(seen, &|shape| shape.foreign.push(foreign.clone()))).3,
        ["detach disk `/tmp/x` from", "redefine"]
    );
    assert_eq!(
        drifted(&|seen| shape(seen, &|shape| shape.interfaces.clear())).3[0],
        "attach the interface on network `net` to"
    );
}

#[test]
fn a_guest_that_keeps_its_memory_is_not_asked_for_ever() {
    let mut less = full();
    less.memory = Bytes::mib(64);
    let mut actual = running(&[less.clone(), other()]);
    let seen = actual.resources.get_mut(&id("db")).expect("there").seen.as_mut().expect("seen");
    seen.running.as_mut().expect("it runs").memory = Bytes::mib(128);
    let wanted = desired(&[Spec::Vm(Box::new(less)), Spec::Vm(Box::new(other()))]);
    assert!(plan(&wanted, &actual, &UP).expect("a plan").is_empty());
}

#[test]
fn a_protected_vm_is_not_replaced_but_changed_otherwise() {
    let mut from = full();
    from.protect = true;
    let actual = running(&[from.clone(), other()]);
    let wanted = |field: &str| {
        let to = Vm { protect: true, ..changed(field) };
        desired(&[Spec::Vm(Box::new(to)), Spec::Vm(Box::new(other()))])
    };
    assert_eq!(refusal(&wanted("boot"), &actual, &UP), "vm `db` is protected and would be replaced");
    assert!(!plan(&wanted("machine"), &actual, &UP).expect("a plan").is_empty());
}

#[test]
fn who_says_restart_goes_along_and_who_does_not_stays() {
    let follower = |called: &str, on: &str, restart: bool| {
        edit(vm(called, &[(on, Condition::Healthy)]), |vm| {
            vm.depends_on.values_mut().for_each(|on| on.restart = restart);
        })
    };
    let others = [follower("api", "db", true), follower("web", "api", true), follower("log", "db", false)];
    let before: Vec<Spec> = std::iter::once(vm("db", &[])).chain(others.clone()).collect();
    let changed = edit(vm("db", &[]), |vm| vm.hardware.machine = Some("pc".to_owned()));
    let after: Vec<Spec> = std::iter::once(changed).chain(others).collect();
    let plan = plan(&desired(&after), &applied(&desired(&before)), &UP).expect("a plan");
    assert_eq!(lines(&plan), ["1 ↻ db <- ", "2 ↻ api <- db!", "3 ↻ web <- api!"]);
}

#[test]
fn what_the_hypervisor_does_not_offer_is_refused_where_it_would_be_made_and_nowhere_else() {
    let offer = Offer {
        machines: ["pc".to_owned(), "q35".to_owned()].into(),
        max_cpus: Some(3),
        cpu_modes: ["maximum".to_owned()].into(),
        limits: true,
        ..Offer::default()
    };
    let wanted = desired(&[Spec::Vm(Box::new(full())), Spec::Vm(Box::new(other()))]);
    let here = ActualState { offer: Some(Box::new(offer.clone())), ..ActualState::default() };
    let lacks = refusal(&wanted, &here, &UP)
        .replace("vm `db` asks for ", "")
        .replace(", which this hypervisor does not offer", "");
    assert_eq!(
        lacks.lines().collect::<Vec<_>>(),
        ["4 cpus", "`firmware: uefi`", "`tpm`", "`graphics: vnc`", "usb devices of the host", "`hugepages`"]
    );
    let there = ActualState { offer: Some(Box::new(offer)), ..running(&[full(), other()]) };
    assert!(plan(&wanted, &there, &UP).expect("a plan").is_empty());
}
