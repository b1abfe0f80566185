//! Storage on real QEMU: data stays, disks grow under a vm that runs, what is exported comes back.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use support::qemu::{Stack, enabled};

/// The quickstart's guest, built where it is not there yet: a kernel, an initrd, and an agent in it.
fn guest() -> (PathBuf, PathBuf) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose-examples/quickstart");
    let (kernel, initrd) = (folder.join("guest/vmlinuz"), folder.join("guest/initrd.img"));
    if !kernel.exists() || !initrd.exists() {
        let built = Command::new(folder.join("make-guest")).status().expect("make-guest runs");
        assert!(built.success(), "make-guest: {built}");
    }
    (kernel, initrd)
}

/// A project with one vm that has a volume and a disk of its own, each of a size.
struct Lab {
    folder: tempfile::TempDir,
    stack: Stack,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("vmcompose.yaml");
        fs::write(&file, "").expect("written");
        let stack = Stack::new(&[&file]);
        Self { folder, stack }
    }

    fn describe(&self, volume: &str, own: &str) {
        let (kernel, initrd) = guest();
        let text = format!(
            "volumes: {{ data: {{ size: {volume} }} }}\nvms:\n  db:\n    boot: {{ kernel: {}, initrd: {}, cmdline: \
             'console=ttyS0 quiet' }}\n    memory: 160MiB\n    networks: []\n    stop_grace_period: 1s\n    disks: [{{volume: data}}, {{name: logs, size: {own}}}]\n    \
             healthcheck: {{ agent: true, interval: 1s, start_period: 5m }}\n",
            kernel.display(),
            initrd.display()
        );
        fs::write(self.folder.path().join("vmcompose.yaml"), text).expect("written");
    }

    fn exec(&self, command: &str) -> String {
        self.stack.run(&["exec", "db", "--", "/bin/sh", "-c", command]).expect(0).stdout
    }
}

#[test]
fn disks_grow_under_a_vm_that_runs_and_keep_what_is_on_them() {
    if !enabled() {
        return;
    }
    let lab = Lab::new();
    lab.describe("8MiB", "8MiB");
    lab.stack.run(&["up", "--progress", "plain"]).expect(0);
    lab.exec("echo kept | dd of=/dev/vda conv=notrunc 2>/dev/null && sync");
    lab.describe("16MiB", "24MiB");
    let plan = lab.stack.run(&["plan"]).expect(0).stdout;
    for words in
        ["~ volume `data`", "size        8MiB → 16MiB", "~ vm `db`", "live; cannot be undone: disks do not shrink"]
    {
        assert!(plan.contains(words), "`{words}` is not in:\n{plan}");
    }
    lab.stack.run(&["up", "--progress", "plain"]).expect(0);
    assert_eq!(lab.exec("cat /sys/block/vda/size /sys/block/vdb/size"), "32768\n49152\n");
    assert_eq!(lab.exec("head -n 1 /dev/vda"), "kept\n");
    let again = lab.stack.run(&["up", "--progress", "plain"]).expect(0);
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);

    lab.describe("16MiB", "8MiB");
    let refused = lab.stack.run(&["up", "--progress", "plain"]).expect(8);
    assert!(refused.stderr.contains("disk `logs` of vm `db` cannot shrink from 24MiB to 8MiB"), "{}", refused.stderr);

    // Stopped, it grows by other means; and what is on a volume survives its vm.
    lab.stack.run(&["down", "--progress", "plain"]).expect(0);
    lab.describe("32MiB", "8MiB");
    lab.stack.run(&["up", "--progress", "plain"]).expect(0);
    assert_eq!(lab.exec("cat /sys/block/vda/size /sys/block/vdb/size"), "65536\n16384\n");
    assert_eq!(lab.exec("head -n 1 /dev/vda"), "kept\n");
}
