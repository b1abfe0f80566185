//! What a step makes or changes, field by field.
//!
//! Owns which fields of a spec are worth a line in a plan, and how they read. Knows nothing of waves or order.

use std::fmt::Write as _;

use crate::model::{Boot, Disk, Healthcheck, Image, ImageRef, Interface, Login, Network, ProjectKey, Share, Spec, Vm};
use crate::plan::operation::Provision;
use crate::plan::{Operation, Step};
use crate::render::layout::tame;
use crate::render::words::{about, count, list};

/// More entries than this would make a line that nobody reads.
const MOST: usize = 6;

/// Labels and values, in the order in which they are shown.
pub(super) fn of(step: &Step) -> Vec<(String, String)> {
    let made = step.operations.iter().find_map(spec);
    let made = made.map(|spec| self::made(&spec)).unwrap_or_default();
    let none = || "none".to_owned();
    let changes = step.changes.iter().map(|change| {
        let old = change.old.as_deref().map_or_else(none, tame);
        let new = change.new.as_deref().map_or_else(none, tame);
        let whose = if change.drift { " (somebody else's change is put back)" } else { "" };
        (field(&change.field), format!("{old} → {new}{whose}"))
    });
    let made = made.into_iter().map(|(label, value)| (label.to_owned(), value));
    made.chain(changes).chain(provision(step).map(|tasks| ("provision".to_owned(), tasks))).collect()
}

/// A field as people call it: what is one of several goes by its name.
fn field(path: &str) -> String {
    let (top, rest) = path.split_once('.').unwrap_or((path, ""));
    let (name, rest) = rest.split_once('.').unwrap_or((rest, ""));
    let called = match (top, name) {
        (_, "" | "order") => return tame(path),
        ("disks", name) => match name.strip_prefix("volume ") {
            Some(volume) => format!("volume `{volume}`"),
            None => format!("disk `{name}`"),
        },
        // By its hardware address, where it is somebody else's or on the wrong network.
        ("interfaces", name) if name.contains(':') => format!("interface `{name}`"),
        ("interfaces", name) => format!("network `{name}`"),
        _ => return tame(path),
    };
    tame(format!("{called} {rest}").trim_end())
}

/// The tasks that are done inside a guest, with the place of the first where some before it are not done again.
fn provision(step: &Step) -> Option<String> {
    let tasks: Vec<&Provision> = step.operations.iter().filter_map(task).collect();
    let first = tasks.first()?.number();
    let names = list(tasks.iter().map(|task| format!("`{}`", tame(&task.task.label))), MOST);
    let again = step.changes.iter().any(|change| change.top() == "provision" && change.old.is_some());
    Some(match (again, first) {
        (true, first) => format!("again: task {first} changed: {names}"),
        (false, 1) => names,
        (false, first) => format!("from task {first}: {names}"),
    })
}

fn task(operation: &Operation) -> Option<&Provision> {
    match operation {
        Operation::Provision(provision) => Some(provision),
        _ => None,
    }
}

/// The spec that an operation makes something from.
pub(super) fn spec(operation: &Operation) -> Option<Spec> {
    match operation {
        Operation::UploadImage(image) => Some(Spec::Image(image.clone())),
        Operation::DefineNetwork(network) => Some(Spec::Network(network.clone())),
        Operation::CreateVolume(volume) => Some(Spec::Volume(volume.clone())),
        Operation::DefineVm(vm) | Operation::AdoptVm(vm) => Some(Spec::Vm(vm.clone())),
        Operation::RedefineVm { from, to } if from.generation != to.generation => Some(Spec::Vm(to.clone())),
        _ => None,
    }
}

fn made(spec: &Spec) -> Vec<(&'static str, String)> {
    match spec {
        Spec::Pool(_) => Vec::new(),
        Spec::Image(image) => vec![("content", content(image))],
        Spec::Network(network) => vec![("subnet", subnet(network))],
        Spec::Volume(volume) => {
            let pool = volume.pool.iter().map(|pool| ("pool", tame(pool)));
            let shared = volume.shared.then(|| ("shared", "by several vms".to_owned()));
            [("size", volume.size.to_string())].into_iter().chain(pool).chain(shared).collect()
        }
        Spec::Vm(vm) => machine(vm),
    }
}

