//! What is done inside real guests: tasks done, done again, failing, taken up after a kill; Ignition read by the guest.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::support::qemu::{Stack, enabled};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The quickstart's guest, built where it is not there yet.
fn guest() -> PathBuf {
    let folder = root().join("compose-examples/quickstart");
    let built = Command::new(folder.join("make-guest")).status().expect("make-guest runs");
    assert!(built.success(), "make-guest: {built}");
    folder.join("guest")
}

/// A folder with a compose file of one small guest and its tasks.
fn project(folder: &Path, tasks: &str) -> PathBuf {
    let (guest, file) = (guest(), folder.join("vmcompose.yaml"));
    let text = format!(
        "vms:\n  a:\n    memory: 160MiB\n    boot: {{kernel: {0}/vmlinuz, initrd: {0}/initrd.img, cmdline: console=ttyS0 \
         quiet no_timer_check}}\n    healthcheck: {{agent: true, start_period: 5m}}\n    provision:\n{tasks}",
        guest.display()
    );
    fs::write(&file, text).expect("written");
    file
}

const FIRST: &str = "      - {script: setup.sh, env: {WHO: \"it's $me\"}}\n";

#[test]
fn tasks_are_done_before_the_gate_opens_and_again_when_they_change() {
    if !enabled() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("setup.sh"), "echo \"$WHO\" >> /tmp/first\n").expect("written");
    let file = |text: &str| format!("      - file: {{path: /etc/x/y, content: '{text}', permissions: '0600'}}\n");
    let last = "      - {run: 'cat /etc/x/y >> /tmp/last; ls -l /etc/x/y >> /tmp/last'}\n";
    let write = |text: &str, last: &str| project(folder.path(), &format!("{FIRST}{}{last}", file(text)));
    let stack = Stack::new(&[&write("one ", last)]);
    stack.run(&["up", "--progress", "plain"]).expect(0);
    let shown = |path: &str| stack.run(&["exec", "a", "--", "cat", path]).expect(0).stdout;
    assert_eq!(shown("/tmp/first"), "it's $me\n");
    assert!(shown("/tmp/last").starts_with("one -rw-------"), "{}", shown("/tmp/last"));
    assert!(stack.run(&["up", "--progress", "plain"]).expect(0).stderr.contains("nothing to do"));

    write("two ", last);
    let plan = stack.run(&["plan"]).expect(0).stdout;
    assert!(plan.contains("again: task 2 changed: `/etc/x/y`") && plan.contains("effect"), "{plan}");
    stack.run(&["up", "--progress", "plain"]).expect(0);
    assert_eq!(shown("/tmp/first"), "it's $me\n");
    assert!(shown("/tmp/last").contains("two -rw-------"), "{}", shown("/tmp/last"));

    // A failing task says what it printed, and is the first to be done the next time.
    write("two ", "      - {run: 'echo so far; echo boom >&2; exit 3'}\n");
    let failed = stack.run(&["up", "--progress", "plain"]).expect(4).stderr;
    for words in ["task 3", "exit code 3", "so far\n", "boom\n"] {
        assert!(failed.contains(words), "`{words}` is not in:\n{failed}");
    }
    let plan = stack.run(&["plan"]).expect(0).stdout;
    assert!(plan.contains("from task 3"), "{plan}");

    write("two ", "      - {run: sleep 600, timeout: 1s}\n");
    let late = stack.run(&["up", "--progress", "plain"]).expect(4).stderr;
    assert!(late.contains("it did not end within 1s"), "{late}");
}

#[test]
fn a_task_that_fails_at_first_undoes_the_vm() {
    if !enabled() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let stack = Stack::new(&[&project(folder.path(), "      - exit 7\n")]);
    let failed = stack.run(&["up", "--progress", "plain"]).expect(4).stderr;
    assert!(failed.contains("exit code 7") && failed.contains("undone"), "{failed}");
    assert_eq!(stack.belongings(), Vec::<String>::new());
}

#[test]
fn what_a_killed_run_did_not_finish_is_done_by_the_next() {
    if !enabled() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let tasks = "      - echo 1 >> /tmp/one\n      - 'echo 2 >> /tmp/two; test -e /tmp/go || sleep 3600'\n";
    let stack = Stack::new(&[&project(folder.path(), tasks)]);
    let mut run = stack.command(&["up", "--progress", "plain"]).spawn().expect("the binary runs");
    // The second task is at work once its file is there.
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(6);
    while stack.run(&["exec", "a", "--", "test", "-e", "/tmp/two"]).code != 0 {
        assert!(std::time::Instant::now() < deadline, "the second task never began");
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    run.kill().expect("killed");
    run.wait().expect("gone");
    stack.run(&["exec", "a", "--", "touch", "/tmp/go"]).expect(0);
    stack.run(&["up", "--yes", "--progress", "plain"]).expect(0);
    let shown = |path: &str| stack.run(&["exec", "a", "--", "cat", path]).expect(0).stdout;
    assert_eq!((shown("/tmp/one").as_str(), shown("/tmp/two").as_str()), ("1\n", "2\n2\n"));
}

#[test]
fn a_guest_reads_its_ignition_by_the_firmware() {
    if !enabled() {
        return;
    }
    let image = root().join("target/debian/debian-12.qcow2");
    fs::create_dir_all(image.parent().expect("a folder")).expect("made");
    let built = Command::new(root().join("tests/images/make-debian")).arg(&image).status().expect("make-debian runs");
    assert!(built.success(), "make-debian: {built}");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("vmcompose.yaml");
    let text = format!(
        "vms:
  core:
    image: {}
    memory: 768MiB
    ignition: {{ignition: {{version: 3.4.0}}, marker: \"$mine, and more\"}}
    provision:
      - |
        modprobe qemu_fw_cfg
        cp /sys/firmware/qemu_fw_cfg/by_name/opt/com.coreos/config/raw /tmp/config
        cmp /tmp/config /sys/firmware/qemu_fw_cfg/by_name/opt/org.flatcar-linux/config/raw
      - {{run: 'id -un > $HOME/who', user: nobody, workdir: /, env: {{HOME: /tmp}}}}
    healthcheck: {{agent: true, start_period: 20m}}
",
        image.display()
    );
    fs::write(&file, text).expect("written");
    let stack = Stack::new(&[&file]);
    stack.run(&["up", "--progress", "plain"]).expect(0);
    let shown = |path: &str| stack.run(&["exec", "core", "--", "cat", path]).expect(0).stdout;
    let config: serde_json::Value = serde_json::from_str(&shown("/tmp/config")).expect("JSON");
    assert_eq!(config["marker"], "$mine, and more");
    assert_eq!(shown("/tmp/who"), "nobody\n");
    stack.run(&["down", "--yes"]).expect(0);
    assert_eq!(stack.belongings(), Vec::<String>::new());
}
