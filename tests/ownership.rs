//! Whose is what: the backend beside objects of strangers, of other projects and of other versions, on private worlds of
//! libvirt's test driver.

mod support;

use support::{World, apply, attempt, observe, refused, text, up};
use vmcompose::backend::{ErrorKind, Health, Hypervisor};
use vmcompose::model::{Boot, ImageFormat, Port, Probe, Spec, Vm};
use vmcompose::names::{Pool, ResourceId};
use vmcompose::plan::Operation;
use vmcompose::state::Phase;
use vmcompose::state::record::Record;
use vmcompose::units::{Bytes, Span};

const STRANGERS: &str = "
    <domain type='test'><name>shop-db</name><memory>1024</memory><os><type>hvm</type></os></domain>
    <domain type='test'><name>shop-Not_A_Name</name><memory>1024</memory><os><type>hvm</type></os></domain>
    <network><name>shop-back</name><bridge name='virbr7'/><ip address='10.20.0.1' prefix='16'/></network>
    <network><name>default</name><ip address='192.168.122.1' netmask='255.255.255.0'/></network>
    <pool type='logical'><name>vmcompose-disks</name><target><path>/dev/other</path></target>
      <volume><name>shop.pgdata.qcow2</name><capacity>1024</capacity><target><path>/dev/other/x</path></target></volume>
    </pool>";

#[test]
fn a_port_of_another_projects_vm_is_taken_whether_that_runs_or_not() {
    let world = World::new();
    let (libvirt, shop, lab) = (world.connect(), support::project("shop"), support::project("lab"));
    let plain = up(&libvirt, &lab, &world, "web");
    let port = Port { address: None, host: 8080, guest: 80, udp: false };
    let to = Vm { ports: vec![port], ..plain.clone() };
    apply(&libvirt, &lab, &Operation::RedefineVm { from: Box::new(plain.clone()), to: Box::new(to) });
    let taken = || observe(&libvirt, &shop).surroundings.ports;
    let expected = [(port, "vm `web` of project `lab`".to_owned())];
    apply(&libvirt, &lab, &Operation::StopVm { name: plain.name.clone(), grace: Span::secs(0) });
    assert_eq!(taken(), expected, "it could not be started any more");
    apply(&libvirt, &lab, &Operation::StartVm(plain.name.clone()));
    assert_eq!(taken(), expected);
    assert_eq!(observe(&libvirt, &lab).surroundings.ports, []);
}

#[test]
fn what_is_not_ours_must_be_reported_and_left_alone() {
    let world = World::holding(STRANGERS);
    let (libvirt, shop) = (world.connect(), support::project("shop"));
    let before = observe(&libvirt, &shop);
    let foreign: Vec<String> = before.foreign.iter().map(|(id, words)| format!("{id}: {words}")).collect();
    assert_eq!(
        foreign,
        [
            "pool `disks`: a pool `vmcompose-disks` of type `logical` that vmcompose did not make",
            "network `back`: a network `shop-back` that vmcompose did not make",
            "vm `db`: a domain `shop-db` that vmcompose did not make",
        ]
    );
    let around: Vec<String> = before.surroundings.subnets.iter().map(|(net, words)| format!("{net} {words}")).collect();
    assert_eq!(around, ["10.20.0.0/16 network `shop-back`", "192.168.122.0/24 network `default`"]);
    assert!(before.resources.is_empty());

    let db = support::vm("db", Boot::Image(support::seen(&world.image("x", ImageFormat::Raw, b"x"))));
    let back = support::network("back", "10.20.1.0/24", "db", "10.20.1.10");
    let now = Span::secs(0);
    for operation in [
        Operation::DefineVm(Box::new(db.clone())),
        Operation::UndefineVm(Box::new(db.clone())),
        Operation::StartVm(db.name.clone()),
        Operation::StopVm { name: db.name.clone(), grace: now },
        Operation::DefineNetwork(back.clone()),
        Operation::UndefineNetwork(back.clone()),
        Operation::StartNetwork(back.name.clone()),
        Operation::StopNetwork(back.name.clone()),
        Operation::CreatePool(Pool::Disks),
        Operation::DeletePool(Pool::Disks),
        Operation::StopPool(Pool::Disks),
        Operation::StartPool(Pool::Disks),
        Operation::CreateVolume(support::volume("pgdata", Bytes::gib(1))),
    ] {
        let error = refused(&libvirt, &shop, &operation);
        assert_eq!(error.kind, ErrorKind::Conflict, "{operation}: {error}");
        assert!(error.message.contains("is in conflict with a "), "{error}");
    }
    // In a pool that is not ours, nothing is.
    apply(&libvirt, &shop, &Operation::DeleteVolume(support::volume("pgdata", Bytes::gib(1))));
    let probe = libvirt.probe(&shop, &attempt("db", Probe::Agent)).expect_err("not ours to look into");
    assert_eq!(probe.kind, ErrorKind::Conflict);
    assert_eq!(text(&observe(&libvirt, &shop)), text(&before));
}

