//! Carries out one step: its operations one after the other, its gate, and what comes after that.
//!
//! Owns the way from the runtime to the blocking calls of a backend, and the patience with each. Knows nothing of other
//! steps.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Problem;
use super::gate::{Waiting, Watch, wait};
use super::journal::Place;
use super::patience::{Breaker, Patience, overdue};
use super::scribe::Scribe;
use crate::backend::{Change, ErrorKind, Exhibit, Hypervisor, HypervisorError, WaysIn};
use crate::model::instruction::{Instructions, guilty};
use crate::names::ProjectName;
use crate::plan::{Gate, Operation, Step, StepId};

/// What all workers of a run share.
pub(super) struct Shop<H> {
    pub(super) hypervisor: Arc<H>,
    pub(super) project: ProjectName,
    /// How probes log in.
    pub(super) logins: Arc<WaysIn>,
    /// What guests are told.
    pub(super) instructions: Arc<Instructions>,
    /// How many calls may be under way at once.
    pub(super) permits: Arc<Semaphore>,
    /// No further operation, no further waiting.
    pub(super) halt: CancellationToken,
    pub(super) messages: UnboundedSender<(StepId, Message)>,
    pub(super) scribe: Scribe,
    pub(super) patience: Patience,
    pub(super) breaker: Arc<Breaker>,
}

impl<H> Clone for Shop<H> {
    fn clone(&self) -> Self {
        Self {
            hypervisor: Arc::clone(&self.hypervisor),
            project: self.project.clone(),
            logins: Arc::clone(&self.logins),
            instructions: Arc::clone(&self.instructions),
            permits: Arc::clone(&self.permits),
            halt: self.halt.clone(),
            messages: self.messages.clone(),
            scribe: self.scribe.clone(),
            patience: self.patience,
            breaker: Arc::clone(&self.breaker),
        }
    }
}

/// What a worker says of its step, operations by their place in it. The last is always `Ended`.
#[derive(Debug)]
pub(super) enum Message {
    Begun(usize),
    Applied(usize, Change),
    /// It certainly had no effect.
    Refused(usize),
    /// All operations are applied.
    AllApplied,
    Waiting(Waiting),
    /// The gate failed, and this was found.
    Found(Vec<Exhibit>),
    Ended(Ended),
}

/// How a step ended.
#[derive(Debug)]
pub(super) enum Ended {
    Done,
    Cancelled,
    Failed(Problem),
}

/// Carries out one step to its end, and says so.
pub(super) async fn work<H: Hypervisor>(shop: Shop<H>, step: Step) {
    let id = step.id;
    let messages = shop.messages.clone();
    let tell = move |message| {
        // Nobody listens only when the run itself has ended.
        let _ = messages.send((id, message));
    };
    let mut ended = operations(&shop, &step, 0, &step.operations, &tell).await;
    if let Ended::Done = ended {
        tell(Message::AllApplied);
        ended = open(&shop, &step, tell.clone()).await;
    }
    if let Ended::Done = ended {
        ended = operations(&shop, &step, step.operations.len(), &step.finish, &tell).await;
    }
    tell(Message::Ended(ended));
}

/// Carries out some of a step's operations; `first` is the place of the first.
async fn operations<H: Hypervisor>(
    shop: &Shop<H>,
    step: &Step,
    first: usize,
    all: &[Operation],
    tell: &impl Fn(Message),
) -> Ended {
    for (index, operation) in (first..).zip(all) {
        if let Some(patience) = operation.patience() {
            match patiently(shop, step, (index, operation), patience.0, tell).await {
                Ended::Done => continue,
                other => return other,
            }
        }
        let permit = tokio::select! {
            biased;
            () = shop.halt.cancelled() => return Ended::Cancelled,
            permit = Arc::clone(&shop.permits).acquire_owned() => permit,
        };
        tell(Message::Begun(index));
        // A call that is under way is never abandoned before its deadline, even when the run is halted.
        let result = insist(shop, Place(step.id, index), operation).await;
        drop(permit);
        match result {
            Ok(change) => tell(Message::Applied(index, change)),
            Err(Miss { error, doubtful }) => {
                if !doubtful {
                    tell(Message::Refused(index));
                }
                return Ended::Failed(Problem::Operation { operation: operation.to_string(), error });
            }
        }
    }
    Ended::Done
}

/// A call that did not succeed.
struct Miss {
    error: HypervisorError,
    /// Whether it may have had its effect all the same.
    doubtful: bool,
}

/// Makes a call, and makes it again where that can help: operations are harmless when repeated.
async fn insist<H: Hypervisor>(shop: &Shop<H>, place: Place, operation: &Operation) -> Result<Change, Miss> {
    let mut doubtful = false;
    let mut missed: Option<Instant> = None;
    for attempt in 1.. {
        let began = Instant::now();
        if shop.breaker.is_open() {
            return Err(Miss { error: Breaker::refusal(), doubtful });
        }
        let error = match call(shop, place, operation, attempt > 1).await {
            Ok(change) => {
                shop.breaker.note(None);
                // Where an attempt before it was cut off, that one may have made the change.
                return Ok(if doubtful { Change::Made } else { change });
            }
            Err(error) => error,
        };
        doubtful |= matches!(error.kind, ErrorKind::Unreachable | ErrorKind::Halfway);
        // Nobody waits a second time for what did not answer in all the time that it had.
        let hangs = began.elapsed() >= shop.patience.deadline(operation);
        let over = missed.get_or_insert_with(Instant::now).elapsed() >= shop.patience.reconnecting;
        let Some(pause) = shop.patience.pause(&error, attempt).filter(|_| !hangs && !over) else {
            shop.breaker.note(Some(&error));
            return Err(Miss { error, doubtful });
        };
        tokio::select! {
            () = shop.halt.cancelled() => return Err(Miss { error, doubtful }),
            () = tokio::time::sleep(pause) => {}
        }
    }
    Err(Miss { error: Breaker::refusal(), doubtful })
}

