//! Keys about what is inside the guest: its name and logging in.
//!
//! Owns their forms and the types that are legal by construction: host names, SSH keys, password hashes.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::shape::{OneOrMany, any_of, deserialize_form, refused};
use crate::compose::decode::{At, Form, Refused};
use crate::model::secret;

/// A host name: DNS labels, in lower case (RFC 1123 section 2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fqdn(pub(crate) String);

impl Fqdn {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let name = text.trim().trim_end_matches('.').to_ascii_lowercase();
        let legal = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if name.len() <= 253 && name.split('.').all(legal) {
            return Ok(Self(name));
        }
        Err(format!("`{text}` is not a host name; it has letters, digits and `-`, in parts of at most 63 characters"))
    }
}

/// A public key for SSH, as it stands in a `.pub` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SshKey(pub(crate) String);

const KEY_TYPES: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

impl SshKey {
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.contains("PRIVATE KEY") {
            return Err("this is a private key; it stays where it is: give the `.pub` file's line".to_owned());
        }
        let mut words = text.split_ascii_whitespace();
        let (kind, data) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        if !KEY_TYPES.contains(&kind) || text.lines().count() != 1 {
            return Err("not an SSH public key; it begins with its type, such as `ssh-ed25519 AAAA…`".to_owned());
        }
        // The data repeats the type, after its length in four bytes (RFC 4253 section 6.6): that finds a cut-off key.
        let length = u32::try_from(kind.len()).unwrap_or(0).to_be_bytes();
        let starts = |bytes: &Vec<u8>| {
            bytes
                .strip_prefix(&length[..])
                .and_then(|rest| rest.strip_prefix(kind.as_bytes()))
                .is_some_and(|k| !k.is_empty())
        };
        match base64(data).filter(starts) {
            Some(_) => Ok(Self(text.to_owned())),
            None => Err(format!("the `{kind}` key is damaged; copy the whole line of the `.pub` file")),
        }
    }
}

/// Decodes base64 (RFC 4648 section 4).
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::with_capacity(digits.len() * 3 / 4));
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0x00ff_ffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(bytes)
}

/// A password, hashed as in `/etc/shadow` (crypt(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PasswordHash(pub(crate) String);

impl PasswordHash {
    fn parse(text: &str) -> Result<Self, String> {
        // Looked at only when it is known, and then by the guest.
        if secret::references(text).len() == 1 && secret::replace(text, |_| Some(String::new())).is_empty() {
            return Ok(Self(text.to_owned()));
        }
        let method = text.strip_prefix('$').and_then(|rest| rest.split('$').next()).unwrap_or("");
        let known = matches!(method, "y" | "gy" | "7" | "2b" | "2a" | "2y" | "6" | "5");
        let legal = |c: char| c.is_ascii_alphanumeric() || "./$=,-+".contains(c);
        if known && text.len() > 20 && text.chars().all(legal) && text.matches('$').count() >= 3 {
            return Ok(Self(text.to_owned()));
        }
        // The text is not repeated: it may be a password.
        Err("not a password hash; make one with `mkpasswd --method=yescrypt`, and quote it".to_owned())
    }
}

macro_rules! texts {
    ($($type:ident $name:literal $description:literal $pattern:literal;)*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "description": $description, "type": "string", "pattern": $pattern })
            }
        }
    )*};
}

texts! {
    Fqdn "Hostname" "a host name" r"^\s*[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?\.?\s*$";
    SshKey "SshKey" "a line of a `.pub` file" "^\\s*(ssh-|ecdsa-|sk-)";
    AccountName "AccountName" "the name of an account" r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}$";
    PasswordHash "PasswordHash" "a password, hashed as in /etc/shadow" r"^\$";
}

/// How to log in: a mapping, or `false` where the project's key has no business in the guest.
#[derive(Debug, Clone)]
pub(crate) enum Ssh {
    /// With the project's key, or without.
    Whether(bool),
    /// In this way.
    How(LongLogin),
}

/// The long form of `ssh`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LongLogin {
    /// The account. Default: the first of `cloud_init.users`, else the image's own
    pub(crate) user: Option<At<AccountName>>,
    /// Keys that may log in. Default: one that `up` makes for the project
    pub(crate) authorized_keys: OneOrMany<SshKey>,
    /// The port. Default: 22
    pub(crate) port: Option<PortNumber>,
}

deserialize_form!(Ssh);

impl Form for Ssh {
    const EXPECTED: &'static str = "`true`, `false`, or a mapping";
    type Scalar = bool;
    type List = Refused;
    type Mapping = LongLogin;

    refused!(list);

    fn scalar(whether: bool) -> Result<Self, String> {
        Ok(Self::Whether(whether))
    }

    fn mapping(how: LongLogin) -> Result<Self, String> {
        Ok(Self::How(how))
    }
}

any_of!(Ssh, "Ssh", "how to log in: a mapping, or `false`", [{"type": "boolean"}], [LongLogin]);

/// The name of an account, as the tools of Linux take it (useradd(8)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccountName(pub(crate) String);

impl AccountName {
    fn parse(text: &str) -> Result<Self, String> {
        let legal = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if text.is_empty() || text.len() > 32 || !text.chars().all(legal) || text.starts_with(['-', '.']) {
            let form = "it has at most 32 letters, digits, `_`, `-` and `.`";
            return Err(format!("`{text}` is not the name of an account; {form}"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A port that something can listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PortNumber(pub(crate) u16);

impl<'de> Deserialize<'de> for PortNumber {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            port @ 1..=65535 => Ok(Self(u16::try_from(port).unwrap_or(u16::MAX))),
            port => Err(serde::de::Error::custom(format!("`{port}` is not a port; ports go from 1 to 65535"))),
        }
    }
}

impl JsonSchema for PortNumber {
    fn schema_name() -> Cow<'static, str> {
        "PortNumber".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": 65535 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_legal_and_in_lower_case() {
        assert_eq!(Fqdn::parse("Web-1.Example.org."), Ok(Fqdn("web-1.example.org".to_owned())));
        for text in ["", "-a", "a-", "a..b", "a_b", "ä", &"a".repeat(64)] {
            assert!(Fqdn::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_public_key_is_whole_and_public() {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPuD3bB6mCVAUUFkWxdTE5sDJ6JyJzDGzSiVGVSbUNh me@host";
        assert!(SshKey::parse(key).is_ok());
        for text in ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-dss AAAA", "-----BEGIN OPENSSH PRIVATE KEY-----", "x"]
        {
            assert!(SshKey::parse(text).is_err(), "{text}");
        }
        assert!(SshKey::parse(&key.replace("AAAAC3", "AAAAC")).is_err());
    }

    #[test]
    fn a_password_is_not_taken_for_its_hash() {
        assert!(PasswordHash::parse("$6$saltsalt$abcdefghijklmnop").is_ok());
        assert!(PasswordHash::parse("$y$j9T$abcdefgh$0123456789").is_ok());
        for text in ["hunter2", "$1$old$abcdefghijklmnop", "$6$", "$6$salt$with space and more text"] {
            let message = PasswordHash::parse(text).expect_err("not a hash");
            assert!(!message.contains(text), "a password must not be repeated");
        }
    }
}
