//! Networks on real QEMU: who reaches whom, by which name, and from where.

use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::qemu::{Run, Stack, enabled};
use crate::support::web;
use serde_json::Value;

/// How long a guest may take to do what it was told, on a busy machine without KVM.
const PATIENCE: Duration = Duration::from_mins(2);

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose-examples/quickstart/guest");
    let boot = format!(
        "defaults:
  memory: 128MiB
  boot: {{ kernel: {0}/vmlinuz, initrd: {0}/initrd.img, cmdline: console=ttyS0 quiet no_timer_check }}
  healthcheck: {{ exec: [test, -e, /www/healthz], interval: 1s, start_period: 10m }}
",
        guest.display()
    );
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("vmcompose.yaml");
    fs::write(&file, boot + text).expect("written");
    (folder, file)
}

/// The second of the addresses' four numbers, so that two runs of these tests at once are in nobody's way.
fn octet() -> u32 {
    100 + std::process::id() % 50
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

fn guest(stack: &Stack, vm: &str, command: &str) -> Run {
    stack.run(&["exec", vm, "--", "sh", "-c", command])
}

/// A command in a guest that succeeds before long.
#[track_caller]
fn comes_true(stack: &Stack, vm: &str, command: &str) {
    let until = Instant::now() + PATIENCE;
    loop {
        let run = guest(stack, vm, command);
        if run.code == 0 {
            return;
        }
        assert!(Instant::now() < until, "in {vm}: {command}\n{}\n{}", run.stdout, run.stderr);
    }
}

#[test]
fn three_vms_on_two_networks_reach_each_other_as_told_and_not_otherwise() {
    if !enabled() {
        return;
    }
    let port = free_port();
    let octet = octet();
    let template = format!(
        "networks:
  left:
    mode: isolated
    subnet: 10.231.1.0/24
    subnet6: fd00:231:1::/64
    mtu: 1400
    routes: [{{ to: 10.231.2.0/24, via: 10.231.1.10 }}]
    dns: {{ hosts: {{ far: 10.231.2.20 }} }}
  right:
    mode: isolated
    subnet: 10.231.2.0/24
    subnet6: fd00:231:2::/64
    routes: [{{ to: 10.231.1.0/24, via: 10.231.2.10 }}]
vms:
  a: {{ networks: {{ left: {{ ip: 10.231.1.20, aliases: [alpha] }} }}, ports: [\"127.0.0.1:{port}:80\"] }}
  b: {{ networks: {{ right: {{ ip: 10.231.2.20 }} }} }}
  router: {{ networks: {{ left: {{ ip: 10.231.1.10 }}, right: {{ ip: 10.231.2.10 }} }} }}
"
    );
    let elsewhere = |text: &str, octet: u32| {
        text.replace("10.231.", &format!("10.{octet}.")).replace("fd00:231", &format!("fd00:{octet}"))
    };
    let (_folder, file) = file(&elsewhere(&template, octet));
    let stack = Stack::new(&[&file]);
    stack.run(&["up", "--progress", "plain"]).expect(0);

    // Neighbours, by name and by alias, IPv4 and IPv6.
    comes_true(&stack, "a", "ping -c1 -W5 router");
    comes_true(&stack, "router", "ping -c1 -W5 alpha");
    comes_true(&stack, "a", "ping -6 -c1 -W5 router");
    comes_true(&stack, "b", "ping -6 -c1 -W5 router");
    comes_true(&stack, "a", "grep -qx 1400 /sys/class/net/*/mtu");

    // The way to the other side leads through the router only, and only when that lets it.
    assert_ne!(guest(&stack, "a", "ping -c2 -W2 far").code, 0, "reached before anybody forwards");
    assert_ne!(guest(&stack, "a", "ping -c1 -W2 b").code, 0, "`b` is no name of this network");
    guest(&stack, "router", "echo 1 >/proc/sys/net/ipv4/ip_forward").expect(0);
    comes_true(&stack, "a", "ping -c1 -W5 far");
    comes_true(&stack, "b", &format!("ping -c1 -W5 10.{octet}.1.20"));

    // The published port answers, and is shown; the clash is named before anything is done.
    let text = web::answer(port, PATIENCE);
    assert!(text.contains("200"), "{text}");
    let ps = stack.run(&["ps"]).expect(0);
    assert!(ps.stdout.contains(&format!("127.0.0.1:{port}:80")), "{}", ps.stdout);
    let (_other_folder, other_file) = self::file(&elsewhere(&template, octet + 100));
    let mut plan = Command::new(env!("CARGO_BIN_EXE_vmcompose"));
    plan.args(["--connect", "qemu:///system", "--project", &format!("{}x", stack.project()), "--file"]);
    let plan = Run::of(&plan.arg(&other_file).arg("plan").output().expect("the binary runs")).expect(5);
    for word in [format!("127.0.0.1:{port}"), format!("vm `a` of project `{}`", stack.project())] {
        assert!(plan.stderr.contains(&word), "`{word}` is not in:\n{}", plan.stderr);
    }

    beyond_the_router_by_ipv6(&stack, octet);
    nobody_moves(&stack, &file);

    let info = stack.run(&["network", "info", "left", "--format", "json"]).expect(0);
    let info: serde_json::Value = serde_json::from_str(&info.stdout).expect("json");
    assert_eq!(info["vms"][0]["mac"], format!("be:ef:0a:{octet:02x}:01:14"));
    assert_eq!(info["vms"][0]["names"], serde_json::json!(["a", "alpha"]));
    let dns = stack.run(&["network", "dns"]).expect(0);
    assert!(dns.stdout.contains(&format!("'~{}.internal'", stack.project())), "{}", dns.stdout);

    let again = stack.run(&["up", "--progress", "plain"]).expect(0);
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);
    stack.run(&["down", "--progress", "plain"]).expect(0);
    assert_eq!(stack.belongings(), Vec::<String>::new());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "the port outlived its vm");
}

/// Every address of the project, by vm and network, as the hypervisor's record has it.
fn addresses(stack: &Stack) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for network in ["left", "right"] {
        let info = stack.run(&["network", "info", network, "--format", "json"]).expect(0);
        let info: Value = serde_json::from_str(&info.stdout).expect("json");
        for vm in info["vms"].as_array().expect("a list") {
            let name = format!("{} on {network}", vm["vm"].as_str().expect("a name"));
            found.insert(name, serde_json::json!([vm["ip"], vm["ip6"], vm["mac"]]));
        }
    }
    found
}

/// No DHCP tells a guest of ways for IPv6; one with cloud-init has them in its seed, these are told here.
fn beyond_the_router_by_ipv6(stack: &Stack, octet: u32) {
    let addresses = addresses(stack);
    let ip6 = |member: &str| addresses[member][1].as_str().expect("an IPv6 address").to_owned();
    let way = |vm: &str, to: &str, member: &str| {
        let command = format!("ip -6 route add {to} via {}", ip6(member));
        guest(stack, vm, &command).expect(0);
    };
    way("a", &format!("fd00:{octet}:2::/64"), "router on left");
    way("b", &format!("fd00:{octet}:1::/64"), "router on right");
    let ping = format!("ping -6 -c1 -W5 {}", ip6("b on right"));
    assert_ne!(guest(stack, "a", &ping).code, 0, "reached before anybody forwards");
    guest(stack, "router", "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding").expect(0);
    comes_true(stack, "a", &ping);
}

/// Vms that come and go leave the addresses of all others as they are, and the vms running.
fn nobody_moves(stack: &Stack, file: &Path) {
    let text = fs::read_to_string(file).expect("readable");
    let before = addresses(stack);
    fs::write(file, format!("{text}  aa: {{ replicas: 2, networks: [left, right] }}\n")).expect("written");
    stack.run(&["up"]).expect(0);
    let with = addresses(stack);
    assert_eq!(with.len(), before.len() + 4);
    assert!(before.iter().all(|(member, had)| with.get(member) == Some(had)), "{before:?}\n{with:?}");
    comes_true(stack, "aa-1", "ping -c1 -W5 alpha && ping -c1 -W5 aa-2");
    fs::write(file, format!("{text}  aa-2: {{ networks: [left, right] }}\n")).expect("written");
    stack.run(&["up", "--remove-orphans"]).expect(0);
    let left = addresses(stack);
    assert_eq!(left.len(), before.len() + 2);
    assert!(left.iter().all(|(member, has)| with.get(member) == Some(has)), "{with:?}\n{left:?}");
    comes_true(stack, "a", "ping -c1 -W5 aa-2");
    fs::write(file, text).expect("written");
    stack.run(&["up", "--remove-orphans"]).expect(0);
    assert_eq!(addresses(stack), before);
}

#[test]
fn a_bridge_that_the_host_lacks_is_named_before_anything_is_done() {
    if !enabled() {
        return;
    }
    let text = "networks: { lan: { mode: bridge, bridge: brr0, subnet: 192.168.251.0/24 } }
vms: { a: { networks: { lan: { ip: 192.168.251.9 } } } }
";
    let (_folder, file) = file(text);
    let stack = Stack::new(&[&file]);
    let plan = stack.run(&["plan"]).expect(5);
    for word in ["network `lan` cannot be joined to bridge `brr0`", "the host has no bridge of this name", "hint:"] {
        assert!(plan.stderr.contains(word), "`{word}` is not in:\n{}", plan.stderr);
    }
    assert_eq!(stack.belongings(), Vec::<String>::new());
}
