//! Networks that change under vms that run, on libvirt's own test driver: every field, with a fault at every operation.

use tokio_util::sync::CancellationToken;
use vmcompose::execute::{OnFailure, Outcome};
use vmcompose::image;
use vmcompose::names::ResourceId;
use vmcompose::plan::effects::NETWORK_TABLE;
use vmcompose::plan::{Action, Effect, Plan, plan};
use vmcompose::state::DesiredState;

use crate::rig::{Rig, UP, load, qcow2, rig_of};

/// A project of one network, as it is written here, and two vms on it.
fn text(lan: &str) -> String {
    let vm = |name: &str, ip: u8| {
        // On a network of the host's nobody but the file knows which addresses are free.
        let fixed = format!("{name}: {{ networks: {{ lan: {{ ip: 10.77.0.{ip} }} }} }}");
        if lan.contains("bridge") { fixed } else { format!("{name}: {{ networks: [lan] }}") }
    };
    let (a, b) = (vm("a", 5), vm("b", 6));
    format!(
        "name: shop\nnetworks: {{ lan: {{ {lan} }} }}\nimages: {{ os: os.qcow2 }}\ndefaults: {{ image: os }}\nvms:\n  {a}\n  {b}\n"
    )
}

fn rig(lan: &str) -> Rig {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("vmcompose.yaml"), text(lan)).expect("written");
    std::fs::write(folder.path().join("os.qcow2"), qcow2()).expect("written");
    let rig = rig_of(folder, |faulty| faulty);
    assert_eq!(rig.up().0, Outcome::Completed);
    assert!(rig.plan().is_empty(), "{lan}: {:#?}", rig.plan());
    rig
}

fn changed(rig: &Rig, lan: &str) -> Plan {
    std::fs::write(rig.folder.path().join("vmcompose.yaml"), text(lan)).expect("written");
    let actual = rig.observe();
    let project = load(rig.folder.path(), &actual.surroundings);
    let images = image::inspect(&image::files(&project.images).expect("files only")).expect("images");
    plan(&DesiredState::up(&project, &images).expect("no cycle"), &actual, &UP).expect("a plan")
}

/// What is changed, from and to what, and what it costs.
const CASES: [(&str, &str, &str, Effect); 18] = [
    ("labels", "labels: {a: b}", "labels: {a: c}", Effect::Live),
    ("dns", "", "dns: {hosts: {far: 10.99.0.1}}", Effect::Live),
    ("dns", "dns: {hosts: {far: 10.99.0.1}}", "", Effect::Live),
    ("dns", "", "dns: {forwarders: [9.9.9.9]}", Effect::Interruption),
    (
        "dhcp",
        "subnet: 10.77.0.0/24, dhcp: {range: 10.77.0.9-10.77.0.20}",
        "subnet: 10.77.0.0/24, dhcp: {range: 10.77.0.9-10.77.0.30}",
        Effect::Live,
    ),
    ("dhcp", "subnet: 10.77.0.0/24", "subnet: 10.77.0.0/24, dhcp: {range: 10.77.0.9-10.77.0.30}", Effect::Interruption),
    ("dhcp", "", "dhcp: off", Effect::Interruption),
    ("mode", "", "mode: isolated", Effect::Interruption),
    ("mode", "mode: routed", "", Effect::Interruption),
    ("subnet", "subnet: 10.77.0.0/24", "subnet: 10.78.0.0/24", Effect::Interruption),
    ("subnet6", "", "subnet6: fd00:77::/64", Effect::Interruption),
    ("mtu", "", "mtu: 1400", Effect::Interruption),
    ("domain", "", "domain: lab.test", Effect::Interruption),
    ("bandwidth", "", "bandwidth: {inbound: 1MiB}", Effect::Interruption),
    ("routes", "", "routes: [{to: 10.88.0.0/16, via: 10.77.0.1}], subnet: 10.77.0.0/24", Effect::Interruption),
    (
        "device",
        "mode: bridge, bridge: br0, subnet: 10.77.0.0/24",
        "mode: bridge, bridge: br1, subnet: 10.77.0.0/24",
        Effect::Interruption,
    ),
    (
        "vlan",
        "mode: bridge, bridge: br0, subnet: 10.77.0.0/24",
        "mode: bridge, bridge: br0, subnet: 10.77.0.0/24, vlan: 7",
        Effect::Interruption,
    ),
    (
        "gateway",
        "mode: bridge, bridge: br0, subnet: 10.77.0.0/24",
        "mode: bridge, bridge: br0, subnet: 10.77.0.0/24, gateway: 10.77.0.9",
        Effect::Live,
    ),
];

#[test]
fn every_field_of_a_network_changes_as_the_plan_says_and_goes_back_when_a_step_fails() {
    for (field, from, to, effect) in CASES {
        let case = format!("{field}: `{from}` → `{to}`");
        let rig = rig(from);
        let before = rig.observe();
        let lan = ResourceId::Network("lan".parse().expect("legal"));
        let step = |plan: &Plan| plan.steps().find(|step| step.resource == lan).expect("a step").clone();
        // Vms that are told of it are made anew after it, and that is no network's to undo.
        for fault in 0..step(&changed(&rig, to)).operations.len() {
            let plan = changed(&rig, to);
            rig.hypervisor.fail(rig.hypervisor.calls() + fault);
            let (outcome, _) = rig.run(&plan, OnFailure::Rollback, &CancellationToken::new());
            assert!(matches!(outcome, Outcome::RolledBack { .. }), "{case}, fault at {fault}: {outcome:?}");
            assert_eq!(rig.observe(), before, "{case}, fault at {fault}");
        }
        let plan = changed(&rig, to);
        let step = step(&plan);
        assert!(step.changes.iter().any(|change| change.top() == field), "{case}: {:?}", step.changes);
        let action = if effect == Effect::Live { Action::Update } else { Action::Restart };
        assert_eq!((step.action, step.effect), (action, Some(effect)), "{case}");
        let (outcome, _) = rig.run(&plan, OnFailure::Rollback, &CancellationToken::new());
        assert_eq!(outcome, Outcome::Completed, "{case}");
        assert!(changed(&rig, to).is_empty(), "{case}: {:#?}", changed(&rig, to));
    }
    // Who is on it is what its vms say; they change with those.
    let tried: Vec<&str> = CASES.iter().map(|(field, ..)| *field).chain(["hosts"]).collect();
    let untried: Vec<&str> =
        NETWORK_TABLE.iter().map(|(field, ..)| *field).filter(|field| !tried.contains(field)).collect();
    assert_eq!(untried, Vec::<&str>::new());
}

#[test]
fn a_vm_that_comes_or_goes_changes_what_its_network_hands_out_and_nothing_else() {
    let rig = rig("");
    let more = text("") + "  c: { networks: [lan] }\n";
    std::fs::write(rig.folder.path().join("vmcompose.yaml"), more).expect("written");
    let actual = rig.observe();
    let project = load(rig.folder.path(), &actual.surroundings);
    let images = image::inspect(&image::files(&project.images).expect("files only")).expect("images");
    let desired = DesiredState::up(&project, &images).expect("no cycle");
    let plan = plan(&desired, &actual, &UP).expect("a plan");
    let steps: Vec<String> =
        plan.steps().map(|step| format!("{} {} {:?}", step.action.sign(), step.resource, step.effect)).collect();
    assert_eq!(steps, ["~ network `lan` Some(Live)", "+ vm `c` None"]);
}
