//! Brings one boot medium from a URL into the cache, or finds it there.
//!
//! Owns what a URL's bytes are held against: the compose file, the publisher's list, the lock file. Knows nothing of how
//! they come.

use std::path::Path;

use ureq::Agent;

use super::cache::{Entry, Partial, now};
use super::download::{Brought, Download, Text, Version, discard, download, text};
use super::error::{Fault, LockFault, Problem};
use super::fetch::{Fetch, Found, Mode, Wanted, moved};
use super::lockfile::{Pin, PinnedDisk};
use super::progress::Progress;
use super::settle::settle;
use super::sums::{self, Sums, listed};
use crate::model::{Checksum, ImageRole, Url};

/// What fetching one medium needs to know.
pub(super) struct Remote<'a> {
    pub(super) with: &'a Fetch<'a>,
    pub(super) agent: &'a Agent,
    pub(super) role: ImageRole,
    pub(super) tell: &'a dyn Fn(Progress),
}

impl Remote<'_> {
    pub(super) fn cancelled(&self) -> bool {
        (self.with.cancelled)()
    }

    /// What a checksum says in digits: as it stands, or as the publisher's list has it for this file.
    pub(super) fn digits(&self, checksum: &Checksum, file: &str) -> Result<Checksum, Fault> {
        let Checksum::Listed(list) = checksum else { return Ok(checksum.clone()) };
        let job = Text {
            url: list,
            agent: self.agent,
            patience: &self.with.patience,
            tell: self.tell,
            cancelled: &|| self.cancelled(),
        };
        listed(&text(&job)?, file).ok_or_else(|| Fault::Download {
            url: list.clone(),
            problem: Problem::Unlisted { list: list.clone(), file: file.to_owned() },
        })
    }
}

/// Finds the medium in the cache, or brings it there. Only one at a time works on a URL.
pub(super) fn from_url(url: &Url, checksum: Option<&Checksum>, remote: &Remote<'_>) -> Result<Found, Fault> {
    let with = remote.with;
    let pin = pinned(url, checksum, remote)?;
    let mut wanted = Wanted { identity: sums::identity(url), role: remote.role, pin };
    let held = |wanted: &Wanted<'_>, entry: &Entry| wanted.is(entry) && wanted.held(entry, checksum);
    let cached = |wanted: &Wanted<'_>| with.cache.list().map(|all| all.into_iter().find(|entry| held(wanted, entry)));
    let update = with.mode == Mode::Update;
    if !update && let Some(entry) = cached(&wanted)? {
        return use_cached(&entry, checksum, remote);
    }
    let waiting = |holder| (remote.tell)(Progress::Waiting { holder });
    let key = sums::key(&wanted.identity);
    let _guard = with.cache.hold(&key, &waiting, with.cancelled)?;
    // Whoever was waited for may have brought it.
    if !update && let Some(entry) = cached(&wanted)? {
        return use_cached(&entry, checksum, remote);
    }
    let expected = expected(url, checksum, pin, remote)?;
    let otherwise = |(expected, pin): &(&Checksum, &Pin)| !pin.sums().meet(expected);
    if let Some((expected, pin)) = expected.as_ref().zip(pin).filter(otherwise) {
        // Pinned without the list, which says otherwise: as with digits that the user has written since.
        if with.mode == Mode::Locked {
            return Err(stale(url, expected, pin));
        }
        wanted.pin = None;
    }
    bring(&Job { url, wanted: &wanted, partial: with.cache.partial(&key)?, expected, checksum }, remote)
}

/// The digits that the bytes have to have. A pin is as good as the list that it was once checked against, and does not
/// change with it.
fn expected(
    url: &Url,
    checksum: Option<&Checksum>,
    pin: Option<&Pin>,
    remote: &Remote<'_>,
) -> Result<Option<Checksum>, Fault> {
    let Some(checksum) = checksum else { return Ok(None) };
    let list = checksum.list().map(sums::identity);
    if list.is_some() && pin.is_some_and(|pin| pin.list == list) {
        return Ok(None);
    }
    remote.digits(checksum, &url.file_name()).map(Some)
}

fn stale(url: &Url, asked: &Checksum, pin: &Pin) -> Fault {
    Fault::Lock(LockFault::Stale { url: url.clone(), asked: asked.to_string(), pinned: pin.sums().like(asked) })
}

/// What the lock file holds the URL to, in this mode.
fn pinned<'a>(url: &Url, checksum: Option<&Checksum>, remote: &Remote<'a>) -> Result<Option<&'a Pin>, Fault> {
    let (mode, pin) = (remote.with.mode, remote.with.pins.get(url));
    let contradicted = |pin: &&Pin| {
        checksum.filter(|sum| !matches!(sum, Checksum::Listed(_))).is_some_and(|sum| !pin.sums().meet(sum))
    };
    match (mode, pin) {
        (Mode::Update, _) | (Mode::Normal, None) => Ok(None),
        (Mode::Locked, None) => Err(Fault::Lock(LockFault::Unpinned(url.clone()))),
        (Mode::Locked, Some(pin)) if contradicted(&pin) => Err(stale(url, checksum.expect("it contradicts"), pin)),
        // The user has written another checksum since: the compose file is what the lock file follows.
        (Mode::Normal, Some(pin)) if contradicted(&pin) => Ok(None),
        (_, Some(pin)) => Ok(Some(pin)),
    }
}

/// Uses an entry that is known to be what the checksum promises.
fn use_cached(entry: &Entry, checksum: Option<&Checksum>, remote: &Remote<'_>) -> Result<Found, Fault> {
    let cache = remote.with.cache;
    if let Some(list) = checksum.and_then(Checksum::list) {
        cache.held_against(entry, &sums::identity(list))?;
    }
    cache.touch(entry);
    (remote.tell)(Progress::Ready { cached: true });
    let path = cache.path(entry);
    let pin = pin_of(entry, &path, checksum, remote);
    Ok((path, entry.url.clone().map(|url| (url, pin))))
}

