//! The network cards of a vm that libvirt has no words for: the one by which ports are published, and those of a user's
//! wires.
//!
//! Owns QEMU's options for them. Deterministic; nothing is looked up here.

use serde::Serialize;

use super::names;
use crate::model::{Interface, Mac, Port, Vm, port};
use crate::names::ProjectName;
use crate::state::wires;

/// By which QEMU's monitor knows the card that ports are published on.
pub(super) const OWN_CARD: &str = "vmcompose-ports";
/// Its place on the first bus. libvirt knows nothing of these cards, and hands out places from the other end.
const OWN_PLACE: usize = 0x1c;
/// The place of the first wire: before the card above, so that a guest counts them first.
const FIRST_PLACE: usize = 0x10;
const _: () = assert!(wires::MOST == OWN_PLACE - FIRST_PLACE, "as many wires as there are places between the two");

/// Options of QEMU's for a card.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(super) struct Card {
    netdev: String,
    device: String,
}

/// The cards of a vm; `home` says whose wires it is on.
pub(super) fn of(project: &ProjectName, vm: &Vm, home: &str) -> Vec<Card> {
    let wires = wires::of(vm).take(wires::MOST).enumerate().map(|(n, nic)| wire(project, home, n, nic));
    wires.chain(vm.has_own_card().then(|| own(vm))).collect()
}

/// A wire is a multicast group on the loopback interface. libvirt has words for such a group, but none that keep it on
/// this machine: what the vms say to one another would be heard wherever the default route leads.
fn wire(project: &ProjectName, home: &str, n: usize, nic: &Interface) -> Card {
    let (group, port) = names::wire(home, project, &nic.network);
    let id = format!("vmcompose-wire{n}");
    let netdev = format!("socket,id={id},mcast={group}:{port},localaddr=127.0.0.1");
    Card { netdev, device: device(&id, nic.mac, FIRST_PLACE + n) }
}

/// libvirt's own user networking has no forwarded ports but with passt, which not every host has, and which routes the
/// guest's traffic as well.
fn own(vm: &Vm) -> Card {
    Card { netdev: publishing(vm), device: device(OWN_CARD, port::PUBLISHED_MAC, OWN_PLACE) }
}

/// What is behind the card that ports are published on, as QEMU is told.
pub(super) fn publishing(vm: &Vm) -> String {
    let (net, own) = (port::PUBLISHING, port::PUBLISHED);
    let outside = vm.hardware.uplink.as_ref().is_some_and(|uplink| uplink.outside);
    // Restricted, the guest reaches nothing this way, and is offered no route.
    let restrict = if outside { "off" } else { "on" };
    let forwards: String = vm.ports.iter().map(forward).collect();
    format!("user,id={OWN_CARD},restrict={restrict},ipv6=off,net={net},dhcpstart={own}{forwards}")
}

fn forward(port: &Port) -> String {
    let address = port.address.map(|ip| ip.to_string()).unwrap_or_default();
    let protocol = if port.udp { "udp" } else { "tcp" };
    format!(",hostfwd={protocol}:{address}:{}-:{}", port.host, port.guest)
}

/// It boots nothing.
fn device(netdev: &str, mac: Mac, place: usize) -> String {
    format!("virtio-net-pci,netdev={netdev},mac={mac},addr={place:#x},disable-legacy=on,romfile=")
}
