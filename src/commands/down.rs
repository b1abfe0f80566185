//! `down`: the same line towards an emptier state. Needs no file where the project is named.

use crate::cli::{Down, Global};
use crate::commands::run::Ended;
use crate::commands::stage::Access;
use crate::commands::{request, run, stage};
use crate::error::{Error, Exit};
use crate::execute::OnFailure;
use crate::plan::{self, Goal, Options};
use crate::state::DesiredState;

/// Takes everything down.
pub(super) fn down(global: &Global, options: &Down) -> Result<Exit, Error> {
    match once(global, options)? {
        Ended::Preliminary => once(global, options).map(Ended::exit),
        Ended::Finally(exit) => Ok(exit),
    }
}

fn once(global: &Global, options: &Down) -> Result<Ended, Error> {
    let project = stage::project_name(global, &request(global)?)?;
    let sight = stage::observe(global, &project, Access::Write)?;
    let wanted = Options { goal: Goal::Down { volumes: options.volumes }, remove_orphans: false };
    let plan = plan::plan(&DesiredState::nothing(&project), &sight.actual, &wanted)?;
    // Disks of the vms' own go with the vms, as the word says; named volumes are data, and asked about.
    if options.volumes {
        run::confirm(&plan, options.yes)?;
    }
    let how = run::How { on_failure: OnFailure::Continue, parallel: options.parallel };
    Ok(Ended::of(&plan, run::run(global, sight, &plan, &how)))
}
