//! The commands that do by hand what a rollback or a `down` could not do.
//!
//! Owns the translation of what was not carried out into `virsh` lines that can be pasted into a shell. Object names are
//! those that vmcompose gives on every hypervisor; whether an object is still there is not known here.

use crate::execute::{Failure, Problem};
use crate::model::Image;
use crate::names::{Pool, ProjectName};
use crate::plan::{Action, Cause, Operation, Plan, Step};

/// The commands for all that remains, in the order in which they work. `connect` is the hypervisor as the user named it.
pub(super) fn commands(plan: &Plan, connect: Option<&str>, remains: &[&Failure]) -> Vec<String> {
    let virsh = match connect {
        Some(uri) => format!("virsh -c {}", quoted(uri)),
        None => "virsh".to_owned(),
    };
    let of = |failure: &&Failure| -> Vec<Operation> {
        let step = plan.steps().find(|step| step.resource == failure.resource);
        step.map(|step| remaining(step, &failure.problem)).unwrap_or_default()
    };
    let lines = remains.iter().flat_map(of).filter_map(|operation| line(&plan.project, &operation));
    lines.map(|line| format!("{virsh} {line}")).collect()
}

/// The operations that were not carried out, the one that failed first. The step ran forwards when the failed operation
/// is one of its own, and backwards when it is the undo of one.
fn remaining(step: &Step, problem: &Problem) -> Vec<Operation> {
    let undo: Vec<Operation> = step.operations.iter().rev().filter_map(Operation::undo).collect();
    let from = |operations: &[Operation], failed: &str| {
        let at = operations.iter().position(|operation| operation.to_string() == failed)?;
        Some(operations[at..].to_vec())
    };
    match problem {
        // What was made before the failure and is kept.
        Problem::Operation { operation, .. } if is_forward(step) && from(&step.operations, operation).is_some() => {
            let at = step.operations.iter().position(|own| own.to_string() == *operation).unwrap_or_default();
            step.operations[..at].iter().rev().filter_map(Operation::undo).collect()
        }
        Problem::Operation { operation, .. } => {
            from(&step.operations, operation).or_else(|| from(&undo, operation)).unwrap_or_default()
        }
        Problem::Blocked | Problem::Interrupted | Problem::Overdue { .. } if step.action == Action::Delete => {
            step.operations.clone()
        }
        Problem::Irreversible { .. } => Vec::new(),
        _ => undo,
    }
}

/// Whether a step makes something, and is no undo.
fn is_forward(step: &Step) -> bool {
    step.action != Action::Delete && step.cause != Cause::Rollback
}

/// One operation as arguments of `virsh`; `None` where there is no short way to say it.
fn line(project: &ProjectName, operation: &Operation) -> Option<String> {
    Some(match operation {
        Operation::StopVm { name, .. } => format!("destroy {project}-{name}"),
        Operation::StartVm(name) => format!("start {project}-{name}"),
        Operation::ResumeVm(name) => format!("resume {project}-{name}"),
        Operation::PauseVm(name) => format!("suspend {project}-{name}"),
        Operation::UndefineVm(vm) => format!("undefine {project}-{}", vm.name),
        Operation::DeleteDisk(disk) => volume(Pool::Disks, &format!("{project}.{}.{}.qcow2", disk.vm, disk.disk)),
        Operation::DeleteSeed(vm) => volume(Pool::Disks, &format!("{project}.{vm}.seed.iso")),
        Operation::DeleteVolume(named) => volume(Pool::Disks, &format!("{project}.{}.qcow2", named.name)),
        Operation::DeleteImage(image) => volume(Pool::Images, &stored(project, image)),
        Operation::StopNetwork(name) => format!("net-destroy {project}-{name}"),
        Operation::StartNetwork(name) => format!("net-start {project}-{name}"),
        Operation::UndefineNetwork(network) => format!("net-undefine {project}-{}", network.name),
        Operation::StartPool(pool) => format!("pool-start vmcompose-{pool}"),
        Operation::StopPool(pool) => format!("pool-destroy vmcompose-{pool}"),
        _ => return None,
    })
}

fn volume(pool: Pool, name: &str) -> String {
    format!("vol-delete --pool vmcompose-{pool} {name}")
}

fn stored(project: &ProjectName, image: &Image) -> String {
    format!("{project}.{}.{}.{}.{}", image.name, image.digest, image.length.0, image.format.as_str())
}

/// As one word for a POSIX shell. Names need no quotes; a URI may (`?socket=…&mode=…`).
fn quoted(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "/:._-+@=".contains(c);
    if text.chars().all(safe) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_one_word_for_the_shell() {
        assert_eq!(quoted("qemu:///system"), "qemu:///system");
        assert_eq!(quoted("qemu+unix:///system?socket=/a&b"), "'qemu+unix:///system?socket=/a&b'");
        assert_eq!(quoted("a'b"), r"'a'\''b'");
    }
}
