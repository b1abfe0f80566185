//! Every verb where it has nothing to do, or cannot: no project, no such vm, a vm that is off, one that is somebody else's,
//! twice in a row, interrupted. On the test driver.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use crate::support::desk::{Desk, URI};
use crate::support::qemu::enabled;
use virt::domain::Domain;

const PAIR: &str = "\
vms:
  db: { boot: { kernel: kernel }, disks: [{ name: data, size: 1MiB }] }
  web: { boot: { kernel: kernel }, disks: [{ name: data, size: 1MiB }], depends_on: [db] }
";

/// Every verb that takes a vm; `VM` stands for it.
const OF_ONE: [&str; 22] = [
    "start VM",
    "stop VM",
    "restart VM",
    "pause VM",
    "unpause VM",
    "suspend VM",
    "resume VM",
    "kill VM",
    "wait VM",
    "wait VM --for completed",
    "wait VM --for stopped",
    "run VM -- true",
    "port VM",
    "stats VM",
    "top VM",
    "exec VM -- true",
    "ssh VM",
    "cp VM:/etc/hostname here",
    "console VM",
    "logs VM",
    "why VM",
    "snapshot create s VM",
];

/// Ends a command with a code, and returns all that it said.
#[track_caller]
fn ends(desk: &Desk, line: &str, code: i32) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let run = desk.run(&words);
    assert_eq!(run.code, code, "`{line}`:\n{}{}", run.stdout, run.stderr);
    assert!(!run.stderr.contains("panicked"), "`{line}`:\n{}", run.stderr);
    run.stdout + &run.stderr
}

#[track_caller]
fn says(desk: &Desk, line: &str, code: i32, words: &str) {
    let said = ends(desk, line, code);
    assert!(said.contains(words), "`{line}` does not say `{words}`:\n{said}");
}

fn states(desk: &Desk) -> String {
    let shape: serde_json::Value =
        serde_json::from_str(&desk.run(&["ps", "-a", "--format", "json"]).expect(0).stdout).expect("json");
    let vms = shape["vms"].as_array().expect("a list").iter();
    let words =
        vms.map(|vm| format!("{} {}", vm["vm"].as_str().expect("a name"), vm["state"].as_str().expect("a state")));
    words.collect::<Vec<_>>().join(", ")
}

#[test]
fn a_vm_that_is_not_there_is_one_and_the_same_error_for_every_verb() {
    if !enabled() {
        return;
    }
    let desk = Desk::online(PAIR);
    for line in OF_ONE {
        says(&desk, &line.replace("VM", "db"), 1, "hint: ");
    }
    for line in ["start", "stop", "restart", "pause", "unpause", "suspend", "resume", "kill", "wait", "stats"] {
        says(&desk, line, 1, "has no vms on the hypervisor");
    }
    says(&desk, "snapshot create s", 1, "has no vms");
    says(&desk, "snapshot restore s", 1, "has no snapshot `s`");
    assert_eq!(desk.run(&["ps", "-q"]).expect(0).stdout, "");
    assert_eq!(desk.run(&["images", "-q"]).expect(0).stdout, "");
    desk.run(&["up"]).expect(0);
    for line in OF_ONE {
        says(&desk, &line.replace("VM", "wbe"), 1, "did you mean `web`?");
    }
    assert_eq!(states(&desk), "db running, web running");

    // Whose name would be one of the project's, and who is not.
    let keeper = desk.keeper.as_ref().expect("online");
    let name = format!("{}-other", desk.project);
    let xml = format!("<domain type='test'><name>{name}</name><memory>1024</memory><os><type>hvm</type></os></domain>");
    let foreign = Domain::define_xml(keeper, &xml).expect("defined");
    foreign.create().expect("started");
    for line in OF_ONE {
        // An agent's command says whose the vm is.
        ends(
            &desk,
            &line.replace("VM", "other"),
            if line.starts_with("exec") || line.starts_with("top") || line.starts_with("console") { 4 } else { 1 },
        );
    }
    desk.run(&["down"]).expect(0);
    assert_eq!(foreign.is_active(), Ok(true), "it runs on");
    foreign.destroy().expect("stopped");
    foreign.undefine().expect("gone");
}

