//! The first half of the line: from files and hypervisor to the two states.
//!
//! Owns the order of the looks: the file first, so that a mistake in it is told without a hypervisor; then what is
//! there; then the file once more, now that it is known which addresses are in use.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::backend::Hypervisor;
use crate::backend::libvirt::Libvirt;
use crate::cli::Global;
use crate::commands::keys::Keys;
use crate::commands::lock::{self, Lock};
use crate::commands::media::{self, Reach, Requests};
use crate::commands::unfinished;
use crate::compose::{self, Diagnostics, Parsed, Request};
use crate::error::Error;
use crate::execute::journal::file::Unfinished;
use crate::model::instruction::Instructions;
use crate::model::{Digest, Image, ImageFormat, ImageRequest, Project, Spec, Surroundings};
use crate::names::{ProjectName, ResourceId};
use crate::plan::PlanError;
use crate::render::{Palette, diagnostic, output};
use crate::secret::Secrets;
use crate::state::{ActualState, DesiredState};
use crate::units::Bytes;

/// What a command is going to do with the hypervisor.
#[derive(Clone, Copy)]
pub(super) enum Access {
    /// Look only.
    Read,
    /// Change something: the project's lock is taken before the look, or the look could be at another run's half-done
    /// work.
    Write,
}

/// The actual state, and the way to where it is.
pub(super) struct Sight {
    pub(super) hypervisor: Libvirt,
    pub(super) actual: ActualState,
    /// What guests may get; none of them is read yet.
    pub(super) secrets: Arc<Secrets>,
    /// What the file tells the guests, where it was read.
    pub(super) instructions: Instructions,
    /// Released when the command ends.
    pub(super) lock: Option<Rc<Lock>>,
    /// The runs of the project that came to no good end, the last one first; where something is going to be changed.
    pub(super) unfinished: Vec<Unfinished>,
}

impl Sight {
    fn with_secrets(self, secrets: Secrets) -> Self {
        let secrets = Arc::new(secrets);
        Self { hypervisor: self.hypervisor.with_secrets(Arc::clone(&secrets)), secrets, ..self }
    }

    /// The same for guests that get secrets though nobody looks at the rest of the file: only that says where they are.
    pub(super) fn with_secrets_of(self, request: &Request) -> Result<Self, Error> {
        let sources = compose::gather(request)?;
        let declared = compose::parse(&sources, request, &Surroundings::default())?.project.secrets;
        Ok(self.with_secrets(Secrets::new(declared, sources.environment().clone())))
    }
}

/// Reads and checks the file alone.
pub(super) fn read(request: &Request) -> Result<Parsed, Error> {
    let sources = compose::gather(request)?;
    Ok(compose::parse(&sources, request, &Surroundings::default())?)
}

/// The same. Its warnings are told.
pub(super) fn parse(request: &Request) -> Result<Parsed, Error> {
    let parsed = read(request)?;
    warn(&parsed.warnings);
    Ok(parsed)
}

fn warn(warnings: &Diagnostics) {
    if !warnings.is_empty() {
        output::note(&diagnostic::text(warnings, Palette::stderr().coloured()));
    }
}

/// Looks at file, images and hypervisor. Whoever downloads images is about to change something, and takes the lock.
pub(super) fn set(global: &Global, request: &Request, reach: Reach) -> Result<(DesiredState, Sight), Error> {
    let sources = compose::gather(request)?;
    let first = compose::parse(&sources, request, &Surroundings::default())?;
    warn(&first.warnings);
    let project = &first.project;
    let access = if reach == Reach::Look { Access::Read } else { Access::Write };
    // Bringing gigabytes and asking libvirt take their time. Neither needs the other, but nobody downloads an image to
    // learn at the end that there is no hypervisor.
    let unreachable = AtomicBool::new(false);
    let stop = || unreachable.load(Ordering::Relaxed);
    let (images, observed) = std::thread::scope(|scope| {
        let bring = || media::bring(&project.images, sources.directory(), reach, media::drawn(global), &stop);
        let images = scope.spawn(bring);
        let observed = observe(global, &project.name, access);
        unreachable.store(observed.is_err(), Ordering::Relaxed);
        (images.join().expect("looking at images does not panic"), observed)
    });
    let mut sight = observed?;
    let media::Brought { mut images, missing, waited } = images?;
    if waited {
        // The lock holds off other runs of this project, not others who use the hypervisor.
        sight.actual = sight.hypervisor.observe(&project.name)?;
    }
    sight.instructions = first.instructions();
    // Most often the addresses that the file's names lead to are free, or already those of these very vms.
    let requests = first.project.images.clone();
    let project = if agree(&first.project, &sight.actual.surroundings) {
        first.project
    } else {
        compose::parse(&sources, request, &sight.actual.surroundings)?.project
    };
    if missing.values().any(Image::is_unknown) {
        images.extend(missing.into_values().map(|image| {
            let image = assumed(image, &requests, &sight.actual);
            (image.name.clone(), image)
        }));
        output::note("hint: a plan downloads nothing; `vmcompose image pull` does, and so does `vmcompose up`");
    } else {
        images.extend(missing);
    }
    if sight.hypervisor.is_local() {
        folders(&project)?;
    }
    let mut desired = DesiredState::up(&project, &images).map_err(PlanError::from)?;
    settle_keys(&mut desired, &sight, reach)?;
    desired.join_by_wires(&sight.actual);
    let secrets = Secrets::new(project.secrets, sources.environment().clone());
    Ok((desired, sight.with_secrets(secrets)))
}

