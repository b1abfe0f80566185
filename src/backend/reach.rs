//! Probes from outside: over the network, or by a command on this machine.
//!
//! Owns what is sent and the words for what came back. Knows nothing of hypervisors; patience is not here either: an
//! attempt that fails says so at once.

mod host;
mod http;
mod ssh;

use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::Attempt;
use crate::model::Probe;
use crate::names::ProjectName;

/// Makes the attempt; an error is what was observed instead.
pub(super) fn reach(project: &ProjectName, attempt: &Attempt, deadline: Instant) -> Result<(), String> {
    match &attempt.probe {
        Probe::Tcp { host, port } => connect(host.as_deref(), *port, attempt, deadline).map(|_| ()),
        Probe::Ssh { host, port } => {
            greeting(connect(host.as_deref(), *port, attempt, deadline)?, deadline)?;
            let login = attempt.login.as_ref();
            login.map_or(Ok(()), |login| ssh::log_in(login, *port, project, attempt, deadline))
        }
        Probe::Http(http) => http::request(http, attempt, deadline),
        Probe::Host(command) => host::run(command, project, attempt, deadline),
        Probe::Agent | Probe::Exec(_) | Probe::CloudInit | Probe::Console(_) | Probe::Completed => {
            Err("this cannot be seen from outside the vm".to_owned())
        }
    }
}

/// RFC 4253 section 4.2: a server begins with `SSH-2.0-` and its name, perhaps after lines of its own.
fn greeting(mut stream: TcpStream, deadline: Instant) -> Result<(), String> {
    const MOST: usize = 4096;
    let mut said = Vec::new();
    let mut buffer = [0; 256];
    while said.len() < MOST {
        stream.set_read_timeout(Some(left(deadline))).map_err(|error| network_words(&error))?;
        let count = stream.read(&mut buffer).map_err(|error| network_words(&error))?;
        if count == 0 {
            return Err(if said.is_empty() { "closed without a greeting" } else { "no SSH server" }.to_owned());
        }
        said.extend_from_slice(&buffer[..count]);
        let mut lines = said.split(|byte| *byte == b'\n');
        if lines.any(|line| line.starts_with(b"SSH-2.0-") || line.starts_with(b"SSH-1.99-")) {
            return Ok(());
        }
    }
    Err("no SSH server".to_owned())
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}

/// Where a probe goes, as text for a URL and as addresses.
fn target(host: Option<&str>, port: u16, attempt: &Attempt) -> Result<(String, Vec<SocketAddr>), String> {
    let host = match (host, attempt.address) {
        (Some(host), _) => host.to_owned(),
        (None, Some(address)) => address.to_string(),
        (None, None) => return Err("the vm has no address, and the probe names no host".to_owned()),
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let addresses = (bare, port).to_socket_addrs().map_err(|error| format!("cannot resolve `{bare}`: {error}"))?;
    let addresses: Vec<SocketAddr> = addresses.collect();
    if addresses.is_empty() {
        return Err(format!("`{bare}` has no address"));
    }
    let host = if bare.contains(':') { format!("[{bare}]") } else { bare.to_owned() };
    Ok((host, addresses))
}

fn connect(host: Option<&str>, port: u16, attempt: &Attempt, deadline: Instant) -> Result<TcpStream, String> {
    let (_, addresses) = target(host, port, attempt)?;
    let mut last = String::new();
    for address in addresses {
        match TcpStream::connect_timeout(&address, left(deadline)) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = network_words(&error),
        }
    }
    Err(last)
}

/// Why a connection failed, without the number of the error.
fn network_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "no answer in time".to_owned(),
        io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        io::ErrorKind::UnexpectedEof => "the connection was closed without an answer".to_owned(),
        _ => error.to_string().to_lowercase(),
    }
}
