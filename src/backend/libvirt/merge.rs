//! The `xml` key: a user's fragment merged into a definition.
//!
//! Owns the rules, which the README tells:
//!
//! 1. The fragment is one or several elements that belong into `<domain>`, or a `<domain>` with them.
//! 2. An element that the definition has once is merged: attributes and text are replaced, what is inside is merged by
//!    the same rules.
//! 3. One that it has not is added, and so are several of one name in the fragment.
//! 4. Inside of `<devices>` an element is merged into the one with the same key (a disk's target, an interface's
//!    address, a controller's type and index, a channel's name), and added where there is none.

use xmltree::{Element, EmitterConfig, XMLNode};

use crate::backend::{ErrorKind, HypervisorError};

/// The one namespace that libvirt itself knows besides its own.
const QEMU: &str = "http://libvirt.org/schemas/domain/qemu/1.0";

/// The definition with the fragment merged into it.
pub(super) fn merge(definition: &str, fragment: &str) -> Result<String, HypervisorError> {
    let rejected =
        |words: String| HypervisorError::new(ErrorKind::Rejected, format!("`xml` cannot be merged: {words}"));
    let mut domain = Element::parse(definition.as_bytes()).map_err(|error| rejected(error.to_string()))?;
    let wrapped = format!("<domain xmlns:qemu=\"{QEMU}\">{fragment}</domain>");
    let wrapped = Element::parse(wrapped.as_bytes()).map_err(|error| rejected(error.to_string()))?;
    let (whole, parts): (Vec<_>, Vec<_>) =
        elements(wrapped).map(undeclared).partition(|element| element.name == "domain");
    if parts.iter().chain(&whole).any(uses_qemu) {
        let namespaces = domain.namespaces.get_or_insert_with(xmltree::Namespace::empty);
        namespaces.put("qemu", QEMU);
    }
    merge_all(&mut domain, parts);
    for other in whole {
        merge_into(&mut domain, other);
    }
    let mut bytes = Vec::new();
    let how = EmitterConfig::new().write_document_declaration(false).perform_indent(true);
    domain.write_with_config(&mut bytes, how).map_err(|error| rejected(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| rejected(error.to_string()))
}

fn uses_qemu(element: &Element) -> bool {
    element.prefix.as_deref() == Some("qemu") || element.children.iter().filter_map(XMLNode::as_element).any(uses_qemu)
}

/// Without the declaration that the wrapping gave it: where it is needed, the whole definition has it.
fn undeclared(mut element: Element) -> Element {
    if let Some(namespaces) = &mut element.namespaces {
        namespaces.0.remove("qemu");
    }
    let undeclare = |node| match node {
        XMLNode::Element(inner) => XMLNode::Element(undeclared(inner)),
        other => other,
    };
    element.children = element.children.into_iter().map(undeclare).collect();
    element
}

fn elements(parent: Element) -> impl Iterator<Item = Element> {
    parent.children.into_iter().filter_map(|node| match node {
        XMLNode::Element(element) => Some(element),
        _ => None,
    })
}

fn merge_into(target: &mut Element, source: Element) {
    target.attributes.extend(source.attributes.clone());
    let text = source.get_text().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    if let Some(text) = text {
        target.children.retain(|node| node.as_element().is_some());
        target.children.push(XMLNode::Text(text));
    }
    merge_all(target, elements(source).collect());
}

fn merge_all(target: &mut Element, sources: Vec<Element>) {
    let devices = target.name == "devices";
    let counts: Vec<usize> =
        sources.iter().map(|one| sources.iter().filter(|other| same_name(one, other)).count()).collect();
    for (source, count) in sources.into_iter().zip(counts) {
        let found = if devices { with_key(target, &source) } else { the_only(target, &source, count) };
        match found.and_then(|index| target.children[index].as_mut_element()) {
            Some(existing) => merge_into(existing, source),
            None => target.children.push(XMLNode::Element(source)),
        }
    }
}

fn same_name(one: &Element, other: &Element) -> bool {
    one.name == other.name && one.prefix == other.prefix
}

/// Where the only element of this name stands; `None` where there is none, or are several here or there.
fn the_only(target: &Element, source: &Element, count: usize) -> Option<usize> {
    let is = |(index, node): (usize, &XMLNode)| node.as_element().filter(|own| same_name(own, source)).map(|_| index);
    let mut found = target.children.iter().enumerate().filter_map(is);
    let first = found.next()?;
    (count == 1 && found.next().is_none()).then_some(first)
}

fn with_key(target: &Element, source: &Element) -> Option<usize> {
    let wanted = key(source).filter(|_| source.name != "controller" || source.attributes.contains_key("index"))?;
    let fits = |node: &XMLNode| {
        node.as_element().is_some_and(|own| same_name(own, source) && key(own).as_ref() == Some(&wanted))
    };
    target.children.iter().position(fits)
}

/// What tells one device from the others of its name; `None` where it is always added.
fn key(device: &Element) -> Option<String> {
    let inner = |child: &str, attribute: &str| device.get_child(child)?.attributes.get(attribute).cloned();
    let own = |attribute: &str| device.attributes.get(attribute).cloned();
    match device.name.as_str() {
        "disk" => inner("target", "dev"),
        "interface" => inner("mac", "address"),
        // libvirt numbers those without an index, and the first is 0 nearly always.
        "controller" => Some(format!("{} {}", own("type")?, own("index").unwrap_or_else(|| "0".to_owned()))),
        "channel" => inner("target", "name"),
        "graphics" => own("type"),
        // A machine has one of these at most.
        "emulator" | "memballoon" | "tpm" | "watchdog" | "vsock" | "iommu" | "video" => Some(String::new()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFINITION: &str = r#"<domain type="qemu"><memory unit="KiB">1</memory><features><acpi/></features><devices>
        <disk type="file"><driver name="qemu" cache="none"/><target dev="vda"/></disk>
        <disk type="file"><target dev="vdb"/></disk><serial type="pty"/></devices></domain>"#;

    fn merged(fragment: &str) -> String {
        let text = merge(DEFINITION, fragment).expect("merged");
        text.lines().map(str::trim).collect()
    }

    #[test]
    fn what_is_there_is_merged_and_what_is_not_is_added() {
        let text = merged("<features><hyperv/></features><memory unit='MiB'>2</memory><on_crash>preserve</on_crash>");
        assert!(text.contains(r#"<memory unit="MiB">2</memory>"#), "{text}");
        assert!(text.contains("<features><acpi /><hyperv /></features>"), "{text}");
        assert!(text.contains("<on_crash>preserve</on_crash>"), "{text}");
    }

    #[test]
    fn devices_are_told_apart_by_their_key() {
        let disk =
            r#"<devices><disk><driver cache="writeback"/><target dev="vda"/></disk><serial type="file"/></devices>"#;
        let text = merged(disk);
        assert!(text.contains(r#"<driver name="qemu" cache="writeback" />"#), "{text}");
        assert_eq!((text.matches("<disk").count(), text.matches("<serial").count()), (2, 2), "{text}");
        assert_eq!(merged(&format!("<domain>{disk}</domain>")), text, "with its domain around it");
    }

    #[test]
    fn arguments_of_the_emulator_keep_their_namespace() {
        let text = merged("<qemu:commandline><qemu:arg value='-foo'/></qemu:commandline>");
        assert!(text.contains(&format!("xmlns:qemu=\"{QEMU}\"")), "{text}");
        assert!(text.contains(r#"<qemu:commandline><qemu:arg value="-foo" /></qemu:commandline>"#), "{text}");
    }

    #[test]
    fn several_of_one_name_are_added() {
        let text = merged("<cputune><vcpupin vcpu='0' cpuset='0'/><vcpupin vcpu='1' cpuset='1'/></cputune>");
        assert_eq!(text.matches("<vcpupin").count(), 2, "{text}");
    }
}
