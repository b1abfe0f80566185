//! `cloud_init` as the file has it.
//!
//! Owns its keys and their short forms. Knows nothing of what cloud-init makes of them.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::guest::{Fqdn, PasswordHash, SshKey};
use super::secret::SecretUse;
use super::shape::{OneOrMany, any_of, deserialize_form, refused};
use crate::compose::decode::{At, Form, Refused};

/// Settings for the guest's first boot.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CloudInit {
    /// User-data as it is: a text, `{file: PATH}`, `{template: PATH}`, or a list of these. The other keys are added to it.
    pub(crate) user_data: Option<UserData>,
    /// Further parts of user-data, merged by the guest in their order.
    pub(crate) parts: Vec<Part>,
    /// The guest's name with its domain. Default: the host name alone. Example: `fqdn: db.example.org`
    pub(crate) fqdn: Option<Fqdn>,
    /// Accounts besides the image's own. Example: `users: [{name: ada, sudo: "ALL=(ALL) NOPASSWD:ALL"}]`
    pub(crate) users: Vec<User>,
    /// Public keys that may log in as the image's own account.
    pub(crate) ssh_authorized_keys: Vec<SshKey>,
    /// Whether SSH takes passwords. Default: false
    pub(crate) password_login: Option<bool>,
    /// Packages to install. Example: `packages: [postgresql]`
    pub(crate) packages: Vec<At<String>>,
    /// Whether the lists of packages are fetched anew.
    pub(crate) package_update: Option<bool>,
    /// Whether all packages are brought up to date.
    pub(crate) package_upgrade: Option<bool>,
    /// Files to write. Example: `write_files: [{path: /etc/motd, content: hello}]`
    pub(crate) write_files: Vec<WriteFile>,
    /// Commands run at the end of the first boot: texts for the shell, or lists of words. The first that fails ends them.
    pub(crate) runcmd: Vec<GuestCommand>,
    /// Commands run early in every boot.
    pub(crate) bootcmd: Vec<GuestCommand>,
    /// Further file systems to mount.
    pub(crate) mounts: Vec<Mount>,
    /// Time zone. Example: `timezone: Europe/Berlin`
    pub(crate) timezone: Option<String>,
    /// Locale. Example: `locale: de_DE.UTF-8`
    pub(crate) locale: Option<String>,
    /// Certificates (PEM) of authorities that the guest trusts besides its own.
    pub(crate) ca_certs: Vec<At<String>>,
    /// Whether the root partition grows to the size of the disk. Default: as the image does it
    pub(crate) growpart: Option<bool>,
    /// Further keys of cloud-config, as they are.
    pub(crate) config: Option<At<Value>>,
    /// Further keys of the meta-data.
    pub(crate) meta_data: Option<At<Value>>,
    /// Secrets that become files of the guest: names, which are files in `/run/secrets`, or mappings. They are there before
    /// its services start, at every start by vmcompose. Example: `secrets: [db_password]`
    pub(crate) secrets: Vec<SecretUse>,
}

/// An account of the guest.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct User {
    /// Its name.
    pub(crate) name: At<String>,
    /// Its password, hashed. Default: none, so that only keys let in
    #[serde(default)]
    pub(crate) password_hash: Option<PasswordHash>,
    /// Whether the password must be changed at the first login. Default: false
    #[serde(default)]
    pub(crate) one_time_password: Option<bool>,
    /// Keys that may log in.
    #[serde(default)]
    pub(crate) ssh_authorized_keys: Vec<SshKey>,
    /// What it may do as root: a rule of sudoers.
    #[serde(default)]
    pub(crate) sudo: Option<String>,
    /// Further groups.
    #[serde(default)]
    pub(crate) groups: OneOrMany<String>,
    /// Its shell.
    #[serde(default)]
    pub(crate) shell: Option<String>,
}

/// A file to write.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WriteFile {
    /// Where, absolute.
    pub(crate) path: At<String>,
    /// What is in it.
    #[serde(default)]
    pub(crate) content: String,
    /// How `content` is written. Default: text
    #[serde(default)]
    pub(crate) encoding: Option<FileEncoding>,
    /// Whose it is: `user` or `user:group`. Default: root:root
    #[serde(default)]
    pub(crate) owner: Option<String>,
    /// Who may do what with it, in octal digits, quoted. Default: "0644"
    #[serde(default)]
    pub(crate) permissions: Option<At<String>>,
    /// Added to the end of what is there. Default: false
    #[serde(default)]
    pub(crate) append: Option<bool>,
}

