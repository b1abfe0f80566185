//! The real hypervisor: the binary run against `qemu:///system`, under project names of the test's own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Whether the tests that boot vms shall run: `make test` says so, after it has made sure that they can.
pub(crate) fn enabled() -> bool {
    std::env::var_os("VMCOMPOSE_TEST_QEMU").is_some()
}

/// One stack at a time: several at once would only slow one another down, and gates have deadlines.
static TURN: Mutex<()> = Mutex::new(());

/// A project on the real hypervisor. Taken down when dropped, also by a panic.
pub(crate) struct Stack {
    project: String,
    files: Vec<PathBuf>,
    pools: BTreeSet<String>,
    _turn: MutexGuard<'static, ()>,
}

impl Stack {
    /// A project of its own name, described by these files.
    pub(crate) fn new(files: &[&Path]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let project = format!("t{}-{number}", std::process::id());
        let files = files.iter().map(|file| file.to_path_buf()).collect();
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        Self { project, files, pools: pools(), _turn: turn }
    }

    /// Its name.
    pub(crate) fn project(&self) -> &str {
        &self.project
    }

    /// The command, ready for its arguments.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vmcompose"));
        // The cache of whoever runs the tests is not theirs to write to.
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
        let down = self.command(&["down", "--volumes", "--yes"]).output().expect("the binary runs");
        let failed = !down.status.success() && !std::thread::panicking();
        assert!(!failed, "down failed: {}", String::from_utf8_lossy(&down.stderr));
        // Pools that this test made go with it, as far as no other test uses them.
        for pool in pools().difference(&self.pools) {
            drop_pool(pool);
        }
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
