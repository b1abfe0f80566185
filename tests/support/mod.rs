//! What several tests need: a hypervisor of one's own, and specs to fill it with.
//!
//! Owns the private worlds. Knows nothing of what is tested in them.
#![expect(dead_code, reason = "each test binary uses a part of it")]

/// Used by nobody, so that the expectation above holds where a binary uses everything else.
const UNUSED: () = ();

pub(crate) mod daemon;
pub(crate) mod desk;
pub(crate) mod faulty;
pub(crate) mod qemu;
pub(crate) mod web;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use vmcompose::backend::libvirt::Libvirt;
use vmcompose::backend::{Attempt, Hypervisor, HypervisorError};
use vmcompose::model::{
    Accel, Boot, Digest, Disk, Host, Image, ImageFormat, ImageRef, Interface, Mac, Network, NetworkMode, Probe, Vm,
    Volume,
};
use vmcompose::names::{ImageName, Pool, ProjectName, VmName};
use vmcompose::plan::Operation;
use vmcompose::state::ActualState;
use vmcompose::units::{Bytes, Span};

/// A hypervisor that nobody else sees: libvirt's test driver on a file of its own. Each connection is a new one.
pub(crate) struct World {
    /// What to connect to.
    pub(crate) uri: String,
    /// A folder that goes with it.
    pub(crate) dir: TempDir,
}

impl World {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self::holding("")
    }

    /// One in which objects are before the first connection: domains, networks and pools as libvirt's XML.
    pub(crate) fn holding(xml: &str) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let file = dir.path().join("host.xml");
        std::fs::write(&file, format!("<node>{xml}</node>")).expect("a file in it");
        Self { uri: format!("test://{}", file.display()), dir }
    }

    /// Connects.
    pub(crate) fn connect(&self) -> Libvirt {
        Libvirt::connect(Some(&self.uri)).expect("the test driver")
    }

    /// Writes a file and takes it as an image.
    pub(crate) fn image(&self, name: &str, format: ImageFormat, bytes: &[u8]) -> Image {
        image(&self.dir.path().join(format!("{name}.img")), name, format, bytes)
    }
}

/// Writes a file and takes it as an image.
pub(crate) fn image(path: &Path, name: &str, format: ImageFormat, bytes: &[u8]) -> Image {
    std::fs::write(path, bytes).expect("a file for the image");
    measured(path, name, format)
}

/// Takes a file as an image.
pub(crate) fn measured(path: &Path, name: &str, format: ImageFormat) -> Image {
    use sha2::Digest as _;
    let bytes = std::fs::read(path).expect("the image's file");
    Image {
        name: ImageName::new(name).expect("a legal name"),
        path: PathBuf::from(path),
        format,
        length: Bytes(bytes.len() as u64),
        digest: Digest::of(&sha2::Sha256::digest(&bytes).into()),
    }
}

/// A reference to an image that was looked at.
pub(crate) fn seen(image: &Image) -> ImageRef {
    ImageRef { digest: Some(image.digest.clone()), format: Some(image.format), ..ImageRef::unseen(image.name.clone()) }
}

/// A project's name.
pub(crate) fn project(name: &str) -> ProjectName {
    ProjectName::new(name).expect("a legal name")
}

/// A vm's name.
pub(crate) fn vm_name(name: &str) -> VmName {
    VmName::new(name).expect("a legal name")
}

/// A vm with one cpu and nothing else.
pub(crate) fn vm(name: &str, boot: Boot) -> Vm {
    Vm {
        name: vm_name(name),
        replica_of: None,
        hostname: name.to_owned(),
        boot,
        cpus: 1,
        memory: Bytes::mib(128),
        disk: None,
        disks: Vec::new(),
        interfaces: Vec::new(),
        depends_on: BTreeMap::new(),
        healthcheck: None,
        stop_grace_period: Span::secs(10),
        autostart: false,
        protect: false,
        accel: Accel::Auto,
        hardware: vmcompose::model::Hardware::default(),
        labels: BTreeMap::new(),
        cloud_init: None,
        ssh: None,
        ignition: None,
        provision: Vec::new(),
        shares: Vec::new(),
        annotations: BTreeMap::new(),
        generation: vmcompose::names::Generation::FIRST,
        ports: Vec::new(),
    }
}

