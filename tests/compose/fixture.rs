//! A folder with compose files, parsed.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use vmcompose::compose::{self, Diagnostics, Parsed, Request};
use vmcompose::model::{ImageFrom, ImageRequest, Project, Surroundings, Vm};
use vmcompose::names::VmName;
use vmcompose::render::diagnostic;

/// A folder named `shop`, and what is asked of it.
pub(crate) struct Fixture {
    folder: TempDir,
    pub(crate) request: Request,
}

impl Fixture {
    /// A folder with one `vmcompose.yaml`.
    pub(crate) fn new(text: &str) -> Self {
        Self::empty().file("vmcompose.yaml", text)
    }

    pub(crate) fn empty() -> Self {
        let folder = TempDir::new().unwrap();
        let directory = folder.path().join("shop");
        fs::create_dir(&directory).unwrap();
        Self { folder, request: Request { directory, ..Request::default() } }
    }

    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        let path = self.directory().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.request.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Request)) -> Self {
        change(&mut self.request);
        self
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.request.directory
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn parse(&self) -> Result<Parsed, Diagnostics> {
        self.parse_among(&Surroundings::default())
    }

    /// Parsed where something is there already.
    pub(crate) fn parse_among(&self, surroundings: &Surroundings) -> Result<Parsed, Diagnostics> {
        let sources = compose::gather(&self.request)?;
        compose::parse(&sources, &self.request, surroundings)
    }

    /// The project; a test fails where there is none.
    pub(crate) fn project(&self) -> Project {
        match self.parse() {
            Ok(parsed) => parsed.project,
            Err(mistakes) => panic!("{}", diagnostic::text(&mistakes, false)),
        }
    }

    /// What is said about the file.
    pub(crate) fn mistakes(&self) -> String {
        let text = match self.parse() {
            Ok(parsed) => parsed.warnings,
            Err(mistakes) => mistakes,
        };
        diagnostic::text(&text, false).replace(&format!("{}/", self.root().display()), "")
    }
}

/// A vm of a project.
pub(crate) fn vm<'a>(project: &'a Project, name: &str) -> &'a Vm {
    &project.vms[&VmName::new(name).unwrap()]
}

/// The file that an image is, where it is one.
pub(crate) fn file(image: &ImageRequest) -> &Path {
    let ImageFrom::Path(path) = &image.from else { panic!("{image:?} is no file") };
    path
}
