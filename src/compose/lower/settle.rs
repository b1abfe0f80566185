//! Addresses: each vm gets its MAC and IP on each of its networks.
//!
//! Owns the checks of what the user fixed, and fills in the rest with `model::address`. Knows nothing of what else a vm
//! has, so that templates in the rest can use the addresses.

mod ip6;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::network::{IMPLICIT, Networks};
use super::{Instance, Surroundings, siblings, subject, unknown};
use crate::compose::decode::At;
use crate::compose::diagnostic::Diagnostic;
use crate::compose::place::Place;
use crate::compose::schema::guest::Fqdn;
use crate::compose::schema::vm::{Ip, MacText, VmNetwork, VmNetworks};
use crate::model::{Host, Interface, Mac, Network, NetworkMode, address};
use crate::names::{NetworkName, ProjectName, VmName};

pub(super) use ip6::untold;

/// What of a vm matters here.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    /// Its networks; `None` is the implicit one.
    pub(crate) networks: Option<VmNetworks>,
    /// Its host name; its own name where there is none.
    pub(crate) hostname: Option<(String, Place)>,
}

impl Wish {
    /// Whether it is on a network of this name; where it names none, it is on the implicit one.
    pub(crate) fn is_on(&self, network: &str) -> bool {
        match &self.networks {
            None => network == IMPLICIT,
            Some(VmNetworks(wishes)) => wishes.iter().any(|(name, _)| name.as_str() == network),
        }
    }
}

/// Networks with their hosts, and every vm's interfaces in the order of the file.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    pub(crate) networks: Networks,
    pub(crate) interfaces: BTreeMap<VmName, Vec<Interface>>,
}

/// One vm on one network.
struct Member<'a> {
    instance: &'a Instance<Wish>,
    /// Place among the vm's interfaces.
    slot: usize,
    /// The network's name in the vm.
    place: Place,
    ip: Option<&'a At<Ip>>,
    mac: Option<&'a At<MacText>>,
    wish: Option<&'a VmNetwork>,
}

impl Member<'_> {
    fn aliases(&self) -> &[At<Fqdn>] {
        self.wish.map_or(&[], |wish| &wish.aliases)
    }

    fn default_route(&self) -> Option<&At<bool>> {
        self.wish.and_then(|wish| wish.default_route.as_ref()).filter(|route| route.value)
    }
}

/// Settles all addresses.
pub(crate) fn settle(
    project: &ProjectName,
    mut networks: Networks,
    instances: &[Instance<Wish>],
    surroundings: &Surroundings,
    mistakes: &mut Vec<Diagnostic>,
) -> Settled {
    let members = members(&networks, instances, mistakes);
    let mut slots: BTreeMap<VmName, Vec<(usize, Interface)>> = BTreeMap::new();
    let mut macs = BTreeMap::new();
    for (name, members) in &members {
        let Some(network) = networks.get_mut(name) else { continue };
        let fixed = fixed(&network.spec, members, mistakes);
        let fixed6 = ip6::fixed(&network.spec, members, mistakes);
        routed(&network.spec, members, mistakes);
        fixed_macs(members, &mut macs, mistakes);
        host_names(name, members, mistakes);
        let wanted = members.iter().filter(|m| m.ip.is_none()).map(|m| m.instance.name.clone()).collect();
        let taken = fixed.values().copied().collect();
        let chosen = address::addresses(project, name, network.spec.subnet, &wanted, &taken, surroundings);
        if chosen.len() < wanted.len() {
            mistakes.push(full(network.spec.subnet, name, network.place, members.len()));
        }
        let mut used: BTreeSet<Mac> = members.iter().filter_map(|m| m.mac.map(|mac| mac.0)).collect();
        for member in members {
            let vm = &member.instance.name;
            let Some(ip) = fixed.get(vm).or_else(|| chosen.get(vm)).copied() else { continue };
            let mac = member.mac.map_or_else(|| free_mac(project, name, member, &fixed, &mut used), |mac| mac.0);
            let own = || network.spec.settings.subnet6.map(|subnet| address::eui64(subnet, mac));
            let ip6 = fixed6.get(vm).copied().or_else(own);
            network.spec.hosts.insert(vm.clone(), Host { mac, ip, ip6, names: names(member) });
            let default_route = member.default_route().is_some();
            let mtu = network.spec.settings.mtu;
            let interface = Interface { network: name.clone(), mac, ip, ip6, default_route, mtu, wire: None };
            slots.entry(vm.clone()).or_default().push((member.slot, interface));
        }
    }
    let in_order = |mut found: Vec<(usize, Interface)>| {
        found.sort_by_key(|(slot, _)| *slot);
        found.into_iter().map(|(_, interface)| interface).collect()
    };
    let interfaces = slots.into_iter().map(|(vm, found)| (vm, in_order(found))).collect();
    Settled { networks, interfaces }
}

