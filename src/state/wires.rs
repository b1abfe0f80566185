//! What takes the place of networks where the hypervisor is an ordinary user's own: that has no right to make bridges, so
//! vms are joined by wires, and each has an uplink of its own.
//!
//! Owns which vm is on which wire, what it has to be told because nobody on a wire can be asked, and where there is no room
//! for that. What a wire is made of is the backend's business.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::offer::Lack;
use super::{ActualState, DesiredState};
use crate::model::hardware::Uplink;
use crate::model::{Boot, Interface, Network, NetworkMode, Spec, Vm};
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

/// As many wires as a vm can be on: so many places for cards the backend has.
pub(crate) const MOST: usize = 12;
/// A longer command line is cut off by the kernel.
const LONGEST: usize = 2047;

/// The cards of a vm that are on wires.
pub(crate) fn of(vm: &Vm) -> impl Iterator<Item = &Interface> {
    vm.interfaces.iter().filter(|nic| nic.wire.is_some())
}

/// The kernel's command line with what the guest has to know of its wires, where it has no seed that tells it: addresses as
/// the kernel's `nfsroot.txt` has them, and names.
pub(crate) fn told(vm: &Vm, cmdline: String) -> String {
    let told = with_names(vm, cmdline.clone());
    // Only of a vm that was made before this was looked at: the address is needed to be reached at all.
    if told.len() > LONGEST { with_addresses(vm, cmdline) } else { told }
}

fn with_names(vm: &Vm, cmdline: String) -> String {
    if vm.cloud_init.is_some() {
        return cmdline;
    }
    let hosts = vm.hardware.uplink.iter().flat_map(|uplink| &uplink.hosts).filter(|(ip, _)| ip.is_ipv4());
    let pairs: Vec<String> =
        hosts.flat_map(|(ip, names)| names.iter().map(move |name| format!("{name}/{ip}"))).collect();
    let names = if pairs.is_empty() { String::new() } else { format!(" vmcompose.hosts={}", pairs.join(",")) };
    with_addresses(vm, cmdline) + &names
}

fn with_addresses(vm: &Vm, cmdline: String) -> String {
    if vm.cloud_init.is_some() {
        return cmdline;
    }
    let address = |(n, nic): (usize, &Interface)| {
        let mask = nic.wire.map(|subnet| subnet.netmask())?;
        Some(format!(" ip={}:::{mask}::eth{n}:off", nic.ip))
    };
    std::iter::once(cmdline).chain(of(vm).enumerate().filter_map(address)).collect()
}

/// What a vm asks of its wires in vain.
pub(crate) fn lacks(vm: &Vm) -> Vec<Lack> {
    let mut lacks = Vec::new();
    let wires = of(vm).count();
    if wires > MOST {
        let instead = format!("there a network is a wire to each of its vms, and a vm has room for {MOST} of them");
        lacks.push((format!("{wires} networks"), Some(instead)));
    }
    if let (Boot::Kernel { cmdline, .. }, true) = (&vm.boot, wires > 0) {
        let length = with_names(vm, cmdline.clone()).len();
        if length > LONGEST {
            let what = format!("a kernel's command line of {length} bytes, with the names of all on its networks");
            let instead = format!(
                "a kernel takes {LONGEST}; a guest with cloud-init learns the names from its seed instead, which \
                 `cloud_init: {{}}` gives it"
            );
            lacks.push((what, Some(instead)));
        }
    }
    lacks
}
