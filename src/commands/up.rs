//! `up`: file and hypervisor → plan → run.

use crate::cli::{Global, Up};
use crate::commands::keys::Keys;
use crate::commands::media::Reach;
use crate::commands::run::Ended;
use crate::commands::stage::Sight;
use crate::commands::{request, run, stage};
use crate::error::{Error, Exit};
use crate::execute::OnFailure;
use crate::image::Mode;
use crate::plan::{self, Action, Goal, Options, Plan};

/// Brings everything up, and waits until it is healthy.
pub(super) fn up(global: &Global, options: &Up) -> Result<Exit, Error> {
    // Where a pool was stopped, the first plan starts it, and the second is made of what is in it.
    match once(global, options)? {
        Ended::Preliminary => once(global, options).map(Ended::exit),
        Ended::Finally(exit) => Ok(exit),
    }
}

fn once(global: &Global, options: &Up) -> Result<Ended, Error> {
    let mode = if options.locked { Mode::Locked } else { Mode::Normal };
    let (desired, sight) = stage::set(global, &request(global)?, Reach::Fetch(mode))?;
    let wanted = Options { goal: Goal::Up, remove_orphans: options.remove_orphans };
    let plan = plan::plan(&desired, &sight.actual, &wanted)?;
    run::confirm(&plan, options.yes)?;
    forget_host_keys(&plan, &sight);
    run::read_secrets(&plan, &sight.secrets)?;
    let how = run::How { on_failure: OnFailure::Rollback, parallel: options.parallel };
    Ok(Ended::of(&plan, run::run(global, sight, &plan, &how)))
}

/// A vm that is made anew has a new host key. What was remembered of the old one would keep ssh from it.
fn forget_host_keys(plan: &Plan, sight: &Sight) {
    let Ok(keys) = Keys::of(&plan.project, &sight.hypervisor.uri()) else { return };
    let made = plan.steps().filter(|step| step.action == Action::Create);
    made.filter_map(|step| step.resource.as_vm()).for_each(|vm| keys.forget(vm));
}
