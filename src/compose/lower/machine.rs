//! A vm's machine: processors, memory pages, limits, screen, devices.
//!
//! Owns what these keys must agree on with one another. Whether a hypervisor offers it is asked much later.

use std::collections::BTreeMap;

use roxmltree::Document;

use super::{Instance, subject};
use crate::compose::decode::At;
use crate::compose::diagnostic::Diagnostic;
use crate::compose::schema::machine as file;
use crate::compose::schema::vm::Vm;
use crate::model::Hardware;
use crate::model::hardware::{
    Cpu, CpuMode, DiskLimits, Firmware, Graphics, HostDevice, Limits, Pinning, Restart, Topology,
};
use crate::units::Bytes;

/// Where a screen is shown unless the file says otherwise: nobody else's network.
const LISTEN: &str = "127.0.0.1";
/// The kernel takes no weight outside of these.
const SHARES: std::ops::RangeInclusive<u32> = 2..=262_144;
/// What of a definition is vmcompose's own: how it finds a vm again.
const RESERVED: [&str; 3] = ["name", "uuid", "metadata"];

/// The machine of a vm with so many processors and so much memory.
pub(super) fn lower(instance: &Instance<Vm>, cpus: u32, memory: Bytes, mistakes: &mut Vec<Diagnostic>) -> Hardware {
    let spec = &instance.spec;
    let max_cpus = spec.max_cpus.as_ref().map(|most| {
        if most.value < cpus {
            let less = Diagnostic::error(format!("`max_cpus` must be at least `cpus`, which is {cpus}"));
            mistakes.push(less.at(most.place, "too few"));
        }
        most.value
    });
    let max_memory = spec.max_memory.as_ref().map(|most| {
        if most.value < memory {
            let less = Diagnostic::error(format!("`max_memory` must be at least `memory`, which is `{memory}`"));
            mistakes.push(less.at(most.place, "too little"));
        }
        most.value
    });
    if let Some(secure) = spec.secure_boot.as_ref().filter(|secure| secure.value)
        && spec.firmware != Some(Firmware::Uefi)
    {
        let needs = Diagnostic::error(format!("`secure_boot` of {} needs UEFI", subject(instance)));
        mistakes.push(needs.at(secure.place, "a BIOS checks no signatures").hint("write `firmware: uefi`"));
    }
    Hardware {
        cpu: spec.cpu.as_ref().map(|cpu| processors(cpu, max_cpus.unwrap_or(cpus).max(cpus), mistakes)),
        max_cpus,
        max_memory,
        hugepages: spec.hugepages.and_then(|pages| pages.0),
        machine: spec.machine.as_ref().map(|machine| word("machine type", machine, mistakes)),
        firmware: spec.firmware,
        secure_boot: spec.secure_boot.as_ref().is_some_and(|secure| secure.value),
        tpm: spec.tpm.unwrap_or(false),
        graphics: spec.graphics.as_ref().map(graphics),
        watchdog: spec.watchdog,
        devices: spec.devices.iter().filter_map(|device| host_device(device, mistakes)).collect(),
        restart: spec.restart.unwrap_or(Restart::No),
        limits: spec.limits.as_ref().map(|given| limits(given, mistakes)).unwrap_or_default(),
        uplink: None,
        xml: spec.xml.as_ref().map(|fragment| checked_xml(fragment, mistakes)),
    }
}

/// One word of letters, digits, `-`, `_` and `.`.
fn word(kind: &str, text: &At<String>, mistakes: &mut Vec<Diagnostic>) -> String {
    let legal = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.is_empty() || !text.chars().all(legal) {
        let not = Diagnostic::error(format!("`{}` is not the name of a {kind}", text.value));
        mistakes.push(not.at(text.place, "letters, digits, `-`, `_` and `.`"));
    }
    text.value.clone()
}

fn processors(cpu: &file::Cpu, count: u32, mistakes: &mut Vec<Diagnostic>) -> Cpu {
    Cpu {
        mode: cpu.mode.as_ref().map(|mode| CpuMode::from(word("CPU mode or model", mode, mistakes).as_str())),
        topology: cpu.topology.as_ref().map(|given| topology(given, count, mistakes)),
        pinning: cpu.pinning.as_ref().map(|given| pinning(&given.value, count, mistakes)).unwrap_or_default(),
    }
}

