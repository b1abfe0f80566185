//! Plans that do nothing but wait: for vms that are there, until they have come as far as somebody asks.
//!
//! Owns what that is for each of them. Patience is the gate's.

use std::collections::BTreeSet;

use crate::model::{Healthcheck, Vm};
use crate::names::{ProjectName, ResourceId, VmName};
use crate::plan::machines::resting;
use crate::plan::planner::gate;
use crate::plan::{Action, Cause, Gate, Plan, Step, StepId, Wave};
use crate::state::{ActualState, DesiredState};
use crate::units::Span;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Its healthcheck passes.
    Healthy,
    /// It did its work and powered itself off.
    Completed,
}

/// Waits for these vms; all where there is none. `within` is instead of each healthcheck's own patience. Of vms without a
/// healthcheck that are waited for until it passes, the first is returned instead.
pub fn awaiting(
    project: &ProjectName,
    actual: &ActualState,
    vms: &BTreeSet<VmName>,
    until: Until,
    within: Option<Span>,
) -> Result<Plan, VmName> {
    let chosen = |vm: &&Vm| if vms.is_empty() { wanted(vm, until) } else { vms.contains(&vm.name) };
    let found = actual.recorded().filter_map(|spec| spec.as_vm()).filter(chosen);
    let mut gates = Vec::new();
    for vm in found {
        let healthcheck = match until {
            Until::Healthy => patient(vm.healthcheck.clone().ok_or_else(|| vm.name.clone())?, within),
            Until::Completed => Healthcheck::completed(within),
        };
        let address = vm.interfaces.first().map(|interface| interface.ip);
        gates.push((vm.name.clone(), Gate::Healthy { vm: vm.name.clone(), address, healthcheck }));
    }
    Ok(only(project, gates))
}

/// Waits for what the run of `plan` left as it was: a run that was cut short may have left it before it was healthy, and
/// nobody has looked at it since. Empty where there is no such vm, or none that has a gate.
pub fn standing(desired: &DesiredState, actual: &ActualState, plan: &Plan) -> Plan {
    let verified = |id: &ResourceId| plan.steps().any(|step| step.resource == *id);
    let idle = plan.unchanged.iter().filter(|id| !verified(id) && desired.specs.contains_key(*id));
    let up = idle.filter(|id| !resting(desired, actual, id));
    let gates = up.filter_map(|id| Some((id.as_vm()?.clone(), gate(desired, id))));
    only(&desired.project, gates.filter(|(_, gate)| *gate != Gate::None).collect())
}

/// A plan of one wave that does nothing else.
fn only(project: &ProjectName, gates: Vec<(VmName, Gate)>) -> Plan {
    let step = |(number, (vm, gate)): (usize, (VmName, Gate))| Step {
        id: StepId(number),
        resource: ResourceId::Vm(vm),
        action: Action::Verify,
        cause: Cause::Asked,
        origin: None,
        changes: Vec::new(),
        effect: None,
        operations: Vec::new(),
        after: std::collections::BTreeMap::new(),
        gate,
        finish: Vec::new(),
    };
    let steps: Vec<Step> = gates.into_iter().enumerate().map(step).collect();
    let waves = if steps.is_empty() { Vec::new() } else { vec![Wave { steps }] };
    Plan {
        project: project.clone(),
        waves,
        unchanged: Vec::new(),
        orphans: Vec::new(),
        adopted: Vec::new(),
        kept: Vec::new(),
    }
}

/// Whether a vm that nobody names is meant.
fn wanted(vm: &Vm, until: Until) -> bool {
    until == Until::Completed || vm.healthcheck.is_some()
}

/// Failures count for nothing before the time is over.
fn patient(healthcheck: Healthcheck, within: Option<Span>) -> Healthcheck {
    match within {
        Some(within) => Healthcheck { deadline: Some(within), retries: u32::MAX, ..healthcheck },
        None => healthcheck,
    }
}
