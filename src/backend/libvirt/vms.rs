//! Domains: a vm's definition and its life.
//!
//! Owns defining, starting, stopping and undefining. Asks whose a domain is before it touches one. Knows nothing of
//! health.

use std::time::{Duration, Instant};
use std::{iter, thread};

use virt::connect::Connect;
use virt::domain::Domain;
use virt_sys::{
    VIR_DOMAIN_CRASHED, VIR_DOMAIN_NONE, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_STARTING_UP, VIR_DOMAIN_PMSUSPENDED,
    VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN, VIR_DOMAIN_SHUTDOWN_GUEST_AGENT, VIR_DOMAIN_SHUTOFF,
    VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA, VIR_DOMAIN_UNDEFINE_MANAGED_SAVE, VIR_DOMAIN_UNDEFINE_NVRAM,
    VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA,
};

use super::connections::Connections;
use super::error::{failed, is_absent, present};
use super::host::{Offer, Place};
use super::names::{self, Stored};
use super::record::{self, Owner};
use super::shares;
use super::volumes::{self, path_of};
use super::xml::{self, Fittings, Kernel, Source};
use super::{Call, adopted, agent, console_log, parameters};
use crate::backend::{Change, ErrorKind, HypervisorError};
use crate::model::hardware::Firmware;
use crate::model::{Boot, Disk, Spec, Vm};
use crate::names::{Generation, ProjectName, ResourceId, VmName, VolumeName};
use crate::plan::operation::VmDisk;
use crate::state::record::Record;

/// The project's own domain; refuses a foreign one of the same name. One that was adopted may have any name.
pub(super) fn find(connect: &Connect, project: &ProjectName, vm: &VmName) -> Result<Option<Domain>, HypervisorError> {
    match made(connect, project, vm) {
        Ok(Some(found)) => Ok(Some(found)),
        other => match adopted::find(connect, project, vm)? {
            Some(found) => Ok(Some(found)),
            None => other,
        },
    }
}

/// The domain that this program made for a vm: only that has a name of its own giving.
fn made(connect: &Connect, project: &ProjectName, vm: &VmName) -> Result<Option<Domain>, HypervisorError> {
    let id = ResourceId::Vm(vm.clone());
    let name = names::domain(project, vm);
    let found = present(Domain::lookup_by_name(connect, &name), format!("cannot look for {id}"))?;
    let Some(found) = found else { return Ok(None) };
    match record::of_domain(&found, project, &id)? {
        Some(Owner::Us(_)) => Ok(Some(found)),
        Some(owner) => record::ours(&owner, &id, "domain", &name).map(|()| None),
        None => Ok(None),
    }
}

/// Since when a vm has the disks that it has now.
pub(super) fn generation(call: Call<'_>, vm: &VmName) -> Result<Generation, HypervisorError> {
    let Some(found) = find(call.connect, call.project, vm)? else { return Ok(Generation::FIRST) };
    let owner = record::of_domain(&found, call.project, &ResourceId::Vm(vm.clone()))?;
    Ok(match owner {
        Some(Owner::Us(record)) => record.spec.as_vm().map_or(Generation::FIRST, |vm| vm.generation),
        _ => Generation::FIRST,
    })
}

/// The project's own domain, for somebody who wants to talk to it: it must run.
pub(super) fn find_running(connect: &Connect, project: &ProjectName, vm: &VmName) -> Result<Domain, HypervisorError> {
    let id = ResourceId::Vm(vm.clone());
    let found = find(connect, project, vm)?.ok_or_else(|| {
        HypervisorError::new(ErrorKind::NotFound, format!("{id} does not exist on the hypervisor"))
            .with_hint("`vmcompose ps --all` shows the vms")
    })?;
    if state(&found, &id)?.is_none_or(|(state, _)| is_off(state)) {
        let off = HypervisorError::new(ErrorKind::NotRunning, format!("{id} does not run"));
        return Err(off.with_hint("`vmcompose up` starts what does not run"));
    }
    Ok(found)
}

pub(super) fn define(call: Call<'_>, offer: &Offer, record: &Record, vm: &Vm) -> Result<(), HypervisorError> {
    let id = ResourceId::Vm(vm.name.clone());
    let existing = made(call.connect, call.project, &vm.name)?;
    let record = &record.clone().following(existing.as_ref().and_then(record::anybodys).as_ref());
    let mut fittings = fittings(call, offer, vm)?;
    if !call.place.test {
        fittings.console_log = Some(console_log::prepare(call, vm)?);
    }
    let xml = xml::domain(record, vm, fittings)?;
    let defined = Domain::define_xml(call.connect, &xml).map_err(failed(format!("cannot define {id}")));
    let defined = defined.inspect_err(|_| {
        if existing.is_none() {
            // The first error is the one to tell.
            let _ = console_log::delete(call, &vm.name);
        }
    })?;
    if existing.is_none() && !vm.autostart {
        return Ok(());
    }
    if let Err(error) = defined.set_autostart(vm.autostart) {
        if existing.is_none() {
            let _ = defined.undefine();
            let _ = console_log::delete(call, &vm.name);
        }
        return Err(failed(format!("cannot set whether {id} starts with the hypervisor"))(error));
    }
    Ok(())
}

