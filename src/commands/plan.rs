//! `plan`: the line up to the plan, and no further. Writes nothing.

use crate::cli::{Global, Plan, PlanFormat};
use crate::commands::media::Access;
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
        let (_, actual) = stage::observe(global, &project)?;
        let wanted = Options { goal: Goal::Down { volumes: options.volumes }, remove_orphans: false };
        plan::plan(&DesiredState::nothing(&project), &actual, &wanted)?
    } else {
        let stage = stage::set(global, &request, Access::Look)?;
        let wanted = Options { goal: Goal::Up, remove_orphans: options.remove_orphans };
        plan::plan(&stage.desired, &stage.actual, &wanted)?
    };
    match options.format {
        PlanFormat::Text => print(&render::plan::text(&plan, &Palette::stdout()))?,
        PlanFormat::Json => print(&format!("{:#}", render::plan::json(&plan)))?,
    }
    Ok(if options.exit_code && !plan.is_empty() { Exit::Changes } else { Exit::Done })
}
