//! What a domain's XML says of what only a start can change, in the words of the vm's spec.
//!
//! Owns the reading of it. Of what the spec does not speak of nothing is read; and where what is read comes to the same as
//! what was recorded, the recorded words are kept.

use std::collections::BTreeSet;
use std::path::Path;

use roxmltree::Node;

use super::cards;
use super::host::child;
use super::names::Stored;
use super::seen::{devices, file, number, size};
use crate::model::hardware::{Cpu, CpuMode, Firmware, HostDevice, Hugepages, Restart, Topology, Watchdog};
use crate::model::{Accel, Boot, ImageRef, Vm};
use crate::names::{Pool, ProjectName};
use crate::plan::operation::VmDisk;
use crate::state::fixed::Fixed;
use crate::state::wires;

/// What this definition says. `running` is whether it is that of a domain that runs: there libvirt writes some of it in
/// other words, and some of it can be changed without a start.
pub(super) fn fixed(root: Node<'_, '_>, project: &ProjectName, vm: &Vm, running: bool) -> Fixed {
    let mut fixed = Fixed::of(vm);
    // Where the file has a word of the hypervisor's own, it counts, and the other fields do not know of it.
    let fragment = vm.hardware.xml.as_deref().unwrap_or_default();
    let ours = |element: &str| !fragment.contains(&format!("<{element}"));
    if ours("os") {
        system(root, project, vm, &mut fixed);
    }
    if ours("cpu") && ours("vcpu") {
        processors(root, running, &mut fixed);
    }
    if ours("memory") {
        memory(root, &mut fixed);
    }
    if ours("on_") && !running && fixed.hardware.restart != Restart::No {
        fixed.hardware.restart = restart(root, fixed.hardware.restart);
    }
    equipment(root, running, &ours, &mut fixed);
    match (fixed.accel, root.attribute("type")) {
        (Some(_), Some("kvm")) => fixed.accel = Some(Accel::Kvm),
        (Some(_), Some("qemu")) => fixed.accel = Some(Accel::Tcg),
        _ => {}
    }
    if !vm.ports.is_empty() && !published(root, vm) && root.attribute("type") != Some("test") {
        fixed.ports.clear();
    }
    fixed
}

fn system(root: Node<'_, '_>, project: &ProjectName, vm: &Vm, fixed: &mut Fixed) {
    let Some(os) = child(root, "os") else { return };
    let hardware = &mut fixed.hardware;
    let machine = child(os, "type").and_then(|kind| kind.attribute("machine"));
    if let (Some(wanted), Some(found)) = (&hardware.machine, machine)
        && !is_machine(found, wanted)
    {
        hardware.machine = Some(found.to_owned());
    }
    let loader = child(os, "loader");
    if hardware.firmware.is_some() {
        let flash = loader.and_then(|loader| loader.attribute("type")) == Some("pflash");
        let uefi = flash || os.attribute("firmware") == Some("efi");
        hardware.firmware = Some(if uefi { Firmware::Uefi } else { Firmware::Bios });
    }
    if hardware.secure_boot {
        let features = child(os, "firmware").into_iter().flat_map(|firmware| firmware.children());
        let signed = |node: Node<'_, '_>| {
            node.attribute("name") == Some("secure-boot") && node.attribute("enabled") == Some("yes")
        };
        let secure = loader.and_then(|loader| loader.attribute("secure")) == Some("yes");
        hardware.secure_boot = secure || features.into_iter().any(signed);
    }
    match &vm.boot {
        Boot::Image(_) | Boot::Cdrom(_) => {
            let root_disk = devices(root).filter_map(file).any(|path| is_root(path, project, vm));
            if !root_disk {
                fixed.boot.remove("disk");
            }
        }
        Boot::Existing { .. } => {}
        Boot::Kernel { kernel, initrd, .. } => {
            let image = |element, recorded: &ImageRef| {
                let path = child(os, element)?.text()?.trim();
                Some(if is_image(path, project, recorded) { Fixed::image(recorded) } else { path.to_owned() })
            };
            let line = child(os, "cmdline").and_then(|line| line.text()).unwrap_or_default();
            let wanted = wires::told(vm, fixed.boot["cmdline"].clone());
            // XML knows nothing of blanks at the ends of a line.
            if wanted.trim() != line.trim() {
                fixed.boot.insert("cmdline", line.to_owned());
            }
            for (name, found) in [
                ("kernel", image("kernel", kernel)),
                ("initrd", initrd.as_ref().and_then(|file| image("initrd", file))),
            ] {
                match found {
                    Some(found) => drop(fixed.boot.insert(name, found)),
                    None => drop(fixed.boot.remove(name)),
                }
            }
        }
    }
}

