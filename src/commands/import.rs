//! `import`: a compose file of machines that somebody else made, and with `--adopt` the metadata that makes them the
//! project's.
//!
//! What is printed is read as any compose file is, and what is recorded is what that came to: so the plan on it is empty.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::backend::Stranger;
use crate::backend::libvirt::Libvirt;
use crate::cli::{Global, Import};
use crate::commands::stage::{self, Access};
use crate::commands::{lock, print, request, run, unfinished};
use crate::compose::{self, Request, Severity, suggest};
use crate::error::{Error, Exit};
use crate::execute::OnFailure;
use crate::model::Project;
use crate::names::{ProjectName, VmName};
use crate::plan::PlanError;
use crate::plan::adoption::{adoption, called};
use crate::render::{self, Palette, message, output};
use crate::state::DesiredState;

/// Writes the file, and adopts where that is asked for.
pub(super) fn import(global: &Global, options: &Import) -> Result<Exit, Error> {
    let request = request(global)?;
    if let Some(path) = options.out.as_deref().filter(|path| path.exists()) {
        return Err(there_already(path));
    }
    let (project, written) = beside(&request, options.out.as_ref())?;
    let access = if options.adopt { Access::Write } else { Access::Read };
    let sight = stage::observe(global, &project, access)?;
    // Held until the machines are the project's, so that they are nobody else's meanwhile.
    let _adopting = options.adopt.then(|| lock::adoption(&sight.hypervisor)).transpose()?;
    let machines = chosen(&sight.hypervisor, &request, options)?;
    let vms = written.as_ref().into_iter().flat_map(|project| project.vms.values());
    let known: BTreeMap<String, VmName> =
        vms.clone().filter_map(|vm| Some((vm.existing()?.to_owned(), vm.name.clone()))).collect();
    let there = sight.actual.resources.keys().filter_map(|id| id.as_vm());
    let taken: BTreeSet<VmName> = vms.map(|vm| &vm.name).chain(there).cloned().collect();
    let names = called(&project, machines.iter().map(|machine| machine.name.as_str()), &known, taken);
    let machines: Vec<(VmName, Stranger)> = names.into_iter().zip(machines).collect();
    let text = render::import::file(&project, &sight.hypervisor.uri(), &machines);
    let understood = understood(&request, &project, &text)?;
    match &options.out {
        Some(path) => write(path, &text)?,
        None => print(&text)?,
    }
    if !options.adopt {
        let words = format!("nothing was changed; `vmcompose import --adopt` makes them vms of project `{project}`");
        output::note(&message::hint(&words, &Palette::stderr()));
        return Ok(Exit::Done);
    }
    let desired = DesiredState::up(&understood, &BTreeMap::new()).map_err(PlanError::from)?;
    let plan = adoption(&desired, &sight.actual);
    unfinished::tell(&sight.unfinished);
    run::run(global, sight, &plan, run::How::of("import", OnFailure::Rollback))
}

/// What the file that is there says, where one is: what the project and its vms are called. It may say the first alone, or
/// be empty: a shell makes it so before it is written.
fn beside(request: &Request, out: Option<&PathBuf>) -> Result<(ProjectName, Option<Project>), Error> {
    // Whoever names the file that is to be written names what is not there yet.
    let to_come = !request.files.is_empty() && request.files.iter().all(|file| Some(file) == out);
    if to_come || !compose::is_there(request) {
        return Ok((compose::name_without_file(request)?, None));
    }
    let sources = compose::gather(request)?;
    if sources.is_bare() {
        return Ok((compose::project_name(&sources, request)?, None));
    }
    let project = stage::read(request)?.project;
    Ok((project.name.clone(), Some(project)))
}

/// The machines that are meant.
fn chosen(hypervisor: &Libvirt, request: &Request, options: &Import) -> Result<Vec<Stranger>, Error> {
    let machines = named(hypervisor, request, options)?;
    for machine in &machines {
        if let Some((project, of)) = &machine.copy_of {
            let words = format!(
                "machine `{}` carries what project `{project}` recorded of machine `{of}`, as a copy of it does or one that \
                 was renamed: it counts as nobody's",
                machine.name
            );
            output::note(&message::note(&words, &Palette::stderr()));
        }
    }
    Ok(machines)
}

