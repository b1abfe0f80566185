//! Ports of the host that are taken: by vms of other projects, and by who listens.
//!
//! Owns the look at them. Knows nothing of who wants one.

use super::host_network;
use crate::model::{Port, Spec};
use crate::state::ActualState;
use crate::state::record::Record;

/// Notes the ports that a vm of another project's has, whether it runs or not: it could not be started any more.
pub(super) fn published(record: Record, state: &mut ActualState) {
    let Record { project, spec: Spec::Vm(vm), .. } = record else { return };
    let holder = format!("vm `{}` of project `{project}`", vm.name);
    state.surroundings.ports.extend(vm.ports.iter().map(|port| (*port, holder.clone())));
}

/// Notes the ports of this machine that somebody listens on, without those of the project's own vms.
pub(super) fn listeners(state: &mut ActualState) {
    let own: Vec<Port> = state.recorded().filter_map(Spec::as_vm).flat_map(|vm| vm.ports.clone()).collect();
    let known: Vec<Port> = state.surroundings.ports.iter().map(|(port, _)| *port).collect();
    let others = host_network::listeners().into_iter();
    let others = others.filter(|port| !own.iter().chain(&known).any(|one| one.clashes(port)));
    state.surroundings.ports.extend(others.map(|port| (port, "a process of the host".to_owned())));
}
