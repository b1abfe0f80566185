//! Probes: one thing each that can be tried.
//!
//! Owns what is asked and which answer passes. Knows nothing of how a probe is carried out.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// One thing to try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Probe {
    /// A TCP connection is accepted.
    Tcp {
        /// Where to; the vm's first address by default.
        host: Option<String>,
        /// The port.
        port: u16,
    },
    /// An HTTP request is answered as it should be.
    Http(Box<Http>),
    /// An SSH server introduces itself, and lets in who has a key to it.
    Ssh {
        /// Where to; the vm's first address by default.
        host: Option<String>,
        /// The port.
        port: u16,
    },
    /// The guest agent answers.
    Agent,
    /// A command in the guest, run by its agent, exits 0.
    Exec(Vec<String>),
    /// cloud-init has finished without error, as the guest agent can see.
    #[serde(rename = "cloud_init")]
    CloudInit,
    /// This regular expression is found in what the serial console said since the vm's start.
    Console(String),
    /// A command on the machine that runs vmcompose exits 0.
    Host(Vec<String>),
    /// The vm has powered itself off.
    Completed,
}

/// An HTTP request, and which answer passes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Http {
    /// Where to; the vm's first address by default.
    pub host: Option<String>,
    /// The port.
    pub port: u16,
    /// Path and query.
    pub path: String,
    /// HTTPS, where it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// The method; `GET` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Further headers, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The statuses that pass; 200 to 299 where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<Status>,
    /// A regular expression that the body matches somewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Values that the body has as JSON, by their path: `status`, `checks.0.ok`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub json: BTreeMap<String, Value>,
}

impl Http {
    /// A GET that passes with any status from 200 to 299.
    pub fn get(host: Option<String>, port: u16, path: String) -> Self {
        Self {
            host,
            port,
            path,
            tls: None,
            method: None,
            headers: BTreeMap::new(),
            status: Vec::new(),
            body: None,
            json: BTreeMap::new(),
        }
    }

    /// Whether this status passes.
    pub fn expects(&self, status: u16) -> bool {
        if self.status.is_empty() { (200..300).contains(&status) } else { self.status.iter().any(|s| s.holds(status)) }
    }
}

/// How a server has to prove who it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// Not at all.
    #[serde(default)]
    pub insecure: bool,
    /// To the authorities in this PEM file on the machine that runs vmcompose; to that machine's own where `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}

/// A range of HTTP statuses, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    first: u16,
    last: u16,
}

impl Status {
    /// Whether a status is in it.
    pub fn holds(self, status: u16) -> bool {
        (self.first..=self.last).contains(&status)
    }
}

impl FromStr for Status {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not an HTTP status; write `200`, or a range such as `200-299`");
        // RFC 9110 section 15: three digits, the first from 1 to 5.
        let one = |text: &str| text.trim().parse().ok().filter(|n| (100..600).contains(n)).ok_or_else(wrong);
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (one(first)?, one(last)?);
        if first <= last { Ok(Self { first, last }) } else { Err(wrong()) }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |host: &Option<String>| host.clone().unwrap_or_default();
        match self {
            Self::Tcp { host, port } => write!(f, "tcp {}:{port}", place(host)),
            Self::Http(http) => {
                let scheme = if http.tls.is_some() { "https" } else { "http" };
                let method = http.method.as_ref().map(|method| format!("{method} ")).unwrap_or_default();
                write!(f, "{scheme} {method}{}:{}{}", place(&http.host), http.port, http.path)
            }
            Self::Ssh { host, port } => write!(f, "ssh {}:{port}", place(host)),
            Self::Agent => f.write_str("agent"),
            Self::CloudInit => f.write_str("cloud-init"),
            Self::Exec(command) => write!(f, "exec {}", command.join(" ")),
            Self::Host(command) => write!(f, "host {}", command.join(" ")),
            Self::Console(pattern) => write!(f, "console /{pattern}/"),
            Self::Completed => f.write_str("powers itself off"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_numbers_or_ranges() {
        let status = |text: &str| text.parse::<Status>();
        assert!(status("200-299").expect("a range").holds(204));
        assert!(!status("404").expect("one").holds(405));
        for wrong in ["", "99", "600", "299-200", "2xx", "200-"] {
            assert!(status(wrong).expect_err(wrong).contains(&format!("`{wrong}`")), "{wrong}");
        }
    }

    #[test]
    fn a_probe_of_an_earlier_version_is_read() {
        let old = r#"{"http":{"host":null,"port":80,"path":"/healthz"}}"#;
        let probe: Probe = serde_json::from_str(old).expect("it is read");
        assert_eq!(probe, Probe::Http(Box::new(Http::get(None, 80, "/healthz".to_owned()))));
        assert_eq!(serde_json::to_string(&probe).expect("json"), old);
    }
}
