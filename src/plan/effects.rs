//! Which change of a spec has which effect: one table each for vms, networks and volumes, which the documentation is made from.
//!
//! Owns the tables and what narrows it down in a particular case. Knows nothing of operations.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{Boot, Interface, Mac, Network, Vm};
use crate::names::NetworkName;
use crate::plan::diff::is_disk_size;
use crate::state::Shape;
use crate::state::seen::disk_name;

/// What a change costs, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// It is only recorded with the vm.
    Recorded,
    /// It is made while the vm runs.
    Live,
    /// The network is started anew, and its vms are plugged in again.
    Interruption,
    /// The guest is shut down, and started again as a changed machine.
    Reboot,
    /// The vm is made anew, with new disks of its own.
    Replace,
    /// It cannot be made.
    Impossible,
}

impl Class {
    /// Its word in the documentation.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recorded | Self::Live => "live",
            Self::Interruption => "interruption",
            Self::Reboot => "reboot",
            Self::Replace => "replace",
            Self::Impossible => "refused",
        }
    }
}

/// A field, what a change of it costs, and how it is made.
pub type Entry = (&'static str, Class, &'static str);

/// Every field of a vm's spec but its name.
pub const TABLE: [Entry; 37] = [
    ("accel", Class::Reboot, ""),
    ("annotations", Class::Recorded, "recorded with the vm"),
    ("autostart", Class::Live, ""),
    (
        "boot",
        Class::Replace,
        "another image; a kernel, initrd, command line or disc at a reboot; from and to a machine that is there: refused",
    ),
    ("cloud_init", Class::Replace, "a guest reads its seed at its first boot only"),
    ("cpu", Class::Reboot, ""),
    ("cpus", Class::Live, "more, within `max_cpus` as it was when the vm was started; else at a reboot"),
    ("depends_on", Class::Recorded, "recorded with the vm"),
    ("devices", Class::Reboot, ""),
    ("disk", Class::Recorded, "it grows; it never shrinks"),
    (
        "disks",
        Class::Live,
        "attached and detached; the guest has to let go. Another order at a reboot. Their sizes grow, and never shrink",
    ),
    ("firmware", Class::Reboot, "its variables begin anew"),
    ("graphics", Class::Reboot, ""),
    ("healthcheck", Class::Recorded, "recorded with the vm"),
    ("hostname", Class::Replace, "where the guest has a seed; else live, in the network's DNS"),
    ("hugepages", Class::Reboot, ""),
    ("ignition", Class::Replace, "a guest reads it at its first boot only"),
    (
        "interfaces",
        Class::Live,
        "attached and detached; another `ip`, `mtu` or order at a reboot; where the guest has a seed, by replacement: another `ip6` or \
         `default_route`, another `ip` on a network without DHCP, or one that the hardware address follows from",
    ),
    ("labels", Class::Recorded, "recorded with the vm"),
    ("limits", Class::Live, ""),
    ("machine", Class::Reboot, ""),
    ("max_cpus", Class::Reboot, ""),
    ("max_memory", Class::Reboot, ""),
    (
        "memory",
        Class::Live,
        "within `max_memory` as it was when the vm was started; else at a reboot. Less, once the guest gives it back: it has to have \
         a balloon driver",
    ),
    ("ports", Class::Reboot, "the first ones by replacement, where the guest has a seed: it is told of their card"),
    ("protect", Class::Recorded, "recorded with the vm"),
    ("provision", Class::Recorded, "done in the guest, from the task on that changed"),
    ("replica_of", Class::Recorded, "recorded with the vm"),
    ("restart", Class::Reboot, ""),
    ("secure_boot", Class::Reboot, "its variables begin anew"),
    ("shares", Class::Reboot, "another place in the guest by replacement: its seed says what is mounted where"),
    ("ssh", Class::Recorded, "recorded with the vm"),
    ("stop_grace_period", Class::Recorded, "recorded with the vm"),
    ("tpm", Class::Reboot, ""),
    (
        "uplink",
        Class::Replace,
        "the way out of a VM of `qemu:///session`, which follows from its networks; at a reboot where the guest has no seed",
    ),
    ("watchdog", Class::Reboot, ""),
    ("xml", Class::Reboot, ""),
];

