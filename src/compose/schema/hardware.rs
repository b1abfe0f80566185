//! Keys about shared folders and published ports, whose effect comes with a later version.
//!
//! Owns their forms, so that a file that has them is checked as a whole. Nothing is lowered from here yet.

use std::borrow::Cow;
use std::net::IpAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::shape::{any_of, deserialize_form, refused};
use crate::compose::decode::{Form, Refused};

/// A folder of the host inside the guest: `./code:/srv/code`, `./code:/srv/code:ro`, or a mapping.
#[derive(Debug, Clone)]
pub(crate) struct Share(pub(crate) LongShare);

/// The long form of a share.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LongShare {
    /// The folder on the hypervisor's machine. A relative path begins at the compose file's folder.
    pub(crate) source: String,
    /// The folder in the guest, absolute.
    pub(crate) target: String,
    /// Whether the guest may only read it. Default: false
    #[serde(default)]
    pub(crate) read_only: Option<bool>,
}

deserialize_form!(Share);

impl Form for Share {
    const EXPECTED: &'static str = "`HOST:GUEST`, or a mapping with `source` and `target`";
    type Scalar = String;
    type List = Refused;
    type Mapping = LongShare;

    refused!(list);

    fn scalar(text: String) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, read_only) = match parts[..] {
            [source, target] | [source, target, "rw"] => (source, target, false),
            [source, target, "ro"] => (source, target, true),
            _ => return Err(format!("`{text}` is not a share; write `HOST:GUEST` or `HOST:GUEST:ro`")),
        };
        Self::mapping(LongShare { source: source.to_owned(), target: target.to_owned(), read_only: Some(read_only) })
    }

    fn mapping(long: LongShare) -> Result<Self, String> {
        if long.target.starts_with('/') && !long.source.is_empty() {
            return Ok(Self(long));
        }
        Err(format!("a share needs a folder on the host and an absolute one in the guest, not `{}`", long.target))
    }
}

any_of!(Share, "Share", "`HOST:GUEST`, or a mapping", [{"type": "string"}], [LongShare]);

/// A published port: `8080:80`, `127.0.0.1:8080:80`, `5353:53/udp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Port {
    /// The address of the host that it is published on.
    pub(crate) address: Option<IpAddr>,
    /// The port of the host.
    pub(crate) host: u16,
    /// The port of the vm.
    pub(crate) guest: u16,
    /// Whether it is UDP.
    pub(crate) udp: bool,
}

impl Port {
    fn parse(text: &str) -> Result<Self, String> {
        let malformed = || {
            format!(
                "`{text}` is not a published port; write `HOST:GUEST`, such as `8080:80` or `127.0.0.1:8080:80/tcp`"
            )
        };
        let (rest, udp) = match text.rsplit_once('/') {
            None | Some((_, "tcp")) => (text.rsplit_once('/').map_or(text, |(rest, _)| rest), false),
            Some((rest, "udp")) => (rest, true),
            Some(_) => return Err(malformed()),
        };
        let number = |text: &str| match text.parse::<u16>() {
            Ok(0) => Err(format!("`{text}` is not a port; ports are numbered from 1 to 65535")),
            Ok(n) => Ok(n),
            Err(_) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
                Err(format!("`{text}` is not a port; ports are numbered from 1 to 65535"))
            }
            Err(_) => Err(malformed()),
        };
        let (rest, guest) = rest.rsplit_once(':').ok_or_else(malformed)?;
        let (address, host) = match rest.rsplit_once(':') {
            None => (None, rest),
            Some((address, host)) => {
                let bare = address.trim_start_matches('[').trim_end_matches(']');
                (Some(bare.parse().map_err(|_| malformed())?), host)
            }
        };
        Ok(Self { address, host: number(host)?, guest: number(guest)?, udp })
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Port {
    fn schema_name() -> Cow<'static, str> {
        "Port".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "a published port: 8080:80, 127.0.0.1:8080:80, 5353:53/udp",
            "type": "string",
            "pattern": r"^(.+:)?[0-9]{1,5}:[0-9]{1,5}(/(tcp|udp))?$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_as_compose_reads_them() {
        let port = |text| Port::parse(text).expect("a port");
        assert_eq!(port("8080:80"), Port { address: None, host: 8080, guest: 80, udp: false });
        assert_eq!(port("127.0.0.1:53:53/udp").address, Some("127.0.0.1".parse().expect("an address")));
        assert!(port("127.0.0.1:53:53/udp").udp);
        assert_eq!(port("[::1]:1:2").address, Some("::1".parse().expect("an address")));
        for text in ["80", "0:80", "8080:70000", "a:b", "8080:80/sctp", "x:8080:80", ""] {
            assert!(Port::parse(text).is_err(), "{text}");
        }
    }
}
