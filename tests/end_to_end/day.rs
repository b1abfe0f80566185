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
  web: { boot: { kernel: kernel }, depends_on: [db] }
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
    let busy = desk.run(&["wait", "db", "--for", "completed", "--timeout", "10ms"]).expect(6).stderr;
    assert!(busy.contains("vm `db` has not completed in ") && busy.contains("the vm still runs"), "{busy}");
    assert!(!busy.contains("health"), "nobody asked for that: {busy}");
    let still = desk.run(&["wait", "db", "--for", "stopped", "--timeout", "1ms"]).expect(6);
    assert!(still.stderr.contains("error: not stopped within 1ms: `db`"), "{}", still.stderr);
    let keeper = desk.keeper.as_ref().expect("online");
    let name = format!("{}-db", desk.project);
    Domain::lookup_by_name(keeper, &name).and_then(|domain| domain.shutdown()).expect("it ends");
    desk.run(&["wait", "db", "--for", "completed", "--timeout", "1m"]).expect(0);
    desk.run(&["wait", "db", "--for", "stopped"]).expect(0);
    desk.run(&["start", "db"]).expect(0);
    desk.run(&["kill", "db"]).expect(0);
    let killed = desk.run(&["wait", "db", "--for", "completed"]).expect(6).stderr;
    assert!(killed.contains("vm `db` cannot complete: ") && !killed.contains("healthy"), "{killed}");
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
    // Nobody else may have the same at the same time.
    let ports = "depends_on: [db], ports: [\"127.0.0.1:18080:80\", \"5353:53/udp\"]";
    let desk = Desk::online(&PAIR.replace("depends_on: [db]", ports));
    desk.run(&["up"]).expect(0);
    assert_eq!(desk.run(&["port", "web"]).expect(0).stdout, "80/tcp -> 127.0.0.1:18080\n53/udp -> 0.0.0.0:5353\n");
    assert_eq!(desk.run(&["port", "web", "80"]).expect(0).stdout, "127.0.0.1:18080\n");
    let all: serde_json::Value =
        serde_json::from_str(&desk.run(&["port", "web", "--format", "json"]).expect(0).stdout).expect("json");
    let tcp = serde_json::json!({ "address": "127.0.0.1", "host": 18080, "guest": 80 });
    assert_eq!(all["ports"], serde_json::json!([tcp, { "host": 5353, "guest": 53, "udp": true }]));
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
    // On a busy machine the first vms come and go before the command listens to the hypervisor, too.
    let gone = |told: &serde_json::Value| told["source"] == "hypervisor" && told["event"] == "undefined";
    let mut round = || {
        desk.run(&["down"]).expect(0);
        desk.run(&["up"]).expect(0);
        let (down, up) = (until_the_end(), until_the_end());
        let started = [&down, &up].map(|told| told.iter().filter(|told| told["event"] == "run_started").count());
        assert_eq!(started, [1, 1], "each run is told whole");
        down.iter().chain(&up).any(gone)
    };
    assert!((0..20).any(|_| round()), "nobody noticed that a vm was undefined");
    let pid = events.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill runs").success());
    assert_eq!(events.wait().expect("it ends").code(), Some(130));
    desk.run(&["down"]).expect(0);
}

