//! A libvirt of one's own: a daemon in folders of its own, whose test driver keeps its state between processes.
//!
//! Owns starting and ending it. Needs root, for a mount namespace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use virt::connect::Connect;

/// The daemon, and a connection that keeps its state alive. Both end when dropped.
pub(crate) struct Daemon {
    process: Child,
    keeper: Option<Connect>,
    dir: TempDir,
}

impl Daemon {
    /// Starts one, and waits until it answers.
    pub(crate) fn start() -> Self {
        let dir = TempDir::new().expect("a folder");
        for folder in ["etc", "lib", "run/libvirt"] {
            fs::create_dir_all(dir.path().join(folder)).expect("folders in it");
        }
        let conf = "unix_sock_dir = \"/run/libvirt\"\nauth_unix_rw = \"none\"\nlog_outputs = \"4:stderr\"\n";
        fs::write(dir.path().join("conf"), conf).expect("its configuration");
        // Whatever it starts is its own user's, and known to nobody else.
        let qemu = "user = \"root\"\ngroup = \"root\"\nsecurity_driver = \"none\"\nstdio_handler = \"file\"\nnamespaces = []\n\
                    cgroup_controllers = []\n";
        fs::write(dir.path().join("etc/qemu.conf"), qemu).expect("its configuration");
        let mut daemon = Self { process: spawn(dir.path()), keeper: None, dir };
        daemon.wait();
        daemon
    }

    /// What to connect to.
    pub(crate) fn uri(&self) -> String {
        format!("test+unix:///default?socket={}", self.socket().display())
    }

    /// The same daemon's QEMU.
    pub(crate) fn qemu(&self) -> String {
        format!("qemu+unix:///system?socket={}", self.socket().display())
    }

    /// Kills it. What it keeps on disk stays, and so do its vms on QEMU.
    pub(crate) fn kill(&mut self) {
        self.keeper = None;
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }

    /// Starts it again.
    pub(crate) fn start_again(&mut self) {
        self.process = spawn(self.dir.path());
        self.wait();
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.process.id().to_string()]).status();
        assert!(sent.expect("kill").success());
    }

    /// The domains that run on its QEMU, with their process ids. Known without asking it.
    pub(crate) fn running(&self) -> Vec<(String, u32)> {
        let entries = fs::read_dir(self.dir.path().join("run/libvirt/qemu")).into_iter().flatten().flatten();
        let pids = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "pid"));
        let of = |path: PathBuf| {
            let pid: u32 = fs::read_to_string(&path).ok()?.trim().parse().ok()?;
            let runs = fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty());
            runs.then(|| (path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), pid))
        };
        let mut found: Vec<_> = pids.filter_map(of).filter(|(name, _)| name != "driver").collect();
        found.sort();
        found
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("run/libvirt/libvirt-sock")
    }

    fn wait(&mut self) {
        let deadline = Instant::now() + Duration::from_mins(2);
        while self.keeper.is_none() {
            assert!(self.process.try_wait().expect("a child").is_none(), "libvirtd ended by itself");
            assert!(Instant::now() < deadline, "libvirtd does not answer");
            // Asking is cheap, and nothing tells when it listens.
            std::thread::sleep(Duration::from_millis(50));
            self.keeper = self.socket().exists().then(|| Connect::open(Some(&self.uri())).ok()).flatten();
        }
    }

    /// Everything in it but what the driver has from the start: domains, networks, pools and volumes, with their state.
    pub(crate) fn inventory(&self) -> Vec<String> {
        let keeper = self.keeper.as_ref().expect("connected");
        let mut found = Vec::new();
        for domain in keeper.list_all_domains(0).expect("domains") {
            let (name, state) = (domain.get_name().expect("a name"), domain.get_state().expect("a state").0);
            found.push(format!("domain {name} {state}"));
        }
        for network in keeper.list_all_networks(0).expect("networks") {
            let (name, active) = (network.get_name().expect("a name"), network.is_active().expect("a state"));
            found.push(format!("network {name} {active}"));
        }
        for pool in keeper.list_all_storage_pools(0).expect("pools") {
            let (name, active) = (pool.get_name().expect("a name"), pool.is_active().expect("a state"));
            found.push(format!("pool {name} {active}"));
            for volume in pool.list_all_volumes(0).unwrap_or_default() {
                found.push(format!("volume {}", volume.get_name().expect("a name")));
            }
        }
        found.sort();
        found
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.keeper = None;
        let _ = self.process.kill();
        let _ = self.process.wait();
        for (_, vm) in self.running() {
            let _ = Command::new("kill").args(["-KILL", &vm.to_string()]).status();
        }
    }
}

fn spawn(dir: &Path) -> Child {
    let script = "set -e
        mount --make-rprivate /
        mount --bind $0/etc /etc/libvirt
        mount --bind $0/lib /var/lib/libvirt
        mount --bind $0/run /run
        exec libvirtd -f $0/conf --pid-file /run/own.pid";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "sh", "-c", script]).arg(dir);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("unshare and libvirtd are installed")
}
