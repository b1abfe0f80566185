//! Secrets: where their values come from, and what they become in a guest.
//!
//! Owns the keys of `secrets` at the top of the file and of `cloud_init`. Reads none.

use schemars::JsonSchema;
use serde::Deserialize;

use super::shape::{OneOrMany, any_of, deserialize_form, refused};
use crate::compose::decode::{At, Form, Refused};
use crate::units::Span;

/// A secret: where its value comes from. It is read when a run needs it, and never shown.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Secret {
    /// A variable of the environment. Example: `environment: DB_PASSWORD`
    pub(crate) environment: Option<At<String>>,
    /// A file, relative to this file's folder, which only its owner may read.
    pub(crate) file: Option<At<String>>,
    /// What a command prints: a list of words. Example: `command: [pass, show, shop/db]`
    pub(crate) command: Option<At<Words>>,
    /// A file encrypted with sops, or a mapping with `file` and `key`.
    pub(crate) sops: Option<At<Sops>>,
    /// A field of a secret in Vault's key-value store, version 2: `MOUNT/PATH#FIELD`, or a mapping. Example: `vault:
    /// secret/shop/db#password`
    pub(crate) vault: Option<At<Vault>>,
    /// Takes a `file` that others may read as well. Default: false
    pub(crate) insecure: Option<At<bool>>,
    /// How long reading it may take. Default: 30s
    pub(crate) timeout: Option<At<Span>>,
}

/// A program and its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Words(pub(crate) Vec<String>);

/// A file encrypted with sops.
#[derive(Debug, Clone)]
pub(crate) struct Sops(pub(crate) LongSops);

/// The long form of a file encrypted with sops.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LongSops {
    /// The file, relative to this file's folder.
    pub(crate) file: At<String>,
    /// The key of the value, or several that lead to it. Default: the whole file
    #[serde(default)]
    pub(crate) key: OneOrMany<String>,
}

/// A field of a secret in Vault.
#[derive(Debug, Clone)]
pub(crate) struct Vault(pub(crate) LongVault);

/// The long form of a field of a secret in Vault.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LongVault {
    /// The secret's path below the mount.
    pub(crate) path: String,
    /// Which of its fields.
    pub(crate) field: String,
    /// Where the key-value store is mounted. Default: secret
    #[serde(default)]
    pub(crate) mount: Option<String>,
    /// The server. Default: the variable `VAULT_ADDR`
    #[serde(default)]
    pub(crate) address: Option<At<String>>,
    /// Its namespace. Default: the variable `VAULT_NAMESPACE`
    #[serde(default)]
    pub(crate) namespace: Option<String>,
}

/// A secret that a guest gets: its name, or a mapping.
#[derive(Debug, Clone)]
pub(crate) struct SecretUse(pub(crate) LongSecretUse);

/// The long form of a secret that a guest gets.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LongSecretUse {
    /// Which secret of the file's.
    pub(crate) source: At<String>,
    /// The file: a name in `/run/secrets`, or an absolute path. Default: the secret's name
    #[serde(default)]
    pub(crate) target: Option<At<String>>,
    /// Whose it is: `user` or `user:group`, by name or number. Default: root:root
    #[serde(default)]
    pub(crate) owner: Option<At<String>>,
    /// Number of the user whose it is, as Compose has it.
    #[serde(default)]
    pub(crate) uid: Option<At<String>>,
    /// Number of the group whose it is, as Compose has it.
    #[serde(default)]
    pub(crate) gid: Option<At<String>>,
    /// Who may do what with it, in octal digits. Default: "0400"
    #[serde(default)]
    pub(crate) mode: Option<At<String>>,
    /// Makes it a credential that services of the guest take by `LoadCredential=NAME`. Default: false
    #[serde(default)]
    pub(crate) credential: Option<bool>,
}

deserialize_form!(Words, Sops, Vault, SecretUse);

impl Form for Words {
    const EXPECTED: &'static str = "a list of words: a program and its arguments";
    type Scalar = Refused;
    type List = Vec<String>;
    type Mapping = Refused;

    refused!(scalar, mapping);

    fn list(words: Vec<String>) -> Result<Self, String> {
        if words.first().is_none_or(String::is_empty) {
            return Err("a command must not be empty".to_owned());
        }
        Ok(Self(words))
    }
}

impl Form for Sops {
    const EXPECTED: &'static str = "a path, or a mapping with `file`";
    type Scalar = At<String>;
    type List = Refused;
    type Mapping = LongSops;

    refused!(list);

    fn scalar(file: At<String>) -> Result<Self, String> {
        Ok(Self(LongSops { file, key: OneOrMany::default() }))
    }

    fn mapping(long: LongSops) -> Result<Self, String> {
        Ok(Self(long))
    }
}

impl Form for Vault {
    const EXPECTED: &'static str = "`MOUNT/PATH#FIELD`, or a mapping with `path` and `field`";
    type Scalar = String;
    type List = Refused;
    type Mapping = LongVault;

    refused!(list);

    fn scalar(text: String) -> Result<Self, String> {
        let parts = text.rsplit_once('#').and_then(|(place, field)| Some((place.split_once('/')?, field)));
        match parts {
            Some(((mount, path), field)) if ![mount, path, field].contains(&"") => Ok(Self(LongVault {
                path: path.to_owned(),
                field: field.to_owned(),
                mount: Some(mount.to_owned()),
                address: None,
                namespace: None,
            })),
            _ => Err("expected `MOUNT/PATH#FIELD`, such as `secret/shop/db#password`".to_owned()),
        }
    }

    fn mapping(long: LongVault) -> Result<Self, String> {
        Ok(Self(long))
    }
}

impl Form for SecretUse {
    const EXPECTED: &'static str = "the name of a secret, or a mapping with `source`";
    type Scalar = At<String>;
    type List = Refused;
    type Mapping = LongSecretUse;

    refused!(list);

    fn scalar(source: At<String>) -> Result<Self, String> {
        let long =
            LongSecretUse { source, target: None, owner: None, uid: None, gid: None, mode: None, credential: None };
        Ok(Self(long))
    }

    fn mapping(long: LongSecretUse) -> Result<Self, String> {
        Ok(Self(long))
    }
}

any_of!(Words, "Words", "a list of words: a program and its arguments", [{"type": "array", "items": {"type": "string"}, "minItems": 1}], []);
any_of!(Sops, "Sops", "a file encrypted with sops: a path, or a mapping", [{"type": "string"}], [LongSops]);
any_of!(
    Vault, "Vault", "a field of a secret in Vault", [{"type": "string", "pattern": "^[^/]+/.+#[^#]+$"}], [LongVault]
);
any_of!(SecretUse, "SecretUse", "a secret that a guest gets: its name, or a mapping", [{"type": "string"}], [LongSecretUse]);
