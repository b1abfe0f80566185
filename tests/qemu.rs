//! The libvirt backend on real QEMU, only where `VMCOMPOSE_TEST_QEMU` is set: a tiny guest through its whole life, and
//! what the test driver cannot do (uploads, overlays, DHCP, DNS, the agent). Leaves nothing behind, also when it fails.

mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use support::{apply, observe};
use vmcompose::backend::libvirt::Libvirt;
use vmcompose::backend::{Attempt, ErrorKind, Health, Hypervisor};
use vmcompose::model::{Boot, Image, ImageFormat, Probe};
use vmcompose::names::{Pool, ProjectName, ResourceId};
use vmcompose::plan::Operation;
use vmcompose::plan::operation::VmDisk;
use vmcompose::state::Phase;
use vmcompose::units::{Bytes, Span};

/// A project on the system's QEMU. What was applied through it is undone when it goes, in reverse.
struct Stage {
    libvirt: Libvirt,
    project: ProjectName,
    applied: Vec<Operation>,
}

impl Stage {
    /// `None` where real guests are not wanted.
    fn new(name: &str) -> Option<Self> {
        std::env::var_os("VMCOMPOSE_TEST_QEMU")?;
        let libvirt = Libvirt::connect(Some("qemu:///system")).expect("the system's QEMU");
        // Unique, so that neither another run nor what one left behind is in the way.
        let project = support::project(&format!("t{}-{name}", std::process::id()));
        Some(Self { libvirt, project, applied: Vec::new() })
    }

    fn apply(&mut self, operation: Operation) {
        // Noted first: what fails half-way has to be undone too.
        self.applied.push(operation.clone());
        apply(&self.libvirt, &self.project, &operation);
    }

    fn probe(&self, attempt: &Attempt) -> Health {
        self.libvirt.probe(&self.project, attempt).expect("a probe that may yet pass")
    }

    /// Repeats an attempt until it passes. Panics with the last answer when that takes too long.
    fn until_passing(&self, attempt: &Attempt) {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            match self.probe(attempt) {
                Health::Passing => return,
                Health::Failing(answer) => {
                    assert!(Instant::now() < deadline, "{} never passed: {answer}", attempt.probe);
                    std::thread::sleep(Duration::from_millis(200));
                }
            }
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        while let Some(operation) = self.applied.pop() {
            let undo = operation.undo().expect("everything here can be undone");
            if let Err(error) = self.libvirt.apply(&self.project, &undo) {
                assert!(std::thread::panicking(), "failed to {undo}: {error}");
            }
        }
    }
}

/// The quickstart's guest, built where it is not there yet.
fn guest() -> (PathBuf, PathBuf) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose-examples/quickstart");
    let (kernel, initrd) = (folder.join("guest/vmlinuz"), folder.join("guest/initrd.img"));
    if !kernel.exists() || !initrd.exists() {
        let built = std::process::Command::new(folder.join("make-guest")).status().expect("make-guest runs");
        assert!(built.success(), "make-guest: {built}");
    }
    (kernel, initrd)
}

fn attempt(vm: &str, address: &str, probe: Probe) -> Attempt {
    let (vm, address) = (support::vm_name(vm), Some(address.parse().expect("an address")));
    Attempt { vm, address, probe, timeout: Duration::from_secs(5) }
}

fn exec(vm: &str, command: &[&str]) -> Attempt {
    attempt(vm, "127.0.0.1", Probe::Exec(command.iter().map(ToString::to_string).collect()))
}

fn failing(words: &str) -> Health {
    Health::Failing(words.to_owned())
}

