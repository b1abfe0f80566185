//! A real Debian cloud image on real QEMU: cloud-init as a gate, what it was told done, its error named and undone.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs};

use support::qemu::{Run, Stack, enabled};

/// The image, built where it is not there yet.
fn image() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let image = root.join("target/debian/debian-12.qcow2");
    fs::create_dir_all(image.parent().expect("a folder")).expect("made");
    let built = Command::new(root.join("tests/images/make-debian")).arg(&image).status().expect("make-debian runs");
    assert!(built.success(), "make-debian: {built}");
    image
}

/// A project with one vm, and what is said of it besides its image.
fn project(vm: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("vmcompose.yaml");
    let text = format!(
        "images: {{ debian: {} }}\nvolumes: {{ data: {{ size: 256MiB }} }}\nvms:\n  db:\n    image: debian\n    memory: \
         768MiB\n    disk: 4GiB\n{vm}",
        image().display()
    );
    fs::write(&file, text).expect("written");
    (folder, file)
}

/// Emulated, on a busy machine, a first boot takes minutes.
const PATIENCE: &str = "start_period: 6m, interval: 2s, timeout: 30s, retries: 5";

#[test]
fn a_guest_does_what_it_was_told_before_its_gate_opens() {
    if !enabled() {
        return;
    }
    let (_folder, file) = project(&format!(
        "    disks: [{{volume: data, mount: /srv/data}}]
    cloud_init:
      write_files: [{{path: /etc/proof, content: \"of {{{{ project.name }}}}\\n\", permissions: '0600'}}]
      runcmd: [\"mountpoint -q /srv/data && echo $HOSTNAME > /srv/data/proof\"]
      user_data: |
        #!/bin/sh
        touch /run/own-part
    healthcheck: {{cloud_init: true, {PATIENCE}}}
"
    ));
    let stack = Stack::new(&[&file]);
    let up = stack.run(&["up", "--progress", "plain"]).expect(0);
    assert!(up.stderr.contains("cloud-init"), "{}", up.stderr);
    let exec = |command: &str| stack.run(&["exec", "db", "--", "sh", "-c", command]);
    assert_eq!(exec("cat /etc/proof").expect(0).stdout, format!("of {}\n", stack.project()));
    exec("test -e /run/own-part && test -s /srv/data/proof && mountpoint -q /srv/data").expect(0);
    exec("test \"$(lsblk -no RO /dev/vdc)\" -eq 1").expect(0);
    let failing = exec("echo out; echo err >&2; exit 7").expect(7);
    assert_eq!((failing.stdout.as_str(), failing.stderr.as_str()), ("out\n", "err\n"));
    let again = stack.run(&["up", "--progress", "plain"]).expect(0);
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);
    stack.run(&["down", "--volumes", "--yes", "--progress", "plain"]).expect(0);
    assert_eq!(stack.belongings(), Vec::<String>::new());
}

#[test]
fn an_error_of_cloud_init_names_its_module_and_undoes_everything() {
    if !enabled() {
        return;
    }
    let (_folder, file) = project(&format!(
        "    cloud_init: {{timezone: Mars/Olympus}}\n    healthcheck: {{cloud_init: true, {PATIENCE}}}\n"
    ));
    let stack = Stack::new(&[&file]);
    let up = stack.run(&["up", "--progress", "plain"]).expect(6);
    for words in ["cloud-init failed in its module `timezone`", "Mars/Olympus", "undone"] {
        assert!(up.stderr.contains(words), "`{words}` is not in:\n{}", up.stderr);
    }
    assert_eq!(stack.belongings(), Vec::<String>::new());
}

#[test]
fn a_root_disk_grows_and_the_guest_takes_it_at_its_next_boot() {
    if !enabled() {
        return;
    }
    // Without a seed cloud-init does nothing at a boot, growing included.
    let (_folder, file) = project(&format!(
        "    cloud_init: {{timezone: Europe/Berlin}}\n    healthcheck: {{cloud_init: true, {PATIENCE}}}\n"
    ));
    let stack = Stack::new(&[&file]);
    stack.run(&["up", "--progress", "plain"]).expect(0);
    let mebibytes = |command: &str| -> u64 {
        let told = stack.run(&["exec", "db", "--", "sh", "-c", command]).expect(0).stdout;
        told.trim().parse::<u64>().expect("a number of bytes") >> 20
    };
    let (disk, root) = ("lsblk -bdno SIZE /dev/vda", "df -B1 --output=size / | tail -1");
    assert_eq!(mebibytes(disk), 4096);
    let before = mebibytes(root);
    assert!(before < 4096, "{before}");

    let text = fs::read_to_string(&file).expect("written before");
    fs::write(&file, text.replace("disk: 4GiB", "disk: 6GiB")).expect("written");
    let plan = stack.run(&["plan"]).expect(0).stdout;
    assert!(plan.contains("disk        4GiB → 6GiB"), "{plan}");
    stack.run(&["up", "--progress", "plain"]).expect(0);
    assert_eq!((mebibytes(disk), mebibytes(root)), (6144, before), "the disk has grown, the file system not yet");

    // A command that a reboot cuts off has no end that anybody could tell of: each gets its time.
    let within = |command: &[&str]| {
        let own = stack.command(&[&["exec", "db", "--"], command].concat());
        let mut patient = Command::new("timeout");
        patient.args(["--signal=KILL", "30"]).arg(own.get_program()).args(own.get_args());
        Run::of(&patient.output().expect("timeout runs"))
    };
    let boot = || within(&["cat", "/proc/sys/kernel/random/boot_id"]);
    let first = boot().expect(0).stdout;
    within(&["systemctl", "reboot"]);
    let deadline = Instant::now() + Duration::from_mins(8);
    while !matches!(boot(), run if run.code == 0 && run.stdout != first) {
        assert!(Instant::now() < deadline, "it did not come back");
        std::thread::sleep(Duration::from_secs(1));
    }
    stack.run(&["exec", "db", "--", "cloud-init", "status", "--wait"]).expect(0);
    assert!(mebibytes(root) > before + 1900, "{} of {before}", mebibytes(root));
}
