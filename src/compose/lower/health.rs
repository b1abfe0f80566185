//! Healthchecks: which probes, and with how much patience.
//!
//! Owns the defaults and what a healthcheck must have. Carries none out.

use super::{Instance, subject};
use crate::compose::decode::At;
use crate::compose::diagnostic::Diagnostic;
use crate::compose::place::Place;
use crate::compose::schema::health::{Command, Healthcheck as File, HttpProbe, Probes, TcpProbe};
use crate::compose::schema::vm;
use crate::model::{Healthcheck, Probe};
use crate::units::Span;

/// The healthcheck of a vm. `addressed` is whether it has an address that a probe can go to.
pub(super) fn lower(
    instance: &Instance<vm::Vm>,
    addressed: bool,
    mistakes: &mut Vec<Diagnostic>,
) -> Option<Healthcheck> {
    let check = instance.spec.healthcheck.as_ref().filter(|check| check.disable != Some(true))?;
    let probes = probes(instance, check, addressed, mistakes);
    let retries = check.retries.as_ref().map_or(Healthcheck::RETRIES, |retries| {
        if retries.value == 0 {
            mistakes.push(Diagnostic::error("`retries` must be at least 1").at(retries.place, "never healthy"));
        }
        retries.value
    });
    let boot = if probes.contains(&Probe::CloudInit) { Healthcheck::FIRST_BOOT } else { Healthcheck::START_PERIOD };
    Some(Healthcheck {
        probes,
        interval: positive("interval", check.interval.as_ref(), Healthcheck::INTERVAL, mistakes),
        timeout: positive("timeout", check.timeout.as_ref(), Healthcheck::TIMEOUT, mistakes),
        retries,
        start_period: check.start_period.as_ref().map_or(boot, |span| span.value),
    })
}

/// Whether a vm of the file will have a healthcheck.
pub(super) fn present(vm: &vm::Vm) -> bool {
    vm.lost.health || vm.healthcheck.as_ref().is_some_and(|check| check.disable != Some(true))
}

fn positive(key: &str, span: Option<&At<Span>>, default: Span, mistakes: &mut Vec<Diagnostic>) -> Span {
    span.map_or(default, |span| {
        if span.value.0.is_zero() {
            mistakes.push(Diagnostic::error(format!("`{key}` must be more than nothing")).at(span.place, "zero"));
        }
        span.value
    })
}

/// What one place of the file asks to be probed.
struct Asked<'a> {
    tcp: Option<&'a At<TcpProbe>>,
    http: Option<&'a At<HttpProbe>>,
    agent: Option<&'a At<bool>>,
    exec: Option<&'a At<Command>>,
    cloud_init: Option<&'a At<bool>>,
    later: bool,
}

fn probes(
    instance: &Instance<vm::Vm>,
    check: &At<File>,
    addressed: bool,
    mistakes: &mut Vec<Diagnostic>,
) -> Vec<Probe> {
    let direct = Asked {
        tcp: check.tcp.as_ref(),
        http: check.http.as_ref(),
        agent: check.agent.as_ref(),
        exec: check.exec.as_ref(),
        cloud_init: check.cloud_init.as_ref(),
        later: check.ssh.is_some() || check.console.is_some() || check.host.is_some(),
    };
    let places = direct.places();
    if let (Some(several), Some(place)) = (&check.probes, places.first()) {
        let both = Diagnostic::error("a healthcheck has either one probe or a list of `probes`");
        mistakes.push(both.at(*place, "one probe").and(several.place, "several").hint("move it into the list"));
    }
    let mut probes = one(instance, &direct, check.place, check.probes.is_none(), addressed, mistakes);
    let listed = check.probes.iter().flat_map(|probes| &probes.value);
    for probe in listed {
        let Probes { tcp, http, agent, exec, cloud_init, ssh, console, host } = &probe.value;
        let asked = Asked {
            tcp: tcp.as_ref(),
            http: http.as_ref(),
            agent: agent.as_ref(),
            exec: exec.as_ref(),
            cloud_init: cloud_init.as_ref(),
            later: ssh.is_some() || console.is_some() || host.is_some(),
        };
        probes.extend(one(instance, &asked, probe.place, true, addressed, mistakes));
    }
    if let Some(empty) = check.probes.as_ref().filter(|list| list.is_empty()) {
        mistakes.push(
            Diagnostic::error("`probes` must not be empty")
                .at(empty.place, "nothing to try")
                .unless_wrong_within(empty.place),
        );
    }
    probes
}

impl Asked<'_> {
    fn places(&self) -> Vec<Place> {
        let on = |flag: Option<&At<bool>>| flag.filter(|flag| flag.value).map(|flag| flag.place);
        let (tcp, http, exec) = (self.tcp.map(|p| p.place), self.http.map(|p| p.place), self.exec.map(|p| p.place));
        [tcp, http, on(self.agent), exec, on(self.cloud_init)].into_iter().flatten().collect()
    }
}

/// The one probe of a place.
fn one(
    instance: &Instance<vm::Vm>,
    asked: &Asked<'_>,
    place: Place,
    needed: bool,
    addressed: bool,
    mistakes: &mut Vec<Diagnostic>,
) -> Vec<Probe> {
    match asked.places()[..] {
        [] if needed && !asked.later => {
            let none = Diagnostic::error(format!("the healthcheck of {} has no probe", subject(instance)));
            mistakes.push(
                none.at(place, "nothing to try")
                    .hint("write one of `tcp`, `http`, `agent`, `exec` and `cloud_init`")
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
    let mut probes = Vec::new();
    if let Some(At { value: TcpProbe { port, host }, place }) = asked.tcp {
        check_target(instance, *port, host.as_deref(), *place, addressed, mistakes);
        probes.push(Probe::Tcp { host: host.clone(), port: *port });
    }
    if let Some(At { value: HttpProbe { port, path, host }, place }) = asked.http {
        check_target(instance, *port, host.as_deref(), *place, addressed, mistakes);
        if let Some(path) = path.as_ref().filter(|path| !path.starts_with('/')) {
            let relative = Diagnostic::error(format!("the path `{}` must begin with `/`", path.value));
            mistakes.push(relative.at(path.place, "relative").hint(format!("write `/{}`", path.value)));
        }
        let path = path.as_ref().map_or_else(|| "/".to_owned(), |path| path.value.clone());
        probes.push(Probe::Http { host: host.clone(), port: *port, path });
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
    probes
}

fn check_target(
    instance: &Instance<vm::Vm>,
    port: u16,
    host: Option<&str>,
    place: Place,
    addressed: bool,
    mistakes: &mut Vec<Diagnostic>,
) {
    if port == 0 {
        mistakes.push(Diagnostic::error("`0` is not a port; ports are numbered from 1 to 65535").at(place, "no port"));
    }
    if host.is_none() && !addressed {
        let nowhere = Diagnostic::error(format!("{} has no network, so this probe has no address", subject(instance)));
        mistakes.push(nowhere.at(place, "goes nowhere").hint("put the vm on a network, or name a `host`"));
    }
}
