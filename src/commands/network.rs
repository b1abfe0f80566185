//! `network …`: the networks of a project as they are.
//!
//! Reads the hypervisor alone: what is recorded with a network has all that is told of it. Changes nothing, on the host
//! neither: `network dns` prints what the user may run.

use crate::cli::Global;
use crate::cli::network::{Network, NetworkDns, NetworkInfo, NetworkList};
use crate::commands::stage::{self, Access};
use crate::commands::{filter, print, request};
use crate::error::{Error, Exit};
use crate::model::Spec;
use crate::names::ProjectName;
use crate::render::Palette;
use crate::render::networks::{self, NetworkStatus};

/// Runs one of them.
pub(super) fn network(global: &Global, command: &Network) -> Result<Exit, Error> {
    let project = stage::project_name(global, &request(global)?)?;
    let rows = statuses(global, &project)?;
    match command {
        Network::List(options) => list(&project, &rows, options)?,
        Network::Info(options) => info(&project, &rows, options)?,
        Network::Dns(options) => dns(&rows, options)?,
    }
    Ok(Exit::Done)
}

fn statuses(global: &Global, project: &ProjectName) -> Result<Vec<NetworkStatus>, Error> {
    let sight = stage::observe(global, project, Access::Read)?;
    let status = |found: &crate::state::Actual| {
        let Spec::Network(network) = &found.recorded else { return None };
        let device = sight.hypervisor.device(project, network);
        Some(NetworkStatus::of(project, network, found.phase, device))
    };
    Ok(sight.actual.resources.values().filter_map(status).collect())
}

fn list(project: &ProjectName, rows: &[NetworkStatus], options: &NetworkList) -> Result<(), Error> {
    let passes = |row: &&NetworkStatus| {
        filter::passes(&options.filter, |key| match key {
            "status" => vec![row.state.to_owned()],
            "mode" => vec![row.mode.to_string()],
            "vm" => row.vms.iter().map(|member| member.vm.to_string()).collect(),
            _ => vec![row.network.to_string()],
        })
    };
    let rows: Vec<NetworkStatus> = rows.iter().filter(passes).cloned().collect();
    if options.quiet {
        return print(&networks::names(&rows));
    }
    print(&networks::networks(project, &rows, options.format, &Palette::stdout()))
}

fn info(project: &ProjectName, rows: &[NetworkStatus], options: &NetworkInfo) -> Result<(), Error> {
    let Some(row) = rows.iter().find(|row| row.network == options.network) else {
        let what = format!("project `{project}` has no network `{}` on this hypervisor", options.network);
        let names: Vec<String> = rows.iter().map(|row| format!("`{}`", row.network)).collect();
        let hint = if names.is_empty() {
            "it has none; `vmcompose up` makes those of the file".to_owned()
        } else {
            format!("it has {}", names.join(", "))
        };
        return Err(Error::Missing { what, hint });
    };
    print(&networks::network(project, row, options.format, &Palette::stdout()))
}

fn dns(rows: &[NetworkStatus], options: &NetworkDns) -> Result<(), Error> {
    if options.hosts {
        return print(&networks::hosts_file(rows));
    }
    let text = networks::resolved(rows, options.undo);
    if text.is_empty() {
        let what = "no network of this project runs that has a name server".to_owned();
        return Err(Error::Missing { what, hint: "`vmcompose up` starts them".to_owned() });
    }
    print(&text)
}
