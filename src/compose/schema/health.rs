//! `healthcheck` and `depends_on` as the file has them.
//!
//! Owns their short and long forms. The probes themselves are in `probe`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::probe::{Command, ConsoleProbe, HttpProbe, SshProbe, TcpProbe};
use super::shape::{Entries, any_of, deserialize_form, refused};
use crate::compose::decode::{At, Form, Refused};
use crate::units::Span;

/// When a vm counts as healthy. Either one probe directly (`tcp`, `http`, `ssh`, `agent`, `exec`, `cloud_init`, `console`, `host`) or several under `probes`,
/// all of which must pass.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Healthcheck {
    /// A TCP connection to this port of the vm is accepted. Example: `tcp: 5432`
    pub(crate) tcp: Option<At<TcpProbe>>,
    /// An HTTP request is answered as it should be: with a status of 200 to 299, unless said otherwise.
    /// Example: `http: {port: 8080, path: /healthz}`
    pub(crate) http: Option<At<HttpProbe>>,
    /// The guest agent answers. Example: `agent: true`
    pub(crate) agent: Option<At<bool>>,
    /// A command in the guest, run by its agent, exits with 0. A text is run by `sh -c`. Example: `exec: [pg_isready, -q]`
    pub(crate) exec: Option<At<Command>>,
    /// An SSH server on this port of the vm introduces itself, and lets in whom `ssh` says, where account and key are known
    /// here. Example: `ssh: true`
    pub(crate) ssh: Option<At<SshProbe>>,
    /// cloud-init has finished without error; needs the guest agent. An error of cloud-init's fails at once.
    /// Example: `cloud_init: true`
    pub(crate) cloud_init: Option<At<bool>>,
    /// A regular expression is found in what the serial console has said since the vm's start. Example: `console: "login:"`
    pub(crate) console: Option<At<ConsoleProbe>>,
    /// A command on the machine that runs vmcompose exits with 0; it has `VMCOMPOSE_PROJECT`, `VMCOMPOSE_VM` and `VMCOMPOSE_IP`. A
    /// text is run by `sh -c`. Example: `host: curl -sf http://$VMCOMPOSE_IP/`
    pub(crate) host: Option<At<Command>>,
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
    /// Time between two attempts while the vm starts. Default: short at first, then a twentieth of the time waited
    pub(crate) start_interval: Option<At<Span>>,
    /// Successes in a row that make the vm healthy. Default: 1
    pub(crate) success_threshold: Option<At<u32>>,
    /// The whole time that it may take until the vm is healthy. Default: none; failures in a row decide
    pub(crate) deadline: Option<At<Span>>,
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
    /// An SSH server introduces itself, and lets in whom `ssh` says, where account and key are known here.
    pub(crate) ssh: Option<At<SshProbe>>,
    /// cloud-init has finished without error.
    pub(crate) cloud_init: Option<At<bool>>,
    /// A regular expression is found in what the serial console has said since the vm's start.
    pub(crate) console: Option<At<ConsoleProbe>>,
    /// A command on the machine that runs vmcompose exits with 0.
    pub(crate) host: Option<At<Command>>,
}

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
#[schemars(transform = with_names_of_compose)]
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

/// The names that Compose has for conditions are taken too.
fn with_names_of_compose(schema: &mut schemars::Schema) {
    let names = ["service_started", "service_healthy", "service_completed_successfully"];
    let description = "as Compose calls it";
    if let Some(serde_json::Value::Array(forms)) = schema.get_mut("oneOf") {
        forms.extend(
            names.map(|name| serde_json::json!({ "type": "string", "const": name, "description": description })),
        );
    }
}

deserialize_form!(DependsOn);

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

any_of!(
    DependsOn, "DependsOn", "a list of vms, or a mapping with what is required of each", [],
    [Vec<String>, Entries<Option<Dependency>>]
);
