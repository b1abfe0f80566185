//! `snapshot …` as a shell sees it: on the test driver, and once on real QEMU, with what guests remember.

use std::fs;
use std::path::Path;

use crate::support::desk::Desk;
use crate::support::qemu::{Stack, enabled};
use virt::domain::Domain;
use virt::domain_snapshot::DomainSnapshot;

const PAIR: &str = "\
vms:
  db: { boot: { kernel: kernel }, disks: [{ name: data, size: 1MiB }] }
  web: { boot: { kernel: kernel }, disks: [{ name: data, size: 1MiB }], depends_on: [db] }
";

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("json")
}

/// The names of a project's snapshots.
fn names(desk: &Desk) -> Vec<String> {
    desk.run(&["snapshot", "list", "-q"]).expect(0).stdout.lines().map(str::to_owned).collect()
}

#[test]
fn a_snapshot_is_taken_shown_restored_and_deleted() {
    if !enabled() {
        return;
    }
    let desk = Desk::online(PAIR);
    desk.run(&["up"]).expect(0);
    let taken = desk.run(&["snapshot", "create", "good", "-d", "all <is> well"]).expect(0).stderr;
    assert!(taken.contains("2 vms snapshotted in ") && taken.contains(", held for "), "{taken}");
    let list = json(&desk.run(&["snapshot", "list", "--format", "json"]).expect(0).stdout);
    let one = &list["snapshots"][0];
    assert_eq!((&list["version"], &one["name"], &one["complete"]), (&1.into(), &"good".into(), &true.into()));
    assert_eq!(
        one["vms"],
        serde_json::json!([
            { "vm": "db", "was": "running", "memory": true }, { "vm": "web", "was": "running", "memory": true }
        ])
    );
    let shown = desk.run(&["snapshot", "show", "good"]).expect(0).stdout;
    assert!(shown.contains("all <is> well") && shown.contains("web   running   yes"), "{shown}");

    // The file, and with it the record, changes; the restore takes the record back, and the plan says so.
    fs::write(desk.path().join("vmcompose.yaml"), PAIR.replace("1MiB }] }", "1MiB }], labels: { a: b } }"))
        .expect("written");
    desk.run(&["up"]).expect(0);
    desk.run(&["plan", "--exit-code"]).expect(0);
    desk.run(&["stop", "web"]).expect(0);
    let restored = desk.run(&["snapshot", "restore", "good"]).expect(0).stderr;
    assert!(restored.contains("2 vms restored in "), "{restored}");
    let plan = desk.run(&["plan", "--exit-code"]).expect(10).stdout;
    assert!(plan.contains("~ vm `db`") && plan.contains("labels"), "the old record:\n{plan}");
    assert!(!plan.contains("vm `web`"), "it runs again:\n{plan}");

    // A restore can be undone by what was taken before it.
    let safety = names(&desk).pop().expect("two");
    assert!(restored.contains(&format!("`vmcompose snapshot restore {safety}` undoes this")), "{restored}");
    desk.run(&["snapshot", "restore", &safety, "--no-safety"]).expect(8);
    desk.run(&["snapshot", "restore", &safety, "--no-safety", "--yes"]).expect(0);
    let plan = desk.run(&["plan", "--exit-code"]).expect(10).stdout;
    assert!(plan.contains("> vm `web`") && !plan.contains("labels"), "as it was before the restore:\n{plan}");

    assert!(desk.run(&["snapshot", "delete", "good"]).expect(8).stderr.contains("has to be confirmed"));
    desk.run(&["snapshot", "create", "third", "db"]).expect(0);
    assert!(desk.run(&["snapshot", "prune", "--keep", "2", "--yes"]).expect(0).stderr.contains("1 snapshot deleted"));
    assert_eq!(names(&desk), [safety.as_str(), "third"]);
    assert!(desk.run(&["snapshot", "prune", "--keep", "2"]).expect(0).stderr.contains("nothing to do"));
    let down = desk.run(&["down"]).expect(0).stderr;
    assert!(down.contains(&format!("snapshots go with them: `{safety}`, `third`")), "{down}");
}