/// An image that is not on this machine, for a plan: as the lock file has it, else as the hypervisor has it, else unknown.
fn assumed(image: Image, requests: &Requests, actual: &ActualState) -> Image {
    if !image.is_unknown() {
        return image;
    }
    let place = requests.get(&image.name).map(|request| request.from.to_string()).unwrap_or_default();
    let there = match actual.resources.get(&ResourceId::Image(image.name.clone())).map(|actual| &actual.recorded) {
        Some(Spec::Image(there)) => Some(there.clone()),
        _ => None,
    };
    let known =
        if there.is_some() { "the hypervisor's copy is taken for the same" } else { "what it holds is unknown" };
    output::note(&format!("image `{}` is not on this machine yet, and {known}: `{place}`", image.name));
    there.unwrap_or(image)
}

/// Settles which key the vms let in. Whoever only looks makes none; the plan says then that there will be one.
fn settle_keys(desired: &mut DesiredState, sight: &Sight, reach: Reach) -> Result<(), Error> {
    desired.keep_keys(&sight.actual);
    if !desired.wants_key() {
        return Ok(());
    }
    let keys = Keys::of(&desired.project, &sight.hypervisor.uri());
    let public = match reach {
        Reach::Fetch(_) => Some(keys?.make()?),
        Reach::Look => keys.ok().map(|keys| keys.public()).transpose()?.flatten(),
    };
    if let Some(public) = public {
        desired.give_key(&public);
    }
    Ok(())
}

/// The folders that vms share must be there: a hypervisor would tell only when it starts them.
fn folders(project: &Project) -> Result<(), Error> {
    let shares = project.vms.values().flat_map(|vm| vm.shares.iter().map(move |share| (vm, share)));
    let mut missing = shares.filter(|(_, share)| !Path::new(&share.source).is_dir());
    let Some((vm, share)) = missing.next() else { return Ok(()) };
    let origin = project.origins.get(&ResourceId::Vm(vm.name.clone()));
    let place = origin.map(|origin| format!("\n--> {origin}")).unwrap_or_default();
    Err(Error::Missing {
        what: format!("vm `{}` shares `{}`, and there is no such folder{place}", vm.name, share.source),
        hint: format!(
            "nothing was changed; make the folder, or correct the share that is mounted at `{}`",
            share.target
        ),
    })
}

fn agree(project: &Project, surroundings: &Surroundings) -> bool {
    let networks = project.networks.values().map(|network| (&network.name, network.subnet));
    let vms = project.vms.values();
    let interfaces = vms.flat_map(|vm| vm.interfaces.iter().map(|nic| (&nic.network, &vm.name, nic.ip)));
    surroundings.agree_with(networks, interfaces)
}

/// Connects, and looks at what the hypervisor has of a project.
pub(super) fn observe(global: &Global, project: &ProjectName, access: Access) -> Result<Sight, Error> {
    let hypervisor = Libvirt::connect(global.connect.as_deref())?;
    let (lock, unfinished) = match access {
        Access::Read => (None, Vec::new()),
        Access::Write => {
            let lock = lock::take(project, &hypervisor)?;
            (Some(Rc::new(lock)), unfinished::find(project, &hypervisor.uri())?)
        }
    };
    let actual = hypervisor.observe(project)?;
    let (secrets, instructions) = (Arc::default(), Instructions::new());
    Ok(Sight { hypervisor, actual, secrets, instructions, lock, unfinished })
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
