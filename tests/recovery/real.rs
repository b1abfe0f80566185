//! Runs that are killed on the real hypervisor, with guests that run.

use std::path::Path;

use crate::support::qemu::{Run, Stack, enabled};

#[test]
fn an_up_that_is_killed_on_qemu_is_undone_without_a_trace_or_gone_on_with() {
    if !enabled() {
        return;
    }
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose-examples/quickstart/guest");
    let boot = format!("{{ kernel: {0}/vmlinuz, initrd: {0}/initrd.img }}", guest.display());
    let vm = |more: &str| format!("{{ boot: {boot}, memory: 96MiB, networks: [front], {more} }}");
    let (db, web) = (vm("disks: [{ volume: data }]"), vm("depends_on: [db]"));
    let text = format!(
        "networks: {{ front: {{}} }}\nvolumes: {{ data: {{ size: 16MiB }} }}\nvms:\n  db: {db}\n  web: {web}\n"
    );
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("vmcompose.yaml");
    std::fs::write(&file, text).expect("written");
    let stack = Stack::new(&[&file]);
    let killed = |point: u32| {
        let mut command = stack.command(&["up", "--parallel", "1"]);
        let output = command.env("VMCOMPOSE_TEST_KILL_AT", point.to_string()).output().expect("the binary runs");
        assert_eq!(output.status.code(), None, "not killed at {point}: {}", String::from_utf8_lossy(&output.stderr));
    };
    // Before and after effects, in the middle of lines, with one vm running and with both.
    for point in [8, 15, 22, 27, 33, 41, 46, 52, 56] {
        killed(point);
        stack.run(&["recover", "--yes"]).expect(0);
        assert_eq!(stack.belongings(), Vec::<String>::new(), "killed at {point}");
    }
    killed(50);
    let up: Run = stack.run(&["up", "--progress", "plain"]).expect(0);
    assert!(up.stderr.contains("was cut short; going on from what is there"), "{}", up.stderr);
    stack.run(&["plan", "--exit-code"]).expect(0);
}
