//! Where the time of a run went, and how long the next one will take.
//!
//! Owns the critical path, and the forecast from earlier runs. Pure; reads no clock.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::execute::StepSummary;
use crate::names::ResourceId;
use crate::plan::{Action, Milestone};
use crate::render::progress::{Progress, StepState, Track};

/// The chain of steps that made the run as long as it was, first to last: each began when the one before it let it.
pub fn critical_path(progress: &Progress) -> Vec<&Track> {
    let mut path = Vec::new();
    let ended = progress.tracks.iter().filter(|track| track.began.is_some() && track.ended.is_some());
    let mut last = ended.max_by_key(|track| (track.ended, std::cmp::Reverse(track.summary.step)));
    while let Some(track) = last {
        path.push(track);
        let before = track.summary.after.iter().filter_map(|before| Some((progress.track(before.step)?, before.until)));
        let began = before.filter(|(track, _)| track.began.is_some());
        last = began.max_by_key(|(track, until)| reached(track, *until)).map(|(track, _)| track);
    }
    path.reverse();
    path
}

/// When a step came as far as another waited for.
fn reached(track: &Track, until: Milestone) -> Option<Duration> {
    match until {
        Milestone::Applied => track.applied.or(track.ended),
        Milestone::Passed => track.ended,
    }
}

/// How long steps took when they last went well.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Past {
    took: BTreeMap<(ResourceId, Action), (Duration, Duration)>,
}

impl Past {
    /// Takes a run in; what is known already comes from a later one, and stays.
    pub fn learn(&mut self, progress: &Progress) {
        for track in progress.tracks.iter().filter(|track| track.state == StepState::Done) {
            let (Some(began), Some(ended)) = (track.began, track.ended) else { continue };
            let applied = track.applied.unwrap_or(ended).saturating_sub(began);
            let key = (track.summary.resource.clone(), track.summary.action);
            self.took.entry(key).or_insert((applied, ended.saturating_sub(began)));
        }
    }

    /// How long a run of these steps takes when each takes as long as last time; `None` where there is nothing to go by
    /// for one of the vms, or where it is over at once.
    pub fn forecast(&self, steps: &[StepSummary]) -> Option<Duration> {
        /// What nobody has to be told beforehand.
        const MOMENT: Duration = Duration::from_secs(1);
        let mut done: Vec<(Duration, Duration)> = Vec::with_capacity(steps.len());
        for step in steps {
            let took = self.took.get(&(step.resource.clone(), step.action));
            let (applied, whole) = match took {
                Some(took) => *took,
                // Networks and pools take next to nothing; an image may have to be uploaded.
                None if matches!(step.resource, ResourceId::Network(_) | ResourceId::Pool(_)) => Default::default(),
                None => return None,
            };
            let free = |before: &crate::execute::Before| {
                let (applied, ended) = done.get(before.step.0).copied().unwrap_or_default();
                if before.until == Milestone::Applied { applied } else { ended }
            };
            let begins = step.after.iter().map(free).max().unwrap_or_default();
            done.push((begins + applied, begins + whole));
        }
        done.into_iter().map(|(_, ended)| ended).max().filter(|time| *time >= MOMENT)
    }
}
