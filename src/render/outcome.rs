//! How a run ended, for people: what was reached, or what went wrong and what is left.
//!
//! Owns the words for outcomes and failures. Failures are told here, after the progress, and nowhere twice. Knows nothing
//! of exit codes.

use std::collections::{BTreeMap, BTreeSet};

use crate::execute::{Failure, Outcome, Problem};
use crate::model::Probe;
use crate::names::ResourceId;
use crate::plan::{Action, Cause, Plan};
use crate::render::layout::tame;
use crate::render::leftover;
use crate::render::message::{error, hint, note};
use crate::render::progress::{Progress, StepState, Track};
use crate::render::style::Palette;
use crate::render::words::{bare, count, counted, done, list, took};

/// What an outcome cannot say of itself.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The plan that was carried out.
    pub plan: &'a Plan,
    /// The run as it was seen.
    pub progress: &'a Progress,
    /// The hypervisor, as the user named it; `None` where libvirt chose.
    pub connect: Option<&'a str>,
    /// Whether the hypervisor's own words are wanted.
    pub verbose: bool,
}

/// What can be reached, in the order in which it is told.
const WORDS: [&str; 15] = [
    "restored",
    "snapshotted",
    "adopted",
    "completed",
    "healthy",
    "started",
    "resumed",
    "restarted",
    "updated",
    "verified",
    "stopped",
    "paused",
    "suspended",
    "released",
    "deleted",
];

/// Names in one line; the rest are counted.
const MOST: usize = 8;

/// The text for an outcome, whole lines.
pub fn text(outcome: &Outcome, about: &About<'_>, palette: &Palette) -> String {
    ending(outcome, about, palette) + &noted(about.progress, palette)
}

fn ending(outcome: &Outcome, about: &About<'_>, palette: &Palette) -> String {
    match outcome {
        Outcome::Completed => format!("{}\n", reached(about.progress)),
        Outcome::RolledBack { causes } => {
            let mut text = failures(causes, about, palette);
            text.push_str(&not_started(about.progress, palette));
            text.push_str(&note("everything that this run did is undone", palette));
            text
        }
        // Who only waited has left nothing.
        Outcome::Stuck { causes, left_behind } if about.plan.is_empty() && left_behind.is_empty() => {
            failures(causes, about, palette)
        }
        Outcome::Stuck { causes, left_behind } => {
            let mut text = failures(causes, about, palette);
            if about.progress.rollback.is_some() {
                text.push_str(&not_started(about.progress, palette));
            }
            text.push_str(&left(&remains(about.progress, causes, left_behind), about, palette));
            text
        }
    }
}

/// What went well, but not as it should have.
fn noted(progress: &Progress, palette: &Palette) -> String {
    let of = |track: &Track| {
        let resource = &track.summary.resource;
        track.notes.iter().map(|words| note(&format!("{resource}: {}", tame(words)), palette)).collect::<String>()
    };
    progress.tracks.iter().map(of).collect()
}

/// Why a run stopped where nobody interrupted it.
pub fn lost(palette: &Palette) -> String {
    let what = "this run gave no sign of life for so long that another one took the project's lock; it stopped at once";
    let hint_text = "when the other one has ended, `vmcompose recover` undoes what is left of this one";
    error(what, palette) + &hint(hint_text, palette)
}

/// What is not as it should be after a run that got stuck. Where nothing was rolled back, that is also what failed.
pub(super) fn remains<'a>(progress: &Progress, causes: &'a [Failure], left: &'a [Failure]) -> Vec<&'a Failure> {
    let causes = if progress.rollback.is_some() { &[] } else { causes };
    causes.iter().chain(left).collect()
}

