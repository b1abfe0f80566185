//! A real Debian: logged in to, copied to and from, its console opened.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::pty::Terminal;
use crate::support::qemu::{Run, Stack, enabled};

/// The image, built where it is not there yet.
fn image() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let image = root.join("target/debian/debian-12.qcow2");
    fs::create_dir_all(image.parent().expect("a folder")).expect("made");
    let built = Command::new(root.join("tests/images/make-debian")).arg(&image).status().expect("make-debian runs");
    assert!(built.success(), "make-debian: {built}");
    image
}

/// What the guest answers in, at worst.
const PATIENCE: Duration = Duration::from_mins(2);

/// A guest, and a folder of this machine.
struct Desk {
    stack: Stack,
    folder: tempfile::TempDir,
}

/// One boot for all: under emulation it takes minutes.
#[test]
fn a_debian_is_logged_in_to_copied_to_and_watched() {
    if !enabled() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("vmcompose.yaml");
    let text = format!(
        "images: {{ debian: {} }}\nvms:\n  db:\n    image: debian\n    memory: 768MiB\n    ssh: {{user: debian}}\n    \
         cloud_init:\n      users: [{{name: ada, one_time_password: true, password_hash: $6$abcdefgh$\
         qdUxeoCQKLsfMOLbVsmMcQCFj0PvVCCGdMEMXl0fmzGz6eU9hqIrsFOmBXzxF0pjzYuJOoGSGkSBm3Y2K0G0b1}}]\n    \
         healthcheck: {{cloud_init: true, start_period: 10m, interval: 2s, timeout: 30s}}\n",
        image().display()
    );
    fs::write(&file, text).expect("written");
    let desk = Desk { stack: Stack::new(&[&file]), folder };
    desk.run(&["up", "--progress", "plain"]).expect(0);
    let again = desk.run(&["up", "--progress", "plain"]).expect(0);
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);

    desk.ssh_runs_a_command_and_passes_its_end_on();
    desk.other_programs_take_the_configuration();
    desk.passwords_do_not_let_in();
    desk.input_reaches_a_command_of_the_agent();
    for way in ["ssh", "agent"] {
        desk.copies_are_the_same(way);
        desk.what_cannot_be_copied_is_named(way);
    }
    desk.without_ssh_the_agent_copies();
    desk.the_console_shows_the_guest_and_is_left();

    desk.run(&["down", "--volumes", "--yes", "--progress", "plain"]).expect(0);
    assert_eq!(desk.stack.belongings(), Vec::<String>::new());
}

impl Desk {
    fn run(&self, arguments: &[&str]) -> Run {
        self.stack.run(arguments)
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("text").to_owned()
    }

    /// What a command of the guest prints.
    fn guest(&self, command: &str) -> String {
        self.run(&["exec", "db", "--", "sh", "-c", command]).expect(0).stdout
    }

