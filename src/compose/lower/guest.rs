//! What a guest is told at its first boot.
//!
//! Owns what `cloud_init`, `ssh` and the mounts of disks amount to together, and that user-data is looked over before a
//! vm boots with it. Knows nothing of how a seed is written.

mod given;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Instance, Scope, login, subject};
use crate::compose::decode::At;
use crate::compose::diagnostic::Diagnostic;
use crate::compose::place::{Place, Texts};
use crate::compose::schema::cloud_init as file;
use crate::compose::schema::guest::SshKey;
use crate::compose::schema::vm::Vm;
use crate::model::cloud_init::{
    CloudInit, Command, DataDisk, Encoding, Filesystem, Mount, Part, ShareMount, User, WriteFile, disk_serial,
};
use crate::model::secret::PasswordHash;
use crate::model::{Disk, ProjectKey, Share};
use crate::seed;

/// What the guest is told; `None` where the file has nothing to tell it.
pub(super) fn lower(
    scope: &Scope<'_>,
    instance: &Instance<Vm>,
    disks: &[Disk],
    shares: &[Share],
    mistakes: &mut Vec<Diagnostic>,
    warnings: &mut Vec<Diagnostic>,
) -> Option<Box<CloudInit>> {
    let spec = &instance.spec;
    let mut settings = spec.cloud_init.as_ref().map(|given| {
        check_parts(scope.texts, given, mistakes, warnings);
        given::check(given, mistakes);
        settings(given, mistakes, warnings)
    });
    let disks = mounted(instance, disks, mistakes);
    if !disks.is_empty() {
        settings.get_or_insert_default().disks = disks;
    }
    if !shares.is_empty() {
        settings.get_or_insert_default().shares = shares.iter().map(ShareMount::of).collect();
    }
    let keys = login::keys(spec);
    if !keys.is_empty() {
        settings.get_or_insert_default().ssh_authorized_keys.extend(texts(keys));
    }
    if login::wants_project_key(spec) && !settings.as_ref().is_some_and(CloudInit::lets_in) {
        settings.get_or_insert_default().project_key = Some(ProjectKey::Wanted);
    }
    settings.map(Box::new)
}

/// Whether a vm of the file will be told something.
pub(super) fn present(vm: &Vm) -> bool {
    let mounts = vm.disks.iter().any(|disk| disk.mount.is_some());
    let mounts = mounts || !vm.shares.is_empty();
    vm.cloud_init.is_some() || mounts || !login::keys(vm).is_empty() || login::wants_project_key(vm)
}

fn texts(keys: &[SshKey]) -> impl Iterator<Item = String> {
    keys.iter().map(|key| key.0.clone())
}

fn settings(given: &file::CloudInit, mistakes: &mut Vec<Diagnostic>, warnings: &mut Vec<Diagnostic>) -> CloudInit {
    let given = given.clone();
    let config = mapping("config", given.config.as_ref(), mistakes);
    check_config(&config, given.config.as_ref(), mistakes, warnings);
    let parts = given.user_data.into_iter().flat_map(|file::UserData(parts)| parts).chain(given.parts);
    let part = |part: file::Part| {
        Some(Part { content: part.content?.value, content_type: part.content_type.map(|kind| kind.value) })
    };
    CloudInit {
        fqdn: given.fqdn.map(|name| name.0),
        user_data: parts.filter_map(part).collect(),
        users: given.users.into_iter().map(|account| user(account, mistakes)).collect(),
        ssh_authorized_keys: texts(&given.ssh_authorized_keys).collect(),
        project_key: None,
        password_login: given.password_login.unwrap_or(false),
        packages: values(given.packages),
        package_update: given.package_update,
        package_upgrade: given.package_upgrade,
        write_files: given.write_files.into_iter().map(|file| write_file(file, mistakes)).collect(),
        runcmd: given.runcmd.into_iter().map(command).collect(),
        bootcmd: given.bootcmd.into_iter().map(command).collect(),
        secrets: Vec::new(),
        disks: Vec::new(),
        shares: Vec::new(),
        mounts: given.mounts.into_iter().map(|wish| mount(wish, mistakes)).collect(),
        timezone: given.timezone,
        locale: given.locale,
        ca_certs: values(given.ca_certs),
        growpart: given.growpart,
        config,
        meta_data: mapping("meta_data", given.meta_data.as_ref(), mistakes).into_iter().collect(),
    }
}

