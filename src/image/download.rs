//! Brings a file from a server to the disk: resumed when it was cut, tried again when that can help.
//!
//! Owns the partial file and what is known of it. Knows nothing of checksums: what is complete here is not yet trusted.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use ureq::Agent;
use ureq::http::header;

use super::cache::{Cache, Partial};
use super::disk::{gone, write_atomically};
use super::error::{Fault, Problem};
use super::http::{self, Ask, Failure, Head, Patience, Stop};
use super::progress::Progress;
use crate::model::Url;

/// How a server tells versions of a file apart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
}

impl Version {
    /// What may stand in `If-Range`: no weak tag, because two of the same weak tag may differ in their bytes (RFC 9110,
    /// section 13.1.5).
    fn exact(&self) -> Option<&str> {
        let strong = self.etag.as_deref().filter(|tag| !tag.starts_with("W/"));
        strong.or(if self.etag.is_none() { self.last_modified.as_deref() } else { None })
    }
}

/// What is known of a partial file, kept beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Sidecar {
    url: String,
    version: Version,
    length: Option<u64>,
}

/// A file to be brought.
pub(crate) struct Download<'a> {
    pub(crate) url: &'a Url,
    pub(crate) identity: &'a str,
    pub(crate) cache: &'a Cache,
    pub(crate) partial: &'a Partial,
    pub(crate) agent: &'a Agent,
    pub(crate) patience: &'a Patience,
    /// Refuse to be led from `https` to `http`.
    pub(crate) secure: bool,
    /// Not needed when this is what the server has.
    pub(crate) unless: Option<Version>,
    pub(crate) tell: &'a dyn Fn(Progress),
    pub(crate) cancelled: &'a dyn Fn() -> bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Brought {
    /// The partial file is complete. `resumed` when a part of it is from an earlier attempt.
    Whole { version: Version, resumed: bool },
    /// The server has what is here already.
    Unchanged,
}

/// How one attempt ended, when not well.
enum Ended {
    Fault(Fault),
    Failed(Failure),
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Stop> for Ended {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Cancelled => Self::Fault(Fault::Cancelled),
            Stop::Failed(failure) => Self::Failed(failure),
        }
    }
}

const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// So much more than ever before is progress: the count of failures starts anew. Anything less would let a server hold us
/// for ever that sends a byte at a time, or that cannot resume and always cuts at the same place.
const PROGRESS: u64 = 1 << 20;

/// Runs `attempt` until it succeeds, fails for good, or has failed too often. It reports how far it got.
fn persist<T>(
    url: &Url,
    patience: &Patience,
    tell: &dyn Fn(Progress),
    cancelled: &dyn Fn() -> bool,
    mut attempt: impl FnMut(&mut u64) -> Result<T, Ended>,
) -> Result<T, Fault> {
    let (mut failures, mut furthest) = (0, 0);
    loop {
        let mut reached = 0;
        let failure = match attempt(&mut reached) {
            Ok(done) => return Ok(done),
            Err(Ended::Fault(fault)) => return Err(fault),
            Err(Ended::Failed(failure)) => failure,
        };
        failures += 1;
        if reached >= furthest + PROGRESS {
            (failures, furthest) = (1, reached);
        }
        if !failure.again || failures >= patience.attempts {
            return Err(Fault::Download { url: url.clone(), problem: failure.problem });
        }
        let backed_off = patience.pause.saturating_mul(1 << (failures - 1).min(10));
        let after = failure.after.unwrap_or(backed_off).min(LONGEST_PAUSE);
        tell(Progress::Retrying { problem: failure.problem, after });
        http::pause(after, cancelled)?;
    }
}

/// Brings the file into its partial file. What is there of it, of the same version, is not asked for again.
pub(crate) fn download(job: &Download<'_>) -> Result<Brought, Fault> {
    persist(job.url, job.patience, job.tell, job.cancelled, |reached| attempt(job, reached))
}

/// Forgets what there is of a file.
pub(crate) fn discard(partial: &Partial) -> Result<(), Fault> {
    for path in [&partial.part, &partial.sidecar, &partial.unpacked] {
        gone(path).map_err(Fault::cache(path))?;
    }
    Ok(())
}

fn attempt(job: &Download<'_>, reached: &mut u64) -> Result<Brought, Ended> {
    let before = resumable(job);
    let offset = before.as_ref().map_or(0, |(offset, _)| *offset);
    let answer = http::ask(job.agent, job.patience, question(job, before.as_ref()));
    let head = answer.head(job.cancelled)?;
    let begun = match (head.status, before) {
        (200, _) => begin(job, &head)?,
        (206, Some((_, sidecar))) if head.range.0 == Some(offset) && agrees(&head, &sidecar) => (offset, sidecar),
        // All of it was here already.
        (416, Some((_, sidecar))) if head.range.1 == Some(offset) => {
            return Ok(Brought::Whole { version: sidecar.version, resumed: true });
        }
        (206 | 416, _) => {
            discard(job.partial)?;
            return Err(Ended::Failed(Failure { problem: Problem::Status(head.status), again: true, after: None }));
        }
        (304, None) if job.unless.is_some() => return Ok(Brought::Unchanged),
        _ => return Err(Ended::Failed(http::refused(&head))),
    };
    let (offset, sidecar) = begun;
    let whole = sidecar.length;
    job.cache.room_for(whole.map_or(0, |whole| whole.saturating_sub(offset)))?;
    (job.tell)(Progress::Downloading { got: offset, of: whole });
    let end = receive(job, &answer, offset, whole, reached)?;
    match whole {
        Some(of) if end != of => {
            Err(Ended::Failed(Failure { problem: Problem::Cut { got: end, of }, again: true, after: None }))
        }
        _ => Ok(Brought::Whole { version: sidecar.version, resumed: offset > 0 }),
    }
}

