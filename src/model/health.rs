//! When a vm counts as ready, and what others may require of it.
//!
//! Owns conditions, probes and the patience of a healthcheck. Knows nothing of how a probe is carried out.

mod probe;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use probe::{Http, Probe, Status, Tls};

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
    /// It did its work and powered itself off.
    #[serde(alias = "service_completed_successfully")]
    Completed,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Started => "started",
            Self::Healthy => "healthy",
            Self::Ready => "ready",
            Self::Completed => "completed",
        })
    }
}

/// When a vm counts as healthy: all probes pass.
///
/// Attempts begin at once and quickly, and settle at one per `interval`. A failure counts only after `start_period`;
/// `retries` failures in a row after that and the vm is unhealthy, and so it is when `deadline` has passed.
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
    /// Time between two attempts within the start period; chosen by the time waited so far where `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_interval: Option<Span>,
    /// Successes in a row that make it healthy.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub success_threshold: u32,
    /// The whole time that it may take; without it, failures in a row alone decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Span>,
}

fn once() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_once(threshold: &u32) -> bool {
    *threshold == 1
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

    /// Default time for a vm that does its work and powers itself off.
    pub const WORK: Span = Span::secs(3600);

    /// These probes with the patience that is usual, after this time to boot.
    pub fn of(probes: Vec<Probe>, start_period: Span) -> Self {
        Self {
            probes,
            interval: Self::INTERVAL,
            timeout: Self::TIMEOUT,
            retries: Self::RETRIES,
            start_period,
            start_interval: None,
            success_threshold: 1,
            deadline: None,
        }
    }

    /// What makes a vm without a healthcheck ready.
    pub fn ready() -> Self {
        Self::of(vec![Probe::CloudInit], Self::FIRST_BOOT)
    }

    /// What a vm must reach whose end others wait for, `within` this time.
    pub fn completed(within: Option<Span>) -> Self {
        let within = within.unwrap_or(Self::WORK);
        Self { retries: 1, deadline: Some(within), ..Self::of(vec![Probe::Completed], within) }
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
