//! Plans for some of the vms only.

use vmcompose::model::{Condition, Host, Mac, Spec};
use vmcompose::names::ResourceId;
use vmcompose::plan::{Operation, Options, plan};
use vmcompose::state::{ActualState, DesiredState, Phase};

use crate::specs::{UP, applied, desired, edit, id, lines, name, vm};

fn chain() -> DesiredState {
    desired(&[
        vm("db", &[]),
        vm("api", &[("db", Condition::Healthy)]),
        vm("web", &[("api", Condition::Healthy)]),
        vm("log", &[]),
    ])
}

fn of(vms: &[&str]) -> Options {
    Options { vms: vms.iter().map(|vm| name(vm)).collect(), ..UP }
}

#[test]
fn a_vm_comes_with_what_it_depends_on_and_with_nothing_else() {
    let made = plan(&chain(), &ActualState::default(), &of(&["api"])).expect("a plan");
    let vms: Vec<&str> =
        made.steps().filter(|step| step.resource.as_vm().is_some()).map(|step| step.resource.name()).collect();
    assert_eq!(vms, ["db", "api"]);
    assert!(made.orphans.is_empty() && made.unchanged.is_empty(), "{made:#?}");
}

#[test]
fn without_dependencies_it_comes_alone_and_waits_for_nobody() {
    let mut actual = applied(&chain());
    for stopped in ["db", "api"] {
        actual.resources.get_mut(&id(stopped)).expect("there").phase = Phase::Stopped;
    }
    let alone = Options { no_deps: true, ..of(&["api"]) };
    assert_eq!(lines(&plan(&chain(), &actual, &alone).expect("a plan")), ["1 > api <- "]);
    assert_eq!(lines(&plan(&chain(), &actual, &of(&["api"])).expect("a plan")), ["1 > db <- ", "2 > api <- db!"]);
    // What runs is not even looked at.
    actual.resources.get_mut(&id("db")).expect("there").phase = Phase::Running;
    assert_eq!(lines(&plan(&chain(), &actual, &alone).expect("a plan")), ["1 > api <- "]);
}

#[test]
fn what_a_network_knows_of_the_others_stays() {
    let host = |last: u8| Host {
        mac: Mac([0x52, 0x54, 0, 0, 0, last]),
        ip: [10, 0, 0, last].into(),
        ip6: None,
        names: vec![format!("h{last}")],
    };
    let with = |hosts: &[(&str, u8)]| {
        let mut state = desired(&[vm("db", &[]), vm("web", &[("db", Condition::Started)]), vm("log", &[])]);
        let network = state.specs.values_mut().find_map(|spec| match spec {
            Spec::Network(network) => Some(network),
            _ => None,
        });
        network.expect("a network").hosts = hosts.iter().map(|(vm, last)| (name(vm), host(*last))).collect();
        state
    };
    // The file moves `db`, knows of `web` and no longer of a vm that was on the network.
    let (before, wanted) = (with(&[("db", 9), ("log", 7), ("old", 8)]), with(&[("db", 19), ("log", 17), ("web", 10)]));
    let hosts = |options: &Options| -> Vec<(String, u8)> {
        let made = plan(&wanted, &applied(&before), options).expect("a plan");
        let updates = made.steps().flat_map(|step| &step.operations).find_map(|operation| match operation {
            Operation::UpdateNetwork { to, .. } => Some(to.hosts.clone()),
            _ => None,
        });
        updates.unwrap_or_default().into_iter().map(|(vm, host)| (vm.to_string(), host.ip.octets()[3])).collect()
    };
    let told = |list: &[(&str, u8)]| list.iter().map(|(vm, last)| ((*vm).to_owned(), *last)).collect::<Vec<_>>();
    let alone = Options { no_deps: true, ..of(&["web"]) };
    assert_eq!(hosts(&alone), told(&[("db", 9), ("log", 7), ("old", 8), ("web", 10)]));
    assert_eq!(hosts(&of(&["web"])), told(&[("db", 19), ("log", 7), ("old", 8), ("web", 10)]));
    assert_eq!(hosts(&UP), told(&[("db", 19), ("log", 17), ("web", 10)]));
}

