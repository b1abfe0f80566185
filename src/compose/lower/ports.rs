//! Published ports: each port of the host leads to one vm.
//!
//! Owns that no two vms of the file are in each other's way. Who else listens on the host is not known here.

use super::{Instance, siblings, subject};
use crate::compose::decode::At;
use crate::compose::diagnostic::Diagnostic;
use crate::compose::schema::hardware;
use crate::compose::schema::vm::Vm;
use crate::model::Port;

/// The ports of a vm.
pub(super) fn of(instance: &Instance<Vm>) -> Vec<Port> {
    instance.spec.ports.iter().map(|port| lowered(port)).collect()
}

fn lowered(port: &hardware::Port) -> Port {
    Port { address: port.address, host: port.host, guest: port.guest, udp: port.udp }
}

/// Two vms on one port of the host are a mistake.
pub(super) fn check(instances: &[Instance<Vm>], mistakes: &mut Vec<Diagnostic>) {
    let mut seen: Vec<(&Instance<Vm>, &At<hardware::Port>, Port)> = Vec::new();
    for instance in instances {
        for port in &instance.spec.ports {
            let own = lowered(port);
            if own.address.is_some_and(|ip| ip.is_ipv6()) {
                let six = Diagnostic::error(format!("port `{own}` cannot be published on an IPv6 address"));
                mistakes.push(six.at(port.place, "only IPv4 is possible here"));
            }
            match seen.iter().find(|(_, _, other)| other.clashes(&own)) {
                Some((other, first, _)) => mistakes.push(twice(instance, port, other, first)),
                None => seen.push((instance, port, own)),
            }
        }
    }
}

fn twice(
    instance: &Instance<Vm>,
    port: &At<hardware::Port>,
    other: &Instance<Vm>,
    first: &At<hardware::Port>,
) -> Diagnostic {
    let at = lowered(port).at();
    if siblings(instance, other) && first.place == port.place {
        let (first, second) = (&other.name, &instance.name);
        return Diagnostic::error(format!(
            "port `{at}` cannot be published for both replicas `{first}` and `{second}`"
        ))
        .at(port.place, "one port for several vms")
        .hint("make it differ: `ports: [\"{{ 8080 + index }}:80\"]`");
    }
    Diagnostic::error(format!("port `{at}` of the host is published twice"))
        .at(port.place, format!("for {}", subject(instance)))
        .and(first.place, format!("and for {}", subject(other)))
}
