//! How to log in to a vm: the account, the port, and the key that a project has of its own.
//!
//! Owns which account an image is known to have. Knows nothing of where a private key is kept: that is never part of a
//! spec.

use serde::{Deserialize, Serialize};

/// How to log in to a vm over SSH.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Login {
    /// The account; [`Login::FALLBACK`] where nobody knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The port; [`Login::PORT`] where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

impl Login {
    /// Where nobody knows the account of an image: cloud-init lets nobody in as `root`, but answers with the name of the
    /// account that it made.
    pub const FALLBACK: &'static str = "root";
    /// SSH's own.
    pub const PORT: u16 = 22;

    /// The account to log in to.
    pub fn user(&self) -> &str {
        self.user.as_deref().unwrap_or(Self::FALLBACK)
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(Self::PORT)
    }
}

/// The key of a project, which lets its user in where the file gives no keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProjectKey {
    /// The vm is to let one in; which, is not settled yet.
    Wanted,
    /// The public half, as it stands in a `.pub` file.
    Public(String),
}

impl ProjectKey {
    /// The public half, where it is settled.
    pub fn public(&self) -> Option<&str> {
        match self {
            Self::Wanted => None,
            Self::Public(key) => Some(key),
        }
    }
}

/// Words in the names of image files, and the account that cloud-init makes there. The more particular word first.
const ACCOUNTS: [(&str, &str); 13] = [
    ("debian", "debian"),
    ("ubuntu", "ubuntu"),
    ("fedora", "fedora"),
    ("alma", "almalinux"),
    ("rocky", "rocky"),
    ("centos", "cloud-user"),
    ("rhel", "cloud-user"),
    ("alpine", "alpine"),
    ("opensuse", "opensuse"),
    ("leap-", "opensuse"),
    ("arch-linux", "arch"),
    ("archlinux", "arch"),
    ("freebsd", "freebsd"),
];

/// The account that an image is known to have, by what it is called: the first of the names that tells.
pub fn known_account<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<&'static str> {
    let tells = |name: &str| {
        let name = name.to_ascii_lowercase();
        ACCOUNTS.iter().find(|(word, _)| name.contains(word)).map(|(_, account)| *account)
    };
    names.into_iter().find_map(tells)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::catalog::{Arch, well_known, well_known_names};

    #[test]
    fn every_image_of_the_catalog_has_an_account() {
        for name in well_known_names() {
            let known = well_known(name, Arch::X86_64).expect("known").expect("known");
            let account = known_account([known.url.file_name().as_str(), known.url.as_str()]);
            let family = name.split(':').next().expect("a word");
            let expected = match family {
                "alma" => "almalinux",
                "centos-stream" => "cloud-user",
                family => family,
            };
            assert_eq!(account, Some(expected), "{name}: {}", known.url);
        }
    }

    #[test]
    fn the_first_name_that_tells_decides() {
        assert_eq!(
            known_account(["noble-server-cloudimg-amd64.img", "https://cloud-images.ubuntu.com/x"]),
            Some("ubuntu")
        );
        assert_eq!(known_account(["Rocky-9.qcow2", "https://mirror.debian.org/Rocky-9.qcow2"]), Some("rocky"));
        assert_eq!(known_account(["golden.qcow2"]), None);
    }
}