/// A network with one reservation.
pub(crate) fn network(name: &str, subnet: &str, vm: &str, ip: &str) -> Network {
    let host = Host { mac: mac(ip), ip: ip.parse().expect("an address"), ip6: None, names: vec![vm.to_owned()] };
    Network {
        name: name.parse().expect("a legal name"),
        mode: NetworkMode::Nat,
        subnet: subnet.parse().expect("a subnet"),
        hosts: BTreeMap::from([(vm_name(vm), host)]),
        labels: BTreeMap::new(),
        settings: Box::default(),
    }
}

/// The interface that a network's reservation is for.
pub(crate) fn interface(network: &Network, vm: &str) -> Interface {
    let host = &network.hosts[&vm_name(vm)];
    Interface {
        network: network.name.clone(),
        mac: host.mac,
        ip: host.ip,
        ip6: host.ip6,
        default_route: false,
        mtu: None,
        wire: None,
    }
}

fn mac(ip: &str) -> Mac {
    let ip: Ipv4Addr = ip.parse().expect("an address");
    let [_, b, c, d] = ip.octets();
    Mac([0x52, 0x54, 0x00, b, c, d])
}

/// A named volume.
pub(crate) fn volume(name: &str, size: Bytes) -> Volume {
    Volume::new(name.parse().expect("a legal name"), size)
}

/// A vm's use of a named volume.
pub(crate) fn on(volume: &Volume) -> Disk {
    Disk::Volume { volume: volume.name.clone() }
}

/// Looks at a project. When something was made or applied is left out, and with it what has that in it: it is never the same twice.
pub(crate) fn observe(hypervisor: &impl Hypervisor, project: &ProjectName) -> ActualState {
    let observed = hypervisor.observe(project);
    let mut state = observed.unwrap_or_else(|error| panic!("cannot observe `{project}`: {error} ({error:?})"));
    for actual in state.resources.values_mut() {
        actual.applied_at = None;
    }
    state.definitions.clear();
    state.made.clear();
    state
}

/// Applies an operation that has to succeed.
pub(crate) fn apply(libvirt: &Libvirt, project: &ProjectName, operation: &Operation) {
    libvirt.apply(project, operation).unwrap_or_else(|error| panic!("failed to {operation}: {error} ({error:?})"));
}

/// Makes a vm that boots from a kernel, and all it needs.
pub(crate) fn up(libvirt: &Libvirt, project: &ProjectName, world: &World, name: &str) -> Vm {
    let kernel = world.image("vmlinuz", ImageFormat::Raw, b"a kernel");
    let vm = vm(name, Boot::Kernel { kernel: seen(&kernel), initrd: None, cmdline: String::new() });
    apply(libvirt, project, &Operation::CreatePool(Pool::Images));
    apply(libvirt, project, &Operation::UploadImage(kernel));
    apply(libvirt, project, &Operation::DefineVm(Box::new(vm.clone())));
    apply(libvirt, project, &Operation::StartVm(vm.name.clone()));
    vm
}

/// Applies an operation that has to be refused.
pub(crate) fn refused(libvirt: &Libvirt, project: &ProjectName, operation: &Operation) -> HypervisorError {
    libvirt.apply(project, operation).expect_err("it has to be refused")
}

/// An attempt on a vm whose address is this machine's, with little patience.
pub(crate) fn attempt(vm: &str, probe: Probe) -> Attempt {
    let address = Some(Ipv4Addr::LOCALHOST);
    Attempt { vm: vm_name(vm), address, probe, timeout: Duration::from_millis(500), login: None }
}

/// A new private key in a file, and its public half.
pub(crate) fn ssh_key(folder: &Path) -> (PathBuf, String) {
    let key = ssh_key::PrivateKey::random(&mut ssh_key::rand_core::OsRng, ssh_key::Algorithm::Ed25519).expect("a key");
    let path = folder.join("id");
    let text = key.to_openssh(ssh_key::LineEnding::LF).expect("text");
    std::fs::write(&path, text.as_bytes()).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("closed");
    (path, key.public_key().to_openssh().expect("text"))
}

/// A state as text, to compare.
pub(crate) fn text(state: &ActualState) -> String {
    format!("{state:#?}")
}

/// The header of an empty qcow2 image of 1 MiB (QEMU's docs/interop/qcow2.rst): enough for the test driver.
pub(crate) fn qcow2() -> Vec<u8> {
    let mut bytes = vec![0; 104];
    bytes[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    bytes[20..24].copy_from_slice(&16u32.to_be_bytes());
    bytes[24..32].copy_from_slice(&(1u64 << 20).to_be_bytes());
    bytes[100..104].copy_from_slice(&104u32.to_be_bytes());
    bytes
}
