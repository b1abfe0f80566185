//! What is wanted and what is there, side by side and in the same words.
//!
//! Owns both states; a backend fills in the actual one, the planner compares them. Knows nothing of files or libvirt.

mod fingerprint;
pub mod fixed;
mod keys;
pub mod network;
pub mod offer;
pub mod record;
pub mod seen;
pub(crate) mod wires;

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::{CycleError, Graph};
use crate::model::{Digest, Disk, Image, Origin, Project, Spec, Surroundings, Task, Vm, Volume};
use crate::names::{Generation, ImageName, NetworkName, Pool, ProjectName, ResourceId, VmName, VolumeName};
use crate::units::Bytes;

pub use network::SeenNetwork;
pub use offer::Offer;
pub use seen::{Seen, Shape};

/// What is wanted of a whole project.
#[derive(Debug, Clone)]
pub struct DesiredState {
    /// The project.
    pub project: ProjectName,
    /// Every resource that should be there.
    pub specs: BTreeMap<ResourceId, Spec>,
    /// Their order.
    pub graph: Graph,
    /// Where each stands in the user's files.
    pub origins: BTreeMap<ResourceId, Origin>,
    /// What is done inside each vm once it is up.
    pub tasks: BTreeMap<VmName, Vec<Task>>,
}

impl DesiredState {
    /// Everything that the project describes. `images` are its boot media, looked at.
    pub fn up(project: &Project, images: &BTreeMap<ImageName, Image>) -> Result<Self, CycleError> {
        let mut specs = BTreeMap::new();
        let mut add = |spec: Spec| {
            specs.insert(spec.id(), spec);
        };
        for image in images.values() {
            add(Spec::Image(image.clone()));
        }
        for network in project.networks.values() {
            add(Spec::Network(network.clone()));
        }
        for volume in project.volumes.values() {
            // As it can be observed; else it would differ from itself.
            add(Spec::Volume(Volume { size: volume.size.whole_kib(), ..volume.clone() }));
        }
        for vm in project.vms.values() {
            add(Spec::Vm(Box::new(seen(vm, images))));
        }
        if !images.is_empty() {
            add(Spec::Pool(Pool::Images));
        }
        let kept = |volume: &Volume| volume.pool.is_none();
        if project.volumes.values().any(kept) || project.vms.values().any(has_disk) {
            add(Spec::Pool(Pool::Disks));
        }
        let graph = Graph::build(specs.values())?;
        let (origins, tasks) = (project.origins.clone(), project.tasks.clone());
        Ok(Self { project: project.name.clone(), specs, graph, origins, tasks })
    }

    /// Nothing at all.
    pub fn nothing(project: &ProjectName) -> Self {
        Self {
            project: project.clone(),
            specs: BTreeMap::new(),
            graph: Graph::default(),
            origins: BTreeMap::new(),
            tasks: BTreeMap::new(),
        }
    }
}

fn has_disk(vm: &Vm) -> bool {
    let stored = vm.boot.has_disk() || vm.has_seed();
    stored || vm.disks.iter().any(|disk| matches!(disk, Disk::Own { .. }))
}

/// The vm with its images' content filled in: that is what makes a changed image a changed vm.
fn seen(vm: &Vm, images: &BTreeMap<ImageName, Image>) -> Vm {
    let mut vm = vm.clone();
    for reference in vm.boot.images_mut() {
        if let Some(image) = images.get(&reference.name) {
            reference.digest = Some(image.digest.clone());
            reference.format = Some(image.format);
        }
    }
    vm
}

/// What a hypervisor has of a project, and what stands around it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ActualState {
    /// What is the project's own, by its metadata or, for volumes and images, by its unmistakable name.
    pub resources: BTreeMap<ResourceId, Actual>,
    /// Names that the project would use and that something else has already: what that is, in words.
    pub foreign: BTreeMap<ResourceId, String>,
    /// Disks of vms of the project's that no recorded vm has: a run was cut short between a vm and its disks, or
    /// somebody removed the vm by other means.
    pub loose_disks: BTreeSet<(VmName, VolumeName, Generation)>,
    /// Seeds of vms of the project's that no recorded vm has, for the same reasons.
    pub loose_seeds: BTreeSet<(VmName, Generation)>,
    /// Contents of images besides those in `resources`, where there are several under one name.
    pub other_images: BTreeMap<ImageName, Vec<Actual>>,
    /// What the hypervisor can do; `None` where that is not known.
    pub offer: Option<Box<Offer>>,
    /// Vms of the project's that are recorded to get secrets, and whose seeds hold them now.
    pub filled_seeds: BTreeSet<VmName>,
    /// What a guest sees of the disks of vms' own: the size that they have, not the one that was asked for.
    pub disk_sizes: BTreeMap<(VmName, VolumeName), Bytes>,
    /// The disks of vms' own that somebody deleted.
    pub lost_disks: BTreeSet<(VmName, VolumeName)>,
    /// The pools of the hypervisor that are not ours, by name.
    pub pools: BTreeMap<String, OtherPool>,
    /// Of what is defined, a digest of the definition as the hypervisor has it: it differs where anything does, also what no
    /// spec speaks of.
    pub definitions: BTreeMap<ResourceId, Digest>,
    /// When each vm was made, in seconds since 1970-01-01 UTC.
    pub made: BTreeMap<VmName, u64>,
    /// What the project's networks really have.
    pub networks: BTreeMap<NetworkName, SeenNetwork>,
    /// Addresses in use.
    pub surroundings: Surroundings,
}

/// A pool of the user's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OtherPool {
    /// What it is made of, as libvirt has it: `dir`, `logical`, …
    pub kind: String,
    /// Whether it is started.
    pub active: bool,
    /// The names of all that is in it; empty where it is not started.
    pub volumes: BTreeSet<String>,
}

impl OtherPool {
    /// Whether what is in it are files, which any vm can use as a disk.
    pub fn holds_files(&self) -> bool {
        matches!(self.kind.as_str(), "dir" | "fs" | "netfs")
    }
}

/// One resource as it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Actual {
    /// The spec last applied to it.
    pub recorded: Spec,
    /// Whether it runs.
    pub phase: Phase,
    /// When the spec was applied, in seconds since 1970-01-01 UTC, where that is recorded.
    pub applied_at: Option<u64>,
    /// What a vm really has; `None` for what is no vm.
    pub seen: Option<Box<Seen>>,
}

/// Whether a resource is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A vm that runs; anything else that is there and usable.
    Running,
    /// A vm whose processors are held.
    Paused,
    /// A vm that is off, and whose memory is kept for its next start.
    Saved,
    /// A vm that is shut off; a network or a pool that is not active.
    Stopped,
    /// A vm that powered itself off.
    Completed,
    /// A vm that ended in a fault.
    Crashed,
    /// An image whose upload was cut short, or a pool that was being made or removed.
    Incomplete,
}

impl Phase {
    /// One word for people and for formats.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Saved => "saved",
            Self::Stopped | Self::Completed => "stopped",
            Self::Crashed => "crashed",
            Self::Incomplete => "incomplete",
        }
    }
}

impl ActualState {
    /// The recorded specs, for order where there is no file.
    pub fn recorded(&self) -> impl Iterator<Item = &Spec> {
        self.resources.values().map(|actual| &actual.recorded)
    }
}
