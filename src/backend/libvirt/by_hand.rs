//! What to type where an operation could not be carried out: `virsh` lines that can be pasted into a shell.
//!
//! Owns their words. Whether an object is still there is not known here.

use super::names::{self, Stored};
use super::record;
use crate::model::hardware::Firmware;
use crate::names::{Pool, ProjectName, VmName};
use crate::plan::operation::Device;
use crate::plan::{Operation, Plan};

/// The command that does by hand what an operation would have done; `None` where there is no short way to say it.
/// `connect` is the hypervisor as the user named it.
pub fn by_hand(plan: &Plan, connect: Option<&str>, operation: &Operation) -> Option<String> {
    let virsh = match connect {
        Some(uri) => format!("virsh -c {}", quoted(uri)),
        None => "virsh".to_owned(),
    };
    line(plan, operation).map(|line| format!("{virsh} {line}"))
}

fn line(plan: &Plan, operation: &Operation) -> Option<String> {
    let project = &plan.project;
    let delete = |stored: &Stored| delete(project, stored);
    // One that was adopted has the name that it always had.
    let domain = |vm: &VmName| plan.machine(vm).map_or_else(|| names::domain(project, vm), quoted);
    let network = |name| names::network(project, name);
    Some(match operation {
        Operation::StopVm { name, .. } => format!("destroy {}", domain(name)),
        Operation::StartVm(name) | Operation::RestoreVm(name) => format!("start {}", domain(name)),
        Operation::ResumeVm(name) => format!("resume {}", domain(name)),
        Operation::PauseVm(name) => format!("suspend {}", domain(name)),
        // libvirt wants to be told that the firmware's variables go too.
        Operation::UndefineVm(vm) if vm.hardware.firmware == Some(Firmware::Uefi) => {
            format!("undefine {} --nvram", domain(&vm.name))
        }
        Operation::SaveVm(name) => format!("managedsave {}", domain(name)),
        Operation::UndefineVm(vm) => format!("undefine {}", domain(&vm.name)),
        Operation::ReleaseVm(vm) => {
            format!("metadata {} --uri {} --remove --config", domain(&vm.name), record::NAMESPACE)
        }
        Operation::SetMemory { vm, to, .. } => format!("setmem {} {} --live", domain(vm), to.kib_ceil()),
        Operation::SetCpus { vm, to, .. } => format!("setvcpus {} {to} --live", domain(vm)),
        Operation::Detach { vm, device: Device::Interface(nic), .. } => {
            format!("detach-interface {} network --mac {} --live", domain(vm), nic.mac)
        }
        Operation::DeleteDisk(disk) => delete(&Stored::disk(disk)),
        Operation::DeleteSeed { vm, generation } => delete(&Stored::Seed(vm.clone(), *generation)),
        // A guest starts without anything on it too, and the next `up` writes it anew.
        Operation::ScrubSeed(seed) => {
            let stored = Stored::Seed(seed.vm.clone(), seed.generation);
            format!("vol-wipe --pool {} {}", names::pool(stored.pool()), stored.name(project))
        }
        Operation::DeleteVolume(volume) => delete(&Stored::volume(volume)),
        Operation::DeleteImage(image) => delete(&Stored::image(image)),
        Operation::StopNetwork(name) => format!("net-destroy {}", network(name)),
        Operation::StartNetwork(name) => format!("net-start {}", network(name)),
        Operation::UndefineNetwork(other) => format!("net-undefine {}", network(&other.name)),
        Operation::StartPool(pool) => format!("pool-start {}", names::pool(*pool)),
        Operation::StopPool(pool) => format!("pool-destroy {}", names::pool(*pool)),
        _ => return None,
    })
}

fn delete(project: &ProjectName, stored: &Stored) -> String {
    let own = |pool: Pool| names::pool(pool);
    let pool = stored.elsewhere().map_or_else(|| own(stored.pool()), quoted);
    format!("vol-delete --pool {pool} {}", stored.name(project))
}

/// As one word for a POSIX shell. Names need no quotes; a URI may (`?socket=…&mode=…`).
fn quoted(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "/:._-+@=".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Volume;
    use crate::units::Bytes;

    #[test]
    fn a_uri_is_one_word_for_the_shell() {
        assert_eq!(quoted("qemu:///system"), "qemu:///system");
        assert_eq!(quoted("qemu+unix:///system?socket=/a&b"), "'qemu+unix:///system?socket=/a&b'");
        assert_eq!(quoted("a'b"), r"'a'\''b'");
    }

    #[test]
    fn a_volume_is_looked_for_where_it_is() {
        let project = ProjectName::new("shop").expect("legal");
        let volume = Volume::new("data".parse().expect("legal"), Bytes::gib(1));
        let (waves, unchanged, orphans, adopted, kept) = <(Vec<_>, Vec<_>, Vec<_>, Vec<_>, Vec<_>)>::default();
        let plan = Plan { project, waves, unchanged, orphans, adopted, kept };
        let line = |volume: Volume| by_hand(&plan, None, &Operation::DeleteVolume(volume)).expect("a line");
        assert_eq!(line(volume.clone()), "virsh vol-delete --pool vmcompose-disks shop.data.qcow2");
        let elsewhere = Volume { pool: Some("big one".to_owned()), shared: true, ..volume };
        assert_eq!(line(elsewhere), "virsh vol-delete --pool 'big one' shop.data.raw");
    }
}
