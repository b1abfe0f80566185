//! `qemu:///session` as an ordinary user: the quickstart, its vms joined by wires, on a libvirt that the user has to himself.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::qemu::{Run, enabled};
use crate::support::web;
use tempfile::TempDir;

/// The user and the group that nobody is: taken where the tests are root's.
const NOBODY: u32 = 65_534;
const PATIENCE: Duration = Duration::from_mins(2);

/// An ordinary user with folders of his own, in which his libvirt keeps everything.
struct User {
    dir: TempDir,
    root: bool,
}

impl User {
    fn new() -> Self {
        let root = fs::metadata("/proc/self").expect("/proc").uid() == 0;
        let user = Self { dir: TempDir::new().expect("a folder"), root };
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose-examples/quickstart");
        fs::create_dir(user.path("guest")).expect("a folder");
        for file in ["vmcompose.yaml", "guest/vmlinuz", "guest/initrd.img"] {
            fs::copy(example.join(file), user.path(file)).expect("the quickstart is built");
        }
        // Where this repository lies others may not be allowed to look.
        fs::copy(env!("CARGO_BIN_EXE_vmcompose"), user.path("vmcompose")).expect("the binary");
        for folder in ["home", "run"] {
            fs::create_dir(user.path(folder)).expect("a folder");
            fs::set_permissions(user.path(folder), fs::Permissions::from_mode(0o700)).expect("ours");
        }
        if root {
            fs::set_permissions(user.dir.path(), fs::Permissions::from_mode(0o755)).expect("ours");
            for folder in ["home", "run"] {
                chown(user.path(folder), Some(NOBODY), Some(NOBODY)).expect("root may");
            }
        }
        user
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, program: impl AsRef<Path>, arguments: &[&str]) -> Run {
        let mut command = Command::new(program.as_ref());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path("home")).env("XDG_RUNTIME_DIR", self.path("run"));
        command.current_dir(self.dir.path()).args(arguments);
        if self.root {
            command.uid(NOBODY).gid(NOBODY);
        }
        Run::of(&command.output().expect("it runs"))
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let connect = ["--connect", "qemu:///session"];
        self.command(self.path("vmcompose"), &[&connect, arguments].concat())
    }

    fn guest(&self, vm: &str, command: &str) -> Run {
        self.run(&["exec", vm, "--", "sh", "-c", command])
    }

    /// All that his hypervisor has of anybody's.
    fn belongings(&self) -> Vec<String> {
        let virsh = |arguments: &[&str]| {
            let arguments = [&["-q", "-c", "qemu:///session"], arguments].concat();
            let run = self.command("virsh", &arguments);
            run.stdout.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        let volumes = ["vmcompose-images", "vmcompose-disks"].into_iter().flat_map(|pool| virsh(&["vol-list", pool]));
        [virsh(&["list", "--all", "--name"]), virsh(&["net-list", "--all", "--name"]), volumes.collect()].concat()
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = self.run(&["down", "--volumes", "--yes"]);
        // His daemons would end by themselves in minutes; each wrote down who it is.
        for daemon in ["libvirtd", "virtlogd", "virtqemud", "virtnetworkd", "virtstoraged", "virtnodedevd"] {
            let Ok(pid) = fs::read_to_string(self.path("run/libvirt").join(format!("{daemon}.pid"))) else { continue };
            let _ = Command::new("kill").arg(pid.trim()).status();
        }
    }
}

#[test]
fn an_ordinary_user_runs_the_quickstart() {
    if !enabled() {
        return;
    }
    let user = User::new();
    let here = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = here.local_addr().expect("bound").port();
    drop(here);
    let change = format!("vms: {{ db: {{ ports: [\"127.0.0.1:{port}:80\"] }} }}\n");
    fs::write(user.path("vmcompose.override.yaml"), change).expect("written");

    // Web servers are healthy only when they reach those of the wave before, by name.
    user.run(&["up", "--progress", "plain"]).expect(0);
    let again = user.run(&["up", "--progress", "plain"]).expect(0);
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);
    assert!(web::answer(port, PATIENCE).contains("200"));

    // Who shares a network, and nobody else, whatever he calls him.
    user.guest("api-1", "ping -c1 -W9 db && ping -c1 -W9 web-2").expect(0);
    let info = user.run(&["network", "info", "back", "--format", "json"]).expect(0);
    let info: serde_json::Value = serde_json::from_str(&info.stdout).expect("json");
    let db = info["vms"].as_array().expect("a list").iter().find(|row| row["vm"] == "db").expect("it is there");
    let ping = format!("ping -c2 -W2 {}", db["ip"].as_str().expect("an address"));
    assert_ne!(user.guest("web-1", &ping).code, 0, "on another network");
    assert_ne!(user.guest("web-1", "ping -c1 -W2 db").code, 0, "`db` is no name of this network");

    // One network leads outside, the other does not: the world begins with this host.
    let world = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let out =
        format!("timeout 20 nc 192.0.2.2 {} </dev/null | grep -x hello", world.local_addr().expect("bound").port());
    std::thread::spawn(move || {
        for visitor in world.incoming() {
            let _ = visitor.and_then(|mut visitor| visitor.write_all(b"hello\n"));
        }
    });
    user.guest("web-1", &out).expect(0);
    assert_ne!(user.guest("db", &out).code, 0, "an isolated network leads nowhere");

    // A newcomer leaves the others as they are.
    let before = fs::read_to_string(user.path("vmcompose.override.yaml")).expect("readable");
    let more = before.replace("vms: { db:", "vms: { late: { networks: [back] }, db:");
    fs::write(user.path("vmcompose.override.yaml"), more).expect("written");
    let up = user.run(&["up", "--progress", "plain"]).expect(0);
    assert!(up.stderr.contains("`late`") && !up.stderr.contains("`api-1`"), "{}", up.stderr);

    user.run(&["down", "--progress", "plain"]).expect(0);
    assert_eq!(user.belongings(), Vec::<String>::new());
}

#[test]
fn what_an_ordinary_user_cannot_have_is_said_before_anything_is_done() {
    if !enabled() {
        return;
    }
    let user = User::new();
    let change = "networks: { back: { mode: routed, subnet: 10.99.7.0/24 } }\n";
    fs::write(user.path("vmcompose.override.yaml"), change).expect("written");
    let plan = user.run(&["up"]).expect(5);
    for word in ["network `back` asks for `mode: routed`", "qemu:///session", "hint:", "nothing was changed"] {
        assert!(plan.stderr.contains(word), "`{word}` is not in:\n{}", plan.stderr);
    }
    assert_eq!(user.belongings(), Vec::<String>::new());
}
