//! What a vm really has, in the words of its spec: as it is defined, and as it runs.
//!
//! Owns the comparison with what was recorded. It speaks only of what a spec can set: what a hypervisor adds by itself
//! is never seen here.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::fixed::Fixed;
use crate::model::hardware::Limits;
use crate::model::{Disk, Mac, Moment, Vm};
use crate::units::Bytes;

/// What a hypervisor has of a vm.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Defined, so that it is there when it is off.
    pub persistent: bool,
    /// Started with the hypervisor.
    pub autostart: bool,
    /// As it will be at its next start.
    pub defined: Shape,
    /// As it is; `None` where it is off.
    pub running: Option<Shape>,
    /// The snapshots that it is in, the oldest first.
    pub snapshots: Vec<Moment>,
    /// The names of snapshots that somebody else took of it.
    pub other_snapshots: Vec<String>,
}

/// What of a vm can be seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// Memory.
    pub memory: Bytes,
    /// Up to how much memory it can be given.
    pub max_memory: Bytes,
    /// Number of processors.
    pub cpus: u32,
    /// Up to how many processors it can be given.
    pub max_cpus: u32,
    /// Upper limits.
    pub limits: Limits,
    /// Its disks besides the root disk and the seed.
    pub disks: BTreeSet<String>,
    /// Its interfaces.
    pub interfaces: BTreeSet<Mac>,
    /// Those of its interfaces that reach no network, or another one than they should: how that is, in words.
    pub astray: BTreeMap<Mac, String>,
    /// Disks and interfaces that somebody else gave it.
    pub foreign: Vec<Foreign>,
    /// What only a start can change.
    pub fixed: Fixed,
}

/// A device that vmcompose did not attach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreign {
    /// What it is, in words: "disk `/tmp/x.qcow2`".
    pub name: String,
    /// The hypervisor's own description of it, to take it off and to put it back.
    pub description: String,
}

/// A disk's name among those of its vm: volumes and disks of its own may have the same names.
pub fn disk_name(disk: &Disk) -> String {
    match disk {
        Disk::Volume { volume } => format!("volume {volume}"),
        Disk::Own { name, .. } => name.to_string(),
    }
}

impl Shape {
    /// What a vm of this spec has.
    pub fn of(vm: &Vm) -> Self {
        let memory = whole_kib(vm.memory);
        Self {
            memory,
            max_memory: vm.hardware.max_memory.map_or(memory, whole_kib),
            cpus: vm.cpus,
            max_cpus: vm.hardware.max_cpus.unwrap_or(vm.cpus),
            limits: comparable(&vm.hardware.limits),
            disks: vm.disks.iter().map(disk_name).collect(),
            // A wire is nothing that a hypervisor counts among interfaces.
            interfaces: vm.interfaces.iter().filter(|nic| nic.wire.is_none()).map(|nic| nic.mac).collect(),
            astray: BTreeMap::new(),
            foreign: Vec::new(),
            fixed: Fixed::of(vm),
        }
    }
}

/// Hypervisors count memory in KiB.
fn whole_kib(bytes: Bytes) -> Bytes {
    Bytes(bytes.kib_ceil() << 10)
}

/// Limits as a hypervisor gives them back: in its units, and the usual ones not at all.
pub fn comparable(limits: &Limits) -> Limits {
    /// What every vm weighs.
    const USUAL_SHARES: u32 = 1024;
    Limits {
        cpu_shares: limits.cpu_shares.filter(|shares| *shares != USUAL_SHARES),
        // The grain of a quota: a period of 100 ms in microseconds.
        cpu_quota: limits.cpu_quota.map(|quota| (quota * 100_000.0).round() / 100_000.0),
        memory_hard: limits.memory_hard.map(whole_kib),
        memory_soft: limits.memory_soft.map(whole_kib),
        disk: limits.disk,
        download: limits.download.map(whole_kib),
        upload: limits.upload.map(whole_kib),
    }
}

/// One thing that is not as it was recorded: field, as it is, as it was recorded.
pub type Difference = (String, Option<String>, Option<String>);

impl Seen {
    /// The names of all its snapshots, whoever took them.
    pub fn all_snapshots(&self) -> Vec<String> {
        let own = self.snapshots.iter().map(|moment| moment.snapshot.name.to_string());
        own.chain(self.other_snapshots.iter().cloned()).collect()
    }

    /// What somebody else changed since `recorded` was applied, but for what only a start can change.
    pub fn drift(&self, recorded: &Vm) -> Vec<Difference> {
        let wanted = Shape::of(recorded);
        let mut found = Vec::new();
        let mut note = |field: &str, seen: String, recorded: String| {
            if seen != recorded && !found.iter().any(|(known, ..): &Difference| known == field) {
                found.push((field.to_owned(), Some(seen), Some(recorded)));
            }
        };
        note("defined", yes_or_no(self.persistent), yes_or_no(true));
        note("autostart", self.autostart.to_string(), recorded.autostart.to_string());
        for shape in self.running.iter().chain([&self.defined]) {
            // A guest need not give back at once what it shall have less, or at all: only less than recorded is drift.
            if shape.memory < wanted.memory || std::ptr::eq(shape, &raw const self.defined) {
                note("memory", shape.memory.to_string(), wanted.memory.to_string());
            }
            note("cpus", shape.cpus.to_string(), wanted.cpus.to_string());
            note("limits", words(&shape.limits), words(&wanted.limits));
        }
        for shape in self.running.iter().chain([&self.defined]) {
            devices(shape, &wanted, &mut found);
        }
        found
    }
}

fn yes_or_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

fn words(limits: &Limits) -> String {
    let words = limits.to_string();
    if words.is_empty() { "none".to_owned() } else { words }
}

fn devices(shape: &Shape, wanted: &Shape, found: &mut Vec<Difference>) {
    let attached = || Some("attached".to_owned());
    let lost_disks = wanted.disks.difference(&shape.disks).map(|disk| (format!("disks.{disk}"), None, attached()));
    let lost_nics = wanted.interfaces.difference(&shape.interfaces);
    let lost_nics = lost_nics.map(|mac| (format!("interfaces.{mac}"), None, attached()));
    let extra_disks = shape.disks.difference(&wanted.disks).map(|disk| (format!("disks.{disk}"), attached(), None));
    let foreign = shape.foreign.iter().map(|device| (device.name.clone(), attached(), None));
    let astray = shape
        .astray
        .iter()
        .map(|(mac, how)| (format!("interfaces.{mac}"), Some(how.clone()), Some("plugged in".to_owned())));
    for difference in lost_disks.chain(lost_nics).chain(astray).chain(extra_disks).chain(foreign) {
        if !found.contains(&difference) {
            found.push(difference);
        }
    }
}
