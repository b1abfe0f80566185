//! When secrets are read, and what is said where they cannot be: the program against libvirt's test driver, which boots
//! nothing and so takes none.

use std::fs;
use std::process::Command;

use crate::support::qemu::Run;
use crate::support::{World, qcow2};

/// A project whose one secret leaves a trace when it is read.
struct Traced {
    world: World,
}

impl Traced {
    fn new(secret: &str) -> Self {
        let world = World::new();
        fs::write(world.dir.path().join("os.qcow2"), qcow2()).expect("written");
        let text = format!(
            "name: traced\nsecrets:\n  key: {{ {secret} }}\n  unused: {{ environment: NEVER_SET }}\nimages: {{ os: os.qcow2 }}\n\
             vms:\n  db: {{ image: os, cloud_init: {{ secrets: [key], runcmd: [\"echo {{{{ secrets.key }}}}\"] }} }}\n"
        );
        fs::write(world.dir.path().join("vmcompose.yaml"), text).expect("written");
        Self { world }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vmcompose"));
        command.current_dir(self.world.dir.path()).args(["--connect", &self.world.uri]).args(arguments);
        // The lock and the images of whoever runs the tests are not theirs to touch.
        command.envs(["XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"].map(|name| (name, self.world.dir.path())));
        Run::of(&command.output().expect("the binary runs"))
    }

    fn was_read(&self) -> bool {
        self.world.dir.path().join("trace").exists()
    }
}

const LEAVE_A_TRACE: &str = "command: [sh, -c, 'touch trace; echo MaRkEr-7f3q9z; echo MaRkEr-complaint >&2; exit 1']";

#[test]
fn only_a_run_reads_secrets_and_before_anything_is_done() {
    let traced = Traced::new(LEAVE_A_TRACE);
    for arguments in [&["config"][..], &["validate"], &["graph"], &["plan"], &["plan", "--format", "json"], &["ps"]] {
        let run = traced.run(arguments).expect(0);
        assert!(!traced.was_read() && !run.stdout.contains("MaRkEr-7f3q9z\n"), "{arguments:?}: {}", run.stdout);
    }
    let up = traced.run(&["up", "--progress", "plain"]).expect(1);
    assert!(traced.was_read());
    assert_eq!(
        up.stderr,
        "error: cannot read secret `key` (from `command`): `sh` ended with exit code 1: MaRkEr-complaint\n"
    );
}

#[test]
fn a_plan_names_secrets_and_says_what_becomes_of_them() {
    let traced = Traced::new("environment: KEY");
    let plan = traced.run(&["plan"]).expect(0).stdout;
    assert!(plan.contains("secrets     `key`"), "{plan}");
    let plan: serde_json::Value =
        serde_json::from_str(&traced.run(&["plan", "--format", "json"]).expect(0).stdout).expect("JSON");
    let steps =
        plan["waves"].as_array().expect("waves").iter().flat_map(|wave| wave["steps"].as_array().expect("steps"));
    let step = steps.into_iter().find(|step| step["resource"]["kind"] == "vm").expect("the vm");
    assert_eq!(step["finish"], serde_json::json!(["take secrets off the seed of vm `db`"]));
    let up = traced.run(&["up"]).expect(1);
    assert_eq!(
        up.stderr,
        "error: cannot read secret `key` (from `environment`): the variable `KEY` is not set\nhint: set it for this run: \
         `KEY=… vmcompose up`, or in `.env`\n"
    );
}
