//! Specs as libvirt's XML; those of networks are in `network_xml`.
//!
//! Owns the templates and what goes into them. Deterministic, and nothing is looked up here: paths, records and what the
//! hypervisor offers come in from outside.

use std::path::Path;

use serde::Serialize;

use super::cards::{self, Card};
use super::hardware::{Hardware, PERIOD, Tuning};
use super::shares::Way;
use super::templates::render;
use super::{merge, names, record};
use crate::backend::storage::NewPool;
use crate::backend::{ErrorKind, HypervisorError};
use crate::model::cloud_init::disk_serial;
use crate::model::hardware::Limits;
use crate::model::{Disk, ImageFormat, Interface, Share, Vm};
use crate::names::ProjectName;
use crate::state::record::Record;
use crate::state::wires;

/// What a domain's XML needs besides its spec.
#[derive(Debug, Default)]
pub(super) struct Fittings {
    /// `qemu`, `kvm` or `test`.
    pub(super) driver: &'static str,
    /// Left to libvirt where `None`.
    pub(super) arch: Option<String>,
    /// Left to libvirt where `None`.
    pub(super) machine: Option<String>,
    /// Left to libvirt where `None`.
    pub(super) cpu_mode: Option<&'static str>,
    /// Path of the root disk, where there is one.
    pub(super) root: Option<String>,
    /// The vm's further disks, in their order.
    pub(super) disks: Vec<Source>,
    /// Path of the seed, where there is one.
    pub(super) seed: Option<String>,
    /// Path of what a guest with Ignition reads, where there is such a thing.
    pub(super) ignition: Option<String>,
    /// How folders are shared.
    pub(super) share: Way,
    /// Paths of kernel and initrd.
    pub(super) kernel: Option<Kernel>,
    /// Path of the disc in its drive.
    pub(super) cdrom: Option<String>,
    /// Where what the console says is recorded.
    pub(super) console_log: Option<String>,
    /// Whose wires the vm is on.
    pub(super) home: String,
}

/// The file that a disk is.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: String,
    /// Whether other vms may have it at the same time. Then it is raw, else it is qcow2.
    pub(super) shared: bool,
}

impl Source {
    /// Of one vm alone.
    pub(super) fn own(path: String) -> Self {
        Self { path, shared: false }
    }
}

/// What the hypervisor loads itself.
#[derive(Debug, Serialize)]
pub(super) struct Kernel {
    pub(super) path: String,
    pub(super) initrd: Option<String>,
    pub(super) cmdline: String,
}

#[derive(Serialize)]
struct DomainDisk {
    path: String,
    shared: bool,
    target: String,
    serial: String,
}

/// The seed comes last, so that no other disk changes its letter with it.
#[derive(Serialize)]
struct DomainSeed {
    path: String,
    target: String,
}

#[derive(Serialize)]
struct DomainShare<'a> {
    source: &'a str,
    tag: String,
    read_only: bool,
}

#[derive(Serialize)]
struct DomainInterface {
    mac: String,
    network: String,
    mtu: Option<u32>,
}

#[derive(Serialize)]
struct DomainXml<'a> {
    namespace: &'static str,
    record: String,
    project: &'a str,
    driver: &'static str,
    name: String,
    uuid: String,
    vm: &'a str,
    hw: Hardware,
    limits: Tuning,
    period: u64,
    x86: bool,
    arch: Option<String>,
    machine: Option<String>,
    kernel: Option<Kernel>,
    cdrom: Option<String>,
    console_log: Option<String>,
    disks: Vec<DomainDisk>,
    seed: Option<DomainSeed>,
    ignition: Option<String>,
    virtiofs: bool,
    shares: Vec<DomainShare<'a>>,
    interfaces: Vec<DomainInterface>,
    cards: Vec<Card>,
}

/// A domain.
pub(super) fn domain<'a>(record: &'a Record, vm: &'a Vm, with: Fittings) -> Result<String, HypervisorError> {
    let project = &record.project;
    let interface = |interface: &Interface| DomainInterface::of(project, interface);
    let share = |share: &'a Share| DomainShare { source: &share.source, tag: share.tag(), read_only: share.read_only };
    let disks = domain_disks(vm, with.root, with.disks);
    let x86 = with.arch.as_deref().is_some_and(|arch| matches!(arch, "x86_64" | "i686"));
    let machine = vm.hardware.machine.clone().or(with.machine);
    // `virt` and `q35` have PCI Express, in which nothing can be plugged into the root itself.
    let pcie = machine.as_deref().is_some_and(|machine| machine.contains("q35") || machine.starts_with("virt"));
    let context = DomainXml {
        namespace: record::NAMESPACE,
        record: record.encode(),
        project: project.as_str(),
        driver: with.driver,
        name: names::domain(project, &vm.name),
        uuid: names::uuid("vm", project, vm.name.as_str()),
        vm: vm.name.as_str(),
        hw: Hardware::of(vm, with.cpu_mode, x86, pcie),
        limits: Tuning::of(&vm.hardware.limits),
        period: PERIOD,
        x86,
        seed: with.seed.map(|path| DomainSeed { path, target: names::target(disks.len()) }),
        disks,
        cdrom: with.cdrom,
        ignition: with.ignition,
        virtiofs: with.share == Way::Virtiofs,
        shares: vm.shares.iter().map(share).collect(),
        interfaces: vm.interfaces.iter().filter(|nic| nic.wire.is_none()).map(interface).collect(),
        cards: cards::of(project, vm, &with.home),
        arch: with.arch,
        machine,
        kernel: with.kernel.map(|kernel| Kernel { cmdline: wires::told(vm, kernel.cmdline), ..kernel }),
        console_log: with.console_log,
    };
    let xml = render("domain.xml.j2", context)?;
    match &vm.hardware.xml {
        None => Ok(xml),
        Some(fragment) => merge::merge(&xml, fragment),
    }
}

