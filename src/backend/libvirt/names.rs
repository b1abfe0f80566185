//! Which object of libvirt's belongs to which resource, and back.
//!
//! Owns every name, path component and identifier that is given to libvirt. Domains and networks are read by people, so
//! their names are plain; they are owned by their metadata. Volumes have no metadata: their names use a separator that
//! no name may contain, so that each leads back to exactly one resource of exactly one project. Asks libvirt nothing.

use std::net::Ipv4Addr;

use sha2::{Digest as _, Sha256};

use crate::model::{Digest, Image, ImageFormat, Volume};
use crate::names::{Generation, ImageName, NetworkName, POOL_PREFIX, Pool, ProjectName, VmName, VolumeName};
use crate::plan::operation::VmDisk;
use crate::units::Bytes;

/// Stands between the parts of a volume's name; [`crate::names`] lets no name contain it.
pub(super) const SEPARATOR: char = '.';

/// Name of the domain of a vm.
pub(super) fn domain(project: &ProjectName, vm: &VmName) -> String {
    format!("{project}-{vm}")
}

/// The vm whose domain this name would be. Another project can have the same domain name (`a-b` and `c`, `a` and
/// `b-c`), so this is a claim to check, not ownership.
pub(super) fn vm_of_domain(project: &ProjectName, domain: &str) -> Option<VmName> {
    VmName::new(local(project, domain)?).ok()
}

/// Name of a network.
pub(super) fn network(project: &ProjectName, network: &NetworkName) -> String {
    format!("{project}-{network}")
}

/// The network whose libvirt name this would be; as little proof as [`vm_of_domain`].
pub(super) fn network_of(project: &ProjectName, name: &str) -> Option<NetworkName> {
    NetworkName::new(local(project, name)?).ok()
}

fn local<'a>(project: &ProjectName, name: &'a str) -> Option<&'a str> {
    name.strip_prefix(project.as_str())?.strip_prefix('-')
}

/// Name of the bridge of a network: readable, the same every time, and within the 15 characters that the kernel gives
/// an interface. The hash tells apart what would be the same after shortening.
pub(super) fn bridge(project: &ProjectName, network: &NetworkName) -> String {
    let short: String = network.as_str().chars().take(5).collect();
    let short = short.trim_end_matches(['-', '_']);
    let tail = base32(&hash(&["bridge", project.as_str(), network.as_str()]), 5);
    format!("vmc-{short}-{tail}")
}

/// The multicast group and the port that a wire of a user's is: of the addresses that are for one organisation alone
/// (RFC 2365), and of the ports that nobody gets by chance. `home` tells one user from another.
pub(super) fn wire(home: &str, project: &ProjectName, network: &NetworkName) -> (Ipv4Addr, u16) {
    let [a, b, c, d, e, ..] = hash(&["wire", home, project.as_str(), network.as_str()]);
    let port = 16_384 + (u16::from_be_bytes([d, e]) & 0x3fff);
    (Ipv4Addr::new(239, 192 | (a & 3), b, c), port)
}

/// Name of a pool; all projects of a hypervisor share it.
pub(super) fn pool(pool: Pool) -> String {
    format!("{POOL_PREFIX}{pool}")
}

/// A volume in one of the pools, as its name tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stored {
    /// A named volume, in the pool of disks or in one of the user's own. One that is shared is raw, and called so.
    Volume { name: VolumeName, shared: bool, pool: Option<String> },
    /// A disk of a vm's own, in the pool of disks.
    Disk { vm: VmName, disk: VolumeName, generation: Generation },
    /// What a vm is told at its first boot, in the pool of disks.
    Seed(VmName, Generation),
    /// The same for a guest with Ignition, in the pool of disks.
    Ignition(VmName, Generation),
    /// What the console of a vm says; or an older part of it, by its number.
    Console { vm: VmName, pool: Pool, older: Option<u8> },
    /// A boot medium, in the pool of images. The length is in the name because it proves that an upload came to its
    /// end: a volume that is shorter than its name says was cut short, and no machine has to remember it.
    Image { name: ImageName, digest: Digest, length: Bytes, format: ImageFormat },
}

