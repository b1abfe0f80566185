//! Carries a plan out and, when something fails, carries out its inverse.
//!
//! Owns the run: who starts when, what a failure stops, how it all ends. It obeys the plan and never compares specs;
//! it prints nothing, it tells events. Data flows from the [`Schedule`](schedule::Schedule), which says what may start,
//! through a worker per step and back as messages; the [`Journal`] turns what was applied into the
//! plan of the rollback, which the same loop carries out. What a worker is about to do is written down before it is done,
//! so that [`recover`] can undo a run whose process is gone.

pub mod event;
mod gate;
pub mod journal;
mod narrate;
mod outcome;
mod pass;
mod patience;
pub mod schedule;
mod scope;
mod scribe;
mod worker;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::backend::{Change, Hypervisor, WaysIn};
use crate::model::instruction::Instructions;
use crate::names::ResourceId;
use crate::plan::{Operation, Plan, Step};

pub use event::{Before, Event, EventKind, PASSED, StepResult, StepSummary};
pub use narrate::{EventSender, channel};
pub use outcome::{Failure, Outcome, Problem};
pub use patience::Patience;
pub use schedule::Order;

use journal::{Check, Entry, Journal, Place, Recorder, Undo, Unrecorded};
pub use narrate::summaries;

use narrate::{narrate, narrate_undo};
use pass::{Pass, Ran, Told};
use scope::Scope;
use scribe::Scribe;
use worker::Message;

/// How a run is carried out.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many calls may be under way at once; gates do not count.
    pub parallel: usize,
    /// What a failure entails.
    pub on_failure: OnFailure,
    /// What decides when a step may start.
    pub order: Order,
    /// How long the way forward may take; for ever where `None`.
    pub timeout: Option<Duration>,
    /// How much is put up with from the hypervisor.
    pub patience: Patience,
    /// Where it is written down what the run is about to do.
    pub recorder: Arc<dyn Recorder>,
    /// Deletions by which nothing is lost, so that a way back may do without them.
    pub never_used: Vec<Operation>,
    /// How probes log in to vms.
    pub logins: Arc<WaysIn>,
    /// What guests are told, for whoever asks which line of it failed.
    pub instructions: Arc<Instructions>,
    /// Stop starting things, and undo what was done.
    pub interrupt: CancellationToken,
    /// Stop at once, wherever it is.
    pub abort: CancellationToken,
    /// Stop at once likewise, because the project is somebody else's now.
    pub lost: CancellationToken,
}

impl Options {
    /// The same, and whatever is under way stops at once when `lost` is cancelled.
    #[must_use]
    pub fn until(self, lost: &CancellationToken) -> Self {
        Self { interrupt: lost.child_token(), abort: lost.child_token(), lost: lost.clone(), ..self }
    }
}

impl Default for Options {
    /// Undo after a failure, start what is ready, keep nothing.
    fn default() -> Self {
        Self {
            parallel: 64,
            on_failure: OnFailure::Rollback,
            order: Order::Ready,
            timeout: None,
            patience: Patience::default(),
            recorder: Arc::new(Unrecorded),
            never_used: Vec::new(),
            logins: Arc::default(),
            instructions: Arc::default(),
            interrupt: CancellationToken::new(),
            abort: CancellationToken::new(),
            lost: CancellationToken::new(),
        }
    }
}

/// What a failure entails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Everything stops, and what this run did is undone.
    Rollback,
    /// Everything stops, and what this run did in the failed wave and those behind it is undone.
    RollbackWave,
    /// What does not depend on the failed step goes on; the step and what stands on it is undone.
    RollbackVm,
    /// Everything stops and is left as it is.
    Keep,
    /// What does not depend on the failed step goes on, and nothing is undone. For a way down, which has no way back, and
    /// for a rollback.
    Continue,
}

impl OnFailure {
    /// Whether a failure stops everything.
    fn halts(self) -> bool {
        matches!(self, Self::Rollback | Self::RollbackWave | Self::Keep)
    }

    /// Whether an interrupt is answered by undoing: who interrupts a way up wants nothing of it.
    fn undoes(self) -> bool {
        matches!(self, Self::Rollback | Self::RollbackWave | Self::RollbackVm)
    }
}

/// Carries out `plan`. Ends with exactly one outcome, which is also the last event.
pub async fn execute<H: Hypervisor>(
    plan: &Plan,
    hypervisor: Arc<H>,
    options: &Options,
    events: EventSender,
) -> Outcome {
    events.send(EventKind::RunStarted { project: plan.project.clone(), steps: summaries(plan) });
    let mut journal = Journal::new(plan);
    let forward = Pass {
        plan,
        policy: options.on_failure,
        order: options.order,
        interrupt: &options.interrupt,
        limit: options.timeout,
        scribe: Scribe { recorder: Arc::clone(&options.recorder), back: None },
        options,
    };
    let ran = forward
        .run(&hypervisor, |step, told| {
            if let Told::Message(message) = &told
                && let Some(entry) = entry(step, message)
            {
                journal.record(&entry);
            }
            narrate(&events, step, told);
        })
        .await;
    let outcome = match Scope::of(plan, &ran, options) {
        _ if ran.failures.is_empty() => Outcome::Completed,
        Scope::Nothing => {
            let left_behind = left(plan, &ran, &journal, &Scope::Nothing);
            Outcome::Stuck { left_behind, causes: ran.failures }
        }
        scope => {
            let kept = left(plan, &ran, &journal, &scope);
            roll_back(&journal, &scope, ran.failures, kept, &hypervisor, options, &events).await
        }
    };
    events.send(EventKind::RunFinished { outcome: outcome.clone() });
    outcome
}

