//! All pools of a hypervisor, and all that projects have in them: who uses what, and what is on what.
//!
//! Owns the look across projects. Changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::{Document, Node};
use virt::connect::Connect;
use virt::storage_pool::StoragePool;
use virt::storage_vol::StorageVol;

use super::error::{failed, present};
use super::host::child;
use super::names::{self, Stored};
use super::{grow, record, storage};
use crate::backend::HypervisorError;
use crate::backend::storage::{PoolReport, User, VolumeKind, VolumeReport};
use crate::names::{Pool, ProjectName};
use crate::state::record::Record;
use crate::units::Bytes;

/// All pools, by name.
pub(super) fn pools(connect: &Connect) -> Result<Vec<PoolReport>, HypervisorError> {
    let mut reports = Vec::new();
    for (name, pool) in by_name(connect)? {
        reports.extend(report(&pool, &name)?);
    }
    Ok(reports)
}

fn by_name(connect: &Connect) -> Result<Vec<(String, StoragePool)>, HypervisorError> {
    let pools = connect.list_all_storage_pools(0).map_err(failed("cannot list the pools"))?;
    let name = |pool: StoragePool| Ok((pool.get_name().map_err(failed("cannot ask a pool for its name"))?, pool));
    let mut named = pools.into_iter().map(name).collect::<Result<Vec<_>, _>>()?;
    named.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(named)
}

/// A pool in all its facts; `None` where it is gone by now.
fn report(pool: &StoragePool, name: &str) -> Result<Option<PoolReport>, HypervisorError> {
    let what = || format!("cannot look at pool `{name}`");
    let Some(active) = present(pool.is_active(), what())? else { return Ok(None) };
    let Some(xml) = present(pool.get_xml_desc(0), what())? else { return Ok(None) };
    let Some(info) = present(pool.get_info(), what())? else { return Ok(None) };
    let volumes = if active { present(pool.num_of_volumes(), what())? } else { None };
    let seen = |bytes: u64| active.then_some(Bytes(bytes));
    Ok(Some(PoolReport {
        kind: storage::kind(pool, name)?,
        active,
        // A pool that is only started, not defined, starts with nothing.
        autostart: pool.get_autostart().unwrap_or(false),
        own: ours(name).is_some(),
        path: path_in(&xml),
        capacity: seen(info.capacity),
        allocated: seen(info.allocation),
        available: seen(info.available),
        volumes: volumes.and_then(|count| usize::try_from(count).ok()),
        name: name.to_owned(),
    }))
}

/// Which of our two pools has this name.
pub(super) fn ours(name: &str) -> Option<Pool> {
    [Pool::Images, Pool::Disks].into_iter().find(|pool| names::pool(*pool) == name)
}

fn path_in(pool_xml: &str) -> Option<String> {
    let document = Document::parse(pool_xml).ok()?;
    let path = child(child(document.root_element(), "target")?, "path")?;
    path.text().map(ToOwned::to_owned)
}

/// All that any project has in any pool that is started, in the order of projects, kinds and names.
pub(super) fn volumes(connect: &Connect) -> Result<Vec<VolumeReport>, HypervisorError> {
    let users = users(connect)?;
    let mut reports = Vec::new();
    for (name, pool) in by_name(connect)? {
        let listed = pool.is_active().unwrap_or(false).then(|| pool.list_all_volumes(0));
        let Some(listed) = listed else { continue };
        let what = format!("cannot list the volumes of pool `{name}`");
        for volume in present(listed, what)?.unwrap_or_default() {
            let Ok(file) = volume.get_name() else { continue };
            if let Some((project, stored)) = whose(&name, &file) {
                reports.extend(held(&volume, project, &stored, &name, file, &users)?);
            }
        }
    }
    reports.sort_by(|a, b| (&a.project, a.kind, &a.name, &a.file).cmp(&(&b.project, b.kind, &b.name, &b.file)));
    Ok(reports)
}

/// Whose a volume is, and what, as its name tells.
fn whose(pool: &str, file: &str) -> Option<(ProjectName, Stored)> {
    let project = ProjectName::new(file.split('.').next()?).ok()?;
    let stored = match ours(pool) {
        Some(own) => Stored::parse(&project, own, file),
        None => Stored::parse_elsewhere(&project, pool, file),
    };
    stored.map(|stored| (project, stored))
}