#[test]
fn a_network_forgets_replicas_of_which_none_is_left_and_changes_in_nothing_else() {
    let replica = |called: &str| edit(vm(called, &[]), |vm| vm.replica_of = Some(name("g")));
    let known = |mut state: DesiredState, vms: &[&str], mtu: Option<u32>| {
        let host = |last: u8| Host {
            mac: Mac([0x52, 0x54, 0, 0, 0, last]),
            ip: [10, 0, 0, last].into(),
            ip6: None,
            names: vec![format!("h{last}")],
        };
        let hosts = (1..).zip(vms).map(|(last, vm)| (name(vm), host(last))).collect();
        let Some(Spec::Network(network)) = state.specs.get_mut(&ResourceId::Network(name("net"))) else {
            panic!("none")
        };
        network.hosts = hosts;
        network.settings.mtu = mtu;
        state
    };
    let before = known(desired(&[vm("db", &[]), replica("g-1"), replica("g-2")]), &["db", "g-1", "g-2"], None);
    let wanted = known(desired(&[vm("db", &[])]), &["db"], Some(9000));
    let none = Options { surplus: [name("g")].into(), ..UP };
    let made = plan(&wanted, &applied(&before), &none).expect("a plan");
    assert_eq!(lines(&made), ["1 ~ net <- ", "2 - g-1 <- net!", "2 - g-2 <- net!"]);
    let Operation::UpdateNetwork { to, .. } = &made.steps().next().expect("one").operations[0] else {
        panic!("{made:#?}")
    };
    assert_eq!(to.hosts.keys().map(ToString::to_string).collect::<Vec<_>>(), ["db"]);
    assert_eq!(to.settings.mtu, None, "what else the file says is for whoever is meant");
    // Where none is there, nothing is.
    let mut gone = applied(&known(before, &["db"], None));
    gone.resources.retain(|id, _| id.as_vm().is_none_or(|vm| vm.as_str() == "db"));
    let made = plan(&wanted, &gone, &none).expect("a plan");
    assert!(made.is_empty() && made.unchanged.is_empty(), "{made:#?}");
}

#[test]
fn what_is_wrong_with_the_others_keeps_nobody_from_it() {
    let protected = || edit(vm("log", &[]), |vm| vm.protect = true);
    let with = |last| desired(&[vm("db", &[]), last]);
    let other = edit(protected(), |vm| vm.hostname = "other".to_owned());
    let told = |spec| edit(spec, |vm| vm.cloud_init = Some(Box::default()));
    let (before, wanted) = (with(told(protected())), with(told(other)));
    let mut actual = applied(&before);
    actual.resources.get_mut(&id("db")).expect("there").phase = Phase::Stopped;
    assert!(plan(&wanted, &actual, &UP).is_err(), "it is protected");
    assert_eq!(lines(&plan(&wanted, &actual, &of(&["db"])).expect("a plan")), ["1 > db <- "]);
}

#[test]
fn others_that_say_restart_go_along_unless_nobody_shall() {
    let follower = edit(vm("api", &[("db", Condition::Started)]), |vm| {
        vm.depends_on.values_mut().for_each(|on| on.restart = true);
    });
    let both = desired(&[vm("db", &[]), follower]);
    let anew = Options { replace: [name("db")].into(), ..of(&["db"]) };
    let usual = plan(&both, &applied(&both), &anew).expect("a plan");
    assert_eq!(lines(&usual), ["1 ± db <- ", "2 ↻ api <- db", "3 - db <- db! api!"]);
    let alone = plan(&both, &applied(&both), &Options { no_deps: true, ..anew }).expect("a plan");
    assert_eq!(lines(&alone), ["1 ± db <- ", "2 - db <- db!"]);
}