/// Runs virsh, as a user beside us would; returns what it prints.
fn virsh(arguments: &[&str]) -> String {
    let output = std::process::Command::new("virsh")
        .args(["-q", "-c", "qemu:///system"])
        .args(arguments)
        .output()
        .expect("virsh is installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "virsh {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_guest_must_live_its_whole_life() {
    let Some(mut stage) = Stage::new("life") else { return };
    let (kernel, initrd) = guest();
    let kernel = support::measured(&kernel, "vmlinuz", ImageFormat::Raw);
    let initrd = support::measured(&initrd, "initrd", ImageFormat::Raw);
    let network = support::network("back", "10.211.7.0/24", "db", "10.211.7.10");
    let volume = support::volume("pgdata", Bytes::mib(64));
    let boot = Boot::Kernel {
        kernel: support::seen(&kernel),
        initrd: Some(support::seen(&initrd)),
        cmdline: "console=ttyS0 quiet vmcompose.hostname=db".to_owned(),
    };
    let mut db = support::vm("db", boot);
    db.interfaces = vec![support::interface(&network, "db")];
    db.disks = vec![support::on(&volume)];
    stage.apply(Operation::CreatePool(Pool::Images));
    stage.apply(Operation::CreatePool(Pool::Disks));
    stage.apply(Operation::UploadImage(kernel));
    stage.apply(Operation::UploadImage(initrd));
    stage.apply(Operation::DefineNetwork(network.clone()));
    stage.apply(Operation::StartNetwork(network.name));
    stage.apply(Operation::CreateVolume(volume));
    stage.apply(Operation::DefineVm(Box::new(db.clone())));

    let agent = attempt("db", "10.211.7.10", Probe::Agent);
    let off = stage.libvirt.probe(&stage.project, &agent).expect_err("no probe can pass on a vm that is off");
    assert_eq!((off.kind, off.message.as_str()), (ErrorKind::NotRunning, "vm `db` is shut off: it was not started"));

    stage.apply(Operation::StartVm(db.name.clone()));
    assert_eq!(stage.probe(&agent), failing("the guest agent is not connected"));
    stage.until_passing(&agent);
    let http = |path: &str| attempt("db", "10.211.7.10", Probe::Http { host: None, port: 80, path: path.to_owned() });
    stage.until_passing(&http("/healthz"));
    assert_eq!(stage.probe(&http("/nothing")), failing("HTTP 404 Not Found"));
    assert_eq!(stage.probe(&attempt("db", "10.211.7.10", Probe::Tcp { host: None, port: 80 })), Health::Passing);
    let closed = attempt("db", "10.211.7.10", Probe::Tcp { host: None, port: 81 });
    assert_eq!(stage.probe(&closed), failing("connection refused"));

    assert_eq!(stage.probe(&exec("db", &["true"])), Health::Passing);
    assert_eq!(stage.probe(&exec("db", &["false"])), failing("exit code 1"));
    assert_eq!(
        stage.probe(&exec("db", &["sh", "-c", "echo out; echo oops >&2; exit 3"])),
        failing("exit code 3: oops")
    );
    let Health::Failing(words) = stage.probe(&exec("db", &["no-such-program"])) else { panic!("it cannot pass") };
    assert!(words.contains("no-such-program") && !words.contains("guest-exec"), "{words}");
    let slow = Attempt { timeout: Duration::from_secs(1), ..exec("db", &["sleep", "60"]) };
    assert_eq!(stage.probe(&slow), failing("the command did not end in time"));
    // Reserved, so known before boot; named, also in full.
    let name = format!("db.{}.internal", stage.project);
    for host in ["db", name.as_str()] {
        let look = format!("nslookup {host} 10.211.7.1 | grep -q '10[.]211[.]7[.]10'");
        assert_eq!(stage.probe(&exec("db", &["sh", "-c", &look])), Health::Passing, "{host}");
    }
    assert_eq!(stage.probe(&exec("db", &["test", "-b", "/dev/vda"])), Health::Passing);

    let state = observe(&stage.libvirt, &stage.project);
    let found = &state.resources[&ResourceId::Vm(db.name.clone())];
    assert_eq!((found.phase, found.recorded.as_vm()), (Phase::Running, Some(&db)));
    let own = "10.211.7.0/24".parse().expect("a subnet");
    assert!(!state.surroundings.subnets.iter().any(|(net, _)| *net == own), "{:?}", state.surroundings);
    assert!(state.surroundings.own_subnets.values().any(|net| *net == own));

    let before = Instant::now();
    let grace = Span::secs(60);
    apply(&stage.libvirt, &stage.project, &Operation::StopVm { name: db.name.clone(), grace });
    assert!(before.elapsed() < Duration::from_secs(30), "the agent shuts it down, long before the plug is pulled");
    let off = stage.libvirt.probe(&stage.project, &agent).expect_err("off");
    assert_eq!(off.message, "vm `db` is shut off: the guest powered itself off");
}

#[test]
fn a_half_uploaded_image_must_be_known_as_one() {
    let Some(mut stage) = Stage::new("half") else { return };
    let folder = tempfile::TempDir::new().expect("a folder");
    let bytes: Vec<u8> = (0..3_000_001u32).map(|n| (n % 251) as u8).collect();
    let path = folder.path().join("disk.img");
    let image = support::image(&path, "disk", ImageFormat::Raw, &bytes);
    let id = ResourceId::Image(image.name.clone());
    stage.apply(Operation::CreatePool(Pool::Images));

    // What a killed run leaves: the volume, and not all of its bytes.
    let name = format!("{}.disk.{}.{}.raw", stage.project, image.digest, bytes.len());
    virsh(&["vol-create-as", "vmcompose-images", &name, "1000000", "--format", "raw"]);
    assert_eq!(observe(&stage.libvirt, &stage.project).resources[&id].phase, Phase::Incomplete);
    let vm = support::vm("a", Boot::Kernel { kernel: support::seen(&image), initrd: None, cmdline: String::new() });
    let error = stage.libvirt.apply(&stage.project, &Operation::DefineVm(Box::new(vm))).expect_err("half a kernel");
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::NotFound, "image `disk` does not exist on the hypervisor")
    );

    stage.apply(Operation::UploadImage(image.clone()));
    let state = observe(&stage.libvirt, &stage.project);
    assert_eq!(state.resources[&id].phase, Phase::Running);
    let download = folder.path().join("back");
    virsh(&["vol-download", &name, download.to_str().expect("UTF-8"), "--pool", "vmcompose-images"]);
    assert_eq!(std::fs::read(download).expect("the download"), bytes);

    apply(&stage.libvirt, &stage.project, &Operation::DeleteImage(image.clone()));
    std::fs::write(&path, [&bytes[..], b"more"].concat()).expect("the file grows");
    changed(&stage, &image);
    std::fs::write(&path, &bytes[1..]).expect("the file shrinks");
    changed(&stage, &image);
    std::fs::write(&path, vec![7; bytes.len()]).expect("the file changes");
    changed(&stage, &image);
}

fn changed(stage: &Stage, image: &Image) {
    let error = stage.libvirt.apply(&stage.project, &Operation::UploadImage(image.clone())).expect_err("it changed");
    assert!(error.message.ends_with("changed while image `disk` was uploaded"), "{error}");
    let state = observe(&stage.libvirt, &stage.project);
    assert!(!state.resources.contains_key(&ResourceId::Image(image.name.clone())), "nothing is left of it");
}

#[test]
fn a_root_disk_must_be_an_overlay_as_large_as_asked() {
    let Some(mut stage) = Stage::new("overlay") else { return };
    let folder = tempfile::TempDir::new().expect("a folder");
    let path = folder.path().join("disk.qcow2");
    let made = std::process::Command::new("qemu-img")
        .args(["create", "-q", "-f", "qcow2", path.to_str().expect("UTF-8"), "96M"])
        .status();
    assert!(made.expect("qemu-img is installed").success());
    let image = support::measured(&path, "debian", ImageFormat::Qcow2);
    let disk = |vm: &str, size| VmDisk {
        vm: support::vm_name(vm),
        disk: VmDisk::ROOT.parse().expect("legal"),
        size,
        backing: Some(support::seen(&image)),
    };
    stage.apply(Operation::CreatePool(Pool::Images));
    stage.apply(Operation::CreatePool(Pool::Disks));
    stage.apply(Operation::UploadImage(image.clone()));
    stage.apply(Operation::CreateDisk(disk("same", None)));
    stage.apply(Operation::CreateDisk(disk("larger", Some(Bytes::gib(1)))));
    let small = Operation::CreateDisk(disk("small", Some(Bytes::mib(95))));
    let error = stage.libvirt.apply(&stage.project, &small).expect_err("too small");
    assert_eq!(error.message, "disk `root` of vm `small` is 95MiB, but its image `debian` needs 96MiB");
    for (vm, size) in [("same", Bytes::mib(96)), ("larger", Bytes::gib(1))] {
        let name = format!("{}.{vm}.root.qcow2", stage.project);
        let xml = virsh(&["vol-dumpxml", &name, "vmcompose-disks"]);
        assert!(xml.contains(&format!("<capacity unit='bytes'>{}</capacity>", size.0)), "{xml}");
        let (_, backing) = xml.split_once("<backingStore>").expect("an overlay");
        assert!(backing.contains("<format type='qcow2'/>"), "{backing}");
    }
    // The same again is fine; another size under the same name is not the disk that was asked for.
    apply(&stage.libvirt, &stage.project, &Operation::CreateDisk(disk("same", None)));
    let other = Operation::CreateDisk(disk("same", Some(Bytes::gib(2))));
    assert_eq!(stage.libvirt.apply(&stage.project, &other).expect_err("another size").kind, ErrorKind::Conflict);
    let state = observe(&stage.libvirt, &stage.project);
    assert_eq!(state.loose_disks.len(), 2, "no vm has them yet");
}