/// One failure as a fragment, for a line that names the resource already.
pub fn problem(failure: &Failure) -> String {
    match &failure.problem {
        Problem::Operation { operation, error } => {
            let message = tame(&error.message);
            let told = message.starts_with("cannot ");
            if told { message } else { format!("cannot {}: {message}", bare(operation, &failure.resource)) }
        }
        Problem::Unhealthy { probe, answer, .. } if is_completion(probe) => {
            format!("not completed: {}", tame(answer))
        }
        Problem::Unhealthy { probe, attempts, answer, .. } => {
            format!("not healthy after {}: {}: {}", count(*attempts as usize, "attempt"), tame(probe), tame(answer))
        }
        Problem::Hopeless { probe, error } if is_completion(probe) => {
            format!("cannot complete: {}", tame(&error.message))
        }
        Problem::Hopeless { probe, error } => {
            format!("cannot become healthy: {}: {}", tame(probe), tame(&error.message))
        }
        Problem::Interrupted => "interrupted".to_owned(),
        Problem::Overdue { limit_s } => {
            format!("not done within the run's {}", took(std::time::Duration::from_secs_f64(*limit_s)))
        }
        Problem::Blocked => "still there, because what uses it is".to_owned(),
        Problem::Kept => "kept".to_owned(),
        Problem::Irreversible { operation } => {
            format!("stays as it is now: `{operation}` was done before the failure and cannot be undone")
        }
    }
}

/// Whether the vm had to do its work and power itself off, so that health has nothing to do with it.
fn is_completion(probe: &str) -> bool {
    probe == Probe::Completed.to_string()
}

/// "6 vms healthy in 21.3s".
fn reached(progress: &Progress) -> String {
    let mut vms: BTreeMap<&str, usize> = BTreeMap::new();
    let mut others: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut forgotten: BTreeSet<usize> = BTreeSet::new();
    for track in progress.tracks.iter().filter(|track| track.state == StepState::Done) {
        let summary = &track.summary;
        let word = done(summary.action, &summary.resource, &summary.gate);
        match summary.resource {
            // Each snapshot is a wave of its own.
            ResourceId::Vm(_) if summary.action == Action::Forget => {
                forgotten.insert(summary.wave);
            }
            ResourceId::Vm(_) => *vms.entry(word).or_default() += 1,
            ref other => *others.entry((word, other.kind())).or_default() += 1,
        }
    }
    let mut parts: Vec<String> = Vec::new();
    if !forgotten.is_empty() {
        parts.push(format!("{} deleted", count(forgotten.len(), "snapshot")));
    }
    // What is done around a restore goes without saying where there is one; what is done around a snapshot, likewise.
    let inner: &[&str] = match () {
        () if vms.contains_key("restored") => &["snapshotted", "paused", "resumed"],
        () if vms.contains_key("snapshotted") => &["paused", "resumed", "frozen", "thawed"],
        () => &[],
    };
    for word in WORDS.iter().filter(|word| !inner.contains(word)) {
        let of_vms = vms.get(*word).map(|n| count(*n, "vm"));
        let of_others = others.iter().filter(|((of, _), _)| of == word).map(|((_, kind), n)| counted(*n, kind));
        let named: Vec<String> = of_vms.into_iter().chain(of_others).collect();
        if !named.is_empty() {
            parts.push(format!("{} {word}", named.join(", ")));
        }
    }
    if parts.is_empty() {
        // What vms stand on goes without saying where there are vms.
        parts.extend(others.iter().map(|((word, kind), n)| format!("{} {word}", counted(*n, kind))));
    }
    if parts.is_empty() {
        parts.push("nothing to do".to_owned());
    }
    let held = progress.held().filter(|_| !vms.contains_key("restored"));
    let held = held.map(|held| format!(", held for {}", took(held))).unwrap_or_default();
    format!("{} in {}{held}", parts.join(", "), took(progress.elapsed))
}

fn failures(causes: &[Failure], about: &About<'_>, palette: &Palette) -> String {
    let real = causes.iter().filter(|failure| failure.problem != Problem::Interrupted);
    let mut text: String = real.map(|failure| one(failure, about, palette)).collect();
    // Every step that was under way says so; the user pressed one key.
    if causes.iter().any(|failure| failure.problem == Problem::Interrupted) {
        text.push_str(&error("interrupted", palette));
    }
    text
}