/// Every field of a network's spec but its name.
pub const NETWORK_TABLE: [Entry; 14] = [
    ("bandwidth", Class::Interruption, ""),
    ("device", Class::Interruption, "where vms share an interface of the host, they are restarted"),
    (
        "dhcp",
        Class::Interruption,
        "another range for one that was given: live. Guests with a seed that lose DHCP are replaced",
    ),
    ("dns", Class::Live, "other `forwarders`: interruption"),
    ("domain", Class::Interruption, ""),
    ("gateway", Class::Recorded, "recorded; guests that are made later are told of it"),
    ("hosts", Class::Live, "addresses and names of the vms"),
    ("labels", Class::Recorded, "recorded with the network"),
    ("mode", Class::Interruption, "to or from `direct`, its vms are restarted"),
    ("mtu", Class::Interruption, "its vms are restarted"),
    ("routes", Class::Interruption, "guests hear of it when they ask for their address again"),
    ("subnet", Class::Interruption, "its vms get other addresses, at a reboot"),
    ("subnet6", Class::Interruption, "its vms get other addresses, at a reboot or by replacement"),
    ("vlan", Class::Interruption, ""),
];

/// Every field of a volume's spec but its name.
pub const VOLUME_TABLE: [Entry; 3] = [
    ("pool", Class::Impossible, "`volume export` and `volume import` carry its data over"),
    (
        "shared",
        Class::Impossible,
        "its format would be another; `volume export` and `volume import` carry its data over",
    ),
    ("size", Class::Live, "it grows, also under a vm that runs; it never shrinks"),
];

/// What the change of one field of a network costs, by its path within the spec.
pub(super) fn network_class(path: &str, from: &Network, to: &Network) -> Class {
    let top = path.split('.').next().unwrap_or(path);
    let entry = NETWORK_TABLE.iter().find(|(field, ..)| *field == top);
    // A field that the table does not have, or that no spec has, is put right from the ground up.
    let listed = entry.map_or(Class::Interruption, |(_, class, _)| *class);
    let (old, new) = (&from.settings, &to.settings);
    // What dnsmasq is told at its start depends on whether a range was given.
    let serves = |network: &Network| (network.settings.dhcp.off, network.settings.dhcp.range.is_some());
    match top {
        "dhcp" if path != "dhcp.options" && serves(from) == serves(to) => Class::Live,
        "dns" if old.dns.forwarders != new.dns.forwarders => Class::Interruption,
        _ => listed,
    }
}

/// The networks of the project as they were recorded and as they shall be: what a guest was told of them, and would be.
#[derive(Clone, Copy)]
pub(super) struct Lans<'a> {
    pub(super) before: &'a BTreeMap<NetworkName, Network>,
    pub(super) after: &'a BTreeMap<NetworkName, Network>,
}

impl Lans<'_> {
    /// Whether its seed told a guest this address; otherwise it asks.
    fn told(networks: &BTreeMap<NetworkName, Network>, nic: &Interface) -> bool {
        networks.get(&nic.network).is_some_and(|network| !network.has_dhcp())
    }

    /// Whether a guest that asked for its address has to be told it from now on.
    pub(super) fn tells_now(self, old: &Interface, new: &Interface) -> bool {
        !Self::told(self.before, old) && Self::told(self.after, new)
    }

    /// Whether a guest was told an address that is no longer its own.
    fn told_wrong(self, old: &Interface, new: &Interface) -> bool {
        let length = |networks: &BTreeMap<NetworkName, Network>, nic: &Interface| {
            networks.get(&nic.network).map(|network| network.subnet.prefix_len())
        };
        let moved = old.ip != new.ip || length(self.before, old) != length(self.after, new);
        Self::told(self.before, old) && moved
    }
}

