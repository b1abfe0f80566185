//! What holds for every project: laws, on projects made at random.

use proptest::prelude::*;
use vmcompose::model::{Condition, Spec};
use vmcompose::names::{ResourceId, VmName};
use vmcompose::plan::{Action, Milestone, Options, Step, plan};
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
    fn from_any_project_to_any_other_every_edge_crosses_waves_forwards(
        before in projects(),
        desired in projects(),
        anew in prop::collection::btree_set(0usize..20, 0..4),
        remove_orphans: bool,
    ) {
        let replace = anew.into_iter().map(|n| format!("vm-{n}").parse().expect("legal")).collect();
        let options = Options { remove_orphans, replace, ..UP };
        let actual = applied(&before);
        let plan = plan(&desired, &actual, &options).expect("a plan");
        for wave in &plan.waves {
            let first = wave.steps.first().expect("no empty wave").id;
            prop_assert!(wave.steps.iter().flat_map(|step| step.after.keys()).all(|before| *before < first));
        }
        let ids: Vec<usize> = plan.steps().map(|step| step.id.0).collect();
        prop_assert_eq!(&ids, &(0..ids.len()).collect::<Vec<_>>());
        // Nothing of a vm that is made anew goes before all that is made has passed.
        let formers: Vec<&Step> =
            plan.steps().filter(|step| matches!(step.resource, ResourceId::FormerVm(_))).collect();
        for former in &formers {
            let mut others = plan.steps().filter(|step| !matches!(step.resource, ResourceId::FormerVm(_)));
            prop_assert!(others.all(|other| former.after.get(&other.id) == Some(&Milestone::Passed)));
        }
        prop_assert_eq!(formers.len(), plan.count(Action::Replace));
        let again = vmcompose::plan::plan(&desired, &actual, &options).expect("a plan");
        prop_assert_eq!(serde_json::to_string(&plan).expect("json"), serde_json::to_string(&again).expect("json"));
    }

    #[test]
    fn a_part_of_a_project_touches_nothing_else(desired in projects(), wanted: prop::sample::Index) {
        let vms: Vec<VmName> = desired.specs.keys().filter_map(|id| id.as_vm()).cloned().collect();
        let vm = vms[wanted.index(vms.len())].clone();
        let options = Options { vms: [vm.clone()].into(), ..UP };
        let part = plan(&desired, &ActualState::default(), &options).expect("a plan");
        let mut needed = std::collections::BTreeSet::new();
        let mut queue = vec![ResourceId::Vm(vm)];
        while let Some(id) = queue.pop() {
            queue.extend(desired.graph.requirements(&id).into_iter().map(|(required, _)| required.clone()));
            needed.insert(id);
        }
        prop_assert_eq!(part.steps().map(|step| step.resource.clone()).collect::<std::collections::BTreeSet<_>>(), needed);
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
