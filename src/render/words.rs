//! Small pieces of wording that several texts share.
//!
//! Owns numbers, times, sizes, lists and verbs as people read them. Knows nothing of colours or widths.

use std::time::Duration;

use crate::names::ResourceId;
use crate::plan::{Action, Operation};
use crate::units::Bytes;

/// "1 vm", "2 vms".
pub(super) fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("{n} {noun}") } else { format!("{n} {noun}s") }
}

/// Resources of a kind, counted: "2 networks", "former disks of 2 vms".
pub(super) fn counted(n: usize, kind: &str) -> String {
    match kind.strip_suffix(" of vm") {
        Some(what) => format!("{what} of {}", count(n, "vm")),
        None => count(n, kind),
    }
}

/// Time that has passed: tenths of a second first, then whole seconds, then minutes.
pub fn took(time: Duration) -> String {
    let tenths = (time.as_millis() + 50) / 100;
    let seconds = time.as_secs();
    match seconds {
        _ if tenths < 600 => format!("{}.{}s", tenths / 10, tenths % 10),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ if seconds < 60 => "1m00s".to_owned(),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// A size to be read, not to be computed with: one digit after the point where it is not whole.
pub(super) fn about(size: Bytes) -> String {
    const UNITS: [(&str, u32); 5] = [("PiB", 50), ("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let Some((unit, shift)) = UNITS.iter().find(|(_, shift)| size.0 >> shift > 0) else {
        return size.to_string();
    };
    let tenths = (u128::from(size.0) * 10) >> shift;
    if size.0.trailing_zeros() >= *shift { size.to_string() } else { format!("{}.{}{unit}", tenths / 10, tenths % 10) }
}

/// "a, b, c", and how many more where there are many.
pub(super) fn list<T: ToString>(items: impl IntoIterator<Item = T>, most: usize) -> String {
    let mut texts: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    // One more name takes no more room than "and 1 more".
    if texts.len() > most + 1 {
        let more = texts.len() - most;
        texts.truncate(most);
        texts.push(format!("and {more} more"));
    }
    texts.join(", ")
}

/// An operation where the line names its resource already: "define", "create disk `root`".
pub(super) fn bare<'a>(operation: &'a str, resource: &ResourceId) -> &'a str {
    let name = resource.to_string();
    let without = operation.strip_suffix(&format!(" of {name}"));
    without.or_else(|| operation.strip_suffix(&format!(" {name}"))).unwrap_or(operation)
}

/// What an operation is doing to its resource: "defining", "creating disk `root`".
pub(super) fn doing(operation: &str, resource: &ResourceId) -> String {
    let bare = bare(operation, resource);
    let (verb, rest) = bare.split_once(' ').unwrap_or((bare, ""));
    let stem = match verb {
        "stop" => "stopp",
        _ => verb.strip_suffix('e').unwrap_or(verb),
    };
    format!("{stem}ing {rest}").trim_end().to_owned()
}

/// What has been done to a resource once its step is done. Of a gate that has opened, its first word says what was reached.
pub(super) fn done(action: Action, resource: &ResourceId, gate: &str) -> &'static str {
    match (action, resource) {
        (Action::Delete, _) => "deleted",
        (Action::Adopt, _) => "adopted",
        (Action::Release, _) => "released",
        _ if gate.starts_with("completed") => "completed",
        _ if !gate.is_empty() => "healthy",
        (Action::Create, ResourceId::Image(_)) => "uploaded",
        (Action::Create | Action::Start, ResourceId::Vm(_)) | (Action::Start, _) => "started",
        (Action::Create, _) => "created",
        (Action::Update, _) => "updated",
        (Action::Restart, _) => "restarted",
        (Action::Replace, _) => "replaced",
        (Action::Stop, _) => "stopped",
        (Action::Pause, _) => "paused",
        (Action::Resume, _) => "resumed",
        (Action::Suspend, _) => "suspended",
        (Action::Freeze, _) => "frozen",
        (Action::Thaw, _) => "thawed",
        (Action::Snapshot, _) => "snapshotted",
        (Action::Restore, _) => "restored",
        (Action::Forget, _) => "snapshot deleted",
        (Action::Verify, _) => "verified",
    }
}

/// The disks and volumes whose content an operation destroys.
pub(super) fn destroyed(operation: &Operation) -> Option<String> {
    match operation {
        Operation::DeleteDisk(disk) => Some(format!("disk `{}`", disk.disk)),
        Operation::DeleteVolume(volume) => Some(format!("volume `{}` ({})", volume.name, volume.size)),
        Operation::DeleteSnapshot { moment, .. } => Some(format!("snapshot `{}`", moment.snapshot.name)),
        _ => None,
    }
}

/// Whether an operation makes a disk larger.
pub(super) fn grows(operation: &Operation) -> bool {
    matches!(operation, Operation::GrowVolume { .. } | Operation::GrowDisk { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::VmName;

    #[test]
    fn what_is_of_vms_is_counted_by_them() {
        let words = [counted(1, "former disks of vm"), counted(2, "former disks of vm"), counted(2, "former vm")];
        assert_eq!(words, ["former disks of 1 vm", "former disks of 2 vms", "2 former vms"]);
    }

    #[test]
    fn times_are_as_exact_as_a_reader_wants_them() {
        let text = |ms| took(Duration::from_millis(ms));
        assert_eq!(
            [
                text(0),
                text(40),
                text(1_250),
                text(59_940),
                text(59_960),
                text(61_000),
                text(3_600_000),
                text(8_000_000)
            ],
            ["0.0s", "0.0s", "1.3s", "59.9s", "1m00s", "1m01s", "1h00m", "2h13m"]
        );
    }

    #[test]
    fn sizes_are_short() {
        let text = |bytes| about(Bytes(bytes));
        assert_eq!(
            [text(0), text(700), text(1 << 30), text((3 << 29) + 1), text(347_291_648), text(u64::MAX)],
            ["0B", "700B", "1GiB", "1.5GiB", "331.2MiB", "16383.9PiB"]
        );
    }

    #[test]
    fn long_lists_are_cut_but_never_for_one_name() {
        assert_eq!(list(["a", "b", "c"], 2), "a, b, c");
        assert_eq!(list(["a", "b", "c", "d"], 2), "a, b, and 2 more");
    }

    #[test]
    fn an_operation_is_told_without_its_resource() {
        let vm = ResourceId::Vm(VmName::new("db").expect("legal"));
        let text = |operation| doing(operation, &vm);
        assert_eq!(text("define vm `db`"), "defining");
        assert_eq!(text("create disk `root` of vm `db`"), "creating disk `root`");
        assert_eq!(text("stop vm `db`"), "stopping");
        assert_eq!(text("start vm `other`"), "starting vm `other`");
    }
}
