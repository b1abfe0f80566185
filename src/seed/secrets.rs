//! Secrets on a seed: there while a guest starts, and gone from it once the guest has them.
//!
//! Owns how they get from the disk into the guest, and how a disk with secrets is told from one without. They are no part
//! of the user-data, which the guest would keep, and the instance-id does not follow from them: but for a file more, a
//! disk with secrets is the disk without. Only where a setting refers to a secret is the user-data another one.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use zeroize::{Zeroize, Zeroizing};

use super::user_data::{base64, quoted};
use super::{LABEL, Machine, SECTOR, Seed, USER_DATA, iso, make, user_data};
use crate::model::cloud_init::{CloudInit, Command, SecretFile};
use crate::model::secret::{self, SecretValue, replace};
use crate::names::SecretName;

/// The file with the secrets: one on each line, in base64, in the order of the settings.
const SECRETS: &str = "secrets";

/// Why secrets cannot be put on a seed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    /// Nobody knows its value.
    #[error("the value of secret `{0}` is not known")]
    Unknown(SecretName),
    /// A setting is a text, and this is none.
    #[error("secret `{0}` is no text (UTF-8), so it cannot stand within a setting")]
    NotText(SecretName),
}

/// Whether a disk of this length has secrets on it: then its sectors are odd in number. The hypervisor keeps no notes
/// beside a volume, and the length is what every look at it tells.
pub fn holds_secrets(length: u64) -> bool {
    length / SECTOR as u64 % 2 == 1
}

/// The disk with secrets on it, as long at least as the one without.
pub fn filled(
    settings: &CloudInit,
    machine: &Machine,
    values: &BTreeMap<SecretName, SecretValue>,
) -> Result<Zeroizing<Vec<u8>>, FillError> {
    let plain = make(settings, machine);
    let mut files = plain.files.clone();
    files.insert(USER_DATA.to_owned(), user_data::make(&put_in(settings, values)?, &machine.disks, &machine.hosts));
    if !settings.secrets.is_empty() {
        files.insert(SECRETS.to_owned(), lines(&settings.secrets, values)?);
    }
    let least = sectors(super::image(&plain).len() as u64);
    let disk = Zeroizing::new(iso::write(LABEL, &files, |end| end.max(least) | 1));
    files.values_mut().for_each(Zeroize::zeroize);
    Ok(disk)
}

/// What is written over a disk of this length that has secrets on it: the disk without them, and zeros up to its end. The
/// disk is one sector shorter than it is meant to be: with that one added it is even again, and the work is done.
pub fn scrubbed(seed: &Seed, length: u64) -> Vec<u8> {
    let length = sectors(length);
    let mut disk = iso::write(LABEL, &seed.files, |end| end.max(length + 1));
    disk.truncate(length as usize * SECTOR);
    disk
}

fn sectors(length: u64) -> u32 {
    u32::try_from(length / SECTOR as u64).expect("a seed has less than 4 GiB")
}

/// The settings with values in the place of references. A line break at the end of a value would be one too many there.
fn put_in(settings: &CloudInit, values: &BTreeMap<SecretName, SecretValue>) -> Result<CloudInit, FillError> {
    let mut value = serde_json::to_value(settings).expect("settings have no map with keys that are not strings");
    let mut trouble = None;
    each_text(&mut value, &mut |text| {
        let filled = replace(text, |name| match text_of(name, values) {
            Ok(value) => Some(value),
            Err(error) => {
                trouble.get_or_insert(error);
                None
            }
        });
        *text = filled;
    });
    if let Some(error) = trouble {
        return Err(error);
    }
    let mut filled: CloudInit = serde_json::from_value(value).expect("a text in the place of a text");
    for (user, given) in filled.users.iter_mut().zip(&settings.users) {
        // On this way a hash became its fingerprint, but not one that refers to a secret.
        let own = given.password_hash.as_ref().filter(|hash| secret::references(hash.expose()).is_empty());
        user.password_hash = own.cloned().or(user.password_hash.take());
    }
    Ok(filled)
}

fn text_of(name: &SecretName, values: &BTreeMap<SecretName, SecretValue>) -> Result<String, FillError> {
    let value = values.get(name).ok_or_else(|| FillError::Unknown(name.clone()))?;
    let text = std::str::from_utf8(value.expose()).map_err(|_| FillError::NotText(name.clone()))?;
    Ok(text.strip_suffix('\n').unwrap_or(text).to_owned())
}

fn each_text(value: &mut Value, change: &mut impl FnMut(&mut String)) {
    match value {
        Value::String(text) => change(text),
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, change)),
        Value::Object(fields) => fields.values_mut().for_each(|field| each_text(field, change)),
        _ => {}
    }
}

fn lines(files: &[SecretFile], values: &BTreeMap<SecretName, SecretValue>) -> Result<Vec<u8>, FillError> {
    let mut lines = Vec::new();
    for file in files {
        let value = values.get(&file.source).ok_or_else(|| FillError::Unknown(file.source.clone()))?;
        let line = Zeroizing::new(base64(value.expose()));
        lines.extend_from_slice(line.as_bytes());
        lines.push(b'\n');
    }
    Ok(lines)
}

/// The command that puts the files in their places, at every boot before other services start: what is in memory is
/// gone with every shutdown. A disk without secrets says that the guest started by itself; then files that are there
/// stay as they are. An account that is not there yet, at the first boot, gets its files from [`hand_over`].
pub(super) fn place(files: &[SecretFile]) -> Option<Value> {
    const SCRIPT: &str = concat!(
        "udevadm settle 2>/dev/null; seed=$(blkid -L cidata) || { echo 'no seed with secrets' >&2; exit 1; }; ",
        "at=$(mktemp -d /run/vmcompose.XXXXXX) || exit 1; trap 'umount \"$at\" 2>/dev/null; rmdir \"$at\"' EXIT; ",
        "mount -o ro -t iso9660 \"$seed\" \"$at\" || exit 1; test -e \"$at/secrets\" || exit 0; n=0; ",
        "while test $# -ge 3; do n=$((n+1)); mkdir -p \"$(dirname \"$3\")\" || exit 1; ",
        "(umask 077; sed -n \"${n}p\" \"$at/secrets\" | base64 -d >\"$3.new\") && chmod \"$1\" \"$3.new\" || exit 1; ",
        "chown \"$2\" \"$3.new\" 2>/dev/null; mv -f \"$3.new\" \"$3\" || exit 1; shift 3; done"
    );
    if files.is_empty() {
        return None;
    }
    let places =
        files.iter().flat_map(|file| [file.mode.as_str(), file.owner.as_deref().unwrap_or("root:root"), &file.path]);
    let words: Vec<String> = [SCRIPT, "secrets"].into_iter().chain(places).map(quoted).collect();
    Some(json!(format!("sh -c {} || exit 1", words.join(" "))))
}

/// The commands that give files to accounts which are there only at the end of the first boot, because cloud-init or a
/// package made them.
pub(super) fn hand_over(files: &[SecretFile]) -> Vec<Command> {
    let chown = |file: &SecretFile| {
        let owner = file.owner.clone()?;
        Some(Command::Program(vec!["chown".to_owned(), owner, file.path.clone()]))
    };
    files.iter().filter_map(chown).collect()
}
