//! A snapshot of a project: vms at one instant.
//!
//! Owns what is kept of a snapshot with each vm that is in it, so that every machine sees the same whole. Its serialised
//! form is a format: add fields with a default, never rename one. Knows nothing of how a hypervisor takes one.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::names::{SnapshotName, VmName};

/// A snapshot as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its name.
    pub name: SnapshotName,
    /// Tells it from another of the same name.
    pub id: String,
    /// What the user said of it; may be empty.
    pub description: String,
    /// When it was taken, in seconds since 1970-01-01 UTC.
    pub taken_at: u64,
    /// The vms in it.
    pub vms: BTreeSet<VmName>,
    /// The snapshot before whose restoring it was taken, to make that undoable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<SnapshotName>,
}

/// One vm in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// The whole that it belongs to.
    pub snapshot: Snapshot,
    /// Whether what it had in memory is kept; else only its disks are.
    pub memory: bool,
    /// How it was.
    pub was: Was,
}

/// How a vm was when it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Was {
    /// It ran.
    Running,
    /// Its processors were held by somebody.
    Paused,
    /// It was off.
    Off,
}

impl Was {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Off => "off",
        }
    }
}
