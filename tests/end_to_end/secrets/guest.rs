//! Secrets on real QEMU: a marker from every provider is in the guest, where it belongs, and nowhere else.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use super::write;
use crate::server::Server;
use crate::support::qemu::{Run, Stack, enabled};

const PROVIDERS: [&str; 5] = ["environment", "file", "command", "sops", "vault"];

/// What is planted: long, and like nothing else.
fn marker(provider: &str) -> String {
    format!("MaRkEr-{provider}-7f3q9z")
}

/// A password's hash. It stays on the seed, but is recorded nowhere.
fn hash() -> String {
    format!("$6$MaRkErsalt${}", "x".repeat(86))
}

/// The image, built where it is not there yet.
fn image() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let image = root.join("target/debian/debian-12.qcow2");
    fs::create_dir_all(image.parent().expect("a folder")).expect("made");
    let built = Command::new(root.join("tests/images/make-debian")).arg(&image).status().expect("make-debian runs");
    assert!(built.success(), "make-debian: {built}");
    image
}

/// A project whose vm gets a secret of every provider, each in another way.
struct Planted {
    folder: tempfile::TempDir,
    stack: Stack,
    _vault: Server,
    environment: BTreeMap<String, String>,
    /// All that was said by any command.
    said: String,
}

impl Planted {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        write(&at("token"), format!("{}\n", marker("file")).as_bytes(), 0o600);
        write(&at("hidden"), format!("{}\n", marker("command")).as_bytes(), 0o644);
        // Takes what sops takes for one value of a file, and answers as sops does.
        let sops = format!(
            "#!/bin/sh\ntest \"$1 $2 $3\" = '--decrypt --extract [\"db\"][\"password\"]' || exit 2\ncat \"$4\" >/dev/null && \
             printf %s '{}'\n",
            marker("sops")
        );
        write(&at("sops"), sops.as_bytes(), 0o755);
        write(&at("secrets.enc.yaml"), b"db: {password: ENC[AES256_GCM]}\n", 0o644);
        let vault = Server::new();
        let answer =
            format!(r#"{{"data": {{"data": {{"password": "{}"}}, "metadata": {{"version": 3}}}}}}"#, marker("vault"));
        vault.put("/v1/secret/data/shop/db", answer.as_bytes(), "1");
        let file = at("vmcompose.yaml");
        fs::write(&file, FILE.replace("IMAGE", &image().display().to_string()).replace("HASH", &hash()))
            .expect("written");
        let stack = Stack::new(&[&file]);
        let path = format!("{}:{}", folder.path().display(), env::var("PATH").expect("a PATH"));
        let environment = [
            ("MARKED", marker("environment")),
            ("VAULT_ADDR", vault.url("")),
            ("VAULT_TOKEN", "hvs.MaRkEr-token-7f3q9z".to_owned()),
            ("PATH", path),
        ];
        let environment = environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { folder, stack, _vault: vault, environment, said: String::new() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.stack.command(arguments);
        command.env("XDG_CACHE_HOME", self.folder.path().join("cache"));
        command.env("XDG_STATE_HOME", self.folder.path().join("state"));
        command.envs(&self.environment);
        command
    }

    fn run(&mut self, arguments: &[&str]) -> Run {
        let run = Run::of(&self.command(arguments).output().expect("the binary runs"));
        self.said.extend([run.stdout.as_str(), run.stderr.as_str()]);
        run
    }

    /// In the guest; what it says there is not what we say.
    fn inside(&self, script: &str) -> Run {
        Run::of(&self.command(&["exec", "db", "--", "sh", "-c", script]).output().expect("the binary runs"))
    }

    fn seed(&self) -> PathBuf {
        let name = format!("{}.db.seed.iso", self.stack.project());
        PathBuf::from(virsh(&["vol-path", "--pool", "vmcompose-disks", &name]).trim())
    }

    /// All that is kept of the project on this machine, but for the guest's own disk.
    fn kept(&self) -> Vec<(String, Vec<u8>)> {
        let domain = format!("{}-db", self.stack.project());
        let mut kept = Vec::new();
        for arguments in [
            &["dumpxml", "--security-info", &domain][..],
            &["dumpxml", "--inactive", "--security-info", &domain],
            &["net-dumpxml", &format!("{}-default", self.stack.project())],
            &["qemu-monitor-command", "--hmp", &domain, "info block"],
        ] {
            kept.push((format!("virsh {}", arguments.join(" ")), virsh(arguments).into_bytes()));
        }
        let name = format!("{}.db.seed.iso", self.stack.project());
        kept.push(("volume".to_owned(), virsh(&["vol-dumpxml", "--pool", "vmcompose-disks", &name]).into_bytes()));
        kept.push(("the seed".to_owned(), fs::read(self.seed()).expect("the seed")));
        let log = format!("/var/log/libvirt/qemu/{domain}.log");
        kept.push((log.clone(), fs::read(&log).expect("the log of QEMU")));
        for folder in ["cache", "state"] {
            files(&self.folder.path().join(folder), &mut kept);
        }
        kept
    }

    fn assert_nothing_is_found(&self) {
        let mut all = self.kept();
        all.push(("what was said".to_owned(), self.said.clone().into_bytes()));
        for (place, bytes) in all.iter().filter(|(place, _)| place != "the seed") {
            // The file itself has it, and `config` prints the file.
            let found = bytes.windows(12).any(|window| window == b"$6$MaRkErsal") && place != "what was said";
            assert!(!found, "the password's hash is in {place}");
        }
        for (place, bytes) in all {
            for needle in PROVIDERS.iter().map(|provider| marker(provider)).chain(["hvs.MaRkEr".to_owned()]) {
                for needle in [needle.clone(), base64(&needle)] {
                    let found = bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
                    assert!(!found, "`{needle}` is in {place}");
                }
            }
        }
    }

    /// Waits until secrets are on the seed and the vm runs.
    fn await_filled(&self, run: &mut Child) {
        let deadline = Instant::now() + Duration::from_mins(2);
        let domain = format!("{}-db", self.stack.project());
        while Instant::now() < deadline {
            assert_eq!(run.try_wait().expect("asked"), None, "it ended too early");
            let length = fs::metadata(self.seed()).map(|file| file.len()).unwrap_or_default();
            if vmcompose::seed::holds_secrets(length) && virsh(&["domstate", &domain]).trim() == "running" {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("there were never secrets on the seed of a running vm");
    }
}

const FILE: &str = r#"
images: { debian: IMAGE }
secrets:
  by_environment: { environment: MARKED }
  by_file: { file: token }
  by_command: { command: [cat, hidden] }
  by_sops: { sops: { file: secrets.enc.yaml, key: [db, password] } }
  by_vault: { vault: secret/shop/db#password }
vms:
  db:
    image: debian
    memory: 768MiB
    disk: 4GiB
    cloud_init:
      users: [{ name: app }, { name: ada, password_hash: "HASH" }]
      secrets:
        - by_environment
        - { source: by_file, target: /run/app/token, owner: "app:app", mode: "0440" }
        - { source: by_command, credential: true }
        - { source: by_sops, target: /etc/sops-password }
      write_files:
        - { path: /etc/app.env, content: "PASSWORD={{ secrets.by_vault }}\n", permissions: "0600" }
    healthcheck: { exec: [test, -e, /etc/app.env], start_period: 8m, interval: 2s, timeout: 30s, retries: 5 }
"#;

fn files(folder: &Path, kept: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, kept);
        } else if fs::metadata(&path).is_ok_and(|file| file.len() < 10 << 20) {
            kept.push((path.display().to_string(), fs::read(&path).expect("read")));
        }
    }
}

fn virsh(arguments: &[&str]) -> String {
    let output = Command::new("virsh").args(["-q", "-c", "qemu:///system"]).args(arguments).output();
    String::from_utf8_lossy(&output.expect("virsh runs").stdout).into_owned()
}

fn base64(text: &str) -> String {
    let mut child =
        Command::new("base64").arg("-w0").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("runs");
    std::io::Write::write_all(&mut child.stdin.take().expect("piped"), text.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("ended");
    // The last group depends on what follows.
    let text = String::from_utf8(output.stdout).expect("base64");
    text[..text.len() / 4 * 4 - 4].to_owned()
}

#[test]
fn a_secret_of_every_provider_is_in_the_guest_and_nowhere_else() {
    if !enabled() {
        return;
    }
    let mut planted = Planted::new();
    for arguments in [
        &["config"][..],
        &["validate"],
        &["plan", "-vvv"],
        &["plan", "--format", "json"],
        &["up", "-vvv", "--progress", "json"],
        &["ps", "--format", "json"],
        &["plan", "--format", "json"],
    ] {
        planted.run(arguments).expect(0);
    }
    planted.assert_nothing_is_found();
    arrived(&planted, &marker("environment"));
    assert!(planted.run(&["up", "--progress", "plain"]).expect(0).stderr.contains("nothing to do"));

    // A new value comes with the next start, and a run that is killed before it took the secrets off the seed again is
    // seen by the next one.
    // What the guest has noted of its first boot must be on its disk when the plug is pulled, or it begins anew.
    planted.run(&["exec", "db", "--", "sync"]).expect(0);
    virsh(&["destroy", &format!("{}-db", planted.stack.project())]);
    planted.environment.insert("MARKED".to_owned(), format!("{}-new", marker("environment")));
    let mut up =
        planted.command(&["up", "--progress", "plain"]).stderr(Stdio::null()).spawn().expect("the binary runs");
    planted.await_filled(&mut up);
    up.kill().expect("killed");
    assert_eq!(up.wait().expect("ended").signal(), Some(9));
    let plan = planted.run(&["plan"]).expect(0);
    assert!(plan.stdout.contains("its seed still holds secrets"), "{}", plan.stdout);
    planted.run(&["up", "--progress", "plain"]).expect(0);
    planted.assert_nothing_is_found();
    arrived(&planted, &format!("{}-new", marker("environment")));
    planted.run(&["down", "--yes", "--progress", "plain"]).expect(0);
    assert_eq!(planted.stack.belongings(), Vec::<String>::new());
}

/// Everything is where the file says, and only its owner may read it.
fn arrived(planted: &Planted, by_environment: &str) {
    let says = |script: &str| planted.inside(script).expect(0).stdout;
    assert_eq!(says("cat /run/secrets/by_environment"), by_environment);
    assert_eq!(says("stat -c '%a %U %G' /run/secrets/by_environment"), "400 root root\n");
    assert_eq!(says("cat /run/app/token"), format!("{}\n", marker("file")));
    assert_eq!(says("stat -c '%a %U %G' /run/app/token"), "440 app app\n");
    let credential =
        "systemd-run -q --pipe --wait -p LoadCredential=by_command sh -c 'cat $CREDENTIALS_DIRECTORY/by_command'";
    assert_eq!(says(credential), marker("command"));
    assert_eq!(says("cat /etc/sops-password"), marker("sops"));
    assert_eq!(says("getent shadow ada | cut -d: -f2"), format!("{}\n", hash()));
    assert_eq!(says("cat /etc/app.env"), format!("PASSWORD={}\n", marker("vault")));
    // What is put into settings cloud-init keeps for itself; the files came another way. The guest's journal has every
    // command that its agent was given, so this one must not find itself.
    assert_eq!(says("grep -rlE 'MaRkE[r]-(environment|file)' /var/lib/cloud /var/log || true"), "");
}
