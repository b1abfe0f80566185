//! The files that a compose file is made of: found, read and parsed to trees.
//!
//! Owns all I/O of the compose front end: everything after [`gather`] is a pure function of [`Sources`]. Knows nothing
//! of what the trees mean, but for the keys that name further files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::diagnostic::{Diagnostic, Diagnostics};
use super::extends::normal;
use super::interpolate::Environment;
use super::node::{Kind, Node};
use super::place::{Extent, FileId, Texts};
use super::yaml::{self, Loaded};
use super::{alone, dotenv, user_data};

mod discover;
mod follow;
mod read;

pub(crate) use follow::filled_in;

/// What the user asked for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Compose files, `-` for standard input; where there are none, they are looked for.
    pub files: Vec<PathBuf>,
    /// What `-` is, in place of standard input.
    pub input: Option<String>,
    /// The folder from which the command was given, absolute.
    pub directory: PathBuf,
    /// Name of the project, in place of the file's.
    pub project: Option<String>,
    /// The environment of the process.
    pub environment: BTreeMap<String, String>,
    /// Files with variables, in place of `.env`.
    pub env_files: Vec<PathBuf>,
    /// Values for `vars`.
    pub vars: Vec<(String, String)>,
    /// Files with values for `vars`.
    pub var_files: Vec<PathBuf>,
    /// Active profiles; `VMCOMPOSE_PROFILES` counts where there are none.
    pub profiles: Vec<String>,
    /// Numbers of replicas, in place of the file's.
    pub scale: BTreeMap<String, u32>,
}

/// All that was read.
#[derive(Debug)]
pub struct Sources {
    pub(crate) texts: Arc<Texts>,
    /// The folder of the first file.
    pub(crate) directory: PathBuf,
    /// The files of the project itself, and what they include.
    pub(crate) root: Unit,
    /// Files whose vms are extended, by path.
    pub(crate) bases: BTreeMap<PathBuf, Layer>,
    /// Where each file stands, by [`FileId`]: relative paths in it begin there.
    pub(crate) directories: Vec<PathBuf>,
    /// Files with values for `vars`.
    pub(crate) var_files: Vec<Node>,
    /// Files with user-data that vms name.
    pub(crate) user_data: user_data::Files,
    /// What is wrong, and yet left something to look at.
    pub(crate) slips: Vec<Diagnostic>,
}

impl Sources {
    /// The variables that interpolation sees: the process's and those of `.env`.
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.root.environment
    }

    /// Where the `defaults` of all files stand.
    pub(crate) fn defaults(&self) -> Vec<Extent> {
        let layers = layers(&self.root, &self.bases);
        let documents = layers.iter().flat_map(|layer| &layer.documents);
        documents.filter_map(|document| document.get("defaults")).map(|defaults| defaults.at).collect()
    }

    /// Whether they say nothing but what the project is called: a file that is yet to be written.
    pub fn is_bare(&self) -> bool {
        let bare = |document: &Node| document.entries().iter().all(|entry| entry.key.text == "name");
        let written = |document: &&Node| !document.is_null();
        let documents = self.root.layers.iter().flat_map(|layer| &layer.documents).filter(written);
        self.root.includes.is_empty() && { documents }
            .all(|document| matches!(document.kind, Kind::Mapping(_)) && bare(document))
    }

    /// The project's folder: that of its first file.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// Files that are merged with one another and see the same variables.
#[derive(Debug, Default)]
pub(crate) struct Unit {
    pub(crate) environment: Arc<Environment>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) includes: Vec<Unit>,
}

/// One file: its documents, as they were written.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) documents: Vec<Node>,
    /// The variables that it sees.
    pub(crate) environment: Arc<Environment>,
}

/// All files of a project.
fn layers<'a>(root: &'a Unit, bases: &'a BTreeMap<PathBuf, Layer>) -> Vec<&'a Layer> {
    let mut units = vec![root];
    let mut layers: Vec<&Layer> = bases.values().collect();
    while let Some(unit) = units.pop() {
        layers.extend(&unit.layers);
        units.extend(&unit.includes);
    }
    layers
}

/// Whether there is a file, or one was named.
pub fn is_there(request: &Request) -> bool {
    discover::entry_files(request).is_ok()
}

