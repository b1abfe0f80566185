//! What a network really has, in the words of its spec: as it is defined, and as it runs.
//!
//! Owns what a look at a network yields. It speaks only of what a spec can set; where it is read from is the backend's
//! business, and what follows from it the planner's.

use super::seen::Difference;
use crate::model::Network;

/// What a hypervisor has of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct SeenNetwork {
    /// Started with the hypervisor.
    pub autostart: bool,
    /// Defined, so that it is there after it was stopped.
    pub persistent: bool,
    /// As it will be at its next start.
    pub defined: Found,
    /// As it is; `None` where it is down.
    pub running: Option<Found>,
}

/// A network's definition, read back.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The network. What cannot be seen of one is as it was recorded.
    pub network: Network,
    /// What no spec can say: field, as it is, as it was recorded.
    pub odd: Vec<Difference>,
}

impl Found {
    /// A definition that is as it was recorded.
    pub fn of(network: &Network) -> Self {
        Self { network: network.clone(), odd: Vec::new() }
    }
}

impl SeenNetwork {
    /// A network that is up and as it was recorded.
    pub fn of(network: &Network) -> Self {
        let found = Found::of(network);
        Self { autostart: true, persistent: true, defined: found.clone(), running: Some(found) }
    }
}
