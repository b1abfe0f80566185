//! Quotas of a project: what all of it together may ask for.
//!
//! Owns the sums and the refusal, at the place that sets the limit. Knows nothing of what a hypervisor has.

use super::decode::{At, decode};
use super::diagnostic::Diagnostic;
use super::node::Node;
use super::schema::resource::Quotas;
use crate::model::{Disk, Project};
use crate::units::Bytes;

/// Checks the whole project against `limits:` at the top of the file.
pub(super) fn check(root: &Node, project: &Project, mistakes: &mut Vec<Diagnostic>) {
    let Some(node) = root.get("limits").filter(|node| !node.is_null()) else { return };
    let Some(quotas) = decode::<Quotas>(node, "limits", mistakes) else { return };
    let vms = || project.vms.values();
    let many = vms().count();
    if let Some(most) = quotas.vms.filter(|most| many > usize::try_from(most.value).unwrap_or(usize::MAX)) {
        mistakes.push(over("vms", &most, &format!("the project has {many} vms")));
    }
    let memory = Bytes(vms().map(|vm| vm.memory.0).sum());
    if let Some(most) = quotas.memory.filter(|most| memory > most.value) {
        mistakes.push(over("memory", &most, &format!("the vms have {memory} together")));
    }
    let own = vms().flat_map(|vm| &vm.disks).map(|disk| match disk {
        Disk::Own { size, .. } => size.0,
        Disk::Volume { .. } => 0,
    });
    // A root disk without a size has its image's, which is not known here.
    let roots = vms().filter_map(|vm| vm.disk).map(|size| size.0);
    let volumes = project.volumes.values().map(|volume| volume.size.0);
    let disk = Bytes(own.chain(roots).chain(volumes).sum());
    if let Some(most) = quotas.disk.filter(|most| disk > most.value) {
        mistakes.push(over("disk", &most, &format!("disks and volumes have {disk} together")));
    }
}

fn over<T: std::fmt::Display>(key: &str, most: &At<T>, have: &str) -> Diagnostic {
    Diagnostic::error(format!("{have}, and `limits.{key}` allows {}", most.value))
        .at(most.place, "more than this is asked for")
        .hint("ask for less, or raise the limit")
}
