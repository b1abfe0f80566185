//! Hardware and limits: what libvirt's test driver keeps of them, and, where `VMCOMPOSE_TEST_QEMU` is set, what a real
//! guest has of them, how they change while it lives, and that its firmware's variables go with it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::qemu::{Stack, enabled};
use crate::support::{World, apply, observe, up};
use vmcompose::model::Vm;
use vmcompose::model::hardware::{Cpu, CpuMode, Graphics, GraphicsProtocol, Limits, Topology, Watchdog};
use vmcompose::names::ResourceId;
use vmcompose::plan::Operation;
use vmcompose::state::{Seen, Shape};
use vmcompose::units::Bytes;

fn equip(vm: &mut Vm) {
    vm.cpus = 2;
    vm.autostart = true;
    let hardware = &mut vm.hardware;
    hardware.max_cpus = Some(4);
    hardware.max_memory = Some(Bytes::mib(512));
    hardware.cpu = Some(Cpu {
        mode: Some(CpuMode::Maximum),
        topology: Some(Topology { sockets: 1, cores: 4, threads: 1 }),
        ..Cpu::default()
    });
    hardware.graphics = Some(Graphics { protocol: GraphicsProtocol::Vnc, listen: "127.0.0.1".to_owned(), port: None });
    hardware.watchdog = Some(Watchdog::Reset);
    hardware.limits = Limits {
        cpu_shares: Some(512),
        cpu_quota: Some(1.5),
        memory_hard: Some(Bytes::gib(2)),
        memory_soft: Some(Bytes::gib(1)),
        ..Limits::default()
    };
    hardware.xml =
        Some("<devices><input type='tablet' bus='virtio'/></devices><on_reboot>destroy</on_reboot>".to_owned());
}

#[test]
fn what_is_defined_must_be_seen_as_it_was_asked_for() {
    let world = World::new();
    let (libvirt, shop) = (world.connect(), crate::support::project("shop"));
    let plain = up(&libvirt, &shop, &world, "db");
    let seen = || -> Seen {
        let state = observe(&libvirt, &shop);
        *state.resources[&ResourceId::Vm(plain.name.clone())].seen.clone().expect("a vm is seen")
    };
    let shape = Shape::of(&plain);
    assert_eq!(
        seen(),
        Seen {
            persistent: true,
            autostart: false,
            defined: shape.clone(),
            running: Some(shape.clone()),
            snapshots: Vec::new(),
            other_snapshots: Vec::new()
        }
    );
    let mut equipped = plain.clone();
    equip(&mut equipped);
    // Of what is spoken of now, it has what it was started with.
    let mut runs_on = shape.clone();
    runs_on.fixed.hardware.max_cpus = Some(1);
    runs_on.fixed.hardware.max_memory = Some(plain.memory);
    let redefine = Operation::RedefineVm { from: Box::new(plain.clone()), to: Box::new(equipped.clone()) };
    for _ in 0..2 {
        apply(&libvirt, &shop, &redefine);
        let now = seen();
        assert_eq!((now.autostart, &now.defined), (true, &Shape::of(&equipped)));
        assert_eq!(now.running, Some(runs_on.clone()), "it runs on as it was");
        assert_eq!(now.drift(&equipped).first().map(|(field, ..)| field.as_str()), Some("cpus"));
    }
    apply(&libvirt, &shop, &redefine.undo().expect("it has one"));
    assert_eq!(seen().drift(&plain), []);
}

