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
use crate::commands::{print, request, run, unfinished};
use crate::compose::{self, Request, suggest};
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
    // A file that is there says what the project and its vms are called; it need not be whole.
    let written = stage::read(&request).ok().map(|parsed| parsed.project);
    let project = match &written {
        Some(project) => project.name.clone(),
        None => compose::name_without_file(&request)?,
    };
    if let Some(path) = options.out.as_deref().filter(|path| path.exists()) {
        return Err(there_already(path));
    }
    let access = if options.adopt { Access::Write } else { Access::Read };
    let sight = stage::observe(global, &project, access)?;
    let machines = chosen(&sight.hypervisor, options)?;
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

/// The machines that are meant.
fn chosen(hypervisor: &Libvirt, options: &Import) -> Result<Vec<Stranger>, Error> {
    let all = hypervisor.strangers()?;
    let (free, others): (Vec<Stranger>, Vec<Stranger>) =
        all.into_iter().partition(|machine| machine.project.is_none() && machine.persistent);
    if options.all {
        for other in others.iter().filter(|other| other.project.is_none()) {
            output::note(&message::note(&format!("left out: {}", transient(other)), &Palette::stderr()));
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
            Some(other) => Error::Refused { what: transient(other), hint },
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
