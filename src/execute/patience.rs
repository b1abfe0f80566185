//! How long a call may take, how often it is tried, and when nobody is asked any more.
//!
//! Owns the deadlines, the pauses between attempts by class of error, and the circuit breaker. Knows nothing of what is
//! called.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::backend::{ErrorKind, HypervisorError};
use crate::plan::Operation;

/// How much is put up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long one call may take, besides what it is known to take.
    pub call: Duration,
    /// The first pause before a call is tried again; each further one is twice as long.
    pub pause: Duration,
    /// How often a call is tried again where the connection is gone.
    pub reconnects: u32,
    /// How long after the first of these attempts the last one may begin: each takes its time where a hypervisor hangs.
    pub reconnecting: Duration,
    /// How often where the hypervisor is busy.
    pub retries: u32,
}

impl Default for Patience {
    /// A daemon that is restarted is back within half a minute; a loaded host under software emulation takes its time.
    fn default() -> Self {
        Self {
            call: Duration::from_mins(5),
            pause: Duration::from_millis(250),
            reconnects: 8,
            reconnecting: Duration::from_mins(1),
            retries: 5,
        }
    }
}

/// The longest pause between two attempts.
const LONGEST: Duration = Duration::from_secs(8);
/// Bytes in a second that an upload must make at least.
const SLOWEST: u64 = 512 << 10;

impl Patience {
    /// How long this call may take.
    pub(super) fn deadline(&self, operation: &Operation) -> Duration {
        let known = match operation {
            Operation::StopVm { grace, .. } => grace.0,
            // The script's own time, and some for the guest to take it and to answer.
            Operation::Provision(provision) => provision.task.timeout.0.saturating_mul(2),
            // Memory goes to a disk, or comes from it; how much, only the hypervisor knows.
            Operation::CreateSnapshot { .. }
            | Operation::RestoreSnapshot { .. }
            | Operation::DeleteSnapshot { .. }
            | Operation::SaveVm(_)
            | Operation::RestoreVm(_) => Duration::from_mins(30),
            Operation::UploadImage(image) => Duration::from_secs(image.length.0 / SLOWEST),
            _ => Duration::ZERO,
        };
        self.call.saturating_add(known)
    }

    /// The pause before attempt number `attempt` + 1, counted from 1; `None` where there is none.
    pub(super) fn pause(&self, error: &HypervisorError, attempt: u32) -> Option<Duration> {
        let most = match error.kind {
            ErrorKind::Unreachable => self.reconnects,
            ErrorKind::Busy => self.retries,
            _ => 0,
        };
        let doubled = self.pause.saturating_mul(1 << (attempt - 1).min(16));
        (attempt <= most).then_some(doubled.min(LONGEST))
    }
}

/// Counts calls in a row that found no hypervisor, each after all its attempts. After a few, nobody is asked any more:
/// a run of a thousand calls must not wait a thousand times.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    misses: AtomicUsize,
}

impl Breaker {
    const MOST: usize = 3;

    pub(super) fn is_open(&self) -> bool {
        self.misses.load(Ordering::Relaxed) >= Self::MOST
    }

    pub(super) fn note(&self, error: Option<&HypervisorError>) {
        match error {
            Some(error) if error.kind == ErrorKind::Unreachable => {
                self.misses.fetch_add(1, Ordering::Relaxed);
            }
            _ => self.misses.store(0, Ordering::Relaxed),
        }
    }

    /// The answer in the hypervisor's stead.
    pub(super) fn refusal() -> HypervisorError {
        HypervisorError::new(
            ErrorKind::Unreachable,
            "not tried, because the hypervisor did not answer the calls before",
        )
    }
}

/// The error of a call that did not return in time.
pub(super) fn overdue(deadline: Duration) -> HypervisorError {
    let deadline = humantime::format_duration(deadline);
    let message = format!("the hypervisor gave no answer within {deadline}; the call may still have its effect");
    HypervisorError::new(ErrorKind::Unreachable, message).with_hint("see whether the hypervisor or its storage hangs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_only_for_what_may_pass() {
        let patience = Patience::default();
        let of =
            |kind, attempt| patience.pause(&HypervisorError::new(kind, ""), attempt).map(|pause| pause.as_millis());
        let pauses: Vec<_> = (1..=9).map(|n| of(ErrorKind::Unreachable, n)).collect();
        let expected = [250, 500, 1000, 2000, 4000, 8000, 8000, 8000].map(Some).into_iter().chain([None]);
        assert_eq!(pauses, expected.collect::<Vec<_>>());
        assert_eq!((of(ErrorKind::Busy, 5), of(ErrorKind::Busy, 6)), (Some(4000), None));
        assert_eq!(of(ErrorKind::Rejected, 1), None);
    }

    #[test]
    fn a_breaker_opens_after_a_few_misses_in_a_row_and_closes_at_an_answer() {
        let breaker = Breaker::default();
        let gone = HypervisorError::new(ErrorKind::Unreachable, "gone");
        for _ in 0..Breaker::MOST {
            assert!(!breaker.is_open());
            breaker.note(Some(&gone));
        }
        assert!(breaker.is_open());
        breaker.note(Some(&HypervisorError::new(ErrorKind::Rejected, "an answer too")));
        assert!(!breaker.is_open());
    }
}
