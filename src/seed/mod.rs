//! The seed: what a guest reads at its first boot, as the disk that cloud-init's `NoCloud` looks for.
//!
//! Owns the way from [`CloudInit`] to the bytes of that disk, the same bytes for the same settings, and the rule for
//! when a guest applies them anew: when its instance-id changes. Knows nothing of where the disk is kept or attached.
//!
//! ```text
//! CloudInit, Machine ─► user-data ┐
//!                       meta-data ├─► Seed ─► ISO 9660, labelled `cidata`
//!                  network-config ┘
//! ```

pub mod check;
mod iso;
mod network;
mod secrets;
mod user_data;
mod yaml;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

pub use check::{CONTENT_TYPES, Problem, Severity, check};
pub use secrets::{FillError, filled, holds_secrets, scrubbed};
pub(crate) use user_data::base64;

use crate::model::Digest;
use crate::model::cloud_init::{CloudInit, DataDisk, Nic};

/// What a seed says of the machine besides the user's settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// What tells this vm from all others, such as `shop/web-1`.
    pub identity: String,
    /// Its host name.
    pub hostname: String,
    /// Its network interfaces.
    pub nics: Vec<Nic>,
    /// Disks that it formats, if they are empty, and mounts.
    pub disks: Vec<DataDisk>,
    /// Names that no name server tells it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hosts: BTreeMap<IpAddr, Vec<String>>,
}

/// The files of a seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    /// Their contents, by name.
    pub files: BTreeMap<String, Vec<u8>>,
    /// By which the guest knows whether it has applied this seed.
    pub instance_id: String,
    /// What tells this seed's content from another's.
    pub digest: Digest,
}

/// Length of a sector of the disk.
pub const SECTOR: usize = iso::SECTOR;
/// By which cloud-init finds the disk.
const LABEL: &str = "cidata";
const USER_DATA: &str = "user-data";
const META_DATA: &str = "meta-data";
const NETWORK_CONFIG: &str = "network-config";

/// Writes down what a guest is told.
///
/// The instance-id follows from the user-data but for the names of neighbours, the host name, the keys, the further meta-data and the machine's
/// identity. It does not follow from the network: a guest takes a change of that at its next boot, and need not run
/// everything again, with new SSH host keys, because it got one more interface.
pub fn make(settings: &CloudInit, machine: &Machine) -> Seed {
    let user_data = user_data::make(settings, &machine.disks, &machine.hosts);
    let mut meta = meta_data(settings, machine);
    // By settings as they are recorded: whoever makes this seed from a record again makes the same guest's.
    let recorded = user_data::make(&settings.recorded(), &machine.disks, &BTreeMap::new());
    let instance_id = instance_id(&machine.identity, &recorded, &meta);
    meta.insert("instance-id".to_owned(), instance_id.clone().into());
    let mut files = BTreeMap::from([
        (USER_DATA.to_owned(), user_data),
        (META_DATA.to_owned(), json(&Value::Object(meta)).into_bytes()),
    ]);
    if !machine.nics.is_empty() {
        files.insert(NETWORK_CONFIG.to_owned(), json(&network::config(&machine.nics)).into_bytes());
    }
    seed(files, instance_id)
}

/// The disk: an ISO 9660 file system with the label `cidata`, the same bytes for the same seed. Its sectors are even in
/// number: see [`holds_secrets`].
pub fn image(seed: &Seed) -> Vec<u8> {
    iso::write(LABEL, &seed.files, |end| end + end % 2)
}

fn seed(files: BTreeMap<String, Vec<u8>>, instance_id: String) -> Seed {
    let digest = digest(files.iter().flat_map(|(name, content)| [name.as_bytes(), content.as_slice()]));
    Seed { files, instance_id, digest }
}

/// Meta-data without the instance-id. The keys are here, and not in the user-data, so that they count as well where
/// the user-data is the user's own.
fn meta_data(settings: &CloudInit, machine: &Machine) -> Map<String, Value> {
    let mut meta: Map<String, Value> =
        settings.meta_data.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let name = settings.fqdn.as_ref().unwrap_or(&machine.hostname);
    meta.entry("local-hostname").or_insert_with(|| name.clone().into());
    if !settings.ssh_authorized_keys.is_empty() {
        meta.entry("public-keys").or_insert_with(|| settings.ssh_authorized_keys.clone().into());
    }
    meta
}

fn instance_id(identity: &str, user_data: &[u8], meta: &Map<String, Value>) -> String {
    let meta = json(&Value::Object(meta.clone()));
    let digest = digest([identity.as_bytes(), user_data, meta.as_bytes()].into_iter());
    let readable: String =
        identity.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' }).collect();
    format!("{readable}-{digest}")
}

/// One digest of several texts; each counts with its length, so that nothing can move from one to the next unseen.
fn digest<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Digest {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part);
    }
    Digest::of(&sha.finalize().into())
}

/// JSON that a reader of YAML 1.1 takes for what it is. cloud-init reads with `PyYAML`, which refuses the control
/// characters that JSON leaves as they are, and folds the line breaks that only Unicode has.
fn json(value: &Value) -> String {
    let special =
        |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    let mut text = String::new();
    for c in format!("{value:#}\n").chars() {
        // All of them can stand in strings only, where an escape is the same character.
        if special(c) {
            text.extend(["\\u", &format!("{:04x}", u32::from(c))]);
        } else {
            text.push(c);
        }
    }
    text
}
