//! How a folder of the hypervisor's machine comes into a guest.
//!
//! Owns the choice between virtiofs, which is faster and behaves like a disk, and 9P, which QEMU has built in. Knows
//! nothing of where a guest mounts it.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::host::Place;

/// How folders are shared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Way {
    /// By QEMU itself.
    #[default]
    NineP,
    /// By a daemon beside it, which needs the guest's memory to be shared with it.
    Virtiofs,
}

/// Where QEMU's helpers are described, the first that counts first; libvirt looks there as well.
const DESCRIPTIONS: [&str; 2] = ["/etc/qemu/vhost-user", "/usr/share/qemu/vhost-user"];

#[derive(Deserialize)]
struct Helper {
    #[serde(rename = "type")]
    kind: String,
    binary: String,
}

/// The best that there is. Of another machine that cannot be seen; there it is what every QEMU has.
pub(super) fn way(place: &Place) -> Way {
    let described = place.local && !place.test && DESCRIPTIONS.iter().any(|folder| has_daemon(Path::new(folder)));
    if described { Way::Virtiofs } else { Way::NineP }
}

/// Whether a folder of descriptions has one of a daemon for file systems that is there.
fn has_daemon(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        let helper = serde_json::from_str::<Helper>(&text);
        helper.is_ok_and(|helper| helper.kind == "fs" && Path::new(&helper.binary).is_file())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_counts_where_it_is_described_and_there() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(!has_daemon(&folder.path().join("none")));
        let describe = |name: &str, text: String| fs::write(folder.path().join(name), text).expect("written");
        let binary = folder.path().join("virtiofsd");
        describe("10-gpu.json", format!(r#"{{"type": "gpu", "binary": "{}"}}"#, folder.path().display()));
        describe("50-fs.json", format!(r#"{{"description": "x", "type": "fs", "binary": "{}"}}"#, binary.display()));
        assert!(!has_daemon(folder.path()));
        fs::write(&binary, "").expect("written");
        assert!(has_daemon(folder.path()));
    }
}