impl Stored {
    /// The name for an image's content.
    pub(super) fn image(image: &Image) -> Self {
        let Image { name, digest, length, format, .. } = image.clone();
        Self::Image { name, digest, length, format }
    }

    /// A disk of a vm's own.
    pub(super) fn disk(disk: &VmDisk) -> Self {
        Self::Disk { vm: disk.vm.clone(), disk: disk.disk.clone(), generation: disk.generation }
    }

    /// A named volume.
    pub(super) fn volume(volume: &Volume) -> Self {
        Self::Volume { name: volume.name.clone(), shared: volume.shared, pool: volume.pool.clone() }
    }

    /// The pool of the user's own that it is in.
    pub(super) fn elsewhere(&self) -> Option<&str> {
        match self {
            Self::Volume { pool, .. } => pool.as_deref(),
            _ => None,
        }
    }

    /// How its bytes are laid out.
    pub(super) fn format(&self) -> ImageFormat {
        match self {
            Self::Volume { shared: true, .. } | Self::Seed(..) | Self::Ignition(..) | Self::Console { .. } => {
                ImageFormat::Raw
            }
            Self::Volume { .. } | Self::Disk { .. } => ImageFormat::Qcow2,
            Self::Image { format, .. } => *format,
        }
    }

    /// The one of our pools that it is in, or whose turns it takes.
    pub(super) fn pool(&self) -> Pool {
        match self {
            Self::Volume { .. } | Self::Disk { .. } | Self::Seed(..) | Self::Ignition(..) => Pool::Disks,
            Self::Image { .. } => Pool::Images,
            Self::Console { pool, .. } => *pool,
        }
    }

    /// Its name in the pool.
    pub(super) fn name(&self, project: &ProjectName) -> String {
        match self {
            Self::Volume { name, .. } => format!("{project}.{name}.{}", self.format().as_str()),
            Self::Disk { vm, disk, generation } => format!("{project}.{vm}.{disk}{}.qcow2", since(*generation)),
            Self::Seed(vm, generation) => format!("{project}.{vm}.seed{}.iso", since(*generation)),
            Self::Ignition(vm, generation) => format!("{project}.{vm}.ignition{}.json", since(*generation)),
            Self::Console { vm, older: None, .. } => format!("{project}.{vm}.console.log"),
            Self::Console { vm, older: Some(n), .. } => format!("{project}.{vm}.console.log.{n}"),
            Self::Image { name, digest, length, format } => {
                format!("{project}.{name}.{digest}.{}.{}", length.0, format.as_str())
            }
        }
    }

    /// What a volume of this name is to the project; `None` when it is not the project's.
    pub(super) fn parse(project: &ProjectName, pool: Pool, name: &str) -> Option<Self> {
        let parts: Vec<&str> = name.split(SEPARATOR).collect();
        let stored = match (pool, parts.as_slice()) {
            (Pool::Disks, [_, volume, format @ ("qcow2" | "raw")]) => {
                Self::Volume { name: volume.parse().ok()?, shared: *format == "raw", pool: None }
            }
            (_, [_, vm, "console", "log"]) => Self::Console { vm: vm.parse().ok()?, pool, older: None },
            (_, [_, vm, "console", "log", n]) => {
                Self::Console { vm: vm.parse().ok()?, pool, older: Some(n.parse().ok()?) }
            }
            (Pool::Disks, [_, vm, disk, since @ .., "qcow2"]) => {
                Self::Disk { vm: vm.parse().ok()?, disk: disk.parse().ok()?, generation: generation(since)? }
            }
            (Pool::Disks, [_, vm, "seed", since @ .., "iso"]) => Self::Seed(vm.parse().ok()?, generation(since)?),
            (Pool::Disks, [_, vm, "ignition", since @ .., "json"]) => {
                Self::Ignition(vm.parse().ok()?, generation(since)?)
            }
            (Pool::Images, [_, image, digest, length, format]) => Self::Image {
                name: image.parse().ok()?,
                digest: Digest::new(digest)?,
                length: Bytes(length.parse().ok()?),
                format: [ImageFormat::Qcow2, ImageFormat::Raw].into_iter().find(|f| f.as_str() == *format)?,
            },
            _ => return None,
        };
        // Only what is written exactly so is ours: `007` is a length too, but not one that we write.
        (stored.name(project) == name).then_some(stored)
    }

