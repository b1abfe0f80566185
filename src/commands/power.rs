//! `start`, `stop`, `restart`, `pause`, `unpause`, `kill`: what is there → plan → run.
//!
//! Reads the file for the project's name, and for where the secrets are that a vm gets when it starts: what was last
//! applied has order and gates.

use std::collections::BTreeSet;

use crate::cli::{Backwards, Forwards, Global, Restart, Stop};
use crate::commands::stage::Access;
use crate::commands::{login, request, run, stage};
use crate::error::{Error, Exit};
use crate::execute::OnFailure;
use crate::names::{ProjectName, VmName};
use crate::plan::{self, Company, Power, Selection};
use crate::render::output;
use crate::state::ActualState;

/// Starts vms.
pub(super) fn start(global: &Global, options: &Forwards) -> Result<Exit, Error> {
    power(global, Power::Start, &options.vms, needed(options.no_deps))
}

/// Shuts vms down.
pub(super) fn stop(global: &Global, options: &Stop) -> Result<Exit, Error> {
    power(global, Power::Stop(options.timeout), &options.vms.vms, dependents(&options.vms))
}

/// Shuts vms down and starts them again.
pub(super) fn restart(global: &Global, options: &Restart) -> Result<Exit, Error> {
    let company = if options.with_dependents { Company::Dependents } else { needed(options.no_deps) };
    power(global, Power::Restart(options.timeout), &options.vms, company)
}

/// Holds vms.
pub(super) fn pause(global: &Global, options: &Backwards) -> Result<Exit, Error> {
    power(global, Power::Pause, &options.vms, dependents(options))
}

/// Lets held vms go on.
pub(super) fn unpause(global: &Global, options: &Forwards) -> Result<Exit, Error> {
    power(global, Power::Unpause, &options.vms, needed(options.no_deps))
}

/// Puts vms to sleep, with what they have in memory.
pub(super) fn suspend(global: &Global, options: &Backwards) -> Result<Exit, Error> {
    power(global, Power::Suspend, &options.vms, dependents(options))
}

/// Lets suspended vms go on.
pub(super) fn resume(global: &Global, options: &Forwards) -> Result<Exit, Error> {
    power(global, Power::Wake, &options.vms, needed(options.no_deps))
}

/// Switches vms off.
pub(super) fn kill(global: &Global, options: &Backwards) -> Result<Exit, Error> {
    power(global, Power::Kill, &options.vms, dependents(options))
}

fn needed(nobody: bool) -> Company {
    if nobody { Company::Nobody } else { Company::Needed }
}

fn dependents(options: &Backwards) -> Company {
    if options.with_dependents { Company::Dependents } else { Company::Nobody }
}

fn power(global: &Global, power: Power, vms: &[VmName], company: Company) -> Result<Exit, Error> {
    let request = request(global)?;
    let project = stage::project_name(global, &request)?;
    let mut sight = stage::observe(global, &project, Access::Write)?;
    known(&project, &sight.actual, vms)?;
    let selection = Selection { vms: vms.iter().cloned().collect(), company };
    let plan = plan::power(&project, &sight.actual, power, &selection)?;
    if plan.is_empty() {
        output::note(&format!("nothing to do: {}", already(power, vms)));
        return Ok(Exit::Done);
    }
    if !run::secrets_of(&plan).is_empty() {
        sight = sight.with_secrets_of(&request)?;
        run::read_secrets(&plan, &sight.secrets)?;
    }
    // What is being started can be undone as `up` is; a guest that has shut down is not started again for another's sake.
    let on_failure = match power {
        Power::Start | Power::Restart(_) | Power::Unpause | Power::Wake => OnFailure::Rollback,
        Power::Stop(_) | Power::Pause | Power::Suspend | Power::Kill => OnFailure::Continue,
    };
    run::run(global, sight, &plan, run::How::of(word(power), on_failure))
}

fn word(power: Power) -> &'static str {
    match power {
        Power::Start => "start",
        Power::Stop(_) => "stop",
        Power::Restart(_) => "restart",
        Power::Pause => "pause",
        Power::Unpause => "unpause",
        Power::Suspend => "suspend",
        Power::Wake => "resume",
        Power::Kill => "kill",
    }
}

/// Refuses names that no vm has, and a project that has no vm.
pub(super) fn known(project: &ProjectName, actual: &ActualState, vms: &[VmName]) -> Result<(), Error> {
    let there: BTreeSet<&VmName> = actual.resources.keys().filter_map(|id| id.as_vm()).collect();
    let Some(missing) = vms.iter().find(|vm| !there.contains(vm)) else {
        if there.is_empty() {
            let what = format!("project `{project}` has no vms on the hypervisor");
            return Err(Error::Missing { what, hint: "`vmcompose up` makes them".to_owned() });
        }
        return Ok(());
    };
    Err(login::missing(actual, missing))
}

fn already(power: Power, vms: &[VmName]) -> String {
    let who = match vms {
        [] => "every vm".to_owned(),
        [vm] => format!("vm `{vm}`"),
        _ => "each of these vms".to_owned(),
    };
    match power {
        Power::Start | Power::Restart(_) => format!("{who} runs already"),
        Power::Stop(_) | Power::Kill => format!("{who} is stopped already"),
        Power::Pause => format!("{who} is paused or stopped already"),
        Power::Unpause => format!("{who} is not paused"),
        Power::Suspend => format!("{who} is suspended or stopped already"),
        Power::Wake => format!("{who} is not suspended"),
    }
}