fn content(image: &Image) -> String {
    if image.is_unknown() {
        return "known when it is downloaded".to_owned();
    }
    let away = if image.path.as_os_str().is_empty() { ", downloaded first" } else { "" };
    format!("{} {}, sha256 {}…{away}", image.format.as_str(), about(image.length), image.digest)
}

fn subnet(network: &Network) -> String {
    format!("{}, {}", network.subnet, network.mode)
}

fn machine(vm: &Vm) -> Vec<(&'static str, String)> {
    let root = vm.disk.map(|size| format!(", {size} disk")).unwrap_or_default();
    let mut fields = vec![
        ("machine", format!("{}, {} memory{root}", count(vm.cpus as usize, "cpu"), vm.memory)),
        ("boot", boot(&vm.boot)),
    ];
    if !vm.disks.is_empty() {
        fields.push(("disks", list(vm.disks.iter().map(disk), MOST)));
    }
    if !vm.shares.is_empty() {
        fields.push(("shares", list(vm.shares.iter().map(share), MOST)));
    }
    if !vm.interfaces.is_empty() {
        fields.push(("address", list(vm.interfaces.iter().map(interface), MOST)));
    }
    if !vm.ports.is_empty() {
        fields.push(("ports", list(&vm.ports, MOST)));
    }
    if let Some(key) = vm.cloud_init.as_deref().and_then(|settings| settings.project_key.as_ref()) {
        fields.push(("login", login(vm.ssh.as_deref(), key)));
    }
    let secrets = vm.cloud_init.as_ref().map(|told| told.asks_for()).unwrap_or_default();
    if !secrets.is_empty() {
        fields.push(("secrets", list(secrets.iter().map(|name| format!("`{name}`")), MOST)));
    }
    fields
}

fn login(login: Option<&Login>, key: &ProjectKey) -> String {
    let user = login.map_or(Login::FALLBACK, Login::user);
    let made = if *key == ProjectKey::Wanted { ", which `up` makes" } else { "" };
    format!("`{user}` by the project's key{made}")
}

fn boot(boot: &Boot) -> String {
    match boot {
        Boot::Image(image) => format!("image {}", reference(image)),
        Boot::Cdrom(disc) => format!("disc {}, onto an empty disk", reference(disc)),
        Boot::Existing { machine, .. } => format!("machine `{}`, as somebody else made it", tame(machine)),
        Boot::Kernel { kernel, initrd, cmdline } => {
            let initrd = initrd.as_ref().map(|initrd| format!(", initrd {}", reference(initrd))).unwrap_or_default();
            let cmdline = if cmdline.is_empty() { String::new() } else { format!(", cmdline `{}`", tame(cmdline)) };
            format!("kernel {}{initrd}{cmdline}", reference(kernel))
        }
    }
}

fn reference(image: &ImageRef) -> String {
    match (&image.digest, &image.volume) {
        (_, Some(volume)) => format!("`{}` (volume {})", image.name, tame(&volume.to_string())),
        (Some(digest), None) => format!("`{}` ({digest})", image.name),
        (None, None) => format!("`{}`", image.name),
    }
}

fn disk(disk: &Disk) -> String {
    match disk {
        Disk::Volume { volume } => format!("volume `{volume}`"),
        Disk::Own { name, size } => format!("`{name}` {size}"),
    }
}

fn share(share: &Share) -> String {
    let only = if share.read_only { ", read only" } else { "" };
    format!("`{}` at `{}`{only}", tame(&share.source), tame(&share.target))
}

fn interface(interface: &Interface) -> String {
    format!("{} on `{}`", interface.ip, interface.network)
}

/// A gate with its patience: "healthy: tcp :5432, agent; tried every 2s for 1m30s, then 15 times more".
pub(super) fn gate(check: &Healthcheck) -> String {
    let probes = list(check.probes.iter().map(|probe| tame(&probe.to_string())), MOST);
    let Healthcheck { interval, retries, start_period, .. } = check;
    let mut text = if start_period.0.is_zero() {
        format!("healthy: {probes}; tried every {interval}, {retries} times")
    } else {
        format!("healthy: {probes}; tried every {interval} for {start_period}, then {retries} times more")
    };
    if check.success_threshold > 1 {
        let _ = write!(text, ", until it passes {} times in a row", check.success_threshold);
    }
    if let Some(deadline) = check.deadline {
        let _ = write!(text, "; within {deadline}");
    }
    text
}