fn values(texts: Vec<At<String>>) -> Vec<String> {
    texts.into_iter().map(|text| text.value).collect()
}

fn mapping(key: &str, value: Option<&At<Value>>, mistakes: &mut Vec<Diagnostic>) -> Map<String, Value> {
    match value {
        None => Map::new(),
        Some(At { value: Value::Object(entries), .. }) => entries.clone(),
        Some(At { place, .. }) => {
            mistakes.push(Diagnostic::error(format!("`{key}` must be a mapping")).at(*place, "not a mapping"));
            Map::new()
        }
    }
}

fn user(account: file::User, mistakes: &mut Vec<Diagnostic>) -> User {
    let legal = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let name = account.name;
    if name.is_empty() || name.len() > 32 || !name.chars().all(legal) || name.starts_with(['-', '.']) {
        let illegal = Diagnostic::error(format!("`{}` is not the name of an account", name.value));
        mistakes.push(illegal.at(name.place, "at most 32 letters, digits, `_`, `-` and `.`"));
    }
    if account.one_time_password == Some(true) && account.password_hash.is_none() {
        let none = Diagnostic::error(format!("`{}` has a one-time password that nobody gave", name.value));
        let hint = "add `password_hash`, made with `mkpasswd --method=yescrypt`; it must be changed at the first login";
        mistakes.push(none.at(name.place, "no `password_hash`").hint(hint));
    }
    User {
        name: name.value,
        password_hash: account.password_hash.map(|hash| PasswordHash::new(hash.0)),
        one_time_password: account.one_time_password.unwrap_or(false),
        lock_password: None,
        ssh_authorized_keys: texts(&account.ssh_authorized_keys).collect(),
        sudo: account.sudo,
        groups: account.groups.0,
        shell: account.shell,
    }
}

fn write_file(file: file::WriteFile, mistakes: &mut Vec<Diagnostic>) -> WriteFile {
    absolute(&file.path, mistakes);
    if let Some(permissions) = &file.permissions {
        check_permissions(permissions, mistakes);
    }
    WriteFile {
        path: file.path.value,
        content: file.content,
        encoding: match file.encoding {
            None | Some(file::FileEncoding::Text) => Encoding::Text,
            Some(file::FileEncoding::Base64) => Encoding::Base64,
            Some(file::FileEncoding::Gzip) => Encoding::Gzip,
        },
        owner: file.owner,
        permissions: file.permissions.map(|mode| mode.value),
        append: file.append.unwrap_or(false),
    }
}

pub(super) fn check_permissions(mode: &At<String>, mistakes: &mut Vec<Diagnostic>) {
    let octal = (3..=4).contains(&mode.len()) && mode.bytes().all(|b| (b'0'..=b'7').contains(&b));
    if !octal {
        let not = Diagnostic::error(format!("`{}` are not permissions", mode.value));
        mistakes.push(not.at(mode.place, "three or four octal digits").hint("write `permissions: \"0644\"`"));
    }
}

fn command(command: file::GuestCommand) -> Command {
    match command {
        file::GuestCommand::Shell(line) => Command::Shell(line),
        file::GuestCommand::Program(words) => Command::Program(words),
    }
}

fn mount(wish: file::Mount, mistakes: &mut Vec<Diagnostic>) -> Mount {
    absolute(&wish.path, mistakes);
    Mount {
        source: wish.source,
        path: wish.path.value,
        filesystem: wish.filesystem.unwrap_or_else(|| "auto".to_owned()),
        options: wish.options.0,
    }
}

