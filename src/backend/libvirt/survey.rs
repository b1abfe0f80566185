//! What a hypervisor is like, apart from any project: memory, acceleration, our pools.
//!
//! Owns the questions. What follows from the answers is decided elsewhere; changes nothing.

use std::path::Path;

use virt::connect::Connect;

use super::Libvirt;
use super::error::failed;
use super::storage;
use crate::backend::HypervisorError;
use crate::model::Accel;
use crate::names::Pool;
use crate::units::Bytes;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// It is libvirt's test driver, whose figures are made up.
    pub test: bool,
    /// It is this machine.
    pub local: bool,
    /// It has no more rights than an ordinary user.
    pub rootless: bool,
    /// All memory of the host.
    pub memory: Bytes,
    /// Whether its processor runs guests itself.
    pub acceleration: Acceleration,
    /// Our pools.
    pub pools: Vec<(Pool, PoolState)>,
}

/// Whether the processor of a hypervisor runs guests itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceleration {
    /// It does.
    Works,
    /// This machine has a device for it, but no guest would boot.
    Claimed,
    /// It does not.
    None,
}

/// How one of our pools was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PoolState {
    /// It is not there.
    Missing,
    /// Somebody was cut short while making or removing it.
    Half,
    /// It is not started.
    Stopped,
    /// Something else has its name; what, in words.
    Foreign(String),
    /// It is there, with so much room.
    Active {
        /// Bytes that are free.
        free: Bytes,
    },
}

impl Libvirt {
    /// Looks at the hypervisor itself.
    pub fn survey(&self) -> Result<Survey, HypervisorError> {
        self.connections.with(|connect| {
            let node = connect.get_node_info().map_err(failed("cannot ask the hypervisor for its memory"))?;
            let mut pools = Vec::new();
            for pool in [Pool::Images, Pool::Disks] {
                pools.push((pool, pool_state(connect, pool)?));
            }
            Ok(Survey {
                test: self.place.test,
                local: self.place.local,
                rootless: self.place.rootless(),
                memory: Bytes(node.memory << 10),
                acceleration: match self.offer(connect)?.kvm(Accel::Auto)? {
                    true => Acceleration::Works,
                    false if self.place.local && Path::new("/dev/kvm").exists() => Acceleration::Claimed,
                    false => Acceleration::None,
                },
                pools,
            })
        })
    }
}

fn pool_state(connect: &Connect, pool: Pool) -> Result<PoolState, HypervisorError> {
    let Some(found) = storage::find(connect, pool)? else { return Ok(PoolState::Missing) };
    if let Some(words) = storage::foreign(&found, pool)? {
        return Ok(PoolState::Foreign(words));
    }
    if storage::is_half(&found, pool)? {
        return Ok(PoolState::Half);
    }
    if !storage::is_active(&found, pool)? {
        return Ok(PoolState::Stopped);
    }
    let info = found.get_info().map_err(failed(format!("cannot ask for the room in pool `{pool}`")))?;
    Ok(PoolState::Active { free: Bytes(info.available) })
}
