//! Steps in the making: found by their resources, until all are known and get their numbers.
//!
//! Owns their order. Knows nothing of why a step is taken.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::Graph;
use crate::model::Condition;
use crate::names::ResourceId;
use crate::plan::diff::FieldChange;
use crate::plan::operation::Operation;
use crate::plan::{Action, Cause, Effect, Gate, Milestone, Plan, Step, StepId, Wave};
use crate::state::DesiredState;

/// A step before it has a number: it is found by its resource.
pub(super) struct Draft {
    pub(super) resource: ResourceId,
    pub(super) action: Action,
    pub(super) cause: Cause,
    pub(super) changes: Vec<FieldChange>,
    pub(super) effect: Option<Effect>,
    pub(super) operations: Vec<Operation>,
    pub(super) after: BTreeMap<ResourceId, Milestone>,
    pub(super) gate: Gate,
    pub(super) finish: Vec<Operation>,
    pub(super) wave: usize,
}

impl Draft {
    pub(super) fn new(resource: ResourceId, action: Action, cause: Cause, operations: Vec<Operation>) -> Self {
        Self {
            resource,
            action,
            cause,
            changes: Vec::new(),
            effect: None,
            operations,
            after: BTreeMap::new(),
            gate: Gate::None,
            finish: Vec::new(),
            wave: 0,
        }
    }

    /// Whether its resource is started by it, so that it needs what it depends on.
    pub(super) fn starts(&self) -> bool {
        matches!(self.action, Action::Create | Action::Start | Action::Restart | Action::Replace)
    }
}

/// Lets each step wait for the steps of what its resource requires; through a resource without a step, for that one's.
pub(super) fn connect(graph: &Graph, drafts: &mut BTreeMap<ResourceId, Draft>) {
    let mut frontier: BTreeMap<ResourceId, BTreeMap<ResourceId, Milestone>> = BTreeMap::new();
    for id in graph.in_order() {
        let mut before: BTreeMap<ResourceId, Milestone> = BTreeMap::new();
        for (required, condition) in graph.requirements(id) {
            let milestone = if condition >= Condition::Healthy { Milestone::Passed } else { Milestone::Applied };
            let own = BTreeMap::from([(required.clone(), milestone)]);
            let through = if drafts.contains_key(required) { Some(&own) } else { frontier.get(required) };
            for (id, milestone) in through.into_iter().flatten() {
                // Of two ways to the same step, the one that asks for more holds.
                let entry = before.entry(id.clone()).or_insert(*milestone);
                *entry = (*milestone).max(*entry);
            }
        }
        match drafts.get_mut(id) {
            Some(draft) => draft.after = before,
            None => drop(frontier.insert(id.clone(), before)),
        }
    }
}

/// Gives the steps their numbers and sorts them into waves, without gaps.
pub(super) fn number(
    desired: &DesiredState,
    drafts: BTreeMap<ResourceId, Draft>,
    unchanged: Vec<ResourceId>,
    orphans: Vec<ResourceId>,
    kept: Vec<ResourceId>,
) -> Plan {
    let levels: BTreeSet<usize> = drafts.values().map(|draft| draft.wave).collect();
    let mut waves: BTreeMap<usize, Vec<Draft>> = levels.iter().map(|level| (*level, Vec::new())).collect();
    for draft in drafts.into_values() {
        waves.entry(draft.wave).or_default().push(draft);
    }
    let in_order = waves.values().flatten();
    let ids: BTreeMap<ResourceId, StepId> =
        in_order.enumerate().map(|(n, draft)| (draft.resource.clone(), StepId(n))).collect();
    let step = |draft: Draft| Step {
        id: ids[&draft.resource],
        origin: desired.origins.get(&draft.resource).cloned(),
        action: draft.action,
        cause: draft.cause,
        changes: draft.changes,
        effect: draft.effect,
        operations: draft.operations,
        after: draft.after.iter().map(|(id, milestone)| (ids[id], *milestone)).collect(),
        gate: draft.gate,
        finish: draft.finish,
        resource: draft.resource,
    };
    let wave = |drafts: Vec<Draft>| Wave { steps: drafts.into_iter().map(step).collect() };
    let waves = waves.into_values().map(wave).collect();
    Plan { project: desired.project.clone(), waves, unchanged, orphans, adopted: Vec::new(), kept }
}
