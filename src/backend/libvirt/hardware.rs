//! A vm's hardware as the domain template takes it.
//!
//! Owns the units and words of libvirt for limits, processors, firmware and devices. Looks nothing up.

use serde::Serialize;

use crate::model::Vm;
use crate::model::hardware::{CpuMode, Firmware, HostDevice, Hugepages, Limits, Topology};
use crate::units::Bytes;

/// Length of a period, in microseconds, of which a quota is a part.
pub(super) const PERIOD: u64 = 100_000;
/// Places for devices that are plugged in while the vm runs.
const SPARE_PORTS: usize = 4;
/// Devices of the template that take a place of their own: memory balloon, random numbers, the agent's channel.
const FIXED_DEVICES: usize = 3;

#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "a template asks for each by its name")]
pub(super) struct Hardware {
    memory_kib: u64,
    max_memory_kib: u64,
    cpus: u32,
    max_cpus: u32,
    /// `None`: as usual. An empty list: of the host's usual large size.
    hugepages: Option<Vec<u64>>,
    cpu: Option<Cpu>,
    pin_all: Option<String>,
    pin_each: Vec<(String, String)>,
    uefi: bool,
    secure_boot: bool,
    tpm: bool,
    graphics: Option<Graphics>,
    watchdog: Option<&'static str>,
    usb: bool,
    devices: Vec<Device>,
    on_poweroff: &'static str,
    on_crash: &'static str,
    panic: bool,
    root_ports: usize,
}

#[derive(Serialize)]
struct Cpu {
    mode: Option<String>,
    model: Option<String>,
    topology: Option<Topology>,
}

#[derive(Serialize)]
struct Graphics {
    protocol: &'static str,
    listen: String,
    port: Option<u16>,
}

/// libvirt reads hexadecimal numbers here, and prints them so.
#[derive(Serialize)]
struct Device {
    kind: &'static str,
    numbers: Vec<String>,
}

/// Limits in libvirt's units.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Tuning {
    pub(super) shares: Option<u32>,
    pub(super) quota: Option<i64>,
    pub(super) hard_kib: Option<u64>,
    pub(super) soft_kib: Option<u64>,
    /// Names and values of `<iotune>`.
    pub(super) disk: Vec<(&'static str, u64)>,
    /// KiB a second.
    pub(super) inbound: Option<u64>,
    /// KiB a second.
    pub(super) outbound: Option<u64>,
}

impl Tuning {
    pub(super) fn of(limits: &Limits) -> Self {
        let kib = |bytes: Option<Bytes>| bytes.map(Bytes::kib_ceil);
        Self {
            shares: limits.cpu_shares,
            quota: limits.cpu_quota.map(quota),
            hard_kib: kib(limits.memory_hard),
            soft_kib: kib(limits.memory_soft),
            disk: disk_tuning(limits).into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
            inbound: kib(limits.download),
            outbound: kib(limits.upload),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the file allows a few thousand processors at most")]
#[expect(clippy::cast_precision_loss, reason = "the period is a small number")]
fn quota(processors: f64) -> i64 {
    (processors * PERIOD as f64).round() as i64
}

/// The names are those of `<iotune>` and of the live call alike.
pub(super) fn disk_tuning(limits: &Limits) -> [(&'static str, Option<u64>); 6] {
    let disk = &limits.disk;
    [
        ("total_bytes_sec", disk.throughput.map(|bytes| bytes.0)),
        ("read_bytes_sec", disk.read_throughput.map(|bytes| bytes.0)),
        ("write_bytes_sec", disk.write_throughput.map(|bytes| bytes.0)),
        ("total_iops_sec", disk.iops),
        ("read_iops_sec", disk.read_iops),
        ("write_iops_sec", disk.write_iops),
    ]
}

impl Hardware {
    /// `usual_mode` is the CPU mode where the file names none; `pcie` whether devices need ports to be plugged into.
    pub(super) fn of(vm: &Vm, usual_mode: Option<&'static str>, x86: bool, pcie: bool) -> Self {
        let own = &vm.hardware;
        let usb = own.devices.iter().any(|device| matches!(device, HostDevice::Usb { .. }));
        let placed = vm.disks.len() + vm.shares.len() + vm.interfaces.len() + own.devices.len();
        let placed = placed + FIXED_DEVICES + usize::from(usb) + usize::from(vm.cloud_init.is_some()) + 1;
        let hugepages = own.hugepages.map(|pages| match pages {
            Hugepages::Default => Vec::new(),
            Hugepages::Size(size) => vec![size.kib_ceil()],
        });
        let pinning = own.cpu.as_ref().map(|cpu| cpu.pinning.clone()).unwrap_or_default();
        Self {
            memory_kib: vm.memory.kib_ceil(),
            max_memory_kib: own.max_memory.unwrap_or(vm.memory).kib_ceil(),
            cpus: vm.cpus,
            max_cpus: own.max_cpus.unwrap_or(vm.cpus),
            hugepages,
            cpu: cpu(vm, usual_mode),
            pin_all: pinning.all,
            pin_each: pinning.each.into_iter().collect(),
            uefi: own.firmware == Some(Firmware::Uefi),
            secure_boot: own.secure_boot,
            tpm: own.tpm,
            graphics: own.graphics.as_ref().map(|screen| Graphics {
                protocol: screen.protocol.as_str(),
                listen: screen.listen.clone(),
                port: screen.port,
            }),
            watchdog: own.watchdog.map(crate::model::hardware::Watchdog::as_str),
            usb,
            devices: own.devices.iter().copied().map(device).collect(),
            on_poweroff: if own.restart.after_poweroff() { "restart" } else { "destroy" },
            on_crash: if own.restart.after_crash() { "restart" } else { "destroy" },
            panic: own.restart.after_crash() && x86,
            root_ports: if pcie { placed + SPARE_PORTS } else { 0 },
        }
    }
}

fn cpu(vm: &Vm, usual_mode: Option<&'static str>) -> Option<Cpu> {
    let own = vm.hardware.cpu.as_ref();
    let topology = own.and_then(|cpu| cpu.topology);
    let (mode, model) = match own.and_then(|cpu| cpu.mode.as_ref()) {
        Some(CpuMode::Model(model)) => (Some("custom".to_owned()), Some(model.clone())),
        Some(mode) => (Some(mode.as_str().to_owned()), None),
        None => (usual_mode.map(ToOwned::to_owned), None),
    };
    (mode.is_some() || topology.is_some()).then_some(Cpu { mode, model, topology })
}

fn device(device: HostDevice) -> Device {
    match device {
        HostDevice::Pci { domain, bus, slot, function } => Device {
            kind: "pci",
            numbers: vec![
                format!("0x{domain:04x}"),
                format!("0x{bus:02x}"),
                format!("0x{slot:02x}"),
                format!("0x{function:x}"),
            ],
        },
        HostDevice::Usb { vendor, product } => {
            Device { kind: "usb", numbers: vec![format!("0x{vendor:04x}"), format!("0x{product:04x}")] }
        }
    }
}
