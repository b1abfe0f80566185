//! What a hypervisor stores, as it is told to people: its pools, and what projects have in them.
//!
//! Owns these plain values. Knows nothing of how they are found out.

use serde::Serialize;

use crate::model::ImageFormat;
use crate::names::ProjectName;
use crate::units::Bytes;

/// A storage pool, whoever made it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PoolReport {
    /// Its name on the hypervisor.
    pub name: String,
    /// What it is made of: `dir`, `netfs`, `logical`, …
    pub kind: String,
    /// Whether it is started.
    pub active: bool,
    /// Whether it starts with the hypervisor.
    pub autostart: bool,
    /// Whether it is one of the two that vmcompose keeps itself.
    pub own: bool,
    /// Where it is on the hypervisor.
    pub path: Option<String>,
    /// What it can hold; `None` where it is stopped.
    pub capacity: Option<Bytes>,
    /// What of that is taken, by anybody.
    pub allocated: Option<Bytes>,
    /// What is left.
    pub available: Option<Bytes>,
    /// How many volumes are in it, anybody's; `None` where it is stopped.
    pub volumes: Option<usize>,
}

/// Something that a project has in a pool.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VolumeReport {
    /// Whose it is.
    pub project: ProjectName,
    /// What people call it: `data`, or `db/root` for the disk of a vm.
    pub name: String,
    /// What it is.
    pub kind: VolumeKind,
    /// The pool it is in.
    pub pool: String,
    /// Whether that is one of the user's own.
    #[serde(skip)]
    pub foreign_pool: bool,
    /// Its name in the pool.
    pub file: String,
    /// Where it is on the hypervisor.
    pub path: String,
    /// How its bytes are laid out.
    pub format: ImageFormat,
    /// What a guest sees.
    pub size: Bytes,
    /// What it takes up.
    pub allocated: Bytes,
    /// What it is an overlay of: an image by name and content, or a path.
    pub backing: Option<String>,
    /// The vms that have it as a disk, whether they run or not.
    pub used_by: Vec<User>,
}

impl VolumeReport {
    /// The pool that it is in, where that is one of the user's own.
    pub fn elsewhere(&self) -> Option<&str> {
        self.foreign_pool.then_some(self.pool.as_str())
    }
}

/// What something in a pool is to its project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VolumeKind {
    /// A named volume, which survives `down`.
    Volume,
    /// A disk of a vm's own.
    Disk,
    /// What a vm is told at its first boot.
    Seed,
    /// What the console of a vm said.
    Console,
    /// A boot medium.
    Image,
}

impl VolumeKind {
    /// The word for it, the same as in the formats for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Volume => "volume",
            Self::Disk => "disk",
            Self::Seed => "seed",
            Self::Console => "console",
            Self::Image => "image",
        }
    }
}

/// A vm that has something as a disk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct User {
    /// Its project; `None` for a vm that vmcompose did not make.
    pub project: Option<String>,
    /// Its name.
    pub vm: String,
    /// Whether it runs now.
    pub running: bool,
}

/// A pool to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPool {
    /// Its name.
    pub name: String,
    /// Its folder on the hypervisor, absolute.
    pub folder: String,
    /// The NFS export that is mounted there: host and path.
    pub nfs: Option<(String, String)>,
}

/// Is told how much of a copy is done, of how much, and answers whether to go on.
pub type Tell<'a> = dyn Fn(u64, u64) -> bool + 'a;

/// A file that is to become a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incoming {
    /// How its bytes are laid out.
    pub format: ImageFormat,
    /// Its length.
    pub length: Bytes,
    /// What a guest will see.
    pub size: Bytes,
}
