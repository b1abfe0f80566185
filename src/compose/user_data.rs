//! Files that vms name for their guests (user-data, scripts, files to put, Ignition): read with all other files, and put in the place of their names.
//!
//! Owns which files these are. Once they are in the tree, they are texts like any other, with places of their own. Reads
//! none itself, and knows nothing of what is in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use minijinja::Value;

use super::diagnostic::Diagnostic;
use super::node::{Entry, Key, Kind, Node};
use super::place::{Extent, FileId, Place, Texts};
use super::template::{Templates, is_template};

/// The files by path: their texts, or in words why there is none.
pub(crate) type Files = BTreeMap<PathBuf, Result<FileId, String>>;

const FILE: &str = "file";
const TEMPLATE: &str = "template";
const SCRIPT: &str = "script";
const SOURCE: &str = "source";

/// Where the paths of a file begin.
#[derive(Clone, Copy)]
pub(crate) struct Folders<'a> {
    pub(crate) directories: &'a [PathBuf],
    pub(crate) home: Option<&'a str>,
}

impl Folders<'_> {
    /// The path that a node names.
    pub(crate) fn path(self, node: &Node) -> Option<PathBuf> {
        let text = node.as_text().filter(|text| !text.is_empty())?;
        let home = text.strip_prefix("~/").and_then(|rest| self.home.map(|home| Path::new(home).join(rest)));
        let folder = self.directories.get(usize::from(node.at.file.0)).map_or(Path::new(""), PathBuf::as_path);
        Some(folder.join(home.unwrap_or_else(|| PathBuf::from(text))))
    }
}

/// The nodes of a compose file that name files with user-data. A path that is a template is not known yet, and never
/// will be in time: it is a mistake, told by [`put_in`].
pub(crate) fn named(document: &Node) -> Vec<&Node> {
    let vms = document.get("vms").map_or(&[][..], Node::entries).iter().map(|entry| &entry.value);
    let vms: Vec<&Node> = vms.chain(document.get("defaults")).collect();
    let guests = vms.iter().filter_map(|vm| vm.get("cloud_init"));
    let user_data = guests.flat_map(|guest| [guest.get("user_data"), guest.get("parts")]).flatten();
    let parts = user_data.flat_map(|node| std::iter::once(node).chain(node.items()));
    let names = parts.flat_map(|part| [part.get(FILE), part.get(TEMPLATE)]).flatten();
    let tasks = vms.iter().filter_map(|vm| vm.get("provision"));
    let tasks = tasks.flat_map(|node| std::iter::once(node).chain(node.items()));
    let of_tasks = tasks.flat_map(|task| [task.get(SCRIPT), task.get(FILE).and_then(|file| file.get(SOURCE))]);
    let ignition = vms.iter().filter_map(|vm| vm.get("ignition").and_then(|node| node.get(FILE)));
    names
        .chain(of_tasks.flatten())
        .chain(ignition)
        .filter(|node| node.as_text().is_some_and(|text| !is_template(text)))
        .collect()
}

/// What is needed to put files in: themselves, and for templates what one vm sees.
pub(crate) struct Shelf<'a> {
    pub(crate) files: &'a Files,
    pub(crate) folders: Folders<'a>,
    pub(crate) texts: &'a Texts,
}

