//! The libvirt backend on real QEMU, only where `VMCOMPOSE_TEST_QEMU` is set: a tiny guest through its whole life, and
//! what the test driver cannot do (uploads, overlays, DHCP, DNS, the agent). Leaves nothing behind, also when it fails.

mod support;

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::{apply, observe};
use vmcompose::backend::libvirt::Libvirt;
use vmcompose::backend::{Attempt, ErrorKind, Health, Hypervisor};
use vmcompose::model::{Boot, Image, ImageFormat, Probe, health::Http};
use vmcompose::names::{Generation, Pool, ProjectName, ResourceId};
use vmcompose::plan::Operation;
use vmcompose::plan::operation::VmDisk;
use vmcompose::state::{ActualState, Phase};
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
        self.applied.push(operation);
        let operation = self.applied.last().expect("just noted");
        apply(&self.libvirt, &self.project, operation);
    }

    fn apply_at_once(&mut self, operations: Vec<Operation>) {
        let first = self.applied.len();
        self.applied.extend(operations);
        at_once(&self.libvirt, &self.project, &self.applied[first..]);
    }

    fn probe(&self, attempt: &Attempt) -> Health {
        self.libvirt.probe(&self.project, attempt).expect("a probe that may yet pass")
    }

    /// Repeats an attempt until it passes. Panics with the last answer when that takes too long.
    fn until_passing(&self, attempt: &Attempt) {
        let deadline = Instant::now() + Duration::from_mins(2);
        loop {
            match self.probe(attempt) {
                Health::Passing | Health::Degraded(_) => return,
                Health::Failing(answer) | Health::Awaiting(answer) => {
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

/// Applies each in a thread of its own.
fn at_once(libvirt: &Libvirt, project: &ProjectName, operations: &[Operation]) {
    std::thread::scope(|scope| {
        for operation in operations {
            scope.spawn(move || apply(libvirt, project, operation));
        }
    });
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
    Attempt { vm, address, probe, timeout: Duration::from_secs(5), login: None }
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
        cmdline: "console=ttyS0 quiet no_timer_check vmcompose.hostname=db".to_owned(),
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
    assert_eq!(stage.probe(&agent), Health::Awaiting("the guest agent is not connected".to_owned()));
    stage.until_passing(&agent);
    let http = |path: &str| attempt("db", "10.211.7.10", Probe::Http(Box::new(Http::get(None, 80, path.to_owned()))));
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

    let found = observe(&stage.libvirt, &stage.project);
    let resource = &found.resources[&ResourceId::Vm(db.name.clone())];
    assert_eq!((resource.phase, resource.recorded.as_vm()), (Phase::Running, Some(&db)));
    let own = "10.211.7.0/24".parse().expect("a subnet");
    assert!(!found.surroundings.subnets.iter().any(|(net, _)| *net == own), "{:?}", found.surroundings);
    assert!(found.surroundings.own_subnets.values().any(|net| *net == own));

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
    let found = observe(&stage.libvirt, &stage.project);
    assert_eq!(found.resources[&id].phase, Phase::Running);
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
    let found = observe(&stage.libvirt, &stage.project);
    assert!(!found.resources.contains_key(&ResourceId::Image(image.name.clone())), "nothing is left of it");
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
        generation: Generation::FIRST,
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
    let found = observe(&stage.libvirt, &stage.project);
    assert_eq!(found.loose_disks.len(), 2, "no vm has them yet");

    // QEMU opens it, image and all; there is nothing on it to boot.
    let vm = support::vm("same", Boot::Image(support::seen(&image)));
    stage.apply(Operation::DefineVm(Box::new(vm.clone())));
    stage.apply(Operation::StartVm(vm.name.clone()));
    let found = observe(&stage.libvirt, &stage.project);
    assert_eq!(found.resources[&ResourceId::Vm(vm.name.clone())].phase, Phase::Running);
    assert!(found.loose_disks.iter().map(|(vm, ..)| vm.as_str()).eq(["larger"]), "{:?}", found.loose_disks);
    virsh(&["suspend", &format!("{}-same", stage.project)]);
    let resume = Operation::ResumeVm(vm.name);
    apply(&stage.libvirt, &stage.project, &resume);
    let found = observe(&stage.libvirt, &stage.project);
    assert!(found.resources.values().all(|actual| actual.phase == Phase::Running), "{found:#?}");
}

#[test]
fn what_is_made_at_once_must_not_get_in_each_others_way() {
    let Some(mut stage) = Stage::new("crowd") else { return };
    let networks: Vec<_> = (0..6u8)
        .map(|n| {
            support::network(
                &format!("n{n}"),
                &format!("10.211.{}.0/24", 100 + n),
                "a",
                &format!("10.211.{}.9", 100 + n),
            )
        })
        .collect();
    let volumes: Vec<_> = (0..24).map(|n| support::volume(&format!("v{n}"), Bytes::mib(16))).collect();
    let define: Vec<_> = networks.iter().cloned().map(Operation::DefineNetwork).collect();
    let start: Vec<_> = networks.iter().map(|network| Operation::StartNetwork(network.name.clone())).collect();
    let create: Vec<_> = volumes.into_iter().map(Operation::CreateVolume).collect();
    let pools = vec![Operation::CreatePool(Pool::Disks), Operation::CreatePool(Pool::Images)];
    for crowd in [pools, define, start.into_iter().chain(create).collect()] {
        stage.apply_at_once(crowd);
    }
    let found = observe(&stage.libvirt, &stage.project);
    // The pools are shared with whoever else is at work here.
    let own = |found: &ActualState| found.resources.keys().filter(|id| id.kind() != "pool").count();
    assert_eq!(own(&found), 6 + 24);
    assert!(found.resources.values().all(|actual| actual.phase == Phase::Running), "{:#?}", found.resources);
    // And away again, all at once.
    let undo: Vec<_> = stage.applied.drain(..).rev().filter_map(|operation| operation.undo()).collect();
    let (first, last): (Vec<_>, Vec<_>) =
        undo.into_iter().partition(|op| matches!(op, Operation::StopNetwork(_) | Operation::DeleteVolume(_)));
    let (middle, last): (Vec<_>, Vec<_>) = last.into_iter().partition(|op| matches!(op, Operation::UndefineNetwork(_)));
    for crowd in [first, middle, last] {
        at_once(&stage.libvirt, &stage.project, &crowd);
    }
    assert_eq!(own(&observe(&stage.libvirt, &stage.project)), 0);
}

#[test]
fn a_subnet_in_use_must_be_named() {
    let Some(mut stage) = Stage::new("busy") else { return };
    let one = support::network("one", "10.211.9.0/24", "a", "10.211.9.9");
    let other = support::network("other", "10.211.9.0/24", "a", "10.211.9.9");
    stage.apply(Operation::DefineNetwork(one.clone()));
    stage.apply(Operation::StartNetwork(one.name));
    stage.apply(Operation::DefineNetwork(other.clone()));
    let error = stage.libvirt.apply(&stage.project, &Operation::StartNetwork(other.name)).expect_err("in use");
    assert_eq!(error.kind, ErrorKind::Conflict, "{error:?}");
    assert!(error.message.starts_with("cannot start network `other`: its subnet 10.211.9.0/24 is in use"), "{error}");
    assert!(error.hint.is_some());
}

/// Stands between us and libvirt's daemon, and can hang up.
struct Middleman {
    socket: tempfile::TempDir,
    calls: Arc<Mutex<Vec<UnixStream>>>,
}

impl Middleman {
    fn new() -> Self {
        let socket = tempfile::TempDir::new().expect("a folder");
        let listener = UnixListener::bind(socket.path().join("sock")).expect("a socket");
        let calls = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&calls);
        std::thread::spawn(move || {
            for caller in listener.incoming() {
                let caller = caller.expect("a caller");
                let daemon = UnixStream::connect("/var/run/libvirt/libvirt-sock").expect("the daemon");
                for (mut from, mut to) in [(&caller, &daemon), (&daemon, &caller)].map(|(a, b)| (clone(a), clone(b))) {
                    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                }
                noted.lock().expect("whole").push(caller);
            }
        });
        Self { socket, calls }
    }

    fn uri(&self) -> String {
        format!("qemu+unix:///system?socket={}", self.socket.path().join("sock").display())
    }

    fn hang_up(&self) {
        for caller in self.calls.lock().expect("whole").drain(..) {
            caller.shutdown(std::net::Shutdown::Both).expect("it was open");
        }
    }
}

fn clone(stream: &UnixStream) -> UnixStream {
    stream.try_clone().expect("a second handle")
}

#[test]
fn a_lost_connection_must_be_told_and_then_replaced() {
    if std::env::var_os("VMCOMPOSE_TEST_QEMU").is_none() {
        return;
    }
    let middleman = Middleman::new();
    let libvirt = Libvirt::connect(Some(&middleman.uri())).expect("the daemon behind the middleman");
    let nobody = support::project(&format!("t{}-lost", std::process::id()));
    observe(&libvirt, &nobody);
    middleman.hang_up();
    let error = libvirt.observe(&nobody).expect_err("the line is dead");
    assert_eq!(error.kind, ErrorKind::Unreachable, "{error:?}");
    assert!(error.message.starts_with("the connection to `qemu") && error.message.ends_with("was lost"), "{error}");
    observe(&libvirt, &nobody);
}