    /// The same in a pool of the user's own, where named volumes alone can be.
    pub(super) fn parse_elsewhere(project: &ProjectName, pool: &str, name: &str) -> Option<Self> {
        match Self::parse(project, Pool::Disks, name)? {
            Self::Volume { name, shared, .. } => Some(Self::Volume { name, shared, pool: Some(pool.to_owned()) }),
            _ => None,
        }
    }
}

/// What tells a vm's disks from those of the one that it replaces; nothing where it replaces none.
fn since(generation: Generation) -> String {
    if generation.is_first() { String::new() } else { format!("{SEPARATOR}{}", generation.0) }
}

fn generation(since: &[&str]) -> Option<Generation> {
    match since {
        [] => Some(Generation::FIRST),
        [number] => number.parse().ok().map(Generation),
        _ => None,
    }
}

/// A UUID that is the same for the same resource everywhere. libvirt lets nobody take a name over whose object has
/// another UUID, so a foreign object that appears between our look and our definition is safe.
pub(super) fn uuid(kind: &str, project: &ProjectName, name: &str) -> String {
    let mut bytes = [0u8; 16];
    bytes.copy_from_slice(&hash(&["uuid", kind, project.as_str(), name])[..16]);
    // Version 8, custom, and the variant of RFC 9562.
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// Name of the n-th virtio disk (from 0) in the guest: `vda` … `vdz`, `vdaa` …
pub(super) fn target(index: usize) -> String {
    let mut letters = Vec::new();
    let mut rest = index + 1;
    while rest > 0 {
        rest -= 1;
        letters.push(b"abcdefghijklmnopqrstuvwxyz"[rest % 26]);
        rest /= 26;
    }
    let letters: String = letters.iter().rev().map(|byte| char::from(*byte)).collect();
    format!("vd{letters}")
}

fn hash(parts: &[&str]) -> [u8; 32] {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update(part.as_bytes());
        sha.update([0]);
    }
    sha.finalize().into()
}

