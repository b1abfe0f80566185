//! User-data: the settings as cloud-config, with the user's own parts around them where there are any.
//!
//! Owns the translation of each setting, and how parts are put together. Knows nothing of the disk they end up on.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::{digest, json, secrets};
use crate::model::cloud_init::{CloudInit, Command, DataDisk, Encoding, Mount, Part, ShareMount, User, WriteFile};
use crate::model::secret::PasswordHash;

pub(super) const CLOUD_CONFIG: &str = "#cloud-config\n";

/// The settings alone are cloud-config. The user's own part alone stays as it is, to the byte. Otherwise it is a MIME
/// message of the user's parts and, last, the settings.
pub(super) fn make(settings: &CloudInit, disks: &[DataDisk], hosts: &BTreeMap<IpAddr, Vec<String>>) -> Vec<u8> {
    let asked = asked(settings, disks, hosts);
    match settings.user_data.as_slice() {
        [] => cloud_config(with_defaults(settings, asked)).into_bytes(),
        [Part { content, content_type: None }] if asked.is_empty() => content.clone().into_bytes(),
        parts => multipart(parts, asked).into_bytes(),
    }
}

fn cloud_config(config: Map<String, Value>) -> String {
    format!("{CLOUD_CONFIG}{}", json(&Value::Object(config)))
}

/// What nobody asked for but everybody expects. Left out beside the user's own user-data, which says it all itself.
fn with_defaults(settings: &CloudInit, mut config: Map<String, Value>) -> Map<String, Value> {
    let defaults = [
        ("ssh_pwauth", Value::Bool(settings.password_login)),
        // The guest knows its own name also where no name server does.
        ("manage_etc_hosts", "localhost".into()),
        // A change of the network comes without a new instance-id: see `make`.
        ("updates", json!({ "network": { "when": ["boot-new-instance", "boot"] } })),
    ];
    for (key, value) in defaults {
        config.entry(key).or_insert(value);
    }
    config
}

/// The keys of cloud-config that the settings ask for.
fn asked(settings: &CloudInit, disks: &[DataDisk], hosts: &BTreeMap<IpAddr, Vec<String>>) -> Map<String, Value> {
    let mut config = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            config.insert(key.to_owned(), value);
        }
    };
    put("ssh_pwauth", settings.password_login.then_some(true.into()));
    put("users", users(&settings.users));
    put("chpasswd", one_time_passwords(&settings.users));
    put("packages", list(settings.packages.iter().map(|name| json!(name))));
    put("package_update", settings.package_update.map(Value::Bool));
    put("package_upgrade", settings.package_upgrade.map(Value::Bool));
    put("write_files", list(settings.write_files.iter().map(write_file)));
    put(
        "bootcmd",
        list(
            hosts
                .iter()
                .map(know)
                .chain(disks.iter().map(prepare))
                .chain(settings.shares.iter().map(share))
                .chain(secrets::place(&settings.secrets))
                .chain(commands(&settings.bootcmd)),
        ),
    );
    put("runcmd", list(commands(&[secrets::hand_over(&settings.secrets), settings.runcmd.clone()].concat())));
    put("mounts", list(disks.iter().map(mount_disk).chain(settings.mounts.iter().map(mount))));
    put("timezone", settings.timezone.as_ref().map(|name| json!(name)));
    put("locale", settings.locale.as_ref().map(|name| json!(name)));
    put("ca_certs", list(settings.ca_certs.iter().map(|pem| json!(pem))).map(|pems| json!({ "trusted": pems })));
    if let Some(grow) = settings.growpart {
        put("growpart", Some(json!({ "mode": if grow { "auto" } else { "off" } })));
        put("resize_rootfs", Some(grow.into()));
    }
    for (key, value) in &settings.config {
        match (config.get_mut(key), value) {
            (Some(Value::Array(ours)), Value::Array(theirs)) => ours.extend(theirs.iter().cloned()),
            _ => drop(config.insert(key.clone(), value.clone())),
        }
    }
    config
}

