//! A real Debian cloud image on real QEMU: by URL, cloud-init as a gate, what it was told done, data that survives, an error
//! named and undone.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs};

use crate::server::Server;
use crate::support::qemu::{Run, Stack, enabled};
use sha2::{Digest as _, Sha256};
use vmcompose::backend::libvirt::Libvirt;
use vmcompose::backend::{Attempt, Health, Hypervisor, WayIn};
use vmcompose::model::Probe;

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
const PATIENCE: &str = "start_period: 15m, interval: 2s, timeout: 30s, retries: 5";

/// Two machines on an image by URL, as a user writes them.
fn by_url(folder: &Path, server: &Server) -> PathBuf {
    let bytes = fs::read(image()).expect("the image");
    let mut sum = String::new();
    for byte in Sha256::digest(&bytes) {
        let _ = write!(sum, "{byte:02x}");
    }
    server.put("/debian.qcow2", &bytes, "1");
    let file = folder.join("vmcompose.yaml");
    let text = format!(
        "images: {{ debian: {{ source: \"{}\", checksum: \"sha256:{sum}\" }} }}
volumes: {{ data: {{ size: 256MiB }} }}
defaults: {{ image: debian, memory: 768MiB, ssh: {{ user: debian }}, healthcheck: {{ probes: [{{cloud_init: true}}, {{ssh: true}}], {PATIENCE} }} }}
vms:
  db:
    disks: [{{volume: data, mount: /srv/data}}]
    cloud_init:
      write_files: [{{path: /etc/proof, content: \"of {{{{ project.name }}}}\\n\", permissions: '0600'}}]
      runcmd: [\"mountpoint -q /srv/data && echo $HOSTNAME >> /srv/data/proof\"]
      user_data: |
        #!/bin/sh
        touch /run/own-part
  peer: {{}}
",
        server.url("/debian.qcow2")
    );
    fs::write(&file, text).expect("written");
    file
}

#[test]
fn two_machines_from_one_url_are_told_what_to_do_let_in_and_keep_their_data() {
    if !enabled() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::new();
    let stack = Stack::new(&[&by_url(folder.path(), &server)]);
    let run = |arguments: &[&str]| {
        let mut command = stack.command(arguments);
        command.env("XDG_CACHE_HOME", folder.path().join("cache"));
        Run::of(&command.output().expect("the binary runs"))
    };
    let up = run(&["up", "--progress", "plain"]).expect(0);
    assert!(up.stderr.contains("cloud-init"), "{}", up.stderr);
    let length = fs::metadata(image()).expect("the image").len();
    assert_eq!(server.sent("/debian.qcow2"), length, "one download for both");
    let pinned = fs::read_to_string(folder.path().join("vmcompose.lock")).expect("pinned");
    assert!(pinned.contains(&server.url("/debian.qcow2")), "{pinned}");

    let exec = |vm: &str, command: &str| run(&["exec", vm, "--", "sh", "-c", command]);
    assert_eq!(exec("db", "cat /etc/proof").expect(0).stdout, format!("of {}\n", stack.project()));
    exec("db", "test -e /run/own-part && test -s /srv/data/proof && mountpoint -q /srv/data").expect(0);
    exec("db", "test \"$(lsblk -no RO /dev/vdc)\" -eq 1").expect(0);
    let failing = exec("db", "echo out; echo err >&2; exit 7").expect(7);
    assert_eq!((failing.stdout.as_str(), failing.stderr.as_str()), ("out\n", "err\n"));
    for vm in ["db", "peer"] {
        let name = run(&["ssh", vm, "--", "hostname"]).expect(0).stdout;
        assert_eq!(name, format!("{vm}\n"), "the project's key lets in");
    }
    a_login_is_tried(&stack, folder.path());
    the_journal_is_read_in_the_guest(&stack);
    let beneath = |vm: &str| backing(&format!("{}.{vm}.root.qcow2", stack.project()));
    assert!(beneath("db").contains(".debian."), "{}", beneath("db"));
    assert_eq!(beneath("db"), beneath("peer"), "both are overlays of one image");

    let again = run(&["up", "--locked", "--progress", "plain"]).expect(0);
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);
    let down = run(&["down", "--progress", "plain"]).expect(0);
    assert!(down.stderr.contains("kept") && down.stderr.contains("`data`"), "{}", down.stderr);
    run(&["up", "--progress", "plain"]).expect(0);
    let lines = exec("db", "wc -l < /srv/data/proof").expect(0).stdout;
    assert_eq!(lines, "2\n", "what was there is there, and one line more");
    assert_eq!(server.sent("/debian.qcow2"), length, "and nothing was downloaded for it");
    run(&["down", "--volumes", "--yes", "--progress", "plain"]).expect(0);
    assert_eq!(stack.belongings(), Vec::<String>::new());
}

/// The guest's own journal: its end, what is young, of several at once, each line told apart.
fn the_journal_is_read_in_the_guest(stack: &Stack) {
    let logs = |arguments: &[&str]| stack.run(&[&["logs", "--guest"], arguments].concat()).expect(0).stdout;
    stack.run(&["exec", "db", "--", "logger", "-t", "proof", "one line of db"]).expect(0);
    // The agent notes every call of its own, so the line is not the last.
    let own = logs(&["--tail", "200", "db"]);
    assert!(own.lines().all(|line| line.starts_with("db | ")), "{own}");
    assert!(
        own.lines().any(|line| line.ends_with("proof: one line of db") || line.contains("]: one line of db")),
        "{own}"
    );
    assert!(logs(&["--tail", "3", "--no-prefix", "db"]).lines().count() == 3);
    let both = logs(&["--since", "1h"]);
    let kernels = both.lines().filter(|line| line.contains("kernel: Linux version")).count();
    assert!(kernels == 2 && both.contains("peer | "), "{kernels} of both guests' beginnings are there");
    assert!(!logs(&["--since", "1s", "peer"]).contains("kernel: Linux version"));
}

/// What a probe by SSH says to a key that lets in nobody; that the project's does, `up` has waited for.
fn a_login_is_tried(stack: &Stack, folder: &Path) {
    let rows = stack.run(&["ps", "--format", "json"]).expect(0).stdout;
    let rows: serde_json::Value = serde_json::from_str(&rows).expect("json");
    let vms = rows.as_array().or_else(|| rows["vms"].as_array()).expect("a list");
    let db = vms.iter().find(|vm| vm["vm"] == "db").expect("there");
    let address = db["addresses"][0]["ip"].as_str().expect("an address").parse().expect("an address");
    let (key, _) = crate::support::ssh_key(folder);
    let libvirt = Libvirt::connect(Some("qemu:///system")).expect("a connection");
    let probe = Probe::Ssh { host: None, port: 22 };
    let tried = |login| {
        let (vm, probe, address) = (crate::support::vm_name("db"), probe.clone(), Some(address));
        let attempt = Attempt { vm, address, probe, timeout: Duration::from_mins(1), login };
        libvirt.probe(&crate::support::project(stack.project()), &attempt).expect("it may yet pass")
    };
    assert_eq!(tried(None), Health::Passing);
    let told = match tried(Some(WayIn { user: "debian".to_owned(), port: 22, key })) {
        Health::Failing(words) => words,
        other => panic!("{other:?}"),
    };
    assert!(told.starts_with("the server answers, but does not let `debian` in: "), "{told}");
    assert!(told.contains("Permission denied (publickey"), "{told}");
}

/// The file that a volume is an overlay of.
fn backing(volume: &str) -> String {
    let arguments = ["--connect", "qemu:///system", "vol-dumpxml", "--pool", "vmcompose-disks", volume];
    let output = Command::new("virsh").args(arguments).output().expect("virsh runs");
    let xml = String::from_utf8(output.stdout).expect("text");
    let document = roxmltree::Document::parse(&xml).expect("xml");
    let store = document.descendants().find(|node| node.has_tag_name("backingStore")).expect("an overlay");
    let path = store.children().find(|node| node.has_tag_name("path")).and_then(|node| node.text());
    path.expect("a path").to_owned()
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
    let own = format!("{}:8: `cloud_init: {{timezone: Mars/Olympus}}`", file.display());
    for words in ["cloud-init failed in its module `timezone`", "Mars/Olympus", own.as_str(), "undone"] {
        assert!(up.stderr.contains(words), "`{words}` is not in:\n{}", up.stderr);
    }
    let why = stack.run(&["why", "db"]).expect(0).stdout;
    assert!(why.contains(&own), "{why}");
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
