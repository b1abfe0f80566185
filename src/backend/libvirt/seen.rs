//! What a domain's XML says of a vm, in the words of its spec.
//!
//! Owns the reading of it. Only what a spec can set is read, so that nothing that libvirt adds can look like a change.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use roxmltree::{Document, Node};
use sha2::{Digest as _, Sha256};
use virt::domain::Domain;
use virt_sys::VIR_DOMAIN_XML_INACTIVE;

use super::error::present;
use super::hardware::PERIOD;
use super::host::child;
use super::machine_seen;
use super::names::Stored;
use super::plug::Plugs;
use crate::backend::{ErrorKind, HypervisorError};
use crate::model::hardware::Limits;
use crate::model::{Digest, Mac, Spec, Vm};
use crate::names::{Pool, ProjectName};
use crate::state::Phase;
use crate::state::seen::{Foreign, Seen, Shape, comparable};
use crate::units::Bytes;

/// libvirt's word for "no limit of memory": nothing above it is one.
const UNLIMITED_KIB: u64 = 9_007_199_254_740_991;

/// What lists of domains say of one.
#[derive(Clone, Copy)]
pub(super) struct Kept {
    /// It has a definition, and is there when it is off.
    pub(super) persistent: bool,
    /// It is started with the hypervisor.
    pub(super) autostart: bool,
}

/// What there is of a vm; `None` where it is gone by now.
pub(super) fn seen(
    domain: &Domain,
    plugs: &Plugs<'_>,
    recorded: &Spec,
    Kept { persistent, autostart }: Kept,
    phase: Phase,
) -> Result<Option<(Box<Seen>, Digest)>, HypervisorError> {
    let Spec::Vm(vm) = recorded else { return Ok(None) };
    let cannot = || format!("cannot read the definition of vm `{}`", vm.name);
    let Some(defined) = present(domain.get_xml_desc(VIR_DOMAIN_XML_INACTIVE), cannot())? else { return Ok(None) };
    let running = match phase {
        Phase::Running | Phase::Paused => present(domain.get_xml_desc(0), cannot())?,
        _ => None,
    };
    let running = running.map(|xml| shape(&xml, plugs, vm, true)).transpose()?;
    let (snapshots, other_snapshots) = (Vec::new(), Vec::new());
    let found = shape(&defined, &plugs.of_definitions(), vm, false)?;
    let seen = Seen { persistent, autostart, defined: found, running, snapshots, other_snapshots };
    Ok(Some((Box::new(seen), digest(&defined))))
}

/// What tells a definition from another one.
pub(super) fn digest(xml: &str) -> Digest {
    Digest::of(&Sha256::digest(xml.as_bytes()).into())
}

/// What a domain's XML says. `vm` is what was recorded: of values that its devices have each by itself, one that differs
/// from it is taken.
pub(super) fn shape(xml: &str, plugs: &Plugs<'_>, vm: &Vm, running: bool) -> Result<Shape, HypervisorError> {
    let project = plugs.project;
    let unreadable = |error: String| {
        HypervisorError::new(ErrorKind::Rejected, format!("the definition of vm `{}` cannot be read: {error}", vm.name))
    };
    let document = Document::parse(xml).map_err(|error| unreadable(error.to_string()))?;
    let root = document.root_element();
    let max_memory = child(root, "memory").and_then(size).ok_or_else(|| unreadable("it has no memory".to_owned()))?;
    let vcpu = child(root, "vcpu");
    // What somebody else gave a machine of his own is nobody's business here.
    let ours = vm.existing().is_none();
    let max_cpus = vcpu.and_then(number).unwrap_or(1);
    let mut shape = Shape {
        memory: child(root, "currentMemory").and_then(size).unwrap_or(max_memory),
        max_memory,
        cpus: vcpu.and_then(|vcpu| vcpu.attribute("current")).and_then(|n| n.parse().ok()).unwrap_or(max_cpus),
        max_cpus,
        limits: if ours { limits(root, project, vm) } else { Limits::default() },
        disks: BTreeSet::new(),
        interfaces: BTreeSet::new(),
        astray: BTreeMap::new(),
        foreign: Vec::new(),
        fixed: machine_seen::fixed(root, project, vm, running),
    };
    for device in devices(root).filter(|_| ours) {
        match device.tag_name().name() {
            "disk" => disk(device, xml, project, vm, &mut shape),
            "interface" => interface(device, xml, vm, plugs, &mut shape),
            _ => {}
        }
    }
    Ok(shape)
}

pub(super) fn devices<'a, 'input>(root: Node<'a, 'input>) -> impl Iterator<Item = Node<'a, 'input>> {
    child(root, "devices").into_iter().flat_map(|devices| devices.children()).filter(Node::is_element)
}

