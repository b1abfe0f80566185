//! From what the file says to what is meant: references found, defaults filled in, addresses settled, everything checked.
//!
//! Each resource kind has its file. All mistakes are collected; a project comes out only where there are none. Knows
//! nothing of YAML: it works on the schema's structs, which know their places.

mod boot;
mod depends;
mod disks;
pub(super) mod existing;
mod guest;
mod health;
mod locate;
mod login;
mod machine;
pub(crate) mod network;
mod ports;
mod probe;
mod provision;
mod secrets;
pub(crate) mod settle;
mod shares;
mod vm;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::decode::{At, decode_partly};
use super::diagnostic::Diagnostic;
use super::node::Node;
use super::place::{Extent, Place, Texts};
use super::schema::resource::{Image, Volume};
use super::schema::secret::Secret;
use super::schema::vm as file;
use super::suggest;
use crate::model::{Project, Task};
use crate::names::{NameError, ProjectName, ResourceId, SecretName, VmName};
use settle::Settled;

/// A resource as the file has it, under a legal name.
#[derive(Debug)]
pub(crate) struct Declared<N, T> {
    pub(crate) name: N,
    /// Its key.
    pub(crate) place: Place,
    /// All of it.
    pub(crate) within: Extent,
    pub(crate) spec: T,
}

/// A vm, replicas counted one by one.
#[derive(Debug)]
pub(crate) struct Instance<T> {
    pub(crate) name: VmName,
    /// The file's name for it, where it is one of several.
    pub(crate) group: Option<VmName>,
    /// Its key.
    pub(crate) place: Place,
    /// All of it, as the file has it.
    pub(crate) within: Extent,
    pub(crate) spec: T,
}

impl<T> Instance<T> {
    /// The same vm with something else about it.
    pub(crate) fn with<U>(&self, spec: U) -> Instance<U> {
        Instance { name: self.name.clone(), group: self.group.clone(), place: self.place, within: self.within, spec }
    }
}

/// Vms that the file has but that are not there: off by their profiles or by `enabled`, or zero replicas.
pub(crate) type Off = BTreeMap<String, Absent>;

/// Why a vm of the file is not there.
#[derive(Debug, Clone)]
pub(crate) struct Absent {
    /// Its key.
    pub(crate) place: Place,
    /// In words: "its profile `debug` is not active".
    pub(crate) reason: String,
}

/// What lowering looks things up in.
pub(crate) struct Scope<'a> {
    pub(crate) project: &'a ProjectName,
    pub(crate) texts: &'a Texts,
    pub(crate) directories: &'a [PathBuf],
    pub(crate) home: Option<&'a str>,
    pub(crate) off: &'a Off,
}

impl Scope<'_> {
    /// The folder of the file in which something stands.
    fn folder(&self, place: Place) -> PathBuf {
        self.directories.get(usize::from(place.at.file.0)).cloned().unwrap_or_default()
    }

    /// The absolute path that a text names, relative to the folder of the file it stands in.
    pub(crate) fn path(&self, text: &At<String>) -> PathBuf {
        let home = text.strip_prefix("~/").and_then(|rest| self.home.map(|home| Path::new(home).join(rest)));
        let written = home.unwrap_or_else(|| PathBuf::from(&text.value));
        // `.` goes; `..` stays, because with symbolic links it cannot be taken out on paper.
        self.folder(text.place).join(written).components().filter(|part| *part != Component::CurDir).collect()
    }
}

/// All resources of the file.
pub(crate) struct Resources {
    pub(crate) volumes: Vec<Declared<crate::names::VolumeName, Volume>>,
    pub(crate) images: Vec<Declared<crate::names::ImageName, Image>>,
    pub(crate) secrets: Vec<Declared<SecretName, Secret>>,
}

/// Decodes the resources of one kind. A name that is not legal, or a value that does not fit, is a mistake and left out.
pub(crate) fn declared<N, T>(root: &Node, kind: &str, mistakes: &mut Vec<Diagnostic>) -> Vec<Declared<N, T>>
where
    N: std::str::FromStr<Err = NameError>,
    T: serde::de::DeserializeOwned + Default,
{
    let mut found = Vec::new();
    let Some(node) = root.get(kind).filter(|node| !node.is_null()) else { return found };
    if !matches!(node.kind, super::node::Kind::Mapping(_)) {
        mistakes.push(
            Diagnostic::error(format!("`{kind}` must be a mapping, not {}", node.describe()))
                .at(node.place(), "expected names, each with a mapping"),
        );
    }
    for entry in node.entries() {
        let key = &entry.key.text;
        let place = Place { at: entry.key.at, via: entry.value.via };
        let name = named(key, place, mistakes);
        let path = format!("{kind}.{key}");
        let spec = decode_partly::<Option<T>>(&entry.value, &|_| &path, mistakes);
        if let Some(name) = name {
            found.push(Declared { name, place, within: entry.value.at, spec: spec.flatten().unwrap_or_default() });
        }
    }
    found
}

