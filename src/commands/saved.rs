//! Plans in files: `plan --out` and `up --plan`.
//!
//! Owns the file, which nobody else may read: a plan has no secrets in it, but all that a project consists of.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::commands::stage::Sight;
use crate::error::Error;
use crate::model::Spec;
use crate::plan::saved::{Saved, SavedError, Stale};
use crate::plan::{self, Goal, Options, Plan};
use crate::render::output;
use crate::state::DesiredState;

/// Saves a plan: whole, or not at all.
pub(super) fn save(
    path: &Path,
    plan: &Plan,
    options: Options,
    desired: &DesiredState,
    sight: &Sight,
) -> Result<(), Error> {
    let unknown = |spec: &&Spec| matches!(spec, Spec::Image(image) if image.is_unknown());
    if let Some(image) = desired.specs.values().find(unknown) {
        let what = format!("the plan cannot be saved: what {} holds is unknown", image.id());
        return Err(Error::Refused { what, hint: "`vmcompose image pull` downloads it".to_owned() });
    }
    let saved = Saved::new(plan, options, sight.hypervisor.uri(), desired, &sight.actual);
    let failed = |source| Error::Io { path: path.to_owned(), source };
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let written = write(Path::new(&beside), &saved.encode()).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // Nothing was there before.
        let _ = fs::remove_file(&beside);
    }
    written.map_err(failed)?;
    output::note(&format!(
        "saved; `vmcompose {} --plan {}` does exactly this",
        word(saved.options.goal),
        path.display()
    ));
    Ok(())
}

/// The command that a plan is for.
fn word(goal: Goal) -> &'static str {
    match goal {
        Goal::Up | Goal::Refresh => "up",
        Goal::Down { .. } => "down",
    }
}

/// Refuses a plan that leads the other way.
pub(super) fn for_command(saved: &Saved, command: &str) -> Result<(), Error> {
    let own = word(saved.options.goal);
    if own == command {
        return Ok(());
    }
    let (what, hint) =
        (format!("the plan is one for `{own}`"), format!("`vmcompose {own} --plan FILE` carries it out"));
    Err(Error::Refused { what, hint })
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// Reads one.
pub(super) fn read(path: &Path) -> Result<Saved, Error> {
    let text = fs::read_to_string(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    Saved::decode(&text).map_err(|error| {
        let hint = match error {
            SavedError::Version { .. } => "`vmcompose plan --out` of this version saves one anew",
            SavedError::Malformed(_) => "`vmcompose plan --out` saves one",
        };
        Error::Refused { what: format!("`{}` cannot be carried out: {error}", path.display()), hint: hint.to_owned() }
    })
}

/// The plan that was saved, made anew.
pub(super) fn the_same(wanted: &Saved, desired: &DesiredState, sight: &Sight) -> Result<Plan, Error> {
    wanted.holds(&sight.hypervisor.uri(), &desired.project, &sight.actual).map_err(|stale| refuse(&stale))?;
    let plan = plan::plan(desired, &sight.actual, &wanted.options)?;
    wanted.is(&plan).map_err(|stale| refuse(&stale))?;
    Ok(plan)
}

/// Refuses what no longer holds.
fn refuse(stale: &Stale) -> Error {
    let hint = match stale {
        Stale::Project { .. } => "`--project` says which project is meant",
        Stale::Hypervisor { .. } => "`--connect` says where it is",
        Stale::Changed(_) | Stale::Other(_) => "nothing was done; look at a new plan: `vmcompose plan --out`",
    };
    Error::Refused { what: stale.to_string(), hint: hint.to_owned() }
}
