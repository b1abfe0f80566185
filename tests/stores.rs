//! `pool` and `volume` as a shell sees them, on private worlds of libvirt's test driver: what is shown, what is refused.

mod support;

use std::process::Command;

use serde_json::Value;
use support::World;
use support::qemu::Run;

/// Two projects' things in our pool and one of the user's own, a vm that uses two of them, a stopped pool.
const WORLD: &str = "
    <pool type='dir'><name>vmcompose-disks</name><target><path>/disks</path></target>
      <volume><name>shop.data.qcow2</name><capacity>1048576</capacity>
        <target><path>/disks/shop.data.qcow2</path></target></volume>
      <volume><name>shop.db.root.qcow2</name><capacity>2097152</capacity>
        <target><path>/disks/shop.db.root.qcow2</path></target></volume>
      <volume><name>lab.cache.qcow2</name><capacity>1048576</capacity>
        <target><path>/disks/lab.cache.qcow2</path></target></volume>
      <volume><name>mine.iso</name><capacity>1</capacity><target><path>/disks/mine.iso</path></target></volume>
    </pool>
    <pool type='dir'><name>fast</name><target><path>/fast</path></target>
      <volume><name>shop.both.raw</name><capacity>1048576</capacity>
        <target><path>/fast/shop.both.raw</path></target></volume>
    </pool>
    <pool type='dir'><name>spare</name><target><path>/spare</path></target></pool>
    <pool type='dir'><name>busy</name><target><path>/busy</path></target>
      <volume><name>a.img</name><capacity>1</capacity><target><path>/busy/a.img</path></target></volume>
    </pool>
    <domain type='test'><name>other</name><memory>1024</memory><os><type>hvm</type></os><devices>
      <disk type='file' device='disk'><source file='/disks/shop.db.root.qcow2'/><target dev='vda'/></disk>
      <disk type='file' device='disk'><source file='/busy/a.img'/><target dev='vdb'/></disk>
    </devices></domain>";

fn run(world: &World, arguments: &[&str]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmcompose"));
    command.args(["--connect", &world.uri, "--project", "shop"]).args(arguments).current_dir(world.dir.path());
    Run::of(&command.output().expect("the binary runs"))
}

fn shop(arguments: &[&str]) -> Run {
    run(&World::holding(WORLD), arguments)
}

fn refused(arguments: &[&str], code: i32, words: &str) {
    let run = shop(arguments).expect(code);
    assert!(run.stderr.contains(words), "`{words}` is not in:\n{}", run.stderr);
    assert!(run.stderr.contains("hint: "), "{}", run.stderr);
}

#[test]
fn volumes_are_listed_with_who_uses_them() {
    let names = |arguments: &[&str]| shop(arguments).expect(0).stdout.lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(names(&["volume", "list", "-q"]), ["both", "data", "db/root"]);
    assert_eq!(names(&["volume", "list", "--all", "-q"]), ["lab/cache", "shop/both", "shop/data", "shop/db/root"]);
    let listed = shop(&["volume", "list", "--format", "json"]).expect(0).stdout;
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let facts = |index: usize| {
        let volume = &listed["volumes"][index];
        [&volume["name"], &volume["kind"], &volume["pool"], &volume["format"], &volume["used_by"][0]["vm"]]
            .map(|fact| fact.as_str().map(str::to_owned))
    };
    let told = |facts: [&str; 4], user: Option<&str>| {
        let [name, kind, pool, format] = facts.map(|fact| Some(fact.to_owned()));
        [name, kind, pool, format, user.map(str::to_owned)]
    };
    assert_eq!(listed["version"], 1);
    assert_eq!(facts(0), told(["both", "volume", "fast", "raw"], None));
    assert_eq!(facts(1), told(["data", "volume", "vmcompose-disks", "qcow2"], None));
    assert_eq!(facts(2), told(["db/root", "disk", "vmcompose-disks", "qcow2"], Some("other")));
    let info = shop(&["volume", "info", "db/root"]).expect(0).stdout;
    for line in ["volume    db/root", "size      2MiB", "used by   other"] {
        assert!(info.contains(line), "`{line}` is not in:\n{info}");
    }
}

#[test]
fn pools_are_listed_with_what_projects_have_in_them() {
    let table = shop(&["pool", "list"]).expect(0).stdout;
    let cells = |name: &str| {
        let line = table.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {table}"));
        let cells: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        (cells[1].clone(), cells[6].clone(), cells[7].clone())
    };
    let of = |state: &str, volumes: &str, ours: &str| (state.to_owned(), volumes.to_owned(), ours.to_owned());
    assert_eq!(cells("vmcompose-disks"), of("active", "4", "3"));
    assert_eq!(cells("fast"), of("active", "1", "1"));
    assert_eq!(shop(&["pool", "list", "-q"]).expect(0).stdout, "busy\nfast\nspare\nvmcompose-disks\n");
    let info: Value =
        serde_json::from_str(&shop(&["pool", "info", "fast", "--format", "json"]).expect(0).stdout).expect("JSON");
    assert_eq!(
        (&info["name"], &info["own"], &info["held"][0]["name"]),
        (&"fast".into(), &false.into(), &"both".into())
    );
}