fn topology(given: &At<file::Topology>, count: u32, mistakes: &mut Vec<Diagnostic>) -> Topology {
    let [sockets, cores, threads] = [given.sockets, given.cores, given.threads].map(|n| n.unwrap_or(1));
    let product = u64::from(sockets) * u64::from(cores) * u64::from(threads);
    if product != u64::from(count) {
        let message =
            format!("{sockets} sockets × {cores} cores × {threads} threads are {product} CPUs, but the vm has {count}");
        let hint = "make their product the same as `cpus`, or as `max_cpus` where that is given";
        mistakes.push(Diagnostic::error(message).at(given.place, "does not add up").hint(hint));
    }
    Topology { sockets, cores, threads }
}

fn pinning(given: &file::Pinning, count: u32, mistakes: &mut Vec<Diagnostic>) -> Pinning {
    let all = given.all.as_ref().map(|set| host_cpus(set, mistakes));
    let mut each = BTreeMap::new();
    for (key, set) in &given.each {
        match key.parse::<u32>() {
            Ok(n) if n < count => drop(each.insert(n.to_string(), host_cpus(set, mistakes))),
            _ => {
                let none = Diagnostic::error(format!("the vm has no CPU `{}`", key.value));
                mistakes.push(none.at(key.place, format!("its CPUs are 0 to {}", count.saturating_sub(1))));
            }
        }
    }
    Pinning { all, each }
}

/// `0-3,^2,5`.
fn host_cpus(set: &At<String>, mistakes: &mut Vec<Diagnostic>) -> String {
    let text: String = set.chars().filter(|c| !c.is_whitespace()).collect();
    let number = |text: &str| text.parse::<u32>().ok();
    let legal = |part: &str| match part.split_once('-') {
        Some((first, last)) => matches!((number(first), number(last)), (Some(first), Some(last)) if first <= last),
        None => number(part.strip_prefix('^').unwrap_or(part)).is_some(),
    };
    if text.starts_with('^') || !text.split(',').all(legal) {
        let not = Diagnostic::error(format!("`{}` is not a set of host CPUs", set.value));
        mistakes.push(not.at(set.place, "numbers, ranges and exceptions").hint("write it like `0-3,^2,6`"));
    }
    text
}

fn graphics(given: &file::Graphics) -> Graphics {
    let file::LongGraphics { protocol, listen, port } = &given.0;
    Graphics { protocol: *protocol, listen: listen.clone().unwrap_or_else(|| LISTEN.to_owned()), port: *port }
}

fn host_device(given: &At<file::HostDevice>, mistakes: &mut Vec<Diagnostic>) -> Option<HostDevice> {
    let (text, device, example) = match (&given.pci, &given.usb) {
        (Some(pci), None) => (pci, self::pci(pci), "pci: \"0000:03:00.0\""),
        (None, Some(usb)) => (usb, self::usb(usb), "usb: \"046d:c52b\""),
        _ => {
            let one = Diagnostic::error("a device is given by exactly one of `pci` and `usb`");
            mistakes.push(one.at(given.place, "which device?"));
            return None;
        }
    };
    if device.is_none() {
        let not = Diagnostic::error(format!("`{}` is not the address of a device", text.value));
        mistakes.push(not.at(text.place, "cannot be read").hint(format!("write it like `{example}`")));
    }
    device
}

/// `0000:03:00.0`; the domain may be left out.
fn pci(text: &str) -> Option<HostDevice> {
    let (rest, function) = text.rsplit_once('.')?;
    let parts: Vec<&str> = rest.split(':').collect();
    let (domain, bus, slot) = match parts[..] {
        [domain, bus, slot] => (u16::from_str_radix(domain, 16).ok()?, bus, slot),
        [bus, slot] => (0, bus, slot),
        _ => return None,
    };
    let byte = |text: &str| u8::from_str_radix(text, 16).ok();
    let device = HostDevice::Pci { domain, bus: byte(bus)?, slot: byte(slot)?, function: byte(function)? };
    let HostDevice::Pci { slot, function, .. } = device else { return None };
    (slot < 32 && function < 8).then_some(device)
}

/// `046d:c52b`.
fn usb(text: &str) -> Option<HostDevice> {
    let (vendor, product) = text.split_once(':')?;
    let number = |text: &str| (text.len() == 4).then(|| u16::from_str_radix(text, 16).ok()).flatten();
    Some(HostDevice::Usb { vendor: number(vendor)?, product: number(product)? })
}

