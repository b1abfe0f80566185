//! Files that files name: `include` and `extends`.
//!
//! Owns which they are, that none includes itself, and the variables that each sees. Knows nothing of merging.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Gathering, Layer, Unit, folder, read};
use crate::compose::decode::{At, decode};
use crate::compose::diagnostic::Diagnostic;
use crate::compose::extends::normal;
use crate::compose::interpolate::{Environment, Interpolation};
use crate::compose::node::Node;
use crate::compose::place::{Extent, Texts};
use crate::compose::schema::resource::{Include, LongInclude};
use crate::compose::schema::shape::OneOrMany;
use crate::compose::schema::vm::Extends;
use crate::compose::user_data::{self, Folders};

/// How deep files may include one another.
const DEPTH: usize = 32;

/// The files that led to the one being read, each with where it was named.
type Chain = Vec<(PathBuf, Option<Extent>)>;

impl Gathering<'_> {
    /// Reads files that are merged with one another, and all that they name.
    pub(super) fn unit(&mut self, files: &[PathBuf], environment: Arc<Environment>, chain: &mut Chain) -> Unit {
        let mut unit = Unit { environment, ..Unit::default() };
        for file in files {
            let asked = chain.last().and_then(|(_, asked)| *asked);
            let layer = self.layer(file, asked, &unit.environment);
            for document in &layer.documents {
                self.bases_of(document, &unit.environment);
                let includes = self.includes(document, &unit.environment);
                for include in includes {
                    chain.push((normal(file), None));
                    unit.includes.extend(self.include(&include, &unit.environment, chain));
                    chain.pop();
                }
            }
            unit.layers.push(layer);
        }
        unit
    }

    fn layer(&mut self, file: &Path, asked: Option<Extent>, environment: &Arc<Environment>) -> Layer {
        self.included.insert(normal(file));
        Layer { documents: self.documents(file, asked), environment: Arc::clone(environment) }
    }

    /// What a document includes. A mistake there is reported with all others, when the whole is parsed.
    fn includes(&self, document: &Node, environment: &Environment) -> Vec<LongInclude> {
        let Some(node) = document.get("include") else { return Vec::new() };
        let node = filled_in(node, &self.texts, environment);
        let includes: Option<Vec<Include>> = decode(&node, "include", &mut Vec::new());
        includes.unwrap_or_default().into_iter().map(|Include(long)| long).collect()
    }

    fn include(&mut self, include: &LongInclude, outer: &Environment, chain: &mut Chain) -> Option<Unit> {
        let OneOrMany(paths) = &include.path;
        let first = paths.first()?;
        let files: Vec<PathBuf> = paths.iter().map(|path| self.path(path)).collect();
        for (file, path) in files.iter().zip(paths) {
            let circle = chain.iter().any(|(earlier, _)| *earlier == normal(file));
            if circle || chain.len() > DEPTH {
                let message = if circle { "includes itself" } else { "is included too deep" };
                let endless = Diagnostic::error(format!("`{}` {message}", self.display(file)));
                self.mistakes.push(endless.at(path.place, "included here"));
                return None;
            }
        }
        // Two files may include the same third one: it is part of the project once.
        if files.iter().all(|file| self.included.contains(&normal(file))) {
            return None;
        }
        let folder = match &include.project_directory {
            Some(directory) => self.path(directory),
            None => folder(self.request, files.first()?),
        };
        let OneOrMany(named) = &include.env_file;
        let default = [folder.join(".env")];
        let env_files: Vec<PathBuf> = if named.is_empty() {
            default.into_iter().filter(|file| file.is_file()).collect()
        } else {
            named.iter().map(|file| self.path(file)).collect()
        };
        let environment = Arc::new(self.variables(&env_files, outer.clone()));
        if let Some(last) = chain.last_mut() {
            last.1 = Some(first.place.at);
        }
        Some(self.unit(&files, environment, chain))
    }

    /// Reads the files whose vms a document extends, and theirs.
    fn bases_of(&mut self, document: &Node, environment: &Arc<Environment>) {
        let mut wanted = self.extended(document, environment);
        let mut seen = BTreeSet::new();
        while let Some(file) = wanted.pop() {
            let path = normal(&self.path(&file));
            if !seen.insert(path.clone()) || self.bases.contains_key(&path) {
                continue;
            }
            let documents = self.documents(&path, Some(file.place.at));
            for document in &documents {
                wanted.extend(self.extended(document, environment));
            }
            self.bases.insert(path, Layer { documents, environment: Arc::clone(environment) });
        }
    }

    fn extended(&self, document: &Node, environment: &Environment) -> Vec<At<String>> {
        let vms = document.get("vms").map_or(&[][..], Node::entries);
        let named = vms.iter().filter_map(|vm| vm.value.get("extends")).filter(|node| node.get("file").is_some());
        let file = |node: &Node| {
            let node = filled_in(node, &self.texts, environment);
            let Extends(long) = decode(&node, "extends", &mut Vec::new())?;
            long.file
        };
        named.filter_map(file).collect()
    }

    /// Reads the files with user-data that vms name. One that cannot be read is a mistake only where a vm needs it.
    pub(super) fn user_data(&mut self, root: &Unit) {
        let mut paths = BTreeSet::new();
        let folders =
            Folders { directories: &self.directories, home: self.request.environment.get("HOME").map(String::as_str) };
        let mut units = vec![root];
        while let Some(unit) = units.pop() {
            units.extend(&unit.includes);
            let documents = unit.layers.iter().flat_map(|layer| &layer.documents);
            paths.extend(documents.flat_map(user_data::named).filter_map(|node| folders.path(node)));
        }
        let documents = self.bases.values().flat_map(|layer| &layer.documents);
        paths.extend(documents.flat_map(user_data::named).filter_map(|node| folders.path(node)));
        for path in paths {
            let text = if self.texts.is_full() {
                Err("more files than can be kept apart".to_owned())
            } else {
                read::text(&path)
            };
            let file = text.map(|text| self.add(&path, text));
            self.user_data.insert(path, file);
        }
    }

    fn path(&self, path: &At<String>) -> PathBuf {
        let folder = self.directories.get(usize::from(path.place.at.file.0));
        folder.map_or_else(|| PathBuf::from(&path.value), |folder| folder.join(&path.value))
    }
}

/// A copy with variables put in. What is wrong with them is reported when the whole is parsed.
pub(crate) fn filled_in(node: &Node, texts: &Texts, environment: &Environment) -> Node {
    let mut copy = node.clone();
    let (mut warned, mut mistakes, mut warnings) = (BTreeSet::new(), Vec::new(), Vec::new());
    Interpolation { texts, environment, warned: &mut warned, mistakes: &mut mistakes, warnings: &mut warnings }
        .value(&mut copy);
    copy
}
