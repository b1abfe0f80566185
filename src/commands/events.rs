//! `events`: what runs do and what the hypervisor notices, as it happens.
//!
//! Owns how the two are brought together. Reads the file only for the project's name.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use serde_json::json;
use tokio::sync::broadcast::error::TryRecvError;

use crate::backend::libvirt::Libvirt;
use crate::backend::{Hypervisor, Notice};
use crate::cli::{EventFormat, Events, Global};
use crate::commands::chronicle::{self, Run};
use crate::commands::{print, request, signals, stage};
use crate::error::{Error, Exit};
use crate::execute::Event;
use crate::names::ProjectName;
use crate::render::{Plain, Progress};

/// Time between two looks at what a run has written down.
const LOOK: Duration = Duration::from_millis(200);

/// Shows the events.
pub(super) fn events(global: &Global, options: &Events) -> Result<Exit, Error> {
    let project = stage::project_name(global, &request(global)?)?;
    let hypervisor = Libvirt::connect(global.connect.as_deref())?;
    let uri = hypervisor.uri();
    if options.last {
        if let Some(run) = chronicle::runs(&project, &uri)?.first() {
            Teller::of(run, options.format).rest(run)?;
        }
        return Ok(Exit::Done);
    }
    follow(&project, &hypervisor, options.format)
}

fn follow(project: &ProjectName, hypervisor: &Libvirt, format: EventFormat) -> Result<Exit, Error> {
    let stop = signals::flag();
    let mut notices = hypervisor.notices(project);
    let uri = hypervisor.uri();
    // What was told before is not news.
    let mut teller = chronicle::runs(project, &uri)?.first().map(|run| {
        let mut teller = Teller::of(run, format);
        teller.skip(run);
        teller
    });
    while !stop.load(Ordering::Relaxed) {
        if let Some(run) = chronicle::runs(project, &uri)?.first() {
            if teller.as_ref().is_none_or(|teller| teller.run != run.header.run) {
                teller = Some(Teller::of(run, format));
            }
            if let Some(teller) = &mut teller {
                teller.rest(run)?;
            }
        }
        while let Some(stream) = &mut notices {
            match stream.try_recv() {
                Ok(notice) => print(&noticed(project, &notice, format))?,
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Closed) => notices = None,
            }
        }
        std::thread::sleep(LOOK);
    }
    Ok(Exit::Interrupted)
}

/// Tells the events of one run, each once.
struct Teller {
    run: String,
    told: usize,
    began: SystemTime,
    progress: Progress,
    plain: Plain,
    format: EventFormat,
}

impl Teller {
    fn of(run: &Run, format: EventFormat) -> Self {
        let began = humantime::parse_rfc3339(&run.header.since).unwrap_or(SystemTime::UNIX_EPOCH);
        let (progress, plain) = (Progress::default(), Plain::default());
        Self { run: run.header.run.clone(), told: 0, began, progress, plain, format }
    }

    fn skip(&mut self, run: &Run) {
        for event in &run.events {
            let _ = self.progress.apply(event);
        }
        self.told = run.events.len();
    }

    fn rest(&mut self, run: &Run) -> Result<(), Error> {
        for event in run.events.iter().skip(self.told) {
            let _ = self.progress.apply(event);
            if let Some(line) = self.line(run, event) {
                print(&line)?;
            }
        }
        self.told = run.events.len();
        Ok(())
    }

    fn line(&mut self, run: &Run, event: &Event) -> Option<String> {
        let at = stamp(self.began + event.elapsed);
        match self.format {
            EventFormat::Text => {
                let said = self.plain.line(&self.progress, event)?;
                Some(format!(
                    "{at}  {:<10}  {}",
                    run.header.command,
                    said.split_once("] ").map_or(said.as_str(), |(_, said)| said)
                ))
            }
            EventFormat::Json => {
                let mut line = serde_json::to_value(event).ok()?;
                line["at"] = at.into();
                line["source"] = "run".into();
                line["run"] = run.header.run.clone().into();
                Some(line.to_string())
            }
        }
    }
}

fn noticed(project: &ProjectName, notice: &Notice, format: EventFormat) -> String {
    let at = stamp(SystemTime::now());
    match format {
        EventFormat::Text => format!("{at}  {:<10}  vm `{}` {}", "hypervisor", notice.vm, notice.sign.as_str()),
        EventFormat::Json => {
            json!({ "at": at, "source": "hypervisor", "project": project, "event": notice.sign, "vm": notice.vm })
                .to_string()
        }
    }
}

fn stamp(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}
