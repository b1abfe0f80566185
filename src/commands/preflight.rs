//! Before the first effect: whether the hypervisor has room for what a plan needs, and the programs that networks stand on.
//!
//! Owns the sums. Disks are sparse and may together promise more than there is; images and memory may not.

use std::collections::BTreeMap;
use std::env;

use rustix::fs::{Access, access};

use crate::backend::libvirt::Libvirt;
use crate::backend::libvirt::survey::{PoolState, Survey};
use crate::error::Error;
use crate::names::{Pool, VmName};
use crate::plan::{Operation, Plan};
use crate::state::ActualState;
use crate::units::Bytes;

/// What helps where [`missing`] names something.
pub(super) const INSTALL: &str = "`apt-get install dnsmasq-base nftables`, or what your distribution calls them";

/// Refuses a plan that cannot be carried out on this hypervisor.
pub(super) fn check(plan: &Plan, actual: &ActualState, hypervisor: &Libvirt) -> Result<(), Error> {
    let (memory, images, networks) = (memory(plan, actual), images(plan), starts_networks(plan));
    if memory == Bytes(0) && images == Bytes(0) && !networks {
        return Ok(());
    }
    let survey = hypervisor.survey()?;
    if survey.test {
        return Ok(());
    }
    // Of another machine nobody knows what is installed there; an ordinary user's vms need none of it.
    if networks && survey.local && !survey.rootless {
        can_have_networks(missing())?;
    }
    fits(memory, images, &survey)
}

fn starts_networks(plan: &Plan) -> bool {
    plan.steps().flat_map(|step| &step.operations).any(|operation| matches!(operation, Operation::StartNetwork(_)))
}

fn can_have_networks(missing: Option<String>) -> Result<(), Error> {
    let refuse = |missing| {
        let what = format!("libvirt's networks need {missing}, which is missing on this machine");
        Error::Refused { what, hint: INSTALL.to_owned() }
    };
    missing.map_or(Ok(()), |missing| Err(refuse(missing)))
}

/// The programs that libvirt's networks need and this machine does not have: one for DHCP and DNS, one for the firewall.
pub(super) fn missing() -> Option<String> {
    let firewall = is_there("nft") || is_there("iptables");
    let all = [("dnsmasq", is_there("dnsmasq")), ("nft or iptables", firewall)];
    let missing: Vec<&str> = all.into_iter().filter(|(_, is)| !is).map(|(name, _)| name).collect();
    (!missing.is_empty()).then(|| missing.join(" and "))
}

/// Programs that daemons start are not always on a user's path.
pub(super) fn is_there(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.into_iter().any(|folder| access(folder.join(program), Access::EXEC_OK).is_ok())
}

fn fits(memory: Bytes, images: Bytes, survey: &Survey) -> Result<(), Error> {
    if memory > survey.memory {
        let what = format!("the vms need {} memory, and the hypervisor has {} in all", gib(memory), gib(survey.memory));
        let hint = "give them less `memory`, or bring fewer of them up".to_owned();
        return Err(Error::Refused { what, hint });
    }
    let free = survey.pools.iter().find_map(|(pool, state)| match state {
        PoolState::Active { free } if *pool == Pool::Images => Some(*free),
        _ => None,
    });
    match free.filter(|free| images > *free) {
        None => Ok(()),
        Some(free) => {
            let what = format!("the images need {}, and pool `images` has {} free", gib(images), gib(free));
            let hint = "make room on the hypervisor; `vmcompose pool` shows what uses it".to_owned();
            Err(Error::Refused { what, hint })
        }
    }
}

/// Memory of the vms that will run after the plan, as far as it starts them or they run already.
fn memory(plan: &Plan, actual: &ActualState) -> Bytes {
    let mut sizes: BTreeMap<&VmName, u64> = BTreeMap::new();
    for vm in actual.recorded().filter_map(|spec| spec.as_vm()) {
        sizes.insert(&vm.name, vm.memory.0);
    }
    let operations = || plan.steps().flat_map(|step| &step.operations);
    for operation in operations() {
        if let Operation::DefineVm(vm) = operation {
            sizes.insert(&vm.name, vm.memory.0);
        }
    }
    let started = operations().filter_map(|operation| match operation {
        Operation::StartVm(vm) => sizes.get(vm),
        _ => None,
    });
    Bytes(started.sum())
}

fn images(plan: &Plan) -> Bytes {
    let uploads = plan.steps().flat_map(|step| &step.operations).filter_map(|operation| match operation {
        Operation::UploadImage(image) => Some(image.length.0),
        _ => None,
    });
    Bytes(uploads.sum())
}

/// In tenths of a GiB: nobody compares bytes.
pub(super) fn gib(bytes: Bytes) -> String {
    let tenths = (u128::from(bytes.0) * 10) >> 30;
    format!("{}.{}GiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::libvirt::survey::Acceleration;

    fn survey() -> Survey {
        let pools = vec![(Pool::Images, PoolState::Active { free: Bytes::gib(2) }), (Pool::Disks, PoolState::Missing)];
        Survey {
            test: false,
            local: true,
            rootless: false,
            memory: Bytes::gib(4),
            acceleration: Acceleration::None,
            pools,
        }
    }

    #[test]
    fn a_network_is_refused_where_its_programs_are_missing() {
        let refusal = can_have_networks(Some("dnsmasq".to_owned())).expect_err("missing").to_string();
        assert_eq!(refusal, "libvirt's networks need dnsmasq, which is missing on this machine");
        assert!(can_have_networks(None).is_ok());
        assert!(is_there("sh") && !is_there("no-such-program-as-this"));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_both_figures() {
        let refusal = |memory, images| fits(memory, images, &survey()).expect_err("too much").to_string();
        assert_eq!(
            refusal(Bytes::gib(5), Bytes(0)),
            "the vms need 5.0GiB memory, and the hypervisor has 4.0GiB in all"
        );
        assert_eq!(refusal(Bytes(0), Bytes::gib(3)), "the images need 3.0GiB, and pool `images` has 2.0GiB free");
        assert!(fits(Bytes::gib(4), Bytes::gib(2), &survey()).is_ok());
    }
}
