//! What a guest is told at its first boot: accounts, files, packages, commands, data disks, network.
//!
//! Owns the values, in the words of the compose file. A password is held as a hash only, and of a secret there is only
//! its name, so that these values may be recorded. Knows nothing of how they are written down for cloud-init: that is the seed's business.

mod nic;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::Share;
use super::image::Digest;
use super::login::ProjectKey;
use super::secret::{self, PasswordHash};
use crate::names::{SecretName, VolumeName};

pub use nic::{Address, Nic, nics};

/// Settings for the first boot of a vm.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CloudInit {
    /// The guest's name with its domain; its first label is the host name. Without it the vm's host name alone is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fqdn: Option<String>,
    /// The user's own user-data, one part or several, as it is. The other settings are added to it as one more part.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub user_data: Vec<Part>,
    /// Accounts besides the image's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<User>,
    /// Keys that may log in as the image's own account.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ssh_authorized_keys: Vec<String>,
    /// The key of the project, where the file gives none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_key: Option<ProjectKey>,
    /// Whether SSH takes passwords.
    #[serde(skip_serializing_if = "is_false")]
    pub password_login: bool,
    /// Packages to install.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// Whether the lists of packages are fetched anew, where the image does not do so by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package_update: Option<bool>,
    /// Whether all packages are brought up to date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package_upgrade: Option<bool>,
    /// Files to write.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub write_files: Vec<WriteFile>,
    /// Commands run at the end of the first boot; the first that fails is the last, and an error.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runcmd: Vec<Command>,
    /// Commands run early in every boot, likewise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bootcmd: Vec<Command>,
    /// Secrets that become files of the guest, at every start.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretFile>,
    /// The vm's further disks that it formats, if they are empty, and mounts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<DataDisk>,
    /// Folders of the host that it mounts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<ShareMount>,
    /// Further file systems to mount.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Time zone, such as `Europe/Berlin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Locale, such as `de_DE.UTF-8`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// Certificates (PEM) of authorities that the guest trusts besides its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ca_certs: Vec<String>,
    /// Whether the root partition and its file system grow to the size of the disk; as the image does it by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub growpart: Option<bool>,
    /// Further keys of cloud-config, as they are. They win over the above; lists are put together.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub config: Map<String, Value>,
    /// Further keys of the meta-data.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub meta_data: BTreeMap<String, Value>,
}

impl CloudInit {
    /// Whether the settings themselves let somebody in by key.
    pub fn lets_in(&self) -> bool {
        // The user's own text is searched, not read: whoever writes of keys there has thought of them.
        let says = |text: &str| text.contains("ssh_authorized_keys") || text.contains("ssh_import_id");
        !self.ssh_authorized_keys.is_empty()
            || self.users.iter().any(|user| !user.ssh_authorized_keys.is_empty())
            || self.meta_data.contains_key("public-keys")
            || says(&Value::Object(self.config.clone()).to_string())
            || self.user_data.iter().any(|part| says(&part.content))
    }

    /// The settings with the key of the project among those that let in: as the image's own account, and as `user` where
    /// that is one of the accounts that they make.
    #[must_use]
    pub fn with_project_key(mut self, user: Option<&str>) -> Self {
        let Some(ProjectKey::Public(key)) = self.project_key.take() else { return self };
        if let Some(account) = self.users.iter_mut().find(|account| Some(account.name.as_str()) == user) {
            account.ssh_authorized_keys.push(key.clone());
        }
        self.ssh_authorized_keys.push(key);
        self
    }

    /// The secrets that the guest gets, as files or within other settings.
    pub fn asks_for(&self) -> BTreeSet<SecretName> {
        let settings = serde_json::to_value(self).expect("settings have no map with keys that are not strings");
        let mut names = secret::referenced(&settings);
        names.extend(self.secrets.iter().map(|file| file.source.clone()));
        names
    }

    /// The same as they are when they were recorded and read back: of a password's hash there is its fingerprint.
    #[must_use]
    pub fn recorded(&self) -> Self {
        let mut recorded = self.clone();
        for user in &mut recorded.users {
            user.password_hash = user.password_hash.as_ref().map(PasswordHash::fingerprint);
        }
        recorded
    }

    /// The first account whose password's hash is not known any more, because the settings were recorded and read back.
    pub fn lacking(&self) -> Option<&User> {
        self.users.iter().find(|user| user.password_hash.as_ref().is_some_and(|hash| !hash.is_known()))
    }
}

/// A secret as a file of the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretFile {
    /// Which secret.
    pub source: SecretName,
    /// Where, absolute.
    pub path: String,
    /// Whose it is, `user:group` as `chown` takes it; root's by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Who may do what with it, in octal digits.
    pub mode: String,
}

