//! What sort of hypervisor is at the other end, and what it can really do.
//!
//! Owns the reading of the URI and of libvirt's capabilities. Knows nothing of any project.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{env, fs};

use roxmltree::{Document, Node};
use virt::connect::Connect;

use super::error::failed;
use crate::backend::{ErrorKind, HypervisorError};
use crate::model::Accel;
use crate::names::Pool;
use crate::units::Bytes;

/// Where a system's daemon keeps its state, and where ours has its place beside it.
const SYSTEM_STATE: &str = "/var/lib/libvirt";

/// What kind of driver, and whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// libvirt's test driver: everything but guests, agents and bytes.
    pub(super) test: bool,
    /// The hypervisor is this machine.
    pub(super) local: bool,
    /// A daemon of one user's own.
    pub(super) session: bool,
}

impl Place {
    pub(super) fn of(connect: &Connect, uri: &str) -> Result<Self, HypervisorError> {
        let driver = connect.get_type().map_err(failed("cannot ask the hypervisor for its type"))?;
        Ok(Self { test: driver.eq_ignore_ascii_case("test"), local: is_local(uri), session: is_session(uri) })
    }

    /// Whether libvirt has no more rights than an ordinary user.
    pub(super) fn rootless(&self) -> bool {
        self.session && !self.test && !(self.local && is_root())
    }

    /// Folder of a pool.
    pub(super) fn folder(&self, pool: Pool) -> Result<PathBuf, HypervisorError> {
        Ok(self.state()?.join(pool.as_str()))
    }

    /// The folder that holds the pools' folders.
    pub(super) fn state(&self) -> Result<PathBuf, HypervisorError> {
        // The session daemon of root has root's rights and the system's users: QEMU could not enter root's own folder.
        if !self.session || (self.local && is_root()) {
            return Ok(Path::new(SYSTEM_STATE).join("vmcompose"));
        }
        if !self.local {
            let message =
                "the session of a user on another machine has no folder that is known here for disks and images";
            return Err(HypervisorError::new(ErrorKind::Unsupported, message)
                .with_hint("connect to that machine's `/system`, or run vmcompose there"));
        }
        let set = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let data = set("XDG_DATA_HOME").or_else(|| set("HOME").map(|home| home.join(".local/share")));
        let data = data.ok_or_else(|| {
            HypervisorError::new(
                ErrorKind::Rejected,
                "neither `XDG_DATA_HOME` nor `HOME` names a folder for disks and images",
            )
        })?;
        Ok(data.join("vmcompose"))
    }
}

/// A URI without a host, over no transport or a local socket, leads to this machine.
fn is_local(uri: &str) -> bool {
    let (scheme, rest) = uri.split_once(':').unwrap_or((uri, ""));
    let host = rest.strip_prefix("//").and_then(|rest| rest.split('/').next()).unwrap_or("");
    let transport = scheme.split_once('+').map(|(_, transport)| transport);
    host.is_empty() && matches!(transport, None | Some("unix"))
}

fn is_session(uri: &str) -> bool {
    uri.split('?').next().is_some_and(|path| path.ends_with("/session"))
}

#[cfg(unix)]
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// What domains this hypervisor offers, for its own architecture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Offer {
    /// The host's architecture.
    pub(super) arch: Option<String>,
    /// The machine type that we take of those offered.
    pub(super) machine: Option<String>,
    /// The processor runs guests itself, and not only says so.
    pub(super) kvm: bool,
    /// All machine types.
    pub(super) machines: BTreeSet<String>,
    /// Large pages that are set aside, by their size.
    pub(super) hugepages: BTreeMap<Bytes, u64>,
}

/// Machine types, the best first.
const MACHINES: [&str; 3] = ["q35", "virt", "pc"];

impl Offer {
    pub(super) fn of(connect: &Connect) -> Result<Self, HypervisorError> {
        let xml = connect.get_capabilities().map_err(failed("cannot read the hypervisor's capabilities"))?;
        Self::parse(&xml).ok_or_else(|| {
            HypervisorError::new(
                ErrorKind::Rejected,
                "the hypervisor's capabilities are not the XML that they should be",
            )
        })
    }

