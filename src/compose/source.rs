//! The files that a compose file is made of: found, read and parsed to trees.
//!
//! Owns all I/O of the compose front end: everything after [`gather`] is a pure function of [`Sources`]. Knows nothing
//! of what the trees mean, but for the keys that name further files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::diagnostic::{Diagnostic, Diagnostics};
use super::node::Node;
use super::place::{FileId, Texts};
use super::yaml;

mod discover;
mod read;

/// What the user asked for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Compose files, `-` for standard input; where there are none, they are looked for.
    pub files: Vec<PathBuf>,
    /// The folder from which the command was given.
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
    /// Active profiles.
    pub profiles: Vec<String>,
}

/// All that was read.
#[derive(Debug)]
pub struct Sources {
    pub(crate) texts: Arc<Texts>,
    /// The folder of the first file.
    pub(crate) directory: PathBuf,
    /// The files of the project itself, and what they include.
    pub(crate) root: Unit,
    /// Where each file stands, by [`FileId`]: relative paths in it begin there.
    pub(crate) directories: Vec<PathBuf>,
}

/// Files that are merged with one another.
#[derive(Debug, Default)]
pub(crate) struct Unit {
    pub(crate) documents: Vec<Node>,
}

/// Finds and reads everything.
pub fn gather(request: &Request) -> Result<Sources, Diagnostics> {
    let mut gathering = Gathering { request, texts: Texts::default(), directories: Vec::new(), mistakes: Vec::new() };
    let files = match discover::entry_files(request) {
        Ok(files) => files,
        Err(diagnostic) => return Err(Diagnostics::single(diagnostic)),
    };
    let directory = files.first().map_or_else(|| request.directory.clone(), |file| folder(request, file));
    let mut root = Unit::default();
    for file in &files {
        root.documents.extend(gathering.documents(file));
    }
    let Gathering { texts, directories, mistakes, .. } = gathering;
    let texts = Arc::new(texts);
    if !mistakes.is_empty() {
        return Err(Diagnostics::new(mistakes, texts));
    }
    Ok(Sources { texts, directory, root, directories })
}

struct Gathering<'a> {
    request: &'a Request,
    texts: Texts,
    directories: Vec<PathBuf>,
    mistakes: Vec<Diagnostic>,
}

impl Gathering<'_> {
    /// The documents of a file; none, and mistakes, where it cannot be read.
    fn documents(&mut self, path: &Path) -> Vec<Node> {
        let text = match read::text(path) {
            Ok(text) => text,
            Err(message) => {
                self.mistakes.push(Diagnostic::error(format!("{}: {message}", self.display(path))));
                return Vec::new();
            }
        };
        let id = self.add(path, text);
        match yaml::load(id, self.texts.text(id)) {
            Ok(documents) => documents,
            Err(mistakes) => {
                self.mistakes.extend(mistakes);
                Vec::new()
            }
        }
    }

    fn add(&mut self, path: &Path, text: String) -> FileId {
        let id = self.texts.add(self.display(path), text);
        self.directories.push(folder(self.request, path));
        id
    }

    /// The path as the user would write it from where the command was given.
    fn display(&self, path: &Path) -> String {
        if path == Path::new("-") {
            return "<stdin>".to_owned();
        }
        path.strip_prefix(&self.request.directory).unwrap_or(path).display().to_string()
    }
}

/// The folder that relative paths of a file begin at.
fn folder(request: &Request, file: &Path) -> PathBuf {
    if file == Path::new("-") {
        return request.directory.clone();
    }
    request.directory.join(file).parent().map_or_else(|| request.directory.clone(), Path::to_path_buf)
}
