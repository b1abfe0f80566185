//! What holds for every project: laws, on projects made at random.

use proptest::prelude::*;
use vmcompose::model::{Condition, Spec};
use vmcompose::plan::{Action, plan};
use vmcompose::state::{ActualState, DesiredState};

use crate::specs::{DOWN, UP, applied, desired, vm};

/// Projects whose vms wait only for earlier ones, so that there is never a cycle.
fn projects() -> impl Strategy<Value = DesiredState> {
    let edges = prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..4);
    prop::collection::vec(edges, 1..20).prop_map(|all| {
        let called = |n: usize| format!("vm-{n}");
        let vms: Vec<Spec> = all
            .iter()
            .enumerate()
            .map(|(n, edges)| {
                let others: Vec<(String, Condition)> = edges
                    .iter()
                    .filter(|_| n > 0)
                    .map(|(to, healthy)| {
                        let condition = if *healthy { Condition::Healthy } else { Condition::Started };
                        (called(to.index(n)), condition)
                    })
                    .collect();
                let others: Vec<(&str, Condition)> = others.iter().map(|(to, how)| (to.as_str(), *how)).collect();
                vm(&called(n), &others)
            })
            .collect();
        desired(&vms)
    })
}

proptest! {
    #[test]
    fn every_edge_crosses_waves_forwards(desired in projects()) {
        let plan = plan(&desired, &ActualState::default(), &UP).expect("a plan");
        for wave in &plan.waves {
            let first = wave.steps.first().expect("no empty wave").id;
            prop_assert!(wave.steps.iter().flat_map(|step| step.after.keys()).all(|before| *before < first));
        }
        for step in plan.steps() {
            for (required, _) in desired.graph.requirements(&step.resource) {
                prop_assert!(plan.steps().any(|other| &other.resource == required && other.id < step.id));
            }
        }
    }

    #[test]
    fn the_same_input_gives_the_same_bytes(desired in projects()) {
        let text = || serde_json::to_string(&plan(&desired, &ActualState::default(), &UP).expect("a plan")).expect("json");
        prop_assert_eq!(text(), text());
    }

    #[test]
    fn applied_then_planned_is_empty_and_down_leaves_only_pools(desired in projects()) {
        let actual = applied(&desired);
        prop_assert!(plan(&desired, &actual, &UP).expect("a plan").is_empty());
        let down = plan(&DesiredState::nothing(&desired.project), &actual, &DOWN).expect("a plan");
        let gone = down.steps().filter(|step| step.action == Action::Delete).count();
        prop_assert_eq!(gone + 2, actual.resources.len());
    }
}
