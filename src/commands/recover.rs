//! `recover`: journal and hypervisor → plan → run, backwards.
//!
//! Owns which runs are undone and in which order. What an undo is, the journal knows; it is held against what the
//! hypervisor has now.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::backend::Hypervisor;
use crate::backend::libvirt::Libvirt;
use crate::cli::{Global, Recover};
use crate::commands::stage::{self, Access, Sight};
use crate::commands::{print, request, run, unfinished};
use crate::error::{Error, Exit, exit_of};
use crate::execute::journal::file::{JournalFile, Unfinished};
use crate::execute::journal::{Check, Undo};
use crate::execute::{self, Options, Outcome, Problem};
use crate::names::{ProjectName, ResourceId};
use crate::plan::Operation;
use crate::render::{self, Palette, output, runs};
use crate::state::{Actual, ActualState, Phase};

/// What the user allows.
#[derive(Clone, Copy)]
pub(super) struct Will {
    /// Undo what was changed since, and forget what cannot be read.
    pub(super) force: bool,
    /// Delete data.
    pub(super) yes: bool,
}

/// Undoes runs that came to no good end.
pub(super) fn recover(global: &Global, options: &Recover) -> Result<Exit, Error> {
    if options.list {
        return list(global, options);
    }
    let will = Will { force: options.force, yes: options.yes };
    let projects = if options.all { all(global)? } else { BTreeSet::from([named(global, options)?]) };
    let mut exit = Exit::Done;
    for project in projects {
        let Sight { hypervisor, lock, unfinished: mut runs, .. } = stage::observe(global, &project, Access::Write)?;
        if let Some(id) = &options.run {
            chosen(&mut runs, id, options.force)?;
        }
        if runs.is_empty() {
            output::note(&format!("nothing to recover: every run of project `{project}` came to its end"));
        }
        let lost = lock.as_ref().map(|lock| lock.lost()).unwrap_or_default();
        let ended = undo_all(global, &Arc::new(hypervisor), &runs, will, &lost)?;
        drop(lock);
        if ended != Exit::Done {
            exit = ended;
        }
    }
    Ok(exit)
}

/// The project that is meant: that of the run, where one is named.
fn named(global: &Global, options: &Recover) -> Result<ProjectName, Error> {
    let runs = if options.run.is_some() { everything()? } else { Vec::new() };
    let of = |run: &Unfinished| Some(&run.run) == options.run.as_ref();
    match runs.into_iter().find(of).and_then(|run| run.header) {
        Some(header) => Ok(header.project),
        None => stage::project_name(global, &request(global)?),
    }
}

fn everything() -> Result<Vec<Unfinished>, Error> {
    let journals = unfinished::journals()?;
    journals.all().map_err(|source| Error::Io { path: journals.root().to_owned(), source })
}

/// The projects of this hypervisor that have such runs.
fn all(global: &Global) -> Result<BTreeSet<ProjectName>, Error> {
    let uri = Libvirt::connect(global.connect.as_deref())?.uri();
    let headers = everything()?.into_iter().filter_map(|run| run.header);
    Ok(headers.filter(|header| header.hypervisor == uri).map(|header| header.project).collect())
}

/// Keeps one run. Later ones stand on what it did, so that it cannot go before them.
fn chosen(runs: &mut Vec<Unfinished>, id: &str, force: bool) -> Result<(), Error> {
    let Some(at) = runs.iter().position(|run| run.run == id) else {
        let what = format!("run `{id}` is not among those that can be undone here");
        return Err(Error::Missing { what, hint: "`vmcompose recover --list` shows the runs".to_owned() });
    };
    if at > 0 && !force {
        let what = format!("run `{id}` is not the last one: `{}` came after it", runs[0].run);
        let hint = "`vmcompose recover` undoes them in their order; `--force` undoes this one alone".to_owned();
        return Err(Error::Refused { what, hint });
    }
    *runs = vec![runs.swap_remove(at)];
    Ok(())
}

/// Undoes runs of one project, in this order; stops at one that does not come to its end.
pub(super) fn undo_all(
    global: &Global,
    hypervisor: &Arc<Libvirt>,
    runs: &[Unfinished],
    will: Will,
    lost: &CancellationToken,
) -> Result<Exit, Error> {
    for (at, run) in runs.iter().enumerate() {
        let exit = undo(global, hypervisor, (run, &runs[at + 1..]), will, lost)?;
        if exit != Exit::Done {
            return Ok(exit);
        }
    }
    Ok(Exit::Done)
}

