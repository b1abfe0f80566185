//! Names of projects and resources, legal by construction.
//!
//! Owns what a name may look like and how names sort. Knows nothing of libvirt: which object a name becomes there is
//! the backend's business.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// Why a text is not a name. Its `Display` is a fragment that follows the name: "`Web` …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is there.
    #[error("a name must not be empty")]
    Empty,
    /// Longer than a DNS label (RFC 1035 section 2.3.4).
    #[error("`{0}` has more than 63 characters")]
    TooLong(String),
    /// A character that the kind of name does not allow.
    #[error("`{name}` has `{found}` in it; allowed are {allowed}")]
    Character {
        /// The text.
        name: String,
        /// The first illegal character.
        found: char,
        /// What is allowed, in words.
        allowed: &'static str,
    },
    /// Starts or ends with a character that may stand only inside.
    #[error("`{0}` must start and end with a letter or a digit")]
    Edge(String),
}

const LONGEST: usize = 63;
const LABEL: &str = "a-z, 0-9 and `-`";
const LOOSE: &str = "a-z, 0-9, `-` and `_`";

fn check(name: &str, underscore: bool) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    let inner = |c: char| c == '-' || (underscore && c == '_');
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || inner(c);
    if let Some(found) = name.chars().find(|c| !legal(*c)) {
        let allowed = if underscore { LOOSE } else { LABEL };
        return Err(NameError::Character { name: name.to_owned(), found, allowed });
    }
    if name.len() > LONGEST {
        return Err(NameError::TooLong(name.to_owned()));
    }
    if name.starts_with(inner) || name.ends_with(inner) {
        return Err(NameError::Edge(name.to_owned()));
    }
    Ok(())
}

/// Compares runs of digits by value, so that `api-2` sorts before `api-10`; everything else by byte.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.as_bytes(), b.as_bytes());
    while let (Some(x), Some(y)) = (left.first(), right.first()) {
        let step = if x.is_ascii_digit() && y.is_ascii_digit() {
            let (run_a, run_b) = (digits(left), digits(right));
            left = &left[run_a.len()..];
            right = &right[run_b.len()..];
            by_value(run_a, run_b)
        } else {
            left = &left[1..];
            right = &right[1..];
            x.cmp(y)
        };
        if step != Ordering::Equal {
            return step;
        }
    }
    // Equal by value but not by text (`a-1`, `a-01`): the text decides, so that Ord agrees with Eq.
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

fn digits(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    &text[..end]
}

fn by_value(a: &[u8], b: &[u8]) -> Ordering {
    let strip = |run: &[u8]| run.iter().position(|b| *b != b'0').unwrap_or(run.len());
    let (a, b) = (&a[strip(a)..], &b[strip(b)..]);
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, underscore: $underscore:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Checks a text and takes it as a name.
            pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
                let name = name.into();
                check(&name, $underscore)?;
                Ok(Self(name))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                natural(&self.0, &other.0)
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let pattern = if $underscore {
                    "^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$"
                } else {
                    "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
                };
                json_schema!({ "type": "string", "pattern": pattern, "maxLength": LONGEST })
            }
        }
    )*};
}

names! {
    /// Name of a project.
    ProjectName, underscore: true;
    /// Name of a vm inside its project: a DNS label, because it is the guest's host name too (RFC 1123 section 2.1).
    VmName, underscore: false;
    /// Name of a network inside its project.
    NetworkName, underscore: true;
    /// Name of a volume inside its project.
    VolumeName, underscore: true;
    /// Name of an image inside its project.
    ImageName, underscore: true;
    /// Name of a secret inside its project.
    SecretName, underscore: true;
    /// Name of a snapshot of a project.
    SnapshotName, underscore: true;
}

impl VmName {
    /// Name of replica `index` (from 1) of the vm that the file calls by this name.
    pub fn replica(&self, index: u32) -> Result<Self, NameError> {
        Self::new(format!("{self}-{index}"))
    }
}

