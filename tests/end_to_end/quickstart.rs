//! The quickstart on real QEMU: up in waves, up again, down again, a gate that never opens, an interrupt.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::{fs, io};

use crate::support::qemu::{Run, Stack, enabled};

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("compose-examples/quickstart/vmcompose.yaml")
}

/// An override that the quickstart is merged with.
fn change(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("change.yaml");
    fs::write(&file, text).expect("written");
    (folder, file)
}

fn states(ps: &str) -> Vec<(String, String, String)> {
    let rows: serde_json::Value = serde_json::from_str(ps).expect("json");
    let text = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let rows = rows["vms"].as_array().expect("a list").clone();
    rows.iter().map(|row| (text(row, "vm"), text(row, "state"), text(row, "health"))).collect()
}

#[test]
fn six_vms_come_up_stay_and_go() {
    if !enabled() {
        return;
    }
    let stack = Stack::new(&[&example()]);
    let up = stack.run(&["up", "--progress", "plain"]).expect(0);
    for vm in ["db", "api-1", "api-2", "api-3", "web-1", "web-2"] {
        assert!(up.stderr.contains(vm), "{vm} is not mentioned:\n{}", up.stderr);
    }
    let ps = stack.run(&["ps", "--format", "json"]).expect(0);
    let healthy: Vec<_> =
        states(&ps.stdout).into_iter().filter(|row| row.1 == "running" && row.2 == "healthy").collect();
    assert_eq!(healthy.len(), 6, "{}", ps.stdout);
    let stats: serde_json::Value =
        serde_json::from_str(&stack.run(&["stats", "db", "--format", "json"]).expect(0).stdout).expect("json");
    for counted in ["cpu_percent", "memory_bytes", "disk_read_bytes", "network_received_bytes"] {
        assert!(stats["vms"][0][counted].as_f64().is_some_and(|count| count > 0.0), "{counted}: {stats}");
    }
    let top = stack.run(&["top", "db"]).expect(0).stdout;
    assert!(top.starts_with("PID") && top.contains("qemu-ga"), "{top}");

    let again = stack.run(&["up", "--progress", "plain"]).expect(0);
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);
    let stopped = stack.run(&["stop", "web-1"]).expect(0);
    assert!(!stopped.stderr.contains("killed"), "it reacts: {}", stopped.stderr);
    // Who is held cannot react.
    stack.run(&["pause", "web-2"]).expect(0);
    let forced = stack.run(&["stop", "web-2", "--timeout", "1s"]).expect(0);
    let told = "vm `web-2`: killed after 1s: it had not reacted to the shutdown by then";
    assert!(forced.stderr.contains(told), "{}", forced.stderr);

    stack.run(&["down", "--progress", "plain"]).expect(0);
    assert_eq!(stack.belongings(), Vec::<String>::new());
    let again = stack.run(&["down"]).expect(0);
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);
}

#[test]
fn a_gate_that_never_opens_undoes_everything_and_names_vm_probe_and_answer() {
    if !enabled() {
        return;
    }
    // A port of this machine refuses at once, however far the guest has come.
    let (_folder, file) = change(
        "vms: { api: { replicas: 1, healthcheck: !override { tcp: { port: 9, host: 127.0.0.1 }, interval: 200ms, \
         retries: 2, start_period: 1s } } }\n",
    );
    let stack = Stack::new(&[&example(), &file]);
    let up = stack.run(&["up", "--progress", "plain"]).expect(6);
    for word in ["api-1", "tcp 127.0.0.1:9", "connection refused", "undone"] {
        assert!(up.stderr.contains(word), "`{word}` is not in:\n{}", up.stderr);
    }
    assert_eq!(stack.belongings(), Vec::<String>::new());
}

#[test]
fn an_interrupt_while_vms_boot_undoes_everything() {
    if !enabled() {
        return;
    }
    let stack = Stack::new(&[&example()]);
    let mut up = stack.command(&["up", "--progress", "json"]).stderr(Stdio::piped()).spawn().expect("runs");
    let mut stderr = BufReader::new(up.stderr.take().expect("piped"));
    let mut line = String::new();
    // The first answer of a probe: a machine is booting.
    while !line.contains("gate_waiting") {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).expect("readable"), 0, "ended before any gate was pending");
    }
    signal(up.id());
    let rest = io::read_to_string(stderr).expect("readable");
    let code = up.wait().expect("ends").code();
    assert_eq!(code, Some(130), "{rest}");
    assert_eq!(stack.belongings(), Vec::<String>::new());
}

#[test]
fn replicas_come_and_go_while_the_others_run_on() {
    if !enabled() {
        return;
    }
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose-examples/quickstart/guest");
    let file = |replicas: u32| {
        change(&format!(
            "networks: {{ lan: {{}} }}\nvms: {{ web: {{ replicas: {replicas}, memory: 96MiB, networks: [lan], boot: {{ kernel: \
             {0}/vmlinuz, initrd: {0}/initrd.img }} }} }}\n",
            guest.display()
        ))
    };
    let (_folder, three) = file(3);
    let stack = Stack::new(&[&three]);
    stack.run(&["up"]).expect(0);
    let hosts = || stack.network_hosts("lan");
    assert_eq!(hosts().len(), 3);
    fs::write(&three, fs::read_to_string(file(1).1).expect("readable")).expect("written");
    // Without --remove-orphans they run on, and keep their addresses and names.
    stack.run(&["up"]).expect(0);
    assert_eq!(hosts().len(), 3);
    stack.run(&["up", "--remove-orphans"]).expect(0);
    assert_eq!(hosts(), ["web-1"]);
    let again = stack.run(&["up"]).expect(0);
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);
    fs::write(&three, fs::read_to_string(file(2).1).expect("readable")).expect("written");
    stack.run(&["up"]).expect(0);
    assert_eq!(hosts(), ["web-1", "web-2"]);
}

#[test]
fn a_second_run_of_the_same_project_is_refused_with_the_holder() {
    if !enabled() {
        return;
    }
    let stack = Stack::new(&[&example()]);
    let mut first = stack.command(&["up", "--progress", "json"]).stderr(Stdio::piped()).spawn().expect("runs");
    let mut stderr = BufReader::new(first.stderr.take().expect("piped"));
    let mut line = String::new();
    stderr.read_line(&mut line).expect("readable");
    let second = stack.run(&["up"]).expect(8);
    assert!(second.stderr.contains(&format!("process {}", first.id())), "{}", second.stderr);
    signal(first.id());
    io::read_to_string(stderr).expect("readable");
    assert_eq!(first.wait().expect("ends").code(), Some(130));
    assert_eq!(stack.belongings(), Vec::<String>::new());
}

fn signal(process: u32) {
    let kill = std::process::Command::new("kill").args(["-INT", &process.to_string()]).output().expect("kill runs");
    let _ = Run::of(&kill).expect(0);
}
