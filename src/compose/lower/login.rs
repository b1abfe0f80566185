//! How a vm is logged in to: by which account, and whether the project's key lets in.
//!
//! Owns which vms get that key. Knows nothing of what it is, and of who makes it.

use crate::compose::schema::guest::{LongLogin, Ssh, SshKey};
use crate::compose::schema::vm::Vm;
use crate::model::{CloudInit, Login};

/// The keys that the file gives for logging in.
pub(super) fn keys(vm: &Vm) -> &[SshKey] {
    long(vm).map_or(&[], |ssh| &ssh.authorized_keys.0)
}

/// Whether the project's key lets in unless the file gives others: whoever boots an image expects to get in. A kernel
/// that the hypervisor loads has no cloud-init to speak of, so there it has to be asked for; who has Ignition has no
/// cloud-init.
pub(super) fn wants_project_key(vm: &Vm) -> bool {
    match &vm.ssh {
        Some(Ssh::Whether(whether)) => *whether,
        Some(Ssh::How(how)) => how.authorized_keys.0.is_empty(),
        None => vm.boot.is_none() && vm.ignition.is_none(),
    }
}

/// How to log in: to the account that the file names, else the first that it has made, else that of the image.
pub(super) fn lower(vm: &Vm, told: Option<&CloudInit>, account: Option<&str>) -> Option<Box<Login>> {
    if matches!(vm.ssh, Some(Ssh::Whether(false))) {
        return None;
    }
    let named = long(vm).and_then(|ssh| ssh.user.as_ref()).map(|user| user.value.0.clone());
    let made = || told.and_then(|told| told.users.first()).map(|user| user.name.clone());
    let user = named.or_else(made).or_else(|| account.map(ToOwned::to_owned));
    let port = long(vm).and_then(|ssh| ssh.port).map(|port| port.0);
    (user.is_some() || port.is_some()).then(|| Box::new(Login { user, port }))
}

/// The port that SSH is on.
pub(super) fn port(vm: &Vm) -> u16 {
    long(vm).and_then(|ssh| ssh.port).map_or(Login::PORT, |port| port.0)
}

fn long(vm: &Vm) -> Option<&LongLogin> {
    match &vm.ssh {
        Some(Ssh::How(how)) => Some(how),
        Some(Ssh::Whether(_)) | None => None,
    }
}
