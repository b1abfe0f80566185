//! Secrets: where their values come from, how texts refer to them, and the one type that holds a value.
//!
//! Owns the rule that a value never leaves by accident: [`SecretValue`] cannot be printed or serialised, and whatever is
//! recorded, planned or told has the secret's name only. Reads nothing: that is the business of [`crate::secret`].

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::names::SecretName;
use crate::units::Span;

/// A secret as the file declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Its name.
    pub name: SecretName,
    /// Where its value comes from.
    pub from: SecretFrom,
    /// How long reading it may take.
    pub timeout: Span,
}

impl Secret {
    /// Default limit of reading one: a command may ask for a key on a token, or a server far away.
    pub const TIMEOUT: Span = Span::secs(30);
}

/// Where the value of a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretFrom {
    /// A variable of the environment.
    Environment(String),
    /// A file, byte by byte.
    File {
        /// Which.
        path: PathBuf,
        /// Whether others than its owner may read it.
        insecure: bool,
    },
    /// What a command prints; a line break at its end is not part of it.
    Command {
        /// The program and its arguments.
        words: Vec<String>,
        /// The folder it runs in.
        folder: PathBuf,
    },
    /// A file that sops has encrypted.
    Sops {
        /// Which.
        path: PathBuf,
        /// The way to one value in it; empty for the whole file.
        key: Vec<String>,
    },
    /// A field of a secret in Vault's key-value store, version 2.
    Vault(VaultField),
}

impl SecretFrom {
    /// The key by which the file calls it.
    pub fn provider(&self) -> &'static str {
        match self {
            Self::Environment(_) => "environment",
            Self::File { .. } => "file",
            Self::Command { .. } => "command",
            Self::Sops { .. } => "sops",
            Self::Vault(_) => "vault",
        }
    }
}

/// A field of a secret in Vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultField {
    /// The server; `VAULT_ADDR` where `None`.
    pub address: Option<String>,
    /// Its namespace; `VAULT_NAMESPACE` where `None`.
    pub namespace: Option<String>,
    /// Where the key-value store is mounted.
    pub mount: String,
    /// The secret's path below that.
    pub path: String,
    /// Which field of it.
    pub field: String,
}

/// The value of a secret. Overwritten in memory when the last copy goes.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Arc<Zeroizing<Vec<u8>>>);

impl SecretValue {
    /// Takes bytes as a value.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Zeroizing::new(bytes)))
    }

    /// The bytes, for whoever delivers them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A password, hashed as in `/etc/shadow`.
///
/// It is serialised, shown and compared as its fingerprint: that tells a change and says nothing, because what it is the
/// hash of has a salt in it that is known to nobody who does not have it. One that was read back is that fingerprint alone.
/// One that refers to a secret is that reference everywhere.
#[derive(Clone)]
pub struct PasswordHash(Zeroizing<String>);

const FINGERPRINT: &str = "sha256:";

impl PasswordHash {
    /// Takes a text as a hash.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The hash, or what is known of it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is more than a fingerprint.
    pub fn is_known(&self) -> bool {
        !self.0.starts_with(FINGERPRINT)
    }

    /// What stands for it where others look.
    #[must_use]
    pub fn fingerprint(&self) -> Self {
        if !self.is_known() || !references(&self.0).is_empty() {
            return self.clone();
        }
        let digest = Sha256::digest(self.0.as_bytes());
        let hex = digest.iter().take(16).fold(FINGERPRINT.to_owned(), |hex, byte| hex + &format!("{byte:02x}"));
        Self::new(hex)
    }
}

impl PartialEq for PasswordHash {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint().0 == other.fingerprint().0
    }
}

impl Eq for PasswordHash {}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.fingerprint().0))
    }
}

impl Serialize for PasswordHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.fingerprint().0)
    }
}

impl<'de> Deserialize<'de> for PasswordHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

// A reference stands in a text as the secret's name between two characters that are nobody's (Unicode's private use):
// nothing that a guest is told has them by chance, as it may well have `{{ secrets.x }}`.
const OPEN: char = '\u{e000}';
const CLOSE: char = '\u{e001}';

/// What stands in a text for the value of a secret.
pub fn reference(name: &SecretName) -> String {
    format!("{OPEN}{name}{CLOSE}")
}

/// The secrets that a text refers to, in order, each as often as it does.
pub fn references(text: &str) -> Vec<SecretName> {
    let mut found = Vec::new();
    let _ = replace(text, |name| {
        found.push(name.clone());
        None
    });
    found
}

/// The text with each reference replaced; one for which there is nothing stays.
pub fn replace(text: &str, mut with: impl FnMut(&SecretName) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(OPEN) {
        let inner = &rest[start + OPEN.len_utf8()..];
        let name = inner.find(CLOSE).and_then(|end| SecretName::new(&inner[..end]).ok());
        out.push_str(&rest[..start]);
        rest = inner;
        match name {
            Some(name) => {
                rest = &inner[name.as_str().len() + CLOSE.len_utf8()..];
                out.push_str(&with(&name).unwrap_or_else(|| reference(&name)));
            }
            None => out.push(OPEN),
        }
    }
    out.push_str(rest);
    out
}

/// The text as the user wrote it, with templates for references.
pub fn shown(text: &str) -> String {
    replace(text, |name| {
        let name = name.as_str();
        Some(if name.contains('-') {
            format!("{{{{ secrets[\"{name}\"] }}}}")
        } else {
            format!("{{{{ secrets.{name} }}}}")
        })
    })
}

/// The secrets that any text within a value refers to.
pub fn referenced(value: &serde_json::Value) -> BTreeSet<SecretName> {
    use serde_json::Value;
    match value {
        Value::String(text) => references(text).into_iter().collect(),
        Value::Array(items) => items.iter().flat_map(referenced).collect(),
        Value::Object(fields) => fields.values().flat_map(referenced).collect(),
        _ => BTreeSet::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> SecretName {
        SecretName::new(text).expect("a legal name")
    }

    #[test]
    fn a_value_does_not_show_itself() {
        let value = SecretValue::new(b"hunter2".to_vec());
        assert_eq!(format!("{value:?} {:#?}", Some(&value)), "*** Some(\n    ***,\n)");
        assert_eq!(value.expose(), b"hunter2");
    }

    #[test]
    fn a_hash_is_known_by_its_fingerprint_alone() {
        let hash = PasswordHash::new("$6$salt$hash");
        let text = serde_json::to_string(&hash).expect("JSON");
        assert!(text.starts_with("\"sha256:") && text.len() == 41, "{text}");
        assert!(!format!("{text} {hash:?}").contains('$'));
        let read: PasswordHash = serde_json::from_str(&text).expect("a hash");
        assert_eq!((&read, read.is_known(), hash.is_known()), (&hash, false, true));
        assert_ne!(PasswordHash::new("$6$salt$other"), hash);
        let referring = PasswordHash::new(reference(&name("a")));
        assert_eq!(referring.fingerprint().expose(), reference(&name("a")));
    }

    #[test]
    fn references_are_found_replaced_and_shown() {
        let text = format!("a={} b={} {OPEN}No!{CLOSE} {OPEN}", reference(&name("a")), reference(&name("b-c")));
        assert_eq!(references(&text), [name("a"), name("b-c")]);
        let filled = replace(&text, |of| (of.as_str() == "a").then(|| "1".to_owned()));
        assert_eq!(filled, text.replace(&reference(&name("a")), "1"));
        assert_eq!(shown(&text), format!("a={{{{ secrets.a }}}} b={{{{ secrets[\"b-c\"] }}}} {OPEN}No!{CLOSE} {OPEN}"));
    }
}
