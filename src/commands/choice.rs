//! What the command line chooses of a project, as the planner takes it.
//!
//! Owns the look-up of names, replicas by the name of their group too.

use std::collections::BTreeSet;

use crate::cli::Choice;
use crate::compose::suggest;
use crate::error::Error;
use crate::model::{Spec, Vm};
use crate::names::VmName;
use crate::plan::{Goal, Options};
use crate::state::DesiredState;

/// The plan's options. Fails where the file has no vm of a name.
pub(super) fn options(choice: &Choice, desired: &DesiredState) -> Result<Options, Error> {
    let mut vms = named(&choice.vms, desired)?;
    let mut replace = named(&choice.replace, desired)?;
    if choice.force_recreate {
        let all = || desired.specs.keys().filter_map(|id| id.as_vm()).cloned().collect();
        replace = if vms.is_empty() { all() } else { vms.clone() };
    }
    if !vms.is_empty() {
        vms.extend(replace.iter().cloned());
    }
    let (remove_orphans, no_deps) = (choice.remove_orphans, choice.no_deps);
    Ok(Options { remove_orphans, vms, no_deps, replace, ..Options::new(Goal::Up) })
}

fn named(names: &[VmName], desired: &DesiredState) -> Result<BTreeSet<VmName>, Error> {
    let mut found = BTreeSet::new();
    for name in names {
        let is = |vm: &&Vm| vm.name == *name || vm.replica_of.as_ref() == Some(name);
        let vms: Vec<&Vm> = desired.specs.values().filter_map(Spec::as_vm).filter(is).collect();
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