/// Replaces a definition; the domain may run meanwhile.
pub(super) fn redefine(
    call: Call<'_>,
    offer: &Offer,
    record: &Record,
    from: &Vm,
    vm: &Vm,
) -> Result<(), HypervisorError> {
    let id = ResourceId::Vm(vm.name.clone());
    if vm.existing().is_some() {
        return adopted::change(call, record, vm);
    }
    let uefi = |vm: &Vm| vm.hardware.firmware == Some(Firmware::Uefi);
    if from.generation != vm.generation {
        forget_memory(call, &vm.name)?;
    }
    if let Some(found) = find(call.connect, call.project, &vm.name)?
        && uefi(from)
        && !uefi(vm)
        && state(&found, &id)?.is_some_and(|(state, _)| is_off(state))
    {
        let before = record::anybodys(&found);
        let record = &record.clone().following(before.as_ref());
        // Nobody would know of the firmware's variables any more.
        undefine(call, &vm.name)?;
        return define(call, offer, record, vm).inspect_err(|_| {
            // Whatever of this works: the first error is the one to tell.
            let before = before.unwrap_or_else(|| Record { spec: Spec::Vm(Box::new(from.clone())), ..record.clone() });
            let _ = define(call, offer, &before, from);
        });
    }
    define(call, offer, record, vm)
}

/// A vm that was saved would start with the memory, and on the disks, of the one that it takes the place of.
fn forget_memory(call: Call<'_>, vm: &VmName) -> Result<(), HypervisorError> {
    let Some(found) = find(call.connect, call.project, vm)? else { return Ok(()) };
    // Not every driver can save.
    if found.has_managed_save(0) != Ok(true) {
        return Ok(());
    }
    let id = ResourceId::Vm(vm.clone());
    present(found.managed_save_remove(0), format!("cannot remove the saved memory of {id}")).map(|_| ())
}

fn fittings(call: Call<'_>, offer: &Offer, vm: &Vm) -> Result<Fittings, HypervisorError> {
    let disk_path = |disk: VolumeName| {
        let what = format!("disk `{disk}` of vm `{}`", vm.name);
        let stored = Stored::Disk { vm: vm.name.clone(), disk, generation: vm.generation };
        volumes::path(call, &stored, &what)
    };
    let image_path = |image| {
        let medium = volumes::image(call, image)?;
        path_of(&medium.volume, &ResourceId::Image(image.name.clone()).to_string())
    };
    let mut cdrom = None;
    let (root, kernel) = match &vm.boot {
        Boot::Image(_) => (Some(disk_path(root_name())?), None),
        Boot::Cdrom(disc) => {
            cdrom = Some(image_path(disc)?);
            (Some(disk_path(root_name())?), None)
        }
        Boot::Existing { machine, .. } => {
            let message = format!("vm `{}` is machine `{machine}`, and only who made that can define it", vm.name);
            return Err(HypervisorError::new(ErrorKind::Unsupported, message));
        }
        Boot::Kernel { kernel, initrd, cmdline } => {
            let initrd = initrd.as_ref().map(image_path).transpose()?;
            (None, Some(Kernel { path: image_path(kernel)?, initrd, cmdline: cmdline.clone() }))
        }
    };
    let disks = vm.disks.iter().map(|disk| match disk {
        Disk::Volume { volume } => {
            let (found, stored) = volumes::named(call, volume)?;
            let path = path_of(&found, &ResourceId::Volume(volume.clone()).to_string())?;
            Ok(Source { path, shared: matches!(stored, Stored::Volume { shared: true, .. }) })
        }
        Disk::Own { name, .. } => disk_path(name.clone()).map(Source::own),
    });
    let disks = disks.collect::<Result<Vec<_>, _>>()?;
    let seed = vm.cloud_init.as_ref().map(|_| {
        let what = format!("the cloud-init seed of vm `{}`", vm.name);
        volumes::path(call, &Stored::Seed(vm.name.clone(), vm.generation), &what)
    });
    let ignition = vm.ignition.as_ref().map(|_| {
        let what = format!("the Ignition configuration of vm `{}`", vm.name);
        volumes::path(call, &Stored::Ignition(vm.name.clone(), vm.generation), &what)
    });
    let (seed, ignition, share) = (seed.transpose()?, ignition.transpose()?, shares::way(call.place));
    let home = call.place.state()?.display().to_string();
    let with = Fittings { root, disks, seed, ignition, share, kernel, cdrom, home, ..Fittings::default() };
    if call.place.test {
        return Ok(Fittings { driver: "test", ..with });
    }
    // In software, all that the emulator can do: today's distributions do not boot on its default model.
    let (driver, cpu_mode) = if offer.kvm(vm.accel)? { ("kvm", "host-passthrough") } else { ("qemu", "maximum") };
    Ok(Fittings { driver, cpu_mode: Some(cpu_mode), arch: offer.arch.clone(), machine: offer.machine.clone(), ..with })
}