pub(super) fn number<T: std::str::FromStr>(node: Node<'_, '_>) -> Option<T> {
    node.text()?.trim().parse().ok()
}

/// A size with its unit, KiB unless it says otherwise.
pub(super) fn size(node: Node<'_, '_>) -> Option<Bytes> {
    let shift = match node.attribute("unit") {
        Some("b" | "bytes") => 0,
        Some("M" | "MiB") => 20,
        Some("G" | "GiB") => 30,
        _ => 10,
    };
    Some(Bytes(number::<u64>(node)? << shift))
}

/// The volume that a disk is, as its file is called; `None` where it has no file.
pub(super) fn file<'a>(device: Node<'a, '_>) -> Option<&'a str> {
    let source = child(device, "source")?;
    source.attribute("file").or_else(|| source.attribute("dev"))
}

fn disk(device: Node<'_, '_>, xml: &str, project: &ProjectName, vm: &Vm, shape: &mut Shape) {
    // An empty drive is none of ours, and holds nothing.
    let Some(path) = file(device) else { return };
    let name = Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or(path);
    match Stored::parse(project, Pool::Disks, name) {
        Some(Stored::Volume { name, .. }) => drop(shape.disks.insert(format!("volume {name}"))),
        Some(Stored::Disk { vm: owner, disk, generation }) if owner == vm.name && generation == vm.generation => {
            if disk.as_str() != crate::plan::operation::VmDisk::ROOT {
                shape.disks.insert(disk.to_string());
            }
        }
        Some(Stored::Seed(..)) => {}
        // What is named as ours but is no disk of a spec belongs to another part of it.
        _ if name.starts_with(&format!("{project}.")) => {}
        _ => shape.foreign.push(foreign(format!("disk `{path}`"), device, xml)),
    }
}

fn interface(device: Node<'_, '_>, xml: &str, vm: &Vm, plugs: &Plugs<'_>, shape: &mut Shape) {
    let address = child(device, "mac").and_then(|mac| mac.attribute("address"));
    let Some(mac) = address.and_then(|text| text.parse::<Mac>().ok()) else { return };
    if let Some(own) = vm.interfaces.iter().find(|own| own.mac == mac) {
        shape.interfaces.insert(mac);
        shape.astray.extend(plugs.astray(device, own).map(|how| (mac, how)));
    } else {
        shape.foreign.push(foreign(format!("interface `{mac}`"), device, xml));
    }
}

fn foreign(name: String, device: Node<'_, '_>, xml: &str) -> Foreign {
    Foreign { name, description: xml[device.range()].to_owned() }
}

fn limits(root: Node<'_, '_>, project: &ProjectName, vm: &Vm) -> Limits {
    let own = comparable(&vm.hardware.limits);
    let tune = child(root, "cputune");
    let of = |name: &str| tune.and_then(|tune| child(tune, name));
    let memory = |name: &str| {
        let kib = child(root, "memtune").and_then(|tune| child(tune, name)).and_then(size);
        kib.filter(|bytes| bytes.kib_ceil() < UNLIMITED_KIB)
    };
    let period = of("global_period").and_then(number::<u64>).unwrap_or(PERIOD);
    let quota = of("global_quota").and_then(number::<i64>).filter(|quota| *quota > 0);
    let disk = Limits { disk: disks(root, project, &own), ..Limits::default() };
    let (download, upload) = (bandwidth(root, "inbound", own.download), bandwidth(root, "outbound", own.upload));
    #[expect(clippy::cast_precision_loss, reason = "both are small numbers")]
    let cpu_quota = quota.map(|quota| quota as f64 / period as f64);
    comparable(&Limits {
        cpu_shares: of("shares").and_then(number),
        cpu_quota,
        memory_hard: memory("hard_limit"),
        memory_soft: memory("soft_limit"),
        download,
        upload,
        ..disk
    })
}

/// Of several devices, the first value that is not the recorded one.
fn odd_one<T: PartialEq>(values: impl Iterator<Item = T>, recorded: T) -> T {
    let mut odd = values.filter(|value| *value != recorded);
    odd.next().unwrap_or(recorded)
}