/// What a URL is pinned to. Whoever asks without the list leaves standing that another held it against one.
fn pin_of(entry: &Entry, path: &Path, checksum: Option<&Checksum>, remote: &Remote<'_>) -> Pin {
    let before = entry.url.as_ref().and_then(|url| remote.with.pins.by_identity(url));
    let before = before.filter(|pin| pin.sha256 == entry.published.sha256).and_then(|pin| pin.list.clone());
    let list = checksum.and_then(Checksum::list).map(sums::identity).or(before);
    let disk = (entry.role == ImageRole::Disk).then(|| super::disk(path).ok()).flatten();
    let (length, sha256) = (entry.content.length, entry.content.sha256.clone());
    let disk = disk.map(|disk| PinnedDisk { format: disk.format, length, sha256 });
    Pin { list, ..Pin::new(&entry.published, entry.etag.clone(), disk) }
}

/// One URL that is being brought, with its lock held.
struct Job<'a> {
    url: &'a Url,
    wanted: &'a Wanted<'a>,
    partial: Partial,
    expected: Option<Checksum>,
    checksum: Option<&'a Checksum>,
}

fn bring(job: &Job<'_>, remote: &Remote<'_>) -> Result<Found, Fault> {
    let before: Vec<Entry> = remote.with.cache.list()?.into_iter().filter(|entry| job.wanted.is(entry)).collect();
    if let Some(expected) = &job.expected
        && let Some(entry) = before.iter().find(|entry| entry.published.meet(expected))
    {
        return use_cached(entry, job.checksum, remote);
    }
    // With a checksum, the question is not whether the server has something new, but whether it has the right thing.
    let latest = before.first().filter(|_| job.expected.is_none());
    let version = latest.map(|entry| Version { etag: entry.etag.clone(), last_modified: entry.last_modified.clone() });
    match (transfer(job, version, remote)?, latest) {
        (None, Some(entry)) => use_cached(entry, job.checksum, remote),
        (None, None) => unreachable!("a server is only asked for changes of what is here"),
        (Some((version, sums)), _) => admit(job, version, sums, remote),
    }
}

/// Downloads and checks. A file that was put together from two downloads and is wrong is downloaded once more in one
/// piece, because the server may have changed it in between without saying so.
fn transfer(job: &Job<'_>, unless: Option<Version>, remote: &Remote<'_>) -> Result<Option<(Version, Sums)>, Fault> {
    let with = remote.with;
    let download_of = |unless| Download {
        url: job.url,
        identity: &job.wanted.identity,
        cache: with.cache,
        partial: &job.partial,
        agent: remote.agent,
        patience: &with.patience,
        secure: job.url.is_https() && job.expected.is_none() && job.wanted.pin.is_none(),
        unless,
        tell: remote.tell,
        cancelled: with.cancelled,
    };
    let mut unless = unless;
    loop {
        let Brought::Whole { version, resumed } = download(&download_of(unless.take()))? else { return Ok(None) };
        (remote.tell)(Progress::Checking);
        let part = &job.partial.part;
        let sums = if part.exists() { sums::of_file(part, &mut |_| !remote.cancelled()) } else { Ok(None) };
        // A body without bytes leaves no file at all.
        let sums = match sums.map_err(Fault::cache(part))? {
            Some(sums) if sums.length > 0 => sums,
            _ if remote.cancelled() => return Err(Fault::Cancelled),
            _ => {
                discard(&job.partial)?;
                return Err(Fault::Empty { place: job.url.to_string() });
            }
        };
        let Err(fault) = check(job, &sums) else { return Ok(Some((version, sums))) };
        discard(&job.partial)?;
        if !resumed {
            return Err(fault);
        }
    }
}

fn check(job: &Job<'_>, sums: &Sums) -> Result<(), Fault> {
    if let Some(expected) = job.expected.as_ref().filter(|expected| !sums.meet(expected)) {
        let (expected, found) = (expected.to_string(), sums.like(expected));
        return Err(Fault::Checksum { place: job.url.to_string(), expected, found });
    }
    match job.wanted.pin {
        Some(pin) if pin.sha256 != sums.sha256 => Err(moved(job.url, pin, &sums.sha256)),
        _ => Ok(()),
    }
}

fn admit(job: &Job<'_>, version: Version, published: Sums, remote: &Remote<'_>) -> Result<Found, Fault> {
    let settled = settle(job.url, &job.url.file_name(), &job.partial.part, &job.partial, &published, remote);
    let settled = settled.inspect_err(|fault| {
        // What cannot be used will not be usable the next time; what was only interrupted, or did not fit, may be.
        if matches!(fault, Fault::Unfit { .. } | Fault::Empty { .. }) {
            let _ = discard(&job.partial);
        }
    })?;
    let entry = Entry {
        name: None,
        url: Some(job.wanted.identity.clone()),
        role: remote.role,
        file: String::new(),
        published,
        content: settled.content,
        etag: version.etag,
        last_modified: version.last_modified,
        fetched: now(),
        lists: job.checksum.and_then(Checksum::list).map(sums::identity).into_iter().collect(),
    };
    let cache = remote.with.cache;
    let entry = cache.admit(entry, &settled.name, &settled.file)?;
    discard(&job.partial)?;
    (remote.tell)(Progress::Ready { cached: false });
    let path = cache.path(&entry);
    let pin = pin_of(&entry, &path, job.checksum, remote);
    Ok((path, Some((job.wanted.identity.clone(), pin))))
}