fn base32(bytes: &[u8], length: usize) -> String {
    let letter = |byte: &u8| char::from(b"abcdefghijklmnopqrstuvwxyz234567"[usize::from(byte % 32)]);
    bytes.iter().take(length).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(name: &str) -> ProjectName {
        ProjectName::new(name).expect("legal")
    }

    fn volume(name: &str) -> VolumeName {
        VolumeName::new(name).expect("legal")
    }

    fn examples() -> Vec<Stored> {
        let vm = VmName::new("b-c").expect("legal");
        let digest = Digest::new("0123456789ab").expect("legal");
        let image = |format| Stored::Image {
            name: ImageName::new("c").expect("legal"),
            digest: digest.clone(),
            length: Bytes(42),
            format,
        };
        vec![
            Stored::Volume { name: volume("b-c"), shared: false, pool: None },
            Stored::Volume { name: volume("b-c"), shared: true, pool: None },
            Stored::Disk { vm: vm.clone(), disk: volume("seed"), generation: Generation::FIRST },
            Stored::Disk { vm: vm.clone(), disk: volume("seed"), generation: Generation(12) },
            Stored::Seed(vm.clone(), Generation::FIRST),
            Stored::Seed(vm.clone(), Generation(1)),
            Stored::Ignition(vm.clone(), Generation::FIRST),
            Stored::Ignition(vm.clone(), Generation(1)),
            Stored::Console { vm: vm.clone(), pool: Pool::Images, older: None },
            Stored::Console { vm, pool: Pool::Disks, older: Some(2) },
            image(ImageFormat::Raw),
            image(ImageFormat::Qcow2),
        ]
    }

    #[test]
    fn volumes_survive_a_round_trip() {
        for stored in examples() {
            let name = stored.name(&project("a"));
            assert_eq!(Stored::parse(&project("a"), stored.pool(), &name), Some(stored), "{name}");
        }
    }

    #[test]
    fn a_volume_is_never_another_projects() {
        for stored in examples() {
            let name = stored.name(&project("a-b"));
            for other in ["a", "a-b-c", "a_b", "b", "a-b-b-c"] {
                assert_eq!(Stored::parse(&project(other), stored.pool(), &name), None, "{name} for {other}");
            }
        }
    }

    #[test]
    fn a_name_that_we_would_not_write_is_not_ours() {
        let parse = |pool, name| Stored::parse(&project("a"), pool, name);
        for name in [
            "a.b",
            "a.b.img",
            "a.B.qcow2",
            "a..qcow2",
            "a.b.c.d.qcow2",
            "a.b.c.0.qcow2",
            "a.b.c.01.qcow2",
            "a.b.seed.0.iso",
            "a.b.c.1.1.qcow2",
            "a.b.qcow2.part",
            "b.qcow2",
            "",
        ] {
            assert_eq!(parse(Pool::Disks, name), None, "{name}");
        }
        for name in ["a.c.0123456789ab.042.raw", "a.c.0123456789AB.42.raw", "a.c.0123456789ab.42.vdi", "a.c.qcow2"] {
            assert_eq!(parse(Pool::Images, name), None, "{name}");
        }
    }

    #[test]
    fn a_domain_is_claimed_by_every_project_that_could_name_it_so() {
        assert_eq!(vm_of_domain(&project("a"), "a-b-c").expect("a claim").as_str(), "b-c");
        assert_eq!(vm_of_domain(&project("a-b"), "a-b-c").expect("a claim").as_str(), "c");
        assert_eq!(vm_of_domain(&project("a"), "ab-c"), None);
        assert_eq!(vm_of_domain(&project("a"), "a-"), None);
        assert_eq!(network_of(&project("a"), "a-back_end").expect("a claim").as_str(), "back_end");
    }

    #[test]
    fn bridges_fit_the_kernel_and_tell_networks_apart() {
        let of = |p: &str, n: &str| bridge(&project(p), &NetworkName::new(n).expect("legal"));
        let all = [of("a", "b-c"), of("a-b", "c"), of("shop", "backend"), of("shop", "backend2"), of("s", "four-x")]
            .map(|name| {
                assert!(name.len() <= 15, "{name}");
                name
            });
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert!(of("shop", "backend").starts_with("vmc-backe-"));
        assert!(of("shop", "four-x").starts_with("vmc-four-"), "{}", of("shop", "four-x"));
    }

    #[test]
    fn uuids_are_stable_and_distinct() {
        let of = |kind, p: &str, name| uuid(kind, &project(p), name);
        assert_eq!(of("vm", "a", "b-c"), of("vm", "a", "b-c"));
        assert_ne!(of("vm", "a", "b-c"), of("vm", "a-b", "c"));
        assert_ne!(of("vm", "a", "b"), of("network", "a", "b"));
        assert_eq!(&of("vm", "a", "b")[14..15], "8");
    }

    #[test]
    fn disks_are_named_as_the_guest_names_them() {
        let names: Vec<String> = [0, 1, 25, 26, 27, 701, 702].into_iter().map(target).collect();
        assert_eq!(names, ["vda", "vdb", "vdz", "vdaa", "vdab", "vdzz", "vdaaa"]);
    }
}