fn virsh(arguments: &[&str]) -> String {
    let output = Command::new("virsh").args(["-q", "-c", "qemu:///system"]).args(arguments).output();
    let output = output.expect("virsh runs");
    assert!(output.status.success(), "virsh {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Without the blanks that align columns.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A project of one guest with these keys.
fn write(file: &Path, keys: &str) {
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose-examples/quickstart/guest");
    let text = format!(
        "networks: {{lan: {{}}}}\nvms:\n  db:\n    boot: {{kernel: {0}/vmlinuz, initrd: {0}/initrd.img, cmdline: console=ttyS0 quiet no_timer_check}}\n    \
         memory: 160MiB\n    networks: [lan]\n    stop_grace_period: 5s\n    healthcheck: {{agent: true, interval: 1s, start_period: \
         10m}}\n{keys}",
        guest.display()
    );
    fs::write(file, text).expect("written");
}

#[test]
fn a_uefi_guest_has_its_limits_and_takes_its_variables_with_it() {
    if !enabled() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("vmcompose.yaml");
    let limits = "limits: {cpu: {shares: 512, quota: 1.5}, memory: {soft: 1GiB}, disk: {iops: 500}}";
    write(&file, &format!("    firmware: uefi\n    max_cpus: 2\n    disks: [{{size: 16MiB}}]\n    {limits}\n"));
    let stack = Stack::new(&[&file]);
    stack.run(&["up"]).expect(0);
    let domain = format!("{}-db", stack.project());
    stack.run(&["exec", "db", "--", "test", "-d", "/sys/firmware/efi"]).expect(0);
    let xml = virsh(&["dumpxml", &domain]);
    let variables = xml.split("_VARS.fd").next().and_then(|head| head.rsplit('>').next()).expect("a file");
    let variables = format!("{variables}_VARS.fd");
    assert!(Path::new(&variables).exists(), "{variables}");
    let has = |text: &str, words: [&str; 2]| {
        let line = text.lines().find(|line| line.trim().starts_with(words[0])).expect("a line");
        assert_eq!(line.rsplit(':').next().map(str::trim), Some(words[1]), "{text}");
    };
    has(&virsh(&["schedinfo", &domain]), ["cpu_shares", "512"]);
    has(&virsh(&["schedinfo", &domain]), ["global_quota", "150000"]);
    has(&virsh(&["memtune", &domain]), ["soft_limit", "1048576"]);
    has(&virsh(&["blkdeviotune", &domain, "vda"]), ["total_iops_sec", "500"]);
    stack.run(&["plan", "--exit-code"]).expect(0);
    stack.run(&["down", "--yes"]).expect(0);
    assert!(!Path::new(&variables).exists(), "{variables}");
}

#[test]
fn a_guest_changes_while_it_runs_and_what_others_did_is_put_back() {
    if !enabled() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("vmcompose.yaml");
    write(&file, "    max_cpus: 2\n    limits: {cpu: {shares: 512}}\n    disks: [{name: one, size: 16MiB}]\n");
    let stack = Stack::new(&[&file]);
    stack.run(&["up"]).expect(0);
    let domain = format!("{}-db", stack.project());
    let booted = virsh(&["domid", &domain]);

    let more = "    cpus: 2\n    max_cpus: 2\n    autostart: true\n    limits: {disk: {iops: 300}}\n    disks: [{name: one, size: 16MiB}, {name: two, size: \
                16MiB}]\n";
    write(&file, more);
    let plan = stack.run(&["plan", "--exit-code"]).expect(10);
    for words in ["~ vm `db`", "cpus", "1 → 2", "effect live"] {
        assert!(squeezed(&plan.stdout).contains(words), "`{words}` is not in:\n{}", plan.stdout);
    }
    stack.run(&["up"]).expect(0);
    stack.run(&["plan", "--exit-code"]).expect(0);
    assert_eq!(virsh(&["domid", &domain]), booted, "it ran on");
    // Whether a guest takes a new processor into use by itself is the guest's own business.
    assert_eq!(virsh(&["vcpucount", &domain, "--live", "--active"]).trim(), "2");

    virsh(&["autostart", "--disable", &domain]);
    virsh(&["schedinfo", &domain, "--live", "--set", "cpu_shares=7"]);
    virsh(&["setvcpus", &domain, "1", "--config"]);
    virsh(&["detach-disk", &domain, "vdb", "--config"]);
    let plan = stack.run(&["plan", "--exit-code"]).expect(10);
    for words in ["was changed by somebody else", "autostart", "limits", "cpus", "disk `two`"] {
        assert!(squeezed(&plan.stdout).contains(words), "`{words}` is not in:\n{}", plan.stdout);
    }
    stack.run(&["up"]).expect(0);
    stack.run(&["plan", "--exit-code"]).expect(0);
    assert_eq!(virsh(&["domid", &domain]), booted, "it ran on");

    interfaces_come_and_go(&stack, &file, more);
    assert_eq!(virsh(&["domid", &domain]), booted, "it ran on");

    write(&file, &format!("{more}    watchdog: reset\n"));
    let plan = stack.run(&["plan", "--exit-code"]).expect(10);
    for words in ["↻ vm `db`", "watchdog", "none → reset", "effect reboot"] {
        assert!(squeezed(&plan.stdout).contains(words), "`{words}` is not in:\n{}", plan.stdout);
    }
    stack.run(&["up"]).expect(0);
    stack.run(&["plan", "--exit-code"]).expect(0);
    assert_ne!(virsh(&["domid", &domain]), booted, "it was started again");
    a_command_ends_when_its_guest_is_restarted_under_it(&stack);
}

/// A second network for the guest that runs, and away with it.
fn interfaces_come_and_go(stack: &Stack, file: &Path, keys: &str) {
    let count = || virsh(&["domiflist", &format!("{}-db", stack.project())]).lines().count();
    write(file, keys);
    let one = fs::read_to_string(file).expect("readable");
    let two = one.replace("networks: {lan: {}}", "networks: {lan: {}, side: {}}");
    for (text, interfaces) in [(two.replace("networks: [lan]", "networks: [lan, side]"), 2), (two, 1)] {
        fs::write(file, text).expect("written");
        let plan = stack.run(&["plan", "--exit-code"]).expect(10);
        assert!(squeezed(&plan.stdout).contains("network `side`"), "{}", plan.stdout);
        assert!(!plan.stdout.contains("reboot"), "{}", plan.stdout);
        stack.run(&["up"]).expect(0);
        stack.run(&["plan", "--exit-code"]).expect(0);
        assert_eq!(count(), interfaces);
    }
    fs::write(file, one).expect("written");
    stack.run(&["up", "--remove-orphans"]).expect(0);
}

/// Beside the guest that is there already.
fn a_command_ends_when_its_guest_is_restarted_under_it(stack: &Stack) {
    let mut command = stack.command(&["exec", "db", "--", "sleep", "86399"]);
    let child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().expect("runs");
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(5);
    while !stack.run(&["exec", "db", "--", "ps"]).stdout.contains("sleep 86399") {
        assert!(std::time::Instant::now() < deadline, "it is not in the guest");
    }
    virsh(&["reset", &format!("{}-db", stack.project())]);
    let ended = crate::support::qemu::Run::of(&child.wait_with_output().expect("it ends")).expect(4);
    assert!(ended.stderr.contains("was restarted before the command ended"), "{}", ended.stderr);
}

#[test]
fn what_this_hypervisor_cannot_do_is_said_before_anything_is_done() {
    if !enabled() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("vmcompose.yaml");
    write(&file, "    machine: pdp-11\n    hugepages: 512GiB\n");
    let stack = Stack::new(&[&file]);
    let up = stack.run(&["up"]).expect(8);
    for words in ["`pdp-11`", "`hugepages`", "vmcompose.yaml:3", "`pc`", "nothing was changed"] {
        assert!(up.stderr.contains(words), "`{words}` is not in:\n{}", up.stderr);
    }
    assert_eq!(stack.belongings(), Vec::<String>::new());
}

/// The smallest disc that boots (El Torito, version 1.0): it says over and over on the first serial port that it did.
fn disc() -> Vec<u8> {
    const SECTOR: usize = 2048;
    const CODE: &[u8] =
        b"\xba\xf8\x03\xe8\x00\x00\x5e\x83\xc6\x1a\x2e\xac\x84\xc0\x74\xf3\x88\xc3\xb2\xfd\xec\xa8\x20\x74\xf9\
                          \xb2\xf8\x88\xd8\xee\xeb\xeadisc boots\r\n\0";
    let mut disc = vec![0; 21 * SECTOR];
    let mut put = |sector: usize, at: usize, bytes: &[u8]| {
        disc[sector * SECTOR + at..][..bytes.len()].copy_from_slice(bytes);
    };
    put(16, 0, b"\x01CD001\x01");
    put(17, 0, b"\x00CD001\x01EL TORITO SPECIFICATION");
    put(17, 0x47, &19u32.to_le_bytes());
    put(18, 0, b"\xffCD001\x01");
    // The words of the first entry add up to zero; the second boots one sector, the twentieth, as it is.
    put(19, 0, b"\x01\x00");
    put(19, 28, b"\xaa\x55\x55\xaa");
    put(19, 32, b"\x88\x00\x00\x00\x00\x00\x04\x00");
    put(19, 40, &20u32.to_le_bytes());
    put(20, 0, CODE);
    disc
}

#[test]
fn a_vm_with_an_empty_disk_starts_from_its_disc() {
    if !enabled() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("vmcompose.yaml");
    fs::write(folder.path().join("install.iso"), disc()).expect("written");
    let vm = "boot: {cdrom: install.iso}, disk: 64MiB, memory: 64MiB, networks: [], stop_grace_period: 0s";
    fs::write(&file, format!("vms: {{db: {{{vm}}}}}\n")).expect("written");
    let stack = Stack::new(&[&file]);
    stack.run(&["up"]).expect(0);
    let mut console = stack.command(&["console", "db"]);
    console.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut console = console.spawn().expect("the binary runs");
    let lines = BufReader::new(console.stdout.take().expect("piped")).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("disc boots")), "the console ended before that");
    console.kill().expect("it runs");
    console.wait().expect("it ended");
    stack.run(&["plan", "--exit-code"]).expect(0);
    stack.run(&["down", "--yes"]).expect(0);
    assert_eq!(stack.belongings(), Vec::<String>::new());
}
