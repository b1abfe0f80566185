//! Where a boot medium is: what the file says for it, as a path, a URL, an import or a well-known name.
//!
//! Owns the mistakes that can be made in saying so, each at its place. Opens nothing, and asks no server.

use super::Scope;
use crate::compose::decode::At;
use crate::compose::diagnostic::Diagnostic;
use crate::model::catalog::{Arch, LocateError, Located, locate};
use crate::model::{ImageFrom, ImageRole, VolumeRef};
use crate::names::POOL_PREFIX;

/// Where a boot medium is.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// To be brought to the hypervisor.
    Brought(Located),
    /// On the hypervisor already, the user's own.
    There(VolumeRef),
}

/// Reads the text of a disk image, and the checksum that stands beside it.
pub(super) fn source(
    scope: &Scope<'_>,
    text: &At<String>,
    checksum: Option<&At<String>>,
    mistakes: &mut Vec<Diagnostic>,
) -> Option<Source> {
    let located = located(scope, text, checksum, ImageRole::Disk, mistakes)?;
    let Some((pool, volume)) = volume(text).filter(|_| matches!(located.from, ImageFrom::Path(_))) else {
        return Some(Source::Brought(located));
    };
    if let Some(checksum) = checksum {
        let unseen = Diagnostic::error("an image that is a volume has no checksum: its bytes stay on the hypervisor");
        mistakes.push(unseen.at(checksum.place, "remove this"));
        return None;
    }
    if pool.starts_with(POOL_PREFIX) {
        let ours = Diagnostic::error(format!("pool `{pool}` is vmcompose's own: what is in it comes and goes"));
        mistakes.push(ours.at(text.place, "no place for an image of yours").hint("`vmcompose pool add` makes another"));
        return None;
    }
    Some(Source::There(VolumeRef { pool: pool.to_owned(), volume: volume.to_owned() }))
}

/// Reads the text of an image, a kernel or an initrd, and the checksum that stands beside it.
pub(super) fn located(
    scope: &Scope<'_>,
    text: &At<String>,
    checksum: Option<&At<String>>,
    role: ImageRole,
    mistakes: &mut Vec<Diagnostic>,
) -> Option<Located> {
    if text.trim().is_empty() {
        mistakes.push(Diagnostic::error("the path of an image must not be empty").at(text.place, "empty"));
        return None;
    }
    // Names are known of disks only. Vms have the processor of this machine: others are not supported yet.
    let arch = (role == ImageRole::Disk).then(Arch::native).flatten();
    if let Some(checksum) = checksum.filter(|_| text.starts_with("import:")) {
        let seen = Diagnostic::error("an import has no checksum: its bytes are known since it was imported");
        mistakes.push(seen.at(checksum.place, "remove this"));
        return None;
    }
    let base = scope.path(&At { value: ".".to_owned(), place: text.place });
    match locate(text, checksum.map(|checksum| checksum.value.as_str()), &base, arch) {
        Ok(Located { from: ImageFrom::Path(_), .. }) if role == ImageRole::Kernel && volume(text).is_some() => {
            let elsewhere = Diagnostic::error("a kernel cannot be a volume of a pool");
            mistakes.push(
                elsewhere
                    .at(text.place, "neither a path nor a URL")
                    .hint(format!("a file of this name is `./{}`", text.value)),
            );
            None
        }
        Ok(Located { from: ImageFrom::Imported(_), .. }) if role == ImageRole::Kernel => {
            let disk = Diagnostic::error("an import is a disk image, and a kernel is none");
            mistakes.push(disk.at(text.place, "not a kernel").hint("give a path or a URL"));
            None
        }
        Ok(Located { from: ImageFrom::Path(_), checksum }) => {
            Some(Located { from: ImageFrom::Path(scope.path(text)), checksum })
        }
        Ok(located) => Some(located),
        Err(error) => {
            mistakes.push(mistake(&error, text, checksum));
            None
        }
    }
}

/// Whether the text of an image or a kernel is the path of a file.
pub(crate) fn is_path(text: &str) -> bool {
    let found = locate(text, None, std::path::Path::new(""), Arch::native());
    matches!(found, Ok(Located { from: ImageFrom::Path(_), .. })) && volume(text).is_none()
}

/// The volume of a pool, as `pool:volume`.
fn volume(text: &str) -> Option<(&str, &str)> {
    text.split_once(':').filter(|(pool, volume)| {
        !pool.contains('/') && !volume.contains('/') && !pool.trim().is_empty() && !volume.trim().is_empty()
    })
}

fn mistake(error: &LocateError, text: &At<String>, checksum: Option<&At<String>>) -> Diagnostic {
    let (place, label) = match (error, checksum) {
        (LocateError::Checksum(_), Some(checksum)) => (checksum.place, "not a checksum"),
        (LocateError::Catalog(_), _) => (text.place, "no image of this name"),
        _ => (text.place, "not a URL"),
    };
    Diagnostic::error(error.to_string()).at(place, label).maybe_hint(error.hint())
}
