//! What the hypervisor notices by itself: a gate need not poll to see that its vm is gone, and without notices comes to the
//! same end.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::thread;

use vmcompose::backend::{Hypervisor, Sign};
use vmcompose::execute::{Outcome, Problem};
use vmcompose::plan::Operation;
use vmcompose::units::Span;

use crate::rig::{Rig, qcow2, rig_of};
use crate::support::faulty::Faulty;
use crate::support::{self, World};
use vmcompose::backend::libvirt::Libvirt;
use vmcompose::model::Boot;

/// One vm behind a gate that asks a server on this machine for SSH's greeting.
fn waiting_for(port: u16, patience: &str, change: impl FnOnce(Faulty<Libvirt>) -> Faulty<Libvirt>) -> Rig {
    let folder = tempfile::tempdir().expect("a folder");
    let text = format!(
        "name: one\nimages: {{ os: os.qcow2 }}\nvms:\n  db:\n    image: os\n    healthcheck: {{ ssh: {{ host: 127.0.0.1, \
         port: {port} }}, {patience} }}\n"
    );
    std::fs::write(folder.path().join("vmcompose.yaml"), text).expect("written");
    std::fs::write(folder.path().join("os.qcow2"), qcow2()).expect("written");
    rig_of(folder, |faulty| change(faulty.honest()))
}

fn pull_the_plug(rig: &Rig) {
    let stop = Operation::StopVm { name: support::vm_name("db"), grace: Span::secs(0) };
    rig.hypervisor.apply(&rig.project.name, &stop).expect("stopped");
}

/// Brings it up, and pulls the plug once the server is asked. The server says nothing; it `hangs_up` or is silent.
fn killed(patience: &str, hangs_up: bool, change: impl FnOnce(Faulty<Libvirt>) -> Faulty<Libvirt>) -> Outcome {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let rig = Arc::new(waiting_for(port, patience, change));
    let killer = Arc::clone(&rig);
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the probe comes");
        if hangs_up {
            drop(stream);
            pull_the_plug(&killer);
        } else {
            pull_the_plug(&killer);
            // Until the prober gives up; in a run that is over, at its latest when this process ends.
            let _ = stream.read(&mut [0]);
        }
    });
    let outcome = rig.up().0;
    if hangs_up {
        server.join().expect("it pulled the plug");
    }
    outcome
}

fn gone(outcome: Outcome) {
    let Outcome::RolledBack { causes } = outcome else { panic!("{outcome:?}") };
    let Problem::Hopeless { error, .. } = &causes[0].problem else { panic!("{causes:?}") };
    assert_eq!(error.message, "vm `db` is shut off: somebody pulled the plug");
}

// Were anything waited for but the notice, each of these would take an hour.

#[test]
fn a_vm_that_dies_between_two_attempts_fails_its_gate_at_once() {
    gone(killed("interval: 1h, retries: 100, start_period: 0s", true, |faulty| faulty));
}

#[test]
fn a_vm_that_dies_while_an_attempt_hangs_fails_its_gate_at_once() {
    gone(killed("timeout: 1h, interval: 1h, retries: 100, start_period: 0s", false, |faulty| faulty));
}

#[test]
fn without_notices_a_gate_comes_to_the_same_end() {
    gone(killed("interval: 10ms, retries: 1000, start_period: 0s", true, Faulty::deaf));
}

#[test]
fn a_vm_is_followed_through_its_life_by_those_who_ask_for_its_project() {
    let world = World::new();
    let libvirt = world.connect();
    let (shop, other) = (support::project("shop"), support::project("other"));
    let mut notices = libvirt.notices(&shop).expect("the test driver tells of domains");
    let mut foreign = libvirt.notices(&other).expect("the test driver tells of domains");
    let vm = support::up(&libvirt, &shop, &world, "db");
    let kill = Operation::StopVm { name: vm.name.clone(), grace: Span::secs(0) };
    support::apply(&libvirt, &shop, &kill);
    support::apply(&libvirt, &shop, &Operation::UndefineVm(Box::new(vm.clone())));
    let signs: Vec<Sign> = std::iter::from_fn(|| {
        let notice = notices.blocking_recv().expect("they are kept");
        assert_eq!(notice.vm, vm.name);
        Some(notice.sign)
    })
    .take(4)
    .collect();
    assert_eq!(signs, [Sign::Defined, Sign::Started, Sign::Killed, Sign::Undefined]);
    assert!(foreign.try_recv().is_err(), "another project hears nothing of it");
}

/// A machine that somebody else made, adopted by `shop` as its vm `db`.
fn adopted() -> (World, Libvirt, vmcompose::model::Vm) {
    let machine = "<domain type='test'><name>Old_One</name><memory>65536</memory><os><type>hvm</type></os></domain>";
    let world = World::holding(machine);
    let libvirt = world.connect();
    let vm = support::vm("db", Boot::Existing { machine: "Old_One".to_owned(), start: true });
    (world, libvirt, vm)
}

#[test]
fn an_adopted_machine_is_followed_and_counted_under_the_name_that_the_project_has_for_it() {
    let (_world, libvirt, vm) = adopted();
    let (shop, old) = (support::project("shop"), support::project("old"));
    support::apply(&libvirt, &shop, &Operation::AdoptVm(Box::new(vm.clone())));
    let mut notices = libvirt.notices(&shop).expect("the test driver tells of domains");
    let mut foreign = libvirt.notices(&old).expect("the test driver tells of domains");
    let kill = Operation::StopVm { name: vm.name.clone(), grace: Span::secs(0) };
    support::apply(&libvirt, &shop, &kill);
    support::apply(&libvirt, &shop, &Operation::StartVm(vm.name.clone()));
    let mut next = || notices.blocking_recv().map(|notice| (notice.vm, notice.sign)).expect("they are kept");
    assert_eq!([next(), next()], [Sign::Killed, Sign::Started].map(|sign| (vm.name.clone(), sign)));
    assert!(foreign.try_recv().is_err(), "another project hears nothing of it");
    let counted = libvirt.usage(&shop).expect("the test driver counts");
    assert_eq!(counted.keys().collect::<Vec<_>>(), [&vm.name]);
    assert_eq!(libvirt.usage(&old).expect("the test driver counts").len(), 0);
}

#[test]
fn one_that_is_adopted_while_somebody_listens_is_known_after_the_next_look() {
    let (_world, libvirt, vm) = adopted();
    let shop = support::project("shop");
    let mut notices = libvirt.notices(&shop).expect("the test driver tells of domains");
    support::apply(&libvirt, &shop, &Operation::AdoptVm(Box::new(vm.clone())));
    support::observe(&libvirt, &shop);
    support::apply(&libvirt, &shop, &Operation::StopVm { name: vm.name.clone(), grace: Span::secs(0) });
    assert_eq!(notices.blocking_recv().map(|notice| (notice.vm, notice.sign)), Ok((vm.name, Sign::Killed)));
}
