//! Other ends than a clean one: journals that are damaged, disks that are full, locks that are held, signals.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::desk::{CHANGED, Desk, Ended, SHOP};
use crate::support::qemu::enabled;

/// Its gate never opens.
const WAITING: &str = "\
name: shop
vms:
  db: { boot: { kernel: kernel }, healthcheck: { tcp: { host: 127.0.0.1, port: 1 }, interval: 1s, retries: 3600 } }
";

/// Starts a run, and waits until it is in its gate.
fn in_its_gate(desk: &Desk) -> Child {
    let child = desk.vmcompose("up").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let deadline = Instant::now() + Duration::from_mins(1);
    while !desk.daemon.inventory().contains(&"domain shop-db 1".to_owned()) {
        assert!(Instant::now() < deadline, "the vm does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

pub(crate) fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().expect("kill");
    assert!(sent.success());
}

#[test]
fn a_journal_is_private_and_tells_whose_run_it_is() {
    use std::os::unix::fs::PermissionsExt;
    if !enabled() {
        return;
    }
    let desk = Desk::new(SHOP);
    assert!(desk.killed("up", 40));
    let paths = desk.journals();
    assert_eq!(paths.len(), 1, "{paths:?}");
    assert_eq!(fs::metadata(&paths[0]).expect("there").permissions().mode() & 0o777, 0o600);
    let list = desk.ends(0, "recover --list --format json");
    let facts: serde_json::Value = serde_json::from_str(&list.stdout).expect("json");
    let run = &facts["runs"][0];
    assert_eq!((&run["state"], &run["project"], &run["command"]), (&"unfinished".into(), &"shop".into(), &"up".into()));
    assert_eq!(run["hypervisor"], desk.daemon.uri());
    assert!(run["operations"].as_u64().is_some_and(|n| n > 3), "{run:#}");
    let going_on = desk.ends(0, "up");
    assert!(going_on.stderr.contains("was cut short; going on from what is there"), "{}", going_on.stderr);
    assert!(desk.journals().is_empty());
}

#[test]
fn a_torn_or_damaged_journal_is_told_and_recovered_from_by_looking() {
    if !enabled() {
        return;
    }
    let desk = Desk::new(SHOP);
    let before = desk.world();
    for (damage, word) in [("{\"beg", "in the middle of a line"), ("nonsense\n{\"begun\":[0,0]}\n", "is damaged")] {
        assert!(desk.killed("up --parallel 1", 50));
        let path = desk.journals().remove(0);
        let text = fs::read_to_string(&path).expect("text");
        fs::write(&path, format!("{text}{damage}")).expect("written");
        let recovered = desk.ends(0, "recover --yes");
        assert!(recovered.stderr.contains(word), "{}", recovered.stderr);
        assert_eq!(desk.world(), before, "{damage}");
    }
    // Without a plan in it there is nothing to go by.
    assert!(desk.killed("up --parallel 1", 50));
    let path = desk.journals().remove(0);
    fs::write(&path, "nonsense\nmore of it\n").expect("written");
    let refused = desk.ends(8, "recover --yes");
    assert!(refused.stderr.contains("hint: ") && refused.stderr.contains("--force"), "{}", refused.stderr);
    assert!(desk.ends(0, "plan").stdout.contains("to create"));
    desk.ends(0, "recover --force");
    assert!(desk.journals().is_empty());
    desk.ends(0, "down --volumes --yes");
}

#[test]
fn what_somebody_changed_after_the_run_is_not_undone_unless_asked() {
    if !enabled() {
        return;
    }
    let desk = Desk::new(SHOP);
    assert!(desk.killed("up --parallel 1", 74));
    // Another program redefines the vm, and our metadata with it.
    let uri = desk.daemon.uri();
    let xml = Command::new("virsh").args(["-c", &uri, "dumpxml", "shop-db"]).output().expect("virsh");
    let xml = String::from_utf8_lossy(&xml.stdout).into_owned();
    let changed = xml.replace("\"cpus\":1", "\"cpus\":2");
    assert_ne!(xml, changed);
    let file = desk.folder.path().join("changed.xml");
    fs::write(&file, &changed).expect("written");
    let defined = Command::new("virsh").args(["-c", &uri, "define"]).arg(&file).output().expect("virsh");
    assert!(defined.status.success(), "{}", String::from_utf8_lossy(&defined.stderr));
    let refused = desk.ends(8, "recover --yes");
    assert!(refused.stderr.contains("vm `db` was changed after it"), "{}", refused.stderr);
    desk.ends(0, "recover --yes --force");
    assert!(desk.daemon.inventory().iter().all(|line| !line.contains("shop")), "{:?}", desk.daemon.inventory());
}

#[test]
fn of_two_runs_at_once_the_second_is_refused_and_a_dead_one_holds_nothing() {
    if !enabled() {
        return;
    }
    let desk = Desk::new(WAITING);
    let mut first = in_its_gate(&desk);
    let refused = desk.ends(8, "up");
    assert!(refused.stderr.contains(&format!("process {}", first.id())), "{}", refused.stderr);
    desk.ends(8, "recover");
    signal(&first, "KILL");
    first.wait().expect("it ends");
    desk.ends(0, "recover --yes");
    assert!(desk.daemon.inventory().iter().all(|line| !line.contains("shop")));
}

#[test]
fn every_signal_undoes_and_a_closed_terminal_does_not_hinder() {
    if !enabled() {
        return;
    }
    let desk = Desk::new(WAITING);
    let before = desk.world();
    for name in ["INT", "TERM", "HUP"] {
        let mut child = in_its_gate(&desk);
        // Nobody reads what it says any more.
        drop(child.stderr.take());
        signal(&child, name);
        assert_eq!(child.wait().expect("it ends").code(), Some(130), "SIG{name}");
        assert_eq!(desk.world(), before, "SIG{name}");
        assert!(desk.journals().is_empty(), "SIG{name}");
    }
}

#[test]
fn a_run_that_takes_too_long_is_undone() {
    if !enabled() {
        return;
    }
    let desk = Desk::new(WAITING);
    let before = desk.world();
    let ended = desk.ends(6, "up --timeout 1s");
    assert!(ended.stderr.contains("not done within the run's 1.0s"), "{}", ended.stderr);
    assert_eq!(desk.world(), before);
}

#[test]
fn a_full_disk_ends_a_run_before_it_does_what_it_cannot_write_down() {
    if !enabled() {
        return;
    }
    let desk = Desk::new(SHOP);
    let before = desk.world();
    // Header and plan are written at the third point.
    assert!(desk.killed("up", 3));
    let length = fs::metadata(&desk.journals()[0]).expect("there").len();
    fs::remove_dir_all(desk.state()).expect("removed");
    // No room for header and plan; room for them, and for a few entries.
    let cases = [
        ("mount -t tmpfs -o size=4k none state".to_owned(), [1, 1], "No space left on device"),
        (format!("trap '' XFSZ && prlimit --pid $$ --fsize={}", length + 200), [4, 5], "File too large"),
    ];
    for (limit, codes, words) in cases {
        let script = format!("{limit} && exec {} -c '{}' up", env!("CARGO_BIN_EXE_vmcompose"), desk.daemon.uri());
        let mut command = desk.command(Path::new("unshare"));
        let ended = Ended::of(&command.args(["--mount", "sh", "-c", &script]).output().expect("unshare"));
        assert!(ended.code.is_some_and(|code| codes.contains(&code)), "{limit}:\n{}", ended.stderr);
        assert!(ended.stderr.contains(words) && ended.stderr.contains("XDG_STATE_HOME"), "{}", ended.stderr);
        assert_eq!(desk.world(), before, "{limit}");
        assert!(desk.journals().is_empty(), "{limit}");
    }
}

#[test]
fn doctor_says_what_is_wrong_and_what_mends_it() {
    if !enabled() {
        return;
    }
    let desk = Desk::new(SHOP);
    let healthy = desk.ends(0, "doctor");
    assert!(healthy.stdout.contains("every run came to its end"), "{}", healthy.stdout);
    // Killed after the pools were defined, somewhere on the way.
    assert!(desk.killed("up --parallel 1", 40));
    let stop = ["pool-destroy", "vmcompose-disks"];
    let stopped = Command::new("virsh").args(["-q", "-c", &desk.daemon.uri()]).args(stop).status().expect("virsh");
    assert!(stopped.success());
    let facts = desk.ends(0, "doctor --format json").stdout;
    let facts: serde_json::Value = serde_json::from_str(&facts).expect("json");
    let poor: Vec<&serde_json::Value> =
        facts["findings"].as_array().expect("a list").iter().filter(|finding| finding["verdict"] == "poor").collect();
    let hints: Vec<&str> = poor.iter().filter_map(|finding| finding["hint"].as_str()).collect();
    assert!(hints.contains(&"`virsh pool-start vmcompose-disks`"), "{facts:#}");
    assert!(hints.contains(&"`vmcompose recover --list` shows them"), "{facts:#}");
    let refused = desk.ends(8, "recover --yes");
    assert!(refused.stderr.contains("pool `disks` is stopped"), "{}", refused.stderr);
    let nowhere = desk.ends(3, "-c qemu+unix:///system?socket=/nonexistent doctor");
    assert!(nowhere.stdout.contains("bad") && nowhere.stdout.contains("hint: "), "{}", nowhere.stdout);
}

/// Carries out what a run that got stuck says that one should type.
fn type_it(stuck: &Ended) -> usize {
    let commands: Vec<&str> = stuck.stderr.lines().filter_map(|line| line.strip_prefix("  virsh ")).collect();
    for command in &commands {
        let run = Command::new("sh").args(["-c", &format!("virsh {command}")]).output().expect("a shell");
        assert!(run.status.success(), "`virsh {command}`: {}\n{}", String::from_utf8_lossy(&run.stderr), stuck.stderr);
    }
    commands.len()
}

#[test]
fn the_commands_that_a_stuck_run_prints_clean_up() {
    if !enabled() {
        return;
    }
    let desk = Desk::new(SHOP);
    let nothing = desk.world();
    let bad = "  bad:\n    boot: { kernel: kernel }\n    depends_on: [web]\n    healthcheck: { tcp: { host: 127.0.0.1, port: 1 }, interval: 10ms, \
               retries: 1, start_period: 0s }\n";
    desk.write(&format!("{SHOP}{bad}"));
    let stuck = desk.ends(7, "up --on-failure keep");
    assert!(type_it(&stuck) > 10, "{}", stuck.stderr);
    assert!(desk.daemon.inventory().iter().all(|line| !line.contains("shop")), "{:?}", desk.daemon.inventory());
    // The pools are everybody's, and go with the run's journal.
    desk.ends(0, "recover --yes");
    assert_eq!(desk.world(), nothing);
    // What a vm was given while it runs is taken back; its definition goes back with the journal.
    desk.write(SHOP);
    desk.ends(0, "up");
    let before = desk.world();
    desk.write(&format!("{CHANGED}{bad}"));
    let stuck = desk.ends(7, "up --on-failure keep --yes");
    assert!(
        stuck.stderr.contains(" setvcpus shop-db 1 ") && stuck.stderr.contains(" setmem shop-db 131072 "),
        "{}",
        stuck.stderr
    );
    assert!(type_it(&stuck) > 5, "{}", stuck.stderr);
    desk.ends(0, "recover --yes");
    assert_eq!(desk.world(), before);
}
