//! Storage on real QEMU: data stays, disks grow under a vm that runs, what is exported comes back.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::support::qemu::{Stack, enabled};

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
             'console=ttyS0 quiet no_timer_check' }}\n    memory: 160MiB\n    networks: []\n    stop_grace_period: 1s\n    disks: [{{volume: data}}, {{name: logs, size: {own}}}]\n    \
             healthcheck: {{ agent: true, interval: 1s, start_period: 5m }}\n",
            kernel.display(),
            initrd.display()
        );
        fs::write(self.folder.path().join("vmcompose.yaml"), text).expect("written");
    }

    /// Two vms that share a volume in this pool, and one that is on an image in it.
    fn describe_pool(&self, pool: &str) {
        let (kernel, initrd) = guest();
        let text = format!(
            "defaults: {{ memory: 160MiB, networks: [], stop_grace_period: 1s }}
volumes: {{ both: {{ size: 1MiB, shared: true, pool: {pool} }} }}
x-guest: &guest
  boot: {{ kernel: {}, initrd: {}, cmdline: 'console=ttyS0 quiet no_timer_check' }}
  disks: [{{ volume: both }}]
  healthcheck: {{ agent: true, interval: 1s, start_period: 5m }}
vms:
  db: *guest
  api: *guest
  c: {{ image: '{pool}:golden.img', disk: 16MiB }}
",
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

/// Bytes that are not zeros everywhere, and no two chunks alike.
fn bytes(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        // Xorshift: any bytes do, as long as they are the same each time.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(&mut next).take(length / 4).flatten().collect();
    // A hole in the middle.
    let third = length / 3;
    bytes[third..2 * third].fill(0);
    bytes
}

#[test]
fn what_is_exported_comes_back_byte_for_byte() {
    if !enabled() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let stack = Stack::new(&[]);
    let volume = |arguments: &[&str], code| stack.run(&[&["volume"], arguments].concat()).expect(code).stderr;
    let disk = bytes(1, 5 << 20);
    fs::write(path("disk.img"), &disk).expect("written");
    volume(&["import", &path("disk.img"), "data"], 0);
    volume(&["export", "data", &path("raw.img"), "--format", "raw"], 0);
    assert!(fs::read(path("raw.img")).expect("exported") == disk);
    volume(&["export", "data", &path("data.qcow2")], 0);
    volume(&["import", &path("data.qcow2"), "copy"], 0);
    volume(&["export", "copy", &path("copy.img"), "--format", "raw"], 0);
    assert!(fs::read(path("copy.img")).expect("exported") == disk);

    // A second import asks, and what is broken does not cost what is there.
    assert!(volume(&["import", &path("data.qcow2"), "data"], 8).contains("is there already"));
    let mut broken = fs::read(path("data.qcow2")).expect("exported");
    let l1 = usize::try_from(u64::from_be_bytes(broken[40..48].try_into().expect("eight"))).expect("small");
    broken[l1..l1 + 8].copy_from_slice(&0x8000_00ff_ffff_fe00_u64.to_be_bytes());
    fs::write(path("broken.qcow2"), &broken).expect("written");
    assert!(volume(&["import", "--replace", "--yes", &path("broken.qcow2"), "data"], 5).contains("cannot copy"));
    volume(&["export", "data", &path("after.img"), "--format", "raw"], 0);
    assert!(fs::read(path("after.img")).expect("exported") == disk);

    let other = bytes(2, 3 << 20);
    fs::write(path("other.img"), &other).expect("written");
    volume(&["import", "--replace", "--yes", &path("other.img"), "data"], 0);
    volume(&["export", "data", &path("raw.img"), "--format", "raw", "--replace"], 0);
    assert!(fs::read(path("raw.img")).expect("exported") == other);
    assert_eq!(stack.belongings().len(), 2, "no scratch volumes: {:?}", stack.belongings());
    let parts = fs::read_dir(folder.path()).expect("a folder").flatten();
    assert!(parts.into_iter().all(|file| !file.file_name().to_string_lossy().ends_with(".part")));
}

/// A pool of the user's own; forgotten when dropped, after all that is in it.
struct OwnPool {
    name: String,
    folder: tempfile::TempDir,
}

impl OwnPool {
    fn new(stack: &Stack) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // QEMU's user has to pass through.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("ours");
        let name = format!("{}-own", stack.project());
        stack.run(&["pool", "add", &name, folder.path().join("disks").to_str().expect("UTF-8")]).expect(0);
        Self { name, folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("disks").join(name)
    }
}

impl Drop for OwnPool {
    fn drop(&mut self) {
        for step in ["pool-destroy", "pool-undefine"] {
            let _ = Command::new("virsh").args(["-q", "-c", "qemu:///system", step, &self.name]).output();
        }
    }
}

fn qemu_img(arguments: &[&str]) -> String {
    let output = Command::new("qemu-img").args(arguments).output().expect("qemu-img runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_pool_of_the_users_own_has_shared_volumes_and_images_and_keeps_them() {
    if !enabled() {
        return;
    }
    let lab = Lab::new();
    let pool = OwnPool::new(&lab.stack);
    let golden = pool.file("golden.img");
    qemu_img(&["create", "-q", "-f", "qcow2", golden.to_str().expect("UTF-8"), "8M"]);
    let before = fs::read(&golden).expect("made");
    let up = |code| lab.stack.run(&["up", "--progress", "plain"]).expect(code).stderr;
    lab.describe_pool(&pool.name);
    // libvirt has not seen the file yet.
    assert!(up(8).contains("has no volume `golden.img`"));
    lab.stack.run(&["pool", "refresh", &pool.name]).expect(0);
    up(0);

    let exec = |vm: &str, command: &str| lab.stack.run(&["exec", vm, "--", "/bin/sh", "-c", command]).expect(0).stdout;
    exec("db", "echo seen by both | dd of=/dev/vda conv=notrunc 2>/dev/null && sync");
    assert_eq!(exec("api", "head -n 1 /dev/vda"), "seen by both\n");
    let root = format!("/var/lib/libvirt/vmcompose/disks/{}.c.root.qcow2", lab.stack.project());
    let told = qemu_img(&["info", "-U", &root]);
    assert!(told.contains(&format!("backing file: {}", golden.display())) && told.contains("16 MiB"), "{told}");
    assert!(up(0).contains("nothing to do"));
    let kept = lab.stack.run(&["pool", "rm", &pool.name]).expect(8).stderr;
    assert!(kept.contains("has `both` of project"), "{kept}");

    lab.stack.run(&["down", "--progress", "plain"]).expect(0);
    assert!(pool.file(&format!("{}.both.raw", lab.stack.project())).exists());
    lab.stack.run(&["down", "--volumes", "--yes", "--progress", "plain"]).expect(0);
    assert!(fs::read(&golden).expect("still there") == before);
    lab.stack.run(&["pool", "rm", &pool.name]).expect(0);
    assert!(golden.exists());
    assert_eq!(lab.stack.belongings(), Vec::<String>::new());
}
