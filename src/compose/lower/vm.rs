//! A vm's own values: defaults filled in, limits kept.
//!
//! Owns what a vm has when the file says nothing. What it refers to is settled by its callers.

use std::collections::BTreeMap;

use super::{Instance, Scope, disks, health, labels, machine, ports};
use crate::compose::decode::At;
use crate::compose::diagnostic::Diagnostic;
use crate::compose::schema::vm as file;
use crate::model::{Boot, Dependency, Disk, ImageRef, Interface, Vm};
use crate::names::{Generation, ImageName, VmName};
use crate::units::{Bytes, Span};

/// Virtual CPUs, where the file says nothing.
const CPUS: u32 = 1;
/// Memory, where the file says nothing.
const MEMORY: Bytes = Bytes::gib(1);
/// No kernel starts in less.
const LEAST_MEMORY: Bytes = Bytes::mib(16);
/// More than any hypervisor gives to one vm.
const MOST_CPUS: u32 = 4096;
/// How long a shutdown may take, where the file says nothing.
const GRACE: Span = Span::secs(30);

pub(super) fn lower(
    scope: &Scope<'_>,
    instance: &Instance<file::Vm>,
    boot: Option<Boot>,
    disks: Vec<Disk>,
    interfaces: Vec<Interface>,
    depends_on: BTreeMap<VmName, Dependency>,
    mistakes: &mut Vec<Diagnostic>,
) -> Vm {
    let spec = &instance.spec;
    let addressed = !matches!(boot, Some(Boot::Existing { .. }));
    let addressed = addressed && spec.networks.as_ref().is_none_or(|networks| !networks.0.is_empty());
    if let Some(disk) = &spec.disk {
        disks::check_size(disk, mistakes);
    }
    let cpus = spec.cpus.as_ref().map_or(CPUS, |cpus| checked_cpus(cpus, mistakes));
    let memory = spec.memory.as_ref().map_or(MEMORY, |memory| checked_memory(scope, memory, mistakes));
    Vm {
        name: instance.name.clone(),
        replica_of: instance.group.clone(),
        hostname: spec.hostname.as_ref().map_or_else(|| instance.name.to_string(), |name| name.value.0.clone()),
        boot: boot.unwrap_or_else(nothing),
        cpus,
        memory,
        disk: spec.disk.as_ref().map(|disk| disk.value),
        disks,
        shares: Vec::new(),
        interfaces,
        ports: ports::of(instance),
        depends_on,
        healthcheck: health::lower(scope, instance, addressed, mistakes),
        cloud_init: None,
        ssh: None,
        ignition: None,
        provision: Vec::new(),
        stop_grace_period: spec.stop_grace_period.unwrap_or(GRACE),
        autostart: spec.autostart.unwrap_or(false),
        protect: spec.protect.unwrap_or(false),
        accel: spec.accel.unwrap_or_default(),
        hardware: machine::lower(instance, cpus, memory, mistakes),
        labels: labels(&spec.labels, mistakes),
        annotations: labels(&spec.annotations, mistakes),
        generation: Generation::FIRST,
    }
}

/// Stands in where the boot medium is a mistake, which was reported; the project is never used then.
fn nothing() -> Boot {
    Boot::Image(ImageRef::unseen(ImageName::new("unknown").expect("a legal name")))
}

fn checked_cpus(cpus: &At<u32>, mistakes: &mut Vec<Diagnostic>) -> u32 {
    if !(1..=MOST_CPUS).contains(&cpus.value) {
        let range = Diagnostic::error(format!("`cpus` must be from 1 to {MOST_CPUS}, not {}", cpus.value));
        mistakes.push(range.at(cpus.place, if cpus.value == 0 { "no processor" } else { "too many" }));
    }
    cpus.value
}

fn checked_memory(scope: &Scope<'_>, memory: &At<Bytes>, mistakes: &mut Vec<Diagnostic>) -> Bytes {
    if memory.value < LEAST_MEMORY {
        let bytes = memory.value.0;
        let little =
            Diagnostic::error(format!("`memory` of `{}` is too little; the least is `{LEAST_MEMORY}`", memory.value));
        let written = scope.texts.slice(memory.place.at).trim_matches(['"', '\'']);
        // A bare number is nearly always meant in MiB.
        let bare = written.chars().all(|c| c.is_ascii_digit()) && (16..1 << 20).contains(&bytes);
        let hint = bare.then(|| format!("a number without a unit counts bytes; write `{bytes}MiB`"));
        mistakes.push(little.at(memory.place, "too little").maybe_hint(hint));
    }
    memory.value
}
