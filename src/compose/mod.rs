//! The compose file: text to [`Project`].
//!
//! One line: [`gather`] reads the files (the only I/O), and [`parse`] is a pure function of what it read. Text becomes a
//! tree that knows its places ([`node`](self), by `yaml`); variables are put in (`interpolate`), files merged (`merge`),
//! vms expanded and templates rendered, all on that tree, so that every later mistake still points into the user's own
//! file; then it is decoded into structs of the file's shape (`decode`, `schema`) and lowered to the model (`lower`).
//! All mistakes are collected and shown at once. Knows nothing of libvirt or of plans.

mod decode;
pub mod diagnostic;
mod expand;
mod lower;
mod node;
mod offsets;
pub mod place;
mod schema;
mod source;
mod suggest;
mod unsupported;
mod yaml;

use std::path::Path;
use std::sync::Arc;

pub use diagnostic::{Diagnostic, Diagnostics, Label, Severity};
pub use source::{Request, Sources, gather};

use crate::model::{Project, Surroundings};
use crate::names::ProjectName;
use decode::{At, decode, keys, unknown_key};
use expand::Expanded;
use lower::settle::{self, Wish};
use lower::{Instance, Resources, Scope, declared, network};
use node::{Kind, Node};
use place::Place;
use schema::guest::Fqdn;
use schema::vm::{self, VmNetworks};

/// A compose file that is right.
#[derive(Debug)]
pub struct Parsed {
    /// What it describes.
    pub project: Project,
    /// What it says that was probably not meant.
    pub warnings: Diagnostics,
    /// All profiles that it names, sorted.
    pub profiles: Vec<String>,
    resolved: Node,
}

impl Parsed {
    /// The file after merging, interpolation and templates, as `vmcompose config` prints it.
    pub fn resolved(&self) -> serde_yaml::Value {
        self.resolved.to_value()
    }
}

/// The JSON Schema of the compose file.
pub fn json_schema() -> serde_json::Value {
    schema::json_schema()
}

/// The project's name: the one asked for, else `VMCOMPOSE_PROJECT`, else the file's, else that of the file's folder.
pub fn project_name(sources: &Sources, request: &Request) -> Result<ProjectName, Diagnostics> {
    let asked = request.project.as_ref().or_else(|| request.environment.get("VMCOMPOSE_PROJECT"));
    if let Some(name) = asked {
        return ProjectName::new(name.as_str())
            .map_err(|error| Diagnostics::single(Diagnostic::error(format!("the project's name: {error}"))));
    }
    let named = sources.root.documents.iter().rev().find_map(|document| document.get("name"));
    if let Some(node) = named.filter(|node| !node.is_null()) {
        let mut mistakes = Vec::new();
        if let Some(At { value, place }) = decode::<At<String>>(node, "name", &mut mistakes)
            && let Some(name) = lower::named(&value, place, &mut mistakes)
        {
            return Ok(name);
        }
        return Err(Diagnostics::new(mistakes, Arc::clone(&sources.texts)));
    }
    folder_name(&sources.directory)
}

/// A folder's name as a project's: in lower case, what is not legal left out.
fn folder_name(folder: &Path) -> Result<ProjectName, Diagnostics> {
    let name = folder.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let legal = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let name: String = name.replace([' ', '.'], "-").chars().filter(legal).take(63).collect();
    ProjectName::new(name.trim_matches(['-', '_'])).map_err(|_| {
        let nameless = format!("the folder `{}` gives no name for the project", folder.display());
        Diagnostics::single(Diagnostic::error(nameless).hint("write `name: …` at the top of the file"))
    })
}

