//! What stands in a plan's way: found before anything is done, and all of it at once.
//!
//! Owns the refusals: foreign objects, busy subnets, changes that cannot be made, protection. Decides nothing else.

mod bounds;
mod surroundings;

pub(super) use bounds::{not_offered, shrinking};

use ipnet::IpNet;

use crate::graph::CycleError;
use crate::model::{Disk, Origin, Spec, Vm};
use crate::names::{NetworkName, ResourceId, VmName, VolumeName};
use crate::plan::change::impossible;
use crate::plan::diff::{FieldChange, changes};
use crate::plan::effects::Lans;
use crate::plan::growth::is_size;
use crate::state::seen::disk_name;
use crate::state::{Actual, ActualState, DesiredState, Phase};
use crate::units::Bytes;

/// Why there is no plan: everything that stands in its way, at once.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// Resources wait for one another for ever.
    #[error(transparent)]
    Cycle(#[from] CycleError),
    /// Something has to be settled by the user first.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Blocked(Vec<Obstacle>),
}

/// One thing that stands in a plan's way.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Obstacle {
    /// The name is taken by something that is not ours.
    #[error("{resource} cannot be made: there is {holder}")]
    Foreign {
        /// What was to be made.
        resource: ResourceId,
        /// What has its name.
        holder: String,
        /// Where the file asks for it.
        origin: Option<Origin>,
    },
    /// It is to be a machine of somebody else's that the project has not adopted.
    #[error("vm `{vm}` is to be machine `{machine}`, and that is none of the project's")]
    NotAdopted {
        /// Which.
        vm: VmName,
        /// The machine's name.
        machine: String,
        /// Where the file asks for it.
        origin: Option<Origin>,
    },
    /// Only who made it can make it anew.
    #[error("vm `{vm}` cannot be made anew: it is machine `{machine}`, which vmcompose did not make")]
    NotOurs {
        /// Which.
        vm: VmName,
        /// The machine's name.
        machine: String,
        /// Where the file asks for it.
        origin: Option<Origin>,
    },
    /// A machine of somebody else's is not in a state that the plan can do with.
    #[error("vm `{vm}`: {problem}")]
    Machine {
        /// Which.
        vm: VmName,
        /// What is wrong, in words.
        problem: String,
        /// What the user could do about it.
        hint: String,
        /// Where the file asks for it.
        origin: Option<Origin>,
    },
    /// The subnet is in use by something that is not ours.
    #[error("network `{network}` cannot have subnet {subnet}: {holder} uses {taken}")]
    BusySubnet {
        /// Which network.
        network: NetworkName,
        /// What it asks for.
        subnet: IpNet,
        /// What is in use.
        taken: IpNet,
        /// By whom.
        holder: String,
        /// Where the file asks for it.
        origin: Option<Origin>,
    },
    /// What the network would be joined to is not there, or cannot do what is asked of it.
    #[error("network `{network}` cannot be joined to {device}: {reason}")]
    Device {
        /// Which network.
        network: NetworkName,
        /// What of the host, in words.
        device: String,
        /// Why not.
        reason: String,
        /// What the user could do about it.
        hint: String,
        /// Where the file asks for it.
        origin: Option<Origin>,
    },
    /// An ordinary user's hypervisor makes no bridges, and a wire cannot do everything.
    #[error(
        "network `{network}` asks for `{key}`, which an ordinary user's own hypervisor (`qemu:///session`) cannot do"
    )]
    Rootless {
        /// Which network.
        network: NetworkName,
        /// What it asks for, as the file has it.
        key: &'static str,
        /// Where the file asks for it.
        origin: Option<Origin>,
    },
    /// A port of the host is in use by something that is not ours.
    #[error("port {port} of the host cannot be published for vm `{vm}`: {holder} has it")]
    BusyPort {
        /// Whose.
        vm: VmName,
        /// Which, as it is found on the host.
        port: String,
        /// By whom.
        holder: String,
        /// Where the file asks for it.
        origin: Option<Origin>,
    },
    /// Something that is there would have to change in a way that is not supported.
    #[error("{resource} cannot be changed in place: {}", fields(.changes))]
    Unchangeable {
        /// Which.
        resource: ResourceId,
        /// In what.
        changes: Vec<FieldChange>,
        /// Where the file asks for it.
        origin: Option<Origin>,
    },
    /// The hypervisor cannot do it.
    #[error("{resource} asks for {what}, which this hypervisor does not offer")]
    NotOffered {
        /// Which.
        resource: ResourceId,
        /// What it asks for.
        what: String,
        /// What there is instead.
        instead: Option<String>,
        /// Where the file asks for it.
        origin: Option<Origin>,
    },
    /// The vm cannot be in the snapshot.
    #[error("vm `{vm}` cannot be in the snapshot: {reason}")]
    Snapshot {
        /// Which.
        vm: VmName,
        /// Why not.
        reason: String,
        /// What the user could do about it.
        hint: String,
    },
    /// What snapshots keep of a vm is on the disks that it would lose.
    #[error("{resource} would {loss}, and its snapshots would go with that: {}", quoted(.snapshots))]
    Snapshots {
        /// Which.
        resource: ResourceId,
        /// What becomes of it: "be replaced".
        loss: String,
        /// The names of its snapshots.
        snapshots: Vec<String>,
        /// Where the file asks for it.
        origin: Option<Origin>,
    },
    /// `protect: true` forbids it.
    #[error("{resource} is protected and would be replaced")]
    Replaced {
        /// Which.
        resource: ResourceId,
        /// Where the file asks for it.
        origin: Option<Origin>,
    },
    /// A disk of the vm's own is gone, with all that was on it.
    #[error("disk `{disk}` of vm `{vm}` is gone: somebody deleted it, with all that was on it")]
    LostDisk {
        /// Whose.
        vm: VmName,
        /// Which.
        disk: VolumeName,
        /// Where the file asks for it.
        origin: Option<Origin>,
    },
    /// What the vm was suspended with in memory knows a volume that is gone.
    #[error("vm `{vm}` is suspended, and its memory knows what was on {volume}: somebody deleted that")]
    LostVolume {
        /// Whose memory.
        vm: VmName,
        /// Which.
        volume: ResourceId,
        /// Where the file asks for it.
        origin: Option<Origin>,
    },
    /// A disk would have to become smaller, which would cut off what is at its end.
    #[error("{disk} cannot shrink from {has} to {wants}")]
    Shrinks {
        /// The volume, or the vm whose disk it is.
        resource: ResourceId,
        /// The disk, in words.
        disk: String,
        /// The size that it has.
        has: Bytes,
        /// The size that the file asks for.
        wants: Bytes,
        /// Where the file asks for it.
        origin: Option<Origin>,
    },
    /// What is asked for is to be in a pool that cannot have it.
    #[error("{resource}: {problem}")]
    Pool {
        /// What needs the pool.
        resource: ResourceId,
        /// What is wrong with the pool, in words.
        problem: String,
        /// What the user could do about it.
        hint: String,
        /// Where the file asks for it.
        origin: Option<Origin>,
    },
    /// `protect: true` forbids it.
    #[error("{resource} is protected and would be deleted")]
    Protected {
        /// Which.
        resource: ResourceId,
        /// Where the file has it.
        origin: Option<Origin>,
    },
}