impl DomainInterface {
    fn of(project: &ProjectName, interface: &Interface) -> Self {
        let network = names::network(project, &interface.network);
        Self { mac: interface.mac.to_string(), network, mtu: interface.mtu }
    }
}

#[derive(Serialize)]
struct AttachedDisk {
    disk: DomainDisk,
    limits: Tuning,
}

/// A disk by itself, for a domain that runs.
pub(super) fn attached_disk(
    disk: &Disk,
    source: Source,
    target: String,
    limits: &Limits,
) -> Result<String, HypervisorError> {
    let Source { path, shared } = source;
    let disk = DomainDisk { path, shared, target, serial: serial(disk) };
    render("disk.xml.j2", AttachedDisk { disk, limits: Tuning::of(limits) })
}

#[derive(Serialize)]
struct AttachedInterface {
    interface: DomainInterface,
    limits: Tuning,
}

/// An interface by itself, for a domain that runs.
pub(super) fn attached_interface(
    project: &ProjectName,
    interface: &Interface,
    limits: &Limits,
) -> Result<String, HypervisorError> {
    let interface = DomainInterface::of(project, interface);
    render("interface.xml.j2", AttachedInterface { interface, limits: Tuning::of(limits) })
}

fn serial(disk: &Disk) -> String {
    match disk {
        Disk::Volume { volume } => disk_serial(volume),
        Disk::Own { name, .. } => disk_serial(name),
    }
}

fn domain_disks(vm: &Vm, root: Option<String>, sources: Vec<Source>) -> Vec<DomainDisk> {
    let root = root.map(|path| (Source::own(path), "root".to_owned()));
    let others = sources.into_iter().zip(vm.disks.iter().map(serial));
    let numbered = root.into_iter().chain(others).enumerate();
    let disk = |(index, (Source { path, shared }, serial)): (usize, (Source, String))| DomainDisk {
        path,
        shared,
        target: names::target(index),
        serial,
    };
    numbered.map(disk).collect()
}

/// libvirt adds the namespace itself where the element is set alone.
pub(super) const RECORD: &str = r#"<resource project="{{ project }}">{{ record }}</resource>"#;

#[derive(Serialize)]
struct RecordXml<'a> {
    project: &'a str,
    record: String,
}

/// The metadata element of a domain by itself.
pub(super) fn resource(record: &Record) -> Result<String, HypervisorError> {
    render("record.xml.j2", RecordXml { project: record.project.as_str(), record: record.encode() })
}

#[derive(Serialize)]
struct PoolXml<'a> {
    name: &'a str,
    path: &'a str,
}

/// A pool of files in a folder.
pub(super) fn pool(name: &str, folder: &Path) -> Result<String, HypervisorError> {
    let path = folder.to_str().ok_or_else(|| {
        HypervisorError::new(ErrorKind::Rejected, format!("the path `{}` is not UTF-8", folder.display()))
    })?;
    render("pool.xml.j2", PoolXml { name, path })
}

#[derive(Serialize)]
struct UserPoolXml<'a> {
    name: &'a str,
    path: &'a str,
    nfs: Option<Nfs<'a>>,
}

#[derive(Serialize)]
struct Nfs<'a> {
    host: &'a str,
    path: &'a str,
}

pub(super) const USER_POOL: &str = r#"<pool type="{{ "netfs" if nfs else "dir" }}"><name>{{ name }}</name>
{%- if nfs %}<source><host name="{{ nfs.host }}"/><dir path="{{ nfs.path }}"/><format type="nfs"/></source>{% endif %}
<target><path>{{ path }}</path></target></pool>"#;

/// A pool of the user's own, of files in a folder that is there, or mounted there.
pub(super) fn user_pool(new: &NewPool) -> Result<String, HypervisorError> {
    let nfs = new.nfs.as_ref().map(|(host, path)| Nfs { host, path });
    render("user-pool.xml.j2", UserPoolXml { name: &new.name, path: &new.folder, nfs })
}

/// A volume to be made.
#[derive(Debug, Serialize)]
pub(super) struct Volume {
    /// Its name in the pool.
    pub(super) name: String,
    /// What a guest sees, in bytes.
    pub(super) capacity: u64,
    /// Whether to allocate nothing of it.
    pub(super) empty: bool,
    /// How it is laid out.
    pub(super) format: &'static str,
    /// What it is an overlay of.
    pub(super) backing: Option<Backing>,
}

/// What an overlay is on.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Backing {
    path: String,
    format: &'static str,
}

impl Backing {
    pub(super) fn new(path: String, format: ImageFormat) -> Self {
        Self { path, format: format.as_str() }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

/// A volume.
pub(super) fn volume(volume: &Volume) -> Result<String, HypervisorError> {
    render("volume.xml.j2", volume)
}
