//! Where vms live: the one trait between the engine and a hypervisor.
//!
//! Owns the contract and its errors. The engine knows nothing below it, a backend nothing above it.

pub mod libvirt;
mod reach;
pub mod storage;
mod stranger;
pub mod usage;

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

pub use stranger::Stranger;

use crate::model::Probe;
use crate::names::{ProjectName, VmName};
use crate::plan::Operation;
use crate::state::ActualState;

/// A place where vms live. Every call blocks; the executor moves it off its threads in one place.
pub trait Hypervisor: Send + Sync + 'static {
    /// Looks at everything that belongs to `project`, and at what stands in its way. Changes nothing.
    fn observe(&self, project: &ProjectName) -> Result<ActualState, HypervisorError>;

    /// Performs exactly one operation, all or nothing. Applying it again after it succeeded is harmless, and so is
    /// removing what is not there. Never touches an object that is not the project's own. Says whether it changed
    /// anything: what was so before is not this run's to undo.
    fn apply(&self, project: &ProjectName, operation: &Operation) -> Result<Change, HypervisorError>;

    /// Makes one attempt. Repetition and patience belong to the gate. `Err` means that no further attempt can
    /// succeed; anything that may yet come right is [`Health::Failing`].
    fn probe(&self, project: &ProjectName, attempt: &Attempt) -> Result<Health, HypervisorError>;

    /// What it notices by itself of a project's vms, from now on; `None` where it notices nothing. Good for knowing at once
    /// what a look would show later, never instead of the look: a notice may be missed, or be of a vm that is not ours.
    fn notices(&self, _project: &ProjectName) -> Option<Notices> {
        None
    }

    /// What can still be found out about a vm that did not become healthy, before anything of it is undone. Changes
    /// nothing, and takes a few seconds at most.
    fn evidence(&self, _project: &ProjectName, _vm: &VmName) -> Vec<Exhibit> {
        Vec::new()
    }
}

/// Something that was found about a vm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exhibit {
    /// A name for a file: `console.log`.
    pub name: String,
    /// All of it, without secrets.
    pub text: String,
    /// The one line of it that tells most, with its source in front; `None` where none does.
    pub telling: Option<String>,
}

/// What a hypervisor notices, as it comes.
pub type Notices = broadcast::Receiver<Notice>;

/// Something that a hypervisor noticed by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Of which vm.
    pub vm: VmName,
    /// What.
    pub sign: Sign,
}

/// What can be noticed of a vm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// Its definition is there, or is another.
    Defined,
    /// Its definition is gone.
    Undefined,
    /// It started.
    Started,
    /// It was paused.
    Paused,
    /// It goes on.
    Resumed,
    /// The guest went to sleep.
    Asleep,
    /// The guest rebooted.
    Rebooted,
    /// The guest is about to power itself off.
    ShuttingDown,
    /// The guest powered itself off.
    PoweredOff,
    /// Somebody pulled the plug.
    Killed,
    /// It crashed.
    Crashed,
    /// It stopped for another reason.
    Stopped,
    /// The guest's agent is there.
    AgentConnected,
    /// The guest's agent is gone.
    AgentGone,
}

impl Sign {
    /// As a clause about the vm.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Defined => "was defined",
            Self::Undefined => "was undefined",
            Self::Started => "started",
            Self::Paused => "was paused",
            Self::Resumed => "goes on",
            Self::Asleep => "went to sleep",
            Self::Rebooted => "rebooted",
            Self::ShuttingDown => "is shutting down",
            Self::PoweredOff => "powered itself off",
            Self::Killed => "was stopped: somebody pulled the plug",
            Self::Crashed => "crashed",
            Self::Stopped => "stopped",
            Self::AgentConnected => "its agent is connected",
            Self::AgentGone => "its agent is gone",
        }
    }

    /// Whether nothing of the vm runs any more.
    pub fn is_end(self) -> bool {
        matches!(self, Self::PoweredOff | Self::Killed | Self::Crashed | Self::Stopped | Self::Undefined)
    }
}

/// What an operation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// What it is for.
    Made,
    /// What it is for, but by force: the guest was asked first, and did not do it in the time that it had.
    Forced,
    /// Nothing: it was so before.
    None,
}

/// One attempt of a probe.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The vm.
    pub vm: VmName,
    /// Its first address, for probes that name no host.
    pub address: Option<Ipv4Addr>,
    /// What to try.
    pub probe: Probe,
    /// How long it may take.
    pub timeout: Duration,
    /// How a probe by SSH logs in once it was greeted; the greeting is enough where nothing is known.
    pub login: Option<WayIn>,
}

/// How this machine logs in to a vm over SSH, for a probe that proves that it can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayIn {
    /// The account.
    pub user: String,
    /// The port on which its own server is.
    pub port: u16,
    /// The file with the private key.
    pub key: PathBuf,
}

/// The ways into vms, as far as they are known.
pub type WaysIn = BTreeMap<VmName, WayIn>;

impl WayIn {
    /// Whether a probe is of the server that this leads to, and not of another one.
    pub fn is_of(&self, probe: &Probe) -> bool {
        matches!(probe, Probe::Ssh { host: None, port } if *port == self.port)
    }
}

/// The answer to one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It passed.
    Passing,
    /// It passed, and yet something is not as it should be.
    Degraded(String),
    /// It did not; what was observed instead.
    Failing(String),
    /// It did not, because whoever would answer is not there; a hypervisor that has notices tells of its arrival.
    Awaiting(String),
}

/// How a command in a guest ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// The guest cannot tell.
    Unknown,
}

/// What became of a command in a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// How it ended.
    pub end: End,
    /// What it wrote to its standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to its standard error.
    pub stderr: Vec<u8>,
}

/// Why a hypervisor did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HypervisorError {
    /// What sort of failure it is.
    pub kind: ErrorKind,
    /// What went wrong: a lower-case fragment that names the thing.
    pub message: String,
    /// The hypervisor's own words, for `-v`.
    pub detail: Option<String>,
    /// What the user could do about it.
    pub hint: Option<String>,
    /// What it is about, where the operation or the probe does not say that already.
    #[serde(default, skip_serializing_if = "Concern::is_vm")]
    pub concern: Concern,
}

/// What an error is about, as far as exit codes tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Concern {
    /// A vm, or nothing in particular.
    #[default]
    Vm,
    /// Storage, an image or a network.
    Resource,
}

impl Concern {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn is_vm(&self) -> bool {
        *self == Self::Vm
    }
}

/// Sorts of failure, as far as they are handled differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// There is no connection.
    Unreachable,
    /// It is there, but busy with something else; later it may do it.
    Busy,
    /// Something that should be there is not.
    NotFound,
    /// Something of that name is there, and is not ours.
    Conflict,
    /// This hypervisor cannot do it.
    Unsupported,
    /// The vm does not run, so that no probe can pass.
    NotRunning,
    /// Not now, but perhaps in a moment: a guest that is still booting.
    NotYet,
    /// The user wanted it to stop.
    Interrupted,
    /// It failed on the way, and could not be put back: neither as it was nor as it should be.
    Halfway,
    /// The hypervisor refused or failed.
    Rejected,
}

impl HypervisorError {
    /// An error without the hypervisor's own words.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), detail: None, hint: None, concern: Concern::Vm }
    }

    /// The same, about storage, an image or a network.
    #[must_use]
    pub fn about_resource(self) -> Self {
        Self { concern: Concern::Resource, ..self }
    }

    /// Adds what the user could do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for HypervisorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for HypervisorError {}
