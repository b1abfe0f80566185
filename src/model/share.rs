//! Folders of the host inside a guest.
//!
//! Owns what is shared, and by which name the guest finds it. Knows nothing of how a hypervisor shares a folder.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::image::Digest;

/// A folder of the hypervisor's machine inside a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The folder on the hypervisor's machine, absolute.
    pub source: String,
    /// Where the guest mounts it.
    pub target: String,
    /// Whether the guest may only read it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

impl Share {
    /// By which name the guest mounts it. It follows from where, so that another share more or less changes nothing.
    pub fn tag(&self) -> String {
        format!("share-{}", Digest::of(&Sha256::digest(self.target.as_bytes()).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_short_and_its_own() {
        let share = |target: &str| Share { source: "/a".to_owned(), target: target.to_owned(), read_only: false };
        assert_ne!(share("/b").tag(), share("/c").tag());
        // The 9P device takes 31 bytes.
        assert!(share("/b").tag().len() <= 31);
    }
}
