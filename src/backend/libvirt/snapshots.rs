//! Snapshots of domains: what is kept of one vm in a snapshot of its project.
//!
//! Owns how a whole is kept with its parts: libvirt knows only of single domains, so each part says in its description what
//! it belongs to. All are kept inside the qcow2 files; so no disk ever changes its name. libvirt takes the disks of a running
//! domain alone only by giving them new files; so QEMU is asked for that itself, and libvirt is told of it.

use roxmltree::Document;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use virt::domain::Domain;
use virt::domain_snapshot::DomainSnapshot;
use virt::error::{Error, ErrorNumber};
use virt_sys::{
    VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE, VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY, VIR_DOMAIN_SNAPSHOT_REVERT_FORCE,
    VIR_DOMAIN_SNAPSHOT_REVERT_PAUSED, VIR_DOMAIN_XML_INACTIVE, VIR_DOMAIN_XML_SECURE,
};

use super::error::{failed, reason};
use super::host::child;
use super::templates::render;
use super::{Call, vms};
use crate::backend::{ErrorKind, HypervisorError};
use crate::model::{Moment, Was};
use crate::names::{ResourceId, VmName};

/// Begins the line of a description that is for programs.
const MARK: &str = "vmcompose {";
/// Version of that line.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Line {
    version: u32,
    #[serde(flatten)]
    moment: Moment,
}

/// What is known of the snapshots of a domain: those that are part of a whole, and the names of the others.
pub(super) fn list(domain: &Domain, id: &ResourceId) -> Result<(Vec<Moment>, Vec<String>), HypervisorError> {
    let cannot = || failed(format!("cannot list the snapshots of {id}"));
    let (mut ours, mut others) = (Vec::new(), Vec::new());
    for snapshot in domain.list_all_snapshots(0).map_err(cannot())? {
        let name = snapshot.get_name().map_err(cannot())?;
        let Some(xml) = unless_gone(snapshot.get_xml_desc(0)).map_err(cannot())? else { continue };
        match moment(&xml).filter(|moment| moment.snapshot.name.as_str() == name) {
            Some(moment) => ours.push(moment),
            None => others.push(name),
        }
    }
    ours.sort_by(|a, b| (a.snapshot.taken_at, &a.snapshot.name).cmp(&(b.snapshot.taken_at, &b.snapshot.name)));
    others.sort();
    Ok((ours, others))
}

fn moment(xml: &str) -> Option<Moment> {
    let document = Document::parse(xml).ok()?;
    let text = child(document.root_element(), "description")?.text()?;
    let line = text.lines().last().filter(|line| line.starts_with(MARK))?;
    let line: Line = serde_json::from_str(&line[MARK.len() - 1..]).ok()?;
    (line.version == VERSION).then_some(line.moment)
}

/// For people first, who look at it with other tools.
fn description(moment: &Moment) -> String {
    let line = Line { version: VERSION, moment: moment.clone() };
    let line = serde_json::to_string(&line).expect("every key is a string");
    let text = &moment.snapshot.description;
    let gap = if text.is_empty() { "" } else { "\n" };
    format!("{text}{gap}{}{}", &MARK[..MARK.len() - 1], line)
}

fn unless_gone<T>(found: Result<T, Error>) -> Result<Option<T>, Error> {
    match found {
        Err(error) if error.code() == ErrorNumber::NoDomainSnapshot => Ok(None),
        other => other.map(Some),
    }
}

/// This very part, where it is there.
fn find(domain: &Domain, wanted: &Moment, id: &ResourceId) -> Result<Option<DomainSnapshot>, HypervisorError> {
    let name = wanted.snapshot.name.as_str();
    let cannot = || failed(format!("cannot look for snapshot `{name}` of {id}"));
    let Some(found) = unless_gone(DomainSnapshot::lookup_by_name(domain, name, 0)).map_err(cannot())? else {
        return Ok(None);
    };
    let Some(xml) = unless_gone(found.get_xml_desc(0)).map_err(cannot())? else { return Ok(None) };
    Ok(moment(&xml).filter(|moment| moment.snapshot.id == wanted.snapshot.id).map(|_| found))
}

