//! Domains as anybody has them: those that vmcompose did not make.
//!
//! Owns the look at what somebody else made, in words for people where no spec has words. Changes nothing.

use roxmltree::{Document, Node};
use virt::connect::Connect;
use virt::domain::Domain;
use virt_sys::VIR_DOMAIN_XML_INACTIVE;

use super::error::{failed, present};
use super::host::child;
use super::seen::{devices, file, number, size};
use super::{record, vms};
use crate::backend::{HypervisorError, Stranger};
use crate::model::Vm;
use crate::units::Bytes;

/// How much a domain has of what a spec counts.
pub(super) struct Measure {
    pub(super) memory_kib: u64,
    pub(super) max_memory_kib: u64,
    pub(super) cpus: u64,
    pub(super) max_cpus: u64,
}

impl Measure {
    /// As a domain's XML says it.
    pub(super) fn of(root: Node<'_, '_>) -> Self {
        let max_memory = child(root, "memory").and_then(size).unwrap_or(Bytes(0));
        let vcpu = child(root, "vcpu");
        let max_cpus = vcpu.and_then(number).unwrap_or(1);
        Self {
            memory_kib: child(root, "currentMemory").and_then(size).unwrap_or(max_memory).kib_ceil(),
            max_memory_kib: max_memory.kib_ceil(),
            cpus: vcpu.and_then(|vcpu| vcpu.attribute("current")?.parse().ok()).unwrap_or(max_cpus),
            max_cpus,
        }
    }

    /// As a vm shall have it.
    pub(super) fn wanted(vm: &Vm) -> Self {
        Self {
            memory_kib: vm.memory.kib_ceil(),
            max_memory_kib: vm.hardware.max_memory.unwrap_or(vm.memory).kib_ceil(),
            cpus: vm.cpus.into(),
            max_cpus: vm.hardware.max_cpus.unwrap_or(vm.cpus).into(),
        }
    }
}

/// All domains that vmcompose did not make, by name. One that disappears meanwhile was not there.
pub(super) fn strangers(connect: &Connect) -> Result<Vec<Stranger>, HypervisorError> {
    let mut found = Vec::new();
    for domain in connect.list_all_domains(0).map_err(failed("cannot list the vms"))? {
        found.extend(stranger(&domain)?);
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn stranger(domain: &Domain) -> Result<Option<Stranger>, HypervisorError> {
    let name = domain.get_name().map_err(failed("cannot ask a vm for its name"))?;
    let what = || format!("cannot look at machine `{name}`");
    let Some(xml) = present(domain.get_xml_desc(VIR_DOMAIN_XML_INACTIVE), what())? else { return Ok(None) };
    let Ok(document) = Document::parse(&xml) else { return Ok(None) };
    let root = document.root_element();
    let Measure { memory_kib, max_memory_kib, cpus, max_cpus } = Measure::of(root);
    let state = present(domain.get_state(), what())?;
    let running = state.is_some_and(|(state, _)| !vms::is_off(state));
    let record = record::anybodys(domain);
    let copied = record.as_ref().and_then(|record| Some((record, record::copied_from(record, &name)?)));
    let copy_of = copied.map(|(record, machine)| (record.project.to_string(), machine.to_owned()));
    Ok(Some(Stranger {
        project: record::project_of_domain(domain).filter(|_| copy_of.is_none()),
        copy_of,
        running,
        persistent: domain.is_persistent().unwrap_or(true),
        // One without a definition has nothing to be started with.
        autostart: domain.get_autostart().unwrap_or(false),
        memory: Bytes(memory_kib << 10),
        max_memory: Bytes(max_memory_kib << 10),
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        max_cpus: u32::try_from(max_cpus).unwrap_or(u32::MAX),
        has: devices(root).filter_map(words).chain(boots(root)).collect(),
        name,
    }))
}

/// What it boots where that is no disk.
fn boots(root: Node<'_, '_>) -> Option<String> {
    let kernel = child(child(root, "os")?, "kernel")?.text()?;
    Some(format!("kernel {}", kernel.trim()))
}

/// A disk, an interface or a folder, in words.
fn words(device: Node<'_, '_>) -> Option<String> {
    let target = |name| child(device, "target").and_then(|target| target.attribute(name)).unwrap_or("?").to_owned();
    let source = child(device, "source");
    let of = |name| source.and_then(|source| source.attribute(name));
    match device.tag_name().name() {
        "disk" => {
            let kind = device.attribute("device").unwrap_or("disk");
            let volume = || Some(format!("{} of pool {}", of("volume")?, of("pool")?));
            let place =
                file(device).map(ToOwned::to_owned).or_else(volume).or_else(|| of("name").map(ToOwned::to_owned));
            Some(format!("{kind} {}: {}", target("dev"), place.unwrap_or_else(|| "empty".to_owned())))
        }
        "interface" => {
            let mac = child(device, "mac").and_then(|mac| mac.attribute("address")).unwrap_or("?");
            let to = ["network", "bridge", "dev"].into_iter().find_map(|kind| Some(format!("{kind} {}", of(kind)?)));
            Some(format!(
                "interface {mac}: {}",
                to.unwrap_or_else(|| device.attribute("type").unwrap_or("?").to_owned())
            ))
        }
        "filesystem" => Some(format!("folder {}: {}", of("dir").unwrap_or("?"), target("dir"))),
        "hostdev" => Some(format!("device of the host: {}", device.attribute("type").unwrap_or("?"))),
        _ => None,
    }
}
