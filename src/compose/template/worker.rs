//! Where templates are worked on: a thread with so much memory, stack and time, left behind when one asks for more.
//!
//! Owns these limits and the thread. What a template is and what is said about one that went too far is not known here.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use minijinja::Environment;

use super::memory::Limit;

/// Debug builds are that much slower than what users run.
const SLOWER: u32 = if cfg!(debug_assertions) { 10 } else { 1 };
/// What the templates of a project may take together, apart from [`EASE`] for each.
const TIME: Duration = Duration::from_millis(1500 * SLOWER as u64);
/// What most templates take, and more.
const EASE: Duration = Duration::from_micros(50 * SLOWER as u64);
/// How often to look after a thread that gives no answer.
const TICK: Duration = Duration::from_millis(10);
/// What one template may hold in memory at a time.
const MEMORY: usize = 192 << 20;
/// Values that are nested as deep as instructions allow fit into this. It costs nothing until it is used.
const STACK: usize = 512 << 20;
/// What of it is for recursion that allocates, and is stopped when this is used up.
const USUAL_STACK: usize = 384 << 20;
/// Threads that may be left behind, since each keeps its memory.
const LOST: u32 = 2;

type Job = Box<dyn FnOnce(&mut Environment<'static>) + Send>;

/// What a template had too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Excess {
    Memory,
    Time,
    /// The templates before it left nothing.
    Others,
    /// It ended the thread.
    Crash,
}

/// The thread, from its first job on.
pub(super) struct Worker {
    environment: fn() -> Environment<'static>,
    thread: Option<(Sender<Job>, &'static Limit)>,
    time: Duration,
    lost: u32,
}

impl Worker {
    pub(super) fn new(environment: fn() -> Environment<'static>) -> Self {
        Self { environment, thread: None, time: TIME, lost: 0 }
    }

    /// The result of a job, which has the thread for itself.
    pub(super) fn run<T: Send + 'static>(
        &mut self,
        job: impl FnOnce(&mut Environment<'static>) -> T + Send + 'static,
    ) -> Result<T, Excess> {
        if self.lost == LOST || self.time.is_zero() {
            return Err(Excess::Others);
        }
        let (sender, answer) = mpsc::sync_channel(1);
        let measured = move |environment: &mut Environment<'static>| {
            let start = Instant::now();
            let result = job(environment);
            // Nobody waits for the answer of a thread that was left behind.
            let _ = sender.send((result, start.elapsed()));
        };
        let (jobs, limit) = self.thread.get_or_insert_with(|| start(self.environment));
        let limit: &'static Limit = limit;
        if jobs.send(Box::new(measured)).is_err() {
            self.thread = None;
            return Err(Excess::Crash);
        }
        match wait(&answer, limit, self.time) {
            Ok((result, took)) => {
                self.time = self.time.saturating_sub(took.saturating_sub(EASE));
                Ok(result)
            }
            Err(excess) => {
                limit.give_up();
                self.thread = None;
                self.lost += 1;
                if excess == Excess::Time {
                    self.time = Duration::ZERO;
                }
                Err(excess)
            }
        }
    }
}

/// Starts a thread. Its limit is a few bytes that outlive it.
fn start(environment: fn() -> Environment<'static>) -> (Sender<Job>, &'static Limit) {
    let limit: &'static Limit = Box::leak(Box::default());
    let (sender, jobs) = mpsc::channel::<Job>();
    let work = move || {
        let mut environment = environment();
        for job in jobs {
            limit.hold(MEMORY, USUAL_STACK, || job(&mut environment));
        }
    };
    // Where there is no thread the first job is told so by a channel that nobody listens to.
    let _ = thread::Builder::new().name("templates".to_owned()).stack_size(STACK).spawn(work);
    (sender, limit)
}

/// Waits in ticks, so that time in which this process was stopped counts as one.
fn wait<T>(answer: &Receiver<T>, limit: &Limit, time: Duration) -> Result<T, Excess> {
    let mut waited = Duration::ZERO;
    loop {
        match answer.recv_timeout(TICK) {
            Ok(answer) => return Ok(answer),
            Err(RecvTimeoutError::Disconnected) => return Err(Excess::Crash),
            Err(RecvTimeoutError::Timeout) if limit.stopped() => return Err(Excess::Memory),
            Err(RecvTimeoutError::Timeout) => waited += TICK,
        }
        if waited >= time {
            return Err(Excess::Time);
        }
    }
}