fn held(
    volume: &StorageVol,
    project: ProjectName,
    stored: &Stored,
    pool: &str,
    file: String,
    users: &BTreeMap<String, Vec<User>>,
) -> Result<Option<VolumeReport>, HypervisorError> {
    let what = || format!("cannot look at volume `{file}`");
    let Some(info) = present(volume.get_info(), what())? else { return Ok(None) };
    let Some(path) = present(volume.get_path(), what())? else { return Ok(None) };
    let Some(xml) = present(volume.get_xml_desc(0), what())? else { return Ok(None) };
    let (kind, name) = match stored {
        Stored::Volume { name, .. } => (VolumeKind::Volume, name.to_string()),
        Stored::Disk { vm, disk, .. } => (VolumeKind::Disk, format!("{vm}/{disk}")),
        Stored::Seed(vm, _) | Stored::Ignition(vm, _) => (VolumeKind::Seed, vm.to_string()),
        Stored::Console { vm, .. } => (VolumeKind::Console, vm.to_string()),
        Stored::Image { name, .. } => (VolumeKind::Image, name.to_string()),
    };
    Ok(Some(VolumeReport {
        kind,
        name,
        pool: pool.to_owned(),
        foreign_pool: stored.elsewhere().is_some(),
        format: stored.format(),
        size: Bytes(info.capacity),
        allocated: Bytes(info.allocation),
        backing: storage::backing_in(&xml).map(|path| backing(&project, path)),
        used_by: users.get(&path).cloned().unwrap_or_default(),
        project,
        path,
        file,
    }))
}

/// An image of the project's by its name and content, anything else by its path.
fn backing(project: &ProjectName, path: String) -> String {
    let file = path.rsplit('/').next().unwrap_or_default();
    match Stored::parse(project, Pool::Images, file) {
        Some(Stored::Image { name, digest, .. }) => format!("image {name} ({digest})"),
        _ => path,
    }
}

/// Which vms have which files as disks.
fn users(connect: &Connect) -> Result<BTreeMap<String, Vec<User>>, HypervisorError> {
    let mut users: BTreeMap<String, Vec<User>> = BTreeMap::new();
    for domain in connect.list_all_domains(0).map_err(failed("cannot list the vms"))? {
        let name = domain.get_name().map_err(failed("cannot ask a vm for its name"))?;
        let what = format!("cannot read the definition of vm `{name}`");
        let Some(xml) = present(domain.get_xml_desc(0), what)? else { continue };
        let running = domain.is_active().unwrap_or(false);
        let (project, vm) = owner(&xml).map_or((None, name), |(project, vm)| (Some(project), vm));
        for (file, _) in grow::disks(&xml) {
            users.entry(file).or_default().push(User { project: project.clone(), vm: vm.clone(), running });
        }
    }
    for users in users.values_mut() {
        users.sort();
    }
    Ok(users)
}

/// The vms that have a disk in a pool, or one that is on something in it.
pub(super) fn users_of_pool(connect: &Connect, name: &str) -> Result<Vec<String>, HypervisorError> {
    let mut files = Vec::new();
    let (mut here, mut on_here) = (BTreeSet::new(), BTreeSet::new());
    for (called, pool) in by_name(connect)? {
        let listed = if pool.is_active().unwrap_or(false) { pool.list_all_volumes(0) } else { Ok(Vec::new()) };
        for volume in present(listed, format!("cannot list the volumes of pool `{called}`"))?.unwrap_or_default() {
            let Ok(path) = volume.get_path() else { continue };
            let backing = volume.get_xml_desc(0).ok().as_deref().and_then(storage::backing_in);
            if called == name {
                here.insert(path.clone());
            }
            files.push((path, backing));
        }
    }
    on_here.extend(
        files.into_iter().filter(|(_, on)| on.as_ref().is_some_and(|on| here.contains(on))).map(|(file, _)| file),
    );
    let used = users(connect)?;
    let taken = used.into_iter().filter(|(file, _)| here.contains(file) || on_here.contains(file));
    Ok(taken.flat_map(|(_, users)| users).map(|user| user.vm).collect())
}

/// The project and the vm that a domain is, where vmcompose made it.
fn owner(domain_xml: &str) -> Option<(String, String)> {
    let document = Document::parse(domain_xml).ok()?;
    let ours = |node: &Node<'_, '_>| node.is_element() && node.tag_name().namespace() == Some(record::NAMESPACE);
    let element = document.descendants().find(ours)?;
    let record = Record::decode(element.text()?).ok()?;
    Some((element.attribute("project")?.to_owned(), record.spec.id().name().to_owned()))
}
