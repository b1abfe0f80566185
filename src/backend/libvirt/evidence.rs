//! What can still be found out about a vm that did not become healthy, before anything of it is undone.
//!
//! Owns where to look, and which line of each finding tells most. Nothing here may fail: what cannot be found is left out.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use virt::connect::Connect;
use virt_sys::{
    VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT, VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP,
    VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE,
};

use super::connections::Connections;
use super::host::Place;
use super::probe;
use super::{Libvirt, agent, console_log, names, vms};
use crate::backend::Exhibit;
use crate::model::instruction::complains;
use crate::names::{ProjectName, VmName};

/// How long the guest may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// As much of a log as is kept, in bytes from its end.
const MOST: usize = 256 << 10;
/// What cloud-init wrote, and how it sees itself; always ends with 0.
const ASK: &str = "cat /run/cloud-init/status.json /run/cloud-init/result.json 2>/dev/null; \
    tail -n 200 /var/log/cloud-init-output.log 2>/dev/null; true";

/// Looks at everything that is there. A guest may have said anything, its secrets too.
pub(super) fn gather(libvirt: &Libvirt, project: &ProjectName, vm: &VmName) -> Vec<Exhibit> {
    let mask = |text: String| libvirt.secrets.mask(&text);
    let found = look(&libvirt.connections, &libvirt.place, project, vm);
    let masked = |Exhibit { name, text, telling }| Exhibit { name, text: mask(text), telling: telling.map(mask) };
    found.into_iter().map(masked).collect()
}

fn look(connections: &Connections, place: &Place, project: &ProjectName, vm: &VmName) -> Vec<Exhibit> {
    let mut found = Vec::new();
    // What tells most comes first.
    if !place.test {
        found.extend(cloud_init(connections, project, vm));
    }
    if place.local && !place.test {
        let machine =
            connections.with(|connect| Ok(vms::find(connect, project, vm)?.and_then(|vm| vm.get_name().ok())));
        // One that is gone has left its log.
        found.extend(emulator(&machine.ok().flatten().unwrap_or_else(|| names::domain(project, vm))));
    }
    let _ = connections.with(|connect| {
        found.extend(console(connect, place, project, vm));
        if !place.test {
            found.extend(addresses(connect, project, vm));
        }
        found.extend(definition(connect, project, vm));
        Ok(())
    });
    found
}

fn console(connect: &Connect, place: &Place, project: &ProjectName, vm: &VmName) -> Option<Exhibit> {
    let (said, _) = console_log::read(connect, place, project, vm, None).ok()??;
    let text = end_of(&said);
    let last = text.lines().rev().map(probe::printable).find(|line| !line.is_empty());
    let telling = last.map_or_else(|| "console: nothing was said on it".to_owned(), |line| format!("console: {line}"));
    Some(Exhibit { name: "console.log".to_owned(), text, telling: Some(telling) })
}

/// Passwords are not in it: libvirt leaves them out unless it is asked for them.
fn definition(connect: &Connect, project: &ProjectName, vm: &VmName) -> Option<Exhibit> {
    let domain = vms::find(connect, project, vm).ok()??;
    let text = domain.get_xml_desc(0).ok()?;
    Some(Exhibit { name: "domain.xml".to_owned(), text, telling: None })
}

/// Which addresses the network gave away, the guest reports, and were seen on the wire.
fn addresses(connect: &Connect, project: &ProjectName, vm: &VmName) -> Option<Exhibit> {
    let domain = vms::find(connect, project, vm).ok()??;
    let sources = [
        ("leased", VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE),
        ("in the guest", VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT),
        ("on the wire", VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP),
    ];
    // An agent that is connected but hangs would hold this up.
    let answers = agent::ping(&domain, Duration::from_secs(2)).is_ok();
    let mut text = String::new();
    let mut leased = false;
    for (source, number) in sources {
        if source == "in the guest" && !answers {
            let _ = writeln!(text, "{source}: the guest agent does not answer");
            continue;
        }
        let interfaces = domain.interface_addresses(number, 0).unwrap_or_default();
        for interface in &interfaces {
            for address in &interface.addrs {
                leased |= source == "leased";
                let _ = writeln!(text, "{source}: {} {} {}", interface.name, interface.hwaddr, address.addr);
            }
        }
        if interfaces.is_empty() {
            let _ = writeln!(text, "{source}: none");
        }
    }
    let telling = (!leased).then(|| "network: the guest has not asked for its address".to_owned());
    Some(Exhibit { name: "addresses.txt".to_owned(), text, telling })
}

/// Where libvirt writes it on this machine; readable for its administrators.
fn emulator(machine: &str) -> Option<Exhibit> {
    let path = format!("/var/log/libvirt/qemu/{machine}.log");
    let text = end_of(&fs::read(path).ok()?);
    // Of what QEMU itself says, each line begins with its own name; what libvirt adds does not.
    let complaint = text.lines().rev().find(|line| line.starts_with("qemu-system") && line.contains(": "));
    let telling = complaint.filter(|line| !line.contains("terminating on signal")).map(|line| format!("qemu: {line}"));
    Some(Exhibit { name: "qemu.log".to_owned(), text, telling })
}

fn cloud_init(connections: &Connections, project: &ProjectName, vm: &VmName) -> Option<Exhibit> {
    let command = ["/bin/sh", "-c", ASK].map(ToOwned::to_owned);
    let exit = probe::run(connections, project, vm, Instant::now() + PATIENCE, &command, None).ok()?.ok()?;
    let text = end_of(&exit.stdout);
    let complaint = |line: &&str| line.contains("ERROR") || line.contains("Failed") || line.contains("WARNING");
    // What a shell or a package manager said is the cause of what cloud-init says of it.
    let cause = text.lines().rev().find(|line| complains(line));
    let telling = cause.or_else(|| text.lines().rev().find(complaint));
    let telling = telling.map(|line| format!("cloud-init: {}", line.trim()));
    (!text.is_empty()).then(|| Exhibit { name: "cloud-init.log".to_owned(), text, telling })
}

fn end_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(MOST)..]).into_owned()
}
