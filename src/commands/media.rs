//! From the images that the compose file names to images that a plan can compare: fetched, pinned, looked at.
//!
//! Owns when `vmcompose.lock` is read and written. Knows nothing of hypervisors.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cli::Global;
use crate::error::Error;
use crate::image::Progress;
use crate::image::{self, AtHand, Cache, Digests, Fetch, Fetched, LOCK_FILE, LockFileError, Mode, Patience, Pins};
use crate::model::{Image, ImageFrom, ImageRequest};
use crate::names::ImageName;
use crate::render::downloads::Downloads;
use crate::render::{self, output};

/// What a compose file asks for, by name.
pub(super) type Requests = BTreeMap<ImageName, ImageRequest>;

/// What a command may do to have its images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Download what is missing.
    Fetch(Mode),
    /// Only look at what is on this machine, and write nothing.
    Look,
}

/// How to fetch.
pub(super) struct How<'a> {
    pub(super) cache: &'a Cache,
    pub(super) mode: Mode,
    pub(super) drawn: render::Mode,
    /// Is asked often whether to stop.
    pub(super) cancelled: &'a (dyn Fn() -> bool + Sync),
}

/// The images of a project, on this machine.
pub(super) struct Brought {
    pub(super) images: BTreeMap<ImageName, Image>,
    /// Those that are not here, and what is known of them.
    pub(super) missing: BTreeMap<ImageName, Image>,
    /// Whether something was waited for, so that what else was looked at may have changed.
    pub(super) waited: bool,
}

/// The cache of this user.
pub(super) fn cache() -> Result<Cache, Error> {
    let folder = Cache::folder_of_user(|name| std::env::var_os(name)).ok_or_else(|| Error::Missing {
        what: "there is no folder for the cache of images".to_owned(),
        hint: "set XDG_CACHE_HOME or HOME".to_owned(),
    })?;
    Ok(Cache::new(folder))
}

/// How the user wants downloads to be drawn.
pub(super) fn drawn(global: &Global) -> render::Mode {
    render::Mode::choose(global.progress, std::io::stderr().is_terminal())
}

/// Has the images of the compose file in `folder` on this machine, as far as `reach` allows, and looks at them.
pub(super) fn bring(
    requests: &Requests,
    folder: &Path,
    reach: Reach,
    drawn: render::Mode,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<Brought, Error> {
    let cache = match cache() {
        Ok(cache) => cache,
        // Files that are here already need no folder for others: a service may have no home.
        Err(error) => {
            let sources = image::files(requests).ok_or(error)?;
            let images = image::inspect(&sources)?;
            image::as_declared(requests, &images)?;
            return Ok(Brought { images, missing: BTreeMap::new(), waited: false });
        }
    };
    match reach {
        Reach::Look => {
            let AtHand { sources, missing } = image::at_hand(requests, &cache, &pins(folder)?)?;
            let images = image::inspect_known(&sources, &Digests::of(&cache).read_only())?;
            image::as_declared(requests, &images)?;
            Ok(Brought { images, missing, waited: false })
        }
        Reach::Fetch(mode) => {
            let how = How { cache: &cache, mode, drawn, cancelled };
            let (fetched, waited) = fetch_and_pin(requests, folder, &how)?;
            let images = image::inspect_known(&fetched.sources, &Digests::of(&cache))?;
            image::as_declared(requests, &images)?;
            Ok(Brought { images, missing: BTreeMap::new(), waited })
        }
    }
}

/// Downloads what is missing, and pins what came in the lock file beside the compose file. Tells whether it took its time.
pub(super) fn fetch_and_pin(requests: &Requests, folder: &Path, how: &How<'_>) -> Result<(Fetched, bool), Error> {
    let before = pins(folder)?;
    let (fetched, waited) = fetch(requests, &before, how)?;
    if how.mode != Mode::Locked && fetched.pins != before {
        write(&fetched.pins, folder, how)?;
    }
    Ok((fetched, waited))
}

/// Takes out of the lock file what none of the images comes from any more.
pub(super) fn forget_stale(requests: &Requests, folder: &Path, how: &How<'_>) -> Result<(), Error> {
    let before = pins(folder)?;
    let mut kept = before.clone();
    kept.keep_only(requests.values().filter_map(|request| match &request.from {
        ImageFrom::Url(url) => Some(url),
        _ => None,
    }));
    if kept == before { Ok(()) } else { write(&kept, folder, how) }
}

fn write(pins: &Pins, folder: &Path, how: &How<'_>) -> Result<(), Error> {
    let lock = folder.join(LOCK_FILE);
    pins.write(&lock).map_err(lock_error)?;
    if matches!(how.drawn, render::Mode::Fancy | render::Mode::Plain) {
        output::note(&format!("wrote `{}`", lock.display()));
    }
    Ok(())
}

/// Downloads what is missing, and draws that.
pub(super) fn fetch(requests: &Requests, pins: &Pins, how: &How<'_>) -> Result<(Fetched, bool), Error> {
    let downloads = Downloads::new(how.drawn);
    let waited = AtomicBool::new(false);
    let tell = |name: &ImageName, progress: Progress| {
        if !matches!(progress, Progress::Ready { .. }) {
            waited.store(true, Ordering::Relaxed);
        }
        downloads.tell(name, &progress);
    };
    let (cache, mode, cancelled) = (how.cache, how.mode, how.cancelled);
    let fetched =
        image::fetch(requests, &Fetch { cache, pins, mode, patience: Patience::default(), tell: &tell, cancelled });
    downloads.end();
    Ok((fetched?, waited.into_inner()))
}

/// What the lock file beside the compose file pins.
pub(super) fn pins(folder: &Path) -> Result<Pins, Error> {
    Pins::read(&folder.join(LOCK_FILE)).map_err(lock_error)
}

fn lock_error(error: LockFileError) -> Error {
    let what = error.to_string();
    match error {
        LockFileError::Io { path, source } => Error::Io { path, source },
        LockFileError::Malformed { path, .. } | LockFileError::Version { path, .. } => Error::Missing {
            what,
            hint: format!("`vmcompose image update` writes `{}` anew once it is out of the way", name_of(&path)),
        },
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