/// Who is on which network. An unknown network, or one that a vm names twice, is a mistake.
fn members<'a>(
    networks: &Networks,
    instances: &'a [Instance<Wish>],
    mistakes: &mut Vec<Diagnostic>,
) -> BTreeMap<NetworkName, Vec<Member<'a>>> {
    let mut members: BTreeMap<NetworkName, Vec<Member<'a>>> = BTreeMap::new();
    for instance in instances {
        let Some(VmNetworks(wishes)) = &instance.spec.networks else {
            if let Ok(name) = NetworkName::new(IMPLICIT) {
                let member = Member { instance, slot: 0, place: instance.place, ip: None, mac: None, wish: None };
                members.entry(name).or_default().push(member);
            }
            continue;
        };
        let mut seen: BTreeMap<&str, Place> = BTreeMap::new();
        one_default_route(instance, wishes, mistakes);
        for (slot, (wish, own)) in wishes.iter().enumerate() {
            if let Some(first) = seen.insert(wish, wish.place) {
                let twice = Diagnostic::error(format!("{} is on network `{}` twice", subject(instance), wish.value));
                mistakes.push(twice.at(wish.place, "named again here").and(first, "first named here"));
                continue;
            }
            let name = NetworkName::new(wish.value.as_str()).ok().filter(|name| networks.contains_key(name));
            if let Some(name) = name {
                let (ip, mac) = (own.ip.as_ref(), own.mac.as_ref());
                let member = Member { instance, slot, place: wish.place, ip, mac, wish: Some(own) };
                members.entry(name).or_default().push(member);
            } else {
                let known = networks.keys().map(NetworkName::as_str);
                mistakes.push(unknown("network", wish, &subject(instance), known));
            }
        }
    }
    members
}

/// With two default routes, which one answers is chance.
fn one_default_route(instance: &Instance<Wish>, wishes: &[(At<String>, VmNetwork)], mistakes: &mut Vec<Diagnostic>) {
    let chosen = wishes.iter().filter_map(|(_, own)| own.default_route.as_ref().filter(|route| route.value));
    if let [first, second, ..] = chosen.collect::<Vec<_>>().as_slice() {
        let twice = Diagnostic::error(format!("{} has two default routes", subject(instance)));
        mistakes.push(twice.at(second.place, "and this one").and(first.place, "this one"));
    }
}

/// What only the network can say of its members: no route leads out of an isolated one, and one of the host's reserves
/// no addresses for us.
fn routed(network: &Network, members: &[Member<'_>], mistakes: &mut Vec<Diagnostic>) {
    for member in members {
        if let Some(route) = member.default_route().filter(|_| network.mode == NetworkMode::Isolated) {
            let nowhere = format!("the default route of {} leads nowhere", subject(member.instance));
            let label = format!("network `{}` is isolated", network.name);
            mistakes.push(Diagnostic::error(nowhere).at(route.place, label));
        }
        if network.is_foreign() && member.ip.is_none() {
            let subject = subject(member.instance);
            let unknown = format!("{subject} needs an `ip` on network `{}`, which is the host's own", network.name);
            let hint = format!("choose one that is free there: `networks: {{{}: {{ip: …}}}}`", network.name);
            mistakes.push(Diagnostic::error(unknown).at(member.place, "no `ip`").hint(hint));
        }
    }
}

/// The addresses that the user fixed, as far as they can be had.
fn fixed(network: &Network, members: &[Member<'_>], mistakes: &mut Vec<Diagnostic>) -> BTreeMap<VmName, Ipv4Addr> {
    let (subnet, network, gateway) = (network.subnet, &network.name, network.gateway());
    let mut fixed = BTreeMap::new();
    let mut owners: BTreeMap<Ipv4Addr, &Member<'_>> = BTreeMap::new();
    for member in members {
        let Some(ip) = member.ip else { continue };
        if let Err(reason) = address::check(subnet, gateway, ip.0) {
            let outside = Diagnostic::error(format!("address `{}` is {reason}", ip.0));
            let hint = format!("network `{network}` is `{subnet}`; its vms have {}", usable(subnet));
            mistakes.push(outside.at(ip.place, format!("cannot be given to {}", subject(member.instance))).hint(hint));
            continue;
        }
        match owners.insert(ip.0, member) {
            None => {
                fixed.insert(member.instance.name.clone(), ip.0);
            }
            Some(other) if siblings(other.instance, member.instance) => {
                owners.insert(ip.0, other);
                mistakes.push(shared_by_replicas(ip, other.instance, member.instance));
            }
            Some(other) => {
                let place = other.ip.map_or(other.place, |ip| ip.place);
                mistakes.push(
                    Diagnostic::error(format!("address `{}` is given to two vms of network `{network}`", ip.0))
                        .at(ip.place, format!("to {}", subject(member.instance)))
                        .and(place, format!("and to {}", subject(other.instance))),
                );
            }
        }
    }
    fixed
}

fn shared_by_replicas(ip: &At<Ip>, first: &Instance<Wish>, second: &Instance<Wish>) -> Diagnostic {
    let [a, b, c, _] = ip.0.octets();
    Diagnostic::error(format!("a fixed `ip` cannot be shared by replicas `{}` and `{}`", first.name, second.name))
        .at(ip.place, "one address for several vms")
        .hint(format!("leave it out, or make it differ: `ip: \"{a}.{b}.{c}.{{{{ 10 + index }}}}\"`"))
}

fn usable(subnet: ipnet::Ipv4Net) -> String {
    let mut hosts = subnet.hosts();
    match (hosts.nth(1), Some(Ipv4Addr::from(u32::from(subnet.broadcast()).saturating_sub(1)))) {
        (Some(first), Some(last)) => format!("`{first}` to `{last}`"),
        _ => "no addresses".to_owned(),
    }
}

fn full(subnet: ipnet::Ipv4Net, network: &NetworkName, place: Place, members: usize) -> Diagnostic {
    let room = u32::from(subnet.broadcast()).saturating_sub(u32::from(subnet.network())).saturating_sub(2);
    Diagnostic::error(format!("network `{network}` has room for {room} vms in `{subnet}`, but {members} are on it"))
        .at(place, "too small")
        .hint("give it a larger `subnet`, such as a `/16`")
}

/// Hardware addresses that the user fixed: none twice in the project.
fn fixed_macs<'a>(members: &[Member<'a>], seen: &mut BTreeMap<Mac, &'a At<MacText>>, mistakes: &mut Vec<Diagnostic>) {
    for member in members {
        let Some(mac) = member.mac else { continue };
        if let Some(first) = seen.insert(mac.0, mac) {
            let twice = Diagnostic::error(format!("hardware address `{}` is given twice", mac.0));
            let twice = twice.at(mac.place, "given again here");
            mistakes.push(if first.place == mac.place {
                twice.hint("replicas need one each; leave it out, or make it differ by `{{ index }}`")
            } else {
                twice.and(first.place, "first given here")
            });
        }
    }
}

