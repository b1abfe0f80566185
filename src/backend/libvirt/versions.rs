//! What is at the other end, and in which version.

use super::{Libvirt, error};
use crate::backend::HypervisorError;

/// What is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions {
    /// libvirt's version there, as `11.3.0`.
    pub libvirt: String,
    /// The driver: `QEMU`, `TEST`, …
    pub driver: String,
    /// The hypervisor's version, as `10.0.2`.
    pub hypervisor: String,
}

impl Libvirt {
    /// What is at the other end, and in which version.
    pub fn versions(&self) -> Result<Versions, HypervisorError> {
        // libvirt packs a version into one number: 1,000,000 × major + 1,000 × minor + release.
        let dotted = |n: u32| format!("{}.{}.{}", n / 1_000_000, n / 1000 % 1000, n % 1000);
        self.connections.with(|connect| {
            let asked = || error::failed("cannot ask the hypervisor for its version");
            Ok(Versions {
                libvirt: dotted(connect.get_lib_version().map_err(asked())?),
                driver: connect.get_type().map_err(asked())?,
                hypervisor: dotted(connect.get_hyp_version().map_err(asked())?),
            })
        })
    }
}
