//! Folders of the hypervisor's machine inside guests.
//!
//! Owns what makes a share legal. Whether its folder is there is asked where the hypervisor is.

use std::collections::BTreeMap;

use super::{Instance, Scope, subject};
use crate::compose::decode::At;
use crate::compose::diagnostic::Diagnostic;
use crate::compose::place::Place;
use crate::compose::schema::hardware as file;
use crate::compose::schema::vm::Vm;
use crate::model::Share;

/// The shares of a vm, in the order of the file.
pub(super) fn lower(scope: &Scope<'_>, instance: &Instance<Vm>, mistakes: &mut Vec<Diagnostic>) -> Vec<Share> {
    let mut places: BTreeMap<&str, Place> = BTreeMap::new();
    let mut shares = Vec::new();
    for At { value: file::Share(long), place } in &instance.spec.shares {
        let target = long.target.trim_end_matches('/');
        if target.is_empty() || target.chars().any(char::is_control) {
            let root = Diagnostic::error(format!("a share cannot be mounted at `{}`", long.target));
            mistakes.push(root.at(*place, "name a folder of the guest"));
        }
        if let Some(first) = places.insert(target, *place) {
            let twice = Diagnostic::error(format!("{} mounts two shares at `{target}`", subject(instance)));
            mistakes.push(twice.at(*place, "mounted over it").and(first, "mounted first"));
        }
        let source = scope.path(&At { value: long.source.clone(), place: *place });
        let (source, target) = (source.to_string_lossy().into_owned(), target.to_owned());
        shares.push(Share { source, target, read_only: long.read_only.unwrap_or(false) });
    }
    shares
}
