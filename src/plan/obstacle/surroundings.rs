//! What of the host and of others stands in the way of a network or a published port.
//!
//! Owns these comparisons. What cannot be seen, as on a host elsewhere, is no obstacle: the hypervisor will say.

use ipnet::IpNet;

use super::Obstacle;
use crate::compose::nearest;
use crate::model::{Bandwidth, Device, Network, NetworkMode, Origin, Port, Vm};
use crate::state::ActualState;

/// What keeps a network from being made.
pub(super) fn network(network: &Network, actual: &ActualState, origin: Option<Origin>) -> Option<Obstacle> {
    if network.is_foreign() {
        device(network, actual, origin)
    } else if actual.surroundings.rootless {
        wire(network, origin)
    } else {
        busy(network, actual, origin)
    }
}

/// What keeps a network that is there from going where it shall be.
pub(super) fn moved(from: &Network, to: &Network, actual: &ActualState, origin: Option<Origin>) -> Option<Obstacle> {
    let place = |network: &Network| (network.subnet, network.settings.subnet6, network.settings.device.clone());
    let moves = from.mode != to.mode || place(from) != place(to);
    moves.then(|| self::network(to, actual, origin)).flatten()
}

/// Somebody else has addresses of the network's.
fn busy(network: &Network, actual: &ActualState, origin: Option<Origin>) -> Option<Obstacle> {
    let around = &actual.surroundings;
    let four = around.subnets.iter().map(|(net, holder)| (IpNet::V4(*net), holder));
    let six = around.subnets6.iter().map(|(net, holder)| (IpNet::V6(*net), holder));
    let own = [Some(IpNet::V4(network.subnet)), network.settings.subnet6.map(IpNet::V6)];
    let own: Vec<IpNet> = own.into_iter().flatten().collect();
    let mut clashes =
        four.chain(six).flat_map(|(taken, holder)| own.iter().map(move |subnet| (*subnet, taken, holder)));
    let (subnet, taken, holder) =
        clashes.find(|(subnet, taken, _)| taken.contains(subnet) || subnet.contains(taken))?;
    Some(Obstacle::BusySubnet { network: network.name.clone(), subnet, taken, holder: holder.clone(), origin })
}

/// The network asks for what vms on a wire cannot have.
fn wire(network: &Network, origin: Option<Origin>) -> Option<Obstacle> {
    let settings = &network.settings;
    let keys = [
        ("mode: routed", network.mode == NetworkMode::Routed),
        ("mtu", settings.mtu.is_some()),
        ("bandwidth", settings.bandwidth != Bandwidth::default()),
        ("dns.forwarders", !settings.dns.forwarders.is_empty()),
        ("dhcp.range", settings.dhcp.range.is_some()),
    ];
    let (key, _) = keys.into_iter().find(|(_, asked)| *asked)?;
    Some(Obstacle::Rootless { network: network.name.clone(), key, origin })
}

/// The bridge or the interface that the network would be joined to is not there, or not what it must be.
fn device(network: &Network, actual: &ActualState, origin: Option<Origin>) -> Option<Obstacle> {
    let devices = actual.surroundings.devices.as_ref()?;
    let wanted = network.settings.device.as_deref()?;
    let bridge = network.mode == NetworkMode::Bridge;
    let found = devices.iter().find(|device| device.name == wanted);
    let kind = if bridge { "bridge" } else { "interface" };
    let (reason, hint) = match found {
        None => (format!("the host has no {kind} of this name"), others(wanted, devices, bridge)),
        Some(Device { bridge: None, .. }) if bridge => {
            ("it is no bridge".to_owned(), "to share an interface, write `mode: direct` and `interface`".to_owned())
        }
        Some(Device { bridge: Some(false), .. }) if network.settings.vlan.is_some() => (
            "it does not tell VLANs apart".to_owned(),
            format!("have it do so: `ip link set {wanted} type bridge vlan_filtering 1`"),
        ),
        Some(_) => return None,
    };
    let device = format!("{kind} `{wanted}`");
    Some(Obstacle::Device { network: network.name.clone(), device, reason, hint, origin })
}

fn others(wanted: &str, devices: &[Device], bridge: bool) -> String {
    let fitting = devices.iter().filter(|device| !bridge || device.bridge.is_some());
    let names: Vec<&str> = fitting.map(|device| device.name.as_str()).collect();
    match nearest(wanted, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => "it has none at all".to_owned(),
        None => format!("it has `{}`", names.join("`, `")),
    }
}

/// Somebody else listens on a port that the vm would be published on. On those that clash with what is `held`, the vm
/// may be the one who listens.
pub(super) fn port(vm: &Vm, held: &[Port], actual: &ActualState, origin: Option<Origin>) -> Option<Obstacle> {
    let mut new = vm.ports.iter().filter(|port| !held.iter().any(|own| own.clashes(port)));
    let taken = |port| actual.surroundings.ports.iter().find(|(other, _)| other.clashes(port));
    let (port, (_, holder)) = new.find_map(|port| Some((port, taken(port)?)))?;
    Some(Obstacle::BusyPort { vm: vm.name.clone(), port: port.at(), holder: holder.clone(), origin })
}