/// One resource of a project. The order of the variants is the order in which plans list what is independent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", content = "name", rename_all = "lowercase")]
pub enum ResourceId {
    /// Where images or disks are kept; shared by all projects of a hypervisor.
    Pool(Pool),
    /// A boot medium: a disk image, a kernel or an initrd.
    Image(ImageName),
    /// A network.
    Network(NetworkName),
    /// A named volume, which survives `down`.
    Volume(VolumeName),
    /// A virtual machine.
    Vm(VmName),
    /// What is left of a vm that was made anew: the disks that it had before.
    #[serde(rename = "former vm")]
    FormerVm(VmName),
    /// What is left of a vm that has fewer disks of its own now.
    #[serde(rename = "former disks of vm")]
    FormerDisks(VmName),
    /// What is left of an image whose content is another one now.
    #[serde(rename = "former image")]
    FormerImage(ImageName),
}

/// How often a vm was made anew. What belongs to it alone is named after it, so that the disks of a vm and those of the
/// one that takes its place lie side by side until that one has proved itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u32);

impl Generation {
    /// That of a vm which was never replaced.
    pub const FIRST: Self = Self(0);

    /// Whether it is the first.
    pub fn is_first(&self) -> bool {
        *self == Self::FIRST
    }

    /// The one after it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// What the names of the two pools begin with on the hypervisor.
pub const POOL_PREFIX: &str = "vmcompose-";

/// The two storage pools that vmcompose keeps on a hypervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pool {
    /// Read-only boot media.
    Images,
    /// Root disks, data disks and named volumes.
    Disks,
}

impl Pool {
    /// Its name, without a project.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Disks => "disks",
        }
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl ResourceId {
    /// What sort of resource it is, as people call it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Pool(_) => "pool",
            Self::Image(_) => "image",
            Self::Network(_) => "network",
            Self::Volume(_) => "volume",
            Self::Vm(_) => "vm",
            Self::FormerVm(_) => "former vm",
            Self::FormerDisks(_) => "former disks of vm",
            Self::FormerImage(_) => "former image",
        }
    }

    /// Its name inside the project.
    pub fn name(&self) -> &str {
        match self {
            Self::Pool(pool) => pool.as_str(),
            Self::Image(name) | Self::FormerImage(name) => name.as_str(),
            Self::Network(name) => name.as_str(),
            Self::Volume(name) => name.as_str(),
            Self::Vm(name) | Self::FormerVm(name) | Self::FormerDisks(name) => name.as_str(),
        }
    }

    /// The vm's name, where it is one.
    pub fn as_vm(&self) -> Option<&VmName> {
        match self {
            Self::Vm(name) => Some(name),
            _ => None,
        }
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind(), self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_sort_by_number() {
        let mut names: Vec<VmName> =
            ["api-10", "api-2", "api-1", "db", "api"].iter().map(|n| VmName::new(*n).expect("legal")).collect();
        names.sort();
        assert_eq!(names.iter().map(VmName::as_str).collect::<Vec<_>>(), ["api", "api-1", "api-2", "api-10", "db"]);
    }

    #[test]
    fn order_agrees_with_equality() {
        assert_ne!(natural("a-1", "a-01"), Ordering::Equal);
        assert_eq!(natural("a-007x", "a-007x"), Ordering::Equal);
    }

    #[test]
    fn illegal_names_say_what_is_wrong() {
        let message = |name: &str| VmName::new(name).expect_err("illegal").to_string();
        assert_eq!(message(""), "a name must not be empty");
        assert_eq!(message("Web"), "`Web` has `W` in it; allowed are a-z, 0-9 and `-`");
        assert_eq!(message("a_b"), "`a_b` has `_` in it; allowed are a-z, 0-9 and `-`");
        assert_eq!(message("-a"), "`-a` must start and end with a letter or a digit");
        assert!(message(&"a".repeat(64)).ends_with("more than 63 characters"));
        assert!(VolumeName::new("pg_data").is_ok());
    }
}
