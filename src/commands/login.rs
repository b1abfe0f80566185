//! The way into a vm by ssh: where it is, as whom, with which key.
//!
//! Owns what of that comes from the hypervisor's record and what from this machine, and the words for what is missing.
//! The file is read only for the project's name.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::backend::libvirt::Libvirt;
use crate::backend::{ErrorKind, Hypervisor, HypervisorError, WayIn, WaysIn};
use crate::commands::keys::{self, Keys};
use crate::commands::ssh;
use crate::error::Error;
use crate::model::{Probe, ProjectKey, Spec, Vm};
use crate::names::{ProjectName, ResourceId, VmName};
use crate::plan::{Operation, Plan, Step};
use crate::state::{Actual, ActualState, Phase};

/// A way into one vm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) project: ProjectName,
    pub(super) vm: VmName,
    pub(super) address: Ipv4Addr,
    pub(super) user: String,
    pub(super) port: u16,
    /// The project's key, where it is that which lets in.
    pub(super) key: Option<PathBuf>,
    /// Where the guest's own key is remembered.
    pub(super) known_hosts: PathBuf,
    /// The machine to go through, where the hypervisor is behind it.
    pub(super) jump: Option<String>,
}

impl Way {
    /// The name by which the guest's own key is remembered.
    pub(super) fn alias(&self) -> String {
        format!("{}-{}", self.project, self.vm)
    }

    /// What ssh has to be told, as words of its configuration.
    pub(super) fn options(&self) -> Vec<(&'static str, String)> {
        let mut options = vec![
            ("HostName", self.address.to_string()),
            ("Port", self.port.to_string()),
            ("User", self.user.clone()),
            ("HostKeyAlias", self.alias()),
            ("UserKnownHostsFile", quoted(&self.known_hosts)),
            ("GlobalKnownHostsFile", "/dev/null".to_owned()),
            // The first answer on a network of the project's own is believed, every other has to be the same.
            ("StrictHostKeyChecking", "accept-new".to_owned()),
            ("LogLevel", "ERROR".to_owned()),
        ];
        if let Some(key) = &self.key {
            options.extend([("IdentityFile", quoted(key)), ("IdentitiesOnly", "yes".to_owned())]);
        }
        options.extend(self.jump.clone().map(|jump| ("ProxyJump", jump)));
        options
    }

    /// Arguments of ssh that say all this, the destination last.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let option = |(name, value): (&str, String)| [OsString::from("-o"), format!("{name}={value}").into()];
        let options = self.options().into_iter().flat_map(option);
        options.chain([self.alias().into()]).collect()
    }

    /// Whether something listens there.
    pub(super) fn answers(&self, patience: Duration) -> bool {
        let there = SocketAddr::from((self.address, self.port));
        // Through another machine only ssh itself can tell.
        self.jump.is_some() || TcpStream::connect_timeout(&there, patience).is_ok()
    }
}

/// As `ssh_config(5)` reads it: a `%` begins a token there.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('%', "%%"))
}

/// Finds the way into a vm that runs.
pub(super) fn way(
    hypervisor: &Libvirt,
    project: &ProjectName,
    actual: &ActualState,
    name: &VmName,
) -> Result<Way, Error> {
    let (vm, found) = find(actual, name)?;
    let (how, hint) = match found.phase {
        Phase::Running => return to(hypervisor, project, vm, actual.made.get(name).copied()),
        Phase::Paused => ("is paused", "`vmcompose up` lets it go on"),
        _ => ("does not run", "`vmcompose up` starts what does not run"),
    };
    Err(HypervisorError::new(ErrorKind::NotRunning, format!("vm `{name}` {how}")).with_hint(hint).into())
}

/// A vm of the project, or what there is instead.
pub(super) fn find<'a>(actual: &'a ActualState, name: &VmName) -> Result<(&'a Vm, &'a Actual), Error> {
    let found = actual.resources.get(&ResourceId::Vm(name.clone()));
    let vm = found.and_then(|found| Some((found.recorded.as_vm()?, found)));
    vm.ok_or_else(|| missing(actual, name))
}

