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
use crate::execute::{Event, EventKind};
use crate::names::ProjectName;
use crate::render::{Plain, Progress};

/// Time between two looks at what a run has written down.
const LOOK: Duration = Duration::from_millis(200);

/// Shows the events.
pub(super) fn events(global: &Global, options: &Events) -> Result<Exit, Error> {
    // To read the file and to connect takes its time, in which a run may begin that is to be told of.
    let since = SystemTime::now();
    let project = stage::project_name(global, &request(global)?)?;
    let hypervisor = Libvirt::connect(global.connect.as_deref())?;
    let uri = hypervisor.uri();
    if options.last {
        if let Some(run) = chronicle::runs(&project, &uri)?.first() {
            Teller::of(run, options.format).rest(run)?;
        }
        return Ok(Exit::Done);
    }
    follow(&project, &hypervisor, options.format, since)
}

fn follow(project: &ProjectName, hypervisor: &Libvirt, format: EventFormat, since: SystemTime) -> Result<Exit, Error> {
    let stop = signals::flag();
    let mut notices = hypervisor.notices(project);
    let uri = hypervisor.uri();
    let mut teller: Option<Teller> = None;
    while !stop.load(Ordering::Relaxed) {
        let mut ended = false;
        // The oldest first: of two runs that came between two looks, both are told to their ends.
        for run in chronicle::runs(project, &uri)?.iter().rev() {
            match &mut teller {
                Some(teller) if teller.run > run.header.run => {}
                Some(teller) if teller.run == run.header.run => ended |= teller.rest(run)?,
                _ => {
                    let next = teller.insert(Teller::of(run, format));
                    next.skip(run, since);
                    ended |= next.rest(run)?;
                }
            }
        }
        if ended {
            // A run may have adopted machines, whose names do not say whose they are: a look shows it.
            let _ = hypervisor.observe(project);
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

    /// What happened before is not news.
    fn skip(&mut self, run: &Run, since: SystemTime) {
        // The beginning of a run is known to the second.
        let is_old = |event: &&Event| self.began + event.elapsed + Duration::from_secs(1) <= since;
        let old = run.events.iter().take_while(is_old).count();
        for event in &run.events[..old] {
            let _ = self.progress.apply(event);
        }
        self.told = old;
    }

    /// Tells what was not told yet; whether that was the end of it.
    fn rest(&mut self, run: &Run) -> Result<bool, Error> {
        let news = &run.events[self.told.min(run.events.len())..];
        for event in news {
            let _ = self.progress.apply(event);
            if let Some(line) = self.line(run, event) {
                print(&line)?;
            }
        }
        self.told = run.events.len();
        Ok(news.last().is_some_and(|event| matches!(event.kind, EventKind::RunFinished { .. })))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::journal::file::Header;

    /// A run that began at this second of 1970, and told something every second since.
    fn run(began: u64, seconds: u64) -> Run {
        let project = ProjectName::new("shop").expect("legal");
        let since = humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_secs(began)).to_string();
        let header = Header { since, ..Header::now(&project, "test:///default", "up") };
        let kind = EventKind::RunStarted { project, steps: Vec::new() };
        let event = |second| Event { elapsed: Duration::from_secs(second), kind: kind.clone() };
        Run { header, events: (0..seconds).map(event).collect(), folder: "/nowhere".into() }
    }

    #[test]
    fn what_a_run_told_before_the_command_began_is_no_news_and_what_came_before_the_first_look_is() {
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        for (began, told) in [(100, 10), (990, 10), (995, 5), (1000, 0), (1001, 0)] {
            let run = run(began, 10);
            let mut teller = Teller::of(&run, EventFormat::Json);
            teller.skip(&run, since);
            assert_eq!(teller.told, told, "of a run that began at {began}");
        }
    }
}
