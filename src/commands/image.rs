//! `image …`: the cache of images, by hand.
//!
//! Reads the compose file for what is meant and what is in use; never asks a hypervisor, which has copies of its own.

use std::path::PathBuf;
use std::time::SystemTime;

use crate::cli::Global;
use crate::cli::image::{Image, Import, Info, List, Prune, Pull, Rm};
use crate::commands::media::{How, Requests, cache, drawn, fetch, fetch_and_pin, forget_stale, pins};
use crate::commands::{print, request};
use crate::compose;
use crate::error::{Error, Exit};
use crate::image::{self, Cache, Entry, Fault, Fetched, Mode, Pins};
use crate::model::catalog::{Arch, locate, well_known_names};
use crate::model::{ImageRequest, ImageRole, Surroundings};
use crate::names::ImageName;
use crate::render::images::{self, ImageRow};
use crate::render::{Answer, Palette, ask, output};
use crate::units::Bytes;

/// Runs one of them.
pub(super) fn image(global: &Global, command: &Image) -> Result<Exit, Error> {
    let cache = cache()?;
    match command {
        Image::Pull(options) => pull(global, &cache, options)?,
        Image::Update => update(global, &cache)?,
        Image::List(options) => list(global, &cache, options)?,
        Image::Import(options) => import(&cache, options)?,
        Image::Info(options) => info(global, &cache, options)?,
        Image::Rm(options) => rm(global, &cache, options)?,
        Image::Prune(options) => prune(global, &cache, options)?,
    }
    Ok(Exit::Done)
}

fn pull(global: &Global, cache: &Cache, options: &Pull) -> Result<(), Error> {
    if options.sources.is_empty() {
        return fetch_project(global, cache, if options.locked { Mode::Locked } else { Mode::Normal });
    }
    let base = std::env::current_dir().map_err(|source| Error::Io { path: PathBuf::from("."), source })?;
    let mut requests = Requests::new();
    for (number, text) in options.sources.iter().enumerate() {
        let located = locate(text, None, &base, Arch::native())
            .map_err(|error| Error::Missing { what: error.to_string(), hint: error.hint().unwrap_or_default() })?;
        let name = label(text, number);
        let (from, checksum) = (located.from, located.checksum);
        requests.insert(name.clone(), ImageRequest { name, from, checksum, role: ImageRole::Disk, format: None });
    }
    let how = How { cache, mode: Mode::Normal, drawn: drawn(global), cancelled: &NEVER };
    let (fetched, _) = fetch(&requests, &Pins::default(), &how)?;
    print_places(&fetched)
}

/// A name for what was typed, to speak of it: `debian:12` becomes `debian-12`.
fn label(text: &str, number: usize) -> ImageName {
    let last = text.split('?').next().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    let legal = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let plain: String = last.chars().map(legal).take(50).collect();
    let plain = format!("{}-{}", plain.trim_matches('-'), number + 1);
    let name = if number == 0 { plain.trim_end_matches("-1").to_owned() } else { plain };
    ImageName::new(name).unwrap_or_else(|_| ImageName::new(format!("image-{}", number + 1)).expect("legal"))
}

/// The images of the compose file, and the folder that it is in.
fn project(global: &Global) -> Result<(Requests, PathBuf), Error> {
    let request = request(global)?;
    let sources = compose::gather(&request)?;
    let project = compose::parse(&sources, &request, &Surroundings::default())?.project;
    Ok((project.images, sources.directory().to_owned()))
}

fn fetch_project(global: &Global, cache: &Cache, mode: Mode) -> Result<(), Error> {
    let (requests, folder) = project(global)?;
    let how = How { cache, mode, drawn: drawn(global), cancelled: &NEVER };
    let (fetched, _) = fetch_and_pin(&requests, &folder, &how)?;
    print_places(&fetched)
}

/// Updates what any profile uses, unless some are named, and forgets what was pinned for images that none uses any more.
fn update(global: &Global, cache: &Cache) -> Result<(), Error> {
    let mut request = request(global)?;
    let all = request.profiles.is_empty();
    if all {
        request.profiles.push("*".to_owned());
    }
    let sources = compose::gather(&request)?;
    let requests = compose::parse(&sources, &request, &Surroundings::default())?.project.images;
    let how = How { cache, mode: Mode::Update, drawn: drawn(global), cancelled: &NEVER };
    let (fetched, _) = fetch_and_pin(&requests, sources.directory(), &how)?;
    if all {
        forget_stale(&requests, sources.directory(), &how)?;
    }
    print_places(&fetched)
}

/// An interrupt ends the process; what has come so far is gone on with the next time.
const NEVER: fn() -> bool = || false;

fn print_places(fetched: &Fetched) -> Result<(), Error> {
    let paths: Vec<String> = fetched.sources.values().map(|source| source.path.display().to_string()).collect();
    print(&paths.join("\n"))
}

