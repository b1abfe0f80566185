//! What is done to a network that is there and not as it should be, and to those on it: with the least effect that does it.
//!
//! Owns the way from differences to operations, for what the file changed and for what somebody else did, and who has to
//! be plugged in again after it. Knows nothing of what the changed network means to a guest.

use crate::model::{Interface, Network, NetworkMode, Spec};
use crate::names::{NetworkName, VmName};
use crate::plan::change::Change;
use crate::plan::diff::{FieldChange, changes};
use crate::plan::effects::{Class, network_class};
use crate::plan::operation::Operation;
use crate::plan::{Action, Cause, Effect};
use crate::state::network::Found;
use crate::state::{Actual, ActualState, Phase, SeenNetwork};

/// What has to be done to a network that is there; `None` where it is as it should be. `on_it` are plugged in.
pub(super) fn change(
    from: &Network,
    to: &Network,
    actual: &Actual,
    seen: Option<&SeenNetwork>,
    on_it: &[(VmName, Interface)],
) -> Option<Change> {
    let wanted = changes(&Spec::Network(from.clone()), &Spec::Network(to.clone()));
    let drift = seen.map(|seen| drift(seen, from)).unwrap_or_default();
    let fresh = |change: &FieldChange| !wanted.iter().any(|own| own.field == change.field);
    let drift: Vec<FieldChange> = drift.into_iter().filter(fresh).collect();
    let off = actual.phase != Phase::Running;
    if wanted.is_empty() && drift.is_empty() && !off {
        return None;
    }
    let cause = match (wanted.is_empty(), drift.is_empty()) {
        (false, _) => Cause::Changed,
        (true, false) => Cause::Drifted,
        (true, true) => Cause::NotRunning { phase: actual.phase.as_str().to_owned() },
    };
    let update = Operation::UpdateNetwork { from: Box::new(from.clone()), to: Box::new(to.clone()) };
    let update = (!wanted.is_empty() || !drift.is_empty()).then_some(update);
    let (stop, start) = (Operation::StopNetwork(to.name.clone()), Operation::StartNetwork(to.name.clone()));
    let updates = update.is_some();
    let (action, effect, operations) = if off {
        let action = if updates { Action::Update } else { Action::Start };
        let again = plugged(to, on_it);
        (action, updates.then_some(Effect::Live), update.into_iter().chain([start]).chain(again).collect())
    } else if interrupts(from, to, &wanted, seen) {
        let unplug = |(vm, nic): &(VmName, Interface)| plug(vm, nic, false);
        let before = on_it.iter().filter(|_| !is_direct(from)).map(unplug).chain([stop]);
        let operations = before.chain(update).chain([start]).chain(plugged(to, on_it)).collect();
        (Action::Restart, Some(Effect::Interruption), operations)
    } else {
        (Action::Update, Some(Effect::Live), update.into_iter().collect())
    };
    Some(Change { action, cause, changes: wanted.into_iter().chain(drift).collect(), effect, operations })
}

fn is_direct(network: &Network) -> bool {
    network.mode == NetworkMode::Direct
}

/// Whether those on a network that changes so can be plugged in again only by a start of their own: an interface that is
/// shared with the host cannot be moved.
pub(super) fn needs_reboots(from: &Network, to: &Network) -> bool {
    is_direct(from) || is_direct(to)
}

/// Whether the network has to be started anew: for the file, or because what runs is not as it was recorded.
fn interrupts(from: &Network, to: &Network, wanted: &[FieldChange], seen: Option<&SeenNetwork>) -> bool {
    let costs = |change: &FieldChange, from: &_, to: &_| network_class(&change.field, from, to) >= Class::Interruption;
    let running = seen.and_then(|seen| seen.running.as_ref());
    let drifted = |found: &Found| differing(found, from).iter().any(|change| costs(change, &found.network, from));
    wanted.iter().any(|change| costs(change, from, to)) || running.is_some_and(drifted)
}

/// What somebody else changed since `recorded` was applied.
fn drift(seen: &SeenNetwork, recorded: &Network) -> Vec<FieldChange> {
    let mut found: Vec<FieldChange> = Vec::new();
    let mut note = |change: FieldChange| {
        if !found.iter().any(|known| known.field == change.field) {
            found.push(change);
        }
    };
    let switch = |field: &str, on: bool| (!on).then(|| drifted(field, Some("no"), Some("yes")));
    switch("defined", seen.persistent).into_iter().for_each(&mut note);
    switch("autostart", seen.autostart).into_iter().for_each(&mut note);
    for shape in seen.running.iter().chain([&seen.defined]) {
        differing(shape, recorded).into_iter().for_each(&mut note);
    }
    found
}

fn drifted(field: &str, old: Option<&str>, new: Option<&str>) -> FieldChange {
    let text = |text: Option<&str>| text.map(ToOwned::to_owned);
    FieldChange { field: field.to_owned(), old: text(old), new: text(new), drift: true }
}

/// From what there is to what was recorded.
fn differing(found: &Found, recorded: &Network) -> Vec<FieldChange> {
    let said = changes(&Spec::Network(found.network.clone()), &Spec::Network(recorded.clone()));
    let said = said.into_iter().map(|change| FieldChange { drift: true, ..change });
    let odd = found.odd.iter().map(|(field, old, new)| drifted(field, old.as_deref(), new.as_deref()));
    said.chain(odd).collect()
}

/// The vms that run and have an interface on a network, in their order.
pub(super) fn on(network: &NetworkName, actual: &ActualState) -> Vec<(VmName, Interface)> {
    let vms = actual.resources.values().filter(|found| matches!(found.phase, Phase::Running | Phase::Paused));
    let vms = vms.filter_map(|found| Some((found.recorded.as_vm()?, found.seen.as_ref())));
    let attached = vms.flat_map(|(vm, seen)| {
        let shape = seen.and_then(|seen| seen.running.as_ref());
        let has = move |nic: &&Interface| shape.is_none_or(|shape| shape.interfaces.contains(&nic.mac));
        vm.interfaces.iter().filter(has).map(|nic| (vm.name.clone(), nic.clone()))
    });
    attached.filter(|(_, nic)| nic.network == *network).collect()
}

/// Plugs in whoever ran on while the network was down.
pub(super) fn plugged(network: &Network, on_it: &[(VmName, Interface)]) -> Vec<Operation> {
    // An interface that is shared with the host never was off it.
    if is_direct(network) {
        return Vec::new();
    }
    on_it.iter().map(|(vm, nic)| plug(vm, nic, true)).collect()
}

fn plug(vm: &VmName, interface: &Interface, on: bool) -> Operation {
    Operation::Plug { vm: vm.clone(), interface: interface.clone(), on }
}
