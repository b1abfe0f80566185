//! Why a vm is as it is: what it waits for, or what became of it, from the events of a run.
//!
//! Owns the words. Knows nothing of where the events come from, nor of what the hypervisor has now.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::execute::Event;
use crate::names::{ResourceId, VmName};
use crate::plan::StepId;
use crate::render::layout::tame;
use crate::render::outcome::problem;
use crate::render::progress::{Progress, StepState, Track, UndoState};
use crate::render::words::{list, took};

/// A run, and what is known of it besides its events.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The run as it stands.
    pub progress: &'a Progress,
    /// All that it told.
    pub events: &'a [Event],
    /// What it was: "up", and when it began.
    pub run: &'a str,
    /// Whether its process is there.
    pub alive: bool,
    /// Time since its last event, where it goes on.
    pub silent: Duration,
    /// Where all that was found is, where anything was.
    pub folder: Option<&'a Path>,
}

/// Names in a line.
const MOST: usize = 6;

/// What the run has to do with the vm; `None` where nothing.
pub fn why(about: &About<'_>, vm: &VmName) -> Option<String> {
    let progress = about.progress;
    let id = ResourceId::Vm(vm.clone());
    let track = progress.tracks.iter().find(|track| track.summary.resource == id)?;
    let mut text = String::new();
    let over = track.state.is_over();
    let broken = progress.outcome.is_none() && !about.alive;
    let _ = writeln!(text, "{id}: {}{}", state(about, track), if broken { ", when the run was cut short" } else { "" });
    let mut line = |name: &str, words: &str| {
        let _ = writeln!(text, "  {name:<12} {words}");
    };
    match &track.state {
        StepState::Pending | StepState::NotStarted | StepState::Cancelled => {
            for before in blockers(progress, track) {
                line(if over { "waited for" } else { "waits for" }, &blocker(progress, before));
            }
        }
        StepState::Running(Some(operation)) | StepState::Finishing(Some(operation)) => line("does", operation),
        StepState::Gating(_) => {
            line("waits until", &tame(&track.summary.gate));
            for (probe, number, answer, at) in last_answers(about.events, track.summary.step) {
                let ago = took((progress.elapsed + about.silent).saturating_sub(at));
                line("last answer", &format!("{}: {} (attempt {number}, {ago} ago)", tame(&probe), tame(&answer)));
            }
        }
        StepState::Failed(failure) => {
            line("because", &problem(failure));
            for found in &track.telling {
                line("found", &tame(found));
            }
            if let Some(folder) = about.folder {
                line("all of it", &folder.join(vm.as_str()).display().to_string());
            }
        }
        StepState::Running(None) | StepState::Finishing(None) | StepState::Done => {}
    }
    if track.undo != UndoState::Untouched {
        line("then", "what the run did to it was undone");
    }
    let held = holds_up(progress, track);
    if !held.is_empty() {
        line("holds up", &list(held, MOST));
    }
    line("in the run", about.run);
    Some(text)
}

fn state(about: &About<'_>, track: &Track) -> String {
    let now = about.progress.elapsed + about.silent;
    let since = |from: Option<Duration>| {
        from.map(|from| format!(" for {}", took(now.saturating_sub(from)))).unwrap_or_default()
    };
    let spent = track.took(now).map(took).unwrap_or_default();
    match &track.state {
        StepState::Pending => "waits for others to come up".to_owned(),
        StepState::Running(_) => format!("is being brought up{}", since(track.began)),
        StepState::Gating(_) => format!("runs, but is not healthy yet{}", since(track.applied)),
        StepState::Finishing(_) => "is healthy; what comes after that is carried out".to_owned(),
        StepState::Done if track.summary.gate.is_empty() => format!("done in {spent}"),
        StepState::Done => format!("reached {} in {spent}", tame(&track.summary.gate)),
        StepState::Failed(_) => format!("failed after {spent}"),
        StepState::Cancelled => "was given up, because something else failed or the run was interrupted".to_owned(),
        StepState::NotStarted => "was not started".to_owned(),
    }
}

/// The last answer of each probe of a step's gate.
fn last_answers(events: &[Event], step: StepId) -> Vec<(String, u32, String, Duration)> {
    let mut last: Vec<(String, u32, String, Duration)> = Vec::new();
    for event in events {
        if let crate::execute::EventKind::GateWaiting { step: of, attempt, probe, answer } = &event.kind
            && *of == step
        {
            last.retain(|(known, ..)| known != probe);
            last.push((probe.clone(), *attempt, answer.clone(), event.elapsed));
        }
    }
    last
}

/// What keeps a step from beginning: those at the bottom, which wait for nothing themselves.
fn blockers<'a>(progress: &'a Progress, track: &'a Track) -> Vec<&'a Track> {
    let (mut found, mut seen, mut open) = (Vec::new(), BTreeSet::new(), vec![track]);
    while let Some(track) = open.pop() {
        for before in &track.summary.after {
            let Some(other) = progress.track(before.step) else { continue };
            if other.state.has_reached(before.until) || !seen.insert(before.step) {
                continue;
            }
            match other.state {
                StepState::Pending | StepState::NotStarted => open.push(other),
                _ => found.push(other),
            }
        }
    }
    found.sort_by_key(|track| track.summary.step);
    found
}

fn blocker(progress: &Progress, track: &Track) -> String {
    let words = match &track.state {
        StepState::Gating(Some(attempt)) => format!("not healthy yet: {}", tame(&attempt.to_string())),
        StepState::Gating(None) => format!("waited for until {}", tame(&track.summary.gate)),
        StepState::Failed(failure) => problem(failure),
        StepState::Running(Some(operation)) => operation.clone(),
        state => state.as_str().to_owned(),
    };
    let spent = track.took(progress.elapsed).map(|time| format!(", {}", took(time))).unwrap_or_default();
    format!("{} ({words}{spent})", track.summary.resource)
}

/// The vms that wait for this one, by whatever way.
fn holds_up<'a>(progress: &'a Progress, track: &Track) -> Vec<&'a ResourceId> {
    if progress.outcome.is_some() || track.state.is_over() {
        return Vec::new();
    }
    let mut behind = BTreeSet::from([track.summary.step]);
    let mut found = Vec::new();
    // Steps are numbered behind what they wait for.
    for other in &progress.tracks {
        if other.state == StepState::Pending && other.summary.after.iter().any(|before| behind.contains(&before.step)) {
            behind.insert(other.summary.step);
            if other.summary.resource.as_vm().is_some() {
                found.push(&other.summary.resource);
            }
        }
    }
    found
}
