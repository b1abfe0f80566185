//! Commands that only read the file: `config`, `validate`, `schema`, `graph`, and `version`.

use crate::backend::libvirt::Libvirt;
use serde_json::json;

use crate::cli::{
    Config, ConfigFormat, Global, Graph, Part, PlanFormat, Schema, SchemaFormat, SchemaOf, TableFormat, Validate,
    Version,
};
use crate::commands::{print, request, stage};
use crate::compose::{self, Parsed};
use crate::error::{Error, Exit};
use crate::render::{self, Palette, output};

/// Prints the file as it is understood, or the names of one part of it.
pub(super) fn config(global: &Global, options: &Config) -> Result<Exit, Error> {
    let parsed = stage::parse(&request(global)?)?;
    if options.quiet {
        return Ok(Exit::Done);
    }
    let text = match (part(&parsed, &options.part), options.format) {
        (Some(names), _) => names.join("\n"),
        (None, ConfigFormat::Yaml) => {
            serde_yaml::to_string(&parsed.resolved()).expect("what was read from YAML can be written as YAML")
        }
        (None, ConfigFormat::Json) => {
            serde_json::to_string_pretty(&parsed.resolved()).expect("keys are strings after decoding")
        }
    };
    print(&text)?;
    Ok(Exit::Done)
}

fn part(parsed: &Parsed, part: &Part) -> Option<Vec<String>> {
    let project = &parsed.project;
    Some(if part.vms {
        project.vms.keys().map(ToString::to_string).collect()
    } else if part.images {
        project.images.keys().map(ToString::to_string).collect()
    } else if part.networks {
        project.networks.keys().map(ToString::to_string).collect()
    } else if part.volumes {
        project.volumes.keys().map(ToString::to_string).collect()
    } else if part.profiles {
        parsed.profiles.iter().map(ToString::to_string).collect()
    } else {
        return None;
    })
}

/// Checks the file. What is wrong comes back as the error, or is printed for programs: the same facts, in this shape:
///
/// ```json
/// { "version": 1, "valid": false, "diagnostics": [ … ] }
/// ```
pub(super) fn validate(global: &Global, options: &Validate) -> Result<Exit, Error> {
    let request = request(global)?;
    if options.format == PlanFormat::Json {
        let (diagnostics, exit) = match stage::read(&request) {
            Ok(parsed) => (parsed.warnings, Exit::Done),
            Err(Error::Compose(diagnostics)) => {
                let exit = Error::Compose(diagnostics.clone()).exit();
                (diagnostics, exit)
            }
            Err(other) => return Err(other),
        };
        let valid = exit == Exit::Done;
        print(&format!("{:#}", json!({ "version": 1, "valid": valid, "diagnostics": diagnostics })))?;
        return Ok(exit);
    }
    let project = stage::parse(&request)?.project;
    let count = project.vms.len();
    let vms = if count == 1 { "vm" } else { "vms" };
    output::note(&format!("project `{}` with {count} {vms} is valid", project.name));
    Ok(Exit::Done)
}

/// Prints the language of the compose file, or the shape of a plan.
pub(super) fn schema(options: &Schema) -> Result<Exit, Error> {
    if options.of == SchemaOf::Plan {
        return print(render::plan::schema()).map(|()| Exit::Done);
    }
    let schema = compose::json_schema();
    match options.format {
        SchemaFormat::Json => print(&format!("{schema:#}"))?,
        SchemaFormat::Markdown => print(&render::reference::markdown(&schema))?,
    }
    Ok(Exit::Done)
}

/// Prints who waits for whom.
pub(super) fn graph(global: &Global, options: &Graph) -> Result<Exit, Error> {
    let desired = stage::outline(&stage::parse(&request(global)?)?.project)?;
    let text = render::graph::draw(&desired.graph, &desired.specs, options.format, &Palette::stdout());
    print(&text)?;
    Ok(Exit::Done)
}

/// Prints the versions of vmcompose and, where it can be reached, of the hypervisor. For programs, in this shape, where
/// what cannot be reached is null:
///
/// ```json
/// { "version": 1, "vmcompose": "0.1.0", "libvirt": "11.3.0", "driver": "QEMU", "hypervisor": "10.0.2" }
/// ```
pub(super) fn version(global: &Global, options: &Version) -> Result<Exit, Error> {
    let own = env!("CARGO_PKG_VERSION");
    let found = Libvirt::connect(global.connect.as_deref()).and_then(|libvirt| libvirt.versions());
    let shape = || {
        let found = found.as_ref().ok();
        json!({
            "version": 1,
            "vmcompose": own,
            "libvirt": found.map(|found| &found.libvirt),
            "driver": found.map(|found| &found.driver),
            "hypervisor": found.map(|found| &found.hypervisor),
        })
    };
    let text = match (options.format, &found) {
        (TableFormat::Table, Ok(found)) => {
            format!("vmcompose {own}\nlibvirt {}\n{} {}", found.libvirt, found.driver, found.hypervisor)
        }
        (TableFormat::Table, Err(error)) => format!("vmcompose {own}\nno hypervisor: {error}"),
        (TableFormat::Json, _) => format!("{:#}", shape()),
        (TableFormat::Yaml, _) => serde_yaml::to_string(&shape()).expect("every key is a string"),
    };
    print(&text)?;
    Ok(Exit::Done)
}