pub(super) fn absolute(path: &At<String>, mistakes: &mut Vec<Diagnostic>) {
    if !path.starts_with('/') || path.chars().any(char::is_control) {
        let relative = Diagnostic::error(format!("`{}` is not an absolute path of the guest", path.value));
        mistakes.push(relative.at(path.place, "must begin with `/`"));
    }
}

/// The disks that the guest mounts.
fn mounted(instance: &Instance<Vm>, disks: &[Disk], mistakes: &mut Vec<Diagnostic>) -> Vec<DataDisk> {
    // Where a disk is a mistake there are fewer of them; nothing comes of the project then.
    let pairs = instance.spec.disks.iter().zip(disks);
    let mut places: BTreeMap<&str, Place> = BTreeMap::new();
    let mut mounted = Vec::new();
    for (path, disk) in pairs.filter_map(|(wish, disk)| Some((wish.mount.as_ref()?, disk))) {
        absolute(path, mistakes);
        if path.trim_end_matches('/').is_empty() {
            let root = Diagnostic::error("a disk cannot be mounted at `/`, where the root disk is");
            mistakes.push(root.at(path.place, "taken"));
        }
        if let Some(first) = places.insert(path.trim_end_matches('/'), path.place) {
            let twice = Diagnostic::error(format!("{} mounts two disks at `{}`", subject(instance), path.value));
            mistakes.push(twice.at(path.place, "mounted over it").and(first, "mounted first"));
        }
        let name = match disk {
            Disk::Volume { volume } => volume,
            Disk::Own { name, .. } => name,
        };
        let filesystem = Filesystem::default();
        mounted.push(DataDisk { serial: disk_serial(name), path: path.value.clone(), filesystem });
    }
    mounted
}

/// What cannot be right in user-data is told now, and not minutes later, or never, by the guest.
fn check_parts(texts: &Texts, given: &file::CloudInit, mistakes: &mut Vec<Diagnostic>, warnings: &mut Vec<Diagnostic>) {
    let parts = given.user_data.iter().flat_map(|file::UserData(parts)| parts).chain(&given.parts);
    for content in parts.filter(|part| part.content_type.is_none()).filter_map(|part| part.content.as_ref()) {
        for problem in seed::check(content.as_bytes()) {
            sort(problem.clone(), line(texts, content, problem.line), mistakes, warnings);
        }
    }
}

/// `config` is cloud-config of the user's own; its places within the file are not known any more.
fn check_config(
    config: &Map<String, Value>,
    given: Option<&At<Value>>,
    mistakes: &mut Vec<Diagnostic>,
    warnings: &mut Vec<Diagnostic>,
) {
    let Some(At { place, .. }) = given.filter(|_| !config.is_empty()) else { return };
    let text = format!("#cloud-config\n{}\n", Value::Object(config.clone()));
    for problem in seed::check(text.as_bytes()) {
        sort(problem, *place, mistakes, warnings);
    }
}

fn sort(problem: seed::Problem, place: Place, mistakes: &mut Vec<Diagnostic>, warnings: &mut Vec<Diagnostic>) {
    let (say, list): (fn(String) -> Diagnostic, _) = match problem.severity {
        seed::Severity::Error => (Diagnostic::error, mistakes),
        seed::Severity::Warning => (Diagnostic::warning, warnings),
    };
    list.push(say(problem.message).at(place, "in this user-data").maybe_hint(problem.hint));
}

/// Where a line of user-data stands in the user's file.
fn line(texts: &Texts, content: &At<String>, number: usize) -> Place {
    let start = content.split_inclusive('\n').take(number.saturating_sub(1)).map(str::len).sum::<usize>();
    let line = content.get(start..).and_then(|rest| rest.lines().next()).unwrap_or("");
    let indent = line.len() - line.trim_start().len();
    let place = content.place;
    let found = texts.find(place.at, content, start + indent..start + line.trim_end().len().max(indent));
    // What cannot be found, because a template made it, is said of the beginning.
    let first = texts.slice(place.at).lines().next().map_or(0, str::len);
    let at = if found == place.at && first > 0 { place.at.slice(0..first) } else { found };
    Place { at, via: place.via }
}