    fn parse(xml: &str) -> Option<Self> {
        let document = Document::parse(xml).ok()?;
        let root = document.root_element();
        let cpu = root.descendants().find(|node| node.has_tag_name("cpu"))?;
        let arch = child(cpu, "arch").and_then(|arch| arch.text())?;
        let features = cpu.children().filter_map(|node| node.attribute("name"));
        // A device /dev/kvm alone proves nothing: without these, guests of a nested host spin for ever.
        let virtualises = features.into_iter().any(|name| name == "vmx" || name == "svm");
        let guest = root
            .children()
            .filter(|node| node.has_tag_name("guest"))
            .find_map(|guest| child(guest, "arch").filter(|offered| offered.attribute("name") == Some(arch)));
        let machines: Vec<&str> = guest
            .map(|guest| guest.descendants().filter(|n| n.has_tag_name("machine")).filter_map(|n| n.text()).collect())
            .unwrap_or_default();
        let offers_kvm = guest.is_some_and(|guest| {
            guest.children().any(|node| node.has_tag_name("domain") && node.attribute("type") == Some("kvm"))
        });
        let x86 = matches!(arch, "x86_64" | "i686");
        Some(Self {
            arch: Some(arch.to_owned()),
            machine: MACHINES.into_iter().find(|name| machines.contains(name)).map(ToOwned::to_owned),
            kvm: offers_kvm && (virtualises || !x86),
            machines: machines.into_iter().map(ToOwned::to_owned).collect(),
            hugepages: pages(root),
        })
    }

    /// Whether the processor shall run this guest.
    pub(super) fn kvm(&self, accel: Accel) -> Result<bool, HypervisorError> {
        match accel {
            Accel::Auto => Ok(self.kvm),
            Accel::Tcg => Ok(false),
            Accel::Kvm if self.kvm => Ok(true),
            Accel::Kvm => Err(HypervisorError::new(
                ErrorKind::Unsupported,
                "`accel: kvm` is not possible: this host's processor cannot run guests",
            )
            .with_hint("enable virtualisation in the firmware or for this nested host, or write `accel: auto`")),
        }
    }
}

/// The usual pages are no large ones.
fn pages(root: Node<'_, '_>) -> BTreeMap<Bytes, u64> {
    const USUAL: Bytes = Bytes(1 << 16);
    let cells = root.descendants().filter(|node| node.has_tag_name("cell"));
    let pages = cells.flat_map(|cell| cell.children()).filter(|node| node.has_tag_name("pages"));
    let mut found = BTreeMap::new();
    for node in pages {
        let size = node.attribute("size").and_then(|kib| kib.parse::<u64>().ok()).map(|kib| Bytes(kib << 10));
        let count = node.text().and_then(|count| count.trim().parse::<u64>().ok());
        if let (Some(size), Some(count)) = (size.filter(|size| *size > USUAL), count) {
            *found.entry(size).or_insert(0) += count;
        }
    }
    found
}

pub(super) fn child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|child| child.has_tag_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_and_remote_are_told_apart() {
        for uri in ["qemu:///system", "qemu+unix:///system?socket=/run/x", "test:///default", "qemu:///session"] {
            assert!(is_local(uri), "{uri}");
        }
        for uri in
            ["qemu+ssh://host/system", "qemu://host/system", "qemu+tls://u@host:16514/system", "qemu+ssh:///system"]
        {
            assert!(!is_local(uri), "{uri}");
        }
        assert!(is_session("qemu:///session?socket=/x") && !is_session("qemu:///system"));
    }

    fn capabilities(feature: &str) -> String {
        format!(
            "<capabilities><host><cpu><arch>x86_64</arch><feature name='{feature}'/></cpu></host>
             <guest><os_type>hvm</os_type><arch name='i686'><machine>isapc</machine></arch></guest>
             <guest><os_type>hvm</os_type><arch name='x86_64'><machine>pc</machine><machine canonical='x'>q35</machine>
             <domain type='qemu'/><domain type='kvm'/></arch></guest></capabilities>"
        )
    }

    #[test]
    fn kvm_is_believed_only_where_the_processor_has_it() {
        for (feature, really) in [("vmx", true), ("svm", true), ("hypervisor", false)] {
            let offer = Offer::parse(&capabilities(feature)).expect("capabilities");
            assert_eq!(offer.kvm(Accel::Auto), Ok(really), "{feature}");
            assert_eq!(offer.kvm(Accel::Kvm).is_ok(), really, "{feature}");
            assert_eq!(offer.kvm(Accel::Tcg), Ok(false), "{feature}");
            assert_eq!(offer.machine.as_deref(), Some("q35"));
        }
    }
}
