//! Probes: exactly one at each place, and each able to be tried.
//!
//! Owns what a probe must have and what can be wrong with it. Patience is the healthcheck's.

use regex::Regex;
use serde_json::Value;

use super::{Instance, Scope, login, subject};
use crate::compose::decode::At;
use crate::compose::diagnostic::Diagnostic;
use crate::compose::place::Place;
use crate::compose::schema::health::{Healthcheck, Probes};
use crate::compose::schema::probe::{
    Command, ConsoleProbe, HttpProbe, LongHttp, LongSsh, LongTls, SshProbe, TcpProbe, Tls as FileTls,
};
use crate::compose::schema::vm;
use crate::model::health::{Http, Probe, Status, Tls};

/// The vm that is probed.
pub(super) struct Context<'a> {
    pub(super) scope: &'a Scope<'a>,
    pub(super) instance: &'a Instance<vm::Vm>,
    /// Whether it has an address that a probe can go to.
    pub(super) addressed: bool,
}

/// What one place of the file asks to be probed.
pub(super) struct Asked<'a> {
    tcp: Option<&'a At<TcpProbe>>,
    http: Option<&'a At<HttpProbe>>,
    ssh: Option<&'a At<SshProbe>>,
    agent: Option<&'a At<bool>>,
    exec: Option<&'a At<Command>>,
    cloud_init: Option<&'a At<bool>>,
    host: Option<&'a At<Command>>,
    console: Option<&'a At<ConsoleProbe>>,
}

impl<'a> Asked<'a> {
    /// What stands in the healthcheck itself.
    pub(super) fn directly(check: &'a Healthcheck) -> Self {
        Self {
            tcp: check.tcp.as_ref(),
            http: check.http.as_ref(),
            ssh: check.ssh.as_ref(),
            agent: check.agent.as_ref(),
            exec: check.exec.as_ref(),
            cloud_init: check.cloud_init.as_ref(),
            host: check.host.as_ref(),
            console: check.console.as_ref(),
        }
    }

    /// What stands in an entry of `probes`.
    pub(super) fn listed(probes: &'a Probes) -> Self {
        Self {
            tcp: probes.tcp.as_ref(),
            http: probes.http.as_ref(),
            ssh: probes.ssh.as_ref(),
            agent: probes.agent.as_ref(),
            exec: probes.exec.as_ref(),
            cloud_init: probes.cloud_init.as_ref(),
            host: probes.host.as_ref(),
            console: probes.console.as_ref(),
        }
    }

    /// Where each of them stands.
    pub(super) fn places(&self) -> Vec<Place> {
        let on = |flag: Option<&At<bool>>| flag.filter(|flag| flag.value).map(|flag| flag.place);
        let ssh = self.ssh.filter(|ssh| ssh.value.0.is_some()).map(|ssh| ssh.place);
        let (tcp, http) = (self.tcp.map(|probe| probe.place), self.http.map(|probe| probe.place));
        let (exec, host) = (self.exec.map(|probe| probe.place), self.host.map(|probe| probe.place));
        let console = self.console.map(|probe| probe.place);
        [tcp, http, ssh, on(self.agent), exec, on(self.cloud_init), console, host].into_iter().flatten().collect()
    }
}

/// The one probe of a place.
pub(super) fn lower(
    context: &Context<'_>,
    asked: &Asked<'_>,
    place: Place,
    needed: bool,
    mistakes: &mut Vec<Diagnostic>,
) -> Vec<Probe> {
    count(context, asked, place, needed, mistakes);
    let mut probes = Vec::new();
    if let Some(At { value: TcpProbe { port, host }, place }) = asked.tcp {
        check_target(context, *port, host.as_deref(), *place, mistakes);
        probes.push(Probe::Tcp { host: host.clone(), port: *port });
    }
    if let Some(probe) = asked.http {
        probes.push(Probe::Http(Box::new(http(context, &probe.value.0, probe.place, mistakes))));
    }
    if let Some(At { value: SshProbe(Some(LongSsh { port, host })), place }) = asked.ssh {
        let port = port.unwrap_or_else(|| login::port(&context.instance.spec));
        check_target(context, port, host.as_deref(), *place, mistakes);
        probes.push(Probe::Ssh { host: host.clone(), port });
    }
    if asked.agent.is_some_and(|agent| agent.value) {
        probes.push(Probe::Agent);
    }
    if let Some(At { value: Command(command), .. }) = asked.exec {
        probes.push(Probe::Exec(command.clone()));
    }
    if asked.cloud_init.is_some_and(|cloud_init| cloud_init.value) {
        probes.push(Probe::CloudInit);
    }
    if let Some(At { value: ConsoleProbe(pattern), .. }) = asked.console {
        if let Err(error) = Regex::new(pattern) {
            mistakes.push(expression(pattern, &error));
        }
        probes.push(Probe::Console(pattern.value.clone()));
    }
    if let Some(At { value: Command(command), .. }) = asked.host {
        probes.push(Probe::Host(command.clone()));
    }
    probes
}

