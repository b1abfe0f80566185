//! Progress as a picture of a terminal: a header, and a line per resource that changes in place.
//!
//! Owns what the lines say and how they fit a width and a height. Pure: a frame is a function of the run and the moment.
//! Knows nothing of terminals but their size.

use std::net::Ipv4Addr;
use std::time::Duration;

use anstyle::Style;

use crate::execute::Outcome;
use crate::names::ResourceId;
use crate::render::layout::{cut, pad, tame, width};
use crate::render::outcome::problem;
use crate::render::progress::{Progress, StepState, Track, UndoState};
use crate::render::style::{Palette, paint};
use crate::render::words::{count, doing, done, list, took};

/// The terminal that a frame is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Whether it can show more than ASCII.
    pub unicode: bool,
}

/// The moment that a frame shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Time since the run began.
    pub now: Duration,
    /// Number of the frame; turns the spinners.
    pub tick: usize,
}

/// Below this many columns there is no room for times.
const NARROW: usize = 48;
/// Width of the column of times.
const TIMES: usize = 6;
/// Names in a line that says what is waited for.
const MOST: usize = 2;

impl Screen {
    /// Whether all steps of a run have a line of their own. Otherwise a frame shows only those under way, and the others
    /// are printed when they are over.
    pub fn holds(&self, progress: &Progress) -> bool {
        progress.tracks.len() + 2 <= self.height
    }
}

/// The frame of a run, from top to bottom.
pub fn frame(progress: &Progress, moment: Moment, screen: Screen, palette: &Palette) -> Vec<String> {
    let Some(header) = header(progress, moment.now, palette) else { return Vec::new() };
    let mut lines = vec![cut(&header, screen.width)];
    let drawn = |track: &&Track| line(progress, track, moment, screen, palette);
    if screen.holds(progress) {
        lines.extend(progress.tracks.iter().map(|track| drawn(&track)));
        return lines;
    }
    let moving: Vec<&Track> = progress.tracks.iter().filter(|track| is_moving(track)).collect();
    let room = screen.height.saturating_sub(3).max(1);
    lines.extend(moving.iter().take(room).map(drawn));
    let hidden = moving.len().saturating_sub(room);
    let waiting = progress.tracks.iter().filter(|track| track.state == StepState::Pending).count();
    let more = (hidden > 0).then(|| format!("{hidden} more under way"));
    let waiting = (waiting > 0).then(|| format!("{} waiting", count(waiting, "step")));
    let rest: Vec<String> = more.into_iter().chain(waiting).collect();
    if !rest.is_empty() {
        lines.push(cut(&paint(palette.faint, format!("  {}", rest.join(", "))), screen.width));
    }
    lines
}

fn is_moving(track: &Track) -> bool {
    let forward = matches!(track.state, StepState::Running(_) | StepState::Gating(_) | StepState::Finishing(_));
    forward || matches!(track.undo, UndoState::Undoing(_))
}

/// The line above all others; `None` before the run has begun.
pub(super) fn header(progress: &Progress, now: Duration, palette: &Palette) -> Option<String> {
    let project = progress.project.as_ref()?;
    let undone =
        progress.rollback.map(|back| format!("{} of {} undone", back.undone, count(back.operations, "operation")));
    let done = || format!("{} of {}", progress.done(), count(progress.tracks.len(), "step"));
    let far = match (&progress.outcome, undone) {
        (Some(Outcome::Stuck { .. }), undone) => format!("stuck, {}", undone.unwrap_or_else(done)),
        (Some(_), Some(undone)) => format!("rolled back, {undone}"),
        (None, Some(undone)) => format!("rolling back, {undone}"),
        (_, None) => done(),
    };
    let name = paint(palette.strong, format!("project `{project}`"));
    let expected = progress.expected.filter(|_| progress.outcome.is_none() && progress.rollback.is_none());
    let time = expected.map_or_else(|| took(now), |expected| format!("{} of about {}", took(now), took(expected)));
    Some(format!("{name}  {far}  {}", paint(palette.faint, time)))
}

/// The line of one step.
pub(super) fn line(progress: &Progress, track: &Track, moment: Moment, screen: Screen, palette: &Palette) -> String {
    let widest = progress.tracks.iter().map(|track| width(&track.summary.resource.to_string())).max().unwrap_or(0);
    let names = widest.min(screen.width / 3).min(32);
    let name = pad(&cut(&track.summary.resource.to_string(), names), names);
    let (sign, style) = sign(track, moment.tick, screen.unicode, palette);
    let time = if screen.width < NARROW { String::new() } else { format!("{:>TIMES$}  ", time(track, moment.now)) };
    let room = screen.width.saturating_sub(names + 5 + time.len());
    let idle = matches!(track.state, StepState::Pending | StepState::NotStarted | StepState::Cancelled);
    let quiet = if idle { palette.faint } else { Style::new() };
    let message = paint(quiet, cut(&fit(progress, track, room), room));
    format!(" {} {name}  {}{message}", paint(style, sign), paint(palette.faint, time))
}

