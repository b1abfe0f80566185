//! How a vm gets its secrets: on its seed, for as long as it takes.
//!
//! Owns when they are put there, and what must be seen before they are taken off again. Knows no values.

use crate::model::{Healthcheck, Probe, Vm};
use crate::plan::Gate;
use crate::plan::operation::{Operation, VmSeed};

/// Puts the secrets on the seed before the vm starts. Returns whether it does.
pub(super) fn fill(operations: &mut Vec<Operation>, seed: &VmSeed) -> bool {
    let start = operations.iter().position(|operation| matches!(operation, Operation::StartVm(_)));
    if let Some(at) = start {
        operations.insert(at, Operation::FillSeed(Box::new(seed.clone())));
    }
    start.is_some()
}

/// What says that the guest has its secrets: the end of its cloud-init, where an agent can be asked for that. A vm whose
/// healthcheck asks no agent may have none, and then its healthcheck is what there is: it is the user's word for a guest
/// that does its work.
pub(super) fn gate(gate: Gate, vm: &Vm) -> Gate {
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
        healthy @ Gate::Healthy { .. } => healthy,
    }
}