/// Finds and reads everything.
pub fn gather(request: &Request) -> Result<Sources, Diagnostics> {
    let files = discover::entry_files(request).map_err(Diagnostics::single)?;
    let directory = files.first().map_or_else(|| request.directory.clone(), |file| folder(request, file));
    let mut gathering = Gathering::new(request);
    let environment = gathering.environment(&directory);
    let root = gathering.unit(&files, environment, &mut Vec::new());
    let var_files = request.var_files.iter().map(|file| request.directory.join(file)).collect::<Vec<_>>();
    let var_files = var_files.iter().flat_map(|file| gathering.documents(file, None)).collect();
    gathering.user_data(&root);
    let Gathering { texts, directories, mut mistakes, slips, bases, user_data, .. } = gathering;
    let texts = Arc::new(texts);
    if !mistakes.is_empty() {
        mistakes.extend(slips);
        alone::check(&layers(&root, &bases), &texts, &mut mistakes);
        return Err(Diagnostics::new(mistakes, texts));
    }
    Ok(Sources { texts, directory, root, bases, directories, var_files, user_data, slips })
}

struct Gathering<'a> {
    request: &'a Request,
    texts: Texts,
    directories: Vec<PathBuf>,
    mistakes: Vec<Diagnostic>,
    /// Those that left something to look at.
    slips: Vec<Diagnostic>,
    bases: BTreeMap<PathBuf, Layer>,
    user_data: user_data::Files,
    /// Files that are part of the project already; none is taken twice.
    included: BTreeSet<PathBuf>,
}

impl<'a> Gathering<'a> {
    fn new(request: &'a Request) -> Self {
        Self {
            request,
            texts: Texts::default(),
            directories: Vec::new(),
            mistakes: Vec::new(),
            slips: Vec::new(),
            bases: BTreeMap::new(),
            user_data: user_data::Files::new(),
            included: BTreeSet::new(),
        }
    }

    /// The documents of a file; none, and a mistake, where it cannot be read. `asked` is where another file names it.
    fn documents(&mut self, path: &Path, asked: Option<Extent>) -> Vec<Node> {
        let Some(text) = self.text(path, asked) else { return Vec::new() };
        let id = self.add(path, text);
        let Loaded { documents, mistakes, whole } = yaml::load(id, self.texts.text(id));
        let list = if whole { &mut self.slips } else { &mut self.mistakes };
        list.extend(mistakes);
        documents
    }

    fn text(&mut self, path: &Path, asked: Option<Extent>) -> Option<String> {
        if self.texts.is_full() {
            self.mistakes.push(Diagnostic::error("more files than can be kept apart"));
            return None;
        }
        let given = self.request.input.clone().filter(|_| path == Path::new("-"));
        match given.map_or_else(|| read::text(path), Ok) {
            Ok(text) => Some(text),
            Err(message) => {
                let unreadable = Diagnostic::error(format!("`{}`: {message}", self.display(path)));
                self.mistakes.push(match asked {
                    Some(extent) => unreadable.at(extent, "named here"),
                    None => unreadable,
                });
                None
            }
        }
    }

    fn add(&mut self, path: &Path, text: String) -> FileId {
        let id = self.texts.add(self.display(path), text);
        self.directories.push(folder(self.request, path));
        id
    }

    /// The variables of the project: those of the process, before those of `.env` or the files that were named.
    fn environment(&mut self, directory: &Path) -> Arc<Environment> {
        let outer = self.request.environment.clone();
        if self.request.env_files.is_empty() {
            let file = directory.join(".env");
            return Arc::new(if file.is_file() { self.variables(&[file], outer) } else { outer });
        }
        let files: Vec<PathBuf> = self.request.env_files.iter().map(|file| self.request.directory.join(file)).collect();
        Arc::new(self.variables(&files, outer))
    }

    /// `outer`, and what files add to it. A later file counts more than an earlier one, and `outer` more than any.
    fn variables(&mut self, files: &[PathBuf], outer: Environment) -> Environment {
        let mut found = Environment::new();
        for file in files {
            let Some(text) = self.text(file, None) else { continue };
            let id = self.add(file, text);
            let mut seen = found.clone();
            seen.extend(outer.clone());
            match dotenv::parse(self.texts.text(id), &seen) {
                Ok(variables) => found.extend(variables),
                Err(troubles) => self.mistakes.extend(troubles.into_iter().map(|trouble| {
                    Diagnostic::error(trouble.message).at(Extent::new(id, trouble.range), "in this file of variables")
                })),
            }
        }
        found.extend(outer);
        found
    }

    /// The path as the user would write it from where the command was given.
    fn display(&self, path: &Path) -> String {
        if path == Path::new("-") {
            return "<stdin>".to_owned();
        }
        let path = normal(path);
        path.strip_prefix(&self.request.directory).unwrap_or(&path).display().to_string()
    }
}

/// The folder that relative paths of a file begin at.
fn folder(request: &Request, file: &Path) -> PathBuf {
    if file == Path::new("-") {
        return request.directory.clone();
    }
    let file = request.directory.join(file);
    file.parent().map_or_else(|| request.directory.clone(), Path::to_path_buf)
}
