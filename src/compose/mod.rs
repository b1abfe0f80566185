//! The compose file: text to [`Project`].
//!
//! One line: [`gather`] reads the files (the only I/O), and [`parse`] is a pure function of what it read. Text becomes a
//! tree that knows its places (`yaml`, `node`); variables are put in, vms extended and files merged (`assemble`), vms
//! multiplied and templates rendered (`expand`, `template`), all on that tree, so that every later mistake still points
//! into the user's own file; then it is decoded into structs of the file's shape (`decode`, `schema`) and lowered to the
//! model (`lower`). All mistakes are collected and shown at once. Knows nothing of libvirt or of plans.

mod alone;
mod assemble;
mod decode;
pub mod diagnostic;
mod dotenv;
mod expand;
mod extends;
mod instructions;
mod interpolate;
mod lower;
mod merge;
mod name;
mod node;
mod offsets;
pub mod place;
mod printed;
mod quota;
mod scale;
mod schema;
mod secrets;
mod source;
pub(crate) mod suggest;
mod template;
mod top;
mod user_data;
mod vars;
mod yaml;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

pub use diagnostic::{Diagnostic, Diagnostics, Label, Severity};
pub use name::{name_without_file, project_name};
pub use source::{Request, Sources, gather, is_there};
pub(crate) use suggest::nearest;
pub(crate) use template::escaped;

use crate::model::instruction::Instructions;
use crate::model::{Project, Surroundings};
use crate::names::VmName;
use decode::{At, decode, decode_partly};
use expand::{Draft, Expanded};
use lower::settle::{self, Wish};
use lower::{Instance, Resources, Scope, declared, existing, network};
use node::{Kind, Node};
use place::{Extent, Place};
use schema::guest::Fqdn;
use schema::vm::{self, Lost, VmNetworks};
use template::Templates;
use template::context::Shared;

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
    /// The file after merging, interpolation and templates, as `vmcompose config` prints it: it can be read again, and
    /// means the same.
    pub fn resolved(&self) -> serde_yaml::Value {
        printed::value(self.resolved.clone())
    }
}

impl Parsed {
    /// What the guests are told for their first boot, and where the user wrote it.
    pub fn instructions(&self) -> Instructions {
        let vms = self.resolved.get("vms").map_or(&[][..], Node::entries);
        let of = |vm: &node::Entry| {
            let name = VmName::new(vm.key.text.clone()).ok()?;
            Some((name, instructions::of(&vm.value, &self.warnings.texts)))
        };
        vms.iter().filter_map(of).collect()
    }
}

/// The JSON Schema of the compose file.
pub fn json_schema() -> serde_json::Value {
    schema::json_schema()
}

/// Makes the project of what was read.
pub fn parse(sources: &Sources, request: &Request, surroundings: &Surroundings) -> Result<Parsed, Diagnostics> {
    let (mut mistakes, mut warnings) = (sources.slips.clone(), Vec::new());
    let parsed = run(sources, request, surroundings, &mut mistakes, &mut warnings)?;
    match parsed {
        Some((project, profiles, resolved)) if mistakes.is_empty() => {
            let warnings = Diagnostics::new(warnings, Arc::clone(&sources.texts));
            Ok(Parsed { project, warnings, profiles, resolved })
        }
        _ => {
            mistakes.append(&mut warnings);
            Err(Diagnostics::new(mistakes, Arc::clone(&sources.texts)))
        }
    }
}

/// The whole line. What it returns is only good where there are no mistakes.
fn run(
    sources: &Sources,
    request: &Request,
    surroundings: &Surroundings,
    mistakes: &mut Vec<Diagnostic>,
    warnings: &mut Vec<Diagnostic>,
) -> Result<Option<(Project, Vec<String>, Node)>, Diagnostics> {
    let texts = &sources.texts;
    let name = match project_name(sources, request) {
        Ok(name) => name,
        Err(why) if why.list.iter().all(|mistake| mistake.labels.is_empty()) => return Err(why),
        // Another one, for as long as it takes to see what else is wrong.
        Err(why) => {
            mistakes.extend(why.list);
            name::stand_in()
        }
    };
    let Some(mut root) = assemble::assemble(sources, mistakes, warnings).filter(|root| !root.is_null()) else {
        mistakes.push(top::empty(sources));
        return Ok(None);
    };
    if !top::check(&root, mistakes) {
        return Ok(None);
    }
    let environment = sources.environment();
    let mut templates = Templates::new(texts);
    let shared = Shared::new(BTreeMap::new(), environment, &name);
    let vars = vars::values(&root, sources, request, &shared, &mut templates, mistakes, warnings);
    let shared = shared.with_vars(vars);
    top::render(&mut root, &shared, &mut templates, mistakes);
    let secrets = declared(&root, "secrets", mistakes);
    let vms = top::take_vms(&mut root);
    let place = vms.as_ref().map_or_else(|| root.place(), Node::place);
    let mut entries =
        vms.map_or_else(Vec::new, |node| if let Kind::Mapping(entries) = node.kind { entries } else { Vec::new() });
    scale::scale(&mut entries, &request.scale, mistakes);
    let active = top::profiles(request, environment);
    let Expanded { mut instances, off, unused, profiles, too_many } =
        expand::expand(entries, &active, &shared, &mut templates, mistakes);
    templates.without(&off);
    check_unused(unused, &mut templates, mistakes);
    if too_many {
        return Ok(None);
    }
    if instances.is_empty() && mistakes.is_empty() {
        mistakes.push(top::no_vms(place, &off));
        return Ok(None);
    }

    let sound = mistakes.len();
    let (wishes, unread) = wishes(&instances);
    let implicit = wishes.iter().find(|vm| vm.spec.is_on(network::IMPLICIT)).map(|vm| vm.place);
    let networks = declared(&root, "networks", mistakes);
    let networks = network::lower(&name, networks, implicit, surroundings, mistakes);
    let settled = settle::settle(&name, networks, &wishes, surroundings, mistakes);

    let shared = shared.with_addresses(&settled, &instances);
    // Where addresses could not be settled, what templates miss of them follows from that.
    let mut ignored = Vec::new();
    let blame = if unread || mistakes.len() > sound { &mut ignored } else { &mut *mistakes };
    let trusted = shared.with_secrets(secrets.iter().map(|secret| &secret.name));
    let home = environment.get("HOME").map(String::as_str);
    let folders = user_data::Folders { directories: &sources.directories, home };
    let shelf = user_data::Shelf { files: &sources.user_data, folders, texts };
    for instance in &mut instances {
        let Draft { node, own } = &mut instance.spec;
        let (context, trusted) = (shared.of_vm(own.clone()), trusted.of_vm(own.clone()));
        for place in secrets::places(node) {
            templates.finish(place, &trusted, blame);
        }
        templates.finish(node, &context, blame);
        shelf.put_in(node, &trusted, &mut templates, blame);
    }
    let vms = decoded(&instances, &sources.defaults(), mistakes);
    let resources = Resources {
        volumes: declared(&root, "volumes", mistakes),
        images: declared(&root, "images", mistakes),
        secrets,
    };
    let scope = Scope { project: &name, texts, directories: &sources.directories, home, off: &off };
    let project = lower::lower(&scope, &resources, &vms, settled, mistakes, warnings);
    quota::check(&root, &project, mistakes);
    let resolved = printed::tree(root, &scope, instances);
    Ok(Some((project, profiles.into_iter().collect(), resolved)))
}

