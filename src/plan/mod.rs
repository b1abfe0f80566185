//! The plan: what will be done, in which order, why, and what each step must reach.
//!
//! A plan is a plain value. The planner makes it from two states, `plan` prints it, the executor carries it out, and a
//! rollback is one more of it. Knows nothing of files, libvirt or time.

pub mod adoption;
mod anew;
pub mod awaiting;
mod cause;
mod change;
mod deletion;
mod delivery;
pub mod diff;
pub mod downtime;
mod draft;
pub mod effects;
mod follow;
mod former;
mod growth;
mod hosts;
mod lost;
mod machines;
mod network;
pub mod obstacle;
pub mod operation;
pub mod planner;
mod pools;
pub mod power;
pub mod presence;
mod recipe;
mod refresh;
pub mod saved;
pub mod snapshot;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use cause::Cause;
pub use diff::FieldChange;
pub use downtime::Downtime;
pub use obstacle::{Obstacle, PlanError};
pub use operation::Operation;
pub use planner::{Goal, Options, plan};
pub use power::{Company, Power, Selection, power};

use crate::model::{Healthcheck, Origin, Probe};
use crate::names::{ProjectName, ResourceId, VmName};

/// What will be done to a project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The project.
    pub project: ProjectName,
    /// The steps, by topological level: for display, events and scopes of rollback. What a step really waits for is
    /// in [`Step::after`].
    pub waves: Vec<Wave>,
    /// Resources that are as they should be.
    pub unchanged: Vec<ResourceId>,
    /// Resources of this project that the file does not have and that are left alone.
    pub orphans: Vec<ResourceId>,
    /// Those of them that somebody else made: whoever gives them up lets them go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adopted: Vec<ResourceId>,
    /// Named volumes that outlive this plan.
    pub kept: Vec<ResourceId>,
}

/// Steps of one topological level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wave {
    /// Its steps, sorted by resource.
    pub steps: Vec<Step>,
}

/// Number of a step within its plan, from 0, in the order of the waves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(pub usize);

/// Everything that is done to one resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its number.
    pub id: StepId,
    /// What it is done to.
    pub resource: ResourceId,
    /// What is done.
    pub action: Action,
    /// Why.
    pub cause: Cause,
    /// Where the file asks for it.
    pub origin: Option<Origin>,
    /// The fields that change; empty where the resource is made, started or removed.
    pub changes: Vec<FieldChange>,
    /// What else it brings about.
    pub effect: Option<Effect>,
    /// The calls, one after the other.
    pub operations: Vec<Operation>,
    /// What it waits for: other steps, each up to a milestone.
    pub after: BTreeMap<StepId, Milestone>,
    /// What it must reach after its operations.
    pub gate: Gate,
    /// The calls that come last, once the gate is open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finish: Vec<Operation>,
}

/// How far a step has come, as others wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Milestone {
    /// Its operations are applied.
    Applied,
    /// Its gate is open too.
    Passed,
}

/// What is done to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Made, and started where it can be.
    Create,
    /// Started; it was there.
    Start,
    /// Changed while it runs.
    Update,
    /// Stopped and started again, as another machine where its definition changes.
    Restart,
    /// Made anew in place of what was there.
    Replace,
    /// Stopped; it stays there.
    Stop,
    /// Held, with all that it has in memory.
    Pause,
    /// Let go on after it was held.
    Resume,
    /// What it has in memory put on a disk, and it switched off.
    Suspend,
    /// Its file systems brought to rest.
    Freeze,
    /// Its file systems let go on.
    Thaw,
    /// Taken into a snapshot.
    Snapshot,
    /// Put back to how it was in a snapshot.
    Restore,
    /// Taken out of a snapshot.
    Forget,
    /// Removed.
    Delete,
    /// Made one of the project's; somebody else made it.
    Adopt,
    /// Stopped and let go of; it is somebody else's again.
    Release,
    /// Nothing; it is as it should be, but others wait for its gate.
    Verify,
}

