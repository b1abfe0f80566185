//! Who is known on a network besides the vms that a plan is about.
//!
//! Owns these two rules: whoever is left alone keeps his address and his names. Knows nothing of what is done to a network.

use crate::model::{Network, Spec};
use crate::names::ResourceId;
use crate::plan::chosen::Chosen;
use crate::plan::planner::Options;
use crate::state::{Actual, ActualState, DesiredState};

/// The same state, but a vm that is left alone keeps the address and the name that its networks reserve for it.
/// `None` where there is no such vm.
pub(super) fn with_orphans(desired: &DesiredState, actual: &ActualState, options: &Options) -> Option<DesiredState> {
    let mut kept: Option<DesiredState> = None;
    for (id, found) in &actual.resources {
        let Spec::Network(recorded) = &found.recorded else { continue };
        for (vm, host) in &recorded.hosts {
            let id_of_vm = ResourceId::Vm(vm.clone());
            let stays = |vm: &Actual| !options.delete(&vm.recorded);
            if desired.specs.contains_key(&id_of_vm) || !actual.resources.get(&id_of_vm).is_some_and(stays) {
                continue;
            }
            if let Some(Spec::Network(network)) = kept.get_or_insert_with(|| desired.clone()).specs.get_mut(id) {
                network.hosts.insert(vm.clone(), host.clone());
            }
        }
    }
    kept
}

/// The same state for a plan about a part of it: on networks that are there, everybody else is known as he was. `None` for one
/// about all of it.
pub(super) fn of_others(desired: &DesiredState, actual: &ActualState, chosen: &Chosen<'_>) -> Option<DesiredState> {
    if !chosen.is_part() {
        return None;
    }
    let mut kept = desired.clone();
    for (id, spec) in &mut kept.specs {
        let (Spec::Network(network), Some(Spec::Network(recorded))) =
            (spec, actual.resources.get(id).map(|found| &found.recorded))
        else {
            continue;
        };
        let other = |vm: &_| !chosen.has(&ResourceId::Vm(Clone::clone(vm)));
        network.hosts.retain(|vm, _| !other(vm));
        let goes = |vm: &_| {
            let id = ResourceId::Vm(Clone::clone(vm));
            !desired.specs.contains_key(&id) && actual.resources.get(&id).is_some_and(|found| chosen.gives_up(found))
        };
        let others = recorded.hosts.iter().filter(|(vm, _)| other(vm) && !goes(vm));
        network.hosts.extend(others.map(|(vm, host)| (vm.clone(), host.clone())));
        if chosen.only_leaves(id) {
            // Whatever else the file says of it is for whoever is meant.
            *network = Network { hosts: std::mem::take(&mut network.hosts), ..recorded.clone() };
        }
    }
    Some(kept)
}
