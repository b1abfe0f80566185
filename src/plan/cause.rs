//! Why a step is in a plan.
//!
//! Owns the reasons and their words. What is done about them is the planner's.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::names::ResourceId;

/// Why a step is in the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Cause {
    /// The file has it, the hypervisor has not.
    Missing,
    /// Somebody deleted it, with all that was on it.
    Lost {
        /// The vm that it was made for.
        by: ResourceId,
    },
    /// It is there but does not run.
    NotRunning {
        /// How it was found.
        phase: String,
    },
    /// It was being made when somebody was cut short.
    Incomplete,
    /// The file asks for something else than was last applied.
    Changed,
    /// Somebody else changed it since it was last applied.
    Drifted,
    /// Somebody else changed it, and that is to stay.
    Kept,
    /// The hypervisor has it, the file no longer has.
    Orphan,
    /// Another one stands in its place.
    Superseded,
    /// The whole project is taken down.
    Down,
    /// It is unchanged, but a step of this plan needs it in a condition.
    Awaited {
        /// Whose step.
        by: ResourceId,
    },
    /// It is unchanged, but a network that it is on was down.
    CutOff {
        /// Which.
        network: ResourceId,
    },
    /// It runs and has its secrets, but its seed still has them too: a run was cut short.
    Unscrubbed,
    /// The command line names it.
    Asked,
    /// It goes along with another.
    Along {
        /// With whom.
        with: ResourceId,
    },
    /// A failure later in the run.
    Rollback,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("does not exist"),
            Self::Lost { by } => write!(f, "{by} has it, and somebody deleted it"),
            Self::NotRunning { phase } => write!(f, "is {phase}"),
            Self::Incomplete => f.write_str("was made only in part"),
            Self::Changed => f.write_str("differs from the file"),
            Self::Drifted => f.write_str("was changed by somebody else"),
            Self::Kept => f.write_str("somebody else's change is kept"),
            Self::Orphan => f.write_str("no longer in the file"),
            Self::Superseded => f.write_str("another one stands in its place"),
            Self::Down => f.write_str("taken down"),
            Self::Awaited { by } => write!(f, "{by} waits for it"),
            Self::CutOff { network } => write!(f, "{network} was down"),
            Self::Unscrubbed => f.write_str("its seed still holds secrets"),
            Self::Asked => f.write_str("asked for"),
            Self::Along { with } => write!(f, "goes along with {with}"),
            Self::Rollback => f.write_str("rolled back"),
        }
    }
}
