//! What of the host stands in the way of a network that is joined to it.

use vmcompose::model::{Device, Network, NetworkMode, Spec, Surroundings};
use vmcompose::names::ResourceId;
use vmcompose::plan::{Obstacle, PlanError, plan};
use vmcompose::state::ActualState;

use super::specs::{UP, desired, name, network, vm};

/// Why a network cannot be joined to the host, which has a bridge `br0` and an interface `eth0`; and what is advised.
fn refusal(change: impl FnOnce(&mut Network)) -> (String, String) {
    let Spec::Network(mut network) = network() else { panic!("not a network") };
    change(&mut network);
    let mut desired = desired(&[vm("db", &[])]);
    desired.specs.insert(ResourceId::Network(name("net")), Spec::Network(network));
    let devices = [("br0", Some(false)), ("eth0", None)];
    let devices = devices.map(|(name, bridge)| Device { name: name.to_owned(), bridge });
    let surroundings = Surroundings { devices: Some(devices.into()), ..Surroundings::default() };
    let refused = plan(&desired, &ActualState { surroundings, ..ActualState::default() }, &UP);
    let Err(PlanError::Blocked(obstacles)) = refused else { panic!("not refused: {refused:?}") };
    match obstacles.as_slice() {
        [obstacle @ Obstacle::Device { hint, .. }] => (obstacle.to_string(), hint.clone()),
        others => panic!("{others:?}"),
    }
}

fn to(device: &str, mode: NetworkMode) -> impl FnOnce(&mut Network) {
    let device = device.to_owned();
    move |network| {
        network.mode = mode;
        network.settings.device = Some(device);
    }
}

#[test]
fn what_the_host_lacks_is_named_with_what_was_probably_meant() {
    let words = |(problem, hint): (String, String)| format!("{problem}\n{hint}");
    assert_eq!(
        words(refusal(to("brr0", NetworkMode::Bridge))),
        "network `net` cannot be joined to bridge `brr0`: the host has no bridge of this name\ndid you mean `br0`?"
    );
    assert_eq!(
        words(refusal(to("lan-of-others", NetworkMode::Bridge))),
        "network `net` cannot be joined to bridge `lan-of-others`: the host has no bridge of this name\nit has `br0`"
    );
    assert_eq!(
        words(refusal(to("eth0", NetworkMode::Bridge))),
        "network `net` cannot be joined to bridge `eth0`: it is no bridge\nto share an interface, write `mode: direct` and \
         `interface`"
    );
    assert_eq!(
        words(refusal(to("eth1", NetworkMode::Direct))),
        "network `net` cannot be joined to interface `eth1`: the host has no interface of this name\ndid you mean `eth0`?"
    );
    let tagged = |network: &mut Network| {
        to("br0", NetworkMode::Bridge)(network);
        network.settings.vlan = Some(7);
    };
    assert_eq!(
        words(refusal(tagged)),
        "network `net` cannot be joined to bridge `br0`: it does not tell VLANs apart\nhave it do so: `ip link set br0 type \
         bridge vlan_filtering 1`"
    );
}