/// The hash of the names gives 24 bits: among thousands of vms of one network two meet now and then. The next free
/// one is taken then.
fn free_mac(
    project: &ProjectName,
    network: &NetworkName,
    member: &Member<'_>,
    fixed: &BTreeMap<VmName, Ipv4Addr>,
    used: &mut BTreeSet<Mac>,
) -> Mac {
    let vm = &member.instance.name;
    let mut mac = address::mac(project, network, vm, fixed.get(vm).copied());
    while !used.insert(mac) {
        let [.., a, b, c] = mac.0;
        let [_, a, b, c] = (u32::from_be_bytes([0, a, b, c]) + 1).to_be_bytes();
        mac.0[3..].copy_from_slice(&[a, b, c]);
    }
    mac
}

/// What a vm is called on the network: its host name, its own name where that is another, the name that it has together
/// with its replicas, and its aliases. A name that several have is answered with the addresses of all.
fn names(member: &Member<'_>) -> Vec<String> {
    let instance = member.instance;
    let own = instance.name.to_string();
    let mut names = vec![instance.spec.hostname.as_ref().map_or_else(|| own.clone(), |(name, _)| name.clone())];
    names.push(own);
    names.extend(instance.group.as_ref().map(ToString::to_string));
    names.extend(member.aliases().iter().map(|alias| alias.0.clone()));
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// A host name that two vms of a network have is answered by chance; an alias may be shared, but not be another's name.
fn host_names(network: &NetworkName, members: &[Member<'_>], mistakes: &mut Vec<Diagnostic>) {
    let own: BTreeMap<&str, &Member<'_>> =
        members.iter().map(|member| (member.instance.name.as_str(), member)).collect();
    for member in members {
        for alias in member.aliases() {
            let Some(other) = own.get(alias.0.as_str()).filter(|other| other.instance.name != member.instance.name)
            else {
                continue;
            };
            let taken = Diagnostic::error(format!("alias `{}` is the name of another vm", alias.0));
            let here = format!("on network `{network}`");
            mistakes.push(taken.at(alias.place, here).and(other.instance.place, "this one"));
        }
    }
    let mut owners: BTreeMap<&str, &Member<'_>> = BTreeMap::new();
    for member in members {
        let own = member.instance.name.as_str();
        let (name, place) =
            member.instance.spec.hostname.as_ref().map_or((own, member.instance.place), |(name, at)| (name, *at));
        let Some(other) = owners.insert(name, member) else { continue };
        if other.instance.name == member.instance.name {
            // Two vms of one name are reported as such.
            continue;
        }
        let first = other.instance.spec.hostname.as_ref().map_or(other.instance.place, |(_, at)| *at);
        let twice = Diagnostic::error(format!(
            "host name `{name}` on network `{network}` is that of both `{}` and `{}`",
            other.instance.name, member.instance.name
        ))
        .at(place, "used again here");
        mistakes.push(if first == place {
            twice.hint("replicas need one each; leave it out, or make it differ by `{{ index }}`")
        } else {
            twice.and(first, "first used here")
        });
    }
}
