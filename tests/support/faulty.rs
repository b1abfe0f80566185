//! A decorator around a real backend: fails chosen operations, answers probes by rule, remembers the order of calls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use vmcompose::backend::{Attempt, Change, ErrorKind, Exhibit, Health, Hypervisor, HypervisorError, Notices};
use vmcompose::names::{ProjectName, VmName};
use vmcompose::plan::Operation;
use vmcompose::state::ActualState;

/// How probes are answered: the test driver has no guests that could.
type Answer = dyn Fn(&Attempt, u32) -> Result<Health, HypervisorError> + Send + Sync;

/// By call of `apply`, counted from 0: an error, and whether the call has its effect all the same.
type Loss = dyn Fn(usize) -> Option<(HypervisorError, bool)> + Send + Sync;

/// A backend whose operations fail where the test says so.
pub(crate) struct Faulty<H> {
    inner: H,
    /// Calls of `apply` to fail, counted from 0. They have no effect.
    fail: Mutex<BTreeSet<usize>>,
    /// What a call of `apply` is answered with, after its effect where that is wanted.
    lose: Box<Loss>,
    calls: AtomicUsize,
    log: Mutex<Vec<String>>,
    /// `None` where the real backend answers.
    answer: Option<Box<Answer>>,
    /// Whether what the real backend notices is passed on.
    hears: bool,
    notice: Box<dyn Fn(&str) + Send + Sync>,
    attempts: Mutex<BTreeMap<String, u32>>,
}

impl<H: Hypervisor> Faulty<H> {
    /// Fails nothing, and every probe passes.
    pub(crate) fn new(inner: H) -> Self {
        Self {
            inner,
            fail: Mutex::default(),
            lose: Box::new(|_| None),
            calls: AtomicUsize::new(0),
            log: Mutex::default(),
            answer: Some(Box::new(|_, _| Ok(Health::Passing))),
            hears: true,
            notice: Box::new(|_| {}),
            attempts: Mutex::default(),
        }
    }

    /// Fails these calls of `apply`, counted from 0.
    pub(crate) fn failing(mut self, calls: impl IntoIterator<Item = usize>) -> Self {
        self.fail = Mutex::new(calls.into_iter().collect());
        self
    }

    /// Answers calls of `apply` by this rule.
    pub(crate) fn losing(
        mut self,
        lose: impl Fn(usize) -> Option<(HypervisorError, bool)> + Send + Sync + 'static,
    ) -> Self {
        self.lose = Box::new(lose);
        self
    }

    /// Answers probes by this rule: the attempt, and which of the vm it is, from 1.
    pub(crate) fn answering(
        mut self,
        answer: impl Fn(&Attempt, u32) -> Result<Health, HypervisorError> + Send + Sync + 'static,
    ) -> Self {
        self.answer = Some(Box::new(answer));
        self
    }

    /// Lets the real backend answer probes.
    pub(crate) fn honest(mut self) -> Self {
        self.answer = None;
        self
    }

    /// Passes on no notices.
    pub(crate) fn deaf(mut self) -> Self {
        self.hears = false;
        self
    }

    /// Is told of every operation that was applied.
    pub(crate) fn noticing(mut self, notice: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.notice = Box::new(notice);
        self
    }

    /// Fails one more call, counted from 0 since the beginning.
    pub(crate) fn fail(&self, call: usize) {
        self.fail.lock().expect("no panic under the lock").insert(call);
    }

    /// How many calls of `apply` there were.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// What was applied and which probes passed, in order.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().expect("no panic under the lock").clone()
    }

    fn note(&self, line: String) {
        self.log.lock().expect("no panic under the lock").push(line);
    }
}

impl<H: Hypervisor> Hypervisor for Faulty<H> {
    fn observe(&self, project: &ProjectName) -> Result<ActualState, HypervisorError> {
        self.inner.observe(project)
    }

    fn apply(&self, project: &ProjectName, operation: &Operation) -> Result<Change, HypervisorError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        if self.fail.lock().expect("no panic under the lock").contains(&call) {
            return Err(HypervisorError::new(ErrorKind::Rejected, format!("injected into call {call}")));
        }
        let lost = (self.lose)(call);
        if let Some((error, false)) = lost {
            return Err(error);
        }
        let change = self.inner.apply(project, operation)?;
        if let Some((error, true)) = lost {
            return Err(error);
        }
        (self.notice)(&operation.to_string());
        self.note(operation.to_string());
        Ok(change)
    }

    fn probe(&self, project: &ProjectName, attempt: &Attempt) -> Result<Health, HypervisorError> {
        let number = {
            let mut attempts = self.attempts.lock().expect("no panic under the lock");
            let number = attempts.entry(attempt.vm.to_string()).or_insert(0);
            *number += 1;
            *number
        };
        let health = match &self.answer {
            Some(answer) => answer(attempt, number)?,
            None => self.inner.probe(project, attempt)?,
        };
        if health == Health::Passing {
            self.note(format!("passed {}", attempt.vm));
        }
        Ok(health)
    }

    fn evidence(&self, project: &ProjectName, vm: &VmName) -> Vec<Exhibit> {
        self.inner.evidence(project, vm)
    }

    fn notices(&self, project: &ProjectName) -> Option<Notices> {
        self.hears.then(|| self.inner.notices(project)).flatten()
    }
}