/// Whether a machine type is the one of that name: libvirt writes out the newest version of a plain one.
fn is_machine(found: &str, wanted: &str) -> bool {
    let family = match wanted {
        "pc" => "pc-i440fx-".to_owned(),
        "q35" => "pc-q35-".to_owned(),
        plain => format!("{plain}-"),
    };
    found == wanted || found.starts_with(&family)
}

fn stored(path: &str, project: &ProjectName, pool: Pool) -> Option<Stored> {
    Stored::parse(project, pool, Path::new(path).file_name()?.to_str()?)
}

fn is_root(path: &str, project: &ProjectName, vm: &Vm) -> bool {
    matches!(stored(path, project, Pool::Disks), Some(Stored::Disk { vm: of, disk, generation }) if of == vm.name && generation == vm.generation && disk.as_str() == VmDisk::ROOT)
}

/// An image of the user's own pool is not known by its name.
fn is_image(path: &str, project: &ProjectName, recorded: &ImageRef) -> bool {
    let same = |digest| recorded.digest.as_ref().is_none_or(|wanted| *wanted == digest);
    match stored(path, project, Pool::Images) {
        Some(Stored::Image { name, digest, .. }) => name == recorded.name && same(digest),
        _ => recorded.volume.is_some(),
    }
}

fn processors(root: Node<'_, '_>, running: bool, fixed: &mut Fixed) {
    let hardware = &mut fixed.hardware;
    let vcpu = child(root, "vcpu");
    if hardware.max_cpus.is_some() {
        hardware.max_cpus = vcpu.and_then(number).or(hardware.max_cpus);
    }
    let Some(own) = &mut hardware.cpu else { return };
    let cpu = child(root, "cpu");
    if own.mode.is_some() && !(running && own.mode == Some(CpuMode::HostModel)) {
        own.mode = cpu.and_then(mode);
    }
    if own.topology.is_some() {
        own.topology = cpu.and_then(|cpu| child(cpu, "topology")).and_then(|topology| {
            let part = |name| topology.attribute(name)?.parse().ok();
            Some(Topology { sockets: part("sockets")?, cores: part("cores")?, threads: part("threads")? })
        });
    }
    // A processor can be pinned elsewhere while it runs, and that is gone with the next start.
    if !running {
        pinning(root, own);
    }
    if *own == Cpu::default() {
        hardware.cpu = None;
    }
}

fn mode(cpu: Node<'_, '_>) -> Option<CpuMode> {
    match cpu.attribute("mode") {
        Some("custom") | None => child(cpu, "model")?.text().map(|model| CpuMode::Model(model.trim().to_owned())),
        Some(mode) => Some(CpuMode::from(mode)),
    }
}

fn pinning(root: Node<'_, '_>, own: &mut Cpu) {
    let same = |found: &str, wanted: &str| cpu_set(found) == cpu_set(wanted);
    if let Some(wanted) = &own.pinning.all {
        let found = child(root, "vcpu").and_then(|vcpu| vcpu.attribute("cpuset"));
        if found.is_none_or(|found| !same(found, wanted)) {
            own.pinning.all = found.map(ToOwned::to_owned);
        }
    }
    let pins = child(root, "cputune").into_iter().flat_map(|tune| tune.children());
    let pins: Vec<_> = pins.filter(|node| node.has_tag_name("vcpupin")).collect();
    own.pinning.each.retain(|vcpu, wanted| {
        let found = pins.iter().find(|pin| pin.attribute("vcpu") == Some(vcpu)).and_then(|pin| pin.attribute("cpuset"));
        if let Some(found) = found.filter(|found| !same(found, wanted)) {
            found.clone_into(wanted);
        }
        found.is_some()
    });
}

/// The processors of `0-3,^2`: libvirt writes the same set in another way.
fn cpu_set(text: &str) -> BTreeSet<u32> {
    let mut set = BTreeSet::new();
    for part in text.split(',').map(str::trim) {
        if let Some(not) = part.strip_prefix('^') {
            set.retain(|cpu| Ok(*cpu) != not.parse());
        } else if let Some((first, last)) = part.split_once('-') {
            set.extend(first.parse().unwrap_or(0)..=last.parse().unwrap_or(0));
        } else {
            set.extend(part.parse::<u32>());
        }
    }
    set
}

