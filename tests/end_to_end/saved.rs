//! Plans that are saved and carried out later: exactly, or not at all.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::recovery::desk::Desk;
use crate::support::qemu::enabled;

/// A project with something of every kind.
const SHOP: &str = "\
name: shop
networks: { front: {} }
volumes: { data: { size: 1MiB } }
vms:
  db: { boot: { kernel: kernel }, networks: [front], disks: [{ volume: data }, { name: scratch, size: 1MiB }] }
  old: { boot: { kernel: kernel } }
  web: { boot: { kernel: kernel }, networks: [front], depends_on: [db] }
";

/// The same with changes of two of its vms, which need everything else.
fn changed() -> String {
    let text = SHOP
        .replace("name: scratch, size: 1MiB }] }", "name: scratch, size: 1MiB }], labels: { tier: gold } }")
        .replace("depends_on: [db] }", "depends_on: [db], memory: 256MiB }");
    assert!(text.contains("gold") && text.contains("256MiB"));
    text
}

fn virsh(desk: &Desk, arguments: &[&str]) {
    let output = Command::new("virsh").args(["-q", "-c", &desk.daemon.uri()]).args(arguments).output().expect("virsh");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Redefines something with one text in its definition replaced by another.
fn redefine(desk: &Desk, (dump, define): (&str, &str), object: &str, from: &str, to: &str) {
    let output = Command::new("virsh").args(["-c", &desk.daemon.uri(), dump, object]).output().expect("virsh");
    let xml = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(xml.contains(from), "{xml}");
    let file = desk.folder.path().join("definition.xml");
    fs::write(&file, xml.replacen(from, to, 1)).expect("written");
    virsh(desk, &[define, &file.to_string_lossy()]);
}

#[test]
fn a_saved_plan_is_carried_out_where_nothing_changed_and_only_once() {
    if !enabled() {
        return;
    }
    let desk = Desk::new(SHOP);
    desk.ends(0, "plan --out up.plan");
    let file = desk.folder.path().join("up.plan");
    assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(desk.folder.path()).expect("the folder").count(), 3, "nothing but the plan was written");
    desk.ends(0, "up --plan up.plan");
    desk.ends(0, "plan --exit-code");
    let again = desk.ends(8, "up --plan up.plan");
    assert!(
        again.stderr.contains("changed since the plan was saved") && again.stderr.contains("vm `db`"),
        "{}",
        again.stderr
    );
    // What was asked for beside the file is in it.
    desk.ends(0, "plan --replace web --out web.plan");
    desk.ends(8, "up --plan web.plan");
    let done = desk.ends(0, "up --plan web.plan --yes");
    assert!(done.stderr.contains("web"), "{}", done.stderr);
    desk.ends(0, "plan --exit-code");
    // Down as well: by its own command, what the plan says of volumes included.
    let saved = desk.ends(0, "plan --destroy --volumes --out down.plan");
    assert!(saved.stderr.contains("`vmcompose down --plan down.plan` does exactly this"), "{}", saved.stderr);
    let other = desk.ends(8, "up --plan down.plan");
    assert!(other.stderr.contains("the plan is one for `down`"), "{}", other.stderr);
    desk.ends(8, "down --plan up.plan");
    desk.ends(8, "down --plan down.plan");
    desk.ends(0, "down --plan down.plan --yes");
    let again = desk.ends(8, "down --plan down.plan --yes");
    assert!(again.stderr.contains("changed since the plan was saved"), "{}", again.stderr);
    desk.ends(0, "plan --destroy --exit-code");
}

#[test]
fn a_saved_plan_has_no_secrets_and_nothing_of_what_tasks_do_and_is_carried_out_all_the_same() {
    if !enabled() {
        return;
    }
    let file = |script: &str| {
        format!(
            "name: shop\nvms:\n  db:\n    boot: {{ kernel: kernel }}\n    cloud_init: {{ users: [{{ name: ada, password_hash: \
             $6$MaRkErsalt${} }}] }}\n    provision: [{{ name: greet, run: {script}, env: {{ WORD: MaRkEr }} }}]\n",
            "x".repeat(86)
        )
    };
    let desk = Desk::new(&file("echo MaRkEr"));
    desk.ends(0, "plan --out up.plan");
    let text = fs::read_to_string(desk.folder.path().join("up.plan")).expect("text");
    assert!(text.contains("greet") && text.contains("ada") && !text.contains("MaRkEr"), "{text}");
    desk.write(&file("echo another MaRkEr"));
    assert!(desk.ends(8, "up --plan up.plan").stderr.contains("vm `db` would be done otherwise"));
    desk.write(&file("echo MaRkEr"));
    desk.ends(0, "up --plan up.plan");
    desk.ends(0, "plan --exit-code");
}

