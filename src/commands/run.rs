//! The second half of the line: from a plan to its outcome, while somebody watches and may interrupt.
//!
//! Owns the runtime, the question before data is deleted, and what signals mean.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::backend::Hypervisor;
use crate::cli::Global;
use crate::commands::stage::Sight;
use crate::error::{Error, Exit, exit_of};
use crate::execute::{self, OnFailure, Options, Outcome};
use crate::names::SecretName;
use crate::plan::{Operation, Plan};
use crate::render::outcome::About;
use crate::render::{self, Answer, Mode, Palette, output};
use crate::secret::Secrets;

/// How many calls are under way at once unless the user says otherwise. The backend keeps to what libvirt serves; this
/// keeps a large project from queueing thousands of calls in its threads.
const PARALLEL: usize = 64;

/// What the command wants of the run.
pub(super) struct How {
    pub(super) on_failure: OnFailure,
    pub(super) parallel: Option<NonZeroUsize>,
}

/// How a run ended, for whoever may have to plan once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It started what was in the way of seeing the rest.
    Preliminary,
    /// There is no more to come.
    Finally(Exit),
}

impl Ended {
    /// What the run of a plan amounts to.
    pub(super) fn of(plan: &Plan, exit: Exit) -> Self {
        if exit == Exit::Done && plan.is_preliminary() { Self::Preliminary } else { Self::Finally(exit) }
    }

    /// How the command ends where nothing follows.
    pub(super) fn exit(self) -> Exit {
        match self {
            Self::Preliminary => Exit::Done,
            Self::Finally(exit) => exit,
        }
    }
}

/// Asks before bytes that a user may have written are deleted. Elsewhere than on a terminal, `--yes` has to be given.
pub(super) fn confirm(plan: &Plan, yes: bool) -> Result<(), Error> {
    let loses: Vec<String> = plan
        .steps()
        .flat_map(|step| &step.operations)
        .filter(|operation| matches!(operation, Operation::DeleteVolume(_) | Operation::DeleteDisk(_)))
        .map(Operation::object)
        .collect();
    if yes || loses.is_empty() {
        return Ok(());
    }
    let what = format!("deleting {} with all data", loses.join(", "));
    output::note(&render::plan::text(plan, &Palette::stderr()));
    let answer = render::ask(&format!("{what}?")).map_err(|source| Error::Io { path: "stdin".into(), source })?;
    match answer {
        Answer::Yes => Ok(()),
        Answer::No | Answer::Nobody => Err(Error::Unconfirmed { what }),
    }
}

/// Reads what guests get, before anything is done: whoever has no access to a secret learns it now, and not from a run that
/// is undone.
pub(super) fn read_secrets(plan: &Plan, secrets: &Secrets) -> Result<(), Error> {
    secrets.values(&secrets_of(plan)).map(|_| ()).map_err(Error::Secrets)
}

/// The secrets that guests get by this plan.
pub(super) fn secrets_of(plan: &Plan) -> BTreeSet<SecretName> {
    let asked = |operation: &Operation| match operation {
        Operation::FillSeed(seed) => seed.settings.asks_for(),
        _ => BTreeSet::new(),
    };
    plan.steps().flat_map(|step| &step.operations).flat_map(asked).collect()
}

/// Carries out a plan, draws its progress, tells its outcome.
pub(super) fn run(global: &Global, sight: Sight, plan: &Plan, how: &How) -> Exit {
    let palette = Palette::stderr();
    if plan.is_empty() {
        output::note(&render::plan::text(plan, &palette));
        return Exit::Done;
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime needs only threads");
    let outcome = runtime.block_on(watched(global, Arc::new(sight.hypervisor), plan, how));
    // A probe that nobody waits for any more may still be under way; it changes nothing.
    runtime.shutdown_timeout(Duration::ZERO);
    drop(sight.lock);
    exit_of(&outcome)
}

async fn watched<H: Hypervisor>(global: &Global, hypervisor: Arc<H>, plan: &Plan, how: &How) -> Outcome {
    let options = Options {
        parallel: how.parallel.map_or(PARALLEL, NonZeroUsize::get),
        on_failure: how.on_failure,
        interrupt: CancellationToken::new(),
        abort: CancellationToken::new(),
    };
    let signals = tokio::spawn(listen(options.interrupt.clone(), options.abort.clone()));
    let (events, stream) = execute::channel();
    let mode = Mode::choose(global.progress, std::io::stderr().is_terminal());
    // The drawing ends by itself when the run has ended and its channel is closed.
    let drawing = render::draw(mode, stream);
    let (outcome, progress) = tokio::join!(execute::execute(plan, hypervisor, &options, events), drawing);
    signals.abort();
    let about = About { plan, progress: &progress, connect: global.connect.as_deref(), verbose: global.verbose > 0 };
    let text = render::outcome::text(&outcome, &about, &Palette::stderr());
    // A stream of JSON stays one; its last event says the same. Quiet is quiet about what went well.
    let silent = mode == Mode::Json || (mode == Mode::Quiet && outcome == Outcome::Completed);
    if !silent {
        output::note(&text);
        output::note(&render::plan::beside(plan, &Palette::stderr()));
    }
    outcome
}

/// The first signal undoes, the second stops.
async fn listen(interrupt: CancellationToken, abort: CancellationToken) {
    let open = |kind| signal(kind).expect("a runtime with a signal driver can listen to signals");
    let (mut int, mut term, mut hup): (Signal, Signal, Signal) =
        (open(SignalKind::interrupt()), open(SignalKind::terminate()), open(SignalKind::hangup()));
    for token in [interrupt, abort] {
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
            _ = hup.recv() => {}
        }
        token.cancel();
    }
}