/// The way into a vm, whether it runs or not. `made` is when it was, in seconds since 1970.
pub(super) fn to(hypervisor: &Libvirt, project: &ProjectName, vm: &Vm, made: Option<u64>) -> Result<Way, Error> {
    let uri = hypervisor.uri();
    let address = vm.interfaces.first().map(|interface| interface.ip).ok_or_else(|| {
        let none = format!("vm `{}` is on no network, so there is no address to log in at", vm.name);
        let hint = format!("`vmcompose exec {0} -- …` and `vmcompose console {0}` need none", vm.name);
        HypervisorError::new(ErrorKind::Unsupported, none).with_hint(hint)
    })?;
    let keys = Keys::of(project, &uri)?;
    let login = vm.ssh.as_deref().cloned().unwrap_or_default();
    // On a wire it has an address that only its neighbours reach.
    let (address, port) = match vm.hardware.uplink {
        None => (address, login.port()),
        Some(_) => hypervisor.entrance(project, &vm.name, login.port()).map(|way| (*way.ip(), way.port()))?,
    };
    Ok(Way {
        project: project.clone(),
        vm: vm.name.clone(),
        address,
        user: login.user().to_owned(),
        port,
        key: key(&keys, vm)?,
        known_hosts: keys.known_hosts(&vm.name, made)?,
        jump: jump(&uri),
    })
}

/// The private half of the key that lets in, where that is the project's.
fn key(keys: &Keys, vm: &Vm) -> Result<Option<PathBuf>, Error> {
    let key = vm.cloud_init.as_deref().and_then(|settings| settings.project_key.as_ref());
    let Some(public) = key.and_then(ProjectKey::public) else { return Ok(None) };
    keys.private(public).map(Some).ok_or_else(|| Error::Missing {
        what: format!("the key that lets in to vm `{}` is not on this machine: {}", vm.name, keys::fingerprint(public)),
        hint: format!("it is where `up` first made the vm; copy it from there to `{}`", keys.place().display()),
    })
}

/// How the probes of a plan's gates log in, as far as account and key are known here. Who has no ssh, or no key, is content
/// with a server that answers.
pub(super) fn known(project: &ProjectName, uri: &str, plan: &Plan, actual: &ActualState) -> WaysIn {
    let asks = |vm: &&Vm| {
        let probes = vm.healthcheck.iter().flat_map(|healthcheck| &healthcheck.probes);
        probes.into_iter().any(|probe| matches!(probe, Probe::Ssh { .. }))
    };
    let before = actual.recorded().filter_map(Spec::as_vm);
    let vms: Vec<&Vm> =
        before.chain(plan.steps().flat_map(Step::all).filter_map(Operation::wanted)).filter(asks).collect();
    let Ok(keys) = Keys::of(project, uri) else { return WaysIn::new() };
    if vms.is_empty() || jump(uri).is_some() || !ssh::is_there() {
        return WaysIn::new();
    }
    vms.into_iter().filter_map(|vm| Some((vm.name.clone(), way_in(&keys, vm)?))).collect()
}

fn way_in(keys: &Keys, vm: &Vm) -> Option<WayIn> {
    let login = vm.ssh.as_deref()?;
    let user = login.user.clone()?;
    let told = vm.cloud_init.as_deref()?;
    let key = if let Some(key) = &told.project_key {
        keys.private(key.public()?)?
    } else {
        let account = told.users.iter().find(|account| account.name == user);
        keys::of_user(account.map_or(&told.ssh_authorized_keys, |account| &account.ssh_authorized_keys))?
    };
    Some(WayIn { user, port: login.port(), key })
}

/// The machine that a hypervisor is reached through by ssh: its guests are behind it.
fn jump(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once("://")?;
    let (_, transport) = scheme.split_once('+')?;
    let host = rest.split(['/', '?']).next().filter(|host| !host.is_empty())?;
    matches!(transport, "ssh" | "libssh" | "libssh2").then(|| host.to_owned())
}