#[test]
fn a_saved_plan_is_refused_after_each_kind_of_interference() {
    if !enabled() {
        return;
    }
    let desk = Desk::new(SHOP);
    let kinds: [(&str, &dyn Fn()); 8] = [
        ("vm `db`", &|| virsh(&desk, &["destroy", "shop-db"])),
        ("vm `db`", &|| {
            virsh(&desk, &["destroy", "shop-db"]);
            virsh(&desk, &["undefine", "shop-db"]);
        }),
        ("vm `web`", &|| virsh(&desk, &["setmem", "shop-web", "64MiB", "--live"])),
        ("vm `web`", &|| redefine(&desk, ("dumpxml", "define"), "shop-web", "<title>shop/web", "<title>mine")),
        ("vm `web`", &|| virsh(&desk, &["suspend", "shop-web"])),
        ("network `front`", &|| virsh(&desk, &["net-destroy", "shop-front"])),
        ("network `front`", &|| {
            // The driver takes a new definition only of a network that is down.
            virsh(&desk, &["net-destroy", "shop-front"]);
            redefine(&desk, ("net-dumpxml", "net-define"), "shop-front", "delay='0'", "delay='7'");
            virsh(&desk, &["net-start", "shop-front"]);
        }),
        ("volume `data`", &|| {
            virsh(&desk, &["destroy", "shop-db"]);
            virsh(&desk, &["start", "shop-db"]);
            virsh(&desk, &["vol-delete", "--pool", "vmcompose-disks", "shop.data.qcow2"]);
        }),
    ];
    for (n, (object, interfere)) in kinds.iter().enumerate() {
        desk.write(SHOP);
        desk.ends(0, "up --yes");
        desk.write(&changed());
        let out = desk.ends(0, "plan --out later.plan");
        assert!(out.stdout.contains("to update"), "{}", out.stdout);
        interfere();
        let before = desk.world();
        let refused = desk.run("up --plan later.plan --yes");
        assert_eq!(refused.code, Some(8), "{n}: {}", refused.stderr);
        let words = format!("{object} changed since the plan was saved");
        let named = refused.stderr.contains(&words) || refused.stderr.contains(&format!("{object}, "));
        assert!(named && refused.stderr.contains("changed since"), "{n}: {}", refused.stderr);
        assert_eq!(desk.world(), before, "{n}: it did something all the same");
        // Whatever was done, a new start is as good as any other.
        desk.ends(0, "down --volumes --yes");
    }
}

#[test]
fn a_saved_plan_is_for_one_file_one_project_and_one_hypervisor() {
    if !enabled() {
        return;
    }
    let (desk, elsewhere) = (Desk::new(SHOP), Desk::new(SHOP));
    desk.ends(0, "plan --out up.plan");
    desk.write(&changed());
    let other = desk.ends(8, "up --plan up.plan");
    assert!(other.stderr.contains("would be done otherwise") && other.stderr.contains("vm `db`"), "{}", other.stderr);
    desk.write(&format!("# a line more, and the same otherwise\n{SHOP}"));
    let moved = desk.ends(8, &format!("-c {} up --plan up.plan", elsewhere.daemon.uri()));
    assert!(moved.stderr.contains("is for hypervisor"), "{}", moved.stderr);
    let renamed = desk.ends(8, "-p shop2 up --plan up.plan");
    assert!(renamed.stderr.contains("is for project `shop`, not for `shop2`"), "{}", renamed.stderr);
    desk.ends(0, "up --plan up.plan");
    fs::write(desk.folder.path().join("odd.plan"), "{\"version\": 99}").expect("written");
    let odd = desk.ends(8, "up --plan odd.plan");
    assert!(odd.stderr.contains("format 99") && odd.stderr.contains("hint: "), "{}", odd.stderr);
    let none = desk.ends(8, "up --plan kernel");
    assert!(none.stderr.contains("it is no plan that `plan --out` saved"), "{}", none.stderr);
    desk.ends(1, "up --plan nowhere");
}

/// All that the hypervisor has, to the last byte, and all files of the user's.
fn everything(desk: &Desk) -> String {
    let mut text = desk.world();
    let dump = |arguments: &[&str]| {
        let output =
            Command::new("virsh").args(["-q", "-c", &desk.daemon.uri()]).args(arguments).output().expect("virsh");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for (list, show) in [("list --all --name", "dumpxml"), ("net-list --all --name", "net-dumpxml")] {
        for name in dump(&list.split(' ').collect::<Vec<_>>()).split_whitespace() {
            text.push_str(&dump(&[show, name]));
        }
    }
    let mut folders = vec![desk.folder.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                writeln!(text, "{} {:?}", path.display(), fs::read(&path).expect("readable")).expect("a text");
            }
        }
    }
    text
}

#[test]
fn a_plan_of_any_kind_changes_nothing_anywhere() {
    if !enabled() {
        return;
    }
    let desk = Desk::new(SHOP);
    let lines = [
        "plan",
        "plan --exit-code --format json",
        "plan --remove-orphans",
        "plan web --no-deps",
        "plan --replace db",
        "plan --force-recreate",
        "plan --destroy --volumes",
        "plan --refresh-only",
        "ps -a",
        "ls -a",
        "config",
        "validate",
        "graph",
        "snapshot list",
        "network list",
        "volume list",
        "pool list",
        "image list",
        "ssh-config",
        "doctor",
        "version",
    ];
    let look = |desk: &Desk| {
        let before = everything(desk);
        for line in lines {
            let code = desk.run(line).code;
            assert!(matches!(code, Some(0 | 10)), "{line}: {code:?}");
            assert_eq!(everything(desk), before, "{line}");
        }
    };
    look(&desk);
    desk.ends(0, "up");
    desk.write(&changed());
    virsh(&desk, &["destroy", "shop-old"]);
    virsh(&desk, &["setmem", "shop-db", "64MiB", "--live"]);
    look(&desk);
    desk.ends(0, "down --volumes --yes");
}
