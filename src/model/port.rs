//! Ports of vms, published on the host.
//!
//! Owns when two of them are in each other's way. Knows nothing of how a port is published.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use super::address::Mac;

/// A port of the host that leads to a port of a vm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Port {
    /// The address of the host that it is published on; all where `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The port of the host.
    pub host: u16,
    /// The port of the vm.
    pub guest: u16,
    /// Whether it is UDP.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub udp: bool,
}

/// The addresses between a vm and the one that publishes its ports: set aside for documentation (RFC 5737), so that nobody
/// has them elsewhere. The vm sees connections come from there, and nothing leads out.
pub const PUBLISHING: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(192, 0, 2, 0), 24);
/// The vm's own address there.
pub const PUBLISHED: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 15);

/// Who answers there where it leads outside, and who knows names: QEMU's own router gives itself these addresses.
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// See [`ROUTER`].
pub const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 3);

/// The hardware address of the vm's card there. Nobody but the vm is on that wire, so all may have the same.
pub const PUBLISHED_MAC: Mac = Mac([0x52, 0x54, 0x00, 0xc0, 0x02, 0x0f]);

impl Port {
    /// Whether both would listen to the same.
    pub fn clashes(&self, other: &Self) -> bool {
        let any = |address: Option<IpAddr>| address.is_none_or(|ip| ip.is_unspecified());
        let same = any(self.address) || any(other.address) || self.address == other.address;
        self.udp == other.udp && self.host == other.host && same
    }

    /// Where it is found on the host.
    pub fn at(&self) -> String {
        let address = self.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        format!("{}{}", SocketAddr::new(address, self.host), if self.udp { "/udp" } else { "" })
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address.map(|ip| if ip.is_ipv6() { format!("[{ip}]:") } else { format!("{ip}:") });
        let udp = if self.udp { "/udp" } else { "" };
        write!(f, "{}{}:{}{udp}", address.unwrap_or_default(), self.host, self.guest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_clash_where_they_listen_to_the_same() {
        let port = |address: Option<&str>, host, udp| Port {
            address: address.map(|ip| ip.parse().expect("an address")),
            host,
            guest: 80,
            udp,
        };
        let all = port(None, 8080, false);
        let local = port(Some("127.0.0.1"), 8080, false);
        assert!(all.clashes(&local) && local.clashes(&all) && local.clashes(&local));
        assert!(!local.clashes(&port(Some("10.0.0.1"), 8080, false)));
        assert!(!all.clashes(&port(None, 8080, true)) && !all.clashes(&port(None, 8081, false)));
        assert_eq!((all.at(), local.to_string()), ("0.0.0.0:8080".to_owned(), "127.0.0.1:8080:80".to_owned()));
    }
}
