//! Every field of the table of effects, from the file to the hypervisor: changed, planned with the effect that the table
//! names, carried out, and then there is nothing to do. On libvirt's test driver: one vm for each field, all at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;
use vmcompose::plan::effects::TABLE;

use crate::support::desk::Desk;

/// A field, what its vm has at first, what it has then, and the effect where it is not the one in the table.
type Row = (&'static str, &'static str, &'static str, Option<&'static str>);

const ROWS: [Row; 33] = [
    ("accel", "accel: auto", "accel: tcg", None),
    ("annotations", "annotations: { a: b }", "annotations: { a: c }", None),
    ("autostart", "autostart: false", "autostart: true", None),
    ("boot", "", "boot: { kernel: kernel, cmdline: single }", Some("reboot")),
    ("cloud_init", "cloud_init: { timezone: UTC }", "cloud_init: { timezone: CET }", None),
    ("cpu", "", "cpu: { mode: host-model }", None),
    ("cpus", "max_cpus: 4", "max_cpus: 4\n    cpus: 2", None),
    ("depends_on", "", "depends_on: [accel]", None),
    ("devices", "", "devices: [{ usb: '046d:c52b' }]", None),
    ("disk", "boot: { cdrom: disc.iso }\n    disk: 1MiB", "boot: { cdrom: disc.iso }\n    disk: 2MiB", None),
    ("disks", "disks: [{ name: a, size: 1MiB }]", "disks: [{ name: a, size: 1MiB }, { name: b, size: 1MiB }]", None),
    ("firmware", "", "firmware: uefi", None),
    ("graphics", "graphics: vnc", "graphics: spice", None),
    ("healthcheck", "", "healthcheck: { host: 'true' }", None),
    ("hostname", "cloud_init: {}\n    hostname: one", "cloud_init: {}\n    hostname: two", None),
    ("hugepages", "", "hugepages: true", None),
    ("ignition", "ignition: { ignition: { version: '3.4.0' } }", "ignition: { ignition: { version: '3.3.0' } }", None),
    ("labels", "labels: { a: b }", "labels: { a: c }", None),
    ("machine", "", "machine: q35", None),
    ("max_cpus", "max_cpus: 2", "max_cpus: 4", None),
    ("max_memory", "max_memory: 256MiB", "max_memory: 512MiB", None),
    ("memory", "max_memory: 512MiB\n    memory: 128MiB", "max_memory: 512MiB\n    memory: 256MiB", None),
    ("ports", "ports: ['127.0.0.1:18480:80']", "ports: ['127.0.0.1:18481:80']", None),
    ("protect", "protect: false", "protect: true", None),
    ("provision", "provision: [{ run: 'true' }]", "provision: [{ run: 'false' }]", None),
    ("restart", "restart: always", "restart: on-failure", None),
    ("secure_boot", "firmware: uefi", "firmware: uefi\n    secure_boot: true", None),
    ("shares", "shares: ['./shared:/srv']", "shares: ['./other:/srv']", None),
    ("ssh", "ssh: { user: ada }", "ssh: { user: eve }", None),
    ("stop_grace_period", "stop_grace_period: 1s", "stop_grace_period: 2s", None),
    ("tpm", "", "tpm: true", None),
    ("watchdog", "watchdog: reset", "watchdog: pause", None),
    ("xml", "", "xml: '<title>somebody</title>'", None),
];

/// What of the table is not here, and why.
const ELSEWHERE: [(&str, &str); 4] = [
    ("interfaces", "the test driver attaches none to a vm that runs: `hardware` does it on QEMU"),
    ("limits", "the test driver sets none of a vm that runs: `hardware` does it on QEMU"),
    ("replica_of", "a vm by another name is another vm"),
    ("uplink", "only `qemu:///session` has it"),
];

fn file(which: impl Fn(&Row) -> &'static str) -> String {
    let mut text = "defaults: { memory: 128MiB }\nnetworks: { net: {}, more: {} }\nvms:\n".to_owned();
    for row in &ROWS {
        let (name, keys) = (row.0.replace('_', "-"), which(row));
        let boot = if keys.contains("boot: {") { "" } else { "    boot: { kernel: kernel }\n" };
        let networks = if keys.contains("networks: ") { "" } else { "    networks: [net]\n" };
        text.push_str(&format!("  {name}:\n{boot}{networks}    {keys}\n"));
    }
    text
}

/// What a plan says of each vm: its fields that change, and the effect.
fn planned(desk: &Desk) -> BTreeMap<String, (BTreeSet<String>, String)> {
    let run = desk.run(&["plan", "--format", "json"]).expect(0);
    let plan: Value = serde_json::from_str(&run.stdout).expect("json");
    let steps =
        plan["waves"].as_array().expect("waves").iter().flat_map(|wave| wave["steps"].as_array().expect("steps"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let fields = |step: &Value| -> BTreeSet<String> {
        let changes = step["changes"].as_array().expect("changes").iter();
        changes.map(|change| text(&change["field"]).split('.').next().unwrap_or_default().to_owned()).collect()
    };
    let vms = steps.filter(|step| step["resource"]["kind"] == "vm");
    vms.map(|step| (text(&step["resource"]["name"]), (fields(step), text(&step["effect"])))).collect()
}

#[test]
fn every_field_of_the_table_is_changed_with_the_effect_that_it_names_and_then_there_is_nothing_to_do() {
    let tried = ROWS.iter().map(|(field, ..)| *field).chain(ELSEWHERE.map(|(field, _)| field));
    let listed: BTreeSet<&str> = TABLE.iter().map(|(field, ..)| *field).collect();
    assert_eq!(tried.collect::<BTreeSet<_>>(), listed, "a field of the table is tried here, or it is said why not");

    let desk = Desk::online(&file(|row| row.1));
    for folder in ["shared", "other"] {
        fs::create_dir(desk.path().join(folder)).expect("a folder");
    }
    fs::write(desk.path().join("disc.iso"), "a disc").expect("written");
    desk.run(&["up"]).expect(0);
    desk.run(&["plan", "--exit-code"]).expect(0);

    fs::write(desk.path().join("vmcompose.yaml"), file(|row| row.2)).expect("written");
    let planned = planned(&desk);
    for (field, .., effect) in ROWS {
        let (changes, found) = &planned[&field.replace('_', "-")];
        assert_eq!(changes.iter().map(String::as_str).collect::<Vec<_>>(), [field]);
        let listed = TABLE.iter().find(|(listed, ..)| *listed == field).map(|(_, class, _)| class.as_str());
        assert_eq!(Some(found.as_str()), effect.or(listed), "{field}");
    }
    assert_eq!(planned.len(), ROWS.len(), "nobody else is touched: {planned:#?}");
    desk.run(&["up", "--yes"]).expect(0);
    desk.run(&["plan", "--exit-code"]).expect(0);
    desk.run(&["up"]).expect(0);

    // Protection would be in the way.
    let unprotected = file(|row| row.2).replace("protect: true", "protect: false");
    fs::write(desk.path().join("vmcompose.yaml"), unprotected).expect("written");
    desk.run(&["up"]).expect(0);
    desk.run(&["down", "--yes", "--volumes"]).expect(0);
    assert_eq!(desk.inventory(), [""; 0]);
}
