//! Secrets: where they come from, how they get into a guest, and that they are found nowhere else.

mod commands;
mod guest;
mod language;
mod providers;
mod seeds;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use vmcompose::names::SecretName;

/// A secret's name.
pub(crate) fn name(text: &str) -> SecretName {
    SecretName::new(text).expect("a legal name")
}

/// Variables of an environment.
pub(crate) fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Writes a file that has these permissions.
pub(crate) fn write(path: &Path, content: &[u8], mode: u32) {
    fs::write(path, content).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permitted");
}
