//! The project's name.
//!
//! Owns where it comes from. Knows nothing of what it names.

use std::path::Path;
use std::sync::Arc;

use super::decode::{At, decode};
use super::diagnostic::{Diagnostic, Diagnostics};
use super::lower::named;
use super::node::Node;
use super::source::{Request, Sources};
use super::template::is_template;
use crate::names::ProjectName;

/// The variable that names the project, in place of the file.
const VARIABLE: &str = "VMCOMPOSE_PROJECT";

/// The project's name: the one asked for, else that of `VMCOMPOSE_PROJECT`, else the file's, else that of the file's folder.
pub fn project_name(sources: &Sources, request: &Request) -> Result<ProjectName, Diagnostics> {
    let asked = request.project.as_ref().map(|name| ("`--project`", name));
    let set = sources.environment().get(VARIABLE).filter(|name| !name.is_empty()).map(|name| (VARIABLE, name));
    if let Some((by, name)) = asked.or(set) {
        return ProjectName::new(name.as_str()).map_err(|error| {
            Diagnostics::single(Diagnostic::error(format!("the name of the project, from {by}: {error}")))
        });
    }
    let layers = sources.root.layers.iter().rev();
    let written = layers.flat_map(|layer| layer.documents.iter().rev()).find_map(|document| document.get("name"));
    match written.filter(|node| !node.is_null()) {
        Some(node) => from_file(node, sources),
        None => from_folder(&sources.directory),
    }
}

/// The name of a project that has no file: the one asked for, else that of `VMCOMPOSE_PROJECT`, else that of the folder.
pub fn name_without_file(request: &Request) -> Result<ProjectName, Diagnostics> {
    let set = request.environment.get(VARIABLE).filter(|name| !name.is_empty());
    match request.project.as_ref().or(set) {
        Some(name) => ProjectName::new(name.as_str())
            .map_err(|error| Diagnostics::single(Diagnostic::error(format!("the name of the project: {error}")))),
        None => from_folder(&request.directory),
    }
}

/// A name for a project that has none yet, so that the rest of its file can be looked at.
pub(super) fn stand_in() -> ProjectName {
    ProjectName::new("project").expect("`project` is a legal name")
}

fn from_file(node: &Node, sources: &Sources) -> Result<ProjectName, Diagnostics> {
    let node = super::source::filled_in(node, &sources.texts, sources.environment());
    let mut mistakes = Vec::new();
    let text = decode::<At<String>>(&node, "name", &mut mistakes);
    let name = text.and_then(|At { value, place }| {
        if is_template(&value) {
            let mistake = Diagnostic::error("`name` cannot be a template: templates are rendered with it")
                .at(place, "a template")
                .hint("`${VARIABLE}` works here")
                .alone_at_its_place();
            mistakes.push(mistake);
            return None;
        }
        named(&value, place, &mut mistakes)
    });
    name.ok_or_else(|| Diagnostics::new(mistakes, Arc::clone(&sources.texts)))
}

/// A folder's name as a project's: in lower case, what is not legal left out.
fn from_folder(folder: &Path) -> Result<ProjectName, Diagnostics> {
    let name = folder.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let legal = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let name: String = name.replace([' ', '.'], "-").chars().filter(legal).take(63).collect();
    ProjectName::new(name.trim_matches(['-', '_'])).map_err(|_| {
        let nameless = format!("the folder `{}` gives no name for the project", folder.display());
        Diagnostics::single(Diagnostic::error(nameless).hint("write `name: …` at the top of the file"))
    })
}
