//! The probes of a healthcheck as the file has them.
//!
//! Owns their short and long forms. Knows nothing of how one is carried out.

use schemars::JsonSchema;
use serde::Deserialize;

use super::shape::{Entries, Labels, OneOrMany, any_of, deserialize_form, refused};
use crate::compose::decode::{At, Form, Refused};

/// A TCP probe: a port, or a mapping.
#[derive(Debug, Clone)]
pub(crate) struct TcpProbe {
    pub(crate) port: u16,
    pub(crate) host: Option<String>,
}

/// The long form of a TCP probe.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LongTcp {
    /// The port.
    port: u16,
    /// Where to connect to. Default: the first address of the vm
    #[serde(default)]
    host: Option<String>,
}

/// An HTTP probe: a port, or a mapping.
#[derive(Debug, Clone)]
pub(crate) struct HttpProbe(pub(crate) LongHttp);

/// The long form of an HTTP probe.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LongHttp {
    /// The port.
    pub(crate) port: u16,
    /// Path and query. Default: /
    #[serde(default)]
    pub(crate) path: Option<At<String>>,
    /// Where to connect to. Default: the first address of the vm
    #[serde(default)]
    pub(crate) host: Option<String>,
    /// HTTPS: `true`, or a mapping with `ca` (a PEM file) or `insecure: true` (anybody is believed). Default: false
    #[serde(default)]
    pub(crate) tls: Option<At<Tls>>,
    /// The method. Default: GET
    #[serde(default)]
    pub(crate) method: Option<At<String>>,
    /// Further headers. Example: `headers: {Host: shop.example}`
    #[serde(default)]
    pub(crate) headers: Labels,
    /// A status that passes, or a range, or a list of them. Default: 200-299
    #[serde(default)]
    pub(crate) status: OneOrMany<Status>,
    /// A regular expression that has to match somewhere in the body.
    #[serde(default)]
    pub(crate) body: Option<At<String>>,
    /// Values that the body must have as JSON, by their path. Example: `json: {status: ok, checks.db: true}`
    #[serde(default)]
    pub(crate) json: Entries<serde_json::Value>,
}

/// Whether and how a server has to prove who it is.
#[derive(Debug, Clone)]
pub(crate) struct Tls(pub(crate) Option<LongTls>);

/// How a server has to prove who it is.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LongTls {
    /// A PEM file of the authorities that may vouch for it. Default: those of this machine
    pub(crate) ca: Option<At<String>>,
    /// Believe anybody. Default: false
    pub(crate) insecure: Option<bool>,
}

/// An SSH probe: `true`, a port, or a mapping.
#[derive(Debug, Clone)]
pub(crate) struct SshProbe(pub(crate) Option<LongSsh>);

/// The long form of an SSH probe.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LongSsh {
    /// The port. Default: that of `ssh.port`, which is 22
    pub(crate) port: Option<u16>,
    /// Where to connect to. Default: the first address of the vm
    pub(crate) host: Option<String>,
}

/// A console probe: a regular expression, or a mapping.
#[derive(Debug, Clone)]
pub(crate) struct ConsoleProbe(pub(crate) At<String>);

/// The long form of a console probe.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LongConsole {
    /// The regular expression; `(?m)^` is the beginning of a line.
    pattern: At<String>,
}

/// A command: a list of words, or a text that `sh -c` runs.
#[derive(Debug, Clone)]
pub(crate) struct Command(pub(crate) Vec<String>);

deserialize_form!(TcpProbe, HttpProbe, Tls, SshProbe, ConsoleProbe, Command);

impl Form for TcpProbe {
    const EXPECTED: &'static str = "a port, or a mapping with `port` and `host`";
    type Scalar = u16;
    type List = Refused;
    type Mapping = LongTcp;

    refused!(list);

    fn scalar(port: u16) -> Result<Self, String> {
        Ok(Self { port, host: None })
    }

    fn mapping(LongTcp { port, host }: LongTcp) -> Result<Self, String> {
        Ok(Self { port, host })
    }
}

impl Form for HttpProbe {
    const EXPECTED: &'static str = "a port, or a mapping with `port`, `path`, `status` and more";
    type Scalar = u16;
    type List = Refused;
    type Mapping = LongHttp;

