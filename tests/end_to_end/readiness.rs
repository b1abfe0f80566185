//! Gates, consoles and what is told of both, on real guests: an agent's arrival opens a gate, virsh's kill fails one, what the
//! console says is recorded, shown and gone with its vm.

use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

use crate::support::qemu::{Run, Stack, enabled};

/// One small guest with this healthcheck. The intervals are so long that nothing is waited for but what is noticed.
fn stack(folder: &Path, check: &str) -> Stack {
    let quickstart = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose-examples/quickstart");
    let built = Command::new(quickstart.join("make-guest")).status().expect("make-guest runs");
    assert!(built.success(), "make-guest: {built}");
    let file = folder.join("vmcompose.yaml");
    let text = format!(
        "vms:\n  a:\n    memory: 160MiB\n    boot: {{kernel: {0}/vmlinuz, initrd: {0}/initrd.img, cmdline: console=ttyS0 \
         no_timer_check}}\n    healthcheck: {{{check}, interval: 10h, start_period: 0s, retries: 100}}\n",
        quickstart.join("guest").display()
    );
    fs::write(&file, text).expect("written");
    Stack::new(&[file.as_path()])
}

#[test]
fn an_agents_arrival_opens_a_gate_and_the_console_is_recorded_until_the_vm_is_gone() {
    if !enabled() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let stack = stack(folder.path(), "probes: [{agent: true}, {console: 'Linux version'}]");
    let page = folder.path().join("run.html");
    stack.run(&["up", "--timings", page.to_str().expect("UTF-8")]).expect(0);
    let page = fs::read_to_string(&page).expect("the page");
    assert!(page.contains("<svg") && page.contains("vm a"), "{page}");
    let why = stack.run(&["why", "a"]).expect(0).stdout;
    assert!(why.starts_with("vm `a`: reached healthy (agent, console /"), "{why}");
    let logs = stack.run(&["logs", "--tail", "5000", "a"]).expect(0).stdout;
    assert!(logs.lines().all(|line| line.starts_with("a | ")), "{logs}");
    assert!(logs.contains("Linux version"), "{logs}");
    a_long_record_is_read_from_its_beginning(&stack);
    let told = stack.run(&["events", "--last", "--format", "json"]).expect(0).stdout;
    let kinds: Vec<serde_json::Value> = told.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(kinds.first().expect("events")["event"], "run_started");
    assert_eq!(kinds.last().expect("events")["outcome"]["kind"], "completed");
    // The second run is expected to take about as long as the first.
    stack.run(&["down"]).expect(0);
    let plan = stack.run(&["plan"]).expect(0).stderr;
    assert!(plan.contains("note: it takes about "), "{plan}");
    assert_eq!(stack.belongings(), Vec::<String>::new());
}

/// More than libvirt's daemon keeps in one file as it is shipped, which is two megabytes.
fn a_long_record_is_read_from_its_beginning(stack: &Stack) {
    const LAST: usize = 270_000;
    let write = format!("seq -w 1 {LAST} > /dev/ttyS0");
    stack.run(&["exec", "a", "--", "sh", "-c", &write]).expect(0);
    let numbers = |text: &str| -> Vec<usize> {
        let legal = |line: &&str| line.len() == 6 && line.bytes().all(|b| b.is_ascii_digit());
        text.lines().filter(legal).map(|line| line.parse().expect("a number")).collect()
    };
    let logs = stack.run(&["logs", "--no-prefix", "a"]).expect(0).stdout;
    assert!(logs.contains("Linux version"), "the beginning is there");
    let seen = numbers(&logs);
    // The kernel may speak in between, but not often.
    assert!(seen.is_sorted() && seen.len() > LAST - 50, "{} lines of {LAST}", seen.len());
    assert_eq!((seen.first(), seen.last()), (Some(&1), Some(&LAST)));
    let tail = stack.run(&["logs", "--no-prefix", "--tail", "5", "a"]).expect(0).stdout;
    assert_eq!(numbers(&tail).last(), Some(&LAST), "{tail}");
}

#[test]
fn a_vm_that_virsh_kills_in_its_gate_fails_it_and_leaves_what_was_found() {
    if !enabled() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let stack = stack(folder.path(), "exec: ['false']");
    let up = stack.command(&["up", "--progress", "quiet"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut up = up.expect("the binary runs");
    // The agent's arrival is noticed, so the second answer is that of the command.
    let mut why = String::new();
    while !why.contains("exit code 1") {
        assert!(up.try_wait().expect("it can be asked").is_none(), "it ended: {why}");
        why = stack.run(&["why", "a"]).stdout;
    }
    assert!(why.contains("runs, but is not healthy yet for"), "{why}");
    let domain = format!("{}-a", stack.project());
    let killed = Command::new("virsh").args(["-q", "-c", "qemu:///system", "destroy", &domain]).status();
    assert!(killed.expect("virsh runs").success());
    let up = Run::of(&up.wait_with_output().expect("it ends")).expect(6);
    assert!(
        up.stderr.contains("vm `a` cannot become healthy: vm `a` is shut off: somebody pulled the plug"),
        "{}",
        up.stderr
    );
    assert!(up.stderr.contains("\n  console: "), "{}", up.stderr);
    let kept =
        up.stderr.lines().find_map(|line| line.strip_prefix("note: all that was found is in ")).expect("a folder");
    let read = |name: &str| fs::read_to_string(Path::new(kept).join("a").join(name)).expect(name);
    assert!(read("console.log").contains("Linux version"));
    assert!(read("domain.xml").contains(&format!("<name>{domain}</name>")));
    assert!(!read("addresses.txt").is_empty());
    assert_eq!(stack.belongings(), Vec::<String>::new());
    fs::remove_dir_all(Path::new(kept).parent().expect("of the project")).expect("removed");
}
