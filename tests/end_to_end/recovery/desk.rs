//! A project on a libvirt of its own, the binary that works on it, and its sudden deaths.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use vmcompose::backend::libvirt::Libvirt;
use vmcompose::names::ProjectName;

use crate::support::daemon::Daemon;
use crate::support::{observe, project, text};

/// Everything that a run makes: pools, an image, a network, a volume, disks, vms that wait for one another.
pub(crate) const SHOP: &str = "\
name: shop
networks: { front: {} }
volumes: { data: { size: 1MiB } }
vms:
  db:
    boot: { kernel: kernel }
    networks: [front]
    disks: [{ volume: data }, { name: scratch, size: 1MiB }]
    cpus: 1
    max_cpus: 4
    memory: 128MiB
    max_memory: 512MiB
    limits: { memory: { soft: 1GiB } }
  old: { boot: { kernel: kernel } }
  web: { boot: { kernel: kernel }, networks: [front], depends_on: [db] }
";

/// The same with changes: a vm with a task, a network and a volume more, a vm less; a vm that gets more of
/// everything while it runs, as far as the test driver can do that and take it back. It shows the new definition of a network
/// only after a restart of it, so none is updated.
pub(crate) const CHANGED: &str = "\
name: shop
networks: { front: {}, back: {} }
volumes: { data: { size: 1MiB }, more: { size: 1MiB } }
vms:
  db:
    boot: { kernel: kernel }
    networks: [front]
    disks: [{ volume: data }, { name: scratch, size: 1MiB }]
    labels: { tier: gold }
    cpus: 2
    max_cpus: 4
    memory: 256MiB
    max_memory: 512MiB
    limits: { memory: { hard: 2GiB } }
    autostart: true
  new:
    boot: { kernel: kernel }
    networks: [back]
    disks: [{ volume: more }]
    depends_on: [db]
    provision: [{ name: greet, run: echo MaRkEr-of-a-script, env: { WORD: MaRkEr-of-its-environment } }]
  web: { boot: { kernel: kernel }, networks: [front], depends_on: [db] }
";

/// A project with a vm that has a disk of its own, and a disk and a volume on another.
pub(crate) const PAIR: &str = "\
name: shop
networks: { front: {} }
volumes: { data: { size: 1MiB } }
vms:
  db: { boot: { kernel: kernel }, networks: [front], disks: [{ volume: data }, { name: scratch, size: 1MiB }] }
  web: { boot: { kernel: kernel }, networks: [front], disks: [{ name: cache, size: 1MiB }], depends_on: [db] }
";

/// The same with changes of memory, processors, disks and interfaces.
pub(crate) const LARGER: &str = "\
name: shop
networks: { front: {}, side: {} }
volumes: { data: { size: 1MiB } }
vms:
  db:
    boot: { kernel: kernel }
    networks: [front, side]
    disks: [{ volume: data }, { name: more, size: 1MiB }]
    memory: 2GiB
    cpus: 2
  web: { boot: { kernel: kernel }, networks: [front], disks: [{ name: cache, size: 1MiB }], depends_on: [db] }
";

/// A vm that is told secrets. On the test driver nobody says when it has read them, so that its run is always undone.
pub(crate) const TOLD: &str = "\
name: shop
secrets: { token: { environment: SHOP_TOKEN } }
vms:
  db:
    boot: { kernel: kernel }
    cloud_init:
      secrets: [token]
      write_files: [{ path: /etc/app.env, content: \"TOKEN={{ secrets.token }}\" }]
      users: [{ name: ada, password_hash: $6$MaRkErsalt$xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx }]
    provision: [{ name: greet, run: echo MaRkEr-of-a-script, env: { WORD: MaRkEr-of-its-environment } }]
";

/// A folder with a compose file and a state folder, and a libvirt for it.
pub(crate) struct Desk {
    pub(crate) daemon: Daemon,
    pub(crate) folder: tempfile::TempDir,
    libvirt: Libvirt,
    project: ProjectName,
}

/// How a command ended.
pub(crate) struct Ended {
    /// `None` where it was killed.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Desk {
    pub(crate) fn new(file: &str) -> Self {
        let daemon = Daemon::start();
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("kernel"), "a kernel").expect("written");
        let libvirt = Libvirt::connect(Some(&daemon.uri())).expect("it answers");
        let desk = Self { daemon, folder, libvirt, project: project("shop") };
        desk.write(file);
        desk
    }

    pub(crate) fn write(&self, file: &str) {
        fs::write(self.folder.path().join("vmcompose.yaml"), file).expect("written");
    }

    /// The folder of the journals.
    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state/vmcompose/journal")
    }

    /// The journals there are.
    pub(crate) fn journals(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.state()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.expect("an entry").path();
                if path.is_dir() { folders.push(path) } else { found.push(path) }
            }
        }
        found
    }

    /// The command, ready for its arguments.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        for (name, folder) in [("XDG_STATE_HOME", "state"), ("XDG_CACHE_HOME", "cache"), ("XDG_RUNTIME_DIR", "run")] {
            command.env(name, self.folder.path().join(folder));
        }
        command.env("SHOP_TOKEN", "MaRkEr-of-a-secret").current_dir(self.folder.path());
        command
    }

    pub(crate) fn vmcompose(&self, line: &str) -> Command {
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_vmcompose")));
        if !line.starts_with("-c ") {
            command.args(["-c", &self.daemon.uri()]);
        }
        command.args(["--progress", "plain"]).args(line.split_whitespace());
        command
    }

    /// Runs a command line to its end.
    pub(crate) fn run(&self, line: &str) -> Ended {
        Ended::of(&self.vmcompose(line).output().expect("the binary runs"))
    }

    /// Runs a command line that must end with this code.
    #[track_caller]
    pub(crate) fn ends(&self, code: i32, line: &str) -> Ended {
        let ended = self.run(line);
        assert_eq!(ended.code, Some(code), "`{line}`:\n{}{}", ended.stdout, ended.stderr);
        ended
    }

    /// Runs a command line, and kills the process at the n-th point where it can be killed. Whether it came that far.
    pub(crate) fn killed(&self, line: &str, point: usize) -> bool {
        self.killed_or_ends(line, point, 0)
    }

    /// The same for a command line that ends with this code where it is not killed.
    pub(crate) fn killed_or_ends(&self, line: &str, point: usize, whole: i32) -> bool {
        let mut command = self.vmcompose(line);
        let output = command.env("VMCOMPOSE_TEST_KILL_AT", point.to_string()).output().expect("the binary runs");
        let ended = Ended::of(&output);
        assert!(ended.code.is_none_or(|code| code == whole), "`{line}` at {point}:\n{}", ended.stderr);
        for path in self.journals() {
            let text = fs::read_to_string(&path).expect("text");
            assert!(!text.contains("MaRkEr"), "`{line}` at {point}: a secret or a script is in {}", path.display());
        }
        ended.code.is_none()
    }

    /// All that can be seen of the world: what the project has, with its records, and every object there is.
    pub(crate) fn world(&self) -> String {
        let actual = observe(&self.libvirt, &self.project);
        format!("{:#?}\n{}", self.daemon.inventory(), text(&actual))
    }
}

impl Ended {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}
