//! What a guest is told for its first boot, line by line: which of the user's lines cloud-init stumbled over.
//!
//! Owns the way from cloud-init's names for its modules to the keys of the file. Knows nothing of how a line is found in
//! a file, or of how cloud-init's words come out of a guest.

use std::collections::BTreeMap;

use super::Origin;
use crate::names::VmName;

/// One thing that a guest is told, and where the user wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// The key that it is under: `packages`.
    pub key: String,
    /// What it is about, for an item of a list: a package, a command, a path. `None` for the key itself.
    pub about: Option<String>,
    /// Where it stands.
    pub origin: Origin,
    /// The line as it stands there.
    pub line: String,
}

/// What the guests of a project are told.
pub type Instructions = BTreeMap<VmName, Vec<Instruction>>;

/// The user's line that an error of cloud-init's is about, as far as its words tell: `error` is the verdict, `log` what is
/// known besides.
pub fn guilty<'a>(told: &'a [Instruction], error: &str, log: &str) -> Option<&'a Instruction> {
    let module = module(error).or_else(|| module(log))?;
    let keys = keys(&module, error);
    let of_keys = || told.iter().filter(|one| keys.contains(&one.key));
    // What a package manager or a shell complains of is in the log alone: the error repeats the whole command.
    let complaints: Vec<&str> = log.lines().filter(|line| complains(line)).collect();
    let quoted = |one: &&Instruction| {
        let about = one.about.as_deref().filter(|about| !about.is_empty());
        about.is_some_and(|about| {
            complaints.iter().any(|line| line.contains(about)) || (module != PACKAGES && error.contains(about))
        })
    };
    let found = match module.as_str() {
        // The commands are one script, whose end is that of its last command.
        SCRIPTS => of_keys().rev().find(|one| called(one, &complaints)).or_else(|| of_keys().next_back()),
        // Of two names, one may be the beginning of the other.
        _ => of_keys().filter(quoted).max_by_key(|one| one.about.as_ref().map_or(0, String::len)),
    };
    found.or_else(|| of_keys().find(|one| one.about.is_none()))
}

const PACKAGES: &str = "package_update_upgrade_install";
const SCRIPTS: &str = "scripts_user";

/// The module of a verdict, or of an error as cloud-init writes it: `('MODULE', Exception('words'))`.
fn module(text: &str) -> Option<String> {
    let after = |mark: &str, end: char| {
        let (_, rest) = text.split_once(mark)?;
        let name = rest.split(end).next()?;
        let legal = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        legal.then(|| name.replace('-', "_"))
    };
    after("in its module `", '`').or_else(|| after("('", '\''))
}

/// The keys that a module obeys. Most have the module's name.
fn keys(module: &str, error: &str) -> Vec<String> {
    let keys: &[&str] = match module {
        PACKAGES => &["packages", "package_update", "package_upgrade"],
        SCRIPTS if error.contains("(runcmd)") => &["runcmd"],
        SCRIPTS => &["user_data", "parts"],
        "users_groups" => &["users", "groups"],
        "set_passwords" => &["password_login", "users", "chpasswd", "ssh_pwauth"],
        "ssh" => &["ssh_authorized_keys", "ssh_keys"],
        "set_hostname" | "update_hostname" | "update_etc_hosts" => &["fqdn", "hostname", "manage_etc_hosts"],
        "write_files_deferred" => &["write_files"],
        "apt_configure" => &["apt"],
        // What is mounted from outside, and what is done early, is one script.
        "bootcmd" => &["bootcmd", "shares", "disks"],
        _ => return vec![module.to_owned()],
    };
    keys.iter().map(ToString::to_string).collect()
}

/// Whether a line of cloud-init's log is a complaint of a package manager's or a shell's.
pub fn complains(line: &str) -> bool {
    let line = line.trim();
    ["E: ", "Error: ", "error: ", "ERROR: ", "No match for argument", "mount: "]
        .iter()
        .any(|mark| line.starts_with(mark))
        || line.contains("/scripts/runcmd: ")
}

/// Whether a shell complains of the first word of a command: `/var/lib/cloud/instance/scripts/runcmd: 3: nope: not found`.
fn called(command: &Instruction, complaints: &[&str]) -> bool {
    let Some(word) = command.about.as_deref().and_then(|about| about.split_whitespace().next()) else { return false };
    complaints.iter().any(|line| {
        line.split_once("/scripts/runcmd: ").is_some_and(|(_, rest)| rest.split(": ").any(|part| part == word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> Vec<Instruction> {
        let item = |line: usize, key: &str, about: Option<&str>| Instruction {
            key: key.to_owned(),
            about: about.map(ToOwned::to_owned),
            origin: Origin { file: "vmcompose.yaml".to_owned(), line },
            line: String::new(),
        };
        vec![
            item(1, "timezone", None),
            item(2, "packages", None),
            item(3, "packages", Some("nginx")),
            item(4, "packages", Some("nginxx")),
            item(5, "runcmd", None),
            item(6, "runcmd", Some("nope --now")),
            item(7, "runcmd", Some("systemctl start it")),
            item(8, "write_files", None),
            item(9, "write_files", Some("/etc/a")),
            item(10, "user_data", None),
            item(11, "shares", Some("/srv/own")),
            item(12, "shares", Some("/srv")),
        ]
    }

    #[track_caller]
    fn at(error: &str, log: &str, line: Option<usize>) {
        let told = told();
        assert_eq!(guilty(&told, error, log).map(|one| one.origin.line), line, "{error} {log}");
    }

    #[test]
    fn a_module_leads_to_its_key() {
        at("cloud-init failed in its module `timezone`: OSError('Invalid timezone')", "", Some(1));
        at("no answer in time", "{\"errors\": [\"('timezone', OSError('x'))\"]}", Some(1));
        at("cloud-init failed in its module `ntp`: x", "", None);
        at("connection refused", "", None);
    }

    #[test]
    fn a_package_is_the_one_that_the_package_manager_complains_of() {
        let error =
            "cloud-init failed in its module `package-update-upgrade-install`: Command: ['install', 'nginx', 'nginxx']";
        at(error, "Reading lists\nE: Unable to locate package nginxx\n", Some(4));
        at(error, "", Some(2));
    }

    #[test]
    fn a_command_is_the_one_that_the_shell_names_or_the_last() {
        let error =
            "cloud-init failed in its module `scripts_user`: Runparts: 1 failures (runcmd) in 1 attempted commands";
        at(error, "/var/lib/cloud/instance/scripts/runcmd: 2: nope: not found\n", Some(6));
        at(error, "nothing of use", Some(7));
        at("cloud-init failed in its module `scripts_user`: Runparts: 1 failures (part-001)", "", Some(10));
    }

    #[test]
    fn a_share_is_the_one_that_could_not_be_mounted() {
        let error = "cloud-init failed in its module `bootcmd`: Command: ['/bin/sh', '/tmp/tmp1.sh']";
        at(error, "mount: /srv: unknown filesystem type '9p'.\n", Some(12));
        at(error, "mount: /srv/own: unknown filesystem type '9p'.\n", Some(11));
        at(error, "", None);
    }

    #[test]
    fn a_file_is_the_one_whose_path_is_in_the_error() {
        at("cloud-init failed in its module `write_files`: OSError('/etc/a')", "", Some(9));
    }
}
