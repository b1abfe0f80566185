//! Streams of events as runs tell them, written down by hand.
//!
//! Owns a small language for them: who does what, after how many milliseconds.

use std::time::Duration;

use vmcompose::backend::{ErrorKind, HypervisorError};
use vmcompose::execute::{Before, Event, EventKind, Failure, Outcome, Problem, StepResult, StepSummary};
use vmcompose::names::ResourceId;
use vmcompose::plan::{Operation, Plan, StepId};

/// A stream that grows.
pub(crate) struct Stream {
    plan: Plan,
    now: Duration,
    pub(crate) events: Vec<Event>,
}

impl Stream {
    /// The stream of a run of this plan, begun.
    pub(crate) fn of(plan: &Plan) -> Self {
        let steps = plan.waves.iter().enumerate().flat_map(|(wave, steps)| {
            steps.steps.iter().map(move |step| StepSummary {
                step: step.id,
                wave: wave + 1,
                resource: step.resource.clone(),
                action: step.action,
                after: step.after.iter().map(|(step, until)| Before { step: *step, until: *until }).collect(),
                gate: step.gate.to_string(),
            })
        });
        let started = EventKind::RunStarted { project: plan.project.clone(), steps: steps.collect() };
        let mut stream = Self { plan: plan.clone(), now: Duration::ZERO, events: Vec::new() };
        stream.say(started);
        stream
    }

    pub(crate) fn say(&mut self, kind: EventKind) {
        self.events.push(Event { elapsed: self.now, kind });
    }

    /// Time passes.
    pub(crate) fn wait(&mut self, milliseconds: u64) -> &mut Self {
        self.now += Duration::from_millis(milliseconds);
        self
    }

    pub(crate) fn start(&mut self, step: usize) -> &mut Self {
        self.say(EventKind::StepStarted { step: StepId(step) });
        self
    }

    /// All operations of a step, 100 ms each.
    pub(crate) fn apply(&mut self, step: usize) -> &mut Self {
        let operations = self.plan.steps().nth(step).unwrap().operations.clone();
        for operation in &operations {
            self.begin(step, operation).wait(100);
            self.say(EventKind::OperationFinished { step: StepId(step), operation: operation.to_string(), note: None });
        }
        self.say(EventKind::StepApplied { step: StepId(step) });
        self
    }

    /// One operation begins.
    pub(crate) fn begin(&mut self, step: usize, operation: &Operation) -> &mut Self {
        self.say(EventKind::OperationStarted { step: StepId(step), operation: operation.to_string() });
        self
    }

    /// An attempt that did not pass.
    pub(crate) fn gate(&mut self, step: usize, attempt: u32, probe: &str, answer: &str) -> &mut Self {
        let (probe, answer) = (probe.to_owned(), answer.to_owned());
        self.say(EventKind::GateWaiting { step: StepId(step), attempt, probe, answer });
        self
    }

    pub(crate) fn finish(&mut self, step: usize, result: StepResult) -> &mut Self {
        self.say(EventKind::StepFinished { step: StepId(step), result });
        self
    }

    pub(crate) fn fail(&mut self, step: usize, problem: Problem) -> Failure {
        let failure = self.failure(step, problem);
        self.finish(step, StepResult::Failed { failure: failure.clone() });
        failure
    }

    pub(crate) fn failure(&self, step: usize, problem: Problem) -> Failure {
        Failure { resource: self.resource(step), problem }
    }

    fn resource(&self, step: usize) -> ResourceId {
        self.plan.steps().nth(step).unwrap().resource.clone()
    }

    /// Start to end of a step that nothing holds up.
    pub(crate) fn whole(&mut self, step: usize) -> &mut Self {
        self.start(step).apply(step).finish(step, StepResult::Done)
    }

    /// The undo of all operations of a step, in reverse, 50 ms each.
    pub(crate) fn undo(&mut self, step: usize) -> &mut Self {
        for operation in undos(&self.plan, step) {
            self.undo_one(step, &operation, None);
        }
        self
    }

    pub(crate) fn undo_one(&mut self, step: usize, operation: &Operation, failure: Option<Failure>) -> &mut Self {
        let (resource, operation) = (self.resource(step), operation.to_string());
        self.say(EventKind::UndoStarted { resource: resource.clone(), operation: operation.clone() });
        self.wait(50);
        self.say(EventKind::UndoFinished { resource, operation, failure });
        self
    }

    pub(crate) fn roll_back(&mut self, steps: &[usize]) -> &mut Self {
        let operations = steps.iter().map(|step| undos(&self.plan, *step).len()).sum();
        self.say(EventKind::RollbackStarted { operations });
        self
    }

    pub(crate) fn end(&mut self, outcome: Outcome) -> Vec<Event> {
        self.say(EventKind::RunFinished { outcome });
        self.events.clone()
    }
}

/// What undoes a step, in order.
pub(crate) fn undos(plan: &Plan, step: usize) -> Vec<Operation> {
    plan.steps().nth(step).unwrap().operations.iter().rev().filter_map(Operation::undo).collect()
}

pub(crate) const HEALTHZ: &str = "http 10.20.0.11:8080/healthz";