fn list(items: impl Iterator<Item = Value>) -> Option<Value> {
    let items: Vec<Value> = items.collect();
    (!items.is_empty()).then_some(Value::Array(items))
}

/// Commands of which the first that fails is the last, and an error. cloud-init makes one script of them all and looks
/// at how that ends, which is how its last command ends: all others might fail without a word.
fn commands(commands: &[Command]) -> impl Iterator<Item = Value> {
    let first = (!commands.is_empty()).then(|| json!("set -e"));
    first.into_iter().chain(commands.iter().map(|command| json!(command)))
}

/// The image's own account stays; without `default` in this list it would go.
fn users(users: &[User]) -> Option<Value> {
    let all = std::iter::once(json!("default")).chain(users.iter().map(user));
    if users.is_empty() { None } else { list(all) }
}

fn user(user: &User) -> Value {
    let lock = user.lock_password.unwrap_or(user.password_hash.is_none());
    let mut account = json!({ "name": user.name, "lock_passwd": lock });
    let given = [
        // One-time passwords are set by `chpasswd`, the only module that can let them expire.
        ("passwd", user.password_hash.as_ref().filter(|_| !user.one_time_password).map(PasswordHash::expose)),
        ("sudo", user.sudo.as_deref()),
        ("shell", user.shell.as_deref()),
    ];
    for (key, value) in given {
        if let Some(value) = value {
            account[key] = value.into();
        }
    }
    for (key, values) in [("groups", &user.groups), ("ssh_authorized_keys", &user.ssh_authorized_keys)] {
        if !values.is_empty() {
            account[key] = json!(values);
        }
    }
    account
}

fn one_time_passwords(users: &[User]) -> Option<Value> {
    let hash = |user: &User| {
        let hash = user.password_hash.as_ref().filter(|_| user.one_time_password)?;
        Some(json!({ "name": user.name, "password": hash.expose(), "type": "hash" }))
    };
    list(users.iter().filter_map(hash)).map(|users| json!({ "expire": true, "users": users }))
}

fn write_file(file: &WriteFile) -> Value {
    let mut entry = json!({ "path": file.path, "content": file.content });
    match file.encoding {
        Encoding::Text => {}
        Encoding::Base64 => entry["encoding"] = "b64".into(),
        Encoding::Gzip => entry["encoding"] = "gz+b64".into(),
    }
    if let Some(owner) = &file.owner {
        entry["owner"] = owner.as_str().into();
        // Files are written before accounts and packages are there, unless they are told to wait.
        if owner.split(':').any(|name| name != "root") {
            entry["defer"] = true.into();
        }
    }
    if let Some(permissions) = &file.permissions {
        entry["permissions"] = permissions.as_str().into();
    }
    if file.append {
        entry["append"] = true.into();
    }
    entry
}

fn device(disk: &DataDisk) -> String {
    format!("/dev/disk/by-id/virtio-{}", disk.serial)
}

/// Makes a file system on a disk that is empty, and mounts it, at every boot, so that a disk that comes later gets one
/// as well.
///
/// Not by cloud-init's `fs_setup`: that formats a disk whose file system is another one than the wanted. `blkid -p`
/// looks at the disk itself and ends with 2 where it finds neither file system, nor partitions, nor anything else that
/// it knows; only then, and `mkfs` itself is not forced either. Not by `mounts` alone: that takes a disk which cannot be
/// mounted for a matter of the log, and a database would begin anew on the root disk.
fn prepare(disk: &DataDisk) -> Value {
    const SCRIPT: &str = concat!(
        "udevadm settle 2>/dev/null; test -b \"$0\" || { echo \"$0: no such disk\" >&2; exit 1; }; ",
        "blkid -p \"$0\" >/dev/null 2>&1; test $? -ne 2 || mkfs -t \"$1\" \"$0\" </dev/null || exit 1; ",
        "mountpoint -q \"$2\" || { mkdir -p \"$2\" && mount \"$0\" \"$2\"; }"
    );
    let words = [SCRIPT, &device(disk), disk.filesystem.as_str(), &disk.path].map(quoted).join(" ");
    json!(format!("sh -c {words} || exit 1"))
}