/// Makes the project of what was read.
pub fn parse(sources: &Sources, request: &Request, surroundings: &Surroundings) -> Result<Parsed, Diagnostics> {
    let texts = &sources.texts;
    let (mut mistakes, mut warnings) = (Vec::new(), Vec::new());
    let name = project_name(sources, request)?;
    let Some(root) = sources.root.documents.first() else {
        return Err(Diagnostics::single(Diagnostic::error("the file is empty").hint("a compose file needs `vms`")));
    };
    top_level(root, &mut mistakes);
    let Expanded { instances, off, profiles } = expand::expand(root, &request.profiles, &mut mistakes);
    let wishes = wishes(&instances);
    let implicit = wishes.iter().find(|vm| vm.spec.networks.is_none()).map(|vm| vm.place);
    let networks = declared(root, "networks", &mut mistakes);
    let networks = network::lower(&name, networks, implicit, surroundings, &mut mistakes);
    let settled = settle::settle(&name, networks, &wishes, surroundings, &mut mistakes);
    let instances = decoded(instances, &mut mistakes);
    let resources = Resources {
        volumes: declared(root, "volumes", &mut mistakes),
        images: declared(root, "images", &mut mistakes),
    };
    let home = request.environment.get("HOME").map(String::as_str);
    let scope = Scope { project: &name, texts, directories: &sources.directories, home, off: &off };
    let project = lower::lower(&scope, &resources, instances, settled, &mut mistakes, &mut warnings);
    if project.vms.is_empty() && mistakes.is_empty() {
        mistakes.push(no_vms(root, &off));
    }
    if !mistakes.is_empty() {
        mistakes.append(&mut warnings);
        return Err(Diagnostics::new(mistakes, Arc::clone(texts)));
    }
    let warnings = Diagnostics::new(warnings, Arc::clone(texts));
    Ok(Parsed { project, warnings, profiles: profiles.into_iter().collect(), resolved: root.clone() })
}

/// The keys at the top: known ones only.
fn top_level(root: &Node, mistakes: &mut Vec<Diagnostic>) {
    if !expand::is_mapping(root) {
        let not = Diagnostic::error(format!("a compose file must be a mapping, not {}", root.describe()));
        mistakes.push(not.at(root.place(), "expected `vms:` and other keys"));
        return;
    }
    unsupported::check(root, &[], mistakes);
    let known = keys::<schema::File>();
    for entry in root.entries() {
        let key = entry.key.text.as_str();
        if !key.starts_with("x-") && !known.contains(&key) {
            mistakes.push(unknown_key(key, key, known, Place { at: entry.key.at, via: entry.value.via }));
        }
    }
    for kind in ["vms", "vars"] {
        let Some(node) = root.get(kind).filter(|node| !node.is_null()) else { continue };
        if !matches!(node.kind, Kind::Mapping(_)) {
            let not = Diagnostic::error(format!("`{kind}` must be a mapping, not {}", node.describe()));
            mistakes.push(not.at(node.place(), "expected names, each with a value"));
        }
    }
}

fn no_vms(root: &Node, off: &lower::Off) -> Diagnostic {
    if let Some(absent) = off.values().next() {
        return Diagnostic::error("all vms of the file are off")
            .at(absent.place, absent.reason.clone())
            .hint("turn one on, for instance with `--profile NAME`");
    }
    let place = root.get("vms").map_or_else(|| root.place(), Node::place);
    Diagnostic::error("the file has no vms").at(place, "nothing to do").hint("describe at least one vm under `vms`")
}

/// What of each vm settles its addresses. What does not fit is reported when the whole vm is decoded.
fn wishes(instances: &[Instance<Node>]) -> Vec<Instance<Wish>> {
    let mut ignored = Vec::new();
    let mut wish = |node: &Node| {
        let given = |key| node.get(key).filter(|node: &&Node| !node.is_null());
        let networks = given("networks").map(|n| decode::<VmNetworks>(n, "", &mut ignored).unwrap_or_default());
        let hostname = given("hostname").and_then(|n| decode::<At<Fqdn>>(n, "", &mut ignored));
        Wish { networks, hostname: hostname.map(|At { value: Fqdn(name), place }| (name, place)) }
    };
    let with = |vm: &Instance<Node>| Instance {
        name: vm.name.clone(),
        group: vm.group.clone(),
        place: vm.place,
        spec: wish(&vm.spec),
    };
    instances.iter().map(with).collect()
}

fn decoded(instances: Vec<Instance<Node>>, mistakes: &mut Vec<Diagnostic>) -> Vec<Instance<vm::Vm>> {
    let mut all = Vec::with_capacity(instances.len());
    for Instance { name, group, place, spec } in instances {
        let path = format!("vms.{}", group.as_ref().unwrap_or(&name));
        unsupported::check(&spec, &["vms", name.as_str()], mistakes);
        if let Some(spec) = decode::<Option<vm::Vm>>(&spec, &path, mistakes) {
            all.push(Instance { name, group, place, spec: spec.unwrap_or_default() });
        }
    }
    all
}
