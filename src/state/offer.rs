//! What a hypervisor can do, as far as a spec can ask for it.
//!
//! Owns the answer to "can this vm be made here", in words for people. How it is found out is the backend's business.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::hardware::{CpuMode, Firmware, HostDevice, Hugepages};
use crate::model::{Accel, Vm};
use crate::units::Bytes;

/// What a hypervisor offers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own that a hypervisor has or has not")]
pub struct Offer {
    /// Machine types.
    pub machines: BTreeSet<String>,
    /// Processors of one vm, at most.
    pub max_cpus: Option<u32>,
    /// Modes of processors.
    pub cpu_modes: BTreeSet<String>,
    /// Models of processors.
    pub cpu_models: BTreeSet<String>,
    /// UEFI.
    pub uefi: bool,
    /// UEFI that boots only what is signed.
    pub secure_boot: bool,
    /// An emulated TPM 2.0.
    pub tpm: bool,
    /// Ways to show a screen.
    pub graphics: BTreeSet<String>,
    /// Kinds of host devices that a vm can have.
    pub devices: BTreeSet<String>,
    /// Large pages that are set aside, by their size.
    pub hugepages: BTreeMap<Bytes, u64>,
    /// The processor runs guests itself.
    pub kvm: bool,
    /// Limits of processors, memory and networks; a user's own session cannot set them.
    pub limits: bool,
}

/// Something that a vm asks for and the hypervisor cannot do: what, and what there is instead.
pub type Lack = (String, Option<String>);

impl Offer {
    /// What a vm asks for in vain.
    pub fn lacks(&self, vm: &Vm) -> Vec<Lack> {
        let own = &vm.hardware;
        let mut lacks = Vec::new();
        let mut lack = |missing: bool, what: String, hint: Option<String>| {
            if missing {
                lacks.push((what, hint));
            }
        };
        if let Some(machine) = &own.machine {
            let known = self.machines.contains(machine);
            // Each has a dozen versions besides.
            let plain = self.machines.iter().filter(|name| !name.contains('.')).cloned().collect();
            lack(!known, format!("machine type `{machine}`"), among("machine types", &plain));
        }
        let cpus = own.max_cpus.unwrap_or(vm.cpus);
        if let Some(most) = self.max_cpus {
            lack(cpus > most, format!("{cpus} cpus"), Some(format!("it gives a vm {most} at most")));
        }
        match own.cpu.as_ref().and_then(|cpu| cpu.mode.as_ref()) {
            None => {}
            Some(CpuMode::Model(model)) => {
                let known = self.cpu_models.contains(model);
                lack(!known, format!("cpu model `{model}`"), among("cpu models", &self.cpu_models));
            }
            Some(mode) => {
                let known = self.cpu_modes.contains(mode.as_str());
                lack(!known, format!("cpu mode `{}`", mode.as_str()), among("cpu modes", &self.cpu_modes));
            }
        }
        let install = |package: &str| Some(format!("install `{package}` on the hypervisor's machine"));
        let uefi = own.firmware == Some(Firmware::Uefi);
        lack(uefi && !self.uefi, "`firmware: uefi`".to_owned(), install("ovmf"));
        lack(uefi && self.uefi && own.secure_boot && !self.secure_boot, "`secure_boot`".to_owned(), install("ovmf"));
        lack(own.tpm && !self.tpm, "`tpm`".to_owned(), install("swtpm-tools"));
        if let Some(screen) = &own.graphics {
            let known = self.graphics.contains(screen.protocol.as_str());
            let hint = among("screens", &self.graphics);
            lack(!known, format!("`graphics: {}`", screen.protocol.as_str()), hint);
        }
        for device in &own.devices {
            let kind = match device {
                HostDevice::Pci { .. } => "pci",
                HostDevice::Usb { .. } => "usb",
            };
            lack(!self.devices.contains(kind), format!("{kind} devices of the host"), None);
        }
        if let Some(pages) = own.hugepages {
            let none = "it has set no such pages aside; see `vm.nr_hugepages`".to_owned();
            lack(!self.has_pages(pages), "`hugepages`".to_owned(), Some(none));
        }
        let limits = &own.limits;
        let grouped = limits.cpu_shares.is_some() || limits.cpu_quota.is_some() || limits.memory_hard.is_some();
        let grouped = grouped || limits.memory_soft.is_some() || limits.download.is_some() || limits.upload.is_some();
        let system = "a user's own session limits only disks; connect to `qemu:///system`".to_owned();
        lack(grouped && !self.limits, "`limits` of cpus, memory and networks".to_owned(), Some(system));
        let processor = "its processor cannot run guests; write `accel: auto`".to_owned();
        lack(vm.accel == Accel::Kvm && !self.kvm, "`accel: kvm`".to_owned(), Some(processor));
        lacks
    }

    fn has_pages(&self, wanted: Hugepages) -> bool {
        match wanted {
            Hugepages::Default => self.hugepages.values().any(|count| *count > 0),
            Hugepages::Size(size) => self.hugepages.get(&size).is_some_and(|count| *count > 0),
        }
    }
}

fn among(what: &str, known: &BTreeSet<String>) -> Option<String> {
    /// More than these nobody reads.
    const MOST: usize = 12;
    let some: Vec<String> = known.iter().take(MOST).map(|name| format!("`{name}`")).collect();
    let more = if known.len() > MOST { ", …" } else { "" };
    (!some.is_empty()).then(|| format!("its {what} are {}{more}", some.join(", ")))
}
