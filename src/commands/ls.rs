//! `ls`: every project of a hypervisor.
//!
//! Reads the hypervisor alone. A vm counts as `ps` shows it.

use crate::backend::Hypervisor;
use crate::backend::libvirt::Libvirt;
use crate::cli::{Global, Ls};
use crate::commands::{print, ps};
use crate::error::{Error, Exit};
use crate::names::ResourceId;
use crate::render::Palette;
use crate::render::projects::{self, ProjectStatus};
use crate::render::table::State;

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
    if !options.all {
        rows.retain(|row| row.vms.iter().any(|(state, _)| matches!(state, State::Running | State::Paused)));
    }
    let text = if options.quiet {
        projects::names(&rows)
    } else {
        projects::projects(&rows, options.format, &Palette::stdout())
    };
    print(&text)?;
    Ok(Exit::Done)
}