/// What of each vm settles its addresses, and whether some of it could not be read. What does not fit is reported when
/// the whole vm is decoded.
fn wishes(instances: &[Instance<Draft>]) -> (Vec<Instance<Wish>>, bool) {
    let mut ignored = Vec::new();
    let mut wish = |node: &Node| {
        let given = |key| node.get(key).filter(|node: &&Node| !node.is_null());
        // Whatever such a machine is on, it is none of the project's networks.
        let existing = given("boot").is_some_and(existing::is_meant).then(VmNetworks::default);
        let networks = existing
            .or_else(|| given("networks").map(|n| decode::<VmNetworks>(n, "", &mut ignored).unwrap_or_default()));
        let hostname = given("hostname").and_then(|n| decode::<At<Fqdn>>(n, "", &mut ignored));
        Wish { networks, hostname: hostname.map(|At { value: Fqdn(name), place }| (name, place)) }
    };
    let wishes = instances.iter().map(|vm| vm.with(wish(&vm.spec.node))).collect();
    (wishes, !ignored.is_empty())
}

/// Every vm. What is wrong with a default is named as such, not as the first vm's that got it.
fn decoded(
    instances: &[Instance<Draft>],
    defaults: &[Extent],
    mistakes: &mut Vec<Diagnostic>,
) -> Vec<Instance<vm::Vm>> {
    let mut all = Vec::with_capacity(instances.len());
    for instance in instances {
        let node = &instance.spec.node;
        let path = format!("vms.{}", instance.group.as_ref().unwrap_or(&instance.name));
        let is_default = |place: Place| defaults.iter().any(|defaults| defaults.contains(place.at));
        let name = |place| if is_default(place) { "defaults" } else { path.as_str() };
        let vm = decode_partly::<Option<vm::Vm>>(node, &name, mistakes);
        let mut vm = vm.flatten().unwrap_or_default();
        vm.lost = lost(node, &vm);
        all.push(instance.with(vm));
    }
    all
}

/// Vms that are off: their keys, types and templates are looked at all the same, but not what they refer to.
fn check_unused(unused: Vec<(String, Node)>, templates: &mut Templates<'_>, mistakes: &mut Vec<Diagnostic>) {
    for (name, mut node) in unused {
        templates.check(&mut node, mistakes);
        let path = format!("vms.{name}");
        decode_partly::<Option<vm::Vm>>(&node, &|_| &path, mistakes);
    }
}

/// Which keys are there in the tree and not in the struct.
fn lost(node: &Node, vm: &vm::Vm) -> Lost {
    let start = |key: &str| {
        let near = || suggest::nearest(key, ["image", "boot", "extends"]).is_some();
        matches!(key, "image" | "boot" | "extends") || (!vm_keys().contains(&key) && near())
    };
    let written = |wanted: &dyn Fn(&str) -> bool| {
        node.entries().iter().any(|entry| wanted(&entry.key.text) && !entry.value.is_null())
    };
    let whole = !node.is_null() && !matches!(node.kind, Kind::Mapping(_));
    Lost {
        start: vm.image.is_none() && vm.boot.is_none() && (whole || written(&start)),
        health: vm.healthcheck.is_none() && written(&|key| key == "healthcheck"),
    }
}

fn vm_keys() -> &'static [&'static str] {
    static KEYS: OnceLock<&'static [&'static str]> = OnceLock::new();
    KEYS.get_or_init(decode::keys::<vm::Vm>)
}
