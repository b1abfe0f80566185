//! Carries out one step: its operations one after the other, its gate, and what comes after that.
//!
//! Owns the way from the runtime to the blocking calls of a backend. Knows nothing of other steps.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Problem;
use super::gate::{Waiting, Watch, wait};
use crate::backend::{ErrorKind, Hypervisor, HypervisorError};
use crate::names::ProjectName;
use crate::plan::{Operation, Step, StepId};

/// What all workers of a run share.
pub(super) struct Shop<H> {
    pub(super) hypervisor: Arc<H>,
    pub(super) project: ProjectName,
    /// How many calls may be under way at once.
    pub(super) permits: Arc<Semaphore>,
    /// No further operation, no further waiting.
    pub(super) halt: CancellationToken,
    pub(super) messages: UnboundedSender<(StepId, Message)>,
}

impl<H> Clone for Shop<H> {
    fn clone(&self) -> Self {
        Self {
            hypervisor: Arc::clone(&self.hypervisor),
            project: self.project.clone(),
            permits: Arc::clone(&self.permits),
            halt: self.halt.clone(),
            messages: self.messages.clone(),
        }
    }
}

/// What a worker says of its step. The last is always `Ended`.
#[derive(Debug)]
pub(super) enum Message {
    Begun(Operation),
    Applied(Operation),
    /// All operations are applied.
    AllApplied,
    Waiting(Waiting),
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
    let mut ended = operations(&shop, &step.operations, &tell).await;
    if let Ended::Done = ended {
        tell(Message::AllApplied);
        ended = open(&shop, &step, tell.clone()).await;
    }
    if let Ended::Done = ended {
        ended = operations(&shop, &step.finish, &tell).await;
    }
    tell(Message::Ended(ended));
}

async fn operations<H: Hypervisor>(shop: &Shop<H>, all: &[Operation], tell: &impl Fn(Message)) -> Ended {
    for operation in all {
        if let Some(patience) = operation.patience() {
            match patiently(shop, operation, patience.0, tell).await {
                Ended::Done => continue,
                other => return other,
            }
        }
        let permit = tokio::select! {
            biased;
            () = shop.halt.cancelled() => return Ended::Cancelled,
            permit = Arc::clone(&shop.permits).acquire_owned() => permit,
        };
        tell(Message::Begun(operation.clone()));
        // A call that is under way is never abandoned: it is awaited even when the run is halted.
        let result = call(shop, operation).await;
        drop(permit);
        match result {
            Ok(()) => tell(Message::Applied(operation.clone())),
            Err(error) => return Ended::Failed(Problem::Operation { operation: operation.to_string(), error }),
        }
    }
    Ended::Done
}

/// Tries an operation that waits for a guest until the guest is there. It counts among the calls under way as little as a
/// gate does, and like a gate it is given up when the run is halted, unless the guest is at it already.
async fn patiently<H: Hypervisor>(
    shop: &Shop<H>,
    operation: &Operation,
    patience: Duration,
    tell: &impl Fn(Message),
) -> Ended {
    /// Between two looks at a guest.
    const PAUSE: Duration = Duration::from_millis(500);
    if shop.halt.is_cancelled() {
        return Ended::Cancelled;
    }
    tell(Message::Begun(operation.clone()));
    let began = Instant::now();
    let mut attempt = 0;
    loop {
        attempt += 1;
        match call(shop, operation).await {
            Ok(()) => {
                tell(Message::Applied(operation.clone()));
                return Ended::Done;
            }
            Err(error) if error.kind == ErrorKind::NotYet && began.elapsed() < patience => {
                tell(Message::Waiting(Waiting { attempt, probe: "provision".to_owned(), answer: error.message }));
            }
            Err(error) => return Ended::Failed(Problem::Operation { operation: operation.to_string(), error }),
        }
        tokio::select! {
            biased;
            () = shop.halt.cancelled() => return Ended::Cancelled,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

async fn call<H: Hypervisor>(shop: &Shop<H>, operation: &Operation) -> Result<(), HypervisorError> {
    let (hypervisor, project, own) = (Arc::clone(&shop.hypervisor), shop.project.clone(), operation.clone());
    let call = tokio::task::spawn_blocking(move || hypervisor.apply(&project, &own));
    call.await.unwrap_or_else(|panic| Err(HypervisorError::new(ErrorKind::Rejected, panic.to_string())))
}

async fn open<H: Hypervisor>(shop: &Shop<H>, step: &Step, tell: impl Fn(Message) + Clone + Send + 'static) -> Ended {
    let watch =
        Watch { hypervisor: Arc::clone(&shop.hypervisor), project: shop.project.clone(), halt: shop.halt.clone() };
    match wait(&watch, &step.gate, move |waiting| tell(Message::Waiting(waiting))).await {
        Ok(true) => Ended::Done,
        Ok(false) => Ended::Cancelled,
        Err(problem) => Ended::Failed(problem),
    }
}