/// What the change of one field, by its path within the spec, costs for this vm.
pub(super) fn class(path: &str, from: &Vm, to: &Vm, running: Option<&Shape>, lans: Lans<'_>) -> Class {
    let top = path.split('.').next().unwrap_or(path);
    let entry = TABLE.iter().find(|(field, ..)| *field == top);
    // A field that the table does not have is a mistake that a test finds; nothing is risked for it.
    let listed = entry.map_or(Class::Impossible, |(_, class, _)| *class);
    match top {
        "boot" if path.ends_with(".existing.start") => Class::Recorded,
        "boot" if from.existing().or(to.existing()).is_some() => Class::Impossible,
        "boot" if keeps_disk(&from.boot, &to.boot) => Class::Reboot,
        "hostname" if to.cloud_init.is_none() && from.cloud_init.is_none() => Class::Recorded,
        "memory" | "cpus" if running.is_some_and(|shape| !fits(top, to, shape)) => Class::Reboot,
        "disks" if path == "disks.order" && turned(&disks(from), &disks(to)) => Class::Reboot,
        "interfaces" if path == "interfaces.order" && turned(&cards(from), &cards(to)) => {
            interfaces(from, to, lans).max(Class::Reboot)
        }
        "interfaces" => interfaces(from, to, lans),
        "ports" if !from.has_own_card() && to.cloud_init.is_some() => Class::Replace,
        "uplink" if path.starts_with("uplink.hosts") => Class::Recorded,
        "uplink" if to.cloud_init.is_none() => Class::Reboot,
        // Its growth is an operation of its own.
        "disks" if is_disk_size(path) => Class::Recorded,
        _ => listed,
    }
}

fn disks(vm: &Vm) -> Vec<String> {
    vm.disks.iter().map(disk_name).collect()
}

fn cards(vm: &Vm) -> Vec<Mac> {
    vm.interfaces.iter().map(|nic| nic.mac).collect()
}

/// Whether those that stay are in another order: a guest that runs has each where it found it. A disk may be called `order`.
fn turned<T: PartialEq>(from: &[T], to: &[T]) -> bool {
    let was = from.iter().filter(|name| to.contains(name));
    let is = to.iter().filter(|name| from.contains(name));
    !was.eq(is)
}

/// Whether what is on the vm's disks has nothing to do with what it boots.
fn keeps_disk(from: &Boot, to: &Boot) -> bool {
    matches!((from, to), (Boot::Kernel { .. }, Boot::Kernel { .. }) | (Boot::Cdrom(_), Boot::Cdrom(_)))
}

/// Whether the vm, as it was started, can have that while it runs. A processor is taken away only by a reboot: guests do
/// not give up those that they booted with.
fn fits(field: &str, to: &Vm, running: &Shape) -> bool {
    match field {
        "memory" => to.memory <= running.max_memory,
        _ => to.cpus >= running.cpus && to.cpus <= running.max_cpus,
    }
}

/// What becomes of interfaces that stay. A guest asks for its address when it boots, and of the rest it is told by its
/// seed.
fn interfaces(from: &Vm, to: &Vm, lans: Lans<'_>) -> Class {
    let seed = to.cloud_init.is_some();
    let class = |old: &Interface, new: &Interface| {
        let told = lans.tells_now(old, new) || lans.told_wrong(old, new);
        if seed && (told || (old.ip6, old.default_route) != (new.ip6, new.default_route)) {
            Class::Replace
        } else if (old.ip, old.ip6, &old.network, old.mtu) != (new.ip, new.ip6, &new.network, new.mtu) {
            Class::Reboot
        } else {
            Class::Live
        }
    };
    // Another wire is another card of the machine.
    let wires =
        |vm: &Vm| -> Vec<_> { vm.interfaces.iter().filter(|nic| nic.wire.is_some()).map(|nic| nic.mac).collect() };
    if wires(from) != wires(to) {
        return if seed { Class::Replace } else { Class::Reboot };
    }
    let stays = |new: &Interface| from.interfaces.iter().find(|old| old.mac == new.mac);
    let goes = |old: &&Interface| !to.interfaces.iter().any(|nic| nic.mac == old.mac);
    // Its hardware address may follow from its address. A guest knows its cards by that: by its seed, or as they were when
    // it booted.
    let instead = |new: &Interface| from.interfaces.iter().filter(goes).any(|old| old.network == new.network);
    let cost = |new: &Interface| match stays(new) {
        Some(old) => class(old, new),
        None if instead(new) => {
            if seed {
                Class::Replace
            } else {
                Class::Reboot
            }
        }
        None => Class::Live,
    };
    to.interfaces.iter().map(cost).max().unwrap_or(Class::Live)
}