#[test]
fn what_cannot_be_taken_or_restored_is_told_and_nothing_is_touched() {
    if !enabled() {
        return;
    }
    let desk = Desk::online(PAIR);
    let none = desk.run(&["snapshot", "create", "good"]).expect(1);
    assert!(none.stderr.contains("has no vms"), "{}", none.stderr);
    desk.run(&["up"]).expect(0);
    let typo = desk.run(&["snapshot", "create", "good", "dbb"]).expect(1);
    assert!(typo.stderr.contains("did you mean `db`?"), "{}", typo.stderr);
    assert!(desk.run(&["snapshot", "create", "Bad"]).expect(1).stderr.contains("`Bad`"));
    assert!(desk.run(&["snapshot", "create", "x", "--freeze"]).expect(1).stderr.contains("--no-memory"));
    // The test driver has no agents: so it is found out that a guest cannot be frozen, and nothing stays of it.
    let frozen = desk.run(&["snapshot", "create", "x", "--freeze", "--no-memory"]).expect(4);
    assert!(frozen.stderr.contains("cannot freeze vm") && frozen.stderr.contains("undone"), "{}", frozen.stderr);
    desk.run(&["snapshot", "create", "disks", "--no-memory"]).expect(0);
    let twice = desk.run(&["snapshot", "create", "disks"]).expect(8);
    assert!(twice.stderr.contains("has a snapshot `disks` already"), "{}", twice.stderr);
    let missing = desk.run(&["snapshot", "restore", "disk"]).expect(1);
    assert!(missing.stderr.contains("did you mean `disks`?"), "{}", missing.stderr);
    assert_eq!(names(&desk), ["disks"]);

    let plan = desk.run(&["plan", "--destroy"]).expect(0).stdout;
    assert!(plan.contains("data loss: snapshot `disks`, disk `data`"), "it says what goes:\n{plan}");

    // What somebody else deletes of a snapshot is missed; the other vms can be restored by name.
    let keeper = desk.keeper.as_ref().expect("online");
    let web = Domain::lookup_by_name(keeper, &format!("{}-web", desk.project)).expect("there");
    DomainSnapshot::lookup_by_name(&web, "disks", 0).and_then(|one| one.delete(0)).expect("deleted by somebody");
    let half = desk.run(&["snapshot", "restore", "disks"]).expect(8);
    assert!(
        half.stderr.contains("is not whole: `web` is gone") && half.stderr.contains("restore disks db`"),
        "{}",
        half.stderr
    );
    assert!(desk.run(&["snapshot", "list"]).expect(0).stdout.contains("(1 of 2 gone)"));
    let part = desk.run(&["snapshot", "restore", "disks", "db"]).expect(0);
    assert!(part.stderr.contains("left as they are: `web`"), "{}", part.stderr);

    // What somebody else took of a vm of ours is nobody's business here, but its name is taken.
    DomainSnapshot::create_xml(&web, "<domainsnapshot><name>mine</name></domainsnapshot>", 0).expect("taken");
    assert!(!names(&desk).contains(&"mine".to_owned()));
    assert!(desk.run(&["snapshot", "create", "mine"]).expect(8).stderr.contains("vmcompose did not take"));
    desk.run(&["down"]).expect(0);
}

/// Five machines with a disk and an address, one of them with a volume.
fn five(folder: &Path) -> String {
    let guest = folder.display();
    format!(
        "networks: {{ net: {{}} }}\n\
         volumes: {{ vol: {{ size: 16MiB }} }}\n\
         defaults: &all\n\
         \x20 memory: 128MiB\n\
         \x20 networks: [net]\n\
         \x20 stop_grace_period: 1s\n\
         \x20 boot: {{ kernel: {guest}/vmlinuz, initrd: {guest}/initrd.img, cmdline: console=ttyS0 quiet no_timer_check }}\n\
         \x20 healthcheck: {{ agent: true, deadline: 10m, start_period: 10m }}\n\
         vms:\n\
         \x20 db: {{ disks: [{{ name: data, size: 16MiB }}, {{ volume: vol }}] }}\n\
         \x20 api: {{ replicas: 4, disks: [{{ name: data, size: 16MiB }}] }}\n"
    )
}

const VMS: [&str; 5] = ["db", "api-1", "api-2", "api-3", "api-4"];

#[test]
fn five_guests_go_back_together_to_one_instant() {
    if !enabled() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("vmcompose.yaml");
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose-examples/quickstart/guest");
    fs::write(&file, five(&guest)).expect("written");
    let stack = Stack::new(&[&file]);
    let sh = |vm: &str, script: &str| stack.run(&["exec", vm, "--", "sh", "-c", script]);
    stack.run(&["up"]).expect(0);
    for vm in VMS {
        sh(
            vm,
            "echo precious > /root/file; echo disk > /dev/vda; sync; sleep 54321 >/dev/null 2>&1 & echo $! > /root/pid",
        )
        .expect(0);
    }
    sh("db", "echo volume > /dev/vdb; sync").expect(0);
    let address = sh("db", "ip -4 addr show eth0 | grep inet").expect(0).stdout;
    stack.run(&["snapshot", "create", "good"]).expect(0);
    for vm in VMS {
        sh(vm, "rm /root/file; echo broken > /dev/vda; sync; kill $(cat /root/pid)").expect(0);
    }
    sh("db", "echo broken > /dev/vdb; sync").expect(0);
    let restored = stack.run(&["snapshot", "restore", "good"]).expect(0).stderr;
    assert!(restored.contains("5 vms restored in ") && !restored.contains("the clock of"), "{restored}");
    for vm in VMS {
        let found = sh(vm, "cat /root/file; head -c 4 /dev/vda; kill -0 $(cat /root/pid) && echo; echo runs").expect(0);
        assert_eq!(found.stdout, "precious\ndisk\nruns\n", "{vm}");
    }
    assert_eq!(sh("db", "head -c 6 /dev/vdb").expect(0).stdout, "volume");
    assert_eq!(sh("db", "ip -4 addr show eth0 | grep inet").expect(0).stdout, address);
    assert!(stack.run(&["plan", "--exit-code"]).expect(0).stdout.contains("nothing to do"));

    // Disks alone: the guest is booted from them.
    stack.run(&["snapshot", "create", "disks", "--no-memory", "--freeze"]).expect(0);
    sh("db", "echo broken > /dev/vda; sync").expect(0);
    stack.run(&["snapshot", "restore", "disks", "db", "--no-safety", "--yes"]).expect(0);
    let booted = stack.run(&["start", "db"]).expect(0);
    assert!(booted.stderr.contains("runs already"), "{}", booted.stderr);
    stack.run(&["restart", "db"]).expect(0);
    assert_eq!(sh("db", "head -c 4 /dev/vda; ls /root/file 2>/dev/null").stdout, "disk", "no memory");
    stack.run(&["snapshot", "prune", "--keep", "1", "--yes"]).expect(0);
    stack.run(&["down", "--volumes", "--yes"]).expect(0);
    assert_eq!(stack.belongings(), Vec::<String>::new());
}
