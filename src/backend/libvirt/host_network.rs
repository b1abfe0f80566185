//! What this machine has of networks: routes, interfaces, ports that are taken.
//!
//! Owns the reading of the kernel's tables. Elsewhere than on Linux there are none, and libvirt runs no networks either.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use ipnet::{Ipv4Net, Ipv6Net};

use crate::model::{Device, Port};

/// The subnets that this machine reaches directly, with the interface of each.
pub(super) fn routes() -> Vec<(Ipv4Net, String)> {
    fs::read_to_string("/proc/net/route").map(|table| parse_routes(&table)).unwrap_or_default()
}

/// Format: `proc_pid_net(5)`; numbers are in the machine's byte order, hexadecimal.
fn parse_routes(table: &str) -> Vec<(Ipv4Net, String)> {
    let parse = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let address = |text: &str| u32::from_str_radix(text, 16).ok().map(|n| Ipv4Addr::from(n.to_ne_bytes()));
        let net = Ipv4Net::with_netmask(address(fields.get(1)?)?, address(fields.get(7)?)?).ok()?;
        // The default route is no subnet.
        (net.prefix_len() > 0).then(|| (net.trunc(), (*fields[0]).to_owned()))
    };
    table.lines().skip(1).filter_map(parse).collect()
}

/// The same of IPv6.
pub(super) fn routes6() -> Vec<(Ipv6Net, String)> {
    fs::read_to_string("/proc/net/ipv6_route").map(|table| parse_routes6(&table)).unwrap_or_default()
}

/// Format: destination, length of its prefix, six more numbers, flags, interface; all hexadecimal.
fn parse_routes6(table: &str) -> Vec<(Ipv6Net, String)> {
    let parse = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let address = Ipv6Addr::from(u128::from_str_radix(fields.first()?, 16).ok()?);
        let net = Ipv6Net::new(address, u8::from_str_radix(fields.get(1)?, 16).ok()?).ok()?;
        // Neither default routes nor what every interface has of itself.
        let subnet = net.prefix_len() > 0 && net.prefix_len() < 128 && !address.is_unicast_link_local();
        let interface = (*fields.last()?).to_owned();
        (subnet && !address.is_multicast()).then(|| (net.trunc(), interface))
    };
    table.lines().filter_map(parse).collect()
}

/// The network interfaces, sorted by name.
pub(super) fn devices() -> Vec<Device> {
    let entries = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let mut devices: Vec<Device> = entries.map(|entry| device(&entry.path())).collect();
    devices.sort_by(|a, b| a.name.cmp(&b.name));
    devices
}

fn device(path: &Path) -> Device {
    let bridge = path.join("bridge");
    let filtering = || fs::read_to_string(bridge.join("vlan_filtering")).is_ok_and(|text| text.trim() == "1");
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Device { name, bridge: bridge.is_dir().then(filtering) }
}

/// The ports that somebody listens on.
pub(super) fn listeners() -> Vec<Port> {
    let tables = [("tcp", false), ("tcp6", false), ("udp", true), ("udp6", true)];
    let read = |(table, udp): (&str, bool)| {
        let text = fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
        parse_listeners(&text, udp)
    };
    let mut ports: Vec<Port> = tables.into_iter().flat_map(read).collect();
    ports.sort();
    ports.dedup();
    ports
}

/// Format: `proc_pid_net(5)`; an address is a row of words in the machine's byte order.
fn parse_listeners(table: &str, udp: bool) -> Vec<Port> {
    // TCP_LISTEN; of UDP, sockets without a peer, whose state is TCP_CLOSE.
    let state = if udp { "07" } else { "0A" };
    let parse = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (address, port) = fields.get(1)?.split_once(':')?;
        let host = u16::from_str_radix(port, 16).ok()?;
        let address = listened(address)?;
        (fields.get(3) == Some(&state)).then_some(Port { address: Some(address), host, guest: host, udp })
    };
    table.lines().skip(1).filter_map(parse).collect()
}

fn listened(address: &str) -> Option<IpAddr> {
    let word = |n: usize| u32::from_str_radix(address.get(n * 8..n * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    if address.len() == 8 {
        return Some(IpAddr::V4(word(0)?.into()));
    }
    let words = [word(0)?, word(1)?, word(2)?, word(3)?];
    let bytes: [u8; 16] = words.concat().try_into().ok()?;
    Some(Ipv6Addr::from(bytes).to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn routes_are_read() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                     eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                     virbr77\t00004D0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        assert_eq!(parse_routes(table), [("10.77.0.0/24".parse().expect("a net"), "virbr77".to_owned())]);
    }

    #[test]
    fn routes_of_ipv6_are_read() {
        let table = "fd000000000000000000000000000000 40 00000000000000000000000000000000 00 \
                     00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n\
                     fe800000000000000000000000000000 40 00000000000000000000000000000000 00 \
                     00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n\
                     00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
                     fd000000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n";
        assert_eq!(parse_routes6(table), [("fd00::/64".parse().expect("a net"), "eth0".to_owned())]);
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn listeners_are_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n\
                     0: 0100007F:1F90 00000000:0000 0A 00000000:00000000\n\
                     1: 0100007F:1F91 0100007F:0016 01 00000000:00000000\n";
        let port = Port { address: Some(Ipv4Addr::LOCALHOST.into()), host: 8080, guest: 8080, udp: false };
        assert_eq!(parse_listeners(table, false), [port]);
        assert_eq!(listened("0000000000000000FFFF00000100007F"), Some(Ipv4Addr::LOCALHOST.into()));
    }
}