/// How much there is of the file, if it is certain of which version it is.
fn resumable(job: &Download<'_>) -> Option<(u64, Sidecar)> {
    let text = fs::read(&job.partial.sidecar).ok()?;
    let sidecar: Sidecar = serde_json::from_slice(&text).ok()?;
    let there = fs::metadata(&job.partial.part).ok()?.len();
    (there > 0 && sidecar.url == job.identity && sidecar.version.exact().is_some()).then_some((there, sidecar))
}

fn question(job: &Download<'_>, before: Option<&(u64, Sidecar)>) -> Ask {
    let mut headers = Vec::new();
    if let Some((offset, sidecar)) = before {
        headers.push((header::RANGE, format!("bytes={offset}-")));
        headers.extend(sidecar.version.exact().map(|version| (header::IF_RANGE, version.to_owned())));
    } else if let Some(version) = &job.unless {
        match (&version.etag, &version.last_modified) {
            (Some(etag), _) => headers.push((header::IF_NONE_MATCH, etag.clone())),
            (None, Some(date)) => headers.push((header::IF_MODIFIED_SINCE, date.clone())),
            (None, None) => {}
        }
    }
    Ask { url: job.url.as_str().to_owned(), headers, secure: job.secure }
}

/// Some servers take no notice of `If-Range`: what they say of the version must not differ either.
fn agrees(head: &Head, sidecar: &Sidecar) -> bool {
    let same_tag = head.etag.is_none() || head.etag == sidecar.version.etag;
    let same_length = head.range.1.is_none() || sidecar.length.is_none() || head.range.1 == sidecar.length;
    same_tag && same_length
}

/// Starts from the first byte. What is known of the file is written before any of it is.
fn begin(job: &Download<'_>, head: &Head) -> Result<(u64, Sidecar), Fault> {
    let version = Version { etag: head.etag.clone(), last_modified: head.last_modified.clone() };
    let sidecar = Sidecar { url: job.identity.to_owned(), version, length: head.length };
    discard(job.partial)?;
    let text = serde_json::to_vec(&sidecar).expect("a sidecar is plain text and numbers");
    write_atomically(&job.partial.sidecar, &text).map_err(Fault::cache(&job.partial.sidecar))?;
    Ok((0, sidecar))
}

/// Writes what comes behind what is there. Returns where the file ends now.
fn receive(
    job: &Download<'_>,
    answer: &http::Answer,
    offset: u64,
    whole: Option<u64>,
    reached: &mut u64,
) -> Result<u64, Ended> {
    let path = &job.partial.part;
    let mut file = File::options().create(true).append(true).open(path).map_err(Fault::cache(path))?;
    let mut end = offset;
    while let Some(bytes) = answer.bytes(job.cancelled)? {
        write(job.cache, &mut file, path, &bytes, whole.map_or(0, |whole| whole.saturating_sub(end)))?;
        end += bytes.len() as u64;
        *reached = end;
        (job.tell)(Progress::Downloading { got: end, of: whole });
    }
    file.sync_all().map_err(Fault::cache(path))?;
    Ok(end)
}

fn write(cache: &Cache, file: &mut File, path: &Path, bytes: &[u8], left: u64) -> Result<(), Fault> {
    file.write_all(bytes).map_err(|error| match (error.kind(), cache.room()) {
        (std::io::ErrorKind::StorageFull, Ok(free)) => cache.no_space(Some(left), free),
        _ => Fault::cache(path)(error),
    })
}

/// A small text, such as a list of checksums.
pub(crate) struct Text<'a> {
    pub(crate) url: &'a Url,
    pub(crate) agent: &'a Agent,
    pub(crate) patience: &'a Patience,
    pub(crate) tell: &'a dyn Fn(Progress),
    pub(crate) cancelled: &'a dyn Fn() -> bool,
}

/// Longer is no list of checksums, whatever its name says.
const LONGEST_TEXT: usize = 4 << 20;

/// Brings a small text. From an `https` address it comes protected, or not at all: everything else rests on it.
pub(crate) fn text(job: &Text<'_>) -> Result<String, Fault> {
    persist(job.url, job.patience, job.tell, job.cancelled, |_| {
        let ask = Ask { url: job.url.as_str().to_owned(), headers: Vec::new(), secure: job.url.is_https() };
        let answer = http::ask(job.agent, job.patience, ask);
        let head = answer.head(job.cancelled)?;
        if head.status != 200 {
            return Err(Ended::Failed(http::refused(&head)));
        }
        let mut text = Vec::new();
        while let Some(bytes) = answer.bytes(job.cancelled)? {
            text.extend(bytes);
            if text.len() > LONGEST_TEXT {
                let problem = Problem::Network("it is too long for a list of checksums".to_owned());
                return Err(Ended::Failed(Failure { problem, again: false, after: None }));
            }
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    })
}
