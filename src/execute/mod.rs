//! Carries a plan out and, when something fails, carries out its inverse.
//!
//! Owns the run: who starts when, what a failure stops, how it all ends. It obeys the plan and never compares specs;
//! it prints nothing, it tells events. Data flows from the [`Schedule`], which says what may start,
//! through a worker per step and back as messages; the [`Journal`] turns what was applied into the
//! plan of the rollback, which the same loop carries out.

pub mod event;
mod gate;
pub mod journal;
mod narrate;
mod outcome;
pub mod schedule;
mod worker;

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::sync::CancellationToken;

use crate::backend::{ErrorKind, Hypervisor, HypervisorError};
use crate::names::ResourceId;
use crate::plan::{Milestone, Operation, Plan, Step, StepId};

pub use event::{Before, Event, EventKind, StepResult, StepSummary};
pub use narrate::{EventSender, channel};
pub use outcome::{Failure, Outcome, Problem};

use journal::Journal;
use narrate::{narrate, narrate_undo, summaries};
use schedule::Schedule;
use worker::{Ended, Message, Shop, work};

/// How a run is carried out.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many calls may be under way at once; gates do not count.
    pub parallel: usize,
    /// What a failure entails.
    pub on_failure: OnFailure,
    /// Stop starting things, and undo what was done.
    pub interrupt: CancellationToken,
    /// Stop at once, wherever it is.
    pub abort: CancellationToken,
}

/// What a failure entails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Everything stops, and what this run did is undone.
    Rollback,
    /// What does not depend on the failed step goes on. For a way down, which has no way back, and for a rollback.
    Continue,
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
    let forward = Pass { plan, policy: options.on_failure, interrupt: &options.interrupt, options };
    let ran = forward
        .run(&hypervisor, |step, told| {
            if let Told::Message(Message::Applied(operation)) = &told {
                journal.record(step.id, operation.clone());
            }
            narrate(&events, step, told);
        })
        .await;
    let outcome = match (ran.failures.is_empty(), options.on_failure) {
        (true, _) => Outcome::Completed,
        (false, OnFailure::Continue) => Outcome::Stuck { left_behind: blocked(plan, &ran), causes: ran.failures },
        (false, OnFailure::Rollback) => roll_back(journal, ran.failures, &hypervisor, options, &events).await,
    };
    events.send(EventKind::RunFinished { outcome: outcome.clone() });
    outcome
}

/// Undoes what was applied. Goes on past an undo that fails, up to what stands on it.
async fn roll_back<H: Hypervisor>(
    journal: Journal,
    causes: Vec<Failure>,
    hypervisor: &Arc<H>,
    options: &Options,
    events: &EventSender,
) -> Outcome {
    let mut left_behind: Vec<Failure> = journal.irreversible().map(irreversible).collect();
    let undo = journal.into_undo_plan();
    let operations = undo.steps().map(|step| step.operations.len()).sum();
    events.send(EventKind::RollbackStarted { operations });
    let backward = Pass { plan: &undo, policy: OnFailure::Continue, interrupt: &options.abort, options };
    let ran = backward.run(hypervisor, |step, told| narrate_undo(events, step, told)).await;
    // A call that was abandoned may have had its effect.
    let abandoned = causes.iter().filter(|failure| failure.problem == Problem::Interrupted);
    left_behind.extend(abandoned.filter(|_| options.abort.is_cancelled()).cloned());
    left_behind.extend(ran.failures.iter().cloned());
    left_behind.extend(blocked(&undo, &ran));
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

/// One way through a plan, forwards or back.
struct Pass<'a> {
    plan: &'a Plan,
    policy: OnFailure,
    interrupt: &'a CancellationToken,
    options: &'a Options,
}

/// What came of it.
struct Ran {
    failures: Vec<Failure>,
    unstarted: BTreeSet<StepId>,
}

/// What the loop tells about a step.
enum Told {
    Started,
    Message(Message),
    NotStarted,
}

