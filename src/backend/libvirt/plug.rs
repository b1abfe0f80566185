//! Which interface of a running domain is plugged into which network, and plugging it in again.
//!
//! Owns what libvirt leaves undone: a network that was stopped and started has a new bridge, and whoever ran meanwhile
//! is on none. Asks whose a domain is before it touches one.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::{Document, Node};
use virt::domain::Domain;
use virt::network::Network as Handle;
use virt_sys::VIR_DOMAIN_AFFECT_LIVE;
use xmltree::{Element, EmitterConfig};

use super::error::{failed, is_absent};
use super::host::child;
use super::seen::devices;
use super::{Call, live, names, parameters};
use crate::backend::{ErrorKind, HypervisorError};
use crate::model::Interface;
use crate::names::{ProjectName, VmName};

/// The ports of networks, as far as they are known: by the name that a network has on the hypervisor.
pub(super) struct Plugs<'a> {
    pub(super) project: &'a ProjectName,
    ports: BTreeMap<String, BTreeSet<String>>,
}

impl<'a> Plugs<'a> {
    /// Without any.
    pub(super) fn new(project: &'a ProjectName) -> Self {
        Self { project, ports: BTreeMap::new() }
    }

    /// Takes up a network that is up. An old hypervisor, and the test driver, know no ports: there nobody is cut off.
    pub(super) fn add(&mut self, network: &Handle, name: String) {
        if let Ok(ports) = parameters::ports(network) {
            self.ports.insert(name, ports.into_iter().collect());
        }
    }

    /// The same for definitions: nothing is plugged in by being defined.
    pub(super) fn of_definitions(&self) -> Self {
        Self::new(self.project)
    }

    /// In which way an interface does not reach its network; `None` where it does.
    pub(super) fn astray(&self, device: Node<'_, '_>, wanted: &Interface) -> Option<String> {
        let network = names::network(self.project, &wanted.network);
        let source = child(device, "source");
        let attribute = |name| source.and_then(|source| source.attribute(name));
        if attribute("network") != Some(network.as_str()) {
            return Some(attribute("network").map_or("elsewhere".to_owned(), |other| format!("on network `{other}`")));
        }
        if is_down(device) {
            return Some("link down".to_owned());
        }
        let known = self.ports.get(&network)?;
        let plugged = attribute("portid").is_none_or(|port| known.contains(port));
        (!plugged).then(|| "cut off".to_owned())
    }
}

fn is_down(device: Node<'_, '_>) -> bool {
    child(device, "link").and_then(|link| link.attribute("state")) == Some("down")
}

/// Plugs an interface of a running vm into its network, wherever it was; or pulls its plug, of which the guest notices.
pub(super) fn plug(call: Call<'_>, vm: &VmName, interface: &Interface, on: bool) -> Result<(), HypervisorError> {
    let Some(domain) = live::running(call, vm)? else { return call.nothing() };
    // The test driver has no bridges, and cannot change an interface.
    if call.place.test {
        return call.nothing();
    }
    let cannot = || format!("cannot plug vm `{vm}` into network `{}`", interface.network);
    let text = domain.get_xml_desc(0).map_err(failed(cannot()))?;
    let document = Document::parse(&text)
        .map_err(|error| HypervisorError::new(ErrorKind::Rejected, format!("{}: {error}", cannot())))?;
    let mac = interface.mac.to_string();
    let address = |device: Node<'_, '_>| Some(child(device, "mac")?.attribute("address")?.eq_ignore_ascii_case(&mac));
    let Some(device) = devices(document.root_element()).find(|device| address(*device) == Some(true)) else {
        return call.nothing();
    };
    let update = |network: &str, on: bool| {
        let xml = moved(&text[device.range()], network, on)
            .ok_or_else(|| HypervisorError::new(ErrorKind::Rejected, cannot()))?;
        let updated = domain.update_device_flags(&xml, VIR_DOMAIN_AFFECT_LIVE);
        updated.map(|_| ()).map_err(failed(cannot()))
    };
    let network = names::network(call.project, &interface.network);
    let source = child(device, "source").and_then(|source| source.attribute("network")).unwrap_or(&network);
    if !on {
        return if is_down(device) { call.nothing() } else { update(source, false) };
    }
    let found = Handle::lookup_by_name(call.connect, &network).map_err(failed(cannot()))?;
    let mut plugs = Plugs::new(call.project);
    plugs.add(&found, network.clone());
    match plugs.astray(device, interface) {
        None => call.nothing(),
        Some(_) if source != network => update(&network, true),
        Some(_) => by_way_of(call, &format!("{network}.{mac}"), &domain, &update, &network),
    }
}

/// libvirt moves an interface only from one bridge to another, and believes that it is on the one of this name still. So it
/// goes there and back: to a bridge of its own, which is gone afterwards.
fn by_way_of(
    call: Call<'_>,
    name: &str,
    domain: &Domain,
    update: &dyn Fn(&str, bool) -> Result<(), HypervisorError>,
    home: &str,
) -> Result<(), HypervisorError> {
    let cannot = || format!("cannot plug anything into network `{home}`");
    let xml = format!("<network><name>{name}</name><bridge stp=\"off\" delay=\"0\"/></network>");
    // One of that name was left by somebody who was cut short.
    let way = match Handle::lookup_by_name(call.connect, name) {
        Ok(left) => left,
        Err(error) if is_absent(&error) => Handle::create_xml(call.connect, &xml).map_err(failed(cannot()))?,
        Err(error) => return Err(failed(cannot())(error)),
    };
    let there_and_back = update(name, true).and_then(|()| update(home, true));
    let gone = way.destroy().map_err(failed(cannot()));
    match there_and_back {
        // Nobody is to be left on something that is gone.
        Err(_) if domain.is_active() == Ok(false) => Ok(()),
        Err(error) => Err(error),
        Ok(()) => gone,
    }
}

/// The same interface on a network of this name.
fn moved(device: &str, network: &str, on: bool) -> Option<String> {
    let mut element = Element::parse(device.as_bytes()).ok()?;
    let mut source = Element::new("source");
    source.attributes.insert("network".to_owned(), network.to_owned());
    let mut link = Element::new("link");
    link.attributes.insert("state".to_owned(), if on { "up" } else { "down" }.to_owned());
    for (name, new) in [("source", source), ("link", link)] {
        element.take_child(name);
        element.children.push(xmltree::XMLNode::Element(new));
    }
    let mut bytes = Vec::new();
    element.write_with_config(&mut bytes, EmitterConfig::new().write_document_declaration(false)).ok()?;
    String::from_utf8(bytes).ok()
}
