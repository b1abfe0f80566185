//! Completion in a real bash, and the manual pages.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::desk::{Desk, URI};
use crate::support::qemu::enabled;

const FILE: &str = "\
name: shop
networks: { back: {} }
vms:
  db: { boot: { kernel: kernel } }
  web: { boot: { kernel: kernel }, replicas: 2, profiles: [front] }
";

fn vmcompose(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_vmcompose")).args(arguments).current_dir(folder).output();
    let output = output.expect("the binary runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// What bash offers for the last of these words, after it has read the script as a user's shell would.
fn offered(folder: &Path, words: &[&str]) -> Vec<String> {
    const ASK: &str = r#"
        source <(vmcompose completion bash)
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_TYPE=9
        [[ $(complete -p vmcompose) =~ -F\ ([^ ]+) ]]
        "${BASH_REMATCH[1]}" vmcompose "${!#}" ""
        printf '%s\n' "${COMPREPLY[@]}""#;
    let own = Path::new(env!("CARGO_BIN_EXE_vmcompose")).parent().expect("a folder");
    let path = format!("{}:{}", own.display(), std::env::var("PATH").expect("a PATH"));
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", ASK, "bash", "vmcompose"]).args(words).env("PATH", path).current_dir(folder);
    let output = bash.output().expect("bash runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().filter(|word| !word.is_empty() && !word.starts_with('-')).map(ToOwned::to_owned).collect()
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("vmcompose.yaml"), FILE).expect("written");
    folder
}

#[test]
fn bash_completes_commands_vms_and_profiles() {
    let folder = folder();
    let offered = |words: &[&str]| offered(folder.path(), words);
    assert_eq!(offered(&["vali"]), ["validate"]);
    assert_eq!(offered(&["exec", ""]), ["db"], "a vm whose profile is off is not there");
    assert_eq!(offered(&["--profile", "front", "exec", "w"]), ["web-1", "web-2"]);
    assert_eq!(offered(&["--profile", ""]), ["front"]);
    assert_eq!(offered(&["plan", "--format", "j"]), ["json"]);
}

#[test]
fn bash_completes_from_the_file_that_the_line_names() {
    let folder = folder();
    fs::write(folder.path().join("other.yaml"), "vms: { alone: { boot: { kernel: kernel } } }\n").expect("written");
    assert_eq!(offered(folder.path(), &["-f", "other.yaml", "exec", ""]), ["alone"]);
}

#[test]
fn bash_completes_networks_images_and_snapshots() {
    if !enabled() {
        return;
    }
    let text = "networks: { back: { mode: isolated } }\nvms: { db: { boot: { kernel: kernel }, \
                networks: [back], disks: [{ name: data, size: 1MiB }] } }\n";
    let desk = Desk::online(text);
    desk.run(&["up"]).expect(0);
    desk.run(&["snapshot", "create", "before-upgrade"]).expect(0);
    let offered = |words: &[&str]| {
        let words: Vec<&str> = ["-c", URI, "-p", &desk.project].into_iter().chain(words.iter().copied()).collect();
        offered(desk.path(), &words)
    };
    assert_eq!(offered(&["snapshot", "restore", ""]), ["before-upgrade"]);
    assert_eq!(offered(&["snapshot", "restore", "before-upgrade", ""]), ["db"]);
    assert_eq!(offered(&["network", "info", "b"]), ["back"]);
    assert_eq!(offered(&["image", "rm", "k"]), ["kernel"]);
    desk.run(&["down"]).expect(0);
}

#[test]
fn a_file_with_a_mistake_offers_nothing_and_says_nothing() {
    let folder = folder();
    fs::write(folder.path().join("vmcompose.yaml"), "vms: [").expect("written");
    assert_eq!(offered(folder.path(), &["exec", ""]), Vec::<String>::new());
}

#[test]
fn every_shell_gets_a_script_that_calls_us() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = vmcompose(Path::new("."), &["completion", shell]);
        assert!(script.contains("VMCOMPOSE_COMPLETE"), "{shell}: {script}");
    }
}

#[test]
fn every_command_has_a_page() {
    let folder = tempfile::tempdir().expect("a folder");
    vmcompose(folder.path(), &["man", "pages/man1"]);
    let page = |name: &str| fs::read_to_string(folder.path().join("pages/man1").join(name)).expect(name);
    assert!(page("vmcompose.1").contains("vmcompose\\-up(1)"), "{}", page("vmcompose.1"));
    assert!(page("vmcompose-up.1").contains("remove\\-orphans"));
    assert!(page("vmcompose-image-pull.1").contains("image pull"));
}