/// Of those that are ours: somebody else's is taken off anyway.
fn disks(root: Node<'_, '_>, project: &ProjectName, own: &Limits) -> crate::model::hardware::DiskLimits {
    let tuned = |device: Node<'_, '_>| {
        let tune = child(device, "iotune");
        let of = |name: &str| tune.and_then(|tune| child(tune, name)).and_then(number::<u64>).filter(|n| *n > 0);
        crate::model::hardware::DiskLimits {
            throughput: of("total_bytes_sec").map(Bytes),
            read_throughput: of("read_bytes_sec").map(Bytes),
            write_throughput: of("write_bytes_sec").map(Bytes),
            iops: of("total_iops_sec"),
            read_iops: of("read_iops_sec"),
            write_iops: of("write_iops_sec"),
        }
    };
    let ours = |device: &Node<'_, '_>| {
        let name = file(*device).and_then(|path| Path::new(path).file_name()?.to_str());
        name.is_some_and(|name| name.starts_with(&format!("{project}.")))
    };
    odd_one(devices(root).filter(limited_disk).filter(ours).map(tuned), own.disk)
}

/// Disks that can be written to: the seed is read once and has no limits.
pub(super) fn limited_disk(device: &Node<'_, '_>) -> bool {
    device.has_tag_name("disk") && child(*device, "readonly").is_none() && device.attribute("device") != Some("cdrom")
}

fn bandwidth(root: Node<'_, '_>, direction: &str, own: Option<Bytes>) -> Option<Bytes> {
    let average = |device: Node<'_, '_>| {
        let average = child(child(device, "bandwidth")?, direction)?.attribute("average")?;
        average.parse().ok().map(|kib: u64| Bytes(kib << 10))
    };
    odd_one(devices(root).filter(|device| device.has_tag_name("interface")).map(average), own)
}

#[cfg(test)]
mod tests {
    use super::super::network_seen;
    use super::*;
    use crate::state::network::Found;
    use crate::state::record::Record;

    /// As libvirt 11.3 gave them back.
    const DOMAIN: &str = include_str!("../../../tests/stored/libvirt-11.3-domain.xml");
    const NETWORK: &str = include_str!("../../../tests/stored/libvirt-11.3-network.xml");

    fn recorded(xml: &str) -> Record {
        let document = Document::parse(xml).expect("XML");
        let text =
            document.descendants().find(|node| node.tag_name().name() == "resource").and_then(|node| node.text());
        Record::decode(text.expect("a record")).expect("readable")
    }

    fn drift(xml: &str) -> bool {
        let record = recorded(xml);
        let vm = record.spec.as_vm().expect("a vm").clone();
        let found = shape(xml, &Plugs::new(&record.project), &vm, false).expect("readable");
        found != Shape::of(&vm)
    }

    #[test]
    fn what_libvirt_adds_to_a_vm_is_no_drift() {
        assert!(!drift(DOMAIN));
        // No 9.0 was at hand. By the sources of both, it gives no such watchdog, and names its own newest machine.
        let older = DOMAIN.replace("<watchdog model='itco' action='reset'/>", "").replace("q35-10.0", "q35-7.2");
        assert_ne!(older, DOMAIN);
        assert!(!drift(&older));
        for (from, to) in [
            ("<cmdline>console=ttyS0 quiet", "<cmdline>single"),
            ("<source network='drx-lan'/>", "<source network='default'/>"),
            ("vmlinuz.51349501a3d1", "vmlinuz.000000000000"),
            ("currentMemory unit='KiB'>163840", "currentMemory unit='KiB'>65536"),
        ] {
            let edited = DOMAIN.replace(from, to);
            assert_ne!(edited, DOMAIN, "{from}");
            assert!(drift(&edited), "{from}");
        }
    }

    #[test]
    fn what_libvirt_adds_to_a_network_is_no_drift() {
        let record = recorded(NETWORK);
        let Spec::Network(network) = &record.spec else { panic!("a network") };
        let found = |xml: &str| network_seen::found(xml, &record.project, network, true);
        assert_eq!(found(NETWORK), Found::of(network));
        for (from, to) in [
            ("mode='nat'", "mode='open'"),
            ("<forward mode='nat'>", "<forward mode='route'>"),
            ("lab.test", "other.test"),
            ("prefix='24'", "prefix='25'"),
            ("10.231.77.254", "10.231.77.99"),
            ("<hostname>db<", "<hostname>other<"),
            ("name='db' ip='10.231.77.91'", "name='db' ip='10.231.77.92'"),
            ("52:54:00:ca:53:bf' name", "52:54:00:00:00:01' name"),
            ("  <bridge", "  <mtu size='1400'/><bridge"),
            ("</dns>", "<forwarder addr='9.9.9.9'/></dns>"),
            ("</ip>", "</ip><ip family='ipv6' address='fd00::1' prefix='64'/>"),
            ("<dns>", "<bandwidth><inbound average='7'/></bandwidth><dns>"),
        ] {
            let edited = NETWORK.replace(from, to);
            assert_ne!(edited, NETWORK, "{from}");
            assert_ne!(found(&edited), Found::of(network), "{from}");
        }
    }
}
