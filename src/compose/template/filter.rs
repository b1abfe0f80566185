//! Filters that configurations of machines need and minijinja does not bring along.
//!
//! Owns them and what they accept. Knows nothing of compose keys.

use ipnet::Ipv4Net;
use minijinja::{Environment, Error, ErrorKind};
use sha2::{Digest, Sha256};

/// Their names.
pub(super) const OWN: &[&str] = &["b64encode", "cidrhost", "cidrnetmask", "cidrsubnet", "sha256", "shellquote"];
/// Names of minijinja's own that are often wanted, for guesses.
pub(super) const USUAL: &[&str] = &[
    "abs",
    "batch",
    "bool",
    "capitalize",
    "default",
    "dictsort",
    "first",
    "float",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "select",
    "selectattr",
    "slice",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "unique",
    "upper",
];

/// Adds the filters.
pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("b64encode", |text: &str| base64(text.as_bytes()));
    environment.add_filter("sha256", |text: &str| {
        Sha256::digest(text.as_bytes()).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
    });
    environment.add_filter("shellquote", |text: &str| format!("'{}'", text.replace('\'', r"'\''")));
    environment.add_filter("cidrhost", |net: &str, number: u32| {
        let net = subnet(net)?;
        let host = u32::from(net.network()).checked_add(number).map(std::net::Ipv4Addr::from);
        host.filter(|host| net.contains(host))
            .map(|host| host.to_string())
            .ok_or_else(|| invalid(format!("`{net}` has no address number {number}")))
    });
    environment.add_filter("cidrnetmask", |net: &str| subnet(net).map(|net| net.netmask().to_string()));
    environment.add_filter("cidrsubnet", |net: &str, bits: u8, number: u32| {
        let net = subnet(net)?;
        let length = net.prefix_len().checked_add(bits).filter(|length| *length <= 32);
        let length = length.ok_or_else(|| invalid(format!("`{net}` cannot be divided by {bits} further bits")))?;
        // Counting up to the part would take minutes for a large number.
        let start = u64::from(u32::from(net.network())) + (u64::from(number) << (32 - length));
        let part = u32::try_from(start).ok().map(Into::into).filter(|start| net.contains(start));
        part.and_then(|start| Ipv4Net::new(start, length).ok())
            .map(|part| part.to_string())
            .ok_or_else(|| invalid(format!("`{net}` has no part number {number} of {bits} further bits")))
    });
}

fn subnet(text: &str) -> Result<Ipv4Net, Error> {
    let net: Result<Ipv4Net, _> = text.parse();
    net.map(|net| net.trunc()).map_err(|_| invalid(format!("`{text}` is not a subnet, such as `10.20.0.0/24`")))
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// Base64 with padding (RFC 4648 section 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut group = [0; 4];
        group[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(group);
        for position in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * position) & 0x3f) as usize];
            out.push(if position <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (plain, encoded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn every_filter_that_is_told_of_is_there() {
        let mut environment = Environment::new();
        add(&mut environment);
        for name in OWN.iter().chain(USUAL) {
            let rendered = environment.render_str(&format!("{{{{ 'x'|{name} }}}}"), ());
            let unknown = rendered.is_err_and(|error| error.kind() == ErrorKind::UnknownFilter);
            assert!(!unknown, "{name}");
        }
    }

    #[test]
    fn filters_compute_addresses() {
        let mut environment = Environment::new();
        add(&mut environment);
        for (template, text) in [
            ("{{ '10.20.0.0/24'|cidrhost(10) }}", "10.20.0.10"),
            ("{{ '10.20.0.0/24'|cidrnetmask }}", "255.255.255.0"),
            ("{{ '10.20.0.0/16'|cidrsubnet(8, 3) }}", "10.20.3.0/24"),
            ("{{ '10.20.0.0/16'|cidrsubnet(16, 65535) }}", "10.20.255.255/32"),
            ("{{ '0.0.0.0/0'|cidrsubnet(0, 0) }}", "0.0.0.0/0"),
            ("{{ '0.0.0.0/0'|cidrsubnet(32, 4294967295) }}", "255.255.255.255/32"),
            ("{{ \"it's\"|shellquote }}", r"'it'\''s'"),
            ("{{ ''|sha256 }}", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ] {
            assert_eq!(environment.render_str(template, ()).expect("renders"), text);
        }
        for outside in ["cidrhost(256)", "cidrsubnet(8, 256)", "cidrsubnet(9, 0)", "cidrsubnet(255, 0)"] {
            let template = format!("{{{{ '10.20.0.0/24'|{outside} }}}}");
            assert!(environment.render_str(&template, ()).is_err(), "{outside}");
        }
    }
}
