//! Waits until a gate is open, can no longer open, or nobody wants it any more.
//!
//! Owns patience: when to try again, when to give up. One attempt is the backend's. What the hypervisor notices by itself
//! decides nothing: it is a reason to try at once, so that a gate where nothing is noticed comes to the same end later.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{PASSED, Problem};
use crate::backend::{Attempt, ErrorKind, Health, Hypervisor, HypervisorError, Notice, Notices, WaysIn};
use crate::model::health::{Healthcheck, Http, Probe};
use crate::names::{ProjectName, VmName};
use crate::plan::Gate;

/// A gate that is being waited for.
pub(super) struct Watch<H> {
    pub(super) hypervisor: Arc<H>,
    pub(super) project: ProjectName,
    /// How probes log in.
    pub(super) logins: Arc<WaysIn>,
    /// Ends the wait.
    pub(super) halt: CancellationToken,
}

// Derived, this would ask for `H: Clone`.
impl<H> Clone for Watch<H> {
    fn clone(&self) -> Self {
        Self {
            hypervisor: Arc::clone(&self.hypervisor),
            project: self.project.clone(),
            logins: Arc::clone(&self.logins),
            halt: self.halt.clone(),
        }
    }
}

/// One attempt that did not pass.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) attempt: u32,
    pub(super) probe: String,
    pub(super) answer: String,
}

/// Waits until the gate is open; `Ok(false)` where the wait was cancelled. All probes of a healthcheck are tried side by
/// side, so that several take as long as the slowest.
pub(super) async fn wait<H: Hypervisor>(
    watch: &Watch<H>,
    gate: &Gate,
    tell: impl Fn(Waiting) + Clone + Send + 'static,
) -> Result<bool, Problem> {
    let Gate::Healthy { vm, address, healthcheck } = gate else { return Ok(true) };
    // Before the first attempt, so that nothing is missed between the two.
    let notices = notices(watch).await;
    let mut probes = JoinSet::new();
    for probe in &healthcheck.probes {
        let login = watch.logins.get(vm).filter(|login| login.is_of(probe)).cloned();
        let timeout = healthcheck.timeout.0;
        let attempt = Attempt { vm: vm.clone(), address: *address, probe: probe.clone(), timeout, login };
        let (watch, healthcheck, tell) = (watch.clone(), healthcheck.clone(), tell.clone());
        let notices = notices.as_ref().map(Notices::resubscribe);
        probes.spawn(async move { pass(&watch, attempt, &healthcheck, notices, tell).await });
    }
    let (mut open, mut hopeless) = (true, None);
    while let Some(ended) = probes.join_next().await {
        match ended.unwrap_or_else(|panic| Err(panicked(vm, &panic))) {
            Ok(passed) => open &= passed,
            // The first that cannot pass decides, however long the others may still hope.
            Err(problem) => {
                hopeless = Some(problem);
                break;
            }
        }
    }
    // The others are over before that is told, so that none speaks after it.
    probes.shutdown().await;
    hopeless.map_or(Ok(open), Err)
}

