//! Addresses of whole projects: nobody moves when vms and networks come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use proptest::prelude::*;
use vmcompose::model::{Project, Surroundings};

use crate::compose::fixture::Fixture;

/// Networks of a vm, by number, for each vm, by number.
type Shape = BTreeMap<u8, BTreeSet<u8>>;

fn shape() -> impl Strategy<Value = Shape> {
    prop::collection::btree_map(0u8..40, prop::collection::btree_set(0u8..5, 1..4), 1..20)
}

/// All networks are declared: which of them have subnets of their own must not matter to the others.
fn text(shape: &Shape, networks: &BTreeSet<u8>) -> String {
    let used: BTreeSet<u8> = shape.values().flatten().chain(networks).copied().collect();
    let mut text = "networks:\n".to_owned();
    for network in used {
        let six = if network % 2 == 0 { format!("subnet6: 'fd00:{network:x}::/64'") } else { String::new() };
        writeln!(text, "  n{network}: {{{six}}}").unwrap();
    }
    text.push_str("vms:\n");
    for (vm, on) in shape {
        let on: Vec<String> = on.iter().map(|network| format!("n{network}")).collect();
        writeln!(text, "  vm{vm}: {{image: ./a, networks: [{}]}}", on.join(", ")).unwrap();
    }
    text
}

fn around(project: &Project) -> Surroundings {
    let own_subnets = project.networks.values().map(|network| (network.name.clone(), network.subnet)).collect();
    let leases = project
        .networks
        .values()
        .flat_map(|network| network.hosts.iter().map(|(vm, host)| ((network.name.clone(), vm.clone()), host.ip)));
    Surroundings { own_subnets, leases: leases.collect(), ..Surroundings::default() }
}

/// Address, IPv6 address and hardware address of each vm on each of its networks.
fn settled(project: &Project) -> BTreeMap<(String, String), String> {
    let vms = project.vms.values();
    let all = vms.flat_map(|vm| vm.interfaces.iter().map(move |nic| (vm, nic)));
    all.map(|(vm, nic)| {
        let key = (vm.name.to_string(), nic.network.to_string());
        (key, format!("{} {:?} {}", nic.ip, nic.ip6, nic.mac))
    })
    .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn nobody_moves_when_vms_and_networks_come_and_go(
        before in shape(),
        after in shape(),
        networks in prop::collection::btree_set(0u8..5, 0..3),
    ) {
        let first = Fixture::new(&text(&before, &networks)).project();
        let second = Fixture::new(&text(&after, &BTreeSet::new())).parse_among(&around(&first)).unwrap().project;
        let now = settled(&second);
        for (who, what) in settled(&first) {
            if let Some(now) = now.get(&who) {
                prop_assert_eq!(now, &what, "{:?}", who);
            }
        }
        for (name, network) in &first.networks {
            prop_assert!(second.networks.get(name).is_none_or(|other| other.subnet == network.subnet), "{}", name);
        }
        let distinct: BTreeSet<&String> = now.values().collect();
        prop_assert_eq!(distinct.len(), now.len());
    }
}
