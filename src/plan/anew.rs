//! Which vms are made anew, and in what their disks are told from those that they have now.
//!
//! Owns that decision, before anything else is planned, and the numbers. Knows nothing of operations.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::model::Spec;
use crate::names::{Generation, ResourceId, VmName};
use crate::plan::change::replaces;
use crate::plan::chosen::Chosen;
use crate::plan::effects::Lans;
use crate::state::{ActualState, DesiredState};

/// The same state with the generation of every vm: the one that it has, and for one that is made anew a new one.
pub(super) fn settled<'a>(
    desired: &'a DesiredState,
    actual: &ActualState,
    chosen: &Chosen<'_>,
    lans: Lans<'_>,
) -> Cow<'a, DesiredState> {
    let mut settled = Cow::Borrowed(desired);
    for (id, generation) in generations(desired, actual, chosen, lans) {
        if let Some(Spec::Vm(vm)) = settled.to_mut().specs.get_mut(&id) {
            vm.generation = generation;
        }
    }
    settled
}

/// Those that differ from what the state says.
fn generations(
    desired: &DesiredState,
    actual: &ActualState,
    chosen: &Chosen<'_>,
    lans: Lans<'_>,
) -> BTreeMap<ResourceId, Generation> {
    let of = |(id, spec): (&ResourceId, &Spec)| {
        let to = spec.as_vm()?;
        let found = actual.resources.get(id)?;
        let from = found.recorded.as_vm()?;
        let anew = chosen.has(id) && (chosen.anew(&to.name) || replaces(from, to, lans));
        let generation = if anew { unused(actual, &to.name, from.generation) } else { from.generation };
        (generation != to.generation).then(|| (id.clone(), generation))
    };
    desired.specs.iter().filter_map(of).collect()
}

/// One that no disk of the vm has: what a run that was cut short left behind is not built on.
fn unused(actual: &ActualState, vm: &VmName, now: Generation) -> Generation {
    let disks = actual.loose_disks.iter().filter(|(owner, ..)| owner == vm).map(|(.., generation)| *generation);
    let seeds = actual.loose_seeds.iter().filter(|(owner, _)| owner == vm).map(|(_, generation)| *generation);
    disks.chain(seeds).chain([now]).max().unwrap_or(now).next()
}

/// The same state, in which the content of an image that is wanted is the one that counts, where there are several.
pub(super) fn viewed<'a>(desired: &DesiredState, actual: &'a ActualState) -> Cow<'a, ActualState> {
    let mut viewed = Cow::Borrowed(actual);
    for (name, others) in &actual.other_images {
        let id = ResourceId::Image(name.clone());
        let Some(Spec::Image(wanted)) = desired.specs.get(&id) else { continue };
        let is = |recorded: &Spec| matches!(recorded, Spec::Image(image) if image.digest == wanted.digest);
        if actual.resources.get(&id).is_some_and(|known| is(&known.recorded)) {
            continue;
        }
        let Some(at) = others.iter().position(|other| is(&other.recorded)) else { continue };
        let state = viewed.to_mut();
        if let (Some(known), Some(others)) = (state.resources.get_mut(&id), state.other_images.get_mut(name)) {
            std::mem::swap(known, &mut others[at]);
        }
    }
    viewed
}
