//! Addresses: which subnet a network gets, which MAC and IP a vm gets on it.
//!
//! Owns the choice, a pure function of names, of what the user fixed and of what is in use already. The same names get
//! the same addresses everywhere; a vm that has one keeps it, whoever comes or goes. Knows nothing of libvirt, which
//! only reports what is in use.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use super::port::Port;
use crate::names::{NetworkName, ProjectName, VmName};

/// A 48-bit hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.map(|octet| format!("{octet:02x}")).join(":"))
    }
}

impl FromStr for Mac {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || {
            format!("`{text}` is not a MAC address; write six pairs of hexadecimal digits, such as `52:54:00:12:34:56`")
        };
        let parts: Vec<&str> = text.split([':', '-']).collect();
        let octets: Vec<u8> =
            parts.iter().filter(|p| p.len() == 2).filter_map(|p| u8::from_str_radix(p, 16).ok()).collect();
        let octets: [u8; 6] =
            if parts.len() == 6 { octets.try_into().map_err(|_| malformed())? } else { return Err(malformed()) };
        if octets[0] & 1 == 1 {
            return Err(format!("`{text}` is a multicast address (the first octet is odd); a vm needs a unicast one"));
        }
        Ok(Self(octets))
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mac {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A network interface of the hypervisor's host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Whether it is a bridge, and if so, whether it tells VLANs apart.
    pub bridge: Option<bool>,
}

/// What is in use around a project before it is planned: the input that keeps addresses apart and in place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Subnets of other projects, other networks and the host itself, each with who has it.
    pub subnets: Vec<(Ipv4Net, String)>,
    /// The same of IPv6.
    pub subnets6: Vec<(Ipv6Net, String)>,
    /// The hypervisor is an ordinary user's own, which has no right to make networks.
    pub rootless: bool,
    /// The host's network interfaces; `None` where they cannot be seen.
    pub devices: Option<Vec<Device>>,
    /// Ports of the host that are taken, each with who has it.
    pub ports: Vec<(Port, String)>,
    /// Subnets that networks of this project have now.
    pub own_subnets: BTreeMap<NetworkName, Ipv4Net>,
    /// Addresses that vms of this project have now.
    pub leases: BTreeMap<(NetworkName, VmName), Ipv4Addr>,
}

impl Surroundings {
    /// Whether these networks and interfaces are what they would be had all this been known when they were settled.
    pub fn agree_with<'a>(
        &self,
        networks: impl Iterator<Item = (&'a NetworkName, Ipv4Net)>,
        interfaces: impl Iterator<Item = (&'a NetworkName, &'a VmName, Ipv4Addr)>,
    ) -> bool {
        let same = |(name, subnet): (&NetworkName, Ipv4Net)| {
            let free = self.subnets.iter().all(|(taken, _)| !overlap(*taken, subnet));
            free && self.own_subnets.get(name).is_none_or(|own| *own == subnet)
        };
        let mut settled: BTreeMap<(&NetworkName, Ipv4Addr), &VmName> = BTreeMap::new();
        let kept = |(network, vm, ip): (&'a NetworkName, &'a VmName, Ipv4Addr)| {
            settled.insert((network, ip), vm);
            self.leases.get(&(network.clone(), vm.clone())).is_none_or(|lease| *lease == ip)
        };
        let mut networks = networks;
        let mut interfaces = interfaces;
        let agreed = networks.all(same) && interfaces.all(kept);
        let own = |((network, vm), ip): (&(NetworkName, VmName), &Ipv4Addr)| {
            settled.get(&(network, *ip)).is_none_or(|holder| *holder == vm)
        };
        agreed && self.leases.iter().all(own)
    }
}

/// From where subnets are taken when the file names none: 16,384 of them, inside RFC 1918's 10.0.0.0/8 but away from
/// the low numbers that people and clouds use.
const SUBNETS: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 192, 0, 0), 10);
const PREFIX: u8 = 24;

fn hash(parts: &[&str]) -> u64 {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update(part.as_bytes());
        sha.update([0]);
    }
    let bytes: [u8; 32] = sha.finalize().into();
    u64::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]])
}

fn overlap(a: Ipv4Net, b: Ipv4Net) -> bool {
    a.contains(&b) || b.contains(&a)
}

/// A subnet for each network that has none: the one it has now, else one picked by its name, the next free one where
/// that is taken. `fixed` are the subnets that the file gives to other networks.
///
/// Returns no entry for a network only when all 16,384 subnets are taken.
pub fn subnets(
    project: &ProjectName,
    wanted: &BTreeSet<NetworkName>,
    fixed: &[Ipv4Net],
    surroundings: &Surroundings,
) -> BTreeMap<NetworkName, Ipv4Net> {
    let taken = surroundings.subnets.iter().map(|(net, _)| *net);
    let mut taken: Vec<Ipv4Net> = taken.chain(fixed.iter().copied()).collect();
    let mut chosen = BTreeMap::new();
    let keeps = |name: &&NetworkName| surroundings.own_subnets.contains_key(*name);
    let (kept, new): (Vec<_>, Vec<_>) = wanted.iter().partition(keeps);
    for name in kept.into_iter().chain(new) {
        let count = 1u64 << (PREFIX - SUBNETS.prefix_len());
        let start = hash(&[project.as_str(), name.as_str()]) % count;
        let current = surroundings.own_subnets.get(name).copied();
        let candidates = current.into_iter().chain((0..count).map(|step| nth_subnet((start + step) % count)));
        let free = |net: &Ipv4Net| !taken.iter().any(|other| overlap(*net, *other));
        if let Some(net) = candidates.into_iter().find(free) {
            taken.push(net);
            chosen.insert(name.clone(), net);
        }
    }
    chosen
}