impl Pass<'_> {
    /// Every message is taken until the last worker has ended: nothing may leave this loop early, or an operation that
    /// was applied would be missing from the journal.
    async fn run<H: Hypervisor>(&self, hypervisor: &Arc<H>, mut tell: impl FnMut(&Step, Told)) -> Ran {
        let steps: Vec<&Step> = self.plan.steps().collect();
        let (shop, mut messages) = self.shop(hypervisor);
        let mut schedule = Schedule::new(self.plan);
        let mut running: BTreeSet<StepId> = BTreeSet::new();
        let mut failures = Vec::new();
        let mut interrupted = self.interrupt.is_cancelled();
        loop {
            if !interrupted && !shop.halt.is_cancelled() {
                for id in schedule.release() {
                    running.insert(id);
                    tell(steps[id.0], Told::Started);
                    spawn(&shop, steps[id.0]);
                }
            }
            if running.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                // The one way to leave before all workers have ended: whoever interrupts twice does not want to wait
                // for a call that hangs. What it does is then unknown, and the step is told as left.
                () = self.options.abort.cancelled() => {
                    for id in std::mem::take(&mut running) {
                        let problem = Problem::Interrupted;
                        tell(steps[id.0], Told::Message(Message::Ended(Ended::Failed(problem.clone()))));
                        failures.push(Failure { resource: steps[id.0].resource.clone(), problem });
                    }
                    interrupted = true;
                }
                () = self.interrupt.cancelled(), if !interrupted => {
                    interrupted = true;
                    shop.halt.cancel();
                }
                Some((id, message)) = messages.recv() => {
                    match &message {
                        Message::AllApplied => schedule.reached(id, Milestone::Applied),
                        Message::Ended(ended) => {
                            running.remove(&id);
                            if let Some(problem) = problem(ended, interrupted) {
                                failures.push(Failure { resource: steps[id.0].resource.clone(), problem });
                                if self.policy == OnFailure::Rollback {
                                    shop.halt.cancel();
                                }
                            } else if matches!(ended, Ended::Done) {
                                schedule.reached(id, Milestone::Passed);
                            }
                        }
                        Message::Begun(_) | Message::Applied(_) | Message::Waiting(_) => {}
                    }
                    tell(steps[id.0], Told::Message(message));
                }
            }
        }
        let unstarted: BTreeSet<StepId> = schedule.unstarted().collect();
        for id in &unstarted {
            tell(steps[id.0], Told::NotStarted);
        }
        // Whoever interrupts a way up wants nothing of it, even where the last call succeeded all the same.
        let wanted = self.policy == OnFailure::Rollback || !unstarted.is_empty();
        if interrupted && wanted && failures.is_empty() {
            let stopped_at = unstarted.first().map_or_else(|| steps.last(), |id| steps.get(id.0));
            let failure = |step: &&Step| Failure { resource: step.resource.clone(), problem: Problem::Interrupted };
            failures.extend(stopped_at.map(failure));
        }
        Ran { failures, unstarted }
    }

    fn shop<H: Hypervisor>(&self, hypervisor: &Arc<H>) -> (Shop<H>, UnboundedReceiver<(StepId, Message)>) {
        let (messages, stream) = unbounded_channel();
        let shop = Shop {
            hypervisor: Arc::clone(hypervisor),
            project: self.plan.project.clone(),
            permits: Arc::new(Semaphore::new(self.options.parallel.max(1))),
            halt: CancellationToken::new(),
            messages,
        };
        (shop, stream)
    }
}

/// The problem that the end of a step amounts to. A step that was given up because another failed is none.
fn problem(ended: &Ended, interrupted: bool) -> Option<Problem> {
    match ended {
        Ended::Failed(problem) => Some(problem.clone()),
        Ended::Cancelled if interrupted => Some(Problem::Interrupted),
        Ended::Done | Ended::Cancelled => None,
    }
}

/// Starts a worker. One that panics still ends its step, or the loop would wait for it for ever.
fn spawn<H: Hypervisor>(shop: &Shop<H>, step: &Step) {
    let (id, messages) = (step.id, shop.messages.clone());
    let worker = tokio::spawn(work(shop.clone(), step.clone()));
    tokio::spawn(async move {
        if let Err(panic) = worker.await {
            let error = HypervisorError::new(ErrorKind::Rejected, format!("the step broke off: {panic}"));
            let problem = Problem::Operation { operation: "carry out a step".to_owned(), error };
            let _ = messages.send((id, Message::Ended(Ended::Failed(problem))));
        }
    });
}
