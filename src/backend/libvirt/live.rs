//! Changes to a domain while it runs: memory, processors, limits, disks, interfaces.
//!
//! Owns what is done to the running domain alone; its definition is replaced by another operation. On a domain that is
//! off there is nothing to do, for its next start is from its definition.

use std::thread;
use std::time::{Duration, Instant};

use roxmltree::{Document, Node};
use virt::domain::Domain;
use virt_sys::{VIR_DOMAIN_AFFECT_LIVE, VIR_DOMAIN_MEMORY_PARAM_UNLIMITED};

use super::error::failed;
use super::hardware::{PERIOD, Tuning, disk_tuning};
use super::host::child;
use super::names::{self, Stored};
use super::parameters::{self, Of, Parameter};
use super::seen::{self, devices};
use super::xml::Source;
use super::{Call, vms, volumes, xml};
use crate::backend::{ErrorKind, HypervisorError};
use crate::model::Disk;
use crate::model::hardware::Limits;
use crate::names::{ResourceId, VmName};
use crate::plan::operation::Device;
use crate::units::Bytes;

/// How long a guest may take to let go of a device.
const LET_GO: Duration = Duration::from_secs(30);
/// Time between two looks at it.
const LOOK: Duration = Duration::from_millis(200);
/// What a vm weighs unless it is said otherwise.
const USUAL_SHARES: u64 = 1024;

/// The domain, where it runs.
pub(super) fn running(call: Call<'_>, vm: &VmName) -> Result<Option<Domain>, HypervisorError> {
    let id = ResourceId::Vm(vm.clone());
    let Some(found) = vms::find(call.connect, call.project, vm)? else { return Ok(None) };
    let state = vms::state(&found, &id)?;
    Ok(state.filter(|(state, _)| !vms::is_off(*state)).map(|_| found))
}

fn cannot(what: &str, vm: &VmName) -> String {
    format!("cannot {what} of the running vm `{vm}`")
}

pub(super) fn set_memory(call: Call<'_>, vm: &VmName, to: Bytes) -> Result<(), HypervisorError> {
    let Some(domain) = running(call, vm)? else { return Ok(()) };
    let set = domain.set_memory_flags(to.kib_ceil(), VIR_DOMAIN_AFFECT_LIVE);
    set.map(|_| ()).map_err(failed(cannot("set the memory", vm)))
}

pub(super) fn set_cpus(call: Call<'_>, vm: &VmName, to: u32) -> Result<(), HypervisorError> {
    let Some(domain) = running(call, vm)? else { return Ok(()) };
    let set = domain.set_vcpus_flags(to, VIR_DOMAIN_AFFECT_LIVE);
    set.map(|_| ()).map_err(failed(cannot("set the cpus", vm)))
}

/// Sets what differs, all or nothing.
pub(super) fn set_limits(call: Call<'_>, vm: &VmName, from: &Limits, to: &Limits) -> Result<(), HypervisorError> {
    let Some(domain) = running(call, vm)? else { return Ok(()) };
    let set = tune(&domain, vm, from, to);
    if set.is_err() {
        // Whatever of this works: the first error is the one to tell.
        let _ = tune(&domain, vm, to, from);
    }
    set
}

fn tune(domain: &Domain, vm: &VmName, from: &Limits, to: &Limits) -> Result<(), HypervisorError> {
    let set = |of, parameters: &[Parameter]| {
        parameters::set(domain, of, parameters).map_err(failed(cannot("set the limits", vm)))
    };
    let (old, new) = (Tuning::of(from), Tuning::of(to));
    if (old.shares, old.quota) != (new.shares, new.quota) {
        let shares = new.shares.map_or(USUAL_SHARES, u64::from);
        let quota = new.quota.unwrap_or(-1);
        let period = Parameter::U64("global_period", PERIOD);
        set(Of::Scheduler, &[Parameter::U64("cpu_shares", shares), period, Parameter::I64("global_quota", quota)])?;
    }
    if (old.hard_kib, old.soft_kib) != (new.hard_kib, new.soft_kib) {
        let limit = |kib: Option<u64>| kib.unwrap_or(VIR_DOMAIN_MEMORY_PARAM_UNLIMITED);
        let hard = Parameter::U64("hard_limit", limit(new.hard_kib));
        set(Of::Memory, &[hard, Parameter::U64("soft_limit", limit(new.soft_kib))])?;
    }
    let text = definition(domain, vm)?;
    let document = parsed(&text, vm)?;
    if old.disk != new.disk {
        let all: Vec<Parameter> =
            disk_tuning(to).into_iter().map(|(name, value)| Parameter::U64(name, value.unwrap_or(0))).collect();
        let mut targets = devices(document.root_element()).filter(seen::limited_disk).filter_map(target);
        targets.try_for_each(|target| set(Of::Disk(target), &all))?;
    }
    if (old.inbound, old.outbound) != (new.inbound, new.outbound) {
        let rate = |kib: Option<u64>| u32::try_from(kib.unwrap_or(0)).unwrap_or(u32::MAX);
        let both = [
            Parameter::U32("inbound.average", rate(new.inbound)),
            Parameter::U32("outbound.average", rate(new.outbound)),
        ];
        let interfaces = devices(document.root_element()).filter(|device| device.has_tag_name("interface"));
        interfaces.filter_map(target).try_for_each(|target| set(Of::Interface(target), &both))?;
    }
    Ok(())
}

fn target<'a>(device: Node<'a, '_>) -> Option<&'a str> {
    child(device, "target")?.attribute("dev")
}

