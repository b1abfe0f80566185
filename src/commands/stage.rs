//! The first half of the line: from files and hypervisor to the two states.
//!
//! Owns the order of the looks: the file first, so that a mistake in it is told without a hypervisor; then what is
//! there; then the file once more, now that it is known which addresses are in use.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::backend::Hypervisor;
use crate::backend::libvirt::Libvirt;
use crate::cli::Global;
use crate::commands::media::{self, Access};
use crate::compose::{self, Diagnostics, Parsed, Request};
use crate::error::Error;
use crate::model::{Digest, Image, ImageFormat, ImageRequest, Project, Surroundings};
use crate::names::{ProjectName, ResourceId};
use crate::plan::PlanError;
use crate::render::{Palette, diagnostic, output};
use crate::state::{ActualState, DesiredState};
use crate::units::Bytes;

/// Both states, and the way to the hypervisor.
pub(super) struct Stage {
    pub(super) hypervisor: Libvirt,
    pub(super) desired: DesiredState,
    pub(super) actual: ActualState,
}

/// Reads and checks the file alone. Its warnings are told.
pub(super) fn parse(request: &Request) -> Result<Parsed, Error> {
    let sources = compose::gather(request)?;
    let parsed = compose::parse(&sources, request, &Surroundings::default())?;
    warn(&parsed.warnings);
    Ok(parsed)
}

fn warn(warnings: &Diagnostics) {
    if !warnings.is_empty() {
        output::note(&diagnostic::text(warnings, Palette::stderr().coloured()));
    }
}

/// Looks at file, images and hypervisor. What may be done to have the images is for the command to say.
pub(super) fn set(global: &Global, request: &Request, access: Access) -> Result<Stage, Error> {
    let sources = compose::gather(request)?;
    let first = compose::parse(&sources, request, &Surroundings::default())?;
    warn(&first.warnings);
    let project = &first.project;
    // Bringing gigabytes and asking libvirt take their time. Neither needs the other, but nobody downloads an image to
    // learn at the end that there is no hypervisor.
    let unreachable = AtomicBool::new(false);
    let stop = || unreachable.load(Ordering::Relaxed);
    let (images, observed) = std::thread::scope(|scope| {
        let bring = || media::bring(&project.images, sources.directory(), access, media::drawn(global), &stop);
        let images = scope.spawn(bring);
        let observed = observe(global, &project.name);
        unreachable.store(observed.is_err(), Ordering::Relaxed);
        (images.join().expect("looking at images does not panic"), observed)
    });
    let (hypervisor, mut actual) = observed?;
    let media::Brought { images, waited } = images?;
    if waited {
        actual = hypervisor.observe(&project.name)?;
    }
    // Most often the addresses that the file's names lead to are free, or already those of these very vms.
    let project = if agree(&first.project, &actual.surroundings) {
        first.project
    } else {
        compose::parse(&sources, request, &actual.surroundings)?.project
    };
    let desired = DesiredState::up(&project, &images).map_err(PlanError::from)?;
    Ok(Stage { hypervisor, desired, actual })
}

fn agree(project: &Project, surroundings: &Surroundings) -> bool {
    let networks = project.networks.values().map(|network| (&network.name, network.subnet));
    let vms = project.vms.values();
    let interfaces = vms.flat_map(|vm| vm.interfaces.iter().map(|nic| (&nic.network, &vm.name, nic.ip)));
    surroundings.agree_with(networks, interfaces)
}

/// Connects, and looks at what the hypervisor has of a project.
pub(super) fn observe(global: &Global, project: &ProjectName) -> Result<(Libvirt, ActualState), Error> {
    let hypervisor = Libvirt::connect(global.connect.as_deref())?;
    let actual = hypervisor.observe(project)?;
    Ok((hypervisor, actual))
}

/// The project's name: from the command line, else from the file. With a name on the command line no file is needed.
pub(super) fn project_name(global: &Global, request: &Request) -> Result<ProjectName, Error> {
    if let Some(name) = &global.project {
        return Ok(name.clone());
    }
    let sources = compose::gather(request)?;
    Ok(compose::project_name(&sources, request)?)
}

/// The desired state without a look at image files: enough for order and names. Images have a node in its graph, but
/// no spec.
pub(super) fn outline(project: &Project) -> Result<DesiredState, Error> {
    let unseen = |request: &ImageRequest| Image {
        name: request.name.clone(),
        path: PathBuf::new(),
        format: ImageFormat::Raw,
        length: Bytes(0),
        digest: Digest::of(&[0; 32]),
    };
    let images = project.images.iter().map(|(name, request)| (name.clone(), unseen(request))).collect();
    let mut desired = DesiredState::up(project, &images).map_err(PlanError::from)?;
    desired.specs.retain(|id, _| !matches!(id, ResourceId::Image(_)));
    Ok(desired)
}
