//! What domains can have here, from libvirt's own list of capabilities.
//!
//! Owns the reading of it. libvirt finds it out once and remembers it, so asking is cheap.

use std::collections::BTreeSet;

use roxmltree::{Document, Node};
use virt::connect::Connect;

use super::error::failed;
use super::host::{self, Place, child};
use crate::backend::HypervisorError;
use crate::state::Offer;

/// Asks. `None` where the answer would be made up, or is not to be read.
pub(super) fn offer(
    connect: &Connect,
    place: &Place,
    host: &host::Offer,
) -> Result<Option<Box<Offer>>, HypervisorError> {
    let driver = if host.kvm { "kvm" } else { "qemu" };
    let (arch, machine) = (host.arch.as_deref(), host.machine.as_deref());
    let xml = connect
        .get_domain_capabilities(None, arch, machine, Some(driver), 0)
        .map_err(failed("cannot ask the hypervisor what it can do"))?;
    Ok(parse(&xml).map(|offer| {
        Box::new(Offer {
            machines: host.machines.clone(),
            hugepages: host.hugepages.clone(),
            kvm: host.kvm,
            limits: !place.session,
            ..offer
        })
    }))
}

fn parse(xml: &str) -> Option<Offer> {
    let document = Document::parse(xml).ok()?;
    let root = document.root_element();
    let values = |node: Option<Node<'_, '_>>, list: &str| -> BTreeSet<String> {
        let lists = node.into_iter().flat_map(|node| node.descendants());
        let list = lists.filter(|node| node.has_tag_name("enum") && node.attribute("name") == Some(list));
        list.flat_map(|list| list.children())
            .filter_map(|value| value.text())
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(ToOwned::to_owned)
            .collect()
    };
    let supported = |node: &Node<'_, '_>| node.attribute("supported") == Some("yes");
    let (os, cpu, devices) = (child(root, "os"), child(root, "cpu"), child(root, "devices"));
    let modes = || cpu.into_iter().flat_map(|cpu| cpu.children()).filter(|node| node.has_tag_name("mode"));
    let usable = |model: &Node<'_, '_>| model.attribute("usable") != Some("no");
    let custom = modes().filter(|mode| mode.attribute("name") == Some("custom"));
    let known = custom.flat_map(|mode| mode.children()).filter(|node| node.has_tag_name("model")).filter(usable);
    let device = |name: &str| devices.and_then(|devices| child(devices, name)).filter(supported);
    let tpm = device("tpm");
    Some(Offer {
        max_cpus: child(root, "vcpu").and_then(|vcpu| vcpu.attribute("max")?.parse().ok()),
        cpu_modes: modes().filter(supported).filter_map(|mode| mode.attribute("name")).map(ToOwned::to_owned).collect(),
        cpu_models: known.filter_map(|model| model.text()).map(ToOwned::to_owned).collect(),
        uefi: values(os, "firmware").contains("efi"),
        secure_boot: values(os, "secure").contains("yes"),
        tpm: values(tpm, "backendModel").contains("emulator"),
        graphics: values(device("graphics"), "type"),
        devices: values(device("hostdev"), "subsysType"),
        ..Offer::default()
    })
}
