//! What vms take of their hypervisor, as it counts it.
//!
//! Owns these plain values. Knows nothing of how they are found out, or of time between two looks.

use std::time::Duration;

use crate::units::Bytes;

/// What one vm took since it started. What a hypervisor does not count is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time of the host's processors.
    pub cpu: Option<Duration>,
    /// Memory of the host's that it holds now.
    pub memory: Option<Bytes>,
    /// What went from and to its disks.
    pub disk: Option<Flow>,
    /// What went from and to its networks.
    pub network: Option<Flow>,
}

/// What went in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Read, or received, by the guest.
    pub inwards: Bytes,
    /// Written, or sent, by the guest.
    pub outwards: Bytes,
}
