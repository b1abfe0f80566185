//! `plan`: the line up to the plan, and no further. Writes nothing.

use crate::cli::{Global, Plan, PlanFormat};
use crate::commands::media::Reach;
use crate::commands::stage::Access;
use crate::commands::{print, request, stage};
use crate::error::{Error, Exit};
use crate::plan::{self, Goal, Options};
use crate::render::{self, Palette};
use crate::state::DesiredState;

/// Shows what `up` or `down` would do.
pub(super) fn plan(global: &Global, options: &Plan) -> Result<Exit, Error> {
    let request = request(global)?;
    let plan = if options.destroy {
        let project = stage::project_name(global, &request)?;
        let sight = stage::observe(global, &project, Access::Read)?;
        let wanted = Options { goal: Goal::Down { volumes: options.volumes }, remove_orphans: false };
        plan::plan(&DesiredState::nothing(&project), &sight.actual, &wanted)?
    } else {
        let (desired, sight) = stage::set(global, &request, Reach::Look)?;
        let wanted = Options { goal: Goal::Up, remove_orphans: options.remove_orphans };
        plan::plan(&desired, &sight.actual, &wanted)?
    };
    match options.format {
        PlanFormat::Text => print(&render::plan::text(&plan, &Palette::stdout()))?,
        PlanFormat::Json => print(&format!("{:#}", render::plan::json(&plan)))?,
    }
    Ok(if options.exit_code && !plan.is_empty() { Exit::Changes } else { Exit::Done })
}