fn domain(call: Call<'_>, vm: &VmName) -> Result<Domain, HypervisorError> {
    let gone = || HypervisorError::new(ErrorKind::NotFound, format!("vm `{vm}` is not defined on the hypervisor"));
    vms::find(call.connect, call.project, vm)?.ok_or_else(gone)
}

/// Takes a vm into a snapshot.
pub(super) fn create(call: Call<'_>, vm: &VmName, moment: &Moment) -> Result<(), HypervisorError> {
    let id = ResourceId::Vm(vm.clone());
    let found = domain(call, vm)?;
    if find(&found, moment, &id)?.is_some() {
        return call.nothing();
    }
    let cannot = || failed(format!("cannot take {id} into snapshot `{}`", moment.snapshot.name));
    let xml = found.get_xml_desc(VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE).map_err(cannot())?;
    let disks = disks(&xml);
    let nothing_inside = !disks.iter().any(|disk| disk.inside);
    let off = vms::state(&found, &id)?.is_none_or(|(state, _)| vms::is_off(state));
    let plain = moment.memory || (off && !nothing_inside);
    let told = (!plain).then_some(Told { at: moment.snapshot.taken_at, disks, domain: &xml });
    let name = moment.snapshot.name.as_str();
    let text = render("snapshot.xml.j2", Part { name, description: description(moment), told })?;
    if plain {
        return DomainSnapshot::create_xml(&found, &text, 0).map(|_| ()).map_err(cannot());
    }
    // libvirt is told first: what it knows of is found again, whatever happens now.
    let part = DomainSnapshot::create_xml(&found, &text, VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE).map_err(cannot())?;
    if off || nothing_inside || call.place.test {
        return Ok(());
    }
    disks_alone(&found, name).map_err(|error| {
        let _ = part.delete(VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY);
        cannot()(error)
    })
}

#[derive(Serialize)]
struct Part<'a> {
    name: &'a str,
    description: String,
    told: Option<Told<'a>>,
}

/// What libvirt is told of a snapshot that it has not taken itself.
#[derive(Serialize)]
struct Told<'a> {
    at: u64,
    disks: Vec<Inside>,
    domain: &'a str,
}

/// A disk of a domain, and whether a snapshot of it is kept inside it.
#[derive(Serialize)]
struct Inside {
    target: String,
    inside: bool,
}

fn disks(xml: &str) -> Vec<Inside> {
    let Ok(document) = Document::parse(xml) else { return Vec::new() };
    let disks = document.descendants().filter(|node| node.has_tag_name("disk"));
    let inside = |disk| {
        let format = child(disk, "driver").and_then(|driver| driver.attribute("type"));
        format == Some("qcow2") && child(disk, "readonly").is_none()
    };
    let disk = |disk| {
        let target = child(disk, "target")?.attribute("dev")?.to_owned();
        Some(Inside { target, inside: inside(disk) })
    };
    disks.filter_map(disk).collect()
}

/// Takes all disks of a running domain at once.
fn disks_alone(domain: &Domain, name: &str) -> Result<(), Error> {
    let answer = domain.qemu_monitor_command(&json!({ "execute": "query-block" }).to_string(), 0)?;
    let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
    let inserted = answer["return"].as_array().into_iter().flatten().map(|device| &device["inserted"]);
    let writable = inserted.filter(|disk| disk["drv"] == "qcow2" && disk["ro"] == false);
    let action = |disk: &Value| json!({ "type": "blockdev-snapshot-internal-sync", "data": { "device": disk["node-name"], "name": name } });
    let actions: Vec<Value> = writable.map(action).collect();
    let request = json!({ "execute": "transaction", "arguments": { "actions": actions } });
    domain.qemu_monitor_command(&request.to_string(), 0).map(|_| ())
}