fn limits(given: &file::Limits, mistakes: &mut Vec<Diagnostic>) -> Limits {
    if let Some(shares) = given.cpu.shares.as_ref().filter(|shares| !SHARES.contains(&shares.value)) {
        let (least, most) = (SHARES.start(), SHARES.end());
        let range = Diagnostic::error(format!("`shares` must be from {least} to {most}, not {}", shares.value));
        mistakes.push(range.at(shares.place, "out of range").hint("the usual weight is 1024"));
    }
    if let Some(quota) = given.cpu.quota.as_ref().filter(|quota| !(0.01..=4096.0).contains(&quota.value)) {
        let range = Diagnostic::error(format!("`quota` must be from 0.01 to 4096 processors, not {}", quota.value));
        mistakes.push(range.at(quota.place, "out of range").hint("write `0.5` for half a processor"));
    }
    for rate in [&given.network.download, &given.network.upload].into_iter().flatten() {
        if rate.value < Bytes(1 << 10) {
            let little = Diagnostic::error(format!("`{}` a second is too little; the least is `1KiB`", rate.value));
            mistakes.push(little.at(rate.place, "too little"));
        }
    }
    let memory = given.memory.as_ref().map(|memory| memory.value.0).unwrap_or_default();
    Limits {
        cpu_shares: given.cpu.shares.as_ref().map(|shares| shares.value),
        cpu_quota: given.cpu.quota.as_ref().map(|quota| quota.value),
        memory_hard: memory.hard,
        memory_soft: memory.soft,
        disk: given.disk.as_ref().map(|disk| disk_limits(disk, mistakes)).unwrap_or_default(),
        download: given.network.download.as_ref().map(|rate| rate.value),
        upload: given.network.upload.as_ref().map(|rate| rate.value),
    }
}

fn disk_limits(given: &At<file::DiskLimits>, mistakes: &mut Vec<Diagnostic>) -> DiskLimits {
    let file::DiskLimits { throughput, read_throughput, write_throughput, iops, read_iops, write_iops } = given.value;
    let bytes = [throughput, read_throughput, write_throughput].map(|bytes| bytes.map(|bytes| bytes.0));
    for (name, [total, read, write]) in [("throughput", bytes), ("iops", [iops, read_iops, write_iops])] {
        if total.is_some() && (read.is_some() || write.is_some()) {
            let both = Diagnostic::error(format!("`{name}` limits reads and writes together, or each by itself"));
            let hint = format!("remove `{name}`, or `read_{name}` and `write_{name}`");
            mistakes.push(both.at(given.place, "both are given").hint(hint));
        }
        if [total, read, write].contains(&Some(0)) {
            let zero = Diagnostic::error(format!("a disk with a `{name}` of 0 cannot be used"));
            mistakes.push(zero.at(given.place, "leave it out for no limit"));
        }
    }
    DiskLimits { throughput, read_throughput, write_throughput, iops, read_iops, write_iops }
}

/// A fragment has to be elements, and must leave alone how a vm is found again.
fn checked_xml(fragment: &At<String>, mistakes: &mut Vec<Diagnostic>) -> String {
    let wrapped = format!("<x xmlns:qemu=\"http://libvirt.org/schemas/domain/qemu/1.0\">{}</x>", fragment.value);
    match Document::parse(&wrapped) {
        Err(error) => {
            let not = Diagnostic::error("`xml` is not well-formed");
            mistakes.push(not.at(fragment.place, "cannot be read").hint(without_position(&error.to_string())));
        }
        Ok(document) => {
            let top = document.root_element().children();
            let inside = top.clone().filter(|node| node.has_tag_name("domain")).flat_map(|domain| domain.children());
            let reserved = |name: &&str| RESERVED.contains(name);
            let found = top.chain(inside).map(|node| node.tag_name().name()).find(reserved);
            if let Some(name) = found {
                let own = Diagnostic::error(format!("`xml` cannot change `<{name}>`"));
                mistakes.push(own.at(fragment.place, "this is how vmcompose finds the vm again"));
            }
        }
    }
    fragment.value.trim().to_owned()
}

/// The position counts from the wrapper's beginning; it would lead astray.
fn without_position(words: &str) -> String {
    words.split(" at ").next().unwrap_or(words).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_devices_are_read_as_the_tools_print_them() {
        let device = HostDevice::Pci { domain: 0, bus: 3, slot: 0x1f, function: 7 };
        assert_eq!((pci("0000:03:1f.7"), pci("03:1f.7")), (Some(device), Some(device)));
        assert_eq!(usb("046d:c52b"), Some(HostDevice::Usb { vendor: 0x046d, product: 0xc52b }));
        for text in ["", "03:20.0", "03:00.8", "03:00", "0000:03:00.0.0", "x:03:00.0", "0:0:0:0.0"] {
            assert_eq!(pci(text), None, "{text}");
        }
        for text in ["046d", "46d:c52b", "046d:c52b:1", "046d:zzzz"] {
            assert_eq!(usb(text), None, "{text}");
        }
    }
}