fn root_name() -> VolumeName {
    VolumeName::new(VmDisk::ROOT).expect("`root` is a legal name")
}

pub(super) fn undefine(call: Call<'_>, vm: &VmName) -> Result<(), HypervisorError> {
    let id = ResourceId::Vm(vm.clone());
    let Some(found) = find(call.connect, call.project, vm)? else {
        console_log::delete(call, vm)?;
        return call.nothing();
    };
    if state(&found, &id)?.is_some_and(|(state, _)| !is_off(state)) {
        // It would run on without a definition, and vanish at its end.
        return Err(HypervisorError::new(ErrorKind::Rejected, format!("{id} runs; it has to be stopped first")));
    }
    // All that libvirt keeps beside a definition and would otherwise refuse to forget. The test driver knows two of them.
    let some = VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA;
    let more = VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | VIR_DOMAIN_UNDEFINE_NVRAM;
    let all = if call.place.test { some } else { some | more };
    present(found.undefine_flags(all), format!("cannot undefine {id}"))?;
    if call.place.test { Ok(()) } else { console_log::delete(call, vm) }
}

pub(super) fn start(call: Call<'_>, vm: &VmName) -> Result<(), HypervisorError> {
    let id = ResourceId::Vm(vm.clone());
    let gone = || HypervisorError::new(ErrorKind::NotFound, format!("{id} is not defined on the hypervisor"));
    let found = find(call.connect, call.project, vm)?.ok_or_else(gone)?;
    let (state, reason) = state(&found, &id)?.ok_or_else(gone)?;
    let done = match state {
        // It may yet fail; and a daemon that was killed over it kills it too, once it is there again.
        VIR_DOMAIN_PAUSED if reason.cast_unsigned() == VIR_DOMAIN_PAUSED_STARTING_UP => {
            return Err(HypervisorError::new(ErrorKind::Busy, format!("{id} is just being started")));
        }
        // Somebody let it keep its memory to look at, and now wants it back.
        VIR_DOMAIN_CRASHED => found.destroy().and_then(|()| found.create()).map(|_| ()),
        state if is_off(state) => found.create().map(|_| ()),
        _ => return call.nothing(),
    };
    match done {
        Ok(()) => Ok(()),
        // Somebody else was faster.
        Err(_) if found.is_active() == Ok(true) && is_off(state) => call.nothing(),
        Err(error) => Err(failed(format!("cannot start {id}"))(error)),
    }
}

/// Lets a paused vm go on, and a guest that sleeps wake up.
pub(super) fn resume(call: Call<'_>, vm: &VmName) -> Result<(), HypervisorError> {
    let id = ResourceId::Vm(vm.clone());
    let gone = || HypervisorError::new(ErrorKind::NotFound, format!("{id} is not defined on the hypervisor"));
    let found = find(call.connect, call.project, vm)?.ok_or_else(gone)?;
    let (state, _) = state(&found, &id)?.ok_or_else(gone)?;
    let done = match state {
        VIR_DOMAIN_PAUSED => found.resume().map(|_| ()),
        VIR_DOMAIN_PMSUSPENDED => found.pm_wakeup(0).map(|_| ()),
        state if is_off(state) => {
            return Err(HypervisorError::new(ErrorKind::NotRunning, format!("{id} is shut off and cannot go on")));
        }
        _ => return call.nothing(),
    };
    done.map_err(failed(format!("cannot resume {id}")))
}

/// Holds a vm's processors; fine where they are held already.
pub(super) fn pause(call: Call<'_>, vm: &VmName) -> Result<(), HypervisorError> {
    let id = ResourceId::Vm(vm.clone());
    let Some(found) = find(call.connect, call.project, vm)? else { return call.nothing() };
    match state(&found, &id)? {
        Some((state, _)) if state != VIR_DOMAIN_PAUSED && !is_off(state) => {
            found.suspend().map(|_| ()).map_err(failed(format!("cannot pause {id}")))
        }
        _ => call.nothing(),
    }
}