async fn pass<H: Hypervisor>(
    watch: &Watch<H>,
    attempt: Attempt,
    healthcheck: &Healthcheck,
    mut notices: Option<Notices>,
    tell: impl Fn(Waiting),
) -> Result<bool, Problem> {
    let start = Instant::now();
    // When there last was a reason to expect an answer soon.
    let mut stirred = start;
    let name = shown(&attempt);
    let within = healthcheck.deadline.map(|deadline| deadline.0);
    let (mut failures, mut passes) = (0, 0);
    for number in 1.. {
        // An attempt changes nothing, so one that nobody waits for any more may end by itself, within its timeout.
        let tried = tokio::select! {
            biased;
            () = watch.halt.cancelled() => return Ok(false),
            // One that hangs would keep it from being seen that the vm is gone.
            () = noticed(&mut notices, &attempt.vm, |notice| notice.sign.is_end()) => once(watch, &attempt).await,
            tried = once(watch, &attempt) => tried,
        };
        let mut awaiting = false;
        let answer = match tried {
            Ok(answered @ (Health::Passing | Health::Degraded(_))) => {
                passes += 1;
                failures = 0;
                if passes >= healthcheck.success_threshold {
                    if let Health::Degraded(words) = answered {
                        tell(Waiting { attempt: number, probe: name, answer: format!("{PASSED}: {words}") });
                    }
                    return Ok(true);
                }
                format!("{PASSED} {passes} of {} times in a row", healthcheck.success_threshold)
            }
            Ok(Health::Failing(answer)) => {
                passes = 0;
                failures += 1;
                answer
            }
            Ok(Health::Awaiting(answer)) => {
                passes = 0;
                failures += 1;
                awaiting = notices.is_some();
                answer
            }
            // A daemon that is restarted comes back; the healthcheck says how long that may take.
            Err(error) if error.kind == ErrorKind::Unreachable => {
                passes = 0;
                failures += 1;
                error.message
            }
            Err(error) => return Err(Problem::Hopeless { probe: name, error }),
        };
        let waited = start.elapsed();
        let booting = waited < healthcheck.start_period.0;
        if booting {
            failures = 0;
        }
        tell(Waiting { attempt: number, probe: name.clone(), answer: answer.clone() });
        let over = within.is_some_and(|within| waited >= within);
        if over || (failures > 0 && failures >= healthcheck.retries) {
            let waited_s = (waited.as_secs_f64() * 10.0).round() / 10.0;
            return Err(Problem::Unhealthy { probe: name, attempts: number, waited_s, answer });
        }
        // The last attempt is made when the time is over: what it sees is what the failure tells.
        let left = within.map_or(Duration::MAX, |within| within.saturating_sub(waited));
        let pause = pause(stirred.elapsed(), booting && !awaiting, healthcheck);
        tokio::select! {
            () = watch.halt.cancelled() => return Ok(false),
            () = noticed(&mut notices, &attempt.vm, |_| true) => stirred = Instant::now(),
            () = tokio::time::sleep(pause.min(left)) => {}
        }
    }
    Ok(false)
}

/// What the hypervisor notices of this project. To be told is a call too.
async fn notices<H: Hypervisor>(watch: &Watch<H>) -> Option<Notices> {
    let (hypervisor, project) = (Arc::clone(&watch.hypervisor), watch.project.clone());
    tokio::task::spawn_blocking(move || hypervisor.notices(&project)).await.unwrap_or_default()
}

/// Waits until something of the vm is noticed that `counts`; for ever where nothing is noticed.
async fn noticed(notices: &mut Option<Notices>, vm: &VmName, counts: impl Fn(&Notice) -> bool) {
    while let Some(stream) = notices {
        match stream.recv().await {
            Ok(notice) if notice.vm == *vm && counts(&notice) => return,
            Ok(_) => {}
            // What was missed may have been it.
            Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => *notices = None,
        }
    }
    std::future::pending::<()>().await;
}

/// Time until the next attempt.
fn pause(waited: Duration, booting: bool, healthcheck: &Healthcheck) -> Duration {
    match healthcheck.start_interval {
        _ if !booting => healthcheck.interval.0,
        Some(interval) => interval.0,
        None => quick(waited, healthcheck),
    }
}

/// While a guest boots, the next attempt comes after a twentieth of the time waited so far, and after a second at most:
/// quick guests are seen quickly, slow ones soon enough, and neither is flooded.
fn quick(waited: Duration, healthcheck: &Healthcheck) -> Duration {
    const SHORTEST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_millis(800);
    (waited / 20).clamp(SHORTEST, LONGEST).min(healthcheck.interval.0)
}

async fn once<H: Hypervisor>(watch: &Watch<H>, attempt: &Attempt) -> Result<Health, HypervisorError> {
    let (hypervisor, project, own) = (Arc::clone(&watch.hypervisor), watch.project.clone(), attempt.clone());
    let call = tokio::task::spawn_blocking(move || hypervisor.probe(&project, &own));
    call.await.unwrap_or_else(|panic| Err(HypervisorError::new(ErrorKind::Rejected, panic.to_string())))
}

/// The probe as people read it: with the address it goes to.
fn shown(attempt: &Attempt) -> String {
    let address = attempt.address.map(|ip| ip.to_string());
    match attempt.probe.clone() {
        Probe::Tcp { host, port } => Probe::Tcp { host: host.or(address), port }.to_string(),
        Probe::Http(http) => Probe::Http(Box::new(Http { host: http.host.clone().or(address), ..*http })).to_string(),
        Probe::Ssh { host, port } => Probe::Ssh { host: host.or(address), port }.to_string(),
        other => other.to_string(),
    }
}

fn panicked(vm: &VmName, panic: &tokio::task::JoinError) -> Problem {
    let error = HypervisorError::new(ErrorKind::Rejected, format!("the gate of vm `{vm}` broke off: {panic}"));
    Problem::Hopeless { probe: "all".to_owned(), error }
}