fn count(context: &Context<'_>, asked: &Asked<'_>, place: Place, needed: bool, mistakes: &mut Vec<Diagnostic>) {
    match asked.places()[..] {
        [] if needed => {
            let none = Diagnostic::error(format!("the healthcheck of {} has no probe", subject(context.instance)));
            mistakes.push(
                none.at(place, "nothing to try")
                    .hint("write one of `tcp`, `http`, `ssh`, `agent`, `exec`, `cloud_init`, `console` and `host`")
                    .unless_wrong_within(place),
            );
        }
        [first, second, ..] => {
            let several = Diagnostic::error("several probes go under `probes`, one in each entry");
            mistakes.push(
                several
                    .at(second, "a second probe")
                    .and(first, "the first")
                    .hint("write `probes: [{tcp: 80}, {agent: true}]`"),
            );
        }
        _ => {}
    }
}

fn http(context: &Context<'_>, file: &LongHttp, place: Place, mistakes: &mut Vec<Diagnostic>) -> Http {
    check_target(context, file.port, file.host.as_deref(), place, mistakes);
    if let Some(path) = file.path.as_ref().filter(|path| !path.starts_with('/')) {
        let relative = Diagnostic::error(format!("the path `{}` must begin with `/`", path.value));
        mistakes.push(relative.at(path.place, "relative").hint(format!("write `/{}`", path.value)));
    }
    let method = file.method.as_ref().map(|method| {
        // RFC 9110 section 9: a method is a token; all that are in use are of letters.
        if method.is_empty() || !method.chars().all(|c| c.is_ascii_alphabetic()) {
            let wrong = Diagnostic::error(format!("`{}` is not an HTTP method", method.value));
            mistakes.push(wrong.at(method.place, "such as `GET`, `HEAD` or `POST`"));
        }
        method.to_uppercase()
    });
    let body = file.body.as_ref().map(|body| {
        if let Err(error) = Regex::new(body) {
            mistakes.push(expression(body, &error));
        }
        body.value.clone()
    });
    let mut status = Vec::new();
    for text in &file.status.0 {
        match text.0.parse::<Status>() {
            Ok(range) => status.push(range),
            Err(words) => mistakes.push(Diagnostic::error(words).at(text.0.place, "no status")),
        }
    }
    let mut json = std::collections::BTreeMap::new();
    for (path, value) in &file.json.0 {
        if matches!(value, Value::Array(_) | Value::Object(_)) {
            let whole = Diagnostic::error(format!("`{}` must be compared with a single value", path.value));
            mistakes.push(whole.at(path.place, "a list or a mapping").hint("name a path further down"));
        }
        json.insert(path.value.clone(), value.clone());
    }
    Http {
        host: file.host.clone(),
        port: file.port,
        path: file.path.as_ref().map_or_else(|| "/".to_owned(), |path| path.value.clone()),
        tls: file.tls.as_ref().and_then(|asked| tls(context, asked, mistakes)),
        method: method.filter(|method| method != "GET"),
        headers: file.headers.0.iter().map(|(name, value)| (name.value.clone(), value.clone())).collect(),
        status,
        body,
        json,
    }
}

fn tls(context: &Context<'_>, asked: &At<FileTls>, mistakes: &mut Vec<Diagnostic>) -> Option<Tls> {
    let LongTls { ca, insecure } = asked.value.0.as_ref()?;
    let insecure = insecure.unwrap_or(false);
    if let Some(ca) = ca.as_ref().filter(|_| insecure) {
        let both = Diagnostic::error("`insecure` believes anybody, so `ca` would not be asked");
        mistakes.push(both.at(ca.place, "remove one of the two"));
    }
    Some(Tls { insecure, ca: ca.as_ref().map(|ca| context.scope.path(ca)) })
}

/// A regular expression that is none.
fn expression(text: &At<String>, error: &regex::Error) -> Diagnostic {
    // The last line says what is wrong; those before it draw the expression once more.
    let told = error.to_string();
    let reason = told.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
    Diagnostic::error(format!("`{}` is not a regular expression: {reason}", text.value))
        .at(text.place, "cannot be read")
}

fn check_target(context: &Context<'_>, port: u16, host: Option<&str>, place: Place, mistakes: &mut Vec<Diagnostic>) {
    if port == 0 {
        mistakes.push(Diagnostic::error("`0` is not a port; ports are numbered from 1 to 65535").at(place, "no port"));
    }
    if host.is_none() && !context.addressed {
        let who = subject(context.instance);
        let existing = context.instance.spec.boot.as_ref().and_then(|boot| boot.existing.as_ref());
        let (why, hint) = match existing {
            Some(machine) => {
                let why = format!("{who} is machine `{}`, whose address is not known", machine.value);
                (why, "name its `host`: an address or a name")
            }
            None => (format!("{who} has no network"), "put the vm on a network, or name a `host`"),
        };
        let nowhere = Diagnostic::error(format!("{why}, so this probe has no address"));
        mistakes.push(nowhere.at(place, "goes nowhere").hint(hint));
    }
}