/// A key as a name.
pub(crate) fn named<N>(key: &str, place: Place, mistakes: &mut Vec<Diagnostic>) -> Option<N>
where
    N: std::str::FromStr<Err = NameError>,
{
    match key.parse() {
        Ok(name) => Some(name),
        Err(error) => {
            let plain: String = key.trim().to_lowercase().replace([' ', '_', '.'], "-");
            let better = N::from_str(&plain).is_ok() && plain != key;
            mistakes.push(
                Diagnostic::error(error.to_string())
                    .at(place, "not a legal name")
                    .maybe_hint(better.then(|| format!("write `{plain}`"))),
            );
            None
        }
    }
}

/// Makes the project. Returns `None` where a mistake leaves nothing whole to return; the mistakes say why.
pub(crate) fn lower(
    scope: &Scope<'_>,
    resources: &Resources,
    instances: &[Instance<file::Vm>],
    settled: Settled,
    mistakes: &mut Vec<Diagnostic>,
    warnings: &mut Vec<Diagnostic>,
) -> Project {
    let mut images = boot::Images::declared(scope, &resources.images, mistakes);
    let volumes = disks::volumes(&resources.volumes, mistakes);
    let groups = depends::Groups::new(instances);
    let depends = depends::resolve(scope, instances, &groups, mistakes, warnings);
    let known = disks::Known::new(&resources.volumes);
    disks::check_use(&known, instances, mistakes);
    ports::check(instances, mistakes);
    existing::check(instances, mistakes);
    let Settled { networks, mut interfaces } = settled;
    let mut origins = BTreeMap::new();
    let mut vms = BTreeMap::new();
    let mut tasks = BTreeMap::new();
    for (instance, depends) in instances.iter().zip(depends) {
        let interfaces = interfaces.remove(&instance.name).unwrap_or_default();
        let boot = images.boot(scope, instance, mistakes);
        let disks = disks::of(instance, &known, mistakes);
        let shares = shares::lower(scope, instance, mistakes);
        let mut told = guest::lower(scope, instance, &disks, &shares, mistakes, warnings);
        if let Some(told) = &mut told {
            told.secrets = secrets::files(instance, &resources.secrets, mistakes);
        }
        let ignition = provision::ignition(instance, told.is_some(), mistakes);
        let own = provision::tasks(instance, mistakes);
        let account = boot.as_ref().and_then(|boot| images.account(boot));
        let mut vm = vm::lower(scope, instance, boot, disks, interfaces, depends, mistakes);
        vm.ssh = login::lower(&instance.spec, told.as_deref(), account);
        (vm.cloud_init, vm.ignition, vm.shares) = (told, ignition, shares);
        vm.provision = own.iter().map(Task::done).collect();
        if !own.is_empty() {
            tasks.insert(vm.name.clone(), own);
        }
        settle::untold(instance, &vm, &networks, warnings);
        origins.insert(ResourceId::Vm(vm.name.clone()), scope.texts.origin(instance.place.at));
        vms.insert(vm.name.clone(), vm);
    }
    depends::check_cycles(instances, &groups, &vms, mistakes);
    for volume in &resources.volumes {
        origins.insert(ResourceId::Volume(volume.name.clone()), scope.texts.origin(volume.place.at));
    }
    for (name, network) in &networks {
        origins.insert(ResourceId::Network(name.clone()), scope.texts.origin(network.place.at));
    }
    let networks = networks.into_iter().map(|(name, network)| (name, network.spec)).collect();
    let images = images.used(scope, &mut origins);
    let secrets = secrets::sources(scope, &resources.secrets, mistakes);
    Project { name: scope.project.clone(), networks, volumes, images, vms, tasks, secrets, origins }
}

/// An unknown reference, with the name that was probably meant.
fn unknown<'a>(
    kind: &str,
    name: &At<String>,
    asked_by: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Diagnostic {
    let diagnostic = Diagnostic::error(format!("{asked_by} refers to an unknown {kind} `{}`", name.value))
        .at(name.place, format!("no {kind} of this name"));
    match suggest::did_you_mean(name, known.clone()) {
        Some(hint) => diagnostic.hint(hint),
        None if known.clone().next().is_none() => diagnostic.hint(format!("the file has no {kind}s")),
        None => {
            let names: Vec<&str> = known.take(8).collect();
            diagnostic.hint(format!("the file has {}", super::decode::listed(&names)))
        }
    }
}

/// Makes `model` values from labels; a key that stands there twice is a mistake.
fn labels(labels: &super::schema::shape::Labels, mistakes: &mut Vec<Diagnostic>) -> BTreeMap<String, String> {
    let mut places: BTreeMap<&str, Place> = BTreeMap::new();
    for (key, _) in &labels.0 {
        if key.is_empty() {
            mistakes.push(Diagnostic::error("a label needs a key").at(key.place, "no key"));
        } else if let Some(first) = places.insert(key, key.place) {
            let twice = Diagnostic::error(format!("label `{}` is given twice", key.value));
            mistakes.push(twice.at(key.place, "given again here").and(first, "first given here"));
        }
    }
    labels.0.iter().map(|(key, value)| (key.value.clone(), value.clone())).collect()
}

/// The model's word for how an instance is called in messages.
fn subject<T>(instance: &Instance<T>) -> String {
    format!("vm `{}`", instance.name)
}

/// Whether two instances come from one entry of the file.
fn siblings<T>(a: &Instance<T>, b: &Instance<T>) -> bool {
    a.group.is_some() && a.group == b.group
}

pub(crate) use crate::model::Surroundings;
pub(crate) use locate::is_path;
