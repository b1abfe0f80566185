//! Brings boot media to this machine: from where the compose file names them to files that can be looked at.
//!
//! Owns the order in which nothing half-made can be used: download, check, unpack, look, and only then admit to the
//! cache. Knows nothing of hypervisors.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::cache::{Cache, Entry};
use super::error::{Fault, ImageError, LockFault};
use super::http::{self, Patience};
use super::local;
use super::lockfile::{Pin, Pins};
use super::progress::Progress;
use super::remote::{Remote, from_url};
use super::sums;
use crate::model::{Checksum, Image, ImageFrom, ImageRequest, ImageRole, ImageSource, Url};
use crate::names::ImageName;

/// What counts as the right bytes of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Those that are pinned; where nothing is, those that are in the cache; where nothing is there either, those that the
    /// server has, and these are pinned.
    Normal,
    /// Those that are pinned; what is not, is refused.
    Locked,
    /// Those that the server has now. They are pinned anew.
    Update,
}

/// How to fetch.
pub struct Fetch<'a> {
    /// Where to keep what comes.
    pub cache: &'a Cache,
    /// What is pinned.
    pub pins: &'a Pins,
    /// What counts as right.
    pub mode: Mode,
    /// How long to wait for servers.
    pub patience: Patience,
    /// Is told what goes on, from several threads.
    pub tell: &'a (dyn Fn(&ImageName, Progress) + Sync),
    /// Is asked often whether to stop.
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
}

/// What was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The files.
    pub sources: BTreeMap<ImageName, ImageSource>,
    /// What is pinned now: what was, and what was fetched.
    pub pins: Pins,
}

/// So many downloads at once: more do not get faster on one line, and publishers do not like them.
const AT_ONCE: usize = 4;

/// A file, and what its URL is pinned to where it has one.
pub(super) type Found = (PathBuf, Option<(String, Pin)>);

/// Brings every boot medium here, several at once. Returns all errors, not only the first.
pub fn fetch(requests: &BTreeMap<ImageName, ImageRequest>, with: &Fetch<'_>) -> Result<Fetched, Vec<ImageError>> {
    let agent = http::agent(&with.patience);
    let all: Vec<&ImageRequest> = requests.values().collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some(request) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push((*request, one(request, with, &agent)));
        }
        done
    };
    let results: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..all.len().min(AT_ONCE)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("fetching does not panic")).collect()
    });
    let mut fetched = Fetched { sources: BTreeMap::new(), pins: with.pins.clone() };
    let mut errors = Vec::new();
    for (request, result) in results {
        match result {
            Ok((path, pin)) => {
                fetched.sources.insert(request.name.clone(), source(request, path));
                if let Some((identity, pin)) = pin {
                    fetched.pins.set(identity, pin);
                }
            }
            Err(fault) => errors.push(fault.of(&request.name)),
        }
    }
    errors.sort_by(|a, b| a.name.cmp(&b.name));
    if errors.is_empty() { Ok(fetched) } else { Err(errors) }
}

fn source(request: &ImageRequest, path: PathBuf) -> ImageSource {
    ImageSource { name: request.name.clone(), path, role: request.role }
}

fn one(request: &ImageRequest, with: &Fetch<'_>, agent: &ureq::Agent) -> Result<Found, Fault> {
    let tell = |progress| (with.tell)(&request.name, progress);
    let remote = Remote { with, agent, role: request.role, tell: &tell };
    let found = match &request.from {
        ImageFrom::Path(path) => (local::from_path(path, request.checksum.as_ref(), &remote)?, None),
        ImageFrom::Imported(name) => {
            let entry = imported(with.cache, name)?;
            with.cache.touch(&entry);
            (with.cache.path(&entry), None)
        }
        ImageFrom::Url(url) => from_url(url, request.checksum.as_ref(), &remote)?,
    };
    Ok(found)
}

fn imported(cache: &Cache, name: &str) -> Result<Entry, Fault> {
    let entry = cache.list()?.into_iter().find(|entry| entry.name.as_deref() == Some(name));
    entry.ok_or_else(|| Fault::Unknown { imported: name.to_owned() })
}

/// What can be used without a network, and what would have to be fetched first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AtHand {
    /// The files that are here.
    pub sources: BTreeMap<ImageName, ImageSource>,
    /// The images that are not: what the lock file knows of them, or that nothing is known.
    pub missing: BTreeMap<ImageName, Image>,
}

