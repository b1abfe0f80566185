//! `doctor`: this machine and the hypervisor → findings.
//!
//! Owns what is looked at and what is wrong with it. Changes nothing.

use std::path::Path;

use rustix::fs::{Access, access};

use crate::backend::HypervisorError;
use crate::backend::libvirt::Libvirt;
use crate::backend::libvirt::survey::{Acceleration, PoolState, Survey};
use crate::cli::{Doctor, Global};
use crate::commands::preflight::gib;
use crate::commands::{preflight, print, unfinished};
use crate::error::{Error, Exit};
use crate::names::Pool;
use crate::render::Palette;
use crate::render::findings::{self, Finding, Verdict};

/// Looks at everything that a run needs.
pub(super) fn doctor(global: &Global, options: &Doctor) -> Result<Exit, Error> {
    let mut found = Vec::new();
    let exit = match look(global) {
        Ok((connection, survey)) => {
            found.push(connection);
            found.push(acceleration(&survey));
            found.push(Finding::good("memory", format!("{} in all", gib(survey.memory))));
            found.extend(survey.pools.iter().map(|(pool, state)| storage(*pool, state)));
            if survey.local && !survey.test {
                found.push(if survey.rootless { wires() } else { network() });
            }
            Exit::Refused
        }
        Err(error) => {
            found.push(Finding::bad("connection", error.message.clone(), error.hint));
            Exit::Unreachable
        }
    };
    found.push(tools());
    found.push(journals());
    print(&findings::findings(&found, options.format, &Palette::stdout()))?;
    let bad = found.iter().any(|finding| finding.verdict == Verdict::Bad);
    Ok(if bad { exit } else { Exit::Done })
}

fn look(global: &Global) -> Result<(Finding, Survey), HypervisorError> {
    let hypervisor = Libvirt::connect(global.connect.as_deref())?;
    let versions = hypervisor.versions()?;
    let survey = hypervisor.survey()?;
    let (libvirt, driver, version) = (versions.libvirt, versions.driver, versions.hypervisor);
    let text = format!("`{}`: libvirt {libvirt}, {driver} {version}", hypervisor.uri());
    Ok((Finding::good("connection", text), survey))
}

fn acceleration(survey: &Survey) -> Finding {
    let subject = "acceleration";
    if survey.test {
        return Finding::good(subject, "libvirt's test driver runs no guests".to_owned());
    }
    let (text, hint) = match survey.acceleration {
        Acceleration::Works => {
            return Finding::good(subject, "the processor runs guests itself (kvm)".to_owned());
        }
        Acceleration::Claimed => (
            "guests run in software, many times slower: there is a /dev/kvm, but this processor cannot run guests",
            "switch virtualisation on in the firmware, or nested virtualisation on the host of this machine",
        ),
        Acceleration::None => (
            "guests run in software, many times slower",
            "load the module: `modprobe kvm_intel` or `modprobe kvm_amd`; on a vm, switch nested virtualisation on",
        ),
    };
    Finding::poor(subject, text.to_owned(), hint)
}

fn storage(pool: Pool, state: &PoolState) -> Finding {
    let subject = format!("pool `{pool}`");
    match state {
        PoolState::Missing => Finding::good(subject, "not there yet; the first `up` makes it".to_owned()),
        PoolState::Active { free } => Finding::good(subject, format!("{} free", gib(*free))),
        PoolState::Half => {
            Finding::poor(subject, "made only in part".to_owned(), "`vmcompose up` completes it, `recover` removes it")
        }
        PoolState::Stopped => {
            let hint = format!("`virsh pool-start vmcompose-{pool}`");
            Finding::poor(subject, "stopped, so that nobody can see what is in it".to_owned(), hint)
        }
        PoolState::Foreign(words) => {
            Finding::bad(subject, format!("there is {words}"), Some("rename or remove that one".to_owned()))
        }
    }
}

/// libvirt's networks need a program for DHCP and DNS, and one for the firewall.
fn network() -> Finding {
    match preflight::missing() {
        None => Finding::good("network", "dnsmasq and a firewall are there".to_owned()),
        Some(missing) => Finding::bad("network", format!("{missing} is missing"), Some(preflight::INSTALL.to_owned())),
    }
}

/// An ordinary user's vms need neither: QEMU joins them itself.
fn wires() -> Finding {
    Finding::good(
        "network",
        "an ordinary user's own hypervisor: vms are joined by wires on the loopback interface".to_owned(),
    )
}

fn tools() -> Finding {
    if preflight::is_there("virsh") {
        return Finding::good("tools", "virsh is there".to_owned());
    }
    let text = "virsh is missing, which the commands are for that clean up by hand".to_owned();
    Finding::poor("tools", text, "`apt-get install libvirt-clients`, or what your distribution calls it")
}

fn journals() -> Finding {
    let subject = "journals";
    let all = match unfinished::journals() {
        Ok(all) => all,
        Err(error) => return Finding::bad(subject, error.to_string(), Some("set `XDG_STATE_HOME`".to_owned())),
    };
    let there = all.root().ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    if access(there, Access::WRITE_OK).is_err() {
        let hint = "set `XDG_STATE_HOME` to a folder that you may write to".to_owned();
        return Finding::bad(
            subject,
            format!("`{}` cannot be written to, so no run can begin", there.display()),
            Some(hint),
        );
    }
    let runs = all.all().map(|runs| runs.into_iter().filter(|run| !run.is_void()).count());
    match runs {
        Ok(0) => Finding::good(subject, "every run came to its end".to_owned()),
        Ok(n) => Finding::poor(
            subject,
            format!("{n} came to no good end, or still go on"),
            "`vmcompose recover --list` shows them",
        ),
        Err(error) => Finding::bad(subject, format!("`{}` cannot be read: {error}", all.root().display()), None),
    }
}