fn list(global: &Global, cache: &Cache, options: &List) -> Result<(), Error> {
    if options.known {
        return print(&well_known_names().collect::<Vec<_>>().join("\n"));
    }
    let entries = cache.list().map_err(fault)?;
    if options.quiet {
        return print(&entries.iter().map(Entry::id).collect::<Vec<_>>().join("\n"));
    }
    let rows = rows(global, cache, entries);
    print(&images::images(&rows, options.format, &Palette::stdout()))
}

fn info(global: &Global, cache: &Cache, options: &Info) -> Result<(), Error> {
    let rows = rows(global, cache, found(cache, &options.image)?);
    print(&images::facts(&rows, options.format, &Palette::stdout()))
}

/// Without a compose file nothing is known to be in use, and nothing is known not to be.
fn rows(global: &Global, cache: &Cache, entries: Vec<Entry>) -> Vec<ImageRow> {
    let used = used_by(global).ok();
    let row = |entry: Entry| {
        let path = cache.path(&entry);
        let disk = (entry.role == ImageRole::Disk).then(|| image::disk(&path).ok()).flatten();
        ImageRow {
            id: entry.id().to_owned(),
            sha256: entry.content.sha256.clone(),
            from: entry.name.clone().or_else(|| entry.url.clone()).unwrap_or_default(),
            format: disk.map(|disk| disk.format),
            size: Bytes(entry.content.length),
            virtual_size: disk.map(|disk| disk.virtual_size),
            used_s: cache
                .last_used(&entry)
                .and_then(|used| SystemTime::now().duration_since(used).ok())
                .map(|d| d.as_secs()),
            in_use: used.as_ref().map(|(requests, pins)| image::in_use(requests, pins, &entry)),
            path,
        }
    };
    entries.into_iter().map(row).collect()
}

fn used_by(global: &Global) -> Result<(Requests, Pins), Error> {
    let (requests, folder) = project(global)?;
    let pins = pins(&folder)?;
    Ok((requests, pins))
}

fn import(cache: &Cache, options: &Import) -> Result<(), Error> {
    let entry = image::import(cache, options.name.as_str(), &options.file, &|| false)
        .map_err(|fault| Error::Images(vec![image::ImageError { name: options.name.clone(), fault }]))?;
    output::note(&format!("imported `{}`; `source: import:{}` refers to it", entry.id(), options.name));
    Ok(())
}

fn found(cache: &Cache, text: &str) -> Result<Vec<Entry>, Error> {
    let entries = cache.find(text).map_err(fault)?;
    if entries.is_empty() {
        return Err(Error::Missing {
            what: format!("the cache has no image `{text}`"),
            hint: "`vmcompose image list` shows what is there".to_owned(),
        });
    }
    Ok(entries)
}

fn rm(global: &Global, cache: &Cache, options: &Rm) -> Result<(), Error> {
    // All are looked up before any is deleted: a slip in the second name must not cost the first image.
    let mut entries = Vec::new();
    for text in &options.images {
        entries.extend(found(cache, text)?);
    }
    // A folder without a compose file uses nothing.
    if let Ok((requests, pins)) = used_by(global) {
        let used = entries.iter().filter(|entry| image::in_use(&requests, &pins, entry)).map(Entry::id);
        let used: Vec<String> = used.map(|id| format!("`{id}`")).collect();
        if !used.is_empty() {
            confirmed(&format!("deleting {}, which the compose file uses,", used.join(", ")), options.yes)?;
        }
    }
    for entry in entries {
        cache.remove(&entry).map_err(fault)?;
        output::note(&format!("deleted `{}`", entry.id()));
    }
    Ok(())
}

fn confirmed(what: &str, yes: bool) -> Result<(), Error> {
    let ask = || ask(&format!("{what}?")).map_err(|source| Error::Io { path: PathBuf::from("stdin"), source });
    if yes || ask()? == Answer::Yes { Ok(()) } else { Err(Error::Unconfirmed { what: what.to_owned() }) }
}

fn prune(global: &Global, cache: &Cache, options: &Prune) -> Result<(), Error> {
    let (requests, pins) = if options.all { (Requests::new(), Pins::default()) } else { used_by(global)? };
    let used = |entry: &Entry| image::in_use(&requests, &pins, entry);
    let unused = cache.list().map_err(fault)?.iter().filter(|entry| !used(entry)).count();
    if unused > 0 {
        confirmed(&format!("deleting {unused} images from the cache"), options.yes)?;
    }
    let pruned = cache.prune(&used).map_err(fault)?;
    for entry in &pruned.entries {
        output::note(&format!("deleted `{}`", entry.id()));
    }
    output::note(&format!("freed {}", images::about(pruned.freed)));
    Ok(())
}

fn fault(fault: Fault) -> Error {
    match fault {
        Fault::Cache { path, source } | Fault::Unreadable { path, source } => Error::Io { path, source },
        other => Error::Missing { what: other.to_string(), hint: other.hint().unwrap_or_default() },
    }
}
