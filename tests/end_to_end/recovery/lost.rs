//! A libvirt daemon that dies, or hangs, in the middle of a run: on a daemon of the test's own, with guests on its QEMU,
//! which live on without it.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::desk::{Desk, Ended};
use super::ends::signal;
use crate::support::qemu::enabled;

/// One vm that waits for a file, and one that waits for that vm.
fn shop(desk: &Desk) -> String {
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose-examples/quickstart/guest");
    let boot = format!("{{ kernel: {0}/vmlinuz, initrd: {0}/initrd.img }}", guest.display());
    let folder = desk.folder.path().display();
    let gate = format!("{{ host: 'touch {folder}/asked; test -e {folder}/open', interval: 1s, retries: 3600 }}");
    format!(
        "name: shop\nnetworks: {{}}\nvolumes: {{ data: {{ size: 1MiB }} }}\nvms:\n  db: {{ boot: {boot}, memory: 96MiB, networks: [], \
         disks: [{{ volume: data }}], healthcheck: {gate} }}\n  web: {{ boot: {boot}, memory: 96MiB, networks: [], depends_on: [db], \
         disks: [{{ name: own, size: 1MiB }}] }}\n"
    )
}

struct Stage {
    desk: Desk,
}

impl Stage {
    fn new() -> Self {
        let desk = Desk::new("");
        desk.write(&shop(&desk));
        Self { desk }
    }

    fn line(&self, words: &str) -> String {
        format!("-c {} {words}", self.desk.daemon.qemu())
    }

    fn ends(&self, code: i32, words: &str) -> Ended {
        self.desk.ends(code, &self.line(words))
    }

    /// Starts a run, and waits until its first vm is in its gate: what a daemon does with a vm that it was only just starting
    /// when it was killed is its own affair, and not always the same.
    fn in_its_gate(&self) -> Child {
        let asked = self.desk.folder.path().join("asked");
        let _ = fs::remove_file(&asked);
        let mut command = self.desk.vmcompose(&self.line("up"));
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let deadline = Instant::now() + Duration::from_mins(3);
        while !asked.exists() {
            assert!(Instant::now() < deadline, "the vm does not start");
            std::thread::sleep(Duration::from_millis(100));
        }
        child
    }

    fn vms(&self) -> Vec<String> {
        self.desk.daemon.running().into_iter().map(|(name, _)| name).collect()
    }

    /// Interrupted twice, a run waits for no answer.
    fn abort(child: Child) -> Ended {
        signal(&child, "INT");
        // The second counts only once the first was seen.
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut child = child;
        while child.try_wait().expect("a child").is_none() {
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(300));
            signal(&child, "INT");
        }
        Ended::of(&child.wait_with_output().expect("it ended"))
    }

    fn recovered(&self) {
        self.ends(0, "recover --yes");
        assert_eq!(self.vms(), Vec::<String>::new());
        assert_eq!(self.ends(0, "ls --format json").stdout.matches("shop").count(), 0);
        assert!(self.desk.journals().is_empty());
    }
}

#[test]
fn a_daemon_that_dies_or_hangs_in_the_middle_on_qemu_costs_nothing() {
    if !enabled() {
        return;
    }
    let mut stage = Stage::new();
    // It hangs: nothing can be undone, but what is left is told, and undone when it answers again.
    let up = stage.in_its_gate();
    stage.desk.daemon.signal("STOP");
    let ended = Stage::abort(up);
    assert_eq!(ended.code, Some(7), "{}", ended.stderr);
    assert!(ended.stderr.contains("vm `db`") && ended.stderr.contains("vmcompose recover"), "{}", ended.stderr);
    stage.desk.daemon.signal("CONT");
    stage.recovered();
    // It dies, and stays away.
    let up = stage.in_its_gate();
    stage.desk.daemon.kill();
    let ended = Stage::abort(up);
    assert_eq!(ended.code, Some(7), "{}", ended.stderr);
    assert_eq!(stage.vms(), ["shop-db"], "vms need no daemon");
    stage.desk.daemon.start_again();
    stage.recovered();
    // It dies, and comes back: the run goes on as if nothing had been.
    let up = stage.in_its_gate();
    stage.desk.daemon.kill();
    fs::write(stage.desk.folder.path().join("open"), "").expect("written");
    stage.desk.daemon.start_again();
    let ended = Ended::of(&up.wait_with_output().expect("it ends"));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(stage.vms(), ["shop-db", "shop-web"]);
    stage.ends(0, "plan --exit-code");
    stage.ends(0, "down --volumes --yes");
}