/// Looks for boot media on this machine only, and writes nothing: for commands that only look.
pub fn at_hand(
    requests: &BTreeMap<ImageName, ImageRequest>,
    cache: &Cache,
    pins: &Pins,
) -> Result<AtHand, Vec<ImageError>> {
    let mut found = AtHand::default();
    let mut errors = Vec::new();
    for request in requests.values() {
        match here(request, cache, pins) {
            Ok(Some(path)) => drop(found.sources.insert(request.name.clone(), source(request, path))),
            Ok(None) => drop(found.missing.insert(request.name.clone(), pinned(request, pins))),
            Err(fault) => errors.push(fault.of(&request.name)),
        }
    }
    if errors.is_empty() { Ok(found) } else { Err(errors) }
}

/// What is known of an image that is not here.
fn pinned(request: &ImageRequest, pins: &Pins) -> Image {
    let ImageRequest { name, from, checksum, role, .. } = request;
    let contradicted = |pin: &Pin| {
        let literal = checksum.as_ref().filter(|sum| !matches!(sum, Checksum::Listed(_)));
        literal.is_some_and(|sum| !pin.sums().meet(sum))
    };
    let pin = if let ImageFrom::Url(url) = from { pins.get(url) } else { None };
    let image = pin.filter(|pin| !contradicted(pin)).and_then(|pin| pin.image(name, *role));
    image.unwrap_or_else(|| Image::unknown(name.clone()))
}

fn here(request: &ImageRequest, cache: &Cache, pins: &Pins) -> Result<Option<PathBuf>, Fault> {
    let entry = match &request.from {
        ImageFrom::Path(path) => return local::here(path, request, cache),
        ImageFrom::Imported(name) => return Ok(Some(cache.path(&imported(cache, name)?))),
        ImageFrom::Url(url) => {
            let wanted = Wanted { identity: sums::identity(url), role: request.role, pin: pins.get(url) };
            let checksum = request.checksum.as_ref();
            let entries = cache.list()?;
            // What is pinned is what `up` will use, or refuse; only it asks the publisher's list.
            let pinned = wanted.pin.is_some() && checksum.is_some_and(|sum| sum.list().is_some());
            entries.into_iter().find(|entry| wanted.is(entry) && (pinned || wanted.held(entry, checksum)))
        }
    };
    Ok(entry.map(|entry| cache.path(&entry)))
}

/// Which entries of the cache are an answer to a URL.
pub(super) struct Wanted<'a> {
    pub(super) identity: String,
    pub(super) role: ImageRole,
    pub(super) pin: Option<&'a Pin>,
}

impl Wanted<'_> {
    pub(super) fn is(&self, entry: &Entry) -> bool {
        let pinned = self.pin.is_none_or(|pin| pin.sha256 == entry.published.sha256);
        entry.url.as_deref() == Some(&self.identity) && entry.role == self.role && pinned
    }

    /// Whether it is known without asking anybody that an entry is what a checksum promises.
    pub(super) fn held(&self, entry: &Entry, checksum: Option<&Checksum>) -> bool {
        match checksum {
            None => true,
            Some(Checksum::Listed(list)) => {
                let list = sums::identity(list);
                entry.lists.contains(&list) || self.pin.is_some_and(|pin| pin.list.as_ref() == Some(&list))
            }
            Some(sum) => entry.published.meet(sum),
        }
    }
}

/// Whether an entry of the cache is what a compose file or a lock file refers to.
pub fn in_use(requests: &BTreeMap<ImageName, ImageRequest>, pins: &Pins, entry: &Entry) -> bool {
    let url = entry.url.as_deref();
    let pinned = url.and_then(|url| pins.by_identity(url));
    let named = requests.values().any(|request| match &request.from {
        ImageFrom::Path(path) => url == Some(&local::identity(path)),
        ImageFrom::Url(from) => url == Some(&sums::identity(from)),
        ImageFrom::Imported(name) => entry.name.as_ref() == Some(name),
    });
    pinned.map_or(named, |pin| pin.sha256 == entry.published.sha256)
}

pub(super) fn moved(url: &Url, pin: &Pin, found: &str) -> Fault {
    Fault::Lock(LockFault::Moved { url: url.clone(), pinned: pin.sha256.clone(), found: found.to_owned() })
}
