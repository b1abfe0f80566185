//! `port`: where the ports of a vm are published, as the hypervisor has it.

use serde_json::json;

use crate::cli::{Global, Port, TableFormat};
use crate::commands::power::known;
use crate::commands::stage::Access;
use crate::commands::{print, request, stage};
use crate::error::{Error, Exit};
use crate::model;
use crate::names::ResourceId;

/// Prints them: where one is asked for, its place alone. For programs, in this shape, where `address` is left out of what is
/// published on all, and `udp` of what is not:
///
/// ```json
/// { "version": 1, "vm": "web", "ports": [ { "address": "127.0.0.1", "host": 8080, "guest": 80 } ] }
/// ```
pub(super) fn port(global: &Global, options: &Port) -> Result<Exit, Error> {
    let project = stage::project_name(global, &request(global)?)?;
    let sight = stage::observe(global, &project, Access::Read)?;
    let vm = &options.vm;
    known(&project, &sight.actual, std::slice::from_ref(vm))?;
    let found = sight.actual.resources.get(&ResourceId::Vm(vm.clone())).and_then(|found| found.recorded.as_vm());
    let all = found.map(|vm| vm.ports.as_slice()).unwrap_or_default();
    let kind = if options.udp { "udp" } else { "tcp" };
    let wanted = |port: &&model::Port| options.port.is_none_or(|asked| port.guest == asked && port.udp == options.udp);
    let found: Vec<&model::Port> = all.iter().filter(wanted).collect();
    if found.is_empty() {
        let what = options.port.map_or_else(|| "no port".to_owned(), |port| format!("no port {port}/{kind}"));
        let hint = "`ports: [\"8080:80\"]` of a vm publishes its port 80 as port 8080 of the hypervisor".to_owned();
        return Err(Error::Missing { what: format!("{what} of vm `{vm}` is published"), hint });
    }
    let shape = || json!({ "version": 1, "vm": vm, "ports": found });
    let text = match options.format {
        TableFormat::Table => {
            let lines: Vec<String> = found.iter().map(|port| line(port, options.port.is_some())).collect();
            lines.join("\n")
        }
        TableFormat::Json => format!("{:#}", shape()),
        TableFormat::Yaml => serde_yaml::to_string(&shape()).expect("every key is a string"),
    };
    print(&text)?;
    Ok(Exit::Done)
}

/// One that was asked for alone is for scripts.
fn line(port: &model::Port, alone: bool) -> String {
    let address = port.address.map_or_else(|| "0.0.0.0".to_owned(), |ip| ip.to_string());
    let place = format!("{address}:{}", port.host);
    if alone { place } else { format!("{}/{} -> {place}", port.guest, if port.udp { "udp" } else { "tcp" }) }
}
