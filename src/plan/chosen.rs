//! What a plan is about: all of a project, or some of its vms and what they need.
//!
//! Owns that choice. Knows nothing of what is done.

use std::collections::BTreeSet;

use crate::names::{ResourceId, VmName};
use crate::plan::planner::Options;
use crate::state::{Actual, ActualState, DesiredState};

/// What a plan is about.
pub(super) struct Chosen<'a> {
    /// All where there is none.
    only: Option<BTreeSet<ResourceId>>,
    /// Networks that nobody of them needs, but who goes was on: they forget him.
    left: BTreeSet<ResourceId>,
    options: &'a Options,
}

impl<'a> Chosen<'a> {
    /// The vms that are named, and what they need; with the networks that know of replicas that go.
    pub(super) fn of(desired: &DesiredState, actual: &ActualState, options: &'a Options) -> Self {
        let mut only = BTreeSet::new();
        let mut queue: Vec<ResourceId> = options.vms.iter().cloned().map(ResourceId::Vm).collect();
        while let Some(id) = queue.pop() {
            let required = desired.graph.requirements(&id).into_iter().map(|(required, _)| required);
            queue.extend(required.filter(|id| !options.no_deps || id.as_vm().is_none()).cloned());
            only.insert(id);
        }
        let all = options.vms.is_empty() && options.surplus.is_empty();
        let left: BTreeSet<ResourceId> = if all { BTreeSet::new() } else { deserted(desired, actual, options, &only) };
        only.extend(left.iter().cloned());
        Self { only: (!all).then_some(only), left, options }
    }

    /// Whether a vm that is there goes with this plan, because nobody wants it any more.
    pub(super) fn gives_up(&self, found: &Actual) -> bool {
        self.options.delete(&found.recorded)
    }

    /// Whether it is about a part of the project.
    pub(super) fn is_part(&self) -> bool {
        self.only.is_some()
    }

    /// Whether those that say `restart: true` go along, whoever they are.
    pub(super) fn takes_along(&self) -> bool {
        !self.options.no_deps
    }

    /// Whether it is about a network only for who is there no more.
    pub(super) fn only_leaves(&self, network: &ResourceId) -> bool {
        self.left.contains(network)
    }

    pub(super) fn has(&self, id: &ResourceId) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(id))
    }

    /// Whether a vm is made anew because somebody asks for it.
    pub(super) fn anew(&self, vm: &VmName) -> bool {
        self.options.replace.contains(vm)
    }
}

/// The networks of those that go, but for those that are meant anyway.
fn deserted(
    desired: &DesiredState,
    actual: &ActualState,
    options: &Options,
    only: &BTreeSet<ResourceId>,
) -> BTreeSet<ResourceId> {
    let going = actual.resources.iter().filter(|(id, found)| {
        let surplus = found.recorded.as_vm().is_some_and(|_| options.delete(&found.recorded));
        surplus && !desired.specs.contains_key(*id)
    });
    let networks = going.flat_map(|(_, found)| found.recorded.requires()).map(|(required, _)| required);
    let known = |id: &ResourceId| matches!(id, ResourceId::Network(_)) && desired.specs.contains_key(id);
    networks.filter(|id| known(id) && actual.resources.contains_key(id) && !only.contains(id)).collect()
}
