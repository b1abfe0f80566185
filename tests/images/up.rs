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
        command.env("XDG_CACHE_HOME", self.path("cache")).env("XDG_STATE_HOME", self.path("state"));
        command.current_dir(self.folder.path());
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

    /// `plan --exit-code`, which must end so: the plan, and what was said beside it.
    fn plan(&self, exit: i32) -> (String, String) {
        let Output { status, stdout, stderr } = self.command(&["plan", "--exit-code"]).output().expect("runs");
        let [plan, said] = [stdout, stderr].map(|text| String::from_utf8(text).expect("text"));
        assert_eq!(status.code(), Some(exit), "{plan}{said}");
        (plan, said)
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
fn a_plan_downloads_nothing_and_says_that_it_does_not_know_the_image() {
    let Some(desk) = Desk::new() else { return };
    let (plan, said) = desk.plan(10);
    let expected = format!(
        "image `debian` is not on this machine yet, and what it holds is unknown: `{}`",
        desk.server.url("/debian.qcow2")
    );
    assert!(said.contains(&expected) && said.contains("hint: a plan downloads nothing"), "{said}");
    assert!(plan.contains("+ image `debian`") && plan.contains("known when it is downloaded"), "{plan}");
    assert!(plan.contains("+ vm `b`") && plan.contains("image `debian` (unknown)"), "{plan}");
    assert_eq!(desk.asked(), 0);
    assert!(!desk.path("cache").exists() && !desk.path("vmcompose.lock").exists(), "a plan wrote something");
    desk.run(&["image", "pull"], 0);
    let (plan, said) = desk.plan(10);
    assert!(plan.contains(&sha256(&qcow2(100_000))[..12]) && said.is_empty(), "{plan}{said}");
}

#[test]
fn a_plan_knows_an_image_that_is_not_here_from_the_lock_file() {
    let Some(desk) = Desk::new() else { return };
    desk.run(&["image", "pull"], 0);
    let (with, _) = desk.plan(10);
    let asked = desk.asked();
    fs::remove_dir_all(desk.path("cache")).expect("removed");
    let (without, said) = desk.plan(10);
    assert_eq!(without.replace(", downloaded first", ""), with);
    assert!(without.contains(", downloaded first") && said.is_empty(), "{without}{said}");
    assert_eq!((desk.asked(), desk.path("cache").exists()), (asked, false));
    // The compose file asks for other bytes by now: the lock file says nothing of those.
    desk.write(&desk.pair(&format!(", checksum: 'sha256:{}'", sha256(b"newer"))));
    let (plan, said) = desk.plan(10);
    assert!(plan.contains("known when it is downloaded") && said.contains("what it holds is unknown"), "{plan}{said}");
}

#[test]
fn a_plan_of_what_runs_needs_neither_cache_nor_lock_file() {
    let Some(desk) = Desk::new() else { return };
    desk.run(&["up"], 0);
    fs::remove_dir_all(desk.path("cache")).expect("removed");
    assert_eq!(desk.plan(0).1, "");
    fs::remove_file(desk.path("vmcompose.lock")).expect("removed");
    let (plan, said) = desk.plan(0);
    assert!(plan.starts_with("nothing to do"), "{plan}");
    assert!(said.contains("the hypervisor's copy is taken for the same"), "{said}");
}

#[test]
fn an_update_forgets_what_no_profile_uses_any_more() {
    let Some(desk) = Desk::new() else { return };
    desk.server.put("/other.qcow2", &qcow2(5), "1");
    let other = desk.server.url("/other.qcow2");
    desk.write(&desk.pair("").replace("b: {", &format!("c: {{ image: '{other}', profiles: [extra] }}, b: {{")));
    let lock = || fs::read_to_string(desk.path("vmcompose.lock")).expect("written");
    desk.run(&["--profile", "extra", "image", "pull"], 0);
    desk.run(&["image", "pull"], 0);
    desk.run(&["image", "update"], 0);
    assert!(lock().contains(&other), "{}", lock());
    desk.write(&desk.pair(""));
    desk.run(&["image", "pull"], 0);
    assert!(lock().contains(&other), "only an update forgets: {}", lock());
    desk.run(&["image", "update"], 0);
    assert!(!lock().contains(&other) && lock().contains("/debian.qcow2"), "{}", lock());
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