/// Mounts a folder of the host, at every boot. Which way it comes is the hypervisor's choice; the guest tries both.
fn share(share: &ShareMount) -> Value {
    const SCRIPT: &str = concat!(
        "mountpoint -q \"$1\" && exit 0; mkdir -p \"$1\" || exit 1; ",
        "mount -t virtiofs -o \"$2\" \"$0\" \"$1\" 2>/dev/null || ",
        "mount -t 9p -o \"$2,trans=virtio,version=9p2000.L,msize=262144\" \"$0\" \"$1\""
    );
    let options = if share.read_only { "ro" } else { "rw" };
    let words = [SCRIPT, &share.tag, &share.path, options].map(quoted).join(" ");
    json!(format!("sh -c {words} || exit 1"))
}

/// Puts an address and its names where a guest looks before it asks anybody, once.
fn know((address, names): (&IpAddr, &Vec<String>)) -> Value {
    let line = quoted(&format!("{address} {}", names.join(" ")));
    json!(format!("grep -qxF {line} /etc/hosts || echo {line} >>/etc/hosts"))
}

/// A word for the shell that means itself.
pub(super) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// For the later boots, by fstab.
fn mount_disk(disk: &DataDisk) -> Value {
    // `auto`: what is on the disk counts, not what an empty one would have got.
    json!([device(disk), disk.path, "auto"])
}

fn mount(mount: &Mount) -> Value {
    let mut fields = vec![mount.source.clone(), mount.path.clone(), mount.filesystem.clone()];
    if !mount.options.is_empty() {
        fields.push(mount.options.join(","));
    }
    json!(fields)
}

/// How cloud-init merges the settings into what the parts before them said: the user's own words stay, lists grow.
const MERGE: &str = "list(append)+dict(no_replace,recurse_list)+str()";

/// A MIME message (RFC 2046 section 5.1) of the user's parts, merged among each other as cloud-init always does, and of
/// the settings.
fn multipart(parts: &[Part], asked: Map<String, Value>) -> String {
    let mut entities: Vec<String> = parts.iter().map(entity).collect();
    if !asked.is_empty() {
        let config = cloud_config(asked);
        entities.push(format!("Merge-Type: {MERGE}\n{}", encoded("text/cloud-config", &config)));
    }
    // Nothing in base64 looks like it, and what is in a message of the user's does not hold its own digest.
    let boundary = format!("={}=", digest(entities.iter().map(String::as_bytes)));
    let mut message = format!("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"{boundary}\"\n\n");
    for entity in entities {
        message.extend(["--", &boundary, "\n", &entity, "\n"]);
    }
    message.extend(["--", &boundary, "--\n"]);
    message
}

fn entity(part: &Part) -> String {
    match &part.content_type {
        Some(content_type) => encoded(content_type, &part.content),
        // A message of its own, headers and all.
        None if is_message(&part.content) => part.content.trim_start().to_owned(),
        None => encoded(super::check::content_type(&part.content).unwrap_or("text/plain"), &part.content),
    }
}

pub(super) fn is_message(text: &str) -> bool {
    let start = text.trim_start();
    let starts = |header: &str| start.get(..header.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(header));
    starts("content-type:") || starts("mime-version:")
}

/// In base64: an encoding that keeps every character, whatever decodes it.
fn encoded(content_type: &str, content: &str) -> String {
    let body = base64(content.as_bytes());
    let lines: Vec<&str> = (0..body.len()).step_by(76).map(|at| &body[at..body.len().min(at + 76)]).collect();
    format!(
        "Content-Type: {content_type}; charset=\"utf-8\"\nContent-Transfer-Encoding: base64\n\n{}\n",
        lines.join("\n")
    )
}

/// Base64 (RFC 4648 section 4).
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) & 63;
            text.push(if digit <= three.len() { char::from(DIGITS[value as usize]) } else { '=' });
        }
    }
    text
}
