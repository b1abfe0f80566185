//! What domains take, by libvirt's one call for all of them.
//!
//! Owns the names that libvirt gives its counters. A domain that is busy with something else is not waited for.

use std::collections::BTreeMap;
use std::time::Duration;

use virt::connect::Connect;

use super::error::failed;
use super::parameters::Counters;
use super::{Libvirt, adopted, names, parameters};
use crate::backend::HypervisorError;
use crate::backend::usage::{Flow, Usage};
use crate::names::{ProjectName, VmName};
use crate::units::Bytes;

impl Libvirt {
    /// What the vms take that run and may be the project's; a look tells which of them are.
    pub fn usage(&self, project: &ProjectName) -> Result<BTreeMap<VmName, Usage>, HypervisorError> {
        self.connections.with(|connect| usage(connect, project))
    }
}

fn usage(connect: &Connect, project: &ProjectName) -> Result<BTreeMap<VmName, Usage>, HypervisorError> {
    let all = parameters::counters(connect).map_err(failed("cannot ask what the vms take"))?;
    let adopted = adopted::machines(connect, project)?;
    let vm = |domain: &String| adopted.get(domain).cloned().or_else(|| names::vm_of_domain(project, domain));
    let ours = all.into_iter().filter_map(|(domain, counters)| Some((vm(&domain)?, counters)));
    Ok(ours.map(|(vm, counters)| (vm, of(&counters))).collect())
}

fn of(counters: &Counters) -> Usage {
    let memory = counters.get("balloon.rss").map(|kib| Bytes(kib << 10));
    Usage {
        cpu: counters.get("cpu.time").copied().map(Duration::from_nanos),
        memory,
        disk: flow(counters, "block.", ".rd.bytes", ".wr.bytes"),
        network: flow(counters, "net.", ".rx.bytes", ".tx.bytes"),
    }
}

/// The sum over all devices of a kind. `None` where nothing is told of the kind, and nothing where there is no device.
fn flow(counters: &Counters, kind: &str, inwards: &str, outwards: &str) -> Option<Flow> {
    counters.get(&format!("{kind}count"))?;
    let sum = |end: &str| {
        let these = counters.iter().filter(|(name, _)| name.starts_with(kind) && name.ends_with(end));
        Bytes(these.map(|(_, count)| count).sum())
    };
    Some(Flow { inwards: sum(inwards), outwards: sum(outwards) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(of: &[(&str, u64)]) -> Counters {
        of.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn devices_of_a_kind_are_summed_up() {
        let told = counters(&[
            ("cpu.time", 1_500_000_000),
            ("balloon.rss", 2048),
            ("block.count", 2),
            ("block.0.rd.bytes", 10),
            ("block.0.wr.bytes", 1),
            ("block.1.rd.bytes", 20),
            ("block.1.rd.reqs", 7),
            ("net.count", 1),
            ("net.0.rx.bytes", 5),
            ("net.0.tx.bytes", 6),
        ]);
        let flow = |inwards, outwards| Some(Flow { inwards: Bytes(inwards), outwards: Bytes(outwards) });
        let expected = Usage {
            cpu: Some(Duration::from_millis(1500)),
            memory: Some(Bytes::mib(2)),
            disk: flow(30, 1),
            network: flow(5, 6),
        };
        assert_eq!(of(&told), expected);
    }

    #[test]
    fn what_is_not_counted_is_not_nothing() {
        assert_eq!(of(&counters(&[("state.state", 1)])), Usage::default());
        assert_eq!(of(&counters(&[("net.count", 0)])).network, Some(Flow { inwards: Bytes(0), outwards: Bytes(0) }));
    }
}
