//! The second half of the line: from a plan to its outcome, while somebody watches and may interrupt.
//!
//! Owns the runtime, the question before data is deleted, what signals mean, and that every run has a journal which
//! outlives it only where something is left of it.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::backend::libvirt::Libvirt;
use crate::cli::{self, Global};
use crate::commands::chronicle::{self, Chronicle};
use crate::commands::stage::Sight;
use crate::commands::{login, recover, unfinished};
use crate::error::{Error, Exit, exit_of};
use crate::execute::journal::file::{Header, JournalFile, Unfinished};
use crate::execute::journal::{Entry, Recorder};
use crate::execute::{self, EventSender, OnFailure, Options, Order, Outcome};
use crate::names::SecretName;
use crate::plan::{Action, Cause, Operation, Plan};
use crate::render::outcome::About;
use crate::render::{self, Answer, Mode, Palette, message, output};
use crate::secret::Secrets;
use crate::state::ActualState;

/// What the command wants of the run.
pub(super) struct How {
    /// Its name, for whoever finds its journal.
    command: &'static str,
    options: Options,
    /// Its end is what the user wants of the whole project, so that an older run is no longer to be undone.
    supersedes: bool,
    /// A failure undoes older runs too.
    resume: bool,
    /// Where to show how long everything took.
    timings: Option<PathBuf>,
    /// What is waited for once all is done: a plan that changes nothing.
    look: Option<Plan>,
}

/// What goes along with a run and does not steer it.
#[derive(Debug, Default)]
pub(super) struct Observers {
    /// Where it is written down what is told.
    chronicle: Option<Chronicle>,
    /// How long it may take, going by earlier runs.
    expected: Option<Duration>,
    timings: Option<PathBuf>,
}

impl How {
    /// A run that is about a part of the project.
    pub(super) fn of(command: &'static str, on_failure: OnFailure) -> Self {
        Self {
            command,
            options: Options { on_failure, ..Options::default() },
            supersedes: false,
            resume: false,
            timings: None,
            look: None,
        }
    }

    /// The same, and a look at what stands already.
    #[must_use]
    pub(super) fn then(self, look: Plan) -> Self {
        Self { look: Some(look).filter(|look| !look.waves.is_empty()), ..self }
    }

    /// A run that is about all of it.
    pub(super) fn whole(command: &'static str, on_failure: OnFailure, run: &cli::Run) -> Self {
        let mut how = Self { supersedes: true, timings: run.timings.clone(), ..Self::of(command, on_failure) };
        how.options.timeout = run.timeout;
        // The backend keeps to what libvirt serves; the default keeps a large project from queueing thousands of calls.
        how.options.parallel = run.parallel.map_or(how.options.parallel, NonZeroUsize::get);
        how
    }

    /// The same, where that is not what the file wants of the whole project.
    pub(super) fn part(command: &'static str, on_failure: OnFailure, run: &cli::Run) -> Self {
        Self { supersedes: false, ..Self::whole(command, on_failure, run) }
    }

