//! `down`: the same line towards an emptier state. Needs no file where the project is named.

use std::collections::BTreeMap;

use crate::cli::{Down, Global};
use crate::commands::keys::Keys;
use crate::commands::run::Ended;
use crate::commands::stage::Access;
use crate::commands::{request, run, saved, stage, unfinished};
use crate::compose::Request;
use crate::error::{Error, Exit};
use crate::execute::OnFailure;
use crate::model::Origin;
use crate::names::ResourceId;
use crate::plan::{self, Goal, Options};
use crate::render::{Palette, message, output};
use crate::state::DesiredState;

/// Takes everything down.
pub(super) fn down(global: &Global, options: &Down) -> Result<Exit, Error> {
    match once(global, options)? {
        Ended::Preliminary if options.plan.is_some() => {
            output::note("what was in the way of seeing the rest is started; the rest is for another plan");
            Ok(Exit::Done)
        }
        Ended::Preliminary => once(global, options).map(Ended::exit),
        Ended::Finally(exit) => Ok(exit),
    }
}

fn once(global: &Global, options: &Down) -> Result<Ended, Error> {
    let saved = options.plan.as_deref().map(saved::read).transpose()?;
    saved.as_ref().map(|saved| saved::for_command(saved, "down")).transpose()?;
    let request = request(global)?;
    let project = stage::project_name(global, &request)?;
    let sight = stage::observe(global, &project, Access::Write)?;
    let wanted = Options::new(Goal::Down { volumes: options.volumes });
    let nothing = DesiredState { origins: protecting(&request), ..DesiredState::nothing(&project) };
    let plan = match &saved {
        None => plan::plan(&nothing, &sight.actual, &wanted)?,
        Some(saved) => saved::the_same(saved, &nothing, &sight)?,
    };
    let volumes = saved.map_or(wanted.goal, |saved| saved.options.goal) == Goal::Down { volumes: true };
    // Disks of the vms' own go with the vms, as the word says; named volumes are data, and asked about.
    if volumes {
        run::confirm(&plan, &sight.unfinished, &sight.actual, options.yes)?;
    }
    unfinished::tell(&sight.unfinished);
    let snapshots: Vec<String> =
        plan::snapshot::snapshots(&sight.actual).iter().map(|(one, _)| format!("`{}`", one.name)).collect();
    if !snapshots.is_empty() {
        output::note(&message::note(
            &format!("the vms' snapshots go with them: {}", snapshots.join(", ")),
            &Palette::stderr(),
        ));
    }
    let how = run::How::whole("down", OnFailure::Continue, &options.run);
    let keys = Keys::of(&project, &sight.hypervisor.uri());
    // Held until the key is gone too, so that no other run takes it over meanwhile.
    let lock = sight.lock.clone();
    let ended = Ended::of(&plan, run::run(global, sight, &plan, how)?);
    // A key lets in to what is gone now; with the volumes, the user has given up the whole project.
    if let (Ok(keys), Ended::Finally(Exit::Done), true) = (&keys, &ended, volumes) {
        keys.remove()?;
    }
    drop(lock);
    Ok(ended)
}

/// Where the file protects vms, if there is a file that can be read: it only helps to tell what is in the way.
fn protecting(request: &Request) -> BTreeMap<ResourceId, Origin> {
    let Ok(parsed) = stage::read(request) else { return BTreeMap::new() };
    let mut project = parsed.project;
    project.origins.retain(|id, _| id.as_vm().and_then(|vm| project.vms.get(vm)).is_some_and(|vm| vm.protect));
    project.origins
}