/// Carries out the way back from a run whose process is gone. What the run did is told as undone step by step.
pub async fn recover<H: Hypervisor>(
    undo: &Undo,
    hypervisor: Arc<H>,
    options: &Options,
    events: EventSender,
) -> Outcome {
    let plan = &undo.plan;
    events.send(EventKind::RunStarted { project: plan.project.clone(), steps: summaries(plan) });
    let pass = Pass {
        plan,
        policy: OnFailure::Continue,
        order: Order::Ready,
        interrupt: &options.interrupt,
        limit: None,
        scribe: Scribe { recorder: Arc::clone(&options.recorder), back: Some(Arc::new(undo.places.clone())) },
        options,
    };
    let ran = pass.run(&hypervisor, |step, told| narrate(&events, step, told)).await;
    let mut left_behind: Vec<Failure> = undo.lost.iter().map(irreversible).collect();
    left_behind.extend(blocked(plan, &ran));
    let outcome = if ran.failures.is_empty() && left_behind.is_empty() {
        Outcome::Completed
    } else {
        Outcome::Stuck { causes: ran.failures, left_behind }
    };
    events.send(EventKind::RunFinished { outcome: outcome.clone() });
    outcome
}

/// What a worker's message means for the journal.
fn entry(step: &Step, message: &Message) -> Option<Entry> {
    let at = |index: &usize| Place(step.id, *index);
    Some(match message {
        Message::Begun(index) => Entry::Begun(at(index)),
        Message::Applied(index, Change::Made | Change::Forced) => Entry::Applied(at(index)),
        Message::Applied(index, Change::None) | Message::Refused(index) => Entry::Void(at(index)),
        Message::AllApplied | Message::Waiting(_) | Message::Found(_) | Message::Ended(_) => return None,
    })
}

/// Undoes what was applied. Goes on past an undo that fails, up to what stands on it.
async fn roll_back<H: Hypervisor>(
    journal: &Journal,
    scope: &Scope,
    causes: Vec<Failure>,
    kept: Vec<Failure>,
    hypervisor: &Arc<H>,
    options: &Options,
    events: &EventSender,
) -> Outcome {
    let undo = journal.undo(|step| scope.has(step), Check::Trust);
    let lost = undo.lost.iter().filter(|operation| !options.never_used.contains(operation));
    let mut left_behind: Vec<Failure> = lost.map(irreversible).collect();
    let operations = undo.plan.steps().map(|step| step.operations.len()).sum();
    events.send(EventKind::RollbackStarted { operations });
    let backward = Pass {
        plan: &undo.plan,
        policy: OnFailure::Continue,
        order: Order::Ready,
        interrupt: &options.abort,
        limit: None,
        scribe: Scribe { recorder: Arc::clone(&options.recorder), back: Some(Arc::new(undo.places.clone())) },
        options,
    };
    let ran = backward.run(hypervisor, |step, told| narrate_undo(events, step, told)).await;
    // A call that was abandoned may have had its effect.
    let abandoned = causes.iter().filter(|failure| failure.problem == Problem::Interrupted);
    left_behind.extend(abandoned.filter(|_| options.abort.is_cancelled()).cloned());
    left_behind.extend(ran.failures.iter().cloned());
    left_behind.extend(blocked(&undo.plan, &ran));
    left_behind.extend(kept);
    if left_behind.is_empty() { Outcome::RolledBack { causes } } else { Outcome::Stuck { causes, left_behind } }
}

fn irreversible(operation: &Operation) -> Failure {
    Failure { resource: operation.resource(), problem: Problem::Irreversible { operation: operation.to_string() } }
}

fn blocked(plan: &Plan, ran: &Ran) -> Vec<Failure> {
    let failed: BTreeSet<&ResourceId> = ran.failures.iter().map(|failure| &failure.resource).collect();
    let steps = plan.steps().filter(|step| ran.unstarted.contains(&step.id) && !failed.contains(&step.resource));
    steps.map(|step| Failure { resource: step.resource.clone(), problem: Problem::Blocked }).collect()
}

/// What stays of a run outside the scope of its rollback, what stands on others in front: what was made and is kept, and
/// what was to go and did not.
fn left(plan: &Plan, ran: &Ran, journal: &Journal, scope: &Scope) -> Vec<Failure> {
    let outside: Vec<&Step> = plan.steps().filter(|step| !scope.has(step)).collect();
    let going = |step: &&&Step| step.action.is_going();
    let failed: BTreeSet<&ResourceId> = ran.failures.iter().map(|failure| &failure.resource).collect();
    let failure = |step: &&Step, problem| Failure { resource: step.resource.clone(), problem };
    let kept = outside.iter().rev().filter(|step| !going(step) && journal.is_in_force(step.id));
    let blocked = outside.iter().filter(going).filter(|step| ran.unstarted.contains(&step.id));
    let all = kept.map(|step| failure(step, Problem::Kept)).chain(blocked.map(|step| failure(step, Problem::Blocked)));
    all.filter(|left| !failed.contains(&left.resource)).collect()
}
