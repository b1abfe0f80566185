//! `healthcheck` and `depends_on` as the file has them.
//!
//! Owns their short and long forms. Knows nothing of how a probe is carried out.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::shape::{Entries, deserialize_form, refused};
use crate::compose::decode::{At, Form, Refused};
use crate::units::Span;

/// When a vm counts as healthy. Either one probe directly (`tcp`, `http`, `agent`, `exec`, `cloud_init`) or several under `probes`,
/// all of which must pass.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Healthcheck {
    /// A TCP connection to this port of the vm is accepted. Example: `tcp: 5432`
    pub(crate) tcp: Option<At<TcpProbe>>,
    /// An HTTP GET is answered with a status of 200 to 299. Example: `http: {port: 8080, path: /healthz}`
    pub(crate) http: Option<At<HttpProbe>>,
    /// The guest agent answers. Example: `agent: true`
    pub(crate) agent: Option<At<bool>>,
    /// A command in the guest, run by its agent, exits with 0. A text is run by `sh -c`. Example: `exec: [pg_isready, -q]`
    pub(crate) exec: Option<At<Command>>,
    /// Reachable by SSH.
    pub(crate) ssh: Option<serde_json::Value>,
    /// cloud-init has finished without error; needs the guest agent. An error of cloud-init's fails at once.
    /// Example: `cloud_init: true`
    pub(crate) cloud_init: Option<At<bool>>,
    /// A regular expression is found on the serial console.
    pub(crate) console: Option<serde_json::Value>,
    /// A command on this machine exits with 0.
    pub(crate) host: Option<serde_json::Value>,
    /// Several probes, all of which must pass.
    pub(crate) probes: Option<At<Vec<At<Probes>>>>,
    /// Time between two attempts. Default: 2s
    pub(crate) interval: Option<At<Span>>,
    /// How long one attempt may take. Default: 5s
    pub(crate) timeout: Option<At<Span>>,
    /// Failures in a row, after the start period, that make the vm unhealthy. Default: 15
    pub(crate) retries: Option<At<u32>>,
    /// Time to boot, in which failures do not count. Default: 1m30s, with `cloud_init` 10m
    pub(crate) start_period: Option<At<Span>>,
    /// Time between two attempts while the vm starts.
    pub(crate) start_interval: Option<Span>,
    /// Successes in a row that make the vm healthy.
    pub(crate) success_threshold: Option<u32>,
    /// The whole time after which the vm counts as failed.
    pub(crate) deadline: Option<Span>,
    /// No healthcheck, whatever `defaults` or an extended vm say. Default: false
    pub(crate) disable: Option<bool>,
}

/// One entry of `probes`: exactly one of the keys.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Probes {
    /// A TCP connection to this port of the vm is accepted.
    pub(crate) tcp: Option<At<TcpProbe>>,
    /// An HTTP GET is answered with a status of 200 to 299.
    pub(crate) http: Option<At<HttpProbe>>,
    /// The guest agent answers.
    pub(crate) agent: Option<At<bool>>,
    /// A command in the guest exits with 0.
    pub(crate) exec: Option<At<Command>>,
    /// Reachable by SSH.
    pub(crate) ssh: Option<serde_json::Value>,
    /// cloud-init has finished without error.
    pub(crate) cloud_init: Option<At<bool>>,
    /// A regular expression is found on the serial console.
    pub(crate) console: Option<serde_json::Value>,
    /// A command on this machine exits with 0.
    pub(crate) host: Option<serde_json::Value>,
}

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
pub(crate) struct HttpProbe {
    pub(crate) port: u16,
    pub(crate) path: Option<At<String>>,
    pub(crate) host: Option<String>,
}

/// The long form of an HTTP probe.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LongHttp {
    /// The port.
    port: u16,
    /// Path and query. Default: /
    #[serde(default)]
    path: Option<At<String>>,
    /// Where to connect to. Default: the first address of the vm
    #[serde(default)]
    host: Option<String>,
}

/// A command: a list of words, or a text that `sh -c` runs.
#[derive(Debug, Clone)]
pub(crate) struct Command(pub(crate) Vec<String>);

/// The vms that a vm waits for: a list of names, or a mapping with what is required of each.
#[derive(Debug, Clone, Default)]
pub(crate) struct DependsOn(pub(crate) Vec<(At<String>, Option<Dependency>)>);

/// What is required of another vm.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Dependency {
    /// What the other must have reached. Default: healthy where it has a healthcheck, else started
    pub(crate) condition: Option<At<Condition>>,
    /// Whether the other must be there at all, or may be off by its profiles. Default: true
    pub(crate) required: Option<bool>,
    /// Whether this vm is restarted when the other is. Default: false
    pub(crate) restart: Option<bool>,
}

/// What is required of another vm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Condition {
    /// It runs.
    #[serde(alias = "service_started")]
    Started,
    /// Its healthcheck passes.
    #[serde(alias = "service_healthy")]
    Healthy,
    /// cloud-init has finished without error.
    Ready,
    /// It did its work and powered itself off.
    #[serde(alias = "service_completed_successfully")]
    Completed,
}

deserialize_form!(TcpProbe, HttpProbe, Command, DependsOn);

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
    const EXPECTED: &'static str = "a port, or a mapping with `port`, `path` and `host`";
    type Scalar = u16;
    type List = Refused;
    type Mapping = LongHttp;

    refused!(list);

    fn scalar(port: u16) -> Result<Self, String> {
        Ok(Self { port, path: None, host: None })
    }

    fn mapping(LongHttp { port, path, host }: LongHttp) -> Result<Self, String> {
        Ok(Self { port, path, host })
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

impl Form for DependsOn {
    const EXPECTED: &'static str = "a list of vms, or a mapping";
    type Scalar = Refused;
    type List = Vec<At<String>>;
    type Mapping = Entries<Option<Dependency>>;

    refused!(scalar);

    fn list(names: Vec<At<String>>) -> Result<Self, String> {
        Ok(Self(names.into_iter().map(|name| (name, None)).collect()))
    }

    fn mapping(entries: Entries<Option<Dependency>>) -> Result<Self, String> {
        Ok(Self(entries.0))
    }
}

macro_rules! any_of {
    ($type:ty, $name:literal, $description:literal, [$($short:tt),*], [$($long:ty),*]) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let forms: Vec<serde_json::Value> = vec![
                    $(serde_json::json!($short),)*
                    $(generator.subschema_for::<$long>().to_value(),)*
                ];
                let _ = &generator;
                json_schema!({ "description": $description, "anyOf": forms })
            }
        }
    };
}
pub(super) use any_of;

any_of!(TcpProbe, "TcpProbe", "a port, or a mapping", [{"type": "integer", "minimum": 1, "maximum": 65535}], [LongTcp]);
any_of!(
    HttpProbe, "HttpProbe", "a port, or a mapping", [{"type": "integer", "minimum": 1, "maximum": 65535}], [LongHttp]
);
any_of!(Command, "Command", "a list of words, or a text that `sh -c` runs", [{"type": "string"}], [Vec<String>]);
any_of!(
    DependsOn, "DependsOn", "a list of vms, or a mapping with what is required of each", [],
    [Vec<String>, Entries<Option<Dependency>>]
);