#[test]
fn a_pool_that_is_kept_or_used_stays() {
    refused(&["pool", "rm", "vmcompose-disks"], 8, "one of the two that vmcompose keeps itself");
    refused(&["pool", "rm", "fast"], 8, "pool `fast` has `both` of project `shop` in it");
    refused(&["pool", "rm", "busy"], 8, "vm `other` has a disk in pool `busy`");
    refused(&["pool", "rm", "nope"], 1, "the hypervisor has no pool `nope`");
    let gone = shop(&["pool", "rm", "spare"]).expect(0);
    assert!(gone.stderr.contains("removed pool `spare`; what is in `/spare` stays there"), "{}", gone.stderr);
    shop(&["pool", "refresh", "spare"]).expect(0);
}

#[test]
fn a_pool_is_added_once_and_under_a_name_that_works() {
    shop(&["pool", "add", "nvme", "/srv/nvme"]).expect(0);
    shop(&["pool", "add", "nas", "/srv/nas", "--nfs", "nas.example.org:/vms"]).expect(0);
    refused(&["pool", "add", "fast", "/srv/fast"], 5, "there is a pool `fast` already");
    for wrong in [["a:b", "/srv/x"], ["nvme", "relative"]] {
        shop(&["pool", "add", wrong[0], wrong[1]]).expect(1);
    }
}

#[test]
fn a_volume_that_is_used_or_unknown_is_not_deleted_and_nothing_is_unasked() {
    refused(&["volume", "rm", "--yes", "db/root"], 8, "`db/root` is used by other");
    refused(&["volume", "rm", "--yes", "data", "nope"], 1, "project `shop` has no volume `nope`");
    refused(&["volume", "rm", "data"], 8, "deleting `data` with all data has to be confirmed");
    let gone = shop(&["volume", "rm", "--yes", "data", "both"]).expect(0);
    assert_eq!(gone.stderr, "deleted `data`\ndeleted `both`\n");
}

#[test]
fn nothing_is_written_over_unasked_and_no_rubbish_is_imported() {
    let world = World::holding(WORLD);
    let file = |name: &str, bytes: &[u8]| {
        std::fs::write(world.dir.path().join(name), bytes).expect("written");
        name.to_owned()
    };
    let said = |arguments: &[&str], code| run(&world, arguments).expect(code).stderr;
    let there = file("there.qcow2", b"mine");
    assert!(said(&["volume", "export", "data", &there], 8).contains("`there.qcow2` is there already"));
    let disk = file("disk.img", &[0; 4096]);
    assert!(said(&["volume", "import", &disk, "data"], 8).contains("volume `data` is there already"));
    let page = file("page.img", "<!doctype html><title>not found</title>".repeat(40).as_bytes());
    assert!(said(&["volume", "import", &page, "new"], 1).contains("is an HTML page"));
    let mut backed = support::qcow2();
    backed[8..16].copy_from_slice(&104u64.to_be_bytes());
    backed[16..20].copy_from_slice(&11u32.to_be_bytes());
    backed.extend(b"/etc/passwd");
    let backed = file("backed.qcow2", &backed);
    assert!(
        said(&["volume", "import", &backed, "new"], 1).contains("needs another file, its backing file `/etc/passwd`")
    );
    assert!(said(&["volume", "import", "nowhere.img", "new"], 1).contains("nowhere.img"));
    assert_eq!(std::fs::read(world.dir.path().join("there.qcow2")).expect("still there"), b"mine");
}

#[test]
fn an_error_about_a_network_is_none_about_a_vm() {
    const BROKEN: &str = "<name>shop-x</name><metadata><v:resource \
                          xmlns:v='https://vmcompose.dev/xmlns/libvirt/1' project='shop'>{</v:resource></metadata>";
    let network = World::holding(&format!("<network>{BROKEN}</network>"));
    assert!(run(&network, &["ps"]).expect(5).stderr.contains("network `x`: its metadata cannot be read"));
    let rest = "<memory>1024</memory><os><type>hvm</type></os>";
    let domain = World::holding(&format!("<domain type='test'>{BROKEN}{rest}</domain>"));
    assert!(run(&domain, &["ps"]).expect(4).stderr.contains("vm `x`: its metadata cannot be read"));
}
