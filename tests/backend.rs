//! The libvirt backend on private worlds of libvirt's test driver: every operation and its undo, once and
//! twice, and what goes wrong. Whose is what is in `ownership.rs`, real guests are in `qemu.rs`.

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use support::{World, apply, attempt, observe, text, up};
use vmcompose::backend::libvirt::Libvirt;
use vmcompose::backend::{Attempt, ErrorKind, Health, Hypervisor};
use vmcompose::model::health::Http;
use vmcompose::model::{
    Bandwidth, Boot, Dhcp, Disk, Dns, ImageFormat, Network, NetworkMode, NetworkSettings, Probe, Route, Spec,
};
use vmcompose::names::{Generation, Pool, ResourceId};
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
fn pools_come_and_go_under_several_processes_and_none_of_them_notices() {
    if !support::qemu::enabled() {
        return;
    }
    let world = World::new();
    let keeper = Libvirt::connect(Some(support::desk::URI)).expect("the daemon runs");
    std::thread::scope(|scope| {
        for index in 0..4 {
            let image = world.image(&format!("i{index}"), ImageFormat::Raw, b"a disk that boots");
            scope.spawn(move || {
                // A connection and turns of its own, as another process has them.
                let libvirt = Libvirt::connect(Some(support::desk::URI)).expect("the daemon runs");
                let project = support::project(&format!("c{}-pools-{index}", std::process::id()));
                let all = [Operation::CreatePool(Pool::Images), Operation::UploadImage(image)];
                for _ in 0..25 {
                    for operation in &all {
                        apply(&libvirt, &project, operation);
                    }
                    for operation in all.iter().rev() {
                        apply(&libvirt, &project, &undo(operation));
                    }
                }
            });
        }
    });
    drop(keeper);
}

