//! Where a boot medium is: what the file says for it, as a path, a URL, an import or a well-known name.
//!
//! Owns the mistakes that can be made in saying so, each at its place. Opens nothing, and asks no server.

use super::Scope;
use crate::compose::decode::At;
use crate::compose::diagnostic::Diagnostic;
use crate::model::catalog::{Arch, LocateError, Located, locate};
use crate::model::{ImageFrom, ImageRole};

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
        Ok(Located { from: ImageFrom::Path(_), .. }) if is_volume(text) => {
            mistakes.push(
                Diagnostic::error("an image from `pool:volume` is not supported yet")
                    .at(text.place, "neither a path nor a known image")
                    .hint("give a path, a URL, or one of the names that `vmcompose image list --known` shows"),
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

/// The volume of a pool, as `pool:volume`.
fn is_volume(text: &str) -> bool {
    text.split_once(':').is_some_and(|(pool, volume)| !pool.contains('/') && !pool.is_empty() && !volume.is_empty())
}

fn mistake(error: &LocateError, text: &At<String>, checksum: Option<&At<String>>) -> Diagnostic {
    let (place, label) = match (error, checksum) {
        (LocateError::Checksum(_), Some(checksum)) => (checksum.place, "not a checksum"),
        (LocateError::Catalog(_), _) => (text.place, "no image of this name"),
        _ => (text.place, "not a URL"),
    };
    Diagnostic::error(error.to_string()).at(place, label).maybe_hint(error.hint())
}