fn definition(domain: &Domain, vm: &VmName) -> Result<String, HypervisorError> {
    domain.get_xml_desc(0).map_err(failed(format!("cannot read the definition of vm `{vm}`")))
}

fn parsed<'a>(text: &'a str, vm: &VmName) -> Result<Document<'a>, HypervisorError> {
    let rejected = |error: roxmltree::Error| {
        HypervisorError::new(ErrorKind::Rejected, format!("the definition of vm `{vm}` cannot be read: {error}"))
    };
    Document::parse(text).map_err(rejected)
}

/// What tells a device from the others: the file of a disk, the address of an interface.
enum Key {
    File(String),
    Mac(String),
    /// Somebody else's: by one or the other, as its own description says.
    Described(String),
}

impl Key {
    fn of(call: Call<'_>, vm: &VmName, device: &Device) -> Result<Self, HypervisorError> {
        Ok(match device {
            Device::Disk(disk) => Self::File(source(call, vm, disk)?.path),
            Device::Interface(interface) => Self::Mac(interface.mac.to_string()),
            Device::Foreign(foreign) => Self::Described(foreign.description.clone()),
        })
    }

    fn fits(&self, device: Node<'_, '_>) -> bool {
        let mac = |device: Node<'_, '_>| Some(child(device, "mac")?.attribute("address")?.to_owned());
        match self {
            Self::File(path) => device.has_tag_name("disk") && seen::file(device) == Some(path),
            Self::Mac(address) => {
                device.has_tag_name("interface") && mac(device).is_some_and(|own| own.eq_ignore_ascii_case(address))
            }
            Self::Described(description) => Document::parse(description).is_ok_and(|other| {
                let other = other.root_element();
                let name = device.tag_name() == other.tag_name();
                name && (seen::file(device), mac(device)) == (seen::file(other), mac(other))
            }),
        }
    }
}

fn source(call: Call<'_>, vm: &VmName, disk: &Disk) -> Result<Source, HypervisorError> {
    match disk {
        Disk::Volume { volume } => {
            let (found, stored) = volumes::named(call, volume)?;
            let path = volumes::path_of(&found, &ResourceId::Volume(volume.clone()).to_string())?;
            Ok(Source { path, shared: matches!(stored, Stored::Volume { shared: true, .. }) })
        }
        Disk::Own { name, .. } => {
            let generation = vms::generation(call, vm)?;
            let stored = Stored::Disk { vm: vm.clone(), disk: name.clone(), generation };
            volumes::path(call, &stored, &format!("disk `{name}` of vm `{vm}`")).map(Source::own)
        }
    }
}

/// The description of a device that the running domain has; `None` where it has no such device.
fn attached(domain: &Domain, vm: &VmName, key: &Key) -> Result<Option<String>, HypervisorError> {
    let text = definition(domain, vm)?;
    let document = parsed(&text, vm)?;
    let mut all = devices(document.root_element());
    Ok(all.find(|device| key.fits(*device)).map(|device| text[device.range()].to_owned()))
}

pub(super) fn attach(call: Call<'_>, vm: &VmName, device: &Device, limits: &Limits) -> Result<(), HypervisorError> {
    let Some(domain) = running(call, vm)? else { return Ok(()) };
    if attached(&domain, vm, &Key::of(call, vm, device)?)?.is_some() {
        return Ok(());
    }
    let description = match device {
        Device::Disk(disk) => {
            let source = source(call, vm, disk)?;
            xml::attached_disk(disk, source, free_target(&domain, vm)?, limits)?
        }
        Device::Interface(interface) => xml::attached_interface(call.project, interface, limits)?,
        Device::Foreign(foreign) => foreign.description.clone(),
    };
    let attached = domain.attach_device_flags(&description, VIR_DOMAIN_AFFECT_LIVE);
    attached.map(|_| ()).map_err(failed(format!("cannot attach {device} to the running vm `{vm}`")))
}

fn free_target(domain: &Domain, vm: &VmName) -> Result<String, HypervisorError> {
    let text = definition(domain, vm)?;
    let document = parsed(&text, vm)?;
    let taken: Vec<&str> = devices(document.root_element()).filter_map(target).collect();
    let mut names = (0..).map(names::target).skip_while(|name| taken.contains(&name.as_str()));
    Ok(names.next().unwrap_or_default())
}

/// The guest is asked, and has the last word: until it has let go, the device stays.
pub(super) fn detach(call: Call<'_>, vm: &VmName, device: &Device) -> Result<(), HypervisorError> {
    let Some(domain) = running(call, vm)? else { return Ok(()) };
    let key = Key::of(call, vm, device)?;
    let began = Instant::now();
    let mut asked = None;
    while let Some(description) = attached(&domain, vm, &key)? {
        if began.elapsed() > LET_GO {
            let message = format!("the guest of vm `{vm}` does not let go of {device}");
            let error = HypervisorError::new(ErrorKind::Rejected, message);
            return Err(error.with_hint("stop using it in the guest, or stop the vm; then run `up` again"));
        }
        // A guest that was booting did not notice the first time; a second request while one is under way is refused.
        if asked.is_none_or(|at: Instant| at.elapsed() > Duration::from_secs(5)) {
            let detached = domain.detach_device_flags(&description, VIR_DOMAIN_AFFECT_LIVE);
            if let (Err(error), None) = (detached, asked) {
                return Err(failed(format!("cannot detach {device} from the running vm `{vm}`"))(error));
            }
            asked = Some(Instant::now());
        }
        thread::sleep(LOOK);
    }
    Ok(())
}
