//! What a resource looks like, in one short text: whoever saved a plan tells by it whether anything changed since.
//!
//! Owns what counts as a change. That a guest writes to its disks does not.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::ActualState;
use crate::names::ResourceId;

impl ActualState {
    /// The fingerprint of a resource, there or not.
    pub fn fingerprint(&self, id: &ResourceId) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = write!(text, "{:?} {:?}", self.resources.get(id), self.foreign.get(id));
        let _ = write!(text, " {:?}", self.definitions.get(id));
        match id {
            ResourceId::Vm(vm) => {
                let sizes = self.disk_sizes.iter().filter(|((owner, _), _)| owner == vm).collect::<Vec<_>>();
                let disks = self.loose_disks.iter().filter(|(owner, ..)| owner == vm).collect::<Vec<_>>();
                let seeds = self.loose_seeds.iter().filter(|(owner, _)| owner == vm).collect::<Vec<_>>();
                let lost = self.lost_disks.iter().filter(|(owner, _)| owner == vm).collect::<Vec<_>>();
                let filled = self.filled_seeds.contains(vm);
                let _ = write!(text, " {sizes:?} {disks:?} {seeds:?} {filled} {lost:?}");
            }
            ResourceId::Image(name) => {
                let _ = write!(text, " {:?}", self.other_images.get(name));
            }
            _ => {}
        }
        let digest = Sha256::digest(text.as_bytes());
        digest.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}