/// Tries an operation that waits for a guest until the guest is there. It counts among the calls under way as little as a
/// gate does, and like a gate it is given up when the run is halted, unless the guest is at it already.
async fn patiently<H: Hypervisor>(
    shop: &Shop<H>,
    step: &Step,
    (index, operation): (usize, &Operation),
    patience: Duration,
    tell: &impl Fn(Message),
) -> Ended {
    /// Between two looks at a guest.
    const PAUSE: Duration = Duration::from_millis(500);
    if shop.halt.is_cancelled() {
        return Ended::Cancelled;
    }
    tell(Message::Begun(index));
    let place = Place(step.id, index);
    let began = Instant::now();
    for attempt in 1.. {
        // Never repeated after a lost connection: a script is not harmless when it runs twice.
        match call(shop, place, operation, attempt > 1).await {
            Ok(change) => {
                tell(Message::Applied(index, change));
                return Ended::Done;
            }
            Err(error) if error.kind == ErrorKind::NotYet && began.elapsed() < patience => {
                let probe = operation.to_string();
                tell(Message::Waiting(Waiting { attempt, probe, answer: error.message }));
            }
            Err(mut error) if error.kind == ErrorKind::NotYet => {
                error.message = format!("{}, after {}s of waiting", error.message, began.elapsed().as_secs());
                return Ended::Failed(Problem::Operation { operation: operation.to_string(), error });
            }
            Err(error) => return Ended::Failed(Problem::Operation { operation: operation.to_string(), error }),
        }
        tokio::select! {
            biased;
            () = shop.halt.cancelled() => return Ended::Cancelled,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
    Ended::Cancelled
}

/// One attempt.
async fn call<H: Hypervisor>(
    shop: &Shop<H>,
    place: Place,
    operation: &Operation,
    again: bool,
) -> Result<Change, HypervisorError> {
    let (hypervisor, project, own) = (Arc::clone(&shop.hypervisor), shop.project.clone(), operation.clone());
    let scribe = shop.scribe.clone();
    let call = tokio::task::spawn_blocking(move || scribe.around(place, again, || hypervisor.apply(&project, &own)));
    let deadline = shop.patience.deadline(operation);
    match tokio::time::timeout(deadline, call).await {
        Ok(ended) => ended.unwrap_or_else(|panic| Err(HypervisorError::new(ErrorKind::Rejected, panic.to_string()))),
        Err(_) => Err(overdue(deadline)),
    }
}

async fn open<H: Hypervisor>(shop: &Shop<H>, step: &Step, tell: impl Fn(Message) + Clone + Send + 'static) -> Ended {
    let watch = Watch {
        hypervisor: Arc::clone(&shop.hypervisor),
        project: shop.project.clone(),
        logins: Arc::clone(&shop.logins),
        halt: shop.halt.clone(),
    };
    let say = tell.clone();
    match wait(&watch, &step.gate, move |waiting| say(Message::Waiting(waiting))).await {
        Ok(true) => Ended::Done,
        Ok(false) => Ended::Cancelled,
        Err(problem) => {
            let mut found = evidence(shop, &step.gate).await;
            if let Some(line) = user_line(shop, &step.gate, &problem, &found) {
                found.insert(0, line);
            }
            if !found.is_empty() {
                tell(Message::Found(found));
            }
            Ended::Failed(problem)
        }
    }
}

/// The line of the user's own that cloud-init stumbled over, where that is what went wrong.
fn user_line<H>(shop: &Shop<H>, gate: &Gate, problem: &Problem, found: &[Exhibit]) -> Option<Exhibit> {
    let Gate::Healthy { vm, .. } = gate else { return None };
    let error = match problem {
        Problem::Hopeless { error, .. } => error.message.as_str(),
        Problem::Unhealthy { answer, .. } => answer.as_str(),
        _ => return None,
    };
    let log = found.iter().find(|exhibit| exhibit.name == "cloud-init.log").map_or("", |exhibit| &exhibit.text);
    let line = guilty(shop.instructions.get(vm)?, error, log)?;
    let telling = format!("told in {}: `{}`", line.origin, line.line);
    Some(Exhibit { name: "told.txt".to_owned(), text: format!("{telling}\n"), telling: Some(telling) })
}

/// What is known of a vm now that will be gone with it. A hypervisor that hangs must not hold up the way back.
async fn evidence<H: Hypervisor>(shop: &Shop<H>, gate: &Gate) -> Vec<Exhibit> {
    const PATIENCE: Duration = Duration::from_secs(20);
    let Gate::Healthy { vm, .. } = gate else { return Vec::new() };
    let (hypervisor, project, vm) = (Arc::clone(&shop.hypervisor), shop.project.clone(), vm.clone());
    let looked = tokio::task::spawn_blocking(move || hypervisor.evidence(&project, &vm));
    tokio::time::timeout(PATIENCE, looked).await.ok().and_then(Result::ok).unwrap_or_default()
}
