//! `plan`: the line up to the plan, and no further. Writes nothing.

use crate::cli::{Global, Plan, PlanFormat};
use crate::commands::media::Reach;
use crate::commands::stage::Access;
use crate::commands::{chronicle, print, request, stage};
use crate::error::{Error, Exit};
use crate::execute;
use crate::plan::{self, Goal, Options};
use crate::render::{self, Palette, message, output};
use crate::state::DesiredState;

/// Shows what `up` or `down` would do.
pub(super) fn plan(global: &Global, options: &Plan) -> Result<Exit, Error> {
    let request = request(global)?;
    let (plan, hypervisor) = if options.destroy {
        let project = stage::project_name(global, &request)?;
        let sight = stage::observe(global, &project, Access::Read)?;
        let wanted = Options { goal: Goal::Down { volumes: options.volumes }, remove_orphans: false };
        (plan::plan(&DesiredState::nothing(&project), &sight.actual, &wanted)?, sight.hypervisor.uri())
    } else {
        let (desired, sight) = stage::set(global, &request, Reach::Look)?;
        let wanted = Options { goal: Goal::Up, remove_orphans: options.remove_orphans };
        (plan::plan(&desired, &sight.actual, &wanted)?, sight.hypervisor.uri())
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

/// Says how long it may take, where earlier runs tell.
fn expect(plan: &plan::Plan, hypervisor: &str) {
    let past = chronicle::past(&plan.project, hypervisor);
    if let Some(time) = past.forecast(&execute::summaries(plan)) {
        let text = format!("it takes about {}, going by earlier runs", render::time(time));
        output::note(&message::note(&text, &Palette::stderr()));
    }
}
