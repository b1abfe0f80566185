//! `up`: file and hypervisor → plan → run.

use crate::cli::{Global, Up};
use crate::commands::keys::Keys;
use crate::commands::media::Reach;
use crate::commands::run::{Ended, How};
use crate::commands::stage::{Access, Sight};
use crate::commands::{choice, preflight, request, run, saved, stage, unfinished};
use crate::error::{Error, Exit};
use crate::execute::OnFailure;
use crate::image::Mode;
use crate::plan::awaiting::standing;
use crate::plan::{self, Action, Goal, Options, Plan};
use crate::render::output;
use crate::state::DesiredState;

/// Brings everything up, and waits until it is healthy.
pub(super) fn up(global: &Global, options: &Up) -> Result<Exit, Error> {
    if options.choice.refresh_only {
        return refresh(global);
    }
    // Where a pool was stopped, the first plan starts it, and the second is made of what is in it.
    match once(global, options)? {
        Ended::Preliminary if options.plan.is_some() => {
            output::note("what was in the way of seeing the rest is started; the rest is for another plan");
            Ok(Exit::Done)
        }
        Ended::Preliminary => once(global, options).map(Ended::exit),
        Ended::Finally(exit) => Ok(exit),
    }
}

/// Records what others changed.
fn refresh(global: &Global) -> Result<Exit, Error> {
    let project = stage::project_name(global, &request(global)?)?;
    let sight = stage::observe(global, &project, Access::Write)?;
    let wanted = Options::new(Goal::Refresh);
    let plan = plan::plan(&DesiredState::nothing(&project), &sight.actual, &wanted)?;
    unfinished::tell(&sight.unfinished);
    run::run(global, sight, &plan, How::of("up", OnFailure::Rollback))
}

fn once(global: &Global, options: &Up) -> Result<Ended, Error> {
    let mode = if options.locked { Mode::Locked } else { Mode::Normal };
    // A file that is none is told before anything is downloaded.
    let wanted = options.plan.as_deref().map(saved::read).transpose()?;
    wanted.as_ref().map(|wanted| saved::for_command(wanted, "up")).transpose()?;
    let (desired, sight) = stage::set(global, &request(global)?, Reach::Fetch(mode))?;
    let plan = match wanted {
        None => plan::plan(&desired, &sight.actual, &choice::options(&options.choice, &desired)?)?,
        Some(wanted) => saved::the_same(&wanted, &desired, &sight)?,
    };
    unfinished::tell(&sight.unfinished);
    preflight::check(&plan, &sight.actual, &sight.hypervisor)?;
    run::confirm(&plan, &sight.unfinished, &sight.actual, options.yes)?;
    forget_host_keys(&plan, &sight);
    run::read_secrets(&plan, &sight.secrets)?;
    let how = How::up(options);
    let how = if plan.is_preliminary() { how } else { how.then(standing(&desired, &sight.actual, &plan)) };
    Ok(Ended::of(&plan, run::run(global, sight, &plan, how)?))
}

/// A vm that is made anew has a new host key. What was remembered of the old one would keep ssh from it.
pub(super) fn forget_host_keys(plan: &Plan, sight: &Sight) {
    let Ok(keys) = Keys::of(&plan.project, &sight.hypervisor.uri()) else { return };
    let made = plan.steps().filter(|step| matches!(step.action, Action::Create | Action::Replace));
    made.filter_map(|step| step.resource.as_vm()).for_each(|vm| keys.forget(vm));
}