#[test]
fn a_second_time_there_is_nothing_to_do_and_a_stopped_vm_says_that_it_is() {
    if !enabled() {
        return;
    }
    let desk = Desk::online(&PAIR.replacen("size: 1MiB }] }", "size: 1MiB }], ports: [\"18090:80\"] }", 1));
    desk.run(&["up"]).expect(0);
    for (verb, state) in [
        ("start", "running"),
        ("pause", "paused"),
        ("unpause", "running"),
        ("suspend", "saved"),
        ("resume", "running"),
        ("kill", "stopped"),
        ("start", "running"),
        ("stop", "stopped"),
    ] {
        for vm in ["", " db"] {
            ends(&desk, &format!("{verb}{vm}"), 0);
            says(&desk, &format!("{verb}{vm}"), 0, "nothing to do");
        }
        assert_eq!(states(&desk), format!("db {state}, web {state}"), "after {verb}");
    }
    for line in ["pause", "unpause", "suspend", "resume", "stop", "kill"] {
        says(&desk, line, 0, "nothing to do");
    }
    for line in ["exec db -- true", "top db", "ssh db", "console db"] {
        says(&desk, line, 4, "vm `db` does not run");
    }
    says(&desk, "port db 80", 0, "0.0.0.0:18090");
    says(&desk, "why db", 0, "it is stopped");
    says(&desk, "stats db", 0, "db");
    ends(&desk, "wait --for stopped", 0);
    says(&desk, "snapshot create off", 0, "2 vms snapshotted");
    says(&desk, "snapshot create off", 8, "`off` already");
    says(&desk, "snapshot restore off", 0, "2 vms restored");
    says(&desk, "restart", 0, "2 vms started");
    says(&desk, "restart", 0, "2 vms restarted");
    says(&desk, "restart", 0, "2 vms restarted");
    assert_eq!(states(&desk), "db running, web running");
    says(&desk, "snapshot delete off --yes", 0, "1 snapshot deleted");
    says(&desk, "snapshot delete off --yes", 1, "has no snapshot `off`");
    desk.run(&["down"]).expect(0);
    says(&desk, "down", 0, "nothing to do");
}

/// Runs a command, interrupts it once it has said these words, and returns its code and what else it said.
fn interrupted(desk: &Desk, line: &str, words: &str) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmcompose"));
    command.env("XDG_CACHE_HOME", desk.path().join("cache")).env("XDG_STATE_HOME", desk.path().join("state"));
    command.args(["-c", URI, "-p", &desk.project, "--progress", "plain"]).args(line.split(' '));
    command.current_dir(desk.path()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
    let mut said = String::new();
    while !said.contains(words) {
        assert_ne!(stderr.read_line(&mut said).expect("text"), 0, "`{line}` ended:\n{said}");
    }
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(kill.success());
    stderr.read_to_string(&mut said).expect("text");
    (child.wait().expect("it ends").code(), said)
}

#[test]
fn who_is_interrupted_while_it_waits_says_so_and_leaves_all_as_it_was() {
    if !enabled() {
        return;
    }
    let desk = Desk::offline("");
    let ready = desk.path().join("ready");
    let probe = format!("healthcheck: {{ host: [test, -e, {}], interval: 1s, start_period: 10m }}", ready.display());
    let file = PAIR.replace("depends_on", &format!("{probe}, depends_on"));
    std::fs::write(desk.path().join("vmcompose.yaml"), file).expect("written");
    let keeper = virt::connect::Connect::open(Some(URI)).expect("the daemon runs");
    let desk = Desk { keeper: Some(keeper), ..desk };
    std::fs::write(&ready, "").expect("written");
    desk.run(&["up"]).expect(0);
    std::fs::remove_file(&ready).expect("removed");
    for line in ["wait", "wait web --for healthy --timeout 10m"] {
        let (code, said) = interrupted(&desk, line, "not yet");
        assert_eq!(code, Some(130), "`{line}`:\n{said}");
        assert!(said.contains("interrupted") && !said.contains("is not as before"), "`{line}`:\n{said}");
    }
    let (code, said) = interrupted(&desk, "wait db --for completed", "not yet");
    assert_eq!(code, Some(130), "{said}");
    assert_eq!(states(&desk), "db running, web running");
    let (code, said) = interrupted(&desk, "restart web", "not yet");
    assert_eq!(code, Some(130), "{said}");
    assert_eq!(states(&desk), "db running, web running", "{said}");
    for (verb, before) in [("start", "stop"), ("unpause", "pause"), ("resume", "suspend")] {
        ends(&desk, before, 0);
        let then = states(&desk);
        let (code, said) = interrupted(&desk, verb, "not yet");
        assert_eq!(code, Some(130), "`{verb}`:\n{said}");
        assert!(said.contains("everything that this run did is undone"), "`{verb}`:\n{said}");
        assert_eq!(states(&desk), then, "`{verb}`:\n{said}");
        std::fs::write(&ready, "").expect("written");
        ends(&desk, verb, 0);
        std::fs::remove_file(&ready).expect("removed");
    }
    desk.run(&["down"]).expect(0);
}
