//! What the command line chooses of a project, as the planner takes it.
//!
//! Owns the look-up of names, replicas by the name of their group too.

use std::collections::BTreeSet;

use crate::cli::Choice;
use crate::commands::power::known;
use crate::compose::suggest;
use crate::error::Error;
use crate::model::{Spec, Vm};
use crate::names::{ProjectName, VmName};
use crate::plan::{Goal, Options};
use crate::render::{Palette, message, output};
use crate::state::{ActualState, DesiredState};

/// The plan's options. Fails where the file has no vm of a name.
pub(super) fn options(choice: &Choice, desired: &DesiredState) -> Result<Options, Error> {
    let mut vms = named(&choice.vms, desired)?;
    let mut replace = named(&choice.replace, desired)?;
    if choice.force_recreate {
        replace = if vms.is_empty() { anew(desired) } else { vms.clone() };
    }
    if !vms.is_empty() {
        vms.extend(replace.iter().cloned());
    }
    let (remove_orphans, no_deps) = (choice.remove_orphans, choice.no_deps);
    Ok(Options { remove_orphans, vms, no_deps, replace, ..Options::new(Goal::Up) })
}

/// All that can be made anew. Of those that somebody else made it is said that they are left out.
fn anew(desired: &DesiredState) -> BTreeSet<VmName> {
    let vms = desired.specs.values().filter_map(Spec::as_vm);
    let (theirs, ours): (Vec<&Vm>, Vec<&Vm>) = vms.partition(|vm| vm.existing().is_some());
    if !theirs.is_empty() {
        let names: Vec<String> = theirs.iter().map(|vm| format!("`{}`", vm.name)).collect();
        let words = format!("not made anew, because vmcompose did not make it: {}", names.join(", "));
        output::note(&message::note(&words, &Palette::stderr()));
    }
    ours.into_iter().map(|vm| vm.name.clone()).collect()
}

/// The vms of the hypervisor's that are meant, replicas by the name of their group too. Fails where there is none of a name.
pub(super) fn there(project: &ProjectName, actual: &ActualState, names: &[VmName]) -> Result<BTreeSet<VmName>, Error> {
    let of = |name| actual.recorded().filter_map(Spec::as_vm).filter(move |vm| is(vm, name)).map(|vm| vm.name.clone());
    // A name without replicas is told of as everywhere.
    let single: Vec<VmName> = names.iter().filter(|name| of(name).next().is_none()).cloned().collect();
    known(project, actual, &single)?;
    Ok(names.iter().flat_map(of).collect())
}

fn is(vm: &Vm, name: &VmName) -> bool {
    vm.name == *name || vm.replica_of.as_ref() == Some(name)
}

fn named(names: &[VmName], desired: &DesiredState) -> Result<BTreeSet<VmName>, Error> {
    let mut found = BTreeSet::new();
    for name in names {
        let vms: Vec<&Vm> = desired.specs.values().filter_map(Spec::as_vm).filter(|vm| is(vm, name)).collect();
        if vms.is_empty() {
            return Err(unknown(name, desired));
        }
        found.extend(vms.into_iter().map(|vm| vm.name.clone()));
    }
    Ok(found)
}

fn unknown(name: &VmName, desired: &DesiredState) -> Error {
    let there = desired.specs.keys().filter_map(|id| id.as_vm()).map(VmName::as_str);
    let near = suggest::did_you_mean(name.as_str(), there);
    let listed = "`vmcompose config --vms` shows the vms of the file".to_owned();
    Error::Missing { what: format!("the file has no vm `{name}`"), hint: near.unwrap_or(listed) }
}