/// An error of the hypervisor's about a vm; where there is no such vm, with those that there are.
pub(super) fn named(hypervisor: &Libvirt, project: &ProjectName, vm: &VmName, error: HypervisorError) -> Error {
    let better = match error.kind {
        ErrorKind::NotFound => hypervisor.observe(project).ok().map(|actual| missing(&actual, vm)),
        _ => None,
    };
    better.unwrap_or_else(|| error.into())
}

/// Names that are told at most.
const SHOWN: usize = 8;

/// A name on the command line that no vm of the project has, whatever was to be done with it.
pub(super) fn missing(actual: &ActualState, name: &VmName) -> Error {
    let names: Vec<&str> = actual.recorded().filter_map(Spec::as_vm).map(|vm| vm.name.as_str()).collect();
    let replicas = actual.recorded().filter_map(Spec::as_vm).filter(|vm| vm.replica_of.as_ref() == Some(name));
    let replicas: Vec<String> = replicas.take(SHOWN).map(|vm| format!("`{}`", vm.name)).collect();
    if !replicas.is_empty() {
        let what = format!("`{name}` is several vms: {}", replicas.join(", "));
        return Error::Missing { what, hint: "name one of them".to_owned() };
    }
    let what = format!("vm `{name}` does not exist on the hypervisor");
    Error::Missing { what, hint: instead(&names, name.as_str()) }
}

/// What may have been meant.
fn instead(names: &[&str], name: &str) -> String {
    const ALMOST: f64 = 0.6;
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(known, name);
    let near = names.iter().filter(|known| likeness(known) >= ALMOST);
    let nearest = near.max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let replica = names.iter().find(|known| known.rsplit_once('-').is_some_and(|(group, _)| group == name));
    match replica.or(nearest) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if names.is_empty() => "there are no vms of this project; `vmcompose up` makes them".to_owned(),
        None => {
            let names: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
            format!("the project has {}", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Login;

    fn way() -> Way {
        Way {
            project: ProjectName::new("shop").expect("legal"),
            vm: VmName::new("db").expect("legal"),
            address: Ipv4Addr::new(10, 0, 0, 2),
            user: Login::FALLBACK.to_owned(),
            port: Login::PORT,
            key: Some("/home/a b/100%/id".into()),
            known_hosts: "/k/db".into(),
            jump: None,
        }
    }

    #[test]
    fn a_path_means_itself_to_ssh() {
        let options = way().options();
        assert!(options.contains(&("IdentityFile", "\"/home/a b/100%%/id\"".to_owned())), "{options:?}");
        let arguments = way().arguments();
        assert_eq!(arguments.last(), Some(&OsString::from("shop-db")));
        assert!(arguments.contains(&OsString::from("HostName=10.0.0.2")), "{arguments:?}");
    }

    #[test]
    fn guests_of_a_hypervisor_behind_ssh_are_reached_through_it() {
        for uri in ["qemu:///system", "qemu+unix:///system", "qemu+tls://host/system"] {
            assert_eq!(jump(uri), None, "{uri}");
        }
        assert_eq!(jump("qemu+ssh://me@host:2222/system?no_tty=1").as_deref(), Some("me@host:2222"));
        let far = Way { jump: jump("qemu+libssh2://host/system"), ..way() };
        assert!(far.options().contains(&("ProxyJump", "host".to_owned())));
    }

    #[test]
    fn a_vm_that_is_not_there_is_met_with_one_that_is() {
        assert_eq!(instead(&["api-1", "api-2", "db"], "api"), "did you mean `api-1`?");
        assert_eq!(instead(&["frontend", "db"], "frontedn"), "did you mean `frontend`?");
        assert_eq!(instead(&["web", "db"], "postgres"), "the project has `web`, `db`");
        assert!(instead(&[], "db").contains("`vmcompose up`"));
    }
}