fn time(track: &Track, now: Duration) -> String {
    let shown = !matches!(track.state, StepState::Pending | StepState::NotStarted);
    track.took(now).filter(|_| shown).map(took).unwrap_or_default()
}

fn sign(track: &Track, tick: usize, unicode: bool, palette: &Palette) -> (char, Style) {
    const TURNING: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
    const TURNING_ASCII: [char; 4] = ['|', '/', '-', '\\'];
    let of = |rich: char, plain: char| if unicode { rich } else { plain };
    let turning = of(TURNING[tick % TURNING.len()], TURNING_ASCII[tick % TURNING_ASCII.len()]);
    match (&track.undo, &track.state) {
        (UndoState::Undoing(_), _) => (turning, palette.change),
        (UndoState::Failed(_), _) | (_, StepState::Failed(_)) => (of('✘', 'x'), palette.bad),
        (UndoState::Undone, _) => (of('↺', '<'), palette.change),
        (UndoState::Untouched, StepState::Running(_) | StepState::Gating(_) | StepState::Finishing(_)) => {
            (turning, palette.busy)
        }
        (UndoState::Untouched, StepState::Done) => (of('✔', '+'), palette.good),
        (UndoState::Untouched, StepState::Pending) => (of('·', '.'), palette.faint),
        (UndoState::Untouched, StepState::Cancelled | StepState::NotStarted) => (of('–', '-'), palette.faint),
    }
}

/// The message as it fits: of an attempt at a gate, the answer counts most, then the number, then the vm's own address.
fn fit(progress: &Progress, track: &Track, room: usize) -> String {
    let whole = message(progress, track);
    let StepState::Gating(Some(attempt)) = &track.state else { return whole };
    if width(&whole) <= room || track.undo != UndoState::Untouched {
        return whole;
    }
    let probe = without_address(&tame(&attempt.probe));
    let short = format!("healthy? {probe}: {}", tame(&attempt.answer));
    let numbered = format!("{short} (attempt {})", attempt.number);
    if width(&numbered) <= room { numbered } else { short }
}

/// "http 10.20.0.5:8080/healthz" as "http :8080/healthz": where a line names its vm, the address says nothing new.
fn without_address(probe: &str) -> String {
    let Some((kind, place)) = probe.split_once(' ') else { return probe.to_owned() };
    match place.split_once(':') {
        Some((host, rest)) if host.parse::<Ipv4Addr>().is_ok() => format!("{kind} :{rest}"),
        _ => probe.to_owned(),
    }
}

fn message(progress: &Progress, track: &Track) -> String {
    match &track.undo {
        UndoState::Untouched => forward(progress, track),
        UndoState::Undoing(operation) => format!("undoing: {}", doing(operation, &track.summary.resource)),
        UndoState::Failed(failure) => format!("undo failed: {}", problem(failure)),
        UndoState::Undone => match &track.state {
            StepState::Failed(failure) => format!("{}; undone", problem(failure)),
            _ => "undone".to_owned(),
        },
    }
}

fn forward(progress: &Progress, track: &Track) -> String {
    let summary = &track.summary;
    match &track.state {
        StepState::Pending => waiting(progress, track),
        StepState::Running(None) | StepState::Finishing(None) => "queued".to_owned(),
        StepState::Running(Some(operation)) | StepState::Finishing(Some(operation)) => {
            doing(operation, &summary.resource)
        }
        StepState::Gating(None) if summary.gate.is_empty() => String::new(),
        StepState::Gating(None) => format!("waiting until {}", tame(&summary.gate)),
        StepState::Gating(Some(attempt)) => format!("healthy? {}", tame(&attempt.to_string())),
        StepState::Done => done(summary.action, &summary.resource, &summary.gate).to_owned(),
        StepState::Failed(failure) => problem(failure),
        StepState::Cancelled => "cancelled".to_owned(),
        StepState::NotStarted => "not started".to_owned(),
    }
}

/// What a step waits for, and why: when all that are left are applied, it is their health.
fn waiting(progress: &Progress, track: &Track) -> String {
    let before: Vec<&ResourceId> = progress.waiting_for(track);
    if before.is_empty() {
        return "waiting".to_owned();
    }
    let gating = |id: &&ResourceId| {
        let is = |other: &Track| other.summary.resource == **id && matches!(other.state, StepState::Gating(_));
        track.summary.after.iter().filter_map(|before| progress.track(before.step)).any(is)
    };
    let health = if before.iter().all(gating) { " to be healthy" } else { "" };
    format!("waiting for {}{health}", list(before, MOST))
}
