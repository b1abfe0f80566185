//! Volumes, and the further disks of vms.
//!
//! Owns which disk is what, and that no volume has two users. Makes none of them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Declared, Instance, siblings, subject, unknown};
use crate::compose::decode::At;
use crate::compose::diagnostic::Diagnostic;
use crate::compose::place::Place;
use crate::compose::schema::{resource, vm as file};
use crate::model::{Disk, Volume};
use crate::names::{POOL_PREFIX, VolumeName};
use crate::units::Bytes;

/// No disk is smaller: below this a partition table and a file system do not fit.
const SMALLEST: Bytes = Bytes::mib(1);
/// The name of the disk that every vm with an image has already.
const ROOT: &str = "root";

/// The volumes of the file by name.
pub(super) struct Known<'a>(BTreeMap<&'a str, &'a Declared<VolumeName, resource::Volume>>);

impl<'a> Known<'a> {
    pub(super) fn new(declared: &'a [Declared<VolumeName, resource::Volume>]) -> Self {
        Self(declared.iter().map(|volume| (volume.name.as_str(), volume)).collect())
    }
}

impl Known<'_> {
    fn shared(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|declared| declared.spec.shared == Some(true))
    }
}

/// The named volumes.
pub(super) fn volumes(
    declared: &[Declared<VolumeName, resource::Volume>],
    mistakes: &mut Vec<Diagnostic>,
) -> BTreeMap<VolumeName, Volume> {
    let mut volumes = BTreeMap::new();
    for volume in declared {
        let Some(size) = &volume.spec.size else {
            let lacks = Diagnostic::error(format!("volume `{}` lacks a `size`", volume.name));
            mistakes.push(
                lacks.at(volume.place, "how large?").hint("write `size: 10GiB`").unless_wrong_within(volume.within),
            );
            continue;
        };
        check_size(size, mistakes);
        if let Some((label, _)) = volume.spec.labels.as_ref().and_then(|labels| labels.0.first()) {
            let nowhere = Diagnostic::error(format!("volume `{}` cannot have labels", volume.name));
            mistakes.push(
                nowhere
                    .at(label.place, "libvirt keeps nothing with a volume")
                    .hint("label the vms that use it; `annotations` of a vm can say what is on its disks"),
            );
        }
        let pool = volume.spec.pool.as_ref().inspect(|pool| check_pool(pool, mistakes));
        let shared = volume.spec.shared == Some(true);
        let pool = pool.map(|pool| pool.value.clone());
        volumes.insert(volume.name.clone(), Volume { shared, pool, ..Volume::new(volume.name.clone(), size.value) });
    }
    volumes
}

/// The name of a pool of the user's own.
fn check_pool(pool: &At<String>, mistakes: &mut Vec<Diagnostic>) {
    if pool.trim().is_empty() || pool.contains('/') || pool.chars().any(char::is_control) {
        let illegal = Diagnostic::error(format!("`{}` is not the name of a pool", pool.value.escape_debug()));
        mistakes.push(illegal.at(pool.place, "no pool").hint("`vmcompose pool list` shows those that there are"));
    } else if pool.starts_with(POOL_PREFIX) {
        let ours = Diagnostic::error(format!("pool `{}` is vmcompose's own", pool.value));
        mistakes.push(ours.at(pool.place, "where volumes are anyway").hint("leave `pool` out"));
    }
}

/// A size that a disk can have.
pub(super) fn check_size(size: &At<Bytes>, mistakes: &mut Vec<Diagnostic>) {
    if size.value < SMALLEST {
        let small = Diagnostic::error(format!("a disk of `{}` is too small; the least is `{SMALLEST}`", size.value));
        // Of a size with a unit, `1K`, nobody meant gibibytes.
        let bare = size.value.0 < 1 << 10 && size.value.0 > 0;
        let hint = bare.then(|| format!("a number without a unit counts bytes; write `{}GiB`", size.value.0));
        mistakes.push(small.at(size.place, "too small").maybe_hint(hint));
    }
}

