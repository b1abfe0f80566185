//! The network cards of a vm that libvirt has no words for: the one by which ports are published, and those of a user's
//! wires.
//!
//! Owns QEMU's options for them, and what a kernel is told of them where no server and no seed tells. Deterministic;
//! nothing is looked up here.

use serde::Serialize;

use super::names;
use crate::model::{Interface, Mac, Port, Vm, port};
use crate::names::ProjectName;

/// By which QEMU's monitor knows the card that ports are published on.
pub(super) const OWN_CARD: &str = "vmcompose-ports";
/// Its place on the first bus. libvirt knows nothing of these cards, and hands out places from the other end.
const OWN_PLACE: usize = 0x1c;
/// The place of the first wire: before the card above, so that a guest counts them first.
const FIRST_PLACE: usize = 0x10;
/// As many wires as there are places between the two.
pub(super) const MOST_WIRES: usize = OWN_PLACE - FIRST_PLACE;

/// Options of QEMU's for a card.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(super) struct Card {
    netdev: String,
    device: String,
}

/// The cards of a vm; `home` says whose wires it is on.
pub(super) fn of(project: &ProjectName, vm: &Vm, home: &str) -> Vec<Card> {
    let wires = wired(vm).enumerate().map(|(n, nic)| wire(project, home, n, nic));
    wires.chain(vm.has_own_card().then(|| own(vm))).collect()
}

fn wired(vm: &Vm) -> impl Iterator<Item = &Interface> {
    vm.interfaces.iter().filter(|nic| nic.wire.is_some()).take(MOST_WIRES)
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

/// The kernel's command line with what the guest has to know of its wires, where it has no seed that tells it: addresses as
/// the kernel's `nfsroot.txt` has them, and names.
pub(super) fn told(vm: &Vm, cmdline: String) -> String {
    /// A longer one is cut off by the kernel.
    const LONGEST: usize = 2047;
    if vm.cloud_init.is_some() {
        return cmdline;
    }
    let address = |(n, nic): (usize, &Interface)| {
        let mask = nic.wire.map(|subnet| subnet.netmask())?;
        Some(format!(" ip={}:::{mask}::eth{n}:off", nic.ip))
    };
    let cmdline: String = std::iter::once(cmdline).chain(wired(vm).enumerate().filter_map(address)).collect();
    let named = format!("{cmdline}{}", names_of(vm));
    // The address is needed to be reached at all; names of many are left to whoever made the guest.
    if named.len() > LONGEST { cmdline } else { named }
}

fn names_of(vm: &Vm) -> String {
    let hosts = vm.hardware.uplink.iter().flat_map(|uplink| &uplink.hosts).filter(|(ip, _)| ip.is_ipv4());
    let pairs: Vec<String> =
        hosts.flat_map(|(ip, names)| names.iter().map(move |name| format!("{name}/{ip}"))).collect();
    if pairs.is_empty() { String::new() } else { format!(" vmcompose.hosts={}", pairs.join(",")) }
}