#[test]
fn networks_of_every_kind_are_made_and_seen_again() {
    let world = World::new();
    let (libvirt, shop) = (world.connect(), support::project("shop"));
    let network = |name: &str, mode, octet: u8, settings| Network {
        mode,
        settings: Box::new(settings),
        ..support::network(name, &format!("10.20.{octet}.0/24"), "db", &format!("10.20.{octet}.10"))
    };
    let full = NetworkSettings {
        subnet6: Some("fd00:20::/64".parse().expect("a subnet")),
        mtu: Some(1400),
        domain: Some("lab.example".to_owned()),
        dhcp: Dhcp { off: false, range: Some(([10, 20, 2, 100].into(), [10, 20, 2, 120].into())) },
        dns: Dns {
            forwarders: vec!["9.9.9.9".parse().expect("an address")],
            hosts: BTreeMap::from([("registry".to_owned(), "10.20.2.10".parse().expect("an address"))]),
        },
        routes: vec![Route {
            to: "10.30.0.0/16".parse().expect("a net"),
            via: "10.20.2.10".parse().expect("an address"),
        }],
        bandwidth: Bandwidth { inbound: Some(Bytes::mib(1)), outbound: None },
        ..NetworkSettings::default()
    };
    let joined =
        |device: &str, vlan| NetworkSettings { device: Some(device.to_owned()), vlan, ..NetworkSettings::default() };
    let off = NetworkSettings { dhcp: Dhcp { off: true, range: None }, ..NetworkSettings::default() };
    let all = [
        network("nat", NetworkMode::Nat, 1, off),
        network("routed", NetworkMode::Routed, 2, full),
        network("lan", NetworkMode::Bridge, 3, joined("br0", Some(7))),
        network("wan", NetworkMode::Direct, 4, joined("eth0", None)),
    ];
    for network in &all {
        apply(&libvirt, &shop, &Operation::DefineNetwork(network.clone()));
        apply(&libvirt, &shop, &Operation::StartNetwork(network.name.clone()));
    }
    let seen = observe(&libvirt, &shop);
    for network in all {
        let found = &seen.resources[&ResourceId::Network(network.name.clone())];
        assert_eq!((&found.recorded, found.phase), (&Spec::Network(network), Phase::Running));
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

#[test]
fn removing_what_is_not_there_must_be_harmless() {
    let world = World::new();
    let (libvirt, shop) = (world.connect(), support::project("shop"));
    for operation in everything(&world) {
        apply(&libvirt, &shop, &undo(&operation));
    }
    assert_eq!(text(&observe(&libvirt, &shop)), text(&ActualState::default()));
}

#[test]
fn of_two_contents_of_one_image_the_same_must_be_seen_every_time() {
    let world = World::new();
    let (libvirt, shop) = (world.connect(), support::project("shop"));
    for bytes in ["one", "two", "three"] {
        apply(&libvirt, &shop, &Operation::UploadImage(world.image("debian", ImageFormat::Raw, bytes.as_bytes())));
    }
    let first = text(&observe(&libvirt, &shop));
    for _ in 0..5 {
        assert_eq!(text(&observe(&libvirt, &shop)), first);
    }
}

#[test]
fn the_hypervisor_must_say_what_it_is() {
    let world = World::new();
    let libvirt = world.connect();
    assert_eq!(libvirt.uri(), world.uri);
    let versions = libvirt.versions().expect("versions");
    assert_eq!(versions.driver.to_lowercase(), "test");
    assert_eq!(versions.libvirt.split('.').count(), 3, "{versions:?}");
}

#[test]
fn a_pool_must_stay_while_anybody_has_something_in_it() {
    let world = World::new();
    let libvirt = world.connect();
    let (shop, other) = (support::project("shop"), support::project("other"));
    apply(&libvirt, &shop, &Operation::CreatePool(Pool::Disks));
    apply(&libvirt, &other, &Operation::CreateVolume(support::volume("data", Bytes::mib(1))));
    apply(&libvirt, &shop, &Operation::DeletePool(Pool::Disks));
    let seen = observe(&libvirt, &shop);
    assert_eq!(seen.resources.keys().collect::<Vec<_>>(), [&ResourceId::Pool(Pool::Disks)], "nothing of the other's");
    assert_eq!(observe(&libvirt, &other).resources.len(), 2);
}

#[test]
fn a_stopped_pool_must_not_look_like_an_empty_one() {
    let world = World::new();
    let (libvirt, shop) = (world.connect(), support::project("shop"));
    apply(&libvirt, &shop, &Operation::CreateVolume(support::volume("data", Bytes::mib(1))));
    let before = text(&observe(&libvirt, &shop));
    apply(&libvirt, &shop, &Operation::StopPool(Pool::Disks));
    let stopped = observe(&libvirt, &shop);
    assert_eq!(stopped.resources[&ResourceId::Pool(Pool::Disks)].phase, Phase::Stopped, "the plan starts it first");
    apply(&libvirt, &shop, &Operation::StartPool(Pool::Disks));
    assert_eq!(text(&observe(&libvirt, &shop)), before);
}

#[test]
fn a_disk_without_its_vm_must_be_seen() {
    let world = World::new();
    let (libvirt, shop) = (world.connect(), support::project("shop"));
    for operation in everything(&world) {
        apply(&libvirt, &shop, &operation);
    }
    assert!(observe(&libvirt, &shop).loose_disks.is_empty());
    let stray = VmDisk {
        vm: support::vm_name("db"),
        generation: Generation::FIRST,
        disk: "old".parse().expect("legal"),
        size: Some(Bytes::mib(1)),
        backing: None,
    };
    apply(&libvirt, &shop, &Operation::CreateDisk(stray.clone()));
    let loose: Vec<_> = observe(&libvirt, &shop).loose_disks.into_iter().collect();
    assert_eq!(loose, [(stray.vm.clone(), stray.disk.clone(), stray.generation)]);
    apply(&libvirt, &shop, &Operation::DeleteDisk(stray));
    assert!(observe(&libvirt, &shop).loose_disks.is_empty());
}

#[test]
fn any_text_must_survive_or_be_refused() {
    let world = World::new();
    let (libvirt, shop) = (world.connect(), support::project("shop"));
    let mut vm = up(&libvirt, &shop, &world, "db");
    let nasty = "<a b='c'>&amp;]]><!-- \"\\ \n\t\u{0}\u{1} ü 日本 {{ x }}";
    vm.labels.insert(nasty.to_owned(), nasty.to_owned());
    apply(&libvirt, &shop, &Operation::DefineVm(Box::new(vm.clone())));
    assert_eq!(observe(&libvirt, &shop).resources[&ResourceId::Vm(vm.name.clone())].recorded.as_vm(), Some(&vm));
    let Boot::Kernel { cmdline, .. } = &mut vm.boot else { panic!("it boots a kernel") };
    "quiet\0".clone_into(cmdline);
    let error = libvirt.apply(&shop, &Operation::DefineVm(Box::new(vm))).expect_err("XML has no NUL");
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::Rejected, "a value contains \\u{0}, which libvirt cannot take")
    );
}

#[test]
fn a_running_vm_must_be_stopped_before_it_is_undefined() {
    let world = World::new();
    let (libvirt, shop) = (world.connect(), support::project("shop"));
    let vm = up(&libvirt, &shop, &world, "db");
    let error = libvirt.apply(&shop, &Operation::UndefineVm(Box::new(vm.clone()))).expect_err("it runs");
    assert_eq!(error.message, "vm `db` runs; it has to be stopped first");
    let began = Instant::now();
    apply(&libvirt, &shop, &Operation::StopVm { name: vm.name, grace: Span::secs(30) });
    assert!(began.elapsed() < Duration::from_secs(5), "it does not wait out its grace");
}

