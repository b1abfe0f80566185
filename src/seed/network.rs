//! The network as the guest is to set it up: cloud-init's network-config, version 2.
//!
//! Knows nothing of networks, only of a machine's interfaces.

use serde_json::{Map, Value, json};

use crate::model::Route;
use crate::model::cloud_init::{Address, Nic};

/// Interfaces are found by MAC, so that the order in which a guest finds its cards does not matter, and keep the names
/// that the guest gives them. Of several, only one has the default route: with two, which one answers is chance.
pub(super) fn config(nics: &[Nic]) -> Value {
    let ethernets: Map<String, Value> =
        nics.iter().enumerate().map(|(index, nic)| (format!("nic{index}"), ethernet(nic))).collect();
    json!({ "version": 2, "ethernets": ethernets })
}

fn ethernet(nic: &Nic) -> Value {
    let mut ethernet = json!({
        "match": { "macaddress": nic.mac.to_string() },
        "accept-ra": nic.router_advertisements,
    });
    match &nic.address {
        Address::Dhcp => {
            ethernet["dhcp4"] = true.into();
            // A reservation is for the MAC; a disk that is cloned or made anew has another DUID.
            ethernet["dhcp-identifier"] = "mac".into();
            if !nic.default_route {
                ethernet["dhcp4-overrides"] = json!({ "use-routes": false });
            }
        }
        Address::Static { address, gateway, nameservers } => {
            ethernet["dhcp4"] = false.into();
            ethernet["addresses"] = json!([address]);
            if nic.default_route {
                // Not `gateway4`, which netplan calls deprecated; not `default`, which older ones do not know.
                ethernet["routes"] = json!([{ "to": "0.0.0.0/0", "via": gateway }]);
            }
            if !nameservers.is_empty() {
                ethernet["nameservers"] = json!({ "addresses": nameservers });
            }
        }
    }
    if let Some(address) = &nic.address6 {
        append(&mut ethernet, "addresses", json!(address));
    }
    for Route { to, via } in &nic.routes {
        append(&mut ethernet, "routes", json!({ "to": to, "via": via }));
    }
    if let Some(name) = &nic.name {
        ethernet["set-name"] = name.as_str().into();
    }
    ethernet
}

/// Adds an item to a list, which need not be there.
fn append(ethernet: &mut Value, key: &str, item: Value) {
    match ethernet[key].as_array_mut() {
        Some(items) => items.push(item),
        None => ethernet[key] = json!([item]),
    }
}
