//! Journals on the disk: a file for each run, by hypervisor and project.
//!
//! Owns where they are, their form and what survives what: an entry that announces an effect is on the disk before that
//! happens, a file that was cut short is read up to there, and one that makes no sense is known to be one. A file goes
//! when nothing is left of its run. Knows nothing of what is done about those that stay.

mod fault;
mod read;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Entry, Journal, Recorder};
use crate::model::Digest;
use crate::names::ProjectName;
use crate::plan::Plan;

/// The form that this program writes, and the newest that it reads.
const VERSION: u32 = 1;

/// The first line: whose run it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the form.
    pub version: u32,
    /// The run's name; later ones sort behind earlier ones.
    pub run: String,
    /// The project.
    pub project: ProjectName,
    /// The hypervisor, as libvirt reports it.
    pub hypervisor: String,
    /// `up`, `down`, …
    pub command: String,
    /// The process.
    pub process: u32,
    /// The machine it ran on.
    pub host: String,
    /// When it began, in RFC 3339.
    pub since: String,
    /// The version of vmcompose.
    pub written_by: String,
}

impl Header {
    /// The header of a run that begins now, in this process.
    pub fn now(project: &ProjectName, hypervisor: &str, command: &str) -> Self {
        let (now, process) = (SystemTime::now(), std::process::id());
        let stamp = humantime::format_rfc3339_millis(now).to_string().replace([':', '-'], "");
        Self {
            version: VERSION,
            run: format!("{stamp}-{process}"),
            project: project.clone(),
            hypervisor: hypervisor.to_owned(),
            command: command.to_owned(),
            process,
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            since: humantime::format_rfc3339_seconds(now).to_string(),
            written_by: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// A run whose process is gone, as far as its file tells.
#[derive(Debug, Clone)]
pub struct Unfinished {
    /// The file.
    pub path: PathBuf,
    /// The run's name, which is the file's.
    pub run: String,
    /// Whose it is; `None` where that cannot be read.
    pub header: Option<Header>,
    /// What was done; `None` where that cannot be read.
    pub journal: Option<Journal>,
    /// The run came to an end, but left something behind.
    pub stuck: bool,
    /// The run reached what it was for, and was ended before its file was gone.
    pub completed: bool,
    /// The last line was cut short: the process or the machine ended in the middle of it.
    pub torn: bool,
    /// What makes no sense in it. Then any operation of the plan may have been done.
    pub damage: Option<String>,
}

impl Unfinished {
    /// Whether it certainly did nothing: it was cut short before its plan was written, or all it did is undone.
    pub fn is_void(&self) -> bool {
        let undone = |journal: &Journal| journal.in_force() == 0 && !self.stuck;
        self.completed || (self.damage.is_none() && self.journal.as_ref().is_none_or(undone))
    }

    /// Forgets the run.
    pub fn remove(&self) -> io::Result<()> {
        remove(&self.path)
    }

    /// Goes on writing, where the run is undone.
    pub fn reopen(&self) -> io::Result<JournalFile> {
        let file = OpenOptions::new().append(true).read(true).open(&self.path)?;
        // Whatever was cut short is not to be continued.
        let whole = read::whole(&fs::read(&self.path)?);
        file.set_len(whole)?;
        Ok(JournalFile { path: self.path.clone(), file, written: Mutex::new(whole), synced: Mutex::new(0) })
    }
}

/// The folder of all journals of this user.
#[derive(Debug, Clone)]
pub struct Journals {
    root: PathBuf,
}

impl Journals {
    /// Below `$XDG_STATE_HOME`, else `~/.local/state`.
    pub fn of_this_user() -> io::Result<Self> {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
        let nowhere = || io::Error::new(io::ErrorKind::NotFound, "neither `XDG_STATE_HOME` nor `HOME` is set");
        Ok(Self { root: state.ok_or_else(nowhere)?.join("vmcompose/journal") })
    }

    /// Where they are.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Begins the journal of a run. It is on the disk when this returns.
    pub fn begin(&self, header: &Header, plan: &Plan) -> io::Result<JournalFile> {
        let folder = self.folder(&header.hypervisor, &header.project);
        DirBuilder::new().mode(0o700).recursive(true).create(&folder)?;
        let path = folder.join(format!("{}.jsonl", header.run));
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path)?;
        let journal = JournalFile { path, file, written: Mutex::new(0), synced: Mutex::new(0) };
        let begun = journal.append(&json(header)?).and_then(|_| journal.append(&json(&plan.without_content())?));
        let safe = begun.and_then(|_| journal.file.sync_all()).and_then(|()| File::open(&folder)?.sync_all());
        if let Err(error) = safe {
            let _ = fs::remove_file(&journal.path);
            return Err(error);
        }
        Ok(journal)
    }

    /// The runs of a project on a hypervisor that came to no good end, the last one first. Ask only while no run of the
    /// project is under way: hold its lock.
    pub fn unfinished(&self, hypervisor: &str, project: &ProjectName) -> io::Result<Vec<Unfinished>> {
        let mut runs = read::folder(&self.folder(hypervisor, project))?;
        runs.sort_by(|a, b| b.run.cmp(&a.run));
        Ok(runs)
    }

    /// The runs of all projects on all hypervisors, those that are under way included, the last one first.
    pub fn all(&self) -> io::Result<Vec<Unfinished>> {
        let mut runs = Vec::new();
        for hypervisor in read::folders(&self.root)? {
            for project in read::folders(&hypervisor)? {
                runs.extend(read::folder(&project)?);
            }
        }
        runs.sort_by(|a, b| b.run.cmp(&a.run));
        Ok(runs)
    }

    /// A URI may hold characters that a name of a file cannot; the digest tells those apart that look the same without.
    fn folder(&self, hypervisor: &str, project: &ProjectName) -> PathBuf {
        let digest = Digest::of(&Sha256::digest(hypervisor.as_bytes()).into());
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let shown: String = hypervisor.chars().map(plain).take(40).collect();
        self.root.join(format!("{shown}-{digest}")).join(project.as_str())
    }
}

/// The journal of a run that is under way.
#[derive(Debug)]
pub struct JournalFile {
    path: PathBuf,
    file: File,
    /// Bytes that were written, whole lines.
    written: Mutex<u64>,
    /// Bytes that are on the disk. Held while the disk is waited for, so that many entries wait for it together.
    synced: Mutex<u64>,
}

impl JournalFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Nothing is left of the run: neither is its journal.
    pub fn remove(&self) -> io::Result<()> {
        fault::point();
        let removed = remove(&self.path);
        fault::point();
        removed
    }

    /// Writes a line, all of it or nothing, and returns the length of the file after it.
    fn append(&self, line: &str) -> io::Result<u64> {
        let mut written = lock(&self.written);
        let line = format!("{line}\n");
        fault::torn(|| (&self.file).write_all(&line.as_bytes()[..line.len() / 2]));
        if let Err(error) = (&self.file).write_all(line.as_bytes()) {
            let _ = self.file.set_len(*written);
            return Err(error);
        }
        *written += line.len() as u64;
        Ok(*written)
    }

    fn sync(&self, length: u64) -> io::Result<()> {
        let mut synced = lock(&self.synced);
        if *synced < length {
            let written = *lock(&self.written);
            self.file.sync_data()?;
            *synced = written;
        }
        Ok(())
    }
}

impl Recorder for JournalFile {
    fn record(&self, entry: &Entry) -> io::Result<()> {
        fault::point();
        let length = self.append(&json(entry)?)?;
        if entry.announces() {
            self.sync(length)?;
        }
        fault::point();
        Ok(())
    }
}

fn json(value: &impl Serialize) -> io::Result<String> {
    serde_json::to_string(value).map_err(io::Error::from)
}

fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    // Empty folders go too; others stay by themselves.
    let _ = path.ancestors().skip(1).take(2).try_for_each(fs::remove_dir);
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