fn undo(
    global: &Global,
    hypervisor: &Arc<Libvirt>,
    (run, older): (&Unfinished, &[Unfinished]),
    will: Will,
    lost: &CancellationToken,
) -> Result<Exit, Error> {
    let Some((header, journal)) = run.header.as_ref().zip(run.journal.as_ref()) else {
        return unreadable(run, will);
    };
    output::note(&runs::undoing(run, &Palette::stderr()));
    let actual = hypervisor.observe(&header.project)?;
    visible(&actual)?;
    let mut undo = journal.undo(|_| true, Check::Against { actual: &actual, force: will.force });
    let never_used = unfinished::never_used(journal.plan(), older);
    undo.lost.retain(|operation| !never_used.contains(operation));
    if !undo.changed.is_empty() {
        let objects: BTreeSet<String> = undo.changed.iter().map(Operation::object).collect();
        let objects = objects.into_iter().collect::<Vec<_>>().join(", ");
        let what = format!("run `{}` cannot be undone as it is: {objects} was changed after it", run.run);
        let hint = "`--force` undoes it all the same; `vmcompose up` goes on from what is there".to_owned();
        return Err(Error::Refused { what, hint });
    }
    run::confirm(&undo.plan, std::slice::from_ref(run), &actual, will.yes)?;
    let file = run.reopen().map_err(|source| Error::Journal { path: run.path.clone(), source })?;
    let file = Arc::new(file);
    let outcome = carry_out(global, hypervisor, &undo, &file, lost);
    // What is lost stays lost: nothing more can be done about it.
    if nothing_left(&outcome) {
        let _ = file.remove();
    }
    Ok(exit_of(&outcome))
}

/// What cannot be seen cannot be held against the journal.
fn visible(actual: &ActualState) -> Result<(), Error> {
    let stopped =
        |(id, found): &(&ResourceId, &Actual)| matches!(id, ResourceId::Pool(_)) && found.phase == Phase::Stopped;
    let Some((id, _)) = actual.resources.iter().find(stopped) else { return Ok(()) };
    let what = format!("{id} is stopped, so that nobody can see what is in it");
    Err(Error::Refused {
        what,
        hint: "`vmcompose up` starts it and goes on; `virsh pool-start` starts it alone".to_owned(),
    })
}

fn carry_out(
    global: &Global,
    hypervisor: &Arc<Libvirt>,
    undo: &Undo,
    file: &Arc<JournalFile>,
    lost: &CancellationToken,
) -> Outcome {
    let options = Options { recorder: Arc::<JournalFile>::clone(file), ..Options::default().until(lost) };
    if undo.plan.is_empty() && undo.lost.is_empty() {
        return Outcome::Completed;
    }
    let engine = Arc::clone(hypervisor);
    run::watch(global, &undo.plan, &options, run::Observers::default(), async |events| {
        execute::recover(undo, engine, &options, events).await
    })
}

fn nothing_left(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Completed | Outcome::RolledBack { .. } => true,
        Outcome::Stuck { causes, left_behind } => {
            let lost = |problem: &Problem| matches!(problem, Problem::Irreversible { .. });
            causes.is_empty() && left_behind.iter().all(|failure| lost(&failure.problem))
        }
    }
}

/// There is nothing to go by but what the hypervisor has, and for that there are `up` and `down`.
fn unreadable(run: &Unfinished, will: Will) -> Result<Exit, Error> {
    if will.force {
        run.remove().map_err(|source| Error::Io { path: run.path.clone(), source })?;
        output::note(&runs::forgotten(run, &Palette::stderr()));
        return Ok(Exit::Done);
    }
    let damage = run.damage.as_deref().unwrap_or("it is empty");
    let what = format!("the journal `{}` is damaged: {damage}", run.path.display());
    let hint =
        "`vmcompose up` goes on from what is there, `vmcompose down` removes it; `recover --force` forgets the journal";
    Err(Error::Refused { what, hint: hint.to_owned() })
}

/// Shows them all.
fn list(global: &Global, options: &Recover) -> Result<Exit, Error> {
    let mut found = everything()?;
    found.retain(|run| !run.is_void());
    if let Some(project) = &global.project {
        found.retain(|run| run.header.as_ref().is_none_or(|header| header.project == *project));
    }
    if let Some(id) = &options.run {
        found.retain(|run| run.run == *id);
    }
    print(&render::runs::table(&found, options.format, &Palette::stdout()))?;
    Ok(Exit::Done)
}
