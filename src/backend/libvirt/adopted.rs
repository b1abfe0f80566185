//! Domains that somebody else made and that a project adopted.
//!
//! Owns how one is found, taken in, changed and let go of. All that is ever written to one is what is recorded with it, its
//! memory, its processors and whether it starts with the host: its devices are its maker's. Knows nothing of XML but what
//! is recorded.

use roxmltree::Document;
use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::Error;
use virt_sys::{VIR_DOMAIN_AFFECT_CONFIG, VIR_DOMAIN_MEM_MAXIMUM, VIR_DOMAIN_VCPU_MAXIMUM, VIR_DOMAIN_XML_INACTIVE};

use super::error::{failed, present};
use super::events::Machines;
use super::strangers::Measure;
use super::{Call, record, update};
use crate::backend::{ErrorKind, HypervisorError};
use crate::model::Vm;
use crate::names::{ProjectName, ResourceId, VmName};
use crate::state::record::Record;

/// The domain that the project adopted as this vm.
pub(super) fn find(connect: &Connect, project: &ProjectName, vm: &VmName) -> Result<Option<Domain>, HypervisorError> {
    let all = connect.list_all_domains(0).map_err(failed("cannot list the vms"))?;
    Ok(all.into_iter().find(|domain| vm_of(domain, project).is_some_and(|(_, found)| found == *vm)))
}

/// All that the project adopted, by the names that the domains have.
pub(super) fn machines(connect: &Connect, project: &ProjectName) -> Result<Machines, HypervisorError> {
    let all = connect.list_all_domains(0).map_err(failed("cannot list the vms"))?;
    Ok(all.iter().filter_map(|domain| vm_of(domain, project)).collect())
}

/// A domain's name, and the vm that the project adopted it as: that is only in what is recorded with it.
fn vm_of(domain: &Domain, project: &ProjectName) -> Option<(String, VmName)> {
    let name = domain.get_name().ok()?;
    let record = record::adopted(record::anybodys(domain)?, project, &name)?;
    let vm = record.spec.id().as_vm()?.clone();
    Some((name, vm))
}

/// Records with a domain that it is a vm of the project's; refuses one that carries another record, unless that is of a
/// machine that this one is a copy of.
pub(super) fn adopt(call: Call<'_>, record: &Record, vm: &Vm) -> Result<(), HypervisorError> {
    let id = ResourceId::Vm(vm.name.clone());
    let machine = vm.existing().unwrap_or_default();
    let gone = || HypervisorError::new(ErrorKind::NotFound, format!("there is no machine `{machine}` any more"));
    let found = present(Domain::lookup_by_name(call.connect, machine), format!("cannot look for machine `{machine}`"))?;
    let found = found.ok_or_else(gone)?;
    let known = record::anybodys(&found);
    if known.as_ref().is_some_and(|known| record::copied_from(known, machine).is_some()) {
        update::write_record(&found, None, &id)?;
    } else {
        unowned(&found, call.project, machine, &id)?;
    }
    update::write_record(&found, Some(record), &id)?;
    // Whoever cannot see our lock may have looked when we did.
    unowned(&found, call.project, machine, &id)
}

/// Refuses a domain that is anybody else's, or another vm.
fn unowned(found: &Domain, project: &ProjectName, machine: &str, id: &ResourceId) -> Result<(), HypervisorError> {
    let Some(owner) = record::project_of_domain(found) else { return Ok(()) };
    let ours = record::anybodys(found).and_then(|known| record::adopted(known, project, machine));
    if ours.is_some_and(|known| known.spec.id() == *id) {
        return Ok(());
    }
    let message = format!("machine `{machine}` cannot be adopted: it is of project `{owner}` already");
    Err(HypervisorError::new(ErrorKind::Conflict, message))
}

/// Takes away what is recorded with a domain, and nothing else; fine where it is not the project's any more.
pub(super) fn release(call: Call<'_>, vm: &Vm) -> Result<(), HypervisorError> {
    let Some(found) = find(call.connect, call.project, &vm.name)? else { return call.nothing() };
    update::write_record(&found, None, &ResourceId::Vm(vm.name.clone()))
}

/// Gives the definition of an adopted domain what its vm's spec speaks of. What it has already is not set again: a
/// hypervisor may refuse to, where its maker did more than a spec can say.
pub(super) fn change(call: Call<'_>, record: &Record, vm: &Vm) -> Result<(), HypervisorError> {
    let id = ResourceId::Vm(vm.name.clone());
    let gone = || HypervisorError::new(ErrorKind::NotFound, format!("{id} is none of the project's any more"));
    let found = find(call.connect, call.project, &vm.name)?.ok_or_else(gone)?;
    let xml =
        found.get_xml_desc(VIR_DOMAIN_XML_INACTIVE).map_err(failed(format!("cannot read the definition of {id}")))?;
    let has = Document::parse(&xml).ok().map(|document| Measure::of(document.root_element()));
    set(&found, has.as_ref(), &Measure::wanted(vm)).map_err(failed(format!("cannot change the definition of {id}")))?;
    if found.get_autostart().map_err(failed(format!("cannot ask {id} whether it starts with the host")))?
        != vm.autostart
    {
        found.set_autostart(vm.autostart).map_err(failed(format!("cannot set whether {id} starts with the host")))?;
    }
    update::write_record(&found, Some(record), &id)
}

/// The upper bounds first: what is inside them is cut by libvirt where they shrink, and fits where they grow.
fn set(domain: &Domain, has: Option<&Measure>, to: &Measure) -> Result<(), Error> {
    let differs = |of: fn(&Measure) -> u64| has.is_none_or(|has| of(has) != of(to));
    let cpus = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    let config = VIR_DOMAIN_AFFECT_CONFIG;
    if differs(|of| of.max_memory_kib) {
        domain.set_memory_flags(to.max_memory_kib, config | VIR_DOMAIN_MEM_MAXIMUM)?;
    }
    if differs(|of| of.max_memory_kib) || differs(|of| of.memory_kib) {
        domain.set_memory_flags(to.memory_kib, config)?;
    }
    if differs(|of| of.max_cpus) {
        domain.set_vcpus_flags(cpus(to.max_cpus), config | VIR_DOMAIN_VCPU_MAXIMUM)?;
    }
    if differs(|of| of.max_cpus) || differs(|of| of.cpus) {
        domain.set_vcpus_flags(cpus(to.cpus), config)?;
    }
    Ok(())
}