#[test]
fn what_vms_take_is_told_and_what_is_not_counted_is_no_zero() {
    if !enabled() {
        return;
    }
    let desk = Desk::online(PAIR);
    assert!(desk.run(&["stats"]).expect(1).stderr.contains("has no vms"));
    desk.run(&["up"]).expect(0);
    desk.run(&["stop", "web"]).expect(0);
    let told = |arguments: &[&str]| -> Vec<(String, String, bool)> {
        let run = desk.run(&[&["stats", "--format", "json"], arguments].concat()).expect(0);
        let shape: serde_json::Value = serde_json::from_str(&run.stdout).expect("json");
        let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
        let vms = shape["vms"].as_array().expect("a list").iter();
        vms.map(|vm| (text(&vm["vm"]), text(&vm["state"]), vm["cpu_percent"].is_null())).collect()
    };
    let row = |vm: &str, state: &str| (vm.to_owned(), state.to_owned(), true);
    assert_eq!(told(&[]), [row("db", "running")], "the test driver counts nothing");
    assert_eq!(told(&["-a"]), [row("db", "running"), row("web", "stopped")]);
    assert_eq!(told(&["web"]), [row("web", "stopped")]);
    assert!(desk.run(&["stats", "wbe"]).expect(1).stderr.contains("did you mean `web`?"));
    let none = desk.run(&["top", "db"]).expect(4);
    assert!(none.stderr.contains("vm `db`"), "there is no agent: {}", none.stderr);
    assert!(desk.run(&["top", "web"]).expect(4).stderr.contains("vm `web` does not run"));
    desk.run(&["down"]).expect(0);
}

