//! Runs that are killed on the real hypervisor, with guests that run.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::ends::signal;
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

#[test]
fn an_update_that_is_killed_on_qemu_is_taken_back_from_the_guest_that_runs() {
    if !enabled() {
        return;
    }
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose-examples/quickstart/guest");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("vmcompose.yaml");
    let write = |networks: &str, keys: &str| {
        let text = format!(
            "networks: {{ front: {{}}, back: {{}} }}\nvms:\n  db:\n    boot: {{ kernel: {0}/vmlinuz, initrd: {0}/initrd.img, cmdline: console=ttyS0 quiet \
             no_timer_check }}\n    memory: 160MiB\n    networks: {networks}\n    healthcheck: {{ agent: true, interval: 1s, start_period: 10m }}\n{keys}",
            guest.display()
        );
        std::fs::write(&file, text).expect("written");
    };
    let plain = || write("[front]", "");
    let changed = || {
        write(
            "[front, back]",
            "    disks: [{ name: one, size: 16MiB }]\n    limits: { cpu: { shares: 512 } }\n    autostart: true\n",
        );
    };
    plain();
    let stack = Stack::new(&[&file]);
    stack.run(&["up"]).expect(0);
    let before = stack.belongings();
    let mut killed = 0;
    // In the middle of lines, before and after effects.
    for point in (6..).step_by(8) {
        changed();
        let mut command = stack.command(&["up", "--yes", "--parallel", "1"]);
        let output = command.env("VMCOMPOSE_TEST_KILL_AT", point.to_string()).output().expect("the binary runs");
        if output.status.code() == Some(0) {
            break;
        }
        assert_eq!(output.status.code(), None, "{}", String::from_utf8_lossy(&output.stderr));
        killed += 1;
        stack.run(&["recover", "--yes"]).expect(0);
        // The run was over, and only its journal was still there.
        if stack.run(&["plan", "--exit-code"]).code == 0 {
            break;
        }
        // The same vm, and as it was recorded: whatever it had more would be seen as somebody else's doing.
        plain();
        stack.run(&["plan", "--exit-code"]).expect(0);
        assert_eq!(stack.belongings(), before, "killed at {point}");
    }
    assert!(killed > 4, "{killed} points only");
}

/// Runs of one project that share nothing but the hypervisor: each has locks of its own.
struct Machines {
    stack: Stack,
    folder: tempfile::TempDir,
}

impl Machines {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose-examples/quickstart/guest");
        let gate = format!("{{ host: [test, -e, {}/open], interval: 1s, retries: 3600 }}", folder.path().display());
        let boot = format!("{{ kernel: {0}/vmlinuz, initrd: {0}/initrd.img }}", guest.display());
        let text = format!("vms:\n  db: {{ boot: {boot}, memory: 96MiB, healthcheck: {gate} }}\n");
        let file = folder.path().join("vmcompose.yaml");
        std::fs::write(&file, text).expect("written");
        Self { stack: Stack::new(&[&file]), folder }
    }

    fn up(&self, machine: &str) -> Command {
        let mut command = self.stack.command(&["up", "--progress", "plain"]);
        command.env("XDG_RUNTIME_DIR", self.folder.path().join(machine));
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    fn start(&self, machine: &str) -> Child {
        self.up(machine).spawn().expect("the binary runs")
    }

    /// Who has the lock, as it lies on the hypervisor; empty where nobody has.
    fn lock(&self) -> String {
        let virsh = |arguments: &[&str]| {
            let output = Command::new("virsh").args(["-q", "-c", "qemu:///system"]).args(arguments).output();
            String::from_utf8_lossy(&output.expect("virsh runs").stdout).into_owned()
        };
        let usage = format!("vmcompose lock of project {}", self.stack.project());
        let list = virsh(&["secret-list"]);
        let line = list.lines().find(|line| line.trim_end().ends_with(&usage));
        line.and_then(|line| line.split_whitespace().next())
            .map_or_else(String::new, |id| virsh(&["secret-dumpxml", id]))
    }

    fn until_locked_by(&self, child: &Child) {
        let deadline = Instant::now() + Duration::from_mins(3);
        while !self.lock().contains(&format!("&quot;process&quot;:{},", child.id())) {
            assert!(Instant::now() < deadline, "process {} does not get the lock:\n{}", child.id(), self.lock());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn until_it_runs(&self) {
        let deadline = Instant::now() + Duration::from_mins(3);
        while !self.stack.belongings().iter().any(|line| line.starts_with("process ")) {
            assert!(Instant::now() < deadline, "the vm does not start");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

#[test]
fn of_runs_on_two_machines_one_has_the_lock_on_qemu_and_loses_it_when_it_is_silent() {
    if !enabled() {
        return;
    }
    let machines = Machines::new();
    let first = machines.start("one");
    machines.until_locked_by(&first);
    machines.until_it_runs();
    let refused = Run::of(&machines.up("two").output().expect("the binary runs")).expect(8);
    assert!(refused.stderr.contains(&format!("process {} on ", first.id())), "{}", refused.stderr);
    // A machine that sleeps gives no sign of life, and finds its lock with somebody else when it wakes.
    signal(&first, "STOP");
    let mut second = machines.start("two");
    machines.until_locked_by(&second);
    signal(&first, "CONT");
    let first = Run::of(&first.wait_with_output().expect("it ends")).expect(7);
    assert!(first.stderr.contains("another one took the project's lock"), "{}", first.stderr);
    machines.until_locked_by(&second);
    // Where the kernel says that its holder is dead, nobody waits for a sign of life.
    signal(&second, "KILL");
    second.wait().expect("it ends");
    std::fs::write(machines.folder.path().join("open"), "").expect("written");
    let third = Run::of(&machines.up("two").output().expect("the binary runs")).expect(0);
    assert!(!third.stderr.contains("no sign of life"), "{}", third.stderr);
    assert_eq!(machines.lock(), "");
}
