//! `up` and `plan` with images on a server, as a shell sees them.
//!
//! Runs against the test driver behind the daemon, which keeps its state while somebody is connected. Knows nothing of
//! what a vm does with its image.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;
use virt::connect::Connect;

use crate::bench::{qcow2, sha256};
use crate::server::{Fate, Server};

const URI: &str = "test+unix:///default";

/// A server with an image, a folder, and a project that nobody else has.
struct Desk {
    server: Server,
    folder: TempDir,
    project: String,
    keeper: Connect,
}

impl Desk {
    /// `None` where there is no daemon to ask, which the caller of the tests says.
    fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        std::env::var_os("VMCOMPOSE_TEST_QEMU")?;
        let server = Server::new();
        server.put("/debian.qcow2", &qcow2(100_000), "1");
        let desk = Self {
            server,
            folder: tempfile::tempdir().expect("a folder"),
            project: format!("i{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst)),
            keeper: Connect::open(Some(URI)).expect("the daemon runs"),
        };
        desk.write(&desk.pair(""));
        Some(desk)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, text: &str) {
        fs::write(self.path("vmcompose.yaml"), text).expect("written");
    }

    /// Two vms on the server's image, which has more keys.
    fn pair(&self, keys: &str) -> String {
        let url = self.server.url("/debian.qcow2");
        format!(
            "images: {{ debian: {{ source: '{url}' {keys} }} }}\nvms: {{ a: {{ image: debian }}, b: {{ image: debian }} }}\n"
        )
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vmcompose"));
        command.env("XDG_CACHE_HOME", self.path("cache")).env("XDG_STATE_HOME", self.path("state")).current_dir(self.folder.path());
        command.args(["-c", URI, "-p", &self.project]).args(arguments);
        command
    }

    /// Runs to the end, which must be this one. Returns what was said.
    fn run(&self, arguments: &[&str], exit: i32) -> String {
        let Output { status, stderr, .. } = self.command(arguments).output().expect("runs");
        let said = String::from_utf8(stderr).expect("text");
        assert_eq!(status.code(), Some(exit), "{arguments:?}:\n{said}");
        said
    }

    /// How often the image was asked for.
    fn asked(&self) -> usize {
        self.server.requests("/debian.qcow2").len()
    }

    /// What the hypervisor has of the project.
    fn made(&self) -> Vec<String> {
        let domains = self.keeper.list_all_domains(0).expect("domains").into_iter().map(|it| it.get_name());
        let networks = self.keeper.list_all_networks(0).expect("networks").into_iter().map(|it| it.get_name());
        let pools = self.keeper.list_all_storage_pools(0).expect("pools");
        let volumes = pools.iter().flat_map(|pool| pool.list_volumes().unwrap_or_default()).map(Ok);
        let names = domains.chain(networks).chain(volumes).map(|name| name.expect("a name"));
        names.filter(|name| name.starts_with(&self.project)).collect()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = self.command(&["down", "--yes"]).output();
    }
}

#[test]
fn two_vms_share_one_download_and_a_second_up_needs_none() {
    let Some(desk) = Desk::new() else { return };
    let said = desk.run(&["up", "--progress", "plain"], 0);
    let told: Vec<&str> = said.lines().filter(|line| line.starts_with("image `debian`: ")).collect();
    assert!(
        matches!(told[..], [start, .., end] if start.contains("downloading") && end.ends_with("ready")),
        "{told:?}"
    );
    assert_eq!(desk.server.sent("/debian.qcow2"), qcow2(100_000).len() as u64);
    let lock = fs::read_to_string(desk.path("vmcompose.lock")).expect("written");
    assert!(lock.contains(&sha256(&qcow2(100_000))) && lock.contains(&desk.server.url("/debian.qcow2")), "{lock}");
    let asked = desk.asked();
    for again in [&["up"][..], &["up", "--locked"], &["plan", "--exit-code"]] {
        desk.run(again, 0);
    }
    assert_eq!(desk.asked(), asked);
    assert_eq!(fs::read_to_string(desk.path("vmcompose.lock")).expect("there"), lock);
    desk.run(&["down", "--yes"], 0);
    assert_eq!(desk.made(), Vec::<String>::new());
}