const MIXED: &str = "\
networks: { net: {} }
volumes: { kept: { size: 1MiB }, spare: { size: 1MiB } }
vms:
  db: { boot: { kernel: kernel }, networks: [net], disks: [{ volume: kept }], labels: { tier: data } }
  web: { boot: { kernel: kernel }, replicas: 2, labels: { tier: front, public: \"yes\" } }
";

#[test]
fn tables_show_the_rows_that_are_asked_for() {
    if !enabled() {
        return;
    }
    let desk = Desk::online(MIXED);
    desk.run(&["up"]).expect(0);
    desk.run(&["stop", "web-2"]).expect(0);
    let shown = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        desk.run(&words).expect(0).stdout.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(shown("ps -q"), "db web-1");
    assert_eq!(shown("ps -q --filter status=stopped"), "web-2", "who asks for what is stopped need not say -a");
    assert_eq!(shown("ps -q --filter name=web-*"), "web-1");
    assert_eq!(shown("ps -aq --filter name=web-* --filter name=db"), "db web-1 web-2");
    assert_eq!(shown("ps -q --filter label=tier"), "db web-1");
    assert_eq!(shown("ps -q --filter label=tier=front --filter label=public=yes"), "web-1");
    assert_eq!(shown("ps -q --filter label=tier=data --filter label=public"), "");
    assert_eq!(shown("ps -q --filter health=healthy"), "");
    assert_eq!(shown(&format!("ls -q --filter name={} --filter status=running", desk.project)), desk.project);
    assert_eq!(shown(&format!("ls -q --filter name={} --filter status=crashed", desk.project)), "");
    assert_eq!(shown("network list -q --filter mode=nat --filter vm=db"), "net");
    assert_eq!(shown("network list -q --filter status=stopped"), "");
    assert_eq!(shown("volume list -q --filter used=no"), "spare");
    assert_eq!(shown("volume list -q --filter vm=*-db"), "", "vms are named as in the file");
    assert_eq!(shown("volume list -q --filter vm=db"), "kept");
    assert_eq!(shown("images -q --filter vm=web-2"), "kernel");
    assert_eq!(shown("images -q --filter format=qcow2"), "");
    let images: serde_json::Value =
        serde_json::from_str(&desk.run(&["images", "--format", "json"]).expect(0).stdout).expect("json");
    let kernel = &images["images"][0];
    assert_eq!(kernel["vms"], serde_json::json!(["db", "web-1", "web-2"]));
    assert!(kernel["size_bytes"] == "a kernel".len() && kernel["digest"].is_string(), "{kernel}");
    let usage: serde_json::Value =
        serde_json::from_str(&desk.run(&["stats", "--format", "json", "web"]).expect(0).stdout).expect("json");
    let counted: Vec<_> = usage["vms"].as_array().expect("a list").iter().map(|row| row["vm"].clone()).collect();
    assert_eq!(counted, ["web-1", "web-2"], "their common name is all of them");
    let several = desk.run(&["top", "web"]).expect(1);
    assert!(several.stderr.contains("`web` is several vms: `web-1`, `web-2`"), "{}", several.stderr);
    assert!(desk.run(&["wait", "web", "--for", "stopped", "-t", "0s"]).expect(6).stderr.contains(": `web-1`"));
    desk.run(&["stop"]).expect(0);
    desk.run(&["wait", "web", "--for", "stopped"]).expect(0);
    let nothing = desk.run(&["ps"]).expect(0);
    assert!(nothing.stderr.contains("not shown: 3 stopped; `vmcompose ps -a` shows all"), "{}", nothing.stderr);
    let unlisted = desk.run(&["ls"]).expect(0);
    assert!(unlisted.stderr.contains("without a vm that runs; `vmcompose ls -a` shows all"), "{}", unlisted.stderr);
    for quiet in [&["ps", "-q"][..], &["ls", "-q"], &["ps", "--format", "json"], &["ls", "--format", "json"]] {
        assert_eq!(desk.run(quiet).expect(0).stderr, "");
    }
    let typo = desk.run(&["ps", "--filter", "state=up"]).expect(1);
    assert!(typo.stderr.contains("it is by `name`, `status`"), "{}", typo.stderr);
    desk.run(&["down", "--volumes", "--yes"]).expect(0);
}

const FLEET: &str = "\
networks: { net: {} }
vms:
  db: { boot: { kernel: kernel }, networks: [net] }
  api: { boot: { kernel: kernel }, networks: [net], replicas: 2, depends_on: [db], disks: [{ name: data, size: 1MiB }] }
  web: { boot: { kernel: kernel } }
";

#[test]
fn a_group_grows_and_shrinks_and_nothing_else_does() {
    if !enabled() {
        return;
    }
    let desk = Desk::online(FLEET);
    // What it depends on comes up too; `web` has nothing to do with it.
    let grown = desk.run(&["scale", "api=3"]).expect(0);
    assert_eq!(states(&desk), "api-1 running, api-2 running, api-3 running, db running, web missing");
    assert!(
        grown.stderr.contains("the file has `replicas: 2` for `api`: `up` leaves the others alone"),
        "{}",
        grown.stderr
    );
    let again = desk.run(&["scale", "api=3"]).expect(0);
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);
    // As it says, so it is.
    desk.run(&["up"]).expect(0);
    assert_eq!(states(&desk), "api-1 running, api-2 running, api-3 running, db running, web running");

    let asked = desk.run(&["scale", "api=1"]).expect(8);
    assert!(asked.stderr.contains("disk `data` of vm `api-3`") && asked.stderr.contains("--yes"), "{}", asked.stderr);
    let shrunk = desk.run(&["scale", "api=1", "--yes"]).expect(0);
    assert_eq!(states(&desk), "api-1 running, api-2 missing, db running, web running");
    assert!(shrunk.stderr.contains("`up` makes the others again"), "{}", shrunk.stderr);
    desk.run(&["scale", "api=0", "--yes"]).expect(0);
    assert_eq!(states(&desk), "api-1 missing, api-2 missing, db running, web running");
    let none = desk.run(&["scale", "api=0"]).expect(0);
    assert!(none.stderr.contains("nothing to do: there is no replica of `api`"), "{}", none.stderr);
    let same = desk.run(&["scale", "api=2"]).expect(0);
    assert!(!same.stderr.contains("the file has"), "it is the file's number: {}", same.stderr);
    assert!(desk.run(&["plan", "--exit-code"]).expect(0).stdout.contains("nothing to do"));

    let single = desk.run(&["scale", "db=2"]).expect(2);
    assert!(single.stderr.contains("vm `db` cannot be scaled: it has no `replicas`"), "{}", single.stderr);
    let typo = desk.run(&["scale", "apj=2"]).expect(1);
    assert!(typo.stderr.contains("did you mean `api`?"), "{}", typo.stderr);
    assert!(desk.run(&["scale", "api"]).expect(1).stderr.contains("not of the form VM=N"));
    let twice = desk.run(&["scale", "api=2", "api=3"]).expect(1);
    assert!(twice.stderr.contains("two numbers are given for vm `api`"), "{}", twice.stderr);
    desk.run(&["down"]).expect(0);
}