    fn ssh_runs_a_command_and_passes_its_end_on(&self) {
        let run = self.run(&["ssh", "db", "--", "id -un; echo complaint >&2; exit 7"]).expect(7);
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("debian\n", "complaint\n"));
        let mut input = self.stack.command(&["ssh", "db", "--", "cat"]);
        let mut child = input.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("runs");
        child.stdin.take().expect("piped").write_all(b"through\n").expect("written");
        assert_eq!(child.wait_with_output().expect("ends").stdout, b"through\n");
    }

    fn other_programs_take_the_configuration(&self) {
        let config = self.path("config");
        fs::write(&config, self.run(&["ssh-config"]).expect(0).stdout).expect("written");
        for host in ["db".to_owned(), format!("{}-db", self.stack.project())] {
            let out = Command::new("ssh").args(["-F", &config, "-o", "BatchMode=yes", &host, "hostname"]).output();
            let run = Run::of(&out.expect("ssh is there")).expect(0);
            assert_eq!(run.stdout, "db\n");
        }
    }

    fn passwords_do_not_let_in(&self) {
        let refuse = ["-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=0"];
        let out = Command::new("ssh").args(["-F", &self.path("config")]).args(refuse).args(["db", "true"]).output();
        let run = Run::of(&out.expect("ssh is there")).expect(255);
        assert!(run.stderr.contains("Permission denied (publickey)"), "{}", run.stderr);
        // Locked, all but the one-time password, which was last changed on day 0: it has expired.
        assert_eq!(self.guest("getent shadow debian | cut -d: -f2").trim(), "!");
        let ada = self.guest("getent shadow ada | cut -d: -f2,3");
        assert!(ada.starts_with("$6$abcdefgh$") && ada.trim().ends_with(":0"), "{ada}");
    }

    fn input_reaches_a_command_of_the_agent(&self) {
        let mut command = self.stack.command(&["exec", "-i", "db", "--", "wc", "-c"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("runs");
        child.stdin.take().expect("piped").write_all(&vec![7; 100_000]).expect("written");
        assert_eq!(child.wait_with_output().expect("ends").stdout, b"100000\n");
    }

    fn copies_are_the_same(&self, way: &str) {
        let bytes: Vec<u8> = (0..2_500_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
        let file = self.path("file");
        fs::write(&file, &bytes).expect("written");
        fs::set_permissions(&file, Permissions::from_mode(0o640)).expect("set");
        let there = format!("db:/tmp/{way}");
        let copy = |from: &str, to: &str| self.run(&["cp", from, to, "--via", way]).expect(0);
        copy(&file, &there);
        assert_eq!(self.guest(&format!("stat -c '%a %s' /tmp/{way}")), "640 2500000\n");
        let back = self.path(&format!("back-{way}"));
        copy(&there, &back);
        assert!(fs::read(&back).expect("there") == bytes, "not the same bytes");
        assert_eq!(fs::metadata(&back).expect("there").permissions().mode() & 0o777, 0o640);

        let tree = self.folder.path().join("tree");
        fs::create_dir_all(tree.join("deep")).expect("made");
        fs::write(tree.join("deep/run"), "#!/bin/sh\n").expect("written");
        fs::set_permissions(tree.join("deep/run"), Permissions::from_mode(0o750)).expect("set");
        let folder = format!("db:/tmp/tree-{way}");
        copy(&self.path("tree"), &folder);
        assert_eq!(
            self.guest(&format!("cd /tmp/tree-{way}; find . -type f; stat -c %a deep/run")),
            "./deep/run\n750\n"
        );
        // A folder that is there is copied into.
        let into = self.path(&format!("into-{way}"));
        fs::create_dir(&into).expect("made");
        copy(&folder, &into);
        let run = PathBuf::from(into).join(format!("tree-{way}/deep/run"));
        assert_eq!(fs::metadata(&run).expect("there").permissions().mode() & 0o777, 0o750);
        let archive = self.stack.command(&["cp", &folder, "-", "--via", way]).output().expect("runs").stdout;
        let mut archive = tar::Archive::new(archive.as_slice());
        let paths = archive
            .entries()
            .expect("an archive")
            .map(|entry| entry.expect("whole").path().expect("a path").display().to_string());
        assert!(paths.collect::<Vec<_>>().contains(&format!("tree-{way}/deep/run")));
        // Named by itself, a link is what it leads to.
        copy("db:/etc/os-release", &back);
        assert!(fs::read_to_string(&back).expect("text").starts_with("PRETTY_NAME=\"Debian GNU/Linux 12"));
        let archive = self.stack.command(&["cp", "db:/etc/os-release", "-", "--via", way]).output().expect("runs");
        assert!(String::from_utf8_lossy(&archive.stdout).contains("PRETTY_NAME=\"Debian GNU/Linux 12"));
        assert_eq!(self.guest("find /tmp /var/tmp -name '*vmcompose*'"), "", "nothing waits any more");
    }

    fn what_cannot_be_copied_is_named(&self, way: &str) {
        let missing = self.run(&["cp", "db:/none", &self.path("none"), "--via", way]).expect(4);
        assert!(missing.stderr.contains("/none: there is no such file or folder"), "{}", missing.stderr);
        assert!(!self.folder.path().join("none").exists());
        let nowhere = self.run(&["cp", &self.path("file"), "db:/none/", "--via", way]).expect(4);
        assert!(nowhere.stderr.contains("/none/: there is no such folder"), "{}", nowhere.stderr);
    }

    fn without_ssh_the_agent_copies(&self) {
        let denied = self.run(&["cp", &self.path("file"), "db:/root/file"]).expect(4);
        assert!(denied.stderr.contains("hint: `--via agent` copies as root"), "{}", denied.stderr);
        let mut command = self.stack.command(&["cp", &self.path("file"), "db:/root/file"]);
        Run::of(&command.env("PATH", self.folder.path()).output().expect("runs")).expect(0);
        assert_eq!(self.guest("stat -c '%U %s' /root/file"), "root 2500000\n");
    }

    fn the_console_shows_the_guest_and_is_left(&self) {
        let open = |arguments: &[&str]| Terminal::new(&mut self.stack.command(arguments));
        let mut console = open(&["console", "db"]);
        console.expect("leave it with Ctrl-]", PATIENCE);
        console.type_in(b"\r");
        console.expect("db login:", PATIENCE);
        assert!(!console.is_cooked());
        let second = self.run(&["console", "db"]).expect(4);
        assert!(second.stderr.contains("somebody has the console of vm `db` open"), "{}", second.stderr);
        assert!(second.stderr.contains("hint: `--force`"), "{}", second.stderr);
        console.type_in(b"\x1d");
        assert!(console.wait().success());
        assert!(console.is_cooked(), "the terminal is as it was");

        // A signal leaves it as it was too; what is not a terminal is only copied.
        let mut console = open(&["console", "db"]);
        console.expect("leave it with Ctrl-]", PATIENCE);
        let pid = rustix::process::Pid::from_raw(console.id().cast_signed()).expect("a process");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("sent");
        assert_eq!(console.wait().code(), Some(130));
        assert!(console.is_cooked(), "the terminal is as it was");
    }
}
