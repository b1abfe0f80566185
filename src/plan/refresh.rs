//! Keeping what others changed: it is recorded, and nothing is put back.
//!
//! Owns what of a change can be kept: what a spec can say. What runs counts, and of what is off its definition. The rest
//! stays drift. Knows nothing of the file, which may say otherwise at the next `up`.

use std::collections::BTreeMap;

use crate::model::hardware::Hardware;
use crate::model::{Boot, Disk, Network, Spec, Vm};
use crate::names::ResourceId;
use crate::plan::diff::changes;
use crate::plan::draft::{Draft, number};
use crate::plan::growth::resizes;
use crate::plan::operation::Operation;
use crate::plan::{Action, Cause, Effect, Plan};
use crate::state::seen::{Seen, Shape, comparable};
use crate::state::{Actual, ActualState, DesiredState, Phase, SeenNetwork};

/// Records what there is. `desired` says of which project.
pub(super) fn refresh(desired: &DesiredState, actual: &ActualState) -> Plan {
    let kept = |(id, found): (&ResourceId, &Actual)| {
        if found.phase == Phase::Incomplete {
            return None;
        }
        let (spec, operation) = match &found.recorded {
            Spec::Vm(from) => {
                let to = Box::new(larger(vm(from, found.seen.as_deref()?), actual));
                (Spec::Vm(to.clone()), Operation::RedefineVm { from: from.clone(), to })
            }
            Spec::Network(from) => {
                let to = network(from, actual.networks.get(&from.name)?);
                let operation = Operation::UpdateNetwork { from: Box::new(from.clone()), to: Box::new(to.clone()) };
                (Spec::Network(to), operation)
            }
            Spec::Pool(_) | Spec::Image(_) | Spec::Volume(_) => return None,
        };
        let changes = changes(&found.recorded, &spec);
        let draft = Draft::new(id.clone(), Action::Update, Cause::Kept, vec![operation]);
        let draft = Draft { effect: Some(Effect::Live), ..draft };
        (!changes.is_empty()).then_some((id.clone(), Draft { changes, ..draft }))
    };
    let drafts: BTreeMap<ResourceId, Draft> = actual.resources.iter().filter_map(kept).collect();
    let unchanged = actual.resources.keys().filter(|id| !drafts.contains_key(*id)).cloned().collect();
    number(desired, drafts, unchanged, Vec::new(), Vec::new())
}

/// The vm as it is.
fn vm(recorded: &Vm, seen: &Seen) -> Vm {
    let (shape, wanted) = (seen.running.as_ref().unwrap_or(&seen.defined), Shape::of(recorded));
    let own = &recorded.hardware;
    let mut vm = recorded.clone();
    vm.autostart = seen.autostart;
    // A guest that has not yet given back what it should was not changed by anybody.
    let given = if seen.running.is_some() { shape.memory < wanted.memory } else { shape.memory != wanted.memory };
    if given {
        vm.memory = shape.memory;
    }
    vm.cpus = shape.cpus;
    let limits = if shape.limits == comparable(&own.limits) { &own.limits } else { &shape.limits };
    let fixed = &shape.fixed;
    vm.hardware = Hardware { limits: limits.clone(), xml: own.xml.clone(), ..fixed.hardware.clone() };
    vm.accel = fixed.accel.unwrap_or(vm.accel);
    (vm.shares, vm.ports) = (fixed.shares.clone(), fixed.ports.clone());
    if let (Boot::Kernel { cmdline, .. }, Some(found)) = (&mut vm.boot, fixed.boot.get("cmdline")) {
        found.clone_into(cmdline);
    }
    vm
}

/// The same with its disks as large as somebody made them; that one is smaller is nothing to be kept.
fn larger(mut vm: Vm, actual: &ActualState) -> Vm {
    for resize in resizes(&vm.clone(), actual).into_iter().filter(|resize| resize.has > resize.wants) {
        let own = vm.disks.iter_mut().find_map(|disk| match disk {
            Disk::Own { name, size } if *name == resize.disk => Some(size),
            _ => None,
        });
        match own {
            Some(size) => *size = resize.has,
            None => vm.disk = Some(resize.has),
        }
    }
    vm
}

/// The network as it is. Whom it knows is what its vms say.
fn network(recorded: &Network, seen: &SeenNetwork) -> Network {
    let found = &seen.running.as_ref().unwrap_or(&seen.defined).network;
    Network { hosts: recorded.hosts.clone(), ..found.clone() }
}
