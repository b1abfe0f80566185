//! What runs told, kept beside the journals: for `why` and `events` in another terminal and after the run, for the time that
//! the next run will take, and with it what was found about vms that did not become healthy.
//!
//! Owns the folders and how many are kept. A run never fails because of what is written here, and nothing is decided by
//! it: libvirt is the only store of truth.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use crate::commands::unfinished;
use crate::error::Error;
use crate::execute::journal::file::Header;
use crate::execute::{Event, EventKind};
use crate::names::ProjectName;
use crate::plan::StepId;
use crate::render::course::Past;
use crate::render::progress::Progress;

/// Runs of a project that are kept.
const KEPT: usize = 10;
/// The file of a run in which its events are, a line each behind the header.
const EVENTS: &str = "events.jsonl";

/// The chronicle of one run, while it is written.
#[derive(Debug)]
pub(super) struct Chronicle {
    folder: PathBuf,
    file: File,
}

/// The chronicle of one run, as it is read.
#[derive(Debug)]
pub(super) struct Run {
    /// Whose run it is.
    pub(super) header: Header,
    /// What it told, as far as it has come.
    pub(super) events: Vec<Event>,
    /// Where all of it is.
    pub(super) folder: PathBuf,
}

impl Chronicle {
    /// Begins one; `None` where that cannot be written. Older ones go.
    pub(super) fn begin(header: &Header) -> Option<Self> {
        let all = home(&header.project, &header.hypervisor).ok()?;
        let folder = all.join(&header.run);
        DirBuilder::new().mode(0o700).recursive(true).create(&folder).ok()?;
        let mut names = names(&all);
        names.retain(|name| *name != header.run);
        for old in names.iter().rev().skip(KEPT - 1) {
            let _ = fs::remove_dir_all(all.join(old));
        }
        let mut file = create(&folder.join(EVENTS)).ok()?;
        writeln!(file, "{}", serde_json::to_string(header).ok()?).ok()?;
        Some(Self { folder, file })
    }

    /// Writes down what comes, and hands it on. The task ends with the stream, with the folder where anything was found.
    pub(super) fn relay(
        mut self,
        mut from: UnboundedReceiver<Event>,
    ) -> (UnboundedReceiver<Event>, JoinHandle<Option<PathBuf>>) {
        let (to, handed_on) = unbounded_channel();
        let task = tokio::spawn(async move {
            let (mut progress, mut found) = (Progress::default(), false);
            while let Some(event) = from.recv().await {
                // It is written down for whoever looks later; the run goes on without.
                let _ = self.write(&event);
                let _ = progress.apply(&event);
                if let EventKind::EvidenceFound { step, exhibits, .. } = &event.kind {
                    found |= self.keep(&progress, *step, exhibits).is_ok();
                }
                let _ = to.send(event);
            }
            found.then_some(self.folder)
        });
        (handed_on, task)
    }

    fn write(&mut self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_string(event)?;
        line.push('\n');
        // In one piece, so that whoever reads meanwhile sees no half of it but at the end.
        self.file.write_all(line.as_bytes())
    }

    /// A folder for each vm, a file for each finding.
    fn keep(&self, progress: &Progress, step: StepId, exhibits: &[crate::backend::Exhibit]) -> io::Result<()> {
        let vm = progress.track(step).map(|track| track.summary.resource.name()).unwrap_or_default();
        let folder = self.folder.join(vm);
        DirBuilder::new().mode(0o700).recursive(true).create(&folder)?;
        exhibits.iter().try_for_each(|exhibit| create(&folder.join(&exhibit.name))?.write_all(exhibit.text.as_bytes()))
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// The runs of a project that are kept, the last one first.
pub(super) fn runs(project: &ProjectName, hypervisor: &str) -> Result<Vec<Run>, Error> {
    let all = home(project, hypervisor)?;
    Ok(names(&all).iter().rev().filter_map(|name| read(&all.join(name))).collect())
}

/// How long steps took in earlier runs that came to a good end.
pub(super) fn past(project: &ProjectName, hypervisor: &str) -> Past {
    let mut past = Past::default();
    for run in runs(project, hypervisor).unwrap_or_default() {
        past.learn(&run.progress());
    }
    past
}

impl Run {
    /// The run as it stood at its last event.
    pub(super) fn progress(&self) -> Progress {
        let mut progress = Progress::default();
        for event in &self.events {
            // A line that was cut short is missing; the rest still tells.
            let _ = progress.apply(event);
        }
        progress
    }

    /// Whether its process is there. One on another machine is believed to be.
    pub(super) fn is_alive(&self) -> bool {
        let here = rustix::system::uname().nodename().to_string_lossy() == self.header.host.as_str();
        !here || Path::new("/proc").join(self.header.process.to_string()).exists()
    }
}

fn read(folder: &Path) -> Option<Run> {
    let text = fs::read_to_string(folder.join(EVENTS)).ok()?;
    let mut lines = text.lines();
    let header = serde_json::from_str(lines.next()?).ok()?;
    // The last line may be half there.
    let events = lines.map_while(|line| serde_json::from_str(line).ok()).collect();
    Some(Run { header, events, folder: folder.to_owned() })
}

/// Names of runs, the oldest first: they begin with the time.
fn names(all: &Path) -> Vec<String> {
    let entries = fs::read_dir(all).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// The folder of a project on a hypervisor.
fn home(project: &ProjectName, hypervisor: &str) -> Result<PathBuf, Error> {
    let journals = unfinished::journals()?;
    let digest = Sha256::digest(hypervisor.as_bytes());
    let digest: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    Ok(journals.root().with_file_name("runs").join(format!("{project}-{digest}")))
}