    refused!(list);

    fn scalar(port: u16) -> Result<Self, String> {
        Ok(Self(LongHttp {
            port,
            path: None,
            host: None,
            tls: None,
            method: None,
            headers: Labels::default(),
            status: OneOrMany::default(),
            body: None,
            json: Entries::default(),
        }))
    }

    fn mapping(long: LongHttp) -> Result<Self, String> {
        Ok(Self(long))
    }
}

impl Form for Tls {
    const EXPECTED: &'static str = "`true`, `false`, or a mapping with `ca` or `insecure`";
    type Scalar = bool;
    type List = Refused;
    type Mapping = LongTls;

    refused!(list);

    fn scalar(on: bool) -> Result<Self, String> {
        Ok(Self(on.then(LongTls::default)))
    }

    fn mapping(long: LongTls) -> Result<Self, String> {
        Ok(Self(Some(long)))
    }
}

impl Form for SshProbe {
    const EXPECTED: &'static str = "`true`, a port, or a mapping with `port` and `host`";
    type Scalar = String;
    type List = Refused;
    type Mapping = LongSsh;

    refused!(list);

    fn scalar(text: String) -> Result<Self, String> {
        match text.as_str() {
            "true" => Ok(Self(Some(LongSsh::default()))),
            "false" => Ok(Self(None)),
            port => match port.parse() {
                Ok(port) => Ok(Self(Some(LongSsh { port: Some(port), host: None }))),
                Err(_) => Err(format!("`{text}` is neither `true` nor a port")),
            },
        }
    }

    fn mapping(long: LongSsh) -> Result<Self, String> {
        Ok(Self(Some(long)))
    }
}

impl Form for ConsoleProbe {
    const EXPECTED: &'static str = "a regular expression, or a mapping with `pattern`";
    type Scalar = At<String>;
    type List = Refused;
    type Mapping = LongConsole;

    refused!(list);

    fn scalar(pattern: At<String>) -> Result<Self, String> {
        Ok(Self(pattern))
    }

    fn mapping(LongConsole { pattern }: LongConsole) -> Result<Self, String> {
        Ok(Self(pattern))
    }
}

impl Form for Command {
    const EXPECTED: &'static str = "a command, as a list of words or as one text";
    type Scalar = String;
    type List = Vec<String>;
    type Mapping = Refused;

    refused!(mapping);

    fn scalar(text: String) -> Result<Self, String> {
        Self::list(vec!["sh".to_owned(), "-c".to_owned(), text])
    }

    fn list(words: Vec<String>) -> Result<Self, String> {
        match words.last() {
            Some(last) if !last.trim().is_empty() || words.len() > 1 && words[0] != "sh" => Ok(Self(words)),
            _ => Err("a command must not be empty".to_owned()),
        }
    }
}

any_of!(TcpProbe, "TcpProbe", "a port, or a mapping", [{"type": "integer", "minimum": 1, "maximum": 65535}], [LongTcp]);
any_of!(
    HttpProbe, "HttpProbe", "a port, or a mapping", [{"type": "integer", "minimum": 1, "maximum": 65535}], [LongHttp]
);
any_of!(ConsoleProbe, "ConsoleProbe", "a regular expression, or a mapping", [{"type": "string"}], [LongConsole]);
any_of!(Command, "Command", "a list of words, or a text that `sh -c` runs", [{"type": "string"}], [Vec<String>]);
any_of!(Tls, "ProbeTls", "`true`, `false`, or a mapping", [{"type": "boolean"}], [LongTls]);
any_of!(SshProbe, "SshProbe", "`true`, a port, or a mapping",
    [{"type": "boolean"}, {"type": "integer", "minimum": 1, "maximum": 65535}], [LongSsh]);

/// An HTTP status, or a range of them.
#[derive(Debug, Clone)]
pub(crate) struct Status(pub(crate) At<String>);

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        At::deserialize(deserializer).map(Self)
    }
}

any_of!(Status, "HttpStatus", "a status, or a range such as `200-299`",
    [{"type": "integer", "minimum": 100, "maximum": 599}, {"type": "string"}], []);