impl Shelf<'_> {
    /// Puts the files that a vm names in their names' place, templates rendered.
    pub(crate) fn put_in(
        &self,
        vm: &mut Node,
        context: &Value,
        templates: &mut Templates<'_>,
        mistakes: &mut Vec<Diagnostic>,
    ) {
        self.tasks(vm, mistakes);
        self.ignition(vm, mistakes);
        let Some(guest) = value_mut(vm, "cloud_init") else { return };
        let Kind::Mapping(entries) = &mut guest.kind else { return };
        for Entry { value, .. } in
            entries.iter_mut().filter(|entry| matches!(entry.key.text.as_str(), "user_data" | "parts"))
        {
            self.part(value, context, templates, mistakes);
            if let Kind::Sequence(parts) = &mut value.kind {
                for part in parts {
                    self.part(part, context, templates, mistakes);
                }
            }
        }
    }

    /// A script becomes the text to run, with its file's name; the source of a file becomes its content.
    fn tasks(&self, vm: &mut Node, mistakes: &mut Vec<Diagnostic>) {
        let Some(provision) = value_mut(vm, "provision") else { return };
        let tasks = match &mut provision.kind {
            Kind::Sequence(tasks) => tasks.as_mut_slice(),
            _ => std::slice::from_mut(provision),
        };
        for task in tasks {
            if let Some(file) = value_mut(task, FILE) {
                self.replace(file, SOURCE, "content", mistakes);
            }
            let script = task.get(SCRIPT).map(|node| Node::text(file_name(node), node.at));
            let named = task.get("name").is_some();
            if self.replace(task, SCRIPT, "run", mistakes)
                && let (Some(name), Kind::Mapping(entries)) = (script.filter(|_| !named), &mut task.kind)
            {
                let key = Key { text: "name".to_owned(), at: name.at };
                entries.push(Entry { key, value: name });
            }
        }
    }

    fn ignition(&self, vm: &mut Node, mistakes: &mut Vec<Diagnostic>) {
        let Some(ignition) = value_mut(vm, "ignition") else { return };
        if ignition.entries().len() == 1
            && self.replace(ignition, FILE, "content", mistakes)
            && let Some(entry) = ignition.remove("content")
        {
            *ignition = entry.value;
        }
    }

    /// Puts a file's text in the place of its name, under another key. Tells whether it did.
    fn replace(&self, node: &mut Node, name: &str, key: &str, mistakes: &mut Vec<Diagnostic>) -> bool {
        if node.get(key).is_some() {
            // Both are given, which is a mistake that the schema tells.
            return false;
        }
        let Kind::Mapping(entries) = &mut node.kind else { return false };
        let Some(entry) = entries.iter_mut().find(|entry| entry.key.text == name) else { return false };
        let Some(path) = self.folders.path(&entry.value) else { return false };
        let place = entry.value.place();
        let said = match self.files.get(&path) {
            Some(Ok(file)) => {
                let text = self.texts.text(*file);
                key.clone_into(&mut entry.key.text);
                entry.value = Node::text(text.to_owned(), Extent::new(*file, 0..text.len()));
                return true;
            }
            Some(Err(words)) => Diagnostic::error(format!("`{}`: {words}", path.display())).at(place, "named here"),
            None => Diagnostic::error("the path of a file that is read cannot be a template")
                .at(place, "read before templates are rendered"),
        };
        mistakes.push(said);
        false
    }

    fn part(&self, part: &mut Node, context: &Value, templates: &mut Templates<'_>, mistakes: &mut Vec<Diagnostic>) {
        let Kind::Mapping(entries) = &mut part.kind else { return };
        let mut names = entries.iter_mut().filter(|entry| matches!(entry.key.text.as_str(), FILE | TEMPLATE));
        let (Some(entry), None) = (names.next(), names.next()) else { return };
        let Some(path) = self.folders.path(&entry.value) else { return };
        let place = entry.value.place();
        match self.files.get(&path) {
            Some(Ok(file)) => {
                let text = self.texts.text(*file);
                let at = Extent::new(*file, 0..text.len());
                let text = if entry.key.text == TEMPLATE {
                    templates.text(text, context, Place { at, via: place.via })
                } else {
                    Ok(text.to_owned())
                };
                match text {
                    Ok(text) => {
                        "content".clone_into(&mut entry.key.text);
                        entry.value = Node::text(text, at);
                    }
                    Err(mistake) => mistakes.push(*mistake),
                }
            }
            Some(Err(words)) => {
                let unreadable = Diagnostic::error(format!("`{}`: {words}", path.display()));
                mistakes.push(unreadable.at(place, "named here"));
            }
            None => {
                let computed = Diagnostic::error("the path of a file with user-data cannot be a template");
                mistakes.push(computed.at(place, "read before templates are rendered"));
            }
        }
    }
}

/// The last part of the path that a node names.
fn file_name(node: &Node) -> String {
    let path = Path::new(node.as_text().unwrap_or_default());
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn value_mut<'a>(node: &'a mut Node, key: &str) -> Option<&'a mut Node> {
    let Kind::Mapping(entries) = &mut node.kind else { return None };
    entries.iter_mut().find(|entry| entry.key.text == key).map(|entry| &mut entry.value)
}