/// How the content of a file is written.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub(crate) enum FileEncoding {
    /// As it is.
    #[serde(rename = "text")]
    Text,
    /// In base64.
    #[serde(rename = "b64")]
    Base64,
    /// Compressed with gzip, then in base64.
    #[serde(rename = "gz+b64")]
    Gzip,
}

/// A file system to mount.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mount {
    /// The device, or what the file system calls its source.
    pub(crate) source: String,
    /// Where, absolute.
    pub(crate) path: At<String>,
    /// Its type, such as `ext4` or `9p`. Default: auto
    #[serde(default)]
    pub(crate) filesystem: Option<String>,
    /// Options of the mount.
    #[serde(default)]
    pub(crate) options: OneOrMany<String>,
}

/// A command: a text for the shell, or a program and its arguments.
#[derive(Debug, Clone)]
pub(crate) enum GuestCommand {
    /// For the shell.
    Shell(String),
    /// A program and its arguments.
    Program(Vec<String>),
}

/// User-data: one part or several.
#[derive(Debug, Clone, Default)]
pub(crate) struct UserData(pub(crate) Vec<Part>);

/// One part of user-data.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// Its text; `None` where its file could not be read, which was reported.
    pub(crate) content: Option<At<String>>,
    /// Its MIME type, where its first line does not tell.
    pub(crate) content_type: Option<At<String>>,
}

/// The long form of a part: exactly one of `content`, `file` and `template`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LongPart {
    /// The text.
    pub(crate) content: Option<At<String>>,
    /// A file that is taken as it is.
    pub(crate) file: Option<At<String>>,
    /// A file that is a template: it sees what templates of this vm see.
    pub(crate) template: Option<At<String>>,
    /// Its MIME type. Default: as its first line tells
    pub(crate) content_type: Option<At<String>>,
}

deserialize_form!(GuestCommand, UserData, Part);

impl Form for GuestCommand {
    const EXPECTED: &'static str = "a command: a text for the shell, or a list of words";
    type Scalar = String;
    type List = Vec<String>;
    type Mapping = Refused;

    refused!(mapping);

    fn scalar(line: String) -> Result<Self, String> {
        Ok(Self::Shell(line))
    }

    fn list(words: Vec<String>) -> Result<Self, String> {
        if words.is_empty() { Err("a command must not be empty".to_owned()) } else { Ok(Self::Program(words)) }
    }
}

impl Form for Part {
    const EXPECTED: &'static str = "a text, or a mapping with `content`, `file` or `template`";
    type Scalar = At<String>;
    type List = Refused;
    type Mapping = LongPart;

    refused!(list);

    fn scalar(text: At<String>) -> Result<Self, String> {
        Ok(Self { content: Some(text), content_type: None })
    }

    fn mapping(LongPart { content, file, template, content_type }: LongPart) -> Result<Self, String> {
        let given = [&content, &file, &template].into_iter().flatten().count();
        if given == 1 {
            Ok(Self { content, content_type })
        } else {
            Err("user-data needs exactly one of `content`, `file` and `template`".to_owned())
        }
    }
}

impl Form for UserData {
    const EXPECTED: &'static str = "a text, a list of parts, or a mapping with `file` or `template`";
    type Scalar = At<String>;
    type List = Vec<Part>;
    type Mapping = LongPart;

    fn scalar(text: At<String>) -> Result<Self, String> {
        Part::scalar(text).map(|part| Self(vec![part]))
    }

    fn list(parts: Vec<Part>) -> Result<Self, String> {
        Ok(Self(parts))
    }

    fn mapping(part: LongPart) -> Result<Self, String> {
        Part::mapping(part).map(|part| Self(vec![part]))
    }
}

any_of!(
    GuestCommand, "GuestCommand", "a command: a text for the shell, or a list of words", [{"type": "string"}],
    [Vec<String>]
);
any_of!(Part, "Part", "a part of user-data: a text, or a file", [{"type": "string"}], [LongPart]);
any_of!(
    UserData, "UserData", "user-data: a text, a file, or a list of parts", [{"type": "string"}], [LongPart, Vec<Part>]
);