/// The shop up to where `api-1` waits for its health, `api-2` is being defined and `web` waits for both.
pub(crate) fn half_way(plan: &Plan) -> Stream {
    let mut stream = Stream::of(plan);
    stream.whole(0).whole(1).whole(2).whole(3).whole(5);
    stream.start(4);
    let upload = stream.plan.steps().nth(4).unwrap().operations[0].clone();
    stream.begin(4, &upload).wait(2_300);
    stream.say(EventKind::OperationFinished { step: StepId(4), operation: upload.to_string(), note: None });
    stream.say(EventKind::StepApplied { step: StepId(4) });
    stream.finish(4, StepResult::Done).start(6).apply(6);
    for attempt in 1..=6 {
        let answer = if attempt < 3 { "no route to host" } else { "connection refused" };
        stream.wait(1_000).gate(6, attempt, "tcp 10.20.1.10:5432", answer);
        stream.gate(6, attempt, "exec pg_isready -q", "the guest agent does not answer");
    }
    stream.wait(700).finish(6, StepResult::Done).start(7).start(8).apply(7);
    stream.wait(200).gate(7, 1, HEALTHZ, "connection refused");
    let define = stream.plan.steps().nth(8).unwrap().operations[0].clone();
    stream.begin(8, &define);
    stream
}

fn finish_definition(stream: &mut Stream) {
    let operations = stream.plan.steps().nth(8).unwrap().operations.clone();
    let (first, rest) = operations.split_first().unwrap();
    stream.wait(50).say(EventKind::OperationFinished { step: StepId(8), operation: first.to_string(), note: None });
    for operation in rest {
        stream.begin(8, operation).wait(50);
        stream.say(EventKind::OperationFinished { step: StepId(8), operation: operation.to_string(), note: None });
    }
    stream.say(EventKind::StepApplied { step: StepId(8) });
}

/// A run that reaches everything.
pub(crate) fn success(plan: &Plan) -> Vec<Event> {
    let mut stream = half_way(plan);
    finish_definition(&mut stream);
    stream.wait(800).gate(7, 2, HEALTHZ, "connection refused");
    stream.wait(900).finish(7, StepResult::Done).wait(100).finish(8, StepResult::Done).whole(9);
    stream.end(Outcome::Completed)
}

fn unhealthy() -> Problem {
    let answer = "HTTP 503: \"db\u{7} pool exhausted\"".to_owned();
    Problem::Unhealthy { probe: HEALTHZ.to_owned(), attempts: 34, waited_s: 93.0, answer }
}

/// `api-1` does not become healthy; all is undone.
pub(crate) fn rolled_back(plan: &Plan) -> Vec<Event> {
    let mut stream = failed(plan);
    let causes = vec![stream.failure(7, unhealthy())];
    stream.roll_back(&[8, 7, 6, 5, 4, 3, 2, 1, 0]);
    for step in [8, 7, 6, 5, 4, 3, 2, 1, 0] {
        stream.undo(step);
    }
    stream.end(Outcome::RolledBack { causes })
}

fn failed(plan: &Plan) -> Stream {
    let mut stream = half_way(plan);
    finish_definition(&mut stream);
    stream.wait(93_000).fail(7, unhealthy());
    stream.finish(8, StepResult::Cancelled).finish(9, StepResult::NotStarted);
    stream
}

pub(crate) fn refused(operation: &Operation, message: &str) -> Problem {
    let error = HypervisorError {
        detail: Some("internal error: monitor\nclosed (code=1, domain=10)".to_owned()),
        hint: Some("see the log of QEMU on the hypervisor".to_owned()),
        ..HypervisorError::new(ErrorKind::Rejected, message)
    };
    Problem::Operation { operation: operation.to_string(), error }
}

/// The same, but `api-1` cannot be stopped, and so its network stays too.
pub(crate) fn stuck(plan: &Plan) -> Vec<Event> {
    let mut stream = failed(plan);
    let causes = vec![stream.failure(7, unhealthy())];
    stream.roll_back(&[8, 7, 6, 5, 4, 3, 2, 1, 0]);
    stream.undo(8);
    let stop = undos(plan, 7)[0].clone();
    let failure = stream.failure(7, refused(&stop, "the domain did not stop within 30s"));
    stream.undo_one(7, &stop, Some(failure.clone()));
    for step in [6, 5, 4] {
        stream.undo(step);
    }
    let blocked = [2, 3].map(|step| stream.failure(step, Problem::Blocked));
    stream.end(Outcome::Stuck { causes, left_behind: [failure].into_iter().chain(blocked).collect() })
}

/// The user interrupts half way.
pub(crate) fn interrupted(plan: &Plan) -> Vec<Event> {
    let mut stream = half_way(plan);
    finish_definition(&mut stream);
    stream.finish(7, StepResult::Cancelled).finish(8, StepResult::Cancelled).finish(9, StepResult::NotStarted);
    let causes = [7, 8].map(|step| stream.failure(step, Problem::Interrupted)).to_vec();
    stream.roll_back(&[8, 7, 6, 5, 4, 3, 2, 1, 0]);
    for step in [8, 7, 6, 5, 4, 3, 2, 1, 0] {
        stream.undo(step);
    }
    stream.end(Outcome::RolledBack { causes })
}

/// `db` cannot be removed, so its network stays; there is no way back from a `down`.
pub(crate) fn half_down(plan: &Plan) -> Vec<Event> {
    let mut stream = Stream::of(plan);
    stream.start(0);
    let operations = plan.steps().next().unwrap().operations.clone();
    stream.begin(0, &operations[0]).wait(30_000);
    stream.say(EventKind::OperationFinished { step: StepId(0), operation: operations[0].to_string(), note: None });
    stream.begin(0, &operations[1]).wait(100);
    let cause = stream.fail(0, refused(&operations[1], "libvirt does not answer"));
    stream.finish(1, StepResult::NotStarted);
    let left_behind = vec![stream.failure(1, Problem::Blocked)];
    stream.end(Outcome::Stuck { causes: vec![cause], left_behind })
}
