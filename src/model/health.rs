//! When a vm counts as ready, and what others may require of it.
//!
//! Owns conditions, probes and the patience of a healthcheck. Knows nothing of how a probe is carried out.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::Span;

/// What a dependent requires of a resource. Ordered: a later one implies the earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// It exists and, where it is a vm, runs.
    #[serde(alias = "service_started")]
    Started,
    /// Its healthcheck passes.
    #[serde(alias = "service_healthy")]
    Healthy,
    /// Its cloud-init has finished without error, and its healthcheck passes where it has one.
    Ready,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Started => "started",
            Self::Healthy => "healthy",
            Self::Ready => "ready",
        })
    }
}

/// When a vm counts as healthy: all probes pass.
///
/// Attempts begin at once and quickly, and settle at one per `interval`. A failure counts only after `start_period`;
/// `retries` failures in a row after that and the vm is unhealthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Healthcheck {
    /// What is tried; all must pass.
    pub probes: Vec<Probe>,
    /// Time between two attempts.
    pub interval: Span,
    /// How long one attempt may take.
    pub timeout: Span,
    /// Failures in a row, after the start period, that make it unhealthy.
    pub retries: u32,
    /// Time to boot, in which failures do not count.
    pub start_period: Span,
}

impl Healthcheck {
    /// Default time between two attempts.
    pub const INTERVAL: Span = Span::secs(2);
    /// Default limit of one attempt.
    pub const TIMEOUT: Span = Span::secs(5);
    /// Default number of failures in a row.
    pub const RETRIES: u32 = 15;
    /// Default time to boot: a cloud image under software emulation needs about this long.
    pub const START_PERIOD: Span = Span::secs(90);
    /// Default time to boot where cloud-init is waited for: it may install packages. Its errors are told at once.
    pub const FIRST_BOOT: Span = Span::secs(600);

    /// What makes a vm without a healthcheck ready.
    pub fn ready() -> Self {
        Self {
            probes: vec![Probe::CloudInit],
            interval: Self::INTERVAL,
            timeout: Self::TIMEOUT,
            retries: Self::RETRIES,
            start_period: Self::FIRST_BOOT,
        }
    }

    /// The same healthcheck, and cloud-init besides.
    #[must_use]
    pub fn and_ready(mut self) -> Self {
        if !self.probes.contains(&Probe::CloudInit) {
            self.probes.push(Probe::CloudInit);
            self.start_period = self.start_period.max(Self::FIRST_BOOT);
        }
        self
    }
}

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
    /// An HTTP GET is answered with 2xx.
    Http {
        /// Where to; the vm's first address by default.
        host: Option<String>,
        /// The port.
        port: u16,
        /// Path and query.
        path: String,
    },
    /// The guest agent answers.
    Agent,
    /// A command in the guest, run by its agent, exits 0.
    Exec(Vec<String>),
    /// cloud-init has finished without error, as the guest agent can see.
    #[serde(rename = "cloud_init")]
    CloudInit,
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |host: &Option<String>| host.clone().unwrap_or_default();
        match self {
            Self::Tcp { host, port } => write!(f, "tcp {}:{port}", place(host)),
            Self::Http { host, port, path } => write!(f, "http {}:{port}{path}", place(host)),
            Self::Agent => f.write_str("agent"),
            Self::CloudInit => f.write_str("cloud-init"),
            Self::Exec(command) => write!(f, "exec {}", command.join(" ")),
        }
    }
}
