//! `why`: what a vm waits for, or what became of it.
//!
//! Owns the order of the two looks: at what the last run told of it, and at what the hypervisor has now. Works while the
//! run goes on, from another terminal, and after it.

use std::time::{Duration, SystemTime};

use crate::cli::{Global, Why};
use crate::commands::chronicle::{self, Run};
use crate::commands::stage::Access;
use crate::commands::{login, print, ps, request, stage};
use crate::error::{Error, Exit};
use crate::names::ResourceId;
use crate::render::table::Health;
use crate::render::why::{self, About};

/// Tells it.
pub(super) fn why(global: &Global, options: &Why) -> Result<Exit, Error> {
    let project = stage::project_name(global, &request(global)?)?;
    let sight = stage::observe(global, &project, Access::Read)?;
    let id = ResourceId::Vm(options.vm.clone());
    let told = chronicle::runs(&project, &sight.hypervisor.uri())?.iter().find_map(|run| tell(run, options));
    let known = sight.actual.resources.contains_key(&id);
    if !known && told.is_none() {
        // Neither here nor in any run: perhaps another name was meant.
        login::find(&sight.actual, &options.vm)?;
    }
    let text = told.unwrap_or_else(|| format!("{id}: no run that is still known had anything to do with it\n"));
    let now = ps::statuses(&sight.hypervisor, &project, &sight.actual).remove(&options.vm);
    let now = now.map_or_else(
        || "it does not exist".to_owned(),
        |row| {
            let health = match (row.health, row.answer) {
                (Health::None, _) => ", and has no healthcheck".to_owned(),
                (Health::Healthy, _) => ", and its healthcheck passes".to_owned(),
                (Health::Starting, Some(answer)) => format!(", and its healthcheck has not passed yet: {answer}"),
                (_, Some(answer)) => format!(", and its healthcheck does not pass: {answer}"),
                (_, None) => String::new(),
            };
            format!("it is {}{health}", row.state.as_str())
        },
    );
    let now = format!("  {:<12} {now}\n", "right now");
    print(&(text + &now))?;
    Ok(Exit::Done)
}

fn tell(run: &Run, options: &Why) -> Option<String> {
    let progress = run.progress();
    let began = humantime::parse_rfc3339(&run.header.since).ok();
    let age = began.and_then(|began| SystemTime::now().duration_since(began).ok()).unwrap_or_default();
    let over = progress.outcome.is_some() || !run.is_alive();
    let silent = if over { Duration::ZERO } else { age.saturating_sub(progress.elapsed) };
    let name = format!(
        "`{}` of {}, process {} on {}",
        run.header.command, run.header.since, run.header.process, run.header.host
    );
    let about = About {
        progress: &progress,
        events: &run.events,
        run: &name,
        alive: run.is_alive(),
        silent,
        folder: run.folder.join(options.vm.as_str()).is_dir().then_some(run.folder.as_path()),
    };
    why::why(&about, &options.vm)
}