/// Takes a vm out of a snapshot.
pub(super) fn delete(call: Call<'_>, vm: &VmName, moment: &Moment) -> Result<(), HypervisorError> {
    let id = ResourceId::Vm(vm.clone());
    let Some(found) = vms::find(call.connect, call.project, vm)? else { return call.nothing() };
    let Some(part) = find(&found, moment, &id)? else { return call.nothing() };
    let name = &moment.snapshot.name;
    unless_gone(part.delete(0)).map(|_| ()).map_err(failed(format!("cannot delete snapshot `{name}` of {id}")))
}

/// Puts a vm back to how it was. One that ran, or was held, is held then. Where that fails it may be off already, or even
/// half-way there; so it goes back to `from`.
pub(super) fn restore(call: Call<'_>, vm: &VmName, to: &Moment, from: Option<&Moment>) -> Result<(), HypervisorError> {
    let id = ResourceId::Vm(vm.clone());
    let found = domain(call, vm)?;
    let name = &to.snapshot.name;
    let gone = || HypervisorError::new(ErrorKind::NotFound, format!("{id} is no longer in snapshot `{name}`"));
    let part = find(&found, to, &id)?.ok_or_else(gone)?;
    let back = from.map(|from| find(&found, from, &id).map(|part| part.zip(Some(from)))).transpose()?.flatten();
    let Err(error) = revert(call, &found, &part, to) else { return Ok(()) };
    let failed = failed(format!("cannot put {id} back to snapshot `{name}`"))(error);
    let way_back = back.map(|(part, from)| revert(call, &found, &part, from));
    Err(match way_back {
        Some(Ok(())) => failed,
        Some(Err(error)) => {
            let message = format!("{}, nor back to how it was: {}", failed.message, reason(&error));
            HypervisorError { kind: ErrorKind::Halfway, message, ..failed }
        }
        None => HypervisorError { kind: ErrorKind::Halfway, ..failed },
    })
}

fn revert(call: Call<'_>, domain: &Domain, part: &DomainSnapshot, to: &Moment) -> Result<(), Error> {
    // By force: its definition may have changed since, and that goes back too.
    let force = VIR_DOMAIN_SNAPSHOT_REVERT_FORCE;
    if to.was == Was::Off {
        return part.revert(force);
    }
    part.revert(force | VIR_DOMAIN_SNAPSHOT_REVERT_PAUSED)?;
    // The test driver boots nothing from disks that were taken alone.
    if call.place.test && !domain.is_active()? {
        domain.create()?;
        domain.suspend()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Snapshot;

    #[test]
    fn what_belongs_together_is_told_by_the_last_line_of_a_description() {
        let snapshot = Snapshot {
            name: "good".parse().expect("legal"),
            id: "1-2".to_owned(),
            description: "before <b> & after\nvmcompose {no}".to_owned(),
            taken_at: 7,
            vms: ["db".parse().expect("legal")].into(),
            before: None,
        };
        let kept = Moment { snapshot, memory: true, was: Was::Running };
        let xml = render("snapshot.xml.j2", Part { name: "good", description: description(&kept), told: None });
        assert_eq!(moment(&xml.expect("xml")), Some(kept));
        assert_eq!(moment("<domainsnapshot><description>mine</description></domainsnapshot>"), None);
    }

    #[test]
    fn a_disk_that_is_raw_or_read_only_keeps_nothing() {
        let xml = "<domain><devices>
            <disk><driver type='qcow2'/><target dev='vda'/></disk>
            <disk><driver type='raw'/><target dev='vdb'/></disk>
            <disk><driver type='qcow2'/><target dev='vdc'/><readonly/></disk>
        </devices></domain>";
        let found: Vec<_> = disks(xml).into_iter().map(|disk| (disk.target, disk.inside)).collect();
        assert_eq!(found, [("vda".into(), true), ("vdb".into(), false), ("vdc".into(), false)]);
    }
}