impl SecretFile {
    /// The folder of files whose place nobody chose. It is in memory.
    pub const FOLDER: &'static str = "/run/secrets";
    /// Where systemd looks for what `LoadCredential=` names, in memory too.
    pub const CREDENTIALS: &'static str = "/run/credstore";
    /// Its owner may read it, nobody else.
    pub const MODE: &'static str = "0400";
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// A folder of the host as the guest sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareMount {
    /// By which name it is offered.
    pub tag: String,
    /// Where it is mounted.
    pub path: String,
    /// Whether it may only be read.
    #[serde(default, skip_serializing_if = "is_false")]
    pub read_only: bool,
}

impl ShareMount {
    /// How a guest mounts a share.
    pub fn of(share: &Share) -> Self {
        Self { tag: share.tag(), path: share.target.clone(), read_only: share.read_only }
    }
}

/// One part of user-data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its text.
    pub content: String,
    /// Its MIME type, such as `text/jinja2`; else its first line tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
}

impl Part {
    /// A part whose first line tells what it is.
    pub fn new(content: impl Into<String>) -> Self {
        Self { content: content.into(), content_type: None }
    }
}

/// An account of the guest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its password, hashed as in `/etc/shadow`. An account without one can be reached by key only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<PasswordHash>,
    /// Whether the password must be changed at the first login.
    #[serde(skip_serializing_if = "is_false")]
    pub one_time_password: bool,
    /// Whether the password is locked; by default it is where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock_password: Option<bool>,
    /// Keys that may log in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ssh_authorized_keys: Vec<String>,
    /// What it may do as root: a rule of sudoers, such as `ALL=(ALL) NOPASSWD:ALL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sudo: Option<String>,
    /// Further groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Its shell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
}

/// A file to write.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WriteFile {
    /// Where, absolute.
    pub path: String,
    /// What is in it, written as `encoding` says.
    pub content: String,
    /// How `content` is written.
    #[serde(skip_serializing_if = "is_text")]
    pub encoding: Encoding,
    /// Whose it is, `user` or `user:group`; root's by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Who may do what with it, in octal digits, such as `0640`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions: Option<String>,
    /// Added to the end of what is there.
    #[serde(skip_serializing_if = "is_false")]
    pub append: bool,
}

/// How the content of a file is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    /// As it is.
    #[default]
    #[serde(rename = "text")]
    Text,
    /// Base64 (RFC 4648 section 4).
    #[serde(rename = "b64")]
    Base64,
    /// Compressed with gzip, then base64.
    #[serde(rename = "gz+b64")]
    Gzip,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_text(encoding: &Encoding) -> bool {
    *encoding == Encoding::Text
}

/// A command: a line for the shell, or a program and its arguments. Written as a text or as a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A line for the shell.
    Shell(String),
    /// A program and its arguments.
    Program(Vec<String>),
}

impl Serialize for Command {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Shell(line) => serializer.serialize_str(line),
            Self::Program(words) => words.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = Command;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a command: a text or a list of texts")
            }
            fn visit_str<E: serde::de::Error>(self, line: &str) -> Result<Command, E> {
                Ok(Command::Shell(line.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Command, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = list.next_element()? {
                    words.push(word);
                }
                Ok(Command::Program(words))
            }
        }
        deserializer.deserialize_any(Form)
    }
}

/// A file system to mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The device, or what the file system calls its source.
    pub source: String,
    /// Where.
    pub path: String,
    /// Its type, such as `ext4`, `9p` or `virtiofs`.
    pub filesystem: String,
    /// Options; cloud-init's own where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// A disk that the guest formats, if it is empty, and mounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataDisk {
    /// What its hardware says it is called: see [`disk_serial`].
    pub serial: String,
    /// Where it is mounted.
    pub path: String,
    /// The file system that an empty disk gets.
    #[serde(default)]
    pub filesystem: Filesystem,
}

/// File systems that an empty disk can get.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filesystem {
    /// What every image can make.
    #[default]
    Ext4,
    /// Where the image has its tools.
    Xfs,
    /// Where the image has its tools.
    Btrfs,
}

impl Filesystem {
    /// Its name, as `mkfs` and `mount` have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }
}

/// Length of a virtio disk's serial (virtio 1.2, section 5.2.6.2); what is longer is cut off by the guest.
const SERIAL: usize = 20;

/// The serial by which a guest finds a disk, whatever letter it has: the name where it fits into 20 bytes, else its
/// beginning and its hash.
pub fn disk_serial(disk: &VolumeName) -> String {
    let name = disk.as_str();
    if name.len() <= SERIAL {
        return name.to_owned();
    }
    let digest = Digest::of(&Sha256::digest(name.as_bytes()).into()).to_string();
    format!("{}-{}", &name[..SERIAL - 9], &digest[..8])
}