fn nth_subnet(n: u64) -> Ipv4Net {
    let base = u32::from(SUBNETS.network());
    let offset = u32::try_from(n).unwrap_or(0) << (32 - PREFIX);
    Ipv4Net::new_assert(Ipv4Addr::from(base + offset), PREFIX)
}

/// An address for each vm of a network that has none: the one it has now, else one picked by its name, the next free
/// one where that is taken. `fixed` are the addresses that the file gives.
///
/// Network, broadcast and gateway (the first host) are never given out. Returns no entry for a vm that finds the
/// subnet full.
pub fn addresses(
    project: &ProjectName,
    network: &NetworkName,
    subnet: Ipv4Net,
    wanted: &BTreeSet<VmName>,
    fixed: &BTreeSet<Ipv4Addr>,
    surroundings: &Surroundings,
) -> BTreeMap<VmName, Ipv4Addr> {
    let usable = usable(subnet);
    // Whoever is no longer wanted may still run, and use its address.
    let others = surroundings.leases.iter().filter(|((on, vm), _)| on == network && !wanted.contains(vm));
    let mut taken: BTreeSet<Ipv4Addr> = fixed.iter().chain(others.map(|(_, ip)| ip)).copied().collect();
    let mut chosen = BTreeMap::new();
    let current = |vm: &VmName| surroundings.leases.get(&(network.clone(), vm.clone())).copied();
    let keeps = |vm: &&VmName| current(vm).is_some_and(|ip| usable.contains(&u32::from(ip)) && !fixed.contains(&ip));
    // Those who have an address choose first, so that a newcomer never takes it from them.
    let (kept, new): (Vec<_>, Vec<_>) = wanted.iter().partition(keeps);
    let count = u64::from(usable.end - usable.start);
    for vm in kept.into_iter().chain(new) {
        if let Some(ip) = current(vm).filter(|ip| usable.contains(&u32::from(*ip)) && taken.insert(*ip)) {
            chosen.insert(vm.clone(), ip);
            continue;
        }
        let start = hash(&[project.as_str(), network.as_str(), vm.as_str()]).checked_rem(count).unwrap_or(0);
        let nth = |step: u64| Ipv4Addr::from(usable.start + u32::try_from((start + step) % count).unwrap_or(0));
        if let Some(ip) = (0..count).map(nth).find(|ip| taken.insert(*ip)) {
            chosen.insert(vm.clone(), ip);
        }
    }
    chosen
}

/// The addresses of a subnet that a vm may have, as numbers: without network, gateway and broadcast.
fn usable(subnet: Ipv4Net) -> std::ops::Range<u32> {
    let first = u32::from(subnet.network()).saturating_add(2);
    first..u32::from(subnet.broadcast()).max(first)
}

/// The address that a router has unless it says otherwise.
pub fn first_host(subnet: Ipv4Net) -> Ipv4Addr {
    subnet.hosts().next().unwrap_or(subnet.addr())
}

/// The same of IPv6.
pub fn first_host6(subnet: Ipv6Net) -> Ipv6Addr {
    Ipv6Addr::from(u128::from(subnet.network()) | 1)
}

/// The IPv6 address that an interface makes itself of what the router tells (RFC 4291, appendix A). It follows from the
/// hardware address, so that it is known before the guest boots, and needs nobody to hand it out.
pub fn eui64(subnet: Ipv6Net, mac: Mac) -> Ipv6Addr {
    let mut host = [0, 0, 0, 0xff, 0xfe, 0, 0, 0];
    host[..3].copy_from_slice(&mac.0[..3]);
    host[5..].copy_from_slice(&mac.0[3..]);
    host[0] ^= 2;
    let host = u64::from_be_bytes(host);
    Ipv6Addr::from(u128::from(subnet.network()) | u128::from(host))
}

/// Whether a vm may have this IPv6 address on this subnet, and if not, whose it is.
pub fn check6(subnet: Ipv6Net, ip: Ipv6Addr) -> Result<(), &'static str> {
    match ip {
        ip if !subnet.contains(&ip) => Err("outside the network's `subnet6`"),
        ip if ip == subnet.network() => Err("the address of the network itself"),
        ip if ip == first_host6(subnet) => Err("the gateway's address"),
        _ => Ok(()),
    }
}

/// Whether a vm may have this address on this subnet, and if not, whose it is.
pub fn check(subnet: Ipv4Net, gateway: Ipv4Addr, ip: Ipv4Addr) -> Result<(), &'static str> {
    match ip {
        ip if !subnet.contains(&ip) => Err("outside the network's subnet"),
        ip if ip == subnet.network() => Err("the address of the network itself"),
        ip if ip == subnet.broadcast() => Err("the network's broadcast address"),
        ip if ip == gateway => Err("the gateway's address"),
        _ => Ok(()),
    }
}

/// The MAC of a vm on a network. QEMU's own prefix and 24 bits of the names' hash; where the user fixed the address,
/// `be:ef:` and its four octets, so that one can be read from the other.
pub fn mac(project: &ProjectName, network: &NetworkName, vm: &VmName, fixed: Option<Ipv4Addr>) -> Mac {
    if let Some(ip) = fixed {
        let [a, b, c, d] = ip.octets();
        return Mac([0xbe, 0xef, a, b, c, d]);
    }
    let [a, b, c, ..] = hash(&["mac", project.as_str(), network.as_str(), vm.as_str()]).to_be_bytes();
    Mac([0x52, 0x54, 0x00, a, b, c])
}
