//! Vms that are machines which somebody else made.
//!
//! Owns what the file can say of such a one: when it runs and what it waits for, how much memory and how many processors
//! it has. The rest is its maker's, and a key that would ask for it is a mistake.

use std::collections::BTreeMap;

use super::{Instance, subject};
use crate::compose::decode::At;
use crate::compose::diagnostic::Diagnostic;
use crate::compose::node::Node;
use crate::compose::place::Place;
use crate::compose::schema::vm as file;
use crate::model::Boot;

/// Whether this value of `boot` is such a machine.
pub(crate) fn is_meant(boot: &Node) -> bool {
    boot.get("existing").is_some_and(|name| !name.is_null())
}

/// The machine that a vm is.
pub(super) fn machine(
    instance: &Instance<file::Vm>,
    boot: &At<file::Boot>,
    mistakes: &mut Vec<Diagnostic>,
) -> Option<Boot> {
    let machine = boot.existing.as_ref()?;
    let vm = subject(instance);
    if boot.kernel.is_some() || boot.initrd.is_some() || boot.cmdline.is_some() || boot.cdrom.is_some() {
        let both = Diagnostic::error(format!("{vm} is machine `{}`, and boots what that boots", machine.value));
        mistakes.push(both.at(boot.place, "says what else it boots").hint("leave all but `existing` and `start` out"));
    }
    if machine.is_empty() {
        mistakes.push(Diagnostic::error(format!("{vm} is a machine without a name")).at(machine.place, "which?"));
        return None;
    }
    let spec = &instance.spec;
    let given = not_sayable(spec);
    if !given.is_empty() {
        let list: Vec<String> = given.iter().map(|key| format!("`{key}`")).collect();
        let not =
            format!("{} cannot be said of {vm}: vmcompose did not make machine `{}`", list.join(", "), machine.value);
        let hint = "leave it out; who made the machine changes that, by virsh or otherwise";
        mistakes.push(Diagnostic::error(not).at(machine.place, "somebody else made it").hint(hint));
    }
    if spec.cpus.is_none() || spec.memory.is_none() {
        // What a vm has otherwise is no guess at what somebody else gave to his.
        let lacks = Diagnostic::error(format!("{vm} is machine `{}`, and lacks its `cpus` or `memory`", machine.value));
        let hint = format!("`vmcompose import {}` writes what it has", machine.value);
        mistakes.push(lacks.at(machine.place, "how much has it?").hint(hint));
    }
    let start = boot.start.as_ref().is_none_or(|start| start.value);
    Some(Boot::Existing { machine: machine.value.clone(), start })
}

/// The keys that are given and would change what the machine consists of.
fn not_sayable(spec: &file::Vm) -> Vec<&'static str> {
    let keys = [
        ("disk", spec.disk.is_some()),
        ("disks", !spec.disks.is_empty()),
        ("networks", spec.networks.is_some()),
        ("hostname", spec.hostname.is_some()),
        ("accel", spec.accel.is_some()),
        ("cpu", spec.cpu.is_some()),
        ("hugepages", spec.hugepages.is_some()),
        ("machine", spec.machine.is_some()),
        ("firmware", spec.firmware.is_some()),
        ("secure_boot", spec.secure_boot.is_some()),
        ("tpm", spec.tpm.is_some()),
        ("graphics", spec.graphics.is_some()),
        ("watchdog", spec.watchdog.is_some()),
        ("devices", !spec.devices.is_empty()),
        ("shares", !spec.shares.is_empty()),
        ("ports", !spec.ports.is_empty()),
        ("restart", spec.restart.is_some()),
        ("cloud_init", spec.cloud_init.is_some()),
        ("ignition", spec.ignition.is_some()),
        ("limits", spec.limits.is_some()),
        ("xml", spec.xml.is_some()),
    ];
    keys.into_iter().filter(|(_, given)| *given).map(|(key, _)| key).collect()
}

/// A machine can be one vm only.
pub(super) fn check(instances: &[Instance<file::Vm>], mistakes: &mut Vec<Diagnostic>) {
    let mut first: BTreeMap<&str, Place> = BTreeMap::new();
    for instance in instances {
        let Some(machine) = instance.spec.boot.as_ref().and_then(|boot| boot.existing.as_ref()) else { continue };
        if let Some(other) = first.insert(machine, machine.place) {
            let twice = Diagnostic::error(format!("machine `{}` is two vms", machine.value));
            let twice = twice.at(machine.place, subject(instance));
            mistakes.push(if other == machine.place {
                twice.hint("replicas need one each: make it differ by `{{ index }}`")
            } else {
                twice.and(other, "and this one")
            });
        }
    }
}
