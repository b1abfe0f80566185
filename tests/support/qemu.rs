//! The real hypervisor: the binary run against `qemu:///system`, under project names of the test's own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Whether the tests that boot vms shall run: `make test` says so, after it has made sure that they can.
pub(crate) fn enabled() -> bool {
    std::env::var_os("VMCOMPOSE_TEST_QEMU").is_some()
}

/// Stacks at a time: more would only slow one another down, and gates have deadlines.
const AT_ONCE: usize = 2;

/// The stacks that there are, and the pools that were there before the first of them.
#[derive(Default)]
struct Stacks {
    alive: usize,
    pools: BTreeSet<String>,
}

static STACKS: Mutex<Stacks> = Mutex::new(Stacks { alive: 0, pools: BTreeSet::new() });
static LEFT: Condvar = Condvar::new();

fn stacks() -> MutexGuard<'static, Stacks> {
    STACKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A project on the real hypervisor. Taken down when dropped, also by a panic.
pub(crate) struct Stack {
    project: String,
    files: Vec<PathBuf>,
}

impl Stack {
    /// A project of its own name, described by these files.
    pub(crate) fn new(files: &[&Path]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let project = format!("t{}-{number}", std::process::id());
        let files = files.iter().map(|file| file.to_path_buf()).collect();
        let waiting = LEFT.wait_while(stacks(), |stacks| stacks.alive == AT_ONCE);
        let mut stacks = waiting.unwrap_or_else(PoisonError::into_inner);
        if stacks.alive == 0 {
            stacks.pools = pools();
        }
        stacks.alive += 1;
        Self { project, files }
    }

    /// Its name.
    pub(crate) fn project(&self) -> &str {
        &self.project
    }

    /// The command, ready for its arguments.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vmcompose"));
        // The cache and the journals of whoever runs the tests are not theirs to write to.
        command.env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
        command.env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"));
        command.args(["--connect", "qemu:///system", "--project", &self.project]);
        for file in &self.files {
            command.arg("--file").arg(file);
        }
        command.args(arguments);
        command
    }

    /// Runs the command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        Run::of(&self.command(arguments).output().expect("the binary runs"))
    }

    /// The host names that a running network of the project knows, in its DHCP and in its DNS alike; without those that replicas
    /// have together.
    pub(crate) fn network_hosts(&self, network: &str) -> Vec<String> {
        let xml = virsh(&["net-dumpxml", &format!("{}-{network}", self.project)]).join("\n");
        let document = roxmltree::Document::parse(&xml).expect("xml");
        let nodes = || document.descendants();
        let mut dhcp: Vec<String> =
            nodes().filter_map(|node| node.attribute("mac").and(node.attribute("name"))).map(str::to_owned).collect();
        let mut dns: Vec<String> = nodes()
            .filter(|node| node.has_tag_name("hostname"))
            .filter_map(|node| node.text())
            .map(str::to_owned)
            .collect();
        dhcp.sort();
        // Replicas have a name together besides; nobody else is known.
        dns.retain(|name| !dhcp.iter().any(|own| own.strip_prefix(name.as_str()).is_some_and(|n| n.starts_with('-'))));
        dns.sort();
        assert_eq!(dhcp, dns);
        dhcp
    }

    /// Everything on the hypervisor that belongs to the project: domains, networks, volumes, processes.
    pub(crate) fn belongings(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut add = |kind: &str, names: Vec<String>| {
            let ours = names.into_iter().filter(|name| name.contains(&self.project));
            found.extend(ours.map(|name| format!("{kind} {name}")));
        };
        add("domain", virsh(&["list", "--all", "--name"]));
        add("network", virsh(&["net-list", "--all", "--name"]));
        for pool in pools() {
            let volumes = virsh(&["vol-list", &pool]);
            add(
                "volume",
                volumes.iter().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect(),
            );
        }
        add("process", processes());
        found
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let down = self.command(&["down", "--volumes", "--yes"]).output();
        let mut stacks = stacks();
        stacks.alive -= 1;
        LEFT.notify_one();
        // Pools that these tests made go with the last of them, as far as nobody else uses them.
        if stacks.alive == 0 {
            pools().difference(&stacks.pools).for_each(|pool| drop_pool(pool));
        }
        drop(stacks);
        let down = down.expect("the binary runs");
        let failed = !down.status.success() && !std::thread::panicking();
        assert!(!failed, "down failed: {}", String::from_utf8_lossy(&down.stderr));
    }
}

fn drop_pool(pool: &str) {
    let empty = virsh(&["vol-list", pool]).iter().all(|line| line.starts_with(" Name") || line.starts_with("---"));
    if empty && pool.starts_with("vmcompose-") {
        for step in [["pool-destroy", pool], ["pool-delete", pool], ["pool-undefine", pool]] {
            let _ = Command::new("virsh").args(["-q", "-c", "qemu:///system"]).args(step).output();
        }
    }
}

fn pools() -> BTreeSet<String> {
    virsh(&["pool-list", "--all", "--name"]).into_iter().collect()
}

fn virsh(arguments: &[&str]) -> Vec<String> {
    let output = Command::new("virsh").args(["-q", "-c", "qemu:///system"]).args(arguments).output();
    let output = output.expect("virsh runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Command lines of everything that runs, but for the tests themselves.
fn processes() -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Ok(line) = std::fs::read(entry.path().join("cmdline")) else { continue };
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains("qemu-system") || line.contains("dnsmasq") {
            found.push(line);
        }
    }
    found
}

/// What came of a command.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Panics with everything it said unless it ended with this code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "\nstdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}
