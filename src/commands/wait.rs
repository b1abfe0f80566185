//! `wait`: a run that does nothing but wait; and a look again and again, for what no gate waits for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::backend::Hypervisor;
use crate::cli::{Global, Until, Wait};
use crate::commands::choice;
use crate::commands::stage::{Access, Sight};
use crate::commands::{login, request, run, stage};
use crate::error::{Error, Exit};
use crate::execute::{OnFailure, Options};
use crate::model::Healthcheck;
use crate::names::{ProjectName, ResourceId, VmName};
use crate::plan::awaiting::{self, awaiting};
use crate::render::style::Palette;
use crate::render::{message, output};
use crate::state::{ActualState, Phase};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// Waits.
pub(super) fn wait(global: &Global, options: &Wait) -> Result<Exit, Error> {
    let project = stage::project_name(global, &request(global)?)?;
    let sight = stage::observe(global, &project, Access::Read)?;
    let vms = choice::there(&project, &sight.actual, &options.vms)?;
    let until = match options.until {
        Until::Healthy => awaiting::Until::Healthy,
        Until::Completed => awaiting::Until::Completed,
        Until::Stopped => return stopped(&project, &sight, &vms, options),
    };
    let plan = awaiting(&project, &sight.actual, &vms, until, options.timeout).map_err(|vm| Error::Refused {
        what: format!("vm `{vm}` has no healthcheck that could be waited for"),
        hint: "give it one in the compose file, or wait `--for completed` or `--for stopped`".to_owned(),
    })?;
    if plan.waves.is_empty() {
        output::note("nothing to wait for: no vm has a healthcheck");
        return Ok(Exit::Done);
    }
    let logins = Arc::new(login::known(&project, &sight.hypervisor.uri(), &plan, &sight.actual));
    let how = Options { on_failure: OnFailure::Continue, logins, ..Options::default() };
    Ok(run::waited(global, Arc::new(sight.hypervisor), &plan, &how))
}

fn stopped(project: &ProjectName, sight: &Sight, vms: &BTreeSet<VmName>, options: &Wait) -> Result<Exit, Error> {
    let within = options.timeout.map_or(Healthcheck::WORK.0, |timeout| timeout.0);
    let deadline = Instant::now() + within;
    loop {
        let actual = sight.hypervisor.observe(project)?;
        let running = running(&actual, vms);
        if running.is_empty() {
            return Ok(Exit::Done);
        }
        if Instant::now() >= deadline {
            let still = running.iter().map(|vm| format!("`{vm}`")).collect::<Vec<_>>().join(", ");
            let words = format!("not stopped within {}: {still}", humantime::format_duration(within));
            output::note(&message::error(&words, &Palette::stderr()));
            return Ok(Exit::Unhealthy);
        }
        thread::sleep(LOOK);
    }
}

fn running<'a>(actual: &'a ActualState, vms: &BTreeSet<VmName>) -> Vec<&'a VmName> {
    let runs = |phase: Phase| matches!(phase, Phase::Running | Phase::Paused);
    let named = |vm: &&VmName| vms.is_empty() || vms.contains(*vm);
    let running = actual.resources.iter().filter(|(_, found)| runs(found.phase)).map(|(id, _)| id);
    running.filter_map(ResourceId::as_vm).filter(named).collect()
}
