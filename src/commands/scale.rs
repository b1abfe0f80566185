//! `scale`: `up` of some vms, with other numbers of replicas than the file's.
//!
//! Owns what is said of what `up` does afterwards: the file stays as it is.

use std::collections::BTreeSet;

use crate::cli::{Global, Replicas, Scale};
use crate::commands::media::Reach;
use crate::commands::run::{Ended, How};
use crate::commands::{preflight, request, run, stage, unfinished, up};
use crate::compose::Request;
use crate::error::{Error, Exit};
use crate::execute::OnFailure;
use crate::image::Mode;
use crate::model::{Project, Vm};
use crate::names::VmName;
use crate::plan::{self, Goal, Options};
use crate::render::{Palette, message, output};
use crate::state::DesiredState;

/// Scales, and says what `up` does afterwards.
pub(super) fn scale(global: &Global, options: &Scale) -> Result<Exit, Error> {
    once_each(&options.vms)?;
    let written = stage::read(&request(global)?)?.project;
    // Where a pool was stopped, the first plan starts it, and the second is made of what is in it.
    let ended = match once(global, options)? {
        Ended::Preliminary => once(global, options)?,
        ended @ Ended::Finally(_) => ended,
    };
    if ended == Ended::Finally(Exit::Done) {
        for wanted in &options.vms {
            tell(&written, wanted);
        }
    }
    Ok(ended.exit())
}

fn once(global: &Global, options: &Scale) -> Result<Ended, Error> {
    let scale = options.vms.iter().map(|wanted| (wanted.vm.to_string(), wanted.count)).collect();
    let request = Request { scale, ..request(global)? };
    let (desired, sight) = stage::set(global, &request, Reach::Fetch(Mode::Normal))?;
    let plan = plan::plan(&desired, &sight.actual, &meant(options, &desired))?;
    unfinished::tell(&sight.unfinished);
    if plan.is_empty() && plan.unchanged.is_empty() {
        output::note(&nothing(options));
        return Ok(Ended::Finally(Exit::Done));
    }
    preflight::check(&plan, &sight.actual, &sight.hypervisor)?;
    run::confirm(&plan, &sight.unfinished, &sight.actual, options.yes)?;
    up::forget_host_keys(&plan, &sight);
    run::read_secrets(&plan, &sight.secrets)?;
    let how = How::part("scale", OnFailure::Rollback, &options.run);
    Ok(Ended::of(&plan, run::run(global, sight, &plan, how)?))
}

/// Of two numbers for one vm, nobody knows which is meant.
fn once_each(wanted: &[Replicas]) -> Result<(), Error> {
    let mut known = BTreeSet::new();
    let again = wanted.iter().find(|one| !known.insert(&one.vm));
    again.map_or(Ok(()), |again| {
        let what = format!("two numbers are given for vm `{}`", again.vm);
        Err(Error::Missing { what, hint: "give each vm one, such as `scale api=3 web=2`".to_owned() })
    })
}

/// What is said where there shall be none, and is none.
fn nothing(options: &Scale) -> String {
    let groups: Vec<String> = options.vms.iter().map(|wanted| format!("`{}`", wanted.vm)).collect();
    format!("nothing to do: there is no replica of {}, as asked for", groups.join(", "))
}

/// The replicas that there shall be, and those that shall not.
fn meant(options: &Scale, desired: &DesiredState) -> Options {
    let groups: BTreeSet<VmName> = options.vms.iter().map(|wanted| wanted.vm.clone()).collect();
    let vms = desired.specs.values().filter_map(|spec| spec.as_vm());
    let vms = vms.filter(|vm| vm.replica_of.as_ref().is_some_and(|group| groups.contains(group)));
    let vms = vms.map(|vm| vm.name.clone()).collect();
    Options { vms, no_deps: options.no_deps, surplus: groups, ..Options::new(Goal::Up) }
}

/// Says what `up` does of a number that is not the file's.
fn tell(written: &Project, wanted: &Replicas) {
    let Replicas { vm, count } = wanted;
    let of = |found: &&Vm| found.replica_of.as_ref() == Some(vm);
    let file = u32::try_from(written.vms.values().filter(of).count()).unwrap_or(u32::MAX);
    let then = match file.cmp(count) {
        std::cmp::Ordering::Equal => return,
        std::cmp::Ordering::Less => "`up` leaves the others alone, and `up --remove-orphans` deletes them",
        std::cmp::Ordering::Greater => "`up` makes the others again",
    };
    let words = format!("the file has `replicas: {file}` for `{vm}`: {then}; `replicas: {count}` there keeps it so");
    output::note(&message::note(&words, &Palette::stderr()));
}
