//! `wait`, `run`, `port`, `version`, `events` as a shell sees them, on the test driver.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::support::desk::{Desk, URI};
use crate::support::qemu::enabled;
use virt::domain::Domain;

const SICK: &str = "\
vms:
  db: { boot: { kernel: kernel } }
  sick: { boot: { kernel: kernel }, healthcheck: { host: [\"false\"], interval: 1s, retries: 1, start_period: 0s } }
";

const PAIR: &str = "\
vms:
  db: { boot: { kernel: kernel } }
  web: { boot: { kernel: kernel }, depends_on: [db], ports: [\"127.0.0.1:18080:80\", \"5353:53/udp\"] }
";

fn states(desk: &Desk) -> String {
    let shape: serde_json::Value =
        serde_json::from_str(&desk.run(&["ps", "-a", "--format", "json"]).expect(0).stdout).expect("json");
    let vms = shape["vms"].as_array().expect("a list").iter();
    let words =
        vms.map(|vm| format!("{} {}", vm["vm"].as_str().expect("a name"), vm["state"].as_str().expect("a state")));
    words.collect::<Vec<_>>().join(", ")
}

#[test]
fn waiting_ends_with_what_was_waited_for_or_says_what_it_saw() {
    if !enabled() {
        return;
    }
    let desk = Desk::online(SICK);
    assert!(desk.run(&["wait"]).expect(1).stderr.contains("has no vms"));
    desk.run(&["up", "--on-failure", "keep"]).expect(7);
    let none = desk.run(&["wait", "db"]).expect(8);
    assert!(none.stderr.contains("vm `db` has no healthcheck"), "{}", none.stderr);
    let sick = desk.run(&["wait"]).expect(6);
    assert!(sick.stderr.contains("vm `sick` is not healthy"), "{}", sick.stderr);
    assert!(!sick.stderr.contains("is not as before"), "nothing was done:\n{}", sick.stderr);
    let still = desk.run(&["wait", "db", "--for", "stopped", "--timeout", "1ms"]).expect(6);
    assert!(still.stderr.contains("error: not stopped within 1ms: `db`"), "{}", still.stderr);
    let keeper = desk.keeper.as_ref().expect("online");
    let name = format!("{}-db", desk.project);
    Domain::lookup_by_name(keeper, &name).and_then(|domain| domain.shutdown()).expect("it ends");
    desk.run(&["wait", "db", "--for", "completed", "--timeout", "1m"]).expect(0);
    desk.run(&["wait", "db", "--for", "stopped"]).expect(0);
    desk.run(&["down"]).expect(0);
}

#[test]
fn a_command_in_a_vm_leaves_running_only_what_ran() {
    if !enabled() {
        return;
    }
    let desk = Desk::online(PAIR);
    desk.run(&["up"]).expect(0);
    desk.run(&["stop"]).expect(0);
    // The test driver has no agents: the command cannot be run, and what was started for it stops again.
    let run = desk.run(&["run", "web", "--", "true"]);
    assert!(run.code != 0 && run.stderr.contains("vm `web`: started"), "{}", run.stderr);
    assert_eq!(states(&desk), "db stopped, web stopped");
    desk.run(&["start", "db"]).expect(0);
    let kept = desk.run(&["run", "--keep", "web", "--", "true"]);
    assert!(kept.code != 0 && !kept.stderr.contains("stopped"), "{}", kept.stderr);
    assert_eq!(states(&desk), "db running, web running");
    assert!(desk.run(&["run", "wbe", "true"]).expect(1).stderr.contains("did you mean `web`?"));
    desk.run(&["down"]).expect(0);
}

#[test]
fn ports_are_printed_as_they_are_published() {
    if !enabled() {
        return;
    }
    let desk = Desk::online(PAIR);
    desk.run(&["up"]).expect(0);
    assert_eq!(desk.run(&["port", "web"]).expect(0).stdout, "80/tcp -> 127.0.0.1:18080\n53/udp -> 0.0.0.0:5353\n");
    assert_eq!(desk.run(&["port", "web", "80"]).expect(0).stdout, "127.0.0.1:18080\n");
    assert!(desk.run(&["port", "web", "53"]).expect(1).stderr.contains("no port 53/tcp of vm `web` is published"));
    assert!(desk.run(&["port", "db"]).expect(1).stderr.contains("no port of vm `db` is published"));
    desk.run(&["down"]).expect(0);
}

#[test]
fn versions_are_there_for_programs_with_and_without_a_hypervisor() {
    if !enabled() {
        return;
    }
    let version = |uri: &str| -> serde_json::Value {
        let run = Desk::offline(PAIR).run_on(uri, &["version", "--format", "json"]).expect(0);
        serde_json::from_str(&run.stdout).expect("json")
    };
    let there = version("test:///default");
    assert_eq!((&there["version"], &there["driver"]), (&1.into(), &"TEST".into()));
    assert_eq!(there["vmcompose"], env!("CARGO_PKG_VERSION"));
    assert!(version("test:///nowhere/at/all.xml")["libvirt"].is_null());
}

#[test]
fn events_tell_of_runs_from_their_beginning_and_of_what_the_hypervisor_notices() {
    if !enabled() {
        return;
    }
    let desk = Desk::online("vms: { db: { boot: { kernel: kernel } } }\n");
    let mut events = desk.command(URI, &["events", "--format", "json"]);
    let mut events = events.stdout(Stdio::piped()).spawn().expect("the binary runs");
    let mut lines = BufReader::new(events.stdout.take().expect("a pipe")).lines();
    // All that comes until a run has ended. It is waited for by reading.
    let mut until_the_end = || {
        let mut told: Vec<serde_json::Value> = Vec::new();
        while told.last().is_none_or(|last| last["event"] != "run_finished") {
            let line = lines.next().expect("it goes on").expect("text");
            told.push(serde_json::from_str(&line).expect("JSON"));
        }
        told
    };
    // Begun while the command that tells of it is still connecting, most often.
    desk.run(&["up"]).expect(0);
    let up = until_the_end();
    let first = up.iter().find(|told| told["source"] == "run").expect("events of the run");
    assert_eq!(first["event"], "run_started", "{up:?}");
    desk.run(&["down"]).expect(0);
    desk.run(&["up"]).expect(0);
    let down = until_the_end();
    let gone = |told: &serde_json::Value| told["source"] == "hypervisor" && told["event"] == "undefined";
    let next = until_the_end();
    assert!(down.iter().chain(&next).any(gone), "{down:?} {next:?}");
    let started = [&down, &next].map(|told| told.iter().filter(|told| told["event"] == "run_started").count());
    assert_eq!(started, [1, 1], "each run is told whole");
    let pid = events.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill runs").success());
    assert_eq!(events.wait().expect("it ends").code(), Some(130));
    desk.run(&["down"]).expect(0);
}
