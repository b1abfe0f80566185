//! Addresses: deterministic, legal, and stable when others come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use proptest::prelude::*;
use vmcompose::model::Surroundings;
use vmcompose::model::address::{addresses, check, check6, eui64, first_host, mac, subnets};
use vmcompose::names::{NetworkName, ProjectName, VmName};

fn project() -> ProjectName {
    ProjectName::new("shop").expect("legal")
}

fn network(name: &str) -> NetworkName {
    NetworkName::new(name).expect("legal")
}

fn vm(name: &str) -> VmName {
    VmName::new(name).expect("legal")
}

fn net(text: &str) -> Ipv4Net {
    text.parse().expect("a subnet")
}

fn settle(subnet: Ipv4Net, vms: &BTreeSet<VmName>, around: &Surroundings) -> BTreeMap<VmName, Ipv4Addr> {
    addresses(&project(), &network("front"), subnet, vms, &BTreeSet::new(), around)
}

fn as_leases(settled: &BTreeMap<VmName, Ipv4Addr>) -> Surroundings {
    let leases = settled.iter().map(|(vm, ip)| ((network("front"), vm.clone()), *ip)).collect();
    Surroundings { leases, ..Surroundings::default() }
}

#[test]
fn a_chosen_subnet_avoids_what_is_in_use() {
    let wanted = BTreeSet::from([network("front")]);
    let free = subnets(&project(), &wanted, &[], &Surroundings::default())[&network("front")];
    let busy = Surroundings { subnets: vec![(free, "somebody".to_owned())], ..Surroundings::default() };
    let other = subnets(&project(), &wanted, &[], &busy)[&network("front")];
    assert!(!free.contains(&other) && !other.contains(&free), "{free} and {other} overlap");
}

#[test]
fn a_network_keeps_the_subnet_it_has() {
    let own_subnets = BTreeMap::from([(network("front"), net("10.200.7.0/24"))]);
    let around = Surroundings { own_subnets, ..Surroundings::default() };
    let wanted = BTreeSet::from([network("back"), network("front")]);
    assert_eq!(subnets(&project(), &wanted, &[], &around)[&network("front")], net("10.200.7.0/24"));
}

#[test]
fn a_newcomer_never_gets_the_address_of_one_that_is_no_longer_wanted_but_may_still_run() {
    let subnet = net("10.0.0.0/29");
    let old: BTreeSet<VmName> = (0..4).map(|n| vm(&format!("old-{n}"))).collect();
    let before = settle(subnet, &old, &Surroundings::default());
    let new = settle(subnet, &BTreeSet::from([vm("new")]), &as_leases(&before));
    assert!(!before.values().any(|ip| *ip == new[&vm("new")]), "{before:?} {new:?}");
}

#[test]
fn surroundings_agree_only_with_what_they_would_have_led_to() {
    let front = network("front");
    let (db, web) = (vm("db"), vm("web"));
    let (subnet, ip) = (net("10.20.0.0/24"), Ipv4Addr::new(10, 20, 0, 9));
    let agrees =
        |around: &Surroundings| around.agree_with([(&front, subnet)].into_iter(), [(&front, &db, ip)].into_iter());
    let lease = |of: &VmName, ip| Surroundings {
        leases: BTreeMap::from([((front.clone(), of.clone()), ip)]),
        ..Surroundings::default()
    };
    assert!(agrees(&Surroundings::default()));
    assert!(agrees(&lease(&db, ip)));
    assert!(!agrees(&lease(&db, Ipv4Addr::new(10, 20, 0, 7))), "db has another address");
    assert!(!agrees(&lease(&web, ip)), "web has this address");
    let busy = Surroundings { subnets: vec![(net("10.0.0.0/8"), "a route".to_owned())], ..Surroundings::default() };
    assert!(!agrees(&busy));
    let other = BTreeMap::from([(front.clone(), net("10.21.0.0/24"))]);
    assert!(!agrees(&Surroundings { own_subnets: other, ..Surroundings::default() }));
}

#[test]
fn a_full_subnet_leaves_somebody_without() {
    let vms: BTreeSet<VmName> = (0..7).map(|n| vm(&format!("vm-{n}"))).collect();
    // A /29 has six hosts, one of them the gateway.
    assert_eq!(settle(net("10.0.0.0/29"), &vms, &Surroundings::default()).len(), 5);
}

#[test]
fn addresses_with_a_meaning_of_their_own_are_refused() {
    let subnet = net("10.0.0.0/24");
    let verdict = |ip: [u8; 4]| check(subnet, Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::from(ip));
    assert_eq!(verdict([10, 0, 0, 0]), Err("the address of the network itself"));
    assert_eq!(verdict([10, 0, 0, 1]), Err("the gateway's address"));
    assert_eq!(verdict([10, 0, 0, 255]), Err("the network's broadcast address"));
    assert_eq!(verdict([10, 0, 1, 7]), Err("outside the network's subnet"));
    assert_eq!(verdict([10, 0, 0, 2]), Ok(()));
}

#[test]
fn an_ipv6_address_follows_from_the_mac() {
    let subnet = "fd00:20::/64".parse().expect("a subnet");
    let made = eui64(subnet, "52:54:00:12:34:56".parse().expect("a mac"));
    // RFC 4291, appendix A: the universal bit is turned over, ff:fe put in.
    assert_eq!(made.to_string(), "fd00:20::5054:ff:fe12:3456");
    assert_eq!(check6(subnet, made), Ok(()));
    let verdict = |ip: &str| check6(subnet, ip.parse().expect("an address"));
    assert_eq!(verdict("fd00:20::"), Err("the address of the network itself"));
    assert_eq!(verdict("fd00:20::1"), Err("the gateway's address"));
    assert_eq!(verdict("fd00:21::5"), Err("outside the network's `subnet6`"));
}

#[test]
fn a_fixed_address_can_be_read_from_the_mac() {
    let fixed = mac(&project(), &network("front"), &vm("db"), Some(Ipv4Addr::new(10, 20, 1, 10)));
    assert_eq!(fixed.to_string(), "be:ef:0a:14:01:0a");
    let chosen = mac(&project(), &network("front"), &vm("db"), None);
    assert!(chosen.to_string().starts_with("52:54:00:"));
    assert_eq!(chosen, mac(&project(), &network("front"), &vm("db"), None));
}

proptest! {
    #[test]
    fn nobody_moves_when_others_come_and_go(
        before in prop::collection::btree_set(0u32..400, 1..60),
        after in prop::collection::btree_set(0u32..400, 1..60),
    ) {
        let subnet = net("10.20.0.0/24");
        let called = |set: &BTreeSet<u32>| set.iter().map(|n| vm(&format!("vm-{n}"))).collect::<BTreeSet<_>>();
        let first = settle(subnet, &called(&before), &Surroundings::default());
        let second = settle(subnet, &called(&after), &as_leases(&first));
        for (vm, ip) in &first {
            if let Some(now) = second.get(vm) {
                prop_assert_eq!(ip, now);
            }
        }
        let distinct: BTreeSet<&Ipv4Addr> = second.values().collect();
        prop_assert_eq!(distinct.len(), after.len());
        prop_assert!(second.values().all(|ip| check(subnet, first_host(subnet), *ip).is_ok()));
    }
}
