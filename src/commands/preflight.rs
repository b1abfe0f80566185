//! Before the first effect: whether the hypervisor has room for what a plan needs.
//!
//! Owns the sums. Disks are sparse and may together promise more than there is; images and memory may not.

use std::collections::BTreeMap;

use crate::backend::libvirt::Libvirt;
use crate::backend::libvirt::survey::{PoolState, Survey};
use crate::error::Error;
use crate::names::{Pool, VmName};
use crate::plan::{Operation, Plan};
use crate::state::ActualState;
use crate::units::Bytes;

/// Refuses a plan for which there is no room.
pub(super) fn check(plan: &Plan, actual: &ActualState, hypervisor: &Libvirt) -> Result<(), Error> {
    let (memory, images) = (memory(plan, actual), images(plan));
    if memory == Bytes(0) && images == Bytes(0) {
        return Ok(());
    }
    let survey = hypervisor.survey()?;
    if survey.test { Ok(()) } else { fits(memory, images, &survey) }
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