impl Obstacle {
    /// Where the file asks for what cannot be done.
    pub fn origin(&self) -> Option<&Origin> {
        match self {
            Self::Foreign { origin, .. }
            | Self::NotAdopted { origin, .. }
            | Self::NotOurs { origin, .. }
            | Self::Machine { origin, .. }
            | Self::BusySubnet { origin, .. }
            | Self::Device { origin, .. }
            | Self::BusyPort { origin, .. }
            | Self::Rootless { origin, .. }
            | Self::Unchangeable { origin, .. }
            | Self::Replaced { origin, .. }
            | Self::Snapshots { origin, .. }
            | Self::NotOffered { origin, .. }
            | Self::Shrinks { origin, .. }
            | Self::LostDisk { origin, .. }
            | Self::LostVolume { origin, .. }
            | Self::Pool { origin, .. }
            | Self::Protected { origin, .. } => origin.as_ref(),
            Self::Snapshot { .. } => None,
        }
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn fields(changes: &[FieldChange]) -> String {
    let none = || "none".to_owned();
    let text = |change: &FieldChange| {
        let old = change.old.clone().unwrap_or_else(none);
        let new = change.new.clone().unwrap_or_else(none);
        format!("{} {old} → {new}", change.field)
    };
    changes.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// What a vm would lose that its snapshots are on: they are of all its disks at once.
fn loss(from: &Vm, to: &Vm) -> Option<String> {
    if from.generation != to.generation {
        return Some("be replaced".to_owned());
    }
    let kept: Vec<String> = to.disks.iter().map(disk_name).collect();
    let gone = from.disks.iter().find(|disk| !kept.contains(&disk_name(disk)))?;
    Some(match gone {
        Disk::Own { name, .. } => format!("lose disk `{name}`"),
        Disk::Volume { volume } => format!("lose volume `{volume}`"),
    })
}

/// What keeps one resource from being made or changed.
pub(super) fn obstacle(
    desired: &DesiredState,
    actual: &ActualState,
    id: &ResourceId,
    found: Option<&Actual>,
    lans: Lans<'_>,
) -> Option<Obstacle> {
    let spec = &desired.specs[id];
    let origin = || desired.origins.get(id).cloned();
    let Some(found) = found else {
        if let Some((vm, machine)) = spec.as_vm().and_then(|vm| Some((vm.name.clone(), vm.existing()?.to_owned()))) {
            return Some(Obstacle::NotAdopted { vm, machine, origin: origin() });
        }
        if let Some(holder) = actual.foreign.get(id) {
            return Some(Obstacle::Foreign { resource: id.clone(), holder: holder.clone(), origin: origin() });
        }
        return match spec {
            Spec::Network(network) => surroundings::network(network, actual, origin()),
            Spec::Vm(vm) => surroundings::port(vm, &[], actual, origin()),
            _ => None,
        };
    };
    if found.phase == Phase::Incomplete {
        return None;
    }
    if let (Spec::Vm(from), Spec::Vm(to)) = (&found.recorded, spec)
        && let Some(loss) = loss(from, to)
    {
        if let (Some(machine), true) = (to.existing(), from.generation != to.generation) {
            return Some(Obstacle::NotOurs { vm: to.name.clone(), machine: machine.to_owned(), origin: origin() });
        }
        if from.protect && from.generation != to.generation {
            return Some(Obstacle::Replaced { resource: id.clone(), origin: origin() });
        }
        let snapshots = found.seen.as_ref().map(|seen| seen.all_snapshots()).unwrap_or_default();
        if !snapshots.is_empty() {
            return Some(Obstacle::Snapshots { resource: id.clone(), loss, snapshots, origin: origin() });
        }
    }
    if let (Some(from), Some(to)) = (found.recorded.as_vm(), spec.as_vm())
        && let Some(busy) = surroundings::port(to, &from.ports, actual, origin())
    {
        return Some(busy);
    }
    let fixed: Vec<FieldChange> = match (&found.recorded, spec) {
        (Spec::Vm(from), Spec::Vm(to)) => impossible(from, to, found, lans),
        (Spec::Image(_), Spec::Image(_)) => Vec::new(),
        // All of it can change, where what it needs is there.
        (Spec::Network(from), Spec::Network(to)) => return surroundings::moved(from, to, actual, origin()),
        _ => changes(&found.recorded, spec).into_iter().filter(|change| !is_size(spec, change)).collect(),
    };
    (!fixed.is_empty()).then(|| Obstacle::Unchangeable { resource: id.clone(), changes: fixed, origin: origin() })
}

/// What forbids that these go. `desired` knows where the file has them, if it does.
pub(super) fn protected<'a>(
    desired: &DesiredState,
    going: impl Iterator<Item = &'a Actual>,
) -> impl Iterator<Item = Obstacle> {
    let is = |actual: &&Actual| actual.recorded.as_vm().is_some_and(|vm| vm.protect);
    going.filter(is).map(|actual| {
        let resource = actual.recorded.id();
        let origin = desired.origins.get(&resource).cloned();
        Obstacle::Protected { resource, origin }
    })
}
