//! What a vm's machine is: each key alone, and how it is recorded.

use vmcompose::model::hardware::{
    Cpu, CpuMode, DiskLimits, Firmware, Graphics, GraphicsProtocol, Hardware, HostDevice, Hugepages, Limits, Pinning,
    Restart, Topology, Watchdog,
};
use vmcompose::model::{Spec, Vm};
use vmcompose::units::Bytes;

use crate::compose::fixture::{Fixture, vm};

fn machine(keys: &str) -> Vm {
    vm(&Fixture::new(&format!("vms:\n  web:\n    image: ./a\n{keys}")).project(), "web").clone()
}

#[test]
fn every_key_arrives() {
    let keys = "
    cpus: 2
    max_cpus: 4
    max_memory: 2GiB
    cpu: {mode: EPYC, topology: {sockets: 2, cores: 2}, pinning: {0: 0-3, 1: '4,^5'}}
    hugepages: 2MiB
    machine: q35
    firmware: uefi
    secure_boot: true
    tpm: true
    graphics: {protocol: spice, port: 5901}
    watchdog: reset
    devices: [{pci: '03:00.1'}, {usb: '046d:c52b'}]
    restart: on-failure
    limits:
      cpu: {shares: 512, quota: 1.5}
      memory: {hard: 3GiB, soft: 1GiB}
      disk: {read_iops: 100, throughput: 5MiB}
      network: {download: 10MiB, upload: 1MiB}
    xml: <on_reboot>destroy</on_reboot>
";
    let each = [("0".to_owned(), "0-3".to_owned()), ("1".to_owned(), "4,^5".to_owned())];
    let wanted = Hardware {
        cpu: Some(Cpu {
            mode: Some(CpuMode::Model("EPYC".to_owned())),
            topology: Some(Topology { sockets: 2, cores: 2, threads: 1 }),
            pinning: Pinning { all: None, each: each.into() },
        }),
        max_cpus: Some(4),
        max_memory: Some(Bytes::gib(2)),
        hugepages: Some(Hugepages::Size(Bytes::mib(2))),
        machine: Some("q35".to_owned()),
        firmware: Some(Firmware::Uefi),
        secure_boot: true,
        tpm: true,
        graphics: Some(Graphics {
            protocol: GraphicsProtocol::Spice,
            listen: "127.0.0.1".to_owned(),
            port: Some(5901),
        }),
        watchdog: Some(Watchdog::Reset),
        devices: vec![
            HostDevice::Pci { domain: 0, bus: 3, slot: 0, function: 1 },
            HostDevice::Usb { vendor: 0x046d, product: 0xc52b },
        ],
        restart: Restart::OnFailure,
        limits: Limits {
            cpu_shares: Some(512),
            cpu_quota: Some(1.5),
            memory_hard: Some(Bytes::gib(3)),
            memory_soft: Some(Bytes::gib(1)),
            disk: DiskLimits { read_iops: Some(100), throughput: Some(Bytes::mib(5)), ..DiskLimits::default() },
            download: Some(Bytes::mib(10)),
            upload: Some(Bytes::mib(1)),
        },
        uplink: None,
        xml: Some("<on_reboot>destroy</on_reboot>".to_owned()),
    };
    let web = machine(keys);
    assert_eq!(web.hardware, wanted);
    let recorded = serde_json::to_string(&Spec::Vm(Box::new(web.clone()))).expect("JSON");
    assert_eq!(serde_json::from_str::<Spec>(&recorded).expect("a spec").as_vm(), Some(&web), "{recorded}");
}

#[test]
fn short_forms_are_the_long_ones() {
    let web = machine("    graphics: vnc\n    hugepages: true\n    cpu: {pinning: 0-1}\n    limits: {memory: 1GiB}\n");
    let screen = Graphics { protocol: GraphicsProtocol::Vnc, listen: "127.0.0.1".to_owned(), port: None };
    assert_eq!(web.hardware.graphics, Some(screen));
    assert_eq!(web.hardware.hugepages, Some(Hugepages::Default));
    assert_eq!(web.hardware.cpu.expect("pinned").pinning.all.as_deref(), Some("0-1"));
    assert_eq!(web.hardware.limits.memory_hard, Some(Bytes::gib(1)));
}

#[test]
fn a_plain_vm_records_nothing_of_it() {
    let web = machine("");
    assert_eq!(web.hardware, Hardware::default());
    let recorded = serde_json::to_value(&web).expect("JSON");
    for key in ["cpu", "machine", "firmware", "secure_boot", "tpm", "restart", "limits", "devices", "xml"] {
        assert_eq!(recorded.get(key), None, "{key}");
    }
}
