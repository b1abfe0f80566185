//! The vms of a project as a table, as JSON and as YAML.
//!
//! Owns what is told of a vm and its shape. What is true of it was found out before; knows nothing of hypervisors.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use serde::Serialize;

use crate::cli::TableFormat;
use crate::model::Port;
use crate::names::{ImageName, NetworkName, ProjectName, VmName};
use crate::render::layout::{Text, columns, tame};
use crate::render::style::{Palette, paint};
use crate::state::Phase;
use crate::units::Bytes;

/// Version of the shape for programs. Fields may be added without a new version; none is renamed or removed.
pub const VERSION: u32 = 1;

/// One vm as it is now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VmStatus {
    /// Its name.
    pub vm: VmName,
    /// Whether it runs.
    pub state: State,
    /// Whether its healthcheck passes.
    pub health: Health,
    /// The first probe that did not pass, and its answer.
    pub answer: Option<String>,
    /// Its addresses, in the order of its interfaces.
    pub addresses: Vec<Address>,
    /// Its ports that are published on the host.
    pub ports: Vec<Port>,
    /// What it boots: the image, or the kernel; `None` of a machine that somebody else made.
    pub image: Option<ImageName>,
    /// Number of virtual CPUs.
    pub cpus: u32,
    /// Memory.
    pub memory: Bytes,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Time since it was made, in whole seconds.
    #[serde(rename = "age_s", serialize_with = "seconds")]
    pub age: Option<Duration>,
}

/// Whether a vm runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It runs.
    Running,
    /// Its processors are held.
    Paused,
    /// Off, its memory kept for its next start.
    Saved,
    /// It is shut off.
    Stopped,
    /// It ended in a fault.
    Crashed,
    /// It does not exist.
    Missing,
}

/// Whether the healthcheck of a vm passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It passes.
    Healthy,
    /// It has not passed yet, and a run waits for that.
    Starting,
    /// It does not pass.
    Unhealthy,
    /// It cannot be tried, because the vm does not run.
    Unknown,
    /// There is no healthcheck.
    None,
}

/// An address on a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Address {
    /// The network.
    pub network: NetworkName,
    /// The address.
    pub ip: Ipv4Addr,
    /// The IPv6 address.
    pub ip6: Option<Ipv6Addr>,
}

impl From<Phase> for State {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Running => Self::Running,
            Phase::Paused => Self::Paused,
            Phase::Saved => Self::Saved,
            // Only an image can be incomplete.
            Phase::Stopped | Phase::Completed | Phase::Incomplete => Self::Stopped,
            Phase::Crashed => Self::Crashed,
        }
    }
}

impl State {
    /// One word for it, the same as in the formats for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Saved => "saved",
            Self::Stopped => "stopped",
            Self::Crashed => "crashed",
            Self::Missing => "missing",
        }
    }
}

impl Health {
    /// One word for it, the same as in the formats for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Starting => "starting",
            Self::Unhealthy => "unhealthy",
            Self::Unknown => "unknown",
            Self::None => "none",
        }
    }
}

#[derive(Serialize)]
struct Shape<'a> {
    version: u32,
    project: &'a ProjectName,
    vms: &'a [VmStatus],
}

/// The vms in a format. JSON and YAML have this shape:
///
/// ```json
/// {
///   "version": 1,
///   "project": "shop",
///   "vms": [ {
///     "vm": "api-1",
///     "state": "running",
///     "health": "unhealthy",
///     "answer": "http :8080/healthz: connection refused",
///     "addresses": [ { "network": "front", "ip": "10.20.0.11", "ip6": null } ],
///     "ports": [ { "address": "127.0.0.1", "host": 8080, "guest": 80 } ],
///     "image": "debian",
///     "cpus": 1,
///     "memory": "1GiB",
///     "labels": { "tier": "web" },
///     "age_s": 62
///   } ]
/// }
/// ```
///
/// `state` is one of `running`, `paused`, `saved`, `stopped`, `crashed`, `missing`; `health` one of `healthy`, `starting` (not
/// yet, and a run waits for it), `unhealthy`, `unknown` (it does not run), `none` (no healthcheck). A port has `"udp": true` where it is
/// one, and no `address` where it is published on all. `answer`, `image` and `age_s` are null where there is none.
pub fn vms(project: &ProjectName, vms: &[VmStatus], format: TableFormat, palette: &Palette) -> String {
    let shape = Shape { version: VERSION, project, vms };
    match format {
        TableFormat::Table => table(vms, palette),
        TableFormat::Json => format!("{}\n", serde_json::to_string_pretty(&shape).expect("every key is a string")),
        TableFormat::Yaml => serde_yaml::to_string(&shape).expect("every key is a string"),
    }
}

/// Names only, one per line, for scripts.
pub fn names(vms: &[VmStatus]) -> String {
    let mut text = Text::default();
    for status in vms {
        text.line(format_args!("{}", status.vm));
    }
    text.end()
}

/// Never cut to the terminal: a table goes through pipes as often as not, and must be the same there.
fn table(vms: &[VmStatus], palette: &Palette) -> String {
    let header = ["VM", "STATE", "HEALTH", "ADDRESS", "PORTS", "IMAGE", "CPUS", "MEMORY", "AGE"];
    let header = header.map(|name| paint(palette.faint, name)).to_vec();
    let mut rows: Vec<Vec<String>> = std::iter::once(header).chain(vms.iter().map(|vm| row(vm, palette))).collect();
    if vms.iter().all(|vm| vm.ports.is_empty()) {
        const PORTS: usize = 4;
        for row in &mut rows {
            row.remove(PORTS);
        }
    }
    columns(&rows)
}

fn row(status: &VmStatus, palette: &Palette) -> Vec<String> {
    let state = match status.state {
        State::Running => palette.good,
        State::Paused | State::Saved | State::Stopped | State::Missing => palette.faint,
        State::Crashed => palette.bad,
    };
    let health = match status.health {
        Health::Healthy => palette.good,
        Health::Starting => palette.busy,
        Health::Unhealthy => palette.bad,
        Health::Unknown | Health::None => palette.faint,
    };
    let none = || "-".to_owned();
    let word = if status.health == Health::None { none() } else { status.health.as_str().to_owned() };
    let both = |address: &Address| [Some(IpAddr::V4(address.ip)), address.ip6.map(IpAddr::V6)];
    let addresses: Vec<String> = status.addresses.iter().flat_map(both).flatten().map(|ip| ip.to_string()).collect();
    let ports: Vec<String> = status.ports.iter().map(ToString::to_string).collect();
    vec![
        paint(palette.strong, &status.vm),
        paint(state, status.state.as_str()),
        paint(health, word),
        if addresses.is_empty() { none() } else { addresses.join(", ") },
        if ports.is_empty() { none() } else { ports.join(", ") },
        status.image.as_ref().map_or_else(none, |image| tame(image.as_str())),
        status.cpus.to_string(),
        status.memory.to_string(),
        status.age.map_or_else(none, age),
    ]
}

/// One unit is enough to see what is new and what is old.
pub(super) fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
pub(super) fn seconds<S: serde::Serializer>(age: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    age.map(|age| age.as_secs()).serialize(serializer)
}