#[test]
fn a_plan_downloads_nothing_and_says_what_does() {
    let Some(desk) = Desk::new() else { return };
    let said = desk.run(&["plan"], 5);
    let expected = format!("image `debian` is not on this machine yet: `{}`", desk.server.url("/debian.qcow2"));
    assert!(said.contains(&expected) && said.contains("vmcompose image pull"), "{said}");
    assert_eq!(desk.asked(), 0);
    assert!(!desk.path("cache").exists() && !desk.path("vmcompose.lock").exists(), "a plan wrote something");
    desk.run(&["image", "pull"], 0);
    desk.run(&["plan", "--exit-code"], 10);
}

#[test]
fn what_cannot_be_had_ends_with_five_before_anything_is_made() {
    let Some(desk) = Desk::new() else { return };
    let digits = sha256(b"something else");
    desk.write(&desk.pair(&format!(", checksum: 'sha256:{digits}'")));
    let said = desk.run(&["up"], 5);
    assert!(said.contains("wrong checksum") && said.contains(&digits), "{said}");
    desk.write(&desk.pair("").replace("debian.qcow2", "nothing.qcow2"));
    let said = desk.run(&["up"], 5);
    assert!(said.contains("the server answered 404") && said.contains("image `debian`"), "{said}");
    assert_eq!(desk.made(), Vec::<String>::new());
    assert!(!desk.path("vmcompose.lock").exists(), "something was pinned");
}

#[test]
fn locked_refuses_what_is_not_pinned_and_nobody_takes_what_has_changed() {
    let Some(desk) = Desk::new() else { return };
    let said = desk.run(&["up", "--locked"], 5);
    assert!(said.contains("`vmcompose.lock` does not mention") && said.contains("without `--locked`"), "{said}");
    assert_eq!((desk.asked(), desk.path("vmcompose.lock").exists()), (0, false));
    desk.run(&["image", "pull"], 0);
    let lock = fs::read(desk.path("vmcompose.lock")).expect("written");
    // Another machine has the lock file and no cache, and the publisher has another image by now.
    fs::remove_dir_all(desk.path("cache")).expect("removed");
    desk.server.put("/debian.qcow2", &qcow2(7), "2");
    for arguments in [&["up"][..], &["up", "--locked"]] {
        let said = desk.run(arguments, 5);
        assert!(said.contains("has changed") && said.contains("vmcompose image update"), "{said}");
    }
    assert_eq!(desk.made(), Vec::<String>::new());
    assert_eq!(fs::read(desk.path("vmcompose.lock")).expect("there"), lock);
    desk.run(&["image", "update"], 0);
    desk.run(&["up", "--locked"], 0);
}

#[test]
fn a_download_that_is_interrupted_makes_nothing_and_is_gone_on_with() {
    let Some(desk) = Desk::new() else { return };
    desk.server.fates("/debian.qcow2", &[Fate::HoldAfter(90_000)]);
    let mut up = desk.command(&["up"]).stderr(std::process::Stdio::null()).spawn().expect("runs");
    desk.server.await_requests("/debian.qcow2", 1);
    let kill = Command::new("kill").args(["-INT", &up.id().to_string()]).status().expect("runs");
    assert!(kill.success());
    assert!(!up.wait().expect("ends").success());
    assert_eq!(desk.made(), Vec::<String>::new());
    assert!(!desk.path("vmcompose.lock").exists(), "something was pinned");
    desk.server.release();
    desk.run(&["up"], 0);
}

#[test]
fn json_has_nothing_but_events_and_quiet_nothing_at_all() {
    let Some(desk) = Desk::new() else { return };
    let said = desk.run(&["up", "--progress", "json"], 0);
    let events = said.lines().map(serde_json::from_str::<serde_json::Value>);
    assert!(events.clone().count() > 2 && events.into_iter().all(|event| event.is_ok()), "{said}");
    desk.run(&["down", "--yes"], 0);
    fs::remove_dir_all(desk.path("cache")).expect("removed");
    assert_eq!(desk.run(&["up", "--progress", "quiet"], 0), "");
}
