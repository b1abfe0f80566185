//! A guest that is made anew on the real hypervisor, where `VMCOMPOSE_TEST_QEMU` is set: the old one comes back with its
//! data when the new one does not prove itself, and its named volumes move over when it does.

use std::fs;
use std::path::Path;

use crate::support::qemu::{Stack, enabled};

/// A guest with a named volume and a disk of its own, as `vda` and `vdb`.
fn write(file: &Path, healthcheck: &str) {
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose-examples/quickstart/guest");
    let text = format!(
        "volumes: {{ keep: {{ size: 16MiB }} }}\nvms:\n  db:\n    boot: {{ kernel: {0}/vmlinuz, initrd: {0}/initrd.img, \
         cmdline: console=ttyS0 quiet no_timer_check }}\n    memory: 160MiB\n    stop_grace_period: 5s\n    disks: [{{ \
         volume: keep }}, {{ name: own, size: 16MiB }}]\n    healthcheck: {{ {healthcheck}, interval: 1s, start_period: 10m }}\n",
        guest.display()
    );
    fs::write(file, text).expect("written");
}

#[test]
fn a_guest_that_is_made_anew_gives_way_to_the_old_one_unless_it_proves_itself() {
    if !enabled() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("vmcompose.yaml");
    write(&file, "agent: true");
    let stack = Stack::new(&[&file]);
    stack.run(&["up"]).expect(0);
    let mark = "echo of-the-project > /dev/vda; echo of-the-old > /dev/vdb; sync";
    stack.run(&["exec", "db", "--", "sh", "-c", mark]).expect(0);
    let own = || -> Vec<String> {
        stack.belongings().into_iter().filter(|name| name.starts_with("volume ") && name.contains("own")).collect()
    };
    let before = own();
    assert_eq!(before.len(), 1, "{before:?}");

    // Only the old guest can be healthy like this: the new one has nothing on its disk.
    write(&file, "exec: [grep, -q, of-the-old, /dev/vdb]");
    stack.run(&["up"]).expect(0);
    assert!(stack.run(&["up", "--replace", "db"]).expect(8).stderr.contains("replacing vm `db`"));
    let failed = stack.run(&["up", "--replace", "db", "--yes", "--timeout", "25s"]).expect(6);
    assert!(failed.stderr.contains("db"), "{}", failed.stderr);
    assert_eq!(own(), before, "its disk is there, and no other");
    stack.run(&["plan", "--exit-code"]).expect(0);
    // It runs, with its data: the gate says so.
    stack.run(&["restart", "db"]).expect(0);

    write(&file, "exec: [grep, -q, of-the-project, /dev/vda]");
    stack.run(&["up", "--replace", "db", "--yes"]).expect(0);
    stack.run(&["exec", "db", "--", "sh", "-c", "! grep -q of-the-old /dev/vdb"]).expect(0);
    let after = own();
    assert!(after.len() == 1 && after != before, "{before:?}, then {after:?}");
    stack.run(&["plan", "--exit-code"]).expect(0);
}
