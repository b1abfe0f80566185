//! What takes the place of networks where the hypervisor is an ordinary user's own: that has no right to make bridges, so
//! vms are joined by wires, and each has an uplink of its own.
//!
//! Owns which vm is on which wire, and what it has to be told because nobody on a wire can be asked. What a wire is made of
//! is the backend's business.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{ActualState, DesiredState};
use crate::model::hardware::Uplink;
use crate::model::{Boot, Network, NetworkMode, Spec, Vm};
use crate::names::NetworkName;

impl DesiredState {
    /// Joins the vms by wires, where the hypervisor asks for that.
    pub fn join_by_wires(&mut self, actual: &ActualState) {
        if !actual.surroundings.rootless {
            return;
        }
        let mut networks = BTreeMap::new();
        for spec in self.specs.values_mut() {
            if let Spec::Network(network) = spec
                && !network.is_foreign()
            {
                network.settings.wire = true;
                networks.insert(network.name.clone(), network.clone());
            }
        }
        for (id, spec) in &mut self.specs {
            let Spec::Vm(vm) = spec else { continue };
            join(vm, &networks);
            if let Some(recorded) = actual.resources.get(id).and_then(|found| found.recorded.as_vm()) {
                keep_names(vm, recorded);
            }
        }
    }
}

fn join(vm: &mut Vm, networks: &BTreeMap<NetworkName, Network>) {
    let mut uplink = None;
    for nic in &mut vm.interfaces {
        let Some(network) = networks.get(&nic.network) else { continue };
        nic.wire = Some(network.subnet);
        let Uplink { outside, hosts } = uplink.get_or_insert_default();
        *outside |= network.mode != NetworkMode::Isolated;
        add(hosts, network);
    }
    let told = vm.cloud_init.is_some() || vm.ignition.is_some();
    if uplink.is_some() && !told && matches!(vm.boot, Boot::Image(_)) {
        // No DHCP server is on a wire: without a seed the guest would never learn its address.
        vm.cloud_init = Some(Box::default());
    }
    vm.hardware.uplink = uplink;
}

fn add(hosts: &mut BTreeMap<IpAddr, Vec<String>>, network: &Network) {
    for (ip, names) in network.names() {
        hosts.entry(ip).or_default().extend(names.into_iter().map(ToOwned::to_owned));
    }
}

/// A vm that is there is never changed for the sake of a neighbour's name: it learns that one when it changes anyway.
fn keep_names(vm: &mut Vm, recorded: &Vm) {
    let (Some(uplink), Some(known)) = (&mut vm.hardware.uplink, &recorded.hardware.uplink) else { return };
    let wanted = std::mem::replace(&mut uplink.hosts, known.hosts.clone());
    if vm != recorded
        && let Some(uplink) = &mut vm.hardware.uplink
    {
        uplink.hosts = wanted;
    }
}
