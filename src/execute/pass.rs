//! One way through a plan, forwards or back: the loop between the schedule and the workers.
//!
//! Owns the loop. Knows nothing of what a failure entails beyond the end of the way.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::sync::CancellationToken;

use super::patience::Breaker;
use super::schedule::{Order, Schedule};
use super::scribe::Scribe;
use super::worker::{Ended, Message, Shop, work};
use super::{Failure, OnFailure, Options, Problem};
use crate::backend::{ErrorKind, Hypervisor, HypervisorError};
use crate::plan::{Milestone, Plan, Step, StepId};

/// How long a run may take that has no deadline: the timer behind it is never awaited.
const FOREVER: Duration = Duration::from_hours(24 * 365);

/// One way through a plan, forwards or back.
pub(super) struct Pass<'a> {
    pub(super) plan: &'a Plan,
    pub(super) policy: OnFailure,
    pub(super) order: Order,
    pub(super) interrupt: &'a CancellationToken,
    /// How long it may take.
    pub(super) limit: Option<Duration>,
    pub(super) scribe: Scribe,
    pub(super) options: &'a Options,
}

/// What came of it.
pub(super) struct Ran {
    pub(super) failures: Vec<Failure>,
    pub(super) unstarted: BTreeSet<StepId>,
    /// Whether it was stopped from outside, by an interrupt or its deadline.
    pub(super) halted: bool,
}

/// What the loop tells about a step.
pub(super) enum Told {
    Started,
    Message(Message),
    NotStarted,
}

impl Pass<'_> {
    /// Every message is taken until the last worker has ended: nothing may leave this loop early, or an operation that
    /// was applied would be missing from the journal.
    pub(super) async fn run<H: Hypervisor>(&self, hypervisor: &Arc<H>, mut tell: impl FnMut(&Step, Told)) -> Ran {
        let steps: Vec<&Step> = self.plan.steps().collect();
        let (shop, mut messages) = self.shop(hypervisor);
        let mut schedule = Schedule::new(self.plan, self.order);
        let mut running: BTreeSet<StepId> = BTreeSet::new();
        let mut failures = Vec::new();
        let mut interrupted = self.interrupt.is_cancelled();
        let mut overdue = false;
        let limit = tokio::time::sleep(self.limit.unwrap_or(FOREVER));
        tokio::pin!(limit);
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
                () = &mut limit, if !overdue && self.limit.is_some() => {
                    overdue = true;
                    shop.halt.cancel();
                }
                Some((id, message)) = messages.recv() => {
                    match &message {
                        Message::AllApplied => schedule.reached(id, Milestone::Applied),
                        Message::Ended(ended) => {
                            running.remove(&id);
                            let stopped = self.stopped(interrupted, overdue);
                            if let Some(problem) = problem(ended, stopped) {
                                failures.push(Failure { resource: steps[id.0].resource.clone(), problem });
                                if self.policy.halts() {
                                    shop.halt.cancel();
                                }
                            } else if matches!(ended, Ended::Done) {
                                schedule.reached(id, Milestone::Passed);
                            }
                        }
                        Message::Begun(_) | Message::Applied(..) | Message::Refused(_) | Message::Waiting(_) | Message::Found(_) => {}
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
        let wanted = self.policy.undoes() || !unstarted.is_empty();
        if let Some(problem) = self.stopped(interrupted, overdue).filter(|_| wanted && failures.is_empty()) {
            let stopped_at = unstarted.first().map_or_else(|| steps.last(), |id| steps.get(id.0));
            failures.extend(stopped_at.map(|step| Failure { resource: step.resource.clone(), problem }));
        }
        Ran { failures, unstarted, halted: interrupted || overdue }
    }

    /// What stopped everything from outside.
    fn stopped(&self, interrupted: bool, overdue: bool) -> Option<Problem> {
        let limit_s = self.limit.filter(|_| overdue).map(|limit| limit.as_secs_f64());
        if interrupted { Some(Problem::Interrupted) } else { limit_s.map(|limit_s| Problem::Overdue { limit_s }) }
    }

    fn shop<H: Hypervisor>(&self, hypervisor: &Arc<H>) -> (Shop<H>, UnboundedReceiver<(StepId, Message)>) {
        let (messages, stream) = unbounded_channel();
        let shop = Shop {
            hypervisor: Arc::clone(hypervisor),
            project: self.plan.project.clone(),
            logins: Arc::clone(&self.options.logins),
            instructions: Arc::clone(&self.options.instructions),
            permits: Arc::new(Semaphore::new(self.options.parallel.max(1))),
            halt: CancellationToken::new(),
            messages,
            scribe: self.scribe.clone(),
            patience: self.options.patience,
            breaker: Arc::new(Breaker::default()),
        };
        (shop, stream)
    }
}

/// The problem that the end of a step amounts to. A step that was given up because another failed is none.
fn problem(ended: &Ended, stopped: Option<Problem>) -> Option<Problem> {
    match ended {
        Ended::Failed(problem) => Some(problem.clone()),
        Ended::Cancelled => stopped,
        Ended::Done => None,
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
