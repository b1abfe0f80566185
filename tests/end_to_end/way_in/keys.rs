//! The project's key without a guest: who makes it and when, who sees it, what is said where something is missing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use virt::connect::Connect;

use crate::support::qcow2;
use crate::support::qemu::{Run, enabled};

const URI: &str = "test+unix:///default";
const TWO: &str = "images: {cloud: ./debian.qcow2}\nvms:\n  db: {image: cloud}\n  lone: {image: cloud, networks: []}\n";

/// A folder with a compose file and a home for keys, and a connection that keeps the driver's state alive.
struct Desk {
    folder: tempfile::TempDir,
    project: String,
    keeper: Connect,
}

impl Desk {
    fn new(text: &str) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !enabled() {
            return None;
        }
        let keeper = Connect::open(Some(URI)).expect("the daemon runs");
        let project = format!("w{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("vmcompose.yaml"), text).expect("written");
        fs::write(folder.path().join("debian.qcow2"), qcow2()).expect("written");
        Some(Self { folder, project, keeper })
    }

    /// The command, of somebody who keeps keys in this folder.
    fn command(&self, home: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vmcompose"));
        command.env("XDG_CACHE_HOME", self.folder.path().join("cache"));
        command.env("XDG_STATE_HOME", self.folder.path().join(home));
        command.current_dir(self.folder.path()).args(["-c", URI, "-p", &self.project]).args(arguments);
        command
    }

    fn run_as(&self, home: &str, arguments: &[&str]) -> Run {
        Run::of(&self.command(home, arguments).output().expect("the binary runs"))
    }

    fn run(&self, arguments: &[&str]) -> Run {
        self.run_as("home", arguments)
    }

    /// The private keys in a home.
    fn keys(&self, home: &str) -> Vec<PathBuf> {
        let folders = fs::read_dir(self.folder.path().join(home).join("vmcompose/keys")).into_iter().flatten();
        let keys = folders.map(|folder| folder.expect("an entry").path().join("id_ed25519"));
        keys.filter(|key| key.exists()).collect()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let down = self.run(&["down", "--volumes", "--yes"]);
        assert!(down.code == 0 || std::thread::panicking(), "{}", down.stderr);
    }
}

#[test]
fn up_makes_the_key_plan_only_tells_of_it_and_down_with_volumes_takes_it_along() {
    let Some(desk) = Desk::new(TWO) else { return };
    let plan = desk.run(&["plan"]).expect(0);
    assert!(plan.stdout.contains("login       `debian` by the project's key, which `up` makes"), "{}", plan.stdout);
    assert_eq!(desk.keys("home"), Vec::<PathBuf>::new());
    desk.run(&["up"]).expect(0);
    let keys = desk.keys("home");
    assert_eq!(keys.len(), 1);
    let before = fs::read(&keys[0]).expect("readable");
    assert_eq!(fs::metadata(&keys[0]).expect("there").permissions().mode() & 0o777, 0o600);
    let again = desk.run(&["up"]).expect(0);
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);

    desk.run(&["down"]).expect(0);
    assert_eq!(desk.keys("home"), keys, "the next `up` lets in the same");
    desk.run(&["up"]).expect(0);
    assert_eq!(fs::read(&keys[0]).expect("readable"), before);
    desk.run(&["down", "--volumes", "--yes"]).expect(0);
    assert_eq!(desk.keys("home"), Vec::<PathBuf>::new());
}

#[test]
fn on_another_machine_nothing_has_changed_and_the_missing_key_is_named() {
    let Some(desk) = Desk::new(TWO) else { return };
    desk.run(&["up"]).expect(0);
    let plan = desk.run_as("elsewhere", &["plan", "--exit-code"]).expect(0);
    assert!(plan.stdout.contains("nothing to do"), "{}", plan.stdout);
    let up = desk.run_as("elsewhere", &["up"]).expect(0);
    assert!(up.stderr.contains("nothing to do"), "{}", up.stderr);
    assert_eq!(desk.keys("elsewhere"), Vec::<PathBuf>::new(), "no key is made for nobody");
    let ssh = desk.run_as("elsewhere", &["ssh", "db"]).expect(1);
    for words in ["the key that lets in to vm `db` is not on this machine: SHA256:", "elsewhere/vmcompose/keys/"] {
        assert!(ssh.stderr.contains(words), "`{words}` is not in:\n{}", ssh.stderr);
    }
    let config = desk.run_as("elsewhere", &["ssh-config"]).expect(0);
    assert!(!config.stdout.contains("Host") && config.stderr.contains("left out"), "{}", config.stderr);
}

#[test]
fn ssh_says_what_keeps_it_from_a_vm() {
    let Some(desk) = Desk::new(TWO) else { return };
    let none = desk.run(&["ssh", "db"]).expect(1);
    assert!(none.stderr.contains("hint: there are no vms of this project"), "{}", none.stderr);
    desk.run(&["up"]).expect(0);
    let unknown = desk.run(&["ssh", "dbb"]).expect(1);
    assert!(unknown.stderr.contains("vm `dbb` does not exist") && unknown.stderr.contains("did you mean `db`?"));
    let lone = desk.run(&["ssh", "lone"]).expect(4);
    assert!(lone.stderr.contains("vm `lone` is on no network") && lone.stderr.contains("vmcompose exec lone"));
    let no_ssh = desk.command("home", &["ssh", "db"]).env("PATH", desk.folder.path()).output().expect("runs");
    let no_ssh = Run::of(&no_ssh).expect(1);
    assert!(no_ssh.stderr.contains("there is no `ssh` on this machine"), "{}", no_ssh.stderr);
    let domain = virt::domain::Domain::lookup_by_name(&desk.keeper, &format!("{}-db", desk.project)).expect("there");
    domain.destroy().expect("stopped");
    let off = desk.run(&["ssh", "db"]).expect(4);
    assert!(off.stderr.contains("vm `db` does not run"), "{}", off.stderr);
    let config = desk.run(&["ssh-config"]).expect(0).stdout;
    let hosts: Vec<&str> = config.lines().filter(|line| line.starts_with("Host ")).collect();
    assert_eq!(hosts, [format!("Host db {}-db", desk.project)]);
}

#[test]
fn a_copy_needs_one_place_in_a_guest_and_a_terminal_needs_ssh() {
    let Some(desk) = Desk::new(TWO) else { return };
    for (from, to, words) in
        [("a", "b", "neither place is in a guest"), ("db:/a", "db:/b", "both places are in guests")]
    {
        let run = desk.run(&["cp", from, to]).expect(1);
        assert!(run.stderr.contains(words), "{}", run.stderr);
    }
    let tty = desk.run(&["exec", "-it", "db", "--", "top"]).expect(1);
    assert!(tty.stderr.contains("hint: `vmcompose ssh -t db -- top` has one"), "{}", tty.stderr);
}