/// One failure, with its hint.
fn one(failure: &Failure, about: &About<'_>, palette: &Palette) -> String {
    let resource = &failure.resource;
    let (told, cause) = match &failure.problem {
        Problem::Operation { operation, error } => {
            (format!("failed to {operation}: {}", lines(&error.message)), Some(error))
        }
        Problem::Unhealthy { probe, waited_s, answer, .. } if is_completion(probe) => {
            let patience = took(std::time::Duration::from_secs_f64(*waited_s));
            (format!("{resource} has not completed in {patience}: {}", tame(answer)), None)
        }
        Problem::Hopeless { probe, error } if is_completion(probe) => {
            (format!("{resource} cannot complete: {}", tame(&error.message)), Some(error))
        }
        Problem::Unhealthy { probe, attempts, waited_s, answer } => {
            let patience = took(std::time::Duration::from_secs_f64(*waited_s));
            let tries = count(*attempts as usize, "attempt");
            let first = format!("{resource} is not healthy after {tries} in {patience}");
            (format!("{first}\nprobe: {}\nlast answer: {}", tame(probe), tame(answer)), None)
        }
        Problem::Hopeless { probe, error } => {
            let first = format!("{resource} cannot become healthy: {}", tame(&error.message));
            (format!("{first}\nprobe: {}", tame(probe)), Some(error))
        }
        Problem::Interrupted
        | Problem::Overdue { .. }
        | Problem::Blocked
        | Problem::Kept
        | Problem::Irreversible { .. } => (format!("{resource}: {}", problem(failure)), None),
    };
    let detail = cause.and_then(|error| error.detail.as_deref()).filter(|_| about.verbose);
    let detail = detail.map(|words| format!("\nlibvirt: {}", tame(words))).unwrap_or_default();
    let advice = cause.and_then(|error| error.hint.as_deref()).map(|text| hint(text, palette)).unwrap_or_default();
    let found = telling(failure, about.progress);
    format!("{}{advice}", error(&format!("{told}{found}{detail}"), palette))
}

/// What was found about a vm that did not become healthy, in the few lines that tell most.
fn telling(failure: &Failure, progress: &Progress) -> String {
    const MOST: usize = 3;
    let gate = matches!(failure.problem, Problem::Unhealthy { .. } | Problem::Hopeless { .. });
    let track = progress.tracks.iter().find(|track| gate && track.summary.resource == failure.resource);
    let found = track.into_iter().flat_map(|track| track.telling.iter().take(MOST));
    found.flat_map(|line| ["\n".to_owned(), tame(line)]).collect()
}

/// What a script in a guest printed comes in lines, and stays in them.
fn lines(text: &str) -> String {
    text.lines().map(tame).collect::<Vec<_>>().join("\n")
}

/// Steps behind a failure are told of once, and are no errors.
fn not_started(progress: &Progress, palette: &Palette) -> String {
    let idle = progress.tracks.iter().filter(|track| track.state == StepState::NotStarted);
    let names: Vec<&ResourceId> = idle.map(|track| &track.summary.resource).collect();
    match names.len() {
        0 => String::new(),
        _ => note(&format!("not started: {}", list(names, MOST)), palette),
    }
}

fn left(remains: &[&Failure], about: &About<'_>, palette: &Palette) -> String {
    let taking_down = about.plan.steps().all(|step| step.action.is_going());
    let state = if taking_down { "still there" } else { "not as before" };
    let verb = if remains.len() == 1 { "is" } else { "are" };
    let lines: Vec<String> = remains.iter().map(|left| format!("\n{}: {}", left.resource, problem(left))).collect();
    let mut text = error(&format!("{} {verb} {state}:{}", count(remains.len(), "resource"), lines.concat()), palette);
    if taking_down {
        text.push_str(&hint("`vmcompose down` goes on where this one stopped", palette));
    } else if about.plan.steps().all(|step| step.cause == Cause::Rollback) {
        text.push_str(&hint("`vmcompose recover` goes on where this one stopped", palette));
    } else {
        text.push_str(&hint("`vmcompose recover` undoes the rest, `vmcompose up` goes on from it", palette));
    }
    let commands = leftover::commands(about.plan, about.connect, remains);
    if !commands.is_empty() {
        text.push_str(&hint("to clean up by hand, once the cause is gone:", palette));
        text.extend(commands.iter().map(|command| format!("  {command}\n")));
    }
    text
}