fn named(hypervisor: &Libvirt, request: &Request, options: &Import) -> Result<Vec<Stranger>, Error> {
    let all = hypervisor.strangers()?;
    let free =
        |machine: &Stranger| machine.project.is_none() && machine.persistent && unsayable(request, machine).is_none();
    let (free, others): (Vec<Stranger>, Vec<Stranger>) = all.into_iter().partition(free);
    let why =
        |other: &Stranger| unsayable(request, other).filter(|_| other.persistent).unwrap_or_else(|| transient(other));
    if options.all {
        for other in others.iter().filter(|other| other.project.is_none()) {
            output::note(&message::note(&format!("left out: {}", why(other)), &Palette::stderr()));
        }
        if free.is_empty() {
            let what = "there is no machine on the hypervisor that is none of vmcompose's".to_owned();
            return Err(Error::Missing { what, hint: "`vmcompose ls` shows the projects".to_owned() });
        }
        return Ok(free);
    }
    let wanted: BTreeSet<&String> = options.machines.iter().collect();
    for name in &wanted {
        let has = |machine: &&Stranger| machine.name == **name;
        if free.iter().any(|machine| has(&machine)) {
            continue;
        }
        let hint = "`vmcompose import --all` writes down all that can be imported".to_owned();
        return Err(match others.iter().find(has) {
            Some(Stranger { project: Some(owner), .. }) => {
                Error::Refused { what: format!("machine `{name}` is of project `{owner}` already"), hint }
            }
            Some(other) => Error::Refused { what: why(other), hint },
            None => {
                let near = suggest::did_you_mean(name, free.iter().map(|machine| machine.name.as_str()));
                let what = format!("there is no machine `{name}` on the hypervisor");
                Error::Missing { what, hint: near.unwrap_or(hint) }
            }
        });
    }
    Ok(free.into_iter().filter(|machine| wanted.contains(&machine.name)).collect())
}

fn transient(machine: &Stranger) -> String {
    format!("machine `{}` has no definition and vanishes when it stops, so nothing can be kept with it", machine.name)
}

/// Why a machine cannot be said in a compose file, where that is so: it has less or more of something than a vm can have.
fn unsayable(request: &Request, machine: &Stranger) -> Option<String> {
    let (project, vm) = (ProjectName::new("one").ok()?, VmName::new("vm").ok()?);
    let text = render::import::file(&project, "", &[(vm, machine.clone())]);
    let Err(Error::Compose(mistakes)) = understood(request, &project, &text) else { return None };
    let wrong = mistakes.list.iter().filter(|mistake| mistake.severity == Severity::Error);
    let words: Vec<&str> = wrong.map(|mistake| mistake.message.as_str()).collect();
    Some(format!("machine `{}` cannot be said in a compose file: {}", machine.name, words.join("; ")))
}

/// What the file says, once it is read as one.
fn understood(request: &Request, project: &ProjectName, text: &str) -> Result<Project, Error> {
    let request = Request {
        files: vec![PathBuf::from("-")],
        input: Some(text.to_owned()),
        directory: request.directory.clone(),
        project: Some(project.to_string()),
        environment: request.environment.clone(),
        ..Request::default()
    };
    Ok(stage::read(&request)?.project)
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    // `create_new` looks and creates in one step, so that not even a race overwrites a file.
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(file) => file,
        Err(source) if source.kind() == ErrorKind::AlreadyExists => return Err(there_already(path)),
        Err(source) => return Err(Error::Io { path: path.to_owned(), source }),
    };
    file.write_all(text.as_bytes()).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    output::note(&format!("wrote `{}`", path.display()));
    Ok(())
}

fn there_already(path: &Path) -> Error {
    Error::Missing {
        what: format!("`{}` is there already", path.display()),
        hint: "choose another name for `--out`, or leave it out to have the file printed".to_owned(),
    }
}