/// The further disks of a vm.
pub(super) fn of(instance: &Instance<file::Vm>, volumes: &Known<'_>, mistakes: &mut Vec<Diagnostic>) -> Vec<Disk> {
    let mut disks = Vec::new();
    let mut names: BTreeMap<VolumeName, Place> = BTreeMap::new();
    let explicit: BTreeSet<&str> =
        instance.spec.disks.iter().filter_map(|disk| disk.name.as_ref()).map(|name| name.as_str()).collect();
    let mut unnamed = unnamed_names(&explicit);
    for disk in &instance.spec.disks {
        match (&disk.volume, &disk.size) {
            (Some(volume), None) => {
                if let Some(name) = &disk.name {
                    let twice_named = Diagnostic::error("a disk that is a volume has the volume's name");
                    mistakes.push(twice_named.at(name.place, "remove this"));
                }
                let found = named_volume(instance, volume, volumes, mistakes);
                if let (Some(_), Some(mount)) = (found.as_ref().filter(|_| volumes.shared(volume)), &disk.mount) {
                    let twice = Diagnostic::error(format!("shared volume `{}` cannot be mounted", volume.value));
                    mistakes.push(
                        twice
                            .at(mount.place, "two guests that mount one file system destroy it")
                            .hint("remove `mount`; a cluster file system such as GFS2 is for the guests to set up"),
                    );
                }
                disks.extend(found);
            }
            (None, Some(size)) => {
                check_size(size, mistakes);
                let name = own_name(disk, &mut unnamed, mistakes);
                let place = disk.name.as_ref().map_or(disk.place, |name| name.place);
                if let Some(first) = name.clone().and_then(|name| names.insert(name, place)) {
                    let name = name.as_ref().map_or("", |name| name.as_str());
                    let twice = Diagnostic::error(format!("{} has two disks named `{name}`", subject(instance)));
                    mistakes.push(twice.at(place, "named again here").and(first, "first named here"));
                }
                disks.extend(name.map(|name| Disk::Own { name, size: size.value }));
            }
            (Some(volume), Some(size)) => {
                let both = Diagnostic::error(format!("the size of volume `{}` is set under `volumes`", volume.value));
                mistakes.push(both.at(size.place, "remove this").and(volume.place, "a named volume"));
            }
            (None, None) => {
                let neither = Diagnostic::error("a disk needs either `volume` or `size`");
                mistakes.push(
                    neither
                        .at(disk.place, "neither is given")
                        .hint("write `{volume: NAME}` or `{size: 10GiB}`")
                        .unless_wrong_within(disk.place),
                );
            }
        }
    }
    disks
}

fn named_volume(
    instance: &Instance<file::Vm>,
    volume: &At<String>,
    volumes: &Known<'_>,
    mistakes: &mut Vec<Diagnostic>,
) -> Option<Disk> {
    let found = volumes.0.get(volume.as_str());
    if found.is_none() {
        let known = volumes.0.keys().copied();
        mistakes.push(unknown("volume", volume, &subject(instance), known));
    }
    found.map(|declared| Disk::Volume { volume: declared.name.clone() })
}

/// Names for disks that have none, in their order among themselves: so that a volume or a disk with a name may be put
/// before or behind them, and they stay what they are.
fn unnamed_names<'a>(explicit: &'a BTreeSet<&str>) -> impl Iterator<Item = VolumeName> + 'a {
    let numbered = (1_u32..).map(|n| format!("disk{n}"));
    numbered.filter(|name| !explicit.contains(name.as_str())).filter_map(|name| VolumeName::new(name).ok())
}

fn own_name(
    disk: &At<file::Disk>,
    unnamed: &mut impl Iterator<Item = VolumeName>,
    mistakes: &mut Vec<Diagnostic>,
) -> Option<VolumeName> {
    let Some(name) = &disk.name else { return unnamed.next() };
    if name.value == ROOT {
        let taken = Diagnostic::error(format!("`{ROOT}` is the name of the disk that the vm boots from"));
        mistakes.push(taken.at(name.place, "take another name"));
        return None;
    }
    super::named(name, name.place, mistakes)
}

/// A volume that two vms use would be destroyed by the second.
pub(super) fn check_use(volumes: &Known<'_>, instances: &[Instance<file::Vm>], mistakes: &mut Vec<Diagnostic>) {
    let mut users: BTreeMap<&str, (&Instance<file::Vm>, Place)> = BTreeMap::new();
    for instance in instances {
        for volume in instance.spec.disks.iter().filter_map(|disk| disk.volume.as_ref()) {
            if !volumes.0.contains_key(volume.as_str()) {
                continue;
            }
            let before = users.insert(volume, (instance, volume.place));
            let harmless =
                |(first, _): &(&Instance<file::Vm>, Place)| volumes.shared(volume) && first.name != instance.name;
            if let Some((first, place)) = before.filter(|before| !harmless(before)) {
                mistakes.push(used_twice(volume, (first, place), instance));
            }
        }
    }
}

fn used_twice(
    volume: &At<String>,
    (first, place): (&Instance<file::Vm>, Place),
    second: &Instance<file::Vm>,
) -> Diagnostic {
    let name = &volume.value;
    if first.name == second.name {
        let twice = Diagnostic::error(format!("{} uses volume `{name}` twice", subject(first)));
        return twice.at(volume.place, "used again here").and(place, "first used here");
    }
    let two = Diagnostic::error(format!("volume `{name}` is used by two vms, `{}` and `{}`", first.name, second.name));
    if siblings(first, second) {
        return two
            .at(volume.place, "one volume for several replicas")
            .hint("give each replica a disk of its own with `size`, in place of a volume");
    }
    two.at(volume.place, format!("used by {}", subject(second)))
        .and(place, format!("used by {}", subject(first)))
        .hint("give each vm a volume of its own; `shared: true` is for guests that agree on who writes what")
}
