//! What of a vm only a start can change, as far as its spec speaks of it.
//!
//! Owns which fields those are. What the file leaves to the hypervisor is not among them, and whoever changes that by
//! other means is left alone.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::hardware::{Hardware, Limits};
use crate::model::{Accel, Boot, ImageRef, Port, Share, Vm};

/// The fixed part of a vm. It is written out with the names of the spec's own fields.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fixed {
    /// Its hardware, without what can change while it runs.
    #[serde(flatten)]
    pub hardware: Hardware,
    /// What it boots from, in words: kernel, initrd, cmdline, disk.
    pub boot: BTreeMap<&'static str, String>,
    /// How its instructions are run; `None` where that is the hypervisor's choice.
    pub accel: Option<Accel>,
    /// Its folders of the host.
    pub shares: Vec<Share>,
    /// Its published ports.
    pub ports: Vec<Port>,
}

impl Fixed {
    /// What a vm of this spec has.
    pub fn of(vm: &Vm) -> Self {
        Self {
            hardware: Hardware { limits: Limits::default(), xml: None, ..vm.hardware.clone() },
            boot: boot(&vm.boot),
            accel: (vm.accel != Accel::Auto).then_some(vm.accel),
            shares: vm.shares.clone(),
            ports: vm.ports.clone(),
        }
    }

    /// An image, as people are told of it.
    pub fn image(image: &ImageRef) -> String {
        match &image.digest {
            Some(digest) => format!("`{}` ({digest})", image.name),
            None => format!("`{}`", image.name),
        }
    }
}

fn boot(boot: &Boot) -> BTreeMap<&'static str, String> {
    match boot {
        Boot::Image(_) | Boot::Cdrom(_) => BTreeMap::from([("disk", "attached".to_owned())]),
        // Whatever it boots from was never said.
        Boot::Existing { .. } => BTreeMap::new(),
        Boot::Kernel { kernel, initrd, cmdline } => {
            let kernel = [("kernel", Fixed::image(kernel)), ("cmdline", cmdline.clone())];
            kernel.into_iter().chain(initrd.as_ref().map(|initrd| ("initrd", Fixed::image(initrd)))).collect()
        }
    }
}
