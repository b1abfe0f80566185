//! What others did: named in the plan with old and new, and put back. On libvirt's test driver, and, where
//! `VMCOMPOSE_TEST_QEMU` is set, on a guest that runs.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::desk::Desk;
use crate::support::qemu::{Run, Stack, enabled};

/// Without the blanks that align columns.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn says(run: &Run, words: &[&str]) {
    let text = squeezed(&format!("{}\n{}", run.stdout, run.stderr));
    for words in words {
        assert!(text.contains(words), "`{words}` is not in:\n{}\n{}", run.stdout, run.stderr);
    }
}

/// Somebody else at the real hypervisor.
struct Somebody<'a>(&'a Stack);

impl Somebody<'_> {
    #[track_caller]
    fn virsh(&self, line: &str) -> String {
        let line = line.replace('@', self.0.project());
        let output = Command::new("virsh").args(["-q", "-c", "qemu:///system"]).args(line.split(' ')).output();
        let output = output.expect("virsh runs");
        assert!(output.status.success(), "virsh {line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Edits a definition as an editor would.
    #[track_caller]
    fn edit(&self, kind: &str, name: &str, from: &str, to: &str) {
        let (dump, define) = if kind == "net" { ("net-dumpxml", "net-define") } else { ("dumpxml", "define") };
        let before = self.virsh(&format!("{dump} {name} --inactive"));
        let after = before.replace(from, to);
        assert_ne!(before, after, "`{from}` is not in:\n{before}");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("edited.xml");
        fs::write(&file, after).expect("written");
        self.virsh(&format!("{define} {}", file.display()));
    }

    /// The plan names it, `up` puts it back, and then there is nothing to do.
    #[track_caller]
    fn did(&self, words: &[&str]) {
        let plan = self.0.run(&["plan", "--exit-code"]).expect(10);
        says(&plan, words);
        self.0.run(&["up", "--yes", "--progress", "plain"]).expect(0);
        self.0.run(&["plan", "--exit-code"]).expect(0);
    }

    /// The bridge that the guest's card is on.
    fn bridge(&self) -> Option<String> {
        let card = self.virsh("domiflist @-db").split_whitespace().next().expect("a card").to_owned();
        let master = fs::read_link(format!("/sys/class/net/{card}/master")).ok()?;
        Some(master.file_name()?.to_string_lossy().into_owned())
    }
}

#[test]
fn what_others_did_with_virsh_is_named_and_put_back() {
    if !enabled() {
        return;
    }
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose-examples/quickstart/guest");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("vmcompose.yaml");
    let text = format!(
        "networks: {{ lan: {{ dns: {{ hosts: {{ far: 10.99.0.1 }} }} }} }}\nvolumes: {{ data: {{ size: 16MiB }} }}\nvms:\n  db:\n    \
         boot: {{ kernel: {0}/vmlinuz, initrd: {0}/initrd.img, cmdline: console=ttyS0 quiet }}\n    memory: 160MiB\n    networks: \
         [lan]\n    stop_grace_period: 5s\n    watchdog: reset\n    disks: [{{ name: own, size: 16MiB }}, {{ volume: data }}]\n    \
         healthcheck: {{ agent: true, interval: 1s, start_period: 10m }}\n",
        guest.display()
    );
    fs::write(&file, text).expect("written");
    let stack = Stack::new(&[&file]);
    stack.run(&["up"]).expect(0);
    stack.run(&["plan", "--exit-code"]).expect(0);
    let somebody = Somebody(&stack);
    let booted = somebody.virsh("domid @-db");
    let bridge = somebody.bridge().expect("it is plugged in");

    // To its network, while the guest runs on.
    somebody.virsh("net-destroy @-lan");
    assert_eq!(somebody.bridge(), None, "libvirt leaves it on no bridge");
    somebody.did(&["> network `lan`", "is stopped"]);
    assert_eq!(somebody.bridge().as_ref(), Some(&bridge));
    somebody.virsh("net-destroy @-lan");
    somebody.virsh("net-start @-lan");
    somebody.did(&["~ vm `db`", "cut off → plugged in", "effect live"]);
    assert_eq!(somebody.bridge().as_ref(), Some(&bridge));
    somebody.virsh("net-autostart @-lan --disable");
    somebody.virsh("net-update @-lan delete dns-host <host><hostname>far</hostname></host> --live");
    somebody.did(&["~ network `lan`", "autostart no → yes", "dns none → hosts far 10.99.0.1", "effect live"]);
    assert!(somebody.virsh("net-dumpxml @-lan").contains("<hostname>far</hostname>"));
    somebody.edit("net", "@-lan", "localOnly='yes'", "localOnly='no'");
    stack.run(&["plan", "--exit-code"]).expect(0);
    somebody.edit("net", "@-lan", ".internal'", ".example'");
    somebody.did(&["~ network `lan`", "domain", ".example → none", "effect live"]);

    // To the guest, while it runs on.
    let card = somebody.virsh("domiflist @-db").split_whitespace().next().expect("a card").to_owned();
    somebody.virsh(&format!("domif-setlink @-db {card} down"));
    somebody.did(&["~ vm `db`", "link down → plugged in", "effect live"]);
    assert!(somebody.virsh(&format!("domif-getlink @-db {card}")).contains("up"));
    somebody.virsh("suspend @-db");
    somebody.did(&["> vm `db`", "is paused"]);
    somebody.edit("dom", "@-db", "action='reset'", "action='poweroff'");
    somebody.did(&["~ vm `db`", "watchdog poweroff → reset", "effect live"]);
    somebody.virsh("undefine @-db");
    somebody.did(&["~ vm `db`", "defined no → yes", "effect live"]);
    assert_eq!(somebody.virsh("domid @-db"), booted, "it ran on");

    // To the guest, so that it does not.
    somebody.virsh("managedsave @-db");
    says(&stack.run(&["ps", "-a"]).expect(0), &["saved"]);
    somebody.did(&["> vm `db`", "is saved"]);
    assert!(somebody.virsh("domstate @-db --reason").contains("restored"), "its memory is what it was");
    somebody.virsh("destroy @-db");
    somebody.did(&["> vm `db`", "is stopped"]);
    somebody.edit("dom", "@-db", "action='reset'", "action='poweroff'");
    somebody.virsh("destroy @-db");
    somebody.virsh("start @-db");
    somebody.did(&["↻ vm `db`", "watchdog poweroff → reset", "effect reboot"]);
}

/// A volume of the project's in our pool of disks, as somebody else at the test driver has it.
fn stored(desk: &Desk, name: &str) -> virt::storage_vol::StorageVol {
    let keeper = desk.keeper.as_ref().expect("online");
    let pool = virt::storage_pool::StoragePool::lookup_by_name(keeper, "vmcompose-disks").expect("our pool");
    virt::storage_vol::StorageVol::lookup_by_name(&pool, &format!("{}.{name}.qcow2", desk.project)).expect("a volume")
}

#[test]
fn a_volume_or_disk_that_somebody_deleted_is_named_as_lost() {
    let desk = Desk::online(
        "volumes: { data: { size: 8MiB } }\nvms: { db: { boot: { kernel: kernel }, networks: [], disks: [{ volume: data }, { name: \
         own, size: 8MiB }] } }\n",
    );
    desk.run(&["up"]).expect(0);
    stored(&desk, "data").delete(0).expect("deleted");
    let plan = desk.run(&["plan", "--exit-code"]).expect(10);
    says(&plan, &["+ volume `data`", "vm `db` has it, and somebody deleted it", "effect data loss", "↻ vm `db`"]);
    says(&desk.run(&["up"]).expect(8), &["making volume `data` anew and empty", "--yes"]);
    desk.run(&["plan", "--exit-code"]).expect(10);
    desk.run(&["up", "--yes"]).expect(0);
    desk.run(&["plan", "--exit-code"]).expect(0);

    stored(&desk, "db.own").delete(0).expect("deleted");
    for line in ["plan", "up"] {
        let words = ["disk `own` of vm `db` is gone: somebody deleted it", "up --replace db"];
        says(&desk.run(&[line]).expect(8), &words);
    }
    desk.run(&["up", "--replace", "db", "--yes"]).expect(0);
    desk.run(&["plan", "--exit-code"]).expect(0);

    // By other means larger: it stays so, and is recorded where that is asked for.
    stored(&desk, "db.own.1").delete(0).expect("deleted");
    let keeper = desk.keeper.as_ref().expect("online");
    let pool = virt::storage_pool::StoragePool::lookup_by_name(keeper, "vmcompose-disks").expect("our pool");
    let name = format!("{}.db.own.1.qcow2", desk.project);
    let larger = format!("<volume><name>{name}</name><capacity unit='MiB'>16</capacity></volume>");
    virt::storage_vol::StorageVol::create_xml(&pool, &larger, 0).expect("another one in its place");
    desk.run(&["plan", "--exit-code"]).expect(0);
    says(&desk.run(&["plan", "--refresh-only"]).expect(0), &["8MiB → 16MiB"]);
    desk.run(&["up", "--refresh-only"]).expect(0);
    desk.run(&["plan", "--refresh-only", "--exit-code"]).expect(0);
    desk.run(&["down", "--volumes", "--yes"]).expect(0);
    assert_eq!(desk.inventory(), [""; 0]);
}

#[test]
fn what_others_changed_is_kept_where_that_is_asked_for() {
    let desk = Desk::online("vms: { db: { boot: { kernel: kernel }, networks: [] } }\n");
    desk.run(&["up"]).expect(0);
    desk.run(&["plan", "--refresh-only", "--exit-code"]).expect(0);
    let keeper = desk.keeper.as_ref().expect("online");
    let name = format!("{}-db", desk.project);
    let domain = virt::domain::Domain::lookup_by_name(keeper, &name).expect("there");
    domain.set_autostart(true).expect("set");
    let plan = desk.run(&["plan", "--refresh-only", "--exit-code"]).expect(10);
    says(&plan, &["~ vm `db`", "somebody else's change is kept", "autostart false → true", "effect live"]);
    desk.run(&["up", "--refresh-only"]).expect(0);
    assert!(domain.get_autostart().expect("told"), "nothing was put back");
    desk.run(&["plan", "--refresh-only", "--exit-code"]).expect(0);
    // The file says what it says.
    let plan = desk.run(&["plan", "--exit-code"]).expect(10);
    says(&plan, &["~ vm `db`", "differs from the file", "autostart true → false"]);
    desk.run(&["up"]).expect(0);
    desk.run(&["plan", "--exit-code"]).expect(0);
    assert!(!domain.get_autostart().expect("told"));
    desk.run(&["down"]).expect(0);
    assert_eq!(desk.inventory(), Vec::<String>::new());
}