/// Keeps a vm's memory, and turns it off; fine where it is off already.
pub(super) fn save(call: Call<'_>, vm: &VmName) -> Result<(), HypervisorError> {
    let id = ResourceId::Vm(vm.clone());
    let Some(found) = find(call.connect, call.project, vm)? else { return call.nothing() };
    match state(&found, &id)? {
        Some((state, _)) if !is_off(state) => {
            found.managed_save(0).map(|_| ()).map_err(failed(format!("cannot save {id}")))
        }
        _ => call.nothing(),
    }
}

/// State and libvirt's reason for it; `None` where the domain is gone by now.
pub(super) fn state(domain: &Domain, id: &ResourceId) -> Result<Option<(u32, i32)>, HypervisorError> {
    present(domain.get_state(), format!("cannot ask for the state of {id}"))
}

/// Whether nothing of the vm runs. A crashed domain still has its process, for whoever wants to look at it.
pub(super) fn is_off(state: u32) -> bool {
    matches!(state, VIR_DOMAIN_SHUTOFF | VIR_DOMAIN_NONE)
}

/// Time between two looks at a guest that shuts down.
const LOOK: Duration = Duration::from_millis(100);
/// Time after which the power button is pressed again: a guest that was booting did not notice it.
const PRESS_AGAIN: Duration = Duration::from_secs(5);

/// Shuts a vm down, and pulls the plug after `grace`. Holds no connection while it waits.
pub(super) fn stop(
    connections: &Connections,
    place: &Place,
    project: &ProjectName,
    vm: &VmName,
    grace: Duration,
) -> Result<Change, HypervisorError> {
    let began = Instant::now();
    let mut pressed = None;
    let mut change = Change::None;
    loop {
        let waited = began.elapsed();
        let press = pressed.is_none_or(|at: Instant| at.elapsed() >= PRESS_AGAIN);
        let gone = connections.with(|connect| {
            let Some(running) = running(connect, project, vm)? else { return Ok(true) };
            change = Change::Made;
            if waited >= grace {
                if pressed.is_some() {
                    change = Change::Forced;
                }
                return destroy(&running, &ResourceId::Vm(vm.clone())).map(|()| true);
            }
            if pressed.is_none() {
                // A guest that is started again when it powers itself off would be so at a shutdown as well. Where the
                // hypervisor cannot be told, the plug is pulled in the end.
                let _ = parameters::stay_off(&running);
            }
            if press {
                ask_to_shut_down(&running, place, grace);
            }
            Ok(false)
        })?;
        if gone {
            return Ok(change);
        }
        if press {
            pressed = Some(Instant::now());
        }
        thread::sleep(LOOK.min(grace.saturating_sub(began.elapsed())));
    }
}

fn running(connect: &Connect, project: &ProjectName, vm: &VmName) -> Result<Option<Domain>, HypervisorError> {
    let Some(found) = find(connect, project, vm)? else { return Ok(None) };
    let state = state(&found, &ResourceId::Vm(vm.clone()))?;
    Ok(state.filter(|(state, _)| !is_off(*state)).map(|_| found))
}

/// Through the agent where it answers, else by the power button. That it fails is no failure: the plug is pulled then.
fn ask_to_shut_down(domain: &Domain, place: &Place, grace: Duration) {
    if place.test {
        let _ = domain.shutdown();
        return;
    }
    // An agent that is connected but hangs would hold up the call for a minute; so it is asked for a sign of life first.
    let within = grace.min(Duration::from_secs(2));
    let way = if agent::ping(domain, within).is_ok() {
        VIR_DOMAIN_SHUTDOWN_GUEST_AGENT
    } else {
        VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN
    };
    let _ = domain.shutdown_flags(way);
}

fn destroy(domain: &Domain, id: &ResourceId) -> Result<(), HypervisorError> {
    // Killing a process on a loaded host can outlast libvirt's patience; it goes on dying meanwhile.
    const ATTEMPTS: usize = 3;
    let attempts = iter::repeat_with(|| domain.destroy()).take(ATTEMPTS);
    let mut last = None;
    for attempt in attempts {
        match attempt {
            Ok(()) => return Ok(()),
            Err(error) if is_absent(&error) => return Ok(()),
            Err(_) if state(domain, id)?.is_none_or(|(state, _)| is_off(state)) => return Ok(()),
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(
        || HypervisorError::new(ErrorKind::Rejected, format!("cannot stop {id}")),
        failed(format!("cannot stop {id}")),
    ))
}
