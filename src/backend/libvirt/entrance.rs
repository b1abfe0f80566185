//! The way to a port of a vm that is on wires, where no address of its own can be reached from the host.
//!
//! Owns the forwarded ports that nobody asked for in a file: made on the loopback interface when somebody first wants to
//! get in, gone with the vm's process.

use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use virt::domain::Domain;
use virt_sys::VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP;

use super::cards::OWN_CARD;
use super::connections::Connections;
use super::error::failed;
use super::{Libvirt, vms};
use crate::backend::{ErrorKind, HypervisorError};
use crate::model::port;
use crate::names::{ProjectName, VmName};

impl Libvirt {
    /// Where a port of a vm on wires is found on this machine.
    pub fn entrance(&self, project: &ProjectName, vm: &VmName, port: u16) -> Result<SocketAddrV4, HypervisorError> {
        self.connections.with(|connect| {
            let domain = vms::find_running(connect, project, vm)?;
            find_or_make(&domain, vm, port)?.ok_or_else(|| no_card(vm))
        })
    }
}

fn no_card(vm: &VmName) -> HypervisorError {
    let message = format!("vm `{vm}` was started without a card by which its host could reach it");
    HypervisorError::new(ErrorKind::Unsupported, message).with_hint("`vmcompose restart` gives it one")
}

/// The way to a port, made where there is none; `None` where the vm has no card for it.
pub(super) fn find_or_make(domain: &Domain, vm: &VmName, port: u16) -> Result<Option<SocketAddrV4>, HypervisorError> {
    let Some(forwards) = forwards(domain, vm)? else { return Ok(None) };
    if let Some(there) = to(&forwards, port) {
        return Ok(Some(there));
    }
    // Port 0 is any that is free.
    let wish = format!("hostfwd_add {OWN_CARD} tcp:{}:0-{}:{port}", Ipv4Addr::LOCALHOST, port::PUBLISHED);
    let answer = monitor(domain, vm, &wish)?;
    let made = self::forwards(domain, vm)?.and_then(|forwards| to(&forwards, port));
    made.map(Some).ok_or_else(|| {
        let message = format!("cannot make a way to port {port} of vm `{vm}`: {}", answer.trim());
        HypervisorError::new(ErrorKind::Rejected, message)
    })
}

/// Whether the guest took a connection that came this way. The emulator takes every one at once, and asks the guest after
/// that.
pub(super) fn was_taken(
    connections: &Connections,
    project: &ProjectName,
    vm: &VmName,
    way: SocketAddrV4,
    deadline: Instant,
) -> Result<Result<(), String>, HypervisorError> {
    /// Time between two looks.
    const LOOK: Duration = Duration::from_millis(50);
    let patience = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let stream = match TcpStream::connect_timeout(&way.into(), patience) {
        Ok(stream) => stream,
        Err(error) => return Ok(Err(error.to_string())),
    };
    loop {
        let text = connections.with(|connect| {
            let domain = vms::find_running(connect, project, vm)?;
            monitor(&domain, vm, "info usernet")
        })?;
        match state_of(&text, way) {
            Some("ESTABLISHED") => break,
            Some(_) if Instant::now() < deadline => thread::sleep(LOOK),
            Some(_) => return Ok(Err("no answer in time".to_owned())),
            None => return Ok(Err("connection refused".to_owned())),
        }
    }
    drop(stream);
    Ok(Ok(()))
}

fn state(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("TCP[")?.split(']').next()
}

/// The state of a connection that came by this way, of several the furthest; `None` where there is none.
fn state_of(text: &str, way: SocketAddrV4) -> Option<&str> {
    let (ip, port) = (way.ip().to_string(), way.port().to_string());
    let ours = |line: &&str| {
        let mut fields = line.split_ascii_whitespace().skip(2);
        fields.next() == Some(&ip) && fields.next() == Some(&port)
    };
    let states = text.lines().filter(ours).filter_map(state).filter(|state| *state != "HOST_FORWARD");
    states.max_by_key(|state| *state == "ESTABLISHED")
}

/// A port of the host, and the port of the guest that it leads to.
type Forward = (SocketAddrV4, u16);

fn forwards(domain: &Domain, vm: &VmName) -> Result<Option<Vec<Forward>>, HypervisorError> {
    monitor(domain, vm, "info usernet").map(|text| parse(&text))
}

fn to(forwards: &[Forward], port: u16) -> Option<SocketAddrV4> {
    forwards.iter().find(|(here, guest)| *guest == port && here.ip().is_loopback()).map(|(here, _)| *here)
}

fn monitor(domain: &Domain, vm: &VmName, command: &str) -> Result<String, HypervisorError> {
    let asked = domain.qemu_monitor_command(command, VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP);
    asked.map_err(failed(format!("cannot ask the emulator for the way to vm `{vm}`")))
}

/// What QEMU's `info usernet` says of the card: a headline, then a line for each socket.
fn parse(text: &str) -> Option<Vec<Forward>> {
    let mut lines = text.lines().skip_while(|line| !line.contains(&format!("({OWN_CARD})")));
    lines.next()?;
    let forward = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [kind, _, here, port, _, guest, ..] = fields.as_slice() else { return None };
        let here = SocketAddrV4::new(here.parse().ok()?, port.parse().ok()?);
        (*kind == "TCP[HOST_FORWARD]").then_some((here, guest.parse().ok()?))
    };
    Some(lines.take_while(|line| line.starts_with(' ')).filter_map(forward).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_ports_of_the_own_card_are_read() {
        let text = "Hub -1 (other):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n  \
                    TCP[HOST_FORWARD]  19       127.0.0.1 11111      192.0.2.15    22     0     0\r\n\
                    Hub -1 (vmcompose-ports):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ \
                    SendQ\r\n  TCP[HOST_FORWARD]  20       127.0.0.1 44265      192.0.2.15    80     0     0\r\n  \
                    UDP[HOST_FORWARD]  21       127.0.0.1 44266      192.0.2.15    53     0     0\r\n  \
                    TCP[HOST_FORWARD]  22               * 8443      192.0.2.15   443     0     0\r\n";
        let here = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 44_265);
        assert_eq!(parse(text), Some(vec![(here, 80)]));
        assert_eq!(to(&[(here, 80)], 80), Some(here));
        assert_eq!(to(&[(here, 80)], 22), None);
        assert_eq!(parse("Hub -1 (other):\n"), None);
    }

    #[test]
    fn a_connection_counts_once_the_guest_has_taken_it() {
        let way = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 44_265);
        let forward = "  TCP[HOST_FORWARD]  20       127.0.0.1 44265      192.0.2.15    80     0     0\n";
        let line = |state| format!("  TCP[{state}]  21       127.0.0.1 44265      192.0.2.15    80     0     0\n");
        assert_eq!(state_of(forward, way), None);
        assert_eq!(state_of(&format!("{forward}{}", line("SYN_SENT")), way), Some("SYN_SENT"));
        let both = format!("{}{}{}", line("ESTABLISHED"), line("SYN_SENT"), forward);
        assert_eq!(state_of(&both, way), Some("ESTABLISHED"));
    }
}
