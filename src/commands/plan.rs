//! `plan`: the line up to the plan, and no further. Writes nothing but the file that it is told to write.

use std::path::Path;

use crate::cli::{Global, Plan, PlanFormat};
use crate::commands::media::Reach;
use crate::commands::stage::Access;
use crate::commands::{choice, chronicle, print, request, saved, stage};
use crate::error::{Error, Exit};
use crate::execute;
use crate::plan::{self, Goal, Options};
use crate::render::{self, Palette, message, output};
use crate::state::DesiredState;

/// Shows what `up` or `down` would do.
pub(super) fn plan(global: &Global, options: &Plan) -> Result<Exit, Error> {
    let (plan, hypervisor) = if options.destroy {
        there(global, Goal::Down { volumes: options.volumes }, options.out.as_deref())?
    } else if options.choice.refresh_only {
        there(global, Goal::Refresh, None)?
    } else {
        up(global, options)?
    };
    if options.format == PlanFormat::Text && !plan.is_empty() {
        expect(&plan, &hypervisor);
    }
    match options.format {
        PlanFormat::Text => print(&render::plan::text(&plan, &Palette::stdout()))?,
        PlanFormat::Json => print(&format!("{:#}", render::plan::json(&plan)))?,
    }
    Ok(if options.exit_code && !plan.is_empty() { Exit::Changes } else { Exit::Done })
}

/// Of what is there alone: for that nobody needs a file.
fn there(global: &Global, goal: Goal, out: Option<&Path>) -> Result<(plan::Plan, String), Error> {
    let project = stage::project_name(global, &request(global)?)?;
    let sight = stage::observe(global, &project, Access::Read)?;
    let (nothing, wanted) = (DesiredState::nothing(&project), Options::new(goal));
    let plan = plan::plan(&nothing, &sight.actual, &wanted)?;
    if let Some(path) = out {
        saved::save(path, &plan, wanted, &nothing, &sight)?;
    }
    Ok((plan, sight.hypervisor.uri()))
}

fn up(global: &Global, options: &Plan) -> Result<(plan::Plan, String), Error> {
    let (desired, sight) = stage::set(global, &request(global)?, Reach::Look)?;
    let wanted = choice::options(&options.choice, &desired)?;
    let plan = plan::plan(&desired, &sight.actual, &wanted)?;
    if let Some(path) = &options.out {
        saved::save(path, &plan, wanted, &desired, &sight)?;
    }
    Ok((plan, sight.hypervisor.uri()))
}

/// Says how long it may take, where earlier runs tell.
fn expect(plan: &plan::Plan, hypervisor: &str) {
    let past = chronicle::past(&plan.project, hypervisor);
    if let Some(time) = past.forecast(&execute::summaries(plan)) {
        let text = format!("it takes about {}, going by earlier runs", render::time(time));
        output::note(&message::note(&text, &Palette::stderr()));
    }
}