/// Answers every connection with these bytes, once a request has come.
fn serve(answer: &'static str) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer.as_bytes());
            if answer.is_empty() {
                // Says nothing until the other side has given up and hangs up.
                let _ = stream.read(&mut [0; 1024]);
            }
        }
    });
    port
}

#[test]
fn probes_must_say_what_they_saw() {
    let world = World::new();
    let (libvirt, shop) = (world.connect(), support::project("shop"));
    let vm = up(&libvirt, &shop, &world, "db");
    let answer = |probe| libvirt.probe(&shop, &attempt("db", probe)).expect("it may yet pass");
    let http = |port, path: &str| answer(Probe::Http(Box::new(Http::get(None, port, path.to_owned()))));
    let failing = |words: &str| Health::Failing(words.to_owned());

    let ok = serve("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(answer(Probe::Tcp { host: None, port: ok }), Health::Passing);
    assert_eq!(answer(Probe::Tcp { host: Some("localhost".to_owned()), port: ok }), Health::Passing);
    assert_eq!(http(ok, "/healthz"), Health::Passing);
    assert_eq!(http(ok, "healthz?deep=1"), Health::Passing);
    let busy = serve("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(http(busy, "/"), failing("HTTP 503 Service Unavailable"));
    let moved = serve("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(http(moved, "/"), failing("HTTP 302 Found"));
    assert_eq!(http(serve(""), "/"), failing("no answer in time"));
    let Health::Failing(words) = http(serve("SSH-2.0-OpenSSH\r\n"), "/") else { panic!("that is no HTTP") };
    assert!(words.starts_with("no HTTP: "), "{words}");

    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr()).expect("a port").port();
    assert_eq!(answer(Probe::Tcp { host: None, port: closed }), failing("connection refused"));
    assert_eq!(http(closed, "/"), failing("connection refused"));
    let homeless = Attempt { address: None, ..attempt("db", Probe::Tcp { host: None, port: 1 }) };
    let said = libvirt.probe(&shop, &homeless).expect("it may yet pass");
    assert_eq!(said, failing("the vm has no address, and the probe names no host"));

    let agent = libvirt.probe(&shop, &attempt("db", Probe::Agent)).expect_err("the test driver has no agents");
    assert_eq!(agent.kind, ErrorKind::Unsupported);
    apply(&libvirt, &shop, &Operation::StopVm { name: vm.name, grace: Span::secs(0) });
    let off = libvirt.probe(&shop, &attempt("db", Probe::Tcp { host: None, port: ok })).expect_err("it is off");
    assert_eq!(
        (off.kind, off.message.as_str()),
        (ErrorKind::NotRunning, "vm `db` is shut off: somebody pulled the plug")
    );
    let gone = libvirt.probe(&shop, &attempt("nobody", Probe::Agent)).expect_err("it is not there");
    assert_eq!((gone.kind, gone.message.as_str()), (ErrorKind::NotRunning, "vm `nobody` does not exist any more"));
}

#[test]
fn no_hypervisor_must_be_a_clear_error() {
    let hint = |uri: &str| {
        let error = Libvirt::connect(Some(uri)).expect_err("nobody is there");
        assert_eq!(error.kind, ErrorKind::Unreachable, "{error:?}");
        assert!(error.message.starts_with(&format!("cannot connect to `{uri}`: ")), "{error}");
        error.hint.unwrap_or_default()
    };
    assert!(hint("qemu+unix:///system?socket=/nonexistent/libvirt-sock").contains("systemctl start libvirtd"));
    // A port that nobody listens on: whether a daemon runs *here* does not matter then.
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr()).expect("a port").port();
    assert!(hint(&format!("qemu+tcp://127.0.0.1:{closed}/system")).contains("check the host's name"));
    assert!(hint("nonsense:///system").contains("qemu:///system"));
    assert_eq!(Libvirt::connect(Some("test:///\0")).expect_err("a NUL").kind, ErrorKind::Unreachable);
}

#[test]
fn many_at_once_must_all_be_served() {
    let world = World::new();
    let (libvirt, shop) = (world.connect(), support::project("shop"));
    let first = up(&libvirt, &shop, &world, "vm-0");
    std::thread::scope(|scope| {
        for n in 1..100 {
            let (libvirt, shop, mut vm) = (&libvirt, &shop, first.clone());
            scope.spawn(move || {
                vm.name = support::vm_name(&format!("vm-{n}"));
                apply(libvirt, shop, &Operation::DefineVm(Box::new(vm.clone())));
                apply(libvirt, shop, &Operation::StartVm(vm.name));
            });
        }
    });
    let state = observe(&libvirt, &shop);
    let running = state.resources.iter().filter(|(id, actual)| id.kind() == "vm" && actual.phase == Phase::Running);
    assert_eq!(running.count(), 100);
}
