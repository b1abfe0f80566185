//! Every example: valid, planned, brought up on the test driver, a no-op the second time, and gone again.

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use support::World;
use support::faulty::Faulty;
use vmcompose::backend::Hypervisor;
use vmcompose::backend::libvirt::Libvirt;
use vmcompose::compose::{self, Request, Sources};
use vmcompose::execute::{self, Outcome};
use vmcompose::image;
use vmcompose::model::catalog::{Arch, locate};
use vmcompose::model::secret::SecretFrom;
use vmcompose::model::{Image, ImageFrom, ImageRole, Surroundings};
use vmcompose::names::{ImageName, ResourceId};
use vmcompose::plan::{Goal, Options, Plan, plan};
use vmcompose::render::{self, Palette};
use vmcompose::state::{ActualState, DesiredState};

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose-examples");
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(root).expect("examples").map(|entry| entry.expect("an entry").path()).collect();
    found.retain(|path| path.is_dir());
    found.sort();
    assert!(found.len() > 3, "{found:?}");
    found
}

/// One example, on a private hypervisor.
struct Example {
    request: Request,
    sources: Sources,
    images: BTreeMap<ImageName, Image>,
    hypervisor: Arc<Faulty<Libvirt>>,
    _world: World,
}

impl Example {
    fn new(folder: &Path) -> Self {
        let request =
            Request { directory: folder.to_owned(), profiles: vec!["debug".to_owned()], ..Request::default() };
        let sources = compose::gather(&request).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let world = World::new();
        // The test driver boots nothing, so the bytes do not matter; the real guest is built by `make guest`.
        let parsed = compose::parse(&sources, &request, &Surroundings::default());
        let mut project = parsed.unwrap_or_else(|error| panic!("{}: {error}", folder.display())).project;
        for image in project.images.values_mut() {
            let path = world.dir.path().join(image.name.as_str());
            let kernel = image.name.as_str().as_bytes().to_vec();
            let bytes = if image.role == ImageRole::Disk { support::qcow2() } else { kernel };
            std::fs::write(&path, bytes).expect("written");
            (image.from, image.checksum) = (ImageFrom::Path(path), None);
        }
        let images = image::inspect(&image::files(&project.images).expect("files only")).expect("images");
        let hypervisor = Arc::new(Faulty::new(world.connect()));
        Self { request, sources, images, hypervisor, _world: world }
    }

    fn desired(&self, actual: &ActualState) -> DesiredState {
        let parsed = compose::parse(&self.sources, &self.request, &actual.surroundings).expect("valid");
        DesiredState::up(&parsed.project, &self.images).expect("no cycle")
    }

    fn observe(&self) -> ActualState {
        let project = compose::project_name(&self.sources, &self.request).expect("a name");
        self.hypervisor.observe(&project).expect("observed")
    }

    fn plan(&self, goal: Goal) -> Plan {
        let actual = self.observe();
        let desired = match goal {
            Goal::Up => self.desired(&actual),
            Goal::Refresh | Goal::Down { .. } => DesiredState::nothing(&self.desired(&actual).project),
        };
        plan(&desired, &actual, &Options::new(goal)).expect("a plan")
    }

    fn run(&self, goal: Goal) -> Outcome {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let options = execute::Options { parallel: 8, ..execute::Options::default() };
        let (events, _stream) = execute::channel();
        let plan = self.plan(goal);
        runtime.block_on(execute::execute(&plan, Arc::clone(&self.hypervisor), &options, events))
    }
}

#[test]
fn every_example_comes_up_stays_and_goes() {
    for folder in folders() {
        let example = Example::new(&folder);
        assert_eq!(example.run(Goal::Up), Outcome::Completed, "{}", folder.display());
        let again = example.plan(Goal::Up);
        assert!(again.is_empty(), "{}:\n{}", folder.display(), render::plan::text(&again, &Palette::PLAIN));
        assert_eq!(example.run(Goal::Down { volumes: true }), Outcome::Completed, "{}", folder.display());
        let left: Vec<ResourceId> = example.observe().resources.into_keys().collect();
        assert!(left.iter().all(|id| matches!(id, ResourceId::Pool(_))), "{}: {left:?}", folder.display());
    }
}

#[test]
fn every_example_is_planned_the_same_way_each_time() {
    for folder in folders() {
        let text = |example: &Example| render::plan::text(&example.plan(Goal::Up), &Palette::PLAIN);
        assert_eq!(text(&Example::new(&folder)), text(&Example::new(&folder)), "{}", folder.display());
    }
}

#[test]
fn what_config_prints_of_every_example_is_planned_the_same_way() {
    for folder in folders() {
        let example = Example::new(&folder);
        let parsed = |sources: &Sources, request: &Request| {
            compose::parse(sources, request, &Surroundings::default())
                .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        };
        let first = parsed(&example.sources, &example.request);
        let elsewhere = tempfile::tempdir().expect("a folder");
        let text = serde_yaml::to_string(&first.resolved()).expect("printed");
        std::fs::write(elsewhere.path().join("vmcompose.yaml"), &text).expect("written");
        let request = Request { directory: elsewhere.path().to_owned(), ..Request::default() };
        let again = parsed(&compose::gather(&request).expect("read"), &request);
        assert_eq!(text, serde_yaml::to_string(&again.resolved()).expect("printed"), "{}", folder.display());
        let meant = |mut project: vmcompose::model::Project| {
            project.origins.clear();
            for secret in project.secrets.values_mut() {
                // A command is run where the file is.
                if let SecretFrom::Command { folder, .. } = &mut secret.from {
                    *folder = PathBuf::new();
                }
            }
            project.vms.values_mut().for_each(|vm| vm.replica_of = None);
            format!("{project:#?}")
        };
        assert_eq!(meant(first.project), meant(again.project), "{}", folder.display());
    }
}

#[test]
fn the_cloud_images_by_url_are_those_that_are_known_by_name() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose-examples/cloud-images");
    let request = Request { directory, ..Request::default() };
    let sources = compose::gather(&request).expect("read");
    let images = compose::parse(&sources, &request, &Surroundings::default()).expect("valid").project.images;
    let known = [("debian", "debian:12"), ("ubuntu", "ubuntu:24.04"), ("fedora", "fedora:43")];
    assert_eq!(images.len(), known.len());
    for (name, short) in known {
        let image = &images[&ImageName::new(name).expect("legal")];
        let located = locate(short, None, Path::new("/"), Some(Arch::X86_64)).expect("known");
        assert_eq!((&image.from, &image.checksum), (&located.from, &located.checksum), "{short}");
    }
}

#[test]
fn every_example_is_valid_by_the_schema() {
    let validator = jsonschema::validator_for(&compose::json_schema()).expect("a schema");
    for folder in folders() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                let text = std::fs::read_to_string(&path).expect("text");
                let mut value: serde_yaml::Value = serde_yaml::from_str(&text).expect("yaml");
                value.apply_merge().expect("merge keys");
                let value = serde_json::to_value(&value).expect("json");
                let errors: Vec<String> =
                    validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
                assert!(errors.is_empty(), "{}:\n{}", path.display(), errors.join("\n"));
            }
        }
    }
}