    /// The same, with what only a way up knows.
    pub(super) fn up(options: &cli::Up) -> Self {
        let on_failure = match options.on_failure {
            cli::OnFailure::Rollback => OnFailure::Rollback,
            cli::OnFailure::RollbackWave => OnFailure::RollbackWave,
            cli::OnFailure::RollbackVm => OnFailure::RollbackVm,
            cli::OnFailure::Keep => OnFailure::Keep,
            cli::OnFailure::Continue => OnFailure::Continue,
        };
        let mut how = Self { resume: options.resume, ..Self::whole("up", on_failure, &options.run) };
        how.supersedes = options.choice.vms.is_empty() && options.plan.is_none();
        how.options.order = match options.schedule {
            cli::Schedule::Ready => Order::Ready,
            cli::Schedule::Waves => Order::Waves,
        };
        how
    }
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

/// Asks before a vm is made anew, and before bytes that a user may have written are deleted. Elsewhere than on a terminal,
/// `--yes` has to be given.
pub(super) fn confirm(plan: &Plan, runs: &[Unfinished], actual: &ActualState, yes: bool) -> Result<(), Error> {
    let loses: Vec<String> = plan
        .steps()
        .flat_map(|step| &step.operations)
        .filter(|operation| matches!(operation, Operation::DeleteVolume(_) | Operation::DeleteDisk(_)))
        .filter(|operation| !unfinished::is_blank(operation, runs, actual))
        .map(Operation::object)
        .collect();
    let anew = plan.steps().filter(|step| step.action == Action::Replace).map(|step| step.resource.to_string());
    let anew: Vec<String> = anew.collect();
    let gone = plan.steps().filter(|step| matches!(step.cause, Cause::Lost { .. }));
    let gone = gone.map(|step| step.resource.to_string()).collect();
    let empty = " anew and empty, for somebody deleted it with all data";
    let parts = [("replacing", anew, ""), ("making", gone, empty), ("deleting", loses, " with all data")].into_iter();
    let parts = parts.filter(|(_, what, _)| !what.is_empty());
    let parts: Vec<String> = parts.map(|(verb, what, end)| format!("{verb} {}{end}", what.join(", "))).collect();
    if yes || parts.is_empty() {
        return Ok(());
    }
    let what = parts.join(" and ");
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
pub(super) fn run(global: &Global, sight: Sight, plan: &Plan, how: How) -> Result<Exit, Error> {
    let Sight { hypervisor, lock, actual, instructions, unfinished: older, .. } = sight;
    let logins = Arc::new(login::known(&plan.project, &hypervisor.uri(), plan, &actual));
    let options = Options { logins, instructions: Arc::new(instructions), ..how.options };
    let how = How { options, ..how };
    if plan.is_empty() {
        output::note(&render::plan::text(plan, &Palette::stderr()));
        if how.supersedes {
            unfinished::forget(&older);
        }
        return Ok(look(global, Arc::new(hypervisor), how.look.as_ref(), how.options));
    }
    let journals = unfinished::journals()?;
    let header = Header::now(&plan.project, &hypervisor.uri(), how.command);
    let begun = journals.begin(&header, plan);
    let journal = begun.map_err(|source| Error::Journal { path: journals.root().to_owned(), source })?;
    let journal = Arc::new(journal);
    let lost = lock.as_ref().map(|lock| lock.lost()).unwrap_or_default();
    let recorder = Arc::<JournalFile>::clone(&journal);
    let never_used = unfinished::never_used(plan, &older);
    let options = Options { recorder, never_used, ..how.options.clone().until(&lost) };
    let hypervisor = Arc::new(hypervisor);
    let engine = Arc::clone(&hypervisor);
    let expected = chronicle::past(&plan.project, &hypervisor.uri()).forecast(&execute::summaries(plan));
    let observers = Observers { chronicle: Chronicle::begin(&header), expected, timings: how.timings };
    let outcome =
        watch(global, plan, &options, observers, async |events| execute::execute(plan, engine, &options, events).await);
    match &outcome {
        Outcome::Completed => {
            // From here on nothing of it is to be undone, whatever happens before its file is gone.
            let _ = journal.record(&Entry::Completed);
            if how.supersedes {
                unfinished::forget(&older);
            }
            let _ = journal.remove();
            return Ok(look(global, hypervisor, how.look.as_ref(), how.options));
        }
        Outcome::RolledBack { .. } => {
            let _ = journal.remove();
        }
        Outcome::Stuck { .. } => {
            let _ = journal.record(&Entry::Stuck);
        }
    }
    if how.resume && matches!(outcome, Outcome::RolledBack { .. }) {
        let will = recover::Will { force: false, yes: true };
        let undone = recover::undo_all(global, &hypervisor, &older, will, &lost)?;
        drop(lock);
        return Ok(if undone == Exit::Done { exit_of(&outcome) } else { undone });
    }
    drop(lock);
    Ok(exit_of(&outcome))
}

/// Waits for vms that nothing was done to. Nothing is undone where one of them is not healthy: it was not before either.
fn look(global: &Global, hypervisor: Arc<Libvirt>, plan: Option<&Plan>, options: Options) -> Exit {
    let Some(plan) = plan else { return Exit::Done };
    let options = Options { on_failure: OnFailure::Continue, ..options };
    waited(global, hypervisor, plan, &options)
}

/// Carries out a plan that changes nothing, so that nothing is left of it either.
pub(super) fn waited(global: &Global, hypervisor: Arc<Libvirt>, plan: &Plan, options: &Options) -> Exit {
    let run = async |events| execute::execute(plan, hypervisor, options, events).await;
    exit_of(&match watch(global, plan, options, Observers::default(), run) {
        Outcome::Stuck { causes, .. } => Outcome::RolledBack { causes },
        other => other,
    })
}

/// Runs something that tells events, draws them, and tells the outcome.
pub(super) fn watch(
    global: &Global,
    plan: &Plan,
    options: &Options,
    observers: Observers,
    start: impl AsyncFnOnce(EventSender) -> Outcome,
) -> Outcome {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime needs only threads");
    let outcome = runtime.block_on(watched(global, plan, options, observers, start));
    if options.lost.is_cancelled() {
        output::note(&render::outcome::lost(&Palette::stderr()));
    }
    // A probe that nobody waits for any more may still be under way; it changes nothing.
    runtime.shutdown_timeout(Duration::ZERO);
    outcome
}

async fn watched(
    global: &Global,
    plan: &Plan,
    options: &Options,
    observers: Observers,
    start: impl AsyncFnOnce(EventSender) -> Outcome,
) -> Outcome {
    let signals = tokio::spawn(listen(options.interrupt.clone(), options.abort.clone()));
    let (events, stream) = execute::channel();
    let (stream, written) = match observers.chronicle {
        Some(chronicle) => {
            let (stream, written) = chronicle.relay(stream);
            (stream, Some(written))
        }
        None => (stream, None),
    };
    let mode = Mode::choose(global.progress, std::io::stderr().is_terminal());
    // The drawing ends by itself when the run has ended and its channel is closed.
    let drawing = render::draw(mode, stream, observers.expected);
    let (outcome, progress) = tokio::join!(start(events), drawing);
    signals.abort();
    let about = About { plan, progress: &progress, connect: global.connect.as_deref(), verbose: global.verbose > 0 };
    let text = render::outcome::text(&outcome, &about, &Palette::stderr());
    // A stream of JSON stays one; its last event says the same. Quiet is quiet about what went well.
    let silent = mode == Mode::Json || (mode == Mode::Quiet && outcome == Outcome::Completed);
    if !silent {
        output::note(&text);
        output::note(&render::plan::beside(plan, &Palette::stderr()));
    }
    let found = match written {
        Some(written) => written.await.ok().flatten(),
        None => None,
    };
    if let Some(folder) = found.filter(|_| mode != Mode::Json) {
        output::note(&message::note(&format!("all that was found is in {}", folder.display()), &Palette::stderr()));
    }
    if let Some(path) = &observers.timings {
        let when = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        if let Err(error) = std::fs::write(path, render::timings::page(&progress, &when)) {
            let words = format!("cannot write the timings to `{}`: {error}", path.display());
            output::note(&message::error(&words, &Palette::stderr()));
        }
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
