//! IPv6 addresses that the user fixed, and whether a guest gets to know of an address at all.
//!
//! Owns these checks. All other IPv6 addresses follow from hardware addresses.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use super::{Instance, Member, Networks, siblings, subject};
use crate::compose::diagnostic::Diagnostic;
use crate::compose::schema::vm::Vm;
use crate::model::{self, Network, address};
use crate::names::VmName;

/// The addresses that the user fixed, as far as they can be had.
pub(super) fn fixed(
    network: &Network,
    members: &[Member<'_>],
    mistakes: &mut Vec<Diagnostic>,
) -> BTreeMap<VmName, Ipv6Addr> {
    let mut fixed = BTreeMap::new();
    let mut owners: BTreeMap<Ipv6Addr, &Member<'_>> = BTreeMap::new();
    for member in members {
        let Some(ip) = member.wish.and_then(|wish| wish.ip6.as_ref()) else { continue };
        let Some(subnet) = network.settings.subnet6 else {
            let none = Diagnostic::error(format!("network `{}` has no IPv6 addresses", network.name));
            let hint = "give the network a `subnet6`, such as `fd00:20::/64`";
            mistakes.push(none.at(ip.place, format!("cannot be given to {}", subject(member.instance))).hint(hint));
            continue;
        };
        if let Err(reason) = address::check6(subnet, ip.0) {
            let outside = Diagnostic::error(format!("address `{}` is {reason}", ip.0));
            let hint = format!("network `{}` is `{subnet}`", network.name);
            mistakes.push(outside.at(ip.place, format!("cannot be given to {}", subject(member.instance))).hint(hint));
            continue;
        }
        if let Some(other) = owners.insert(ip.0, member) {
            mistakes.push(twice(ip.0, member, other));
        }
        fixed.insert(member.instance.name.clone(), ip.0);
    }
    fixed
}

fn twice(ip: Ipv6Addr, member: &Member<'_>, other: &Member<'_>) -> Diagnostic {
    let place =
        |member: &Member<'_>| member.wish.and_then(|wish| wish.ip6.as_ref()).map_or(member.place, |ip| ip.place);
    if siblings(member.instance, other.instance) {
        let (first, second) = (&other.instance.name, &member.instance.name);
        return Diagnostic::error(format!("a fixed `ip6` cannot be shared by replicas `{first}` and `{second}`"))
            .at(place(member), "one address for several vms")
            .hint("leave it out, or make it differ by `{{ index }}`");
    }
    Diagnostic::error(format!("address `{ip}` is given to two vms"))
        .at(place(member), format!("to {}", subject(member.instance)))
        .and(place(other), format!("and to {}", subject(other.instance)))
}

/// A guest without cloud-init gets its address by DHCP, and its IPv6 address of what the router tells; of all others it
/// hears nothing.
pub(in crate::compose::lower) fn untold(
    instance: &Instance<Vm>,
    vm: &model::Vm,
    networks: &Networks,
    warnings: &mut Vec<Diagnostic>,
) {
    if vm.cloud_init.is_some() {
        return;
    }
    for interface in &vm.interfaces {
        let Some(network) = networks.get(&interface.network).map(|declared| &declared.spec) else { continue };
        let subnet6 = network.settings.subnet6;
        let made = subnet6.map(|subnet| address::eui64(subnet, interface.mac));
        let unheard = if network.has_dhcp() {
            interface.ip6.filter(|ip| Some(*ip) != made).map(|ip| ip.to_string())
        } else {
            Some(interface.ip.to_string())
        };
        if let Some(ip) = unheard {
            let silent =
                format!("{} has no `cloud_init`, by which it would be told its address `{ip}`", subject(instance));
            let label = format!("on network `{}`", network.name);
            warnings.push(Diagnostic::warning(silent).at(instance.place, label).hint("set it up in the guest itself"));
        }
    }
}
