//! How a vm gets its secrets: on its seed, for as long as it takes.
//!
//! Owns when they are put there, and what must be seen before they are taken off again. Knows no values.

use crate::model::{Healthcheck, Probe, Spec, Vm};
use crate::plan::draft::Draft;
use crate::plan::operation::{Operation, VmSeed};
use crate::plan::{Action, Cause, Effect, Gate};
use crate::state::ActualState;

/// With the secrets that the vm gets when it starts, and that its seed loses when it has them. A vm that runs while they
/// are still on its seed gets a step of its own for that.
pub(super) fn delivered(
    draft: Option<Draft>,
    seed: Option<&VmSeed>,
    spec: &Spec,
    gate: &Gate,
    actual: &ActualState,
) -> Option<Draft> {
    let (Some(seed), Some(vm)) = (seed.filter(|seed| seed.has_secrets()), spec.as_vm()) else { return draft };
    let unscrubbed = actual.filled_seeds.contains(&vm.name);
    let left = || {
        let mut draft = Draft::new(spec.id(), Action::Update, Cause::Unscrubbed, Vec::new());
        draft.effect = Some(Effect::Live);
        draft.gate = gate.clone();
        draft
    };
    let mut draft = draft.or_else(|| unscrubbed.then(left))?;
    if fill(&mut draft.operations, seed) || unscrubbed {
        draft.gate = taken(draft.gate, vm);
        draft.finish = vec![Operation::ScrubSeed(Box::new(seed.clone()))];
    }
    Some(draft)
}

/// Puts the secrets on the seed before the vm starts. Returns whether it does.
fn fill(operations: &mut Vec<Operation>, seed: &VmSeed) -> bool {
    let start = operations.iter().position(|operation| matches!(operation, Operation::StartVm(_)));
    if let Some(at) = start {
        operations.insert(at, Operation::FillSeed(Box::new(seed.clone())));
    }
    start.is_some()
}

/// What says that the guest has its secrets: the end of its cloud-init, where an agent can be asked for that. A vm whose
/// healthcheck asks no agent may have none, and then its healthcheck is what there is: it is the user's word for a guest
/// that does its work.
fn taken(gate: Gate, vm: &Vm) -> Gate {
    let asks = |probe: &Probe| matches!(probe, Probe::Agent | Probe::Exec(_) | Probe::CloudInit);
    match gate {
        Gate::Healthy { vm, address, healthcheck } if healthcheck.probes.iter().any(asks) => {
            Gate::Healthy { vm, address, healthcheck: healthcheck.and_ready() }
        }
        Gate::None => Gate::Healthy {
            vm: vm.name.clone(),
            address: vm.interfaces.first().map(|interface| interface.ip),
            healthcheck: Healthcheck::ready(),
        },
        other @ Gate::Healthy { .. } => other,
    }
}
