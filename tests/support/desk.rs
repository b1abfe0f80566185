//! The binary on the test driver behind the daemon, which keeps its state between processes while somebody is connected.
//!
//! Owns a folder with a compose file, a project name of its own, and a connection that keeps the driver's state alive.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use virt::connect::Connect;

use super::qemu::Run;

/// Shared by everybody on the machine: only names with a process id in them are safe here.
pub(crate) const URI: &str = "test+unix:///default";

/// A user with a folder and a project.
pub(crate) struct Desk {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) project: String,
    pub(crate) keeper: Option<Connect>,
}

impl Desk {
    /// Needs no hypervisor.
    pub(crate) fn offline(text: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let project = format!("c{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("vmcompose.yaml"), text).expect("written");
        fs::write(folder.path().join("kernel"), "a kernel").expect("written");
        Self { folder, project, keeper: None }
    }

    pub(crate) fn online(text: &str) -> Self {
        virt::error::clear_error_callback();
        let keeper = Some(Connect::open(Some(URI)).expect("the daemon runs"));
        Self { keeper, ..Self::offline(text) }
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        self.run_on(URI, arguments)
    }

    pub(crate) fn run_on(&self, uri: &str, arguments: &[&str]) -> Run {
        Run::of(&self.command(uri, arguments).output().expect("the binary runs"))
    }

    pub(crate) fn command(&self, uri: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vmcompose"));
        command.env("XDG_CACHE_HOME", self.folder.path().join("cache"));
        command.env("XDG_STATE_HOME", self.folder.path().join("state"));
        command.current_dir(self.folder.path()).args(["-c", uri, "-p", &self.project]).args(arguments);
        command
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Names of all domains and networks, with our project's in them or not.
    pub(crate) fn inventory(&self) -> Vec<String> {
        let keeper = self.keeper.as_ref().expect("online");
        let domains = keeper.list_all_domains(0).expect("domains").into_iter().map(|d| d.get_name().expect("a name"));
        let networks =
            keeper.list_all_networks(0).expect("networks").into_iter().map(|n| n.get_name().expect("a name"));
        let mut all: Vec<String> = domains.chain(networks).filter(|name| name.starts_with(&self.project)).collect();
        all.sort();
        all
    }
}