#[test]
fn two_projects_must_not_share_a_domain() {
    let world = World::new();
    let libvirt = world.connect();
    let (short, long) = (support::project("a"), support::project("a-b"));
    let vm = up(&libvirt, &long, &world, "c");
    let mut clash = vm.clone();
    clash.name = support::vm_name("b-c");
    let error = refused(&libvirt, &short, &Operation::StopVm { name: clash.name.clone(), grace: Span::secs(0) });
    assert_eq!(error.message, "vm `b-c` is in conflict with a domain `a-b-c` that project `a-b` owns");
    assert_eq!(
        observe(&libvirt, &short).foreign[&ResourceId::Vm(clash.name)],
        "a domain `a-b-c` that project `a-b` owns"
    );
    assert_eq!(observe(&libvirt, &long).resources[&ResourceId::Vm(vm.name)].phase, Phase::Running);
}

/// A domain `shop-db` of the test driver's that carries this as its metadata.
fn with_record(project: &str, record: &str) -> String {
    in_state("shop-db", 5, project, record)
}

/// The same by another name and in a state of libvirt's numbering.
fn in_state(name: &str, state: u8, project: &str, record: &str) -> String {
    let record = record.replace('<', "&lt;");
    format!(
        "<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'><name>{name}</name>
         <memory>1024</memory><os><type>hvm</type></os><test:runstate>{state}</test:runstate><metadata>
         <v:resource xmlns:v='https://vmcompose.dev/xmlns/libvirt/1' project='{project}'>{record}</v:resource>
         </metadata></domain>"
    )
}

/// The record of a vm of the project `shop`.
fn record_of(name: &str) -> (Vm, String) {
    let kernel = vmcompose::model::ImageRef::unseen("vmlinuz".parse().expect("legal"));
    let vm = support::vm(name, Boot::Kernel { kernel, initrd: None, cmdline: String::new() });
    let record = Record::new(support::project("shop"), Spec::Vm(Box::new(vm.clone())), 0);
    (vm, record.encode())
}

#[test]
fn every_state_of_a_vm_must_be_told_apart() {
    let states = [("runs", 1), ("held", 3), ("off", 5), ("broken", 6)];
    let domain = |(name, state)| in_state(&format!("shop-{name}"), state, "shop", &record_of(name).1);
    let world = World::holding(&states.map(domain).concat());
    let (libvirt, shop) = (world.connect(), support::project("shop"));
    let phase = |name: &str| observe(&libvirt, &shop).resources[&ResourceId::Vm(support::vm_name(name))].phase;
    let phases = ["runs", "held", "off", "broken"].map(phase);
    assert_eq!(phases, [Phase::Running, Phase::Paused, Phase::Stopped, Phase::Crashed]);

    let held = libvirt.probe(&shop, &attempt("held", Probe::Tcp { host: None, port: 1 })).expect("it may be resumed");
    assert_eq!(held, Health::Failing("the vm is paused".to_owned()));
    let broken = libvirt.probe(&shop, &attempt("broken", Probe::Agent)).expect_err("it cannot come back by itself");
    assert_eq!((broken.kind, broken.message.as_str()), (ErrorKind::NotRunning, "vm `broken` crashed"));

    apply(&libvirt, &shop, &Operation::ResumeVm(support::vm_name("held")));
    for name in ["runs", "held", "off", "broken"] {
        apply(&libvirt, &shop, &Operation::StartVm(support::vm_name(name)));
        assert_eq!(phase(name), Phase::Running, "{name}");
    }
    apply(&libvirt, &shop, &Operation::PauseVm(support::vm_name("held")));
    assert_eq!(phase("held"), Phase::Paused);
}

#[test]
fn a_copy_of_our_vm_must_not_be_taken_for_ours() {
    let (db, record) = record_of("db");
    let world = World::holding(&[with_record("shop", &record), in_state("shop-db-clone", 1, "shop", &record)].concat());
    let (libvirt, shop) = (world.connect(), support::project("shop"));
    let found = observe(&libvirt, &shop);
    assert_eq!(found.resources.keys().collect::<Vec<_>>(), [&ResourceId::Vm(db.name)]);
    let copy = support::vm_name("db-clone");
    assert_eq!(
        found.foreign[&ResourceId::Vm(copy.clone())],
        "a domain `shop-db-clone` that is somebody's copy of vm `db`"
    );
    let plug = Operation::StopVm { name: copy, grace: Span::secs(0) };
    assert_eq!(refused(&libvirt, &shop, &plug).kind, ErrorKind::Conflict);
}

#[test]
fn metadata_of_a_newer_version_must_be_refused_clearly() {
    let world = World::holding(&with_record("shop", r#"{"version":99,"all":"else is new"}"#));
    let error = world.connect().observe(&support::project("shop")).expect_err("it cannot be read");
    assert_eq!(
        error.message,
        "vm `db`: its metadata has version 99, this vmcompose reads up to 1; use the newer vmcompose that wrote it"
    );
    let world = World::holding(&with_record("shop", "{"));
    let error = world.connect().observe(&support::project("shop")).expect_err("it cannot be read");
    assert!(error.message.starts_with("vm `db`: its metadata cannot be read: "), "{error}");
    // That of another project is none of ours.
    let world = World::holding(&with_record("shop-db", r#"{"version":99}"#));
    assert_eq!(observe(&world.connect(), &support::project("shop")).foreign.len(), 1);
}