fn memory(root: Node<'_, '_>, fixed: &mut Fixed) {
    let hardware = &mut fixed.hardware;
    if let Some(wanted) = hardware.max_memory {
        let found = child(root, "memory").and_then(size).unwrap_or(wanted);
        if found.kib_ceil() != wanted.kib_ceil() {
            hardware.max_memory = Some(found);
        }
    }
    if let Some(wanted) = hardware.hugepages {
        let pages = child(root, "memoryBacking").and_then(|backing| child(backing, "hugepages"));
        hardware.hugepages = pages.map(|pages| match (child(pages, "page").and_then(page), wanted) {
            // What is usual is written out in a domain that runs.
            (Some(_), Hugepages::Default) | (None, _) => Hugepages::Default,
            (Some(found), Hugepages::Size(_)) => Hugepages::Size(found),
        });
    }
}

fn page(page: Node<'_, '_>) -> Option<crate::units::Bytes> {
    let count: u64 = page.attribute("size")?.parse().ok()?;
    let shift = match page.attribute("unit") {
        Some("M" | "MiB") => 20,
        Some("G" | "GiB") => 30,
        _ => 10,
    };
    Some(crate::units::Bytes(count << shift))
}

fn restart(root: Node<'_, '_>, recorded: Restart) -> Restart {
    let again = |element| child(root, element).and_then(|node| node.text()) == Some("restart");
    let (poweroff, crash) = (again("on_poweroff"), again("on_crash"));
    match (poweroff, crash) {
        _ if (poweroff, crash) == (recorded.after_poweroff(), recorded.after_crash()) => recorded,
        (true, _) => Restart::Always,
        (false, true) => Restart::OnFailure,
        (false, false) => Restart::No,
    }
}

fn equipment(root: Node<'_, '_>, running: bool, ours: &dyn Fn(&str) -> bool, fixed: &mut Fixed) {
    let all = |name: &'static str| devices(root).filter(move |device| device.has_tag_name(name));
    let hardware = &mut fixed.hardware;
    if ours("tpm") {
        hardware.tpm = hardware.tpm && all("tpm").next().is_some();
    }
    if ours("watchdog") && hardware.watchdog.is_some() {
        // libvirt gives some machines another one by itself.
        let own = all("watchdog").find(|device| device.attribute("model") == Some("i6300esb"));
        let kinds = [Watchdog::Reset, Watchdog::Shutdown, Watchdog::Poweroff, Watchdog::Pause];
        let action = own.and_then(|device| device.attribute("action"));
        hardware.watchdog = kinds.into_iter().find(|kind| Some(kind.as_str()) == action);
    }
    if let Some(wanted) = hardware.graphics.as_mut().filter(|_| ours("graphics")) {
        let screen = all("graphics").find(|device| device.attribute("type") == Some(wanted.protocol.as_str()));
        match screen {
            None => hardware.graphics = None,
            Some(screen) => {
                if let Some(listen) = screen.attribute("listen") {
                    listen.clone_into(&mut wanted.listen);
                }
                if wanted.port.is_some() && !running {
                    wanted.port = screen.attribute("port").and_then(|port| port.parse().ok());
                }
            }
        }
    }
    let given: Vec<HostDevice> = all("hostdev").filter_map(host_device).collect();
    hardware.devices.retain(|device| !ours("hostdev") || given.contains(device));
    fixed.shares.retain_mut(|share| {
        let tag = share.tag();
        let is =
            |device: &Node<'_, '_>| child(*device, "target").and_then(|target| target.attribute("dir")) == Some(&tag);
        let found = all("filesystem").find(is);
        if let Some(found) = found {
            share.read_only = child(found, "readonly").is_some();
            if let Some(source) = child(found, "source").and_then(|source| source.attribute("dir")) {
                source.clone_into(&mut share.source);
            }
        }
        found.is_some() || !ours("filesystem")
    });
}

fn host_device(device: Node<'_, '_>) -> Option<HostDevice> {
    let source = child(device, "source")?;
    let hex = |node: Node<'_, '_>, name: &str| {
        let text = node.attribute(name)?;
        u16::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
    };
    if let Some(at) = child(source, "address").filter(|_| device.attribute("type") == Some("pci")) {
        let part = |name| u8::try_from(hex(at, name)?).ok();
        let (bus, slot, function) = (part("bus")?, part("slot")?, part("function")?);
        return Some(HostDevice::Pci { domain: hex(at, "domain")?, bus, slot, function });
    }
    let (vendor, product) = (child(source, "vendor")?, child(source, "product")?);
    Some(HostDevice::Usb { vendor: hex(vendor, "id")?, product: hex(product, "id")? })
}

/// Whether the domain has the card by which just these ports are published.
fn published(root: Node<'_, '_>, vm: &Vm) -> bool {
    let wanted = cards::publishing(vm);
    let arguments = root.descendants().filter(|node| node.tag_name().name() == "arg");
    arguments.filter_map(|node| node.attribute("value")).any(|value| value == wanted)
}
