//! A project as a service of systemd's: started with the machine in the order of its graph, and stopped in reverse.
//!
//! Owns the unit's text. Who writes it where is not known here.

use std::path::Path;

use crate::names::ProjectName;

/// What the unit runs, and as whom.
#[derive(Debug, Clone)]
pub struct Service<'a> {
    /// The project.
    pub project: &'a ProjectName,
    /// The program.
    pub program: &'a Path,
    /// The hypervisor.
    pub connect: &'a str,
    /// The folder in or above which the file is, for the secrets that it names.
    pub folder: &'a Path,
    /// The files, where they were named.
    pub files: &'a [String],
    /// The home of whoever the journals and keys are.
    pub home: Option<&'a str>,
    /// The hypervisor is a user's own, and so is the unit.
    pub session: bool,
}

/// The unit.
pub fn unit(service: &Service<'_>) -> String {
    let Service { project, session, .. } = service;
    let name = format!("vmcompose-{project}.service");
    let (place, systemctl, target) = if *session {
        (format!("~/.config/systemd/user/{name}"), "systemctl --user", "default.target")
    } else {
        (format!("/etc/systemd/system/{name}"), "systemctl", "multi-user.target")
    };
    let linger = if *session { "\n# Without a login it starts only after: loginctl enable-linger" } else { "" };
    let home =
        service.home.map(|home| format!("Environment={}\n", quoted(&format!("HOME={home}")))).unwrap_or_default();
    let after = if *session { "" } else { AFTER };
    let words = [service.program.display().to_string(), "--connect".to_owned(), service.connect.to_owned()];
    let files = service.files.iter().flat_map(|file| ["--file".to_owned(), file.clone()]);
    let project_words = ["--project".to_owned(), project.to_string()];
    let command: Vec<String> = words.into_iter().chain(files).chain(project_words).map(|word| quoted(&word)).collect();
    let command = command.join(" ");
    let folder = service.folder.display().to_string().replace('%', "%%");
    format!(
        "\
# Starts the vms of project {project} with the machine, in the order of its graph, and shuts them down in reverse.
# Put it at {place}, then: {systemctl} enable {name}{linger}
[Unit]
Description=vmcompose project {project}
{after}
[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=infinity
{home}WorkingDirectory={folder}
ExecStart={command} start
ExecStop={command} stop

[Install]
WantedBy={target}
"
    )
}

/// Sockets of libvirt's, of which a machine has some. A machine that goes down stops units in reverse, so that what libvirt
/// does then to all guests at once finds ours gone already.
const AFTER: &str = "\
Wants=network-online.target
After=network-online.target libvirt-guests.service libvirtd.service libvirtd.socket virtqemud.socket virtnetworkd.socket \
virtstoraged.socket virtsecretd.socket
";

/// One word of a command line, as `systemd.service(5)` reads it.
fn quoted(word: &str) -> String {
    let mut text = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '%' | '$' => text.extend([c, c]),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}