impl Action {
    /// The sign that stands before it in a plan.
    pub fn sign(self) -> char {
        match self {
            Self::Create | Self::Adopt => '+',
            Self::Start | Self::Resume | Self::Thaw => '>',
            Self::Update => '~',
            Self::Restart => '↻',
            Self::Replace => '±',
            Self::Stop => '<',
            Self::Pause | Self::Freeze | Self::Suspend => '|',
            Self::Snapshot => '*',
            Self::Restore => '↺',
            Self::Delete | Self::Release | Self::Forget => '-',
            Self::Verify => '=',
        }
    }

    /// Whether the project no longer has it in the end.
    pub fn is_going(self) -> bool {
        matches!(self, Self::Delete | Self::Release)
    }

    /// The verb for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Start => "start",
            Self::Update => "update",
            Self::Restart => "restart",
            Self::Replace => "replace",
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Suspend => "suspend",
            Self::Freeze => "freeze",
            Self::Thaw => "thaw",
            Self::Snapshot => "snapshot",
            Self::Restore => "restore",
            Self::Forget => "delete snapshot",
            Self::Delete => "delete",
            Self::Adopt => "adopt",
            Self::Release => "release",
            Self::Verify => "verify",
        }
    }
}

/// What a step brings about beyond its action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing is interrupted.
    Live,
    /// Those on a network lose its link for a moment.
    Interruption,
    /// The guest is shut down and started again.
    Reboot,
    /// It is made anew.
    Replace,
    /// Bytes that a user may have written are gone for good.
    DataLoss,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live => f.write_str("live"),
            Self::Interruption => f.write_str("interruption"),
            Self::Reboot => f.write_str("reboot"),
            Self::Replace => f.write_str("replace"),
            Self::DataLoss => f.write_str("data loss"),
        }
    }
}

/// What a step must reach after its operations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Gate {
    /// Nothing more.
    None,
    /// The vm's healthcheck passes.
    Healthy {
        /// Which vm.
        vm: VmName,
        /// Where its probes go unless they say otherwise: its first address.
        address: Option<std::net::Ipv4Addr>,
        /// What is tried, how often and how long.
        healthcheck: Healthcheck,
    },
}

impl Gate {
    /// Whether the vm has to do its work and power itself off.
    pub fn is_completion(&self) -> bool {
        matches!(self, Self::Healthy { healthcheck, .. } if healthcheck.probes == [Probe::Completed])
    }
}

impl Gate {
    /// What a vm has reached once it is open, in one word.
    pub fn reaches(&self) -> &'static str {
        match self {
            Self::None => "started",
            Self::Healthy { .. } if self.is_completion() => "completed",
            Self::Healthy { .. } => "healthy",
        }
    }
}

impl fmt::Display for Gate {
    /// Begins with the word for what is reached: "healthy (tcp :5432)".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Healthy { healthcheck, .. } if self.is_completion() => {
                write!(f, "completed")?;
                healthcheck.deadline.map_or(Ok(()), |within| write!(f, " (within {within})"))
            }
            Self::Healthy { healthcheck, .. } => {
                let probes: Vec<String> = healthcheck.probes.iter().map(ToString::to_string).collect();
                write!(f, "healthy ({})", probes.join(", "))
            }
        }
    }
}

impl Step {
    /// All its calls, those before its gate first.
    pub fn all(&self) -> impl Iterator<Item = &Operation> {
        self.operations.iter().chain(&self.finish)
    }
}

impl Plan {
    /// All steps, in the order of their numbers.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.waves.iter().flat_map(|wave| &wave.steps)
    }

    /// Whether it would change anything.
    pub fn is_empty(&self) -> bool {
        self.steps().all(|step| step.operations.is_empty() && step.finish.is_empty())
    }

    /// Whether it only starts pools, so that the next look shows what is in them, and the next plan what remains.
    pub fn is_preliminary(&self) -> bool {
        let mut operations = self.steps().flat_map(|step| &step.operations).peekable();
        operations.peek().is_some() && operations.all(|operation| matches!(operation, Operation::StartPool(_)))
    }

    /// How many steps have this action.
    pub fn count(&self, action: Action) -> usize {
        self.steps().filter(|step| step.action == action).count()
    }
}
