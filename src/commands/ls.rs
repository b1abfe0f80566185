//! `ls`: the projects of a hypervisor.
//!
//! Reads the hypervisor alone. A vm counts as `ps` shows it.

use crate::backend::Hypervisor;
use crate::backend::libvirt::Libvirt;
use crate::cli::{Global, Ls, TableFormat};
use crate::commands::{filter, print, ps};
use crate::error::{Error, Exit};
use crate::names::ResourceId;
use crate::render::projects::{self, ProjectStatus};
use crate::render::table::State;
use crate::render::{Palette, message, output};

/// Shows the projects.
pub(super) fn ls(global: &Global, options: &Ls) -> Result<Exit, Error> {
    let hypervisor = Libvirt::connect(global.connect.as_deref())?;
    let mut rows = Vec::new();
    for project in hypervisor.projects()? {
        let actual = hypervisor.observe(&project)?;
        let volumes = actual.resources.keys().filter(|id| matches!(id, ResourceId::Volume(_))).count();
        let vms: Vec<_> = ps::statuses(&hypervisor, &project, &actual).into_values().collect();
        rows.push(ProjectStatus::of(project, &vms, volumes));
    }
    let by_status = options.filter.iter().any(|filter| filter.key == "status");
    rows.retain(|row| {
        filter::passes(&options.filter, |key| match key {
            "status" => row.vms.keys().map(|state| state.as_str().to_owned()).collect(),
            "health" => row.health.keys().map(|health| health.as_str().to_owned()).collect(),
            _ => vec![row.project.to_string()],
        })
    });
    if !options.all && !by_status {
        let all = rows.len();
        rows.retain(|row| row.vms.iter().any(|(state, _)| matches!(state, State::Running | State::Paused)));
        if rows.len() < all && !options.quiet && options.format == TableFormat::Table {
            let words = format!("not shown: {} without a vm that runs; `vmcompose ls -a` shows all", all - rows.len());
            output::note(&message::hint(&words, &Palette::stderr()));
        }
    }
    let text = if options.quiet {
        projects::names(&rows)
    } else {
        projects::projects(&rows, options.format, &Palette::stdout())
    };
    print(&text)?;
    Ok(Exit::Done)
}
