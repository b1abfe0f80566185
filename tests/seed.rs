//! The seed: what is in it, and when it counts as another one.
//!
//! Boots nothing: what a guest makes of a seed is for the tests on real machines.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command as Process;

use proptest::prelude::*;
use serde_json::{Value, json};
use vmcompose::model::cloud_init::{
    Address, CloudInit, Command, DataDisk, Encoding, Filesystem, Nic, Part, User, WriteFile, disk_serial, nics,
};
use vmcompose::model::secret::PasswordHash;
use vmcompose::model::{Mac, Network, NetworkMode, Vm};
use vmcompose::names::{NetworkName, VolumeName};
use vmcompose::seed::{self, Machine, Seed};

fn machine() -> Machine {
    Machine {
        identity: "shop/web-1".to_owned(),
        hostname: "web-1".to_owned(),
        nics: Vec::new(),
        disks: Vec::new(),
        hosts: BTreeMap::new(),
    }
}

fn nic(last: u8, default_route: bool) -> Nic {
    let mac = Mac([0x52, 0x54, 0, 0, 0, last]);
    Nic {
        mac,
        address: Address::Dhcp,
        default_route,
        router_advertisements: false,
        address6: None,
        routes: Vec::new(),
        name: None,
    }
}

fn file<'a>(seed: &'a Seed, name: &str) -> &'a str {
    std::str::from_utf8(&seed.files[name]).unwrap()
}

fn config_of(settings: &CloudInit, machine: &Machine) -> Value {
    let seed = seed::make(settings, machine);
    let text = file(&seed, "user-data");
    serde_json::from_str(text.strip_prefix("#cloud-config\n").unwrap()).unwrap()
}

fn json_of(seed: &Seed, name: &str) -> Value {
    serde_json::from_str(file(seed, name)).unwrap()
}

// --- what is in it -------------------------------------------------------------------------------

#[test]
fn without_settings_a_guest_has_its_name_and_takes_no_passwords() {
    let seed = seed::make(&CloudInit::default(), &machine());
    assert_eq!(json_of(&seed, "meta-data"), json!({"instance-id": seed.instance_id, "local-hostname": "web-1"}));
    assert_eq!(config_of(&CloudInit::default(), &machine())["ssh_pwauth"], json!(false));
    assert!(seed.instance_id.starts_with("shop-web-1-"), "{}", seed.instance_id);
    assert!(!seed.files.contains_key("network-config"), "the image's own choice, where there is no interface");
}

#[test]
fn keys_of_the_own_account_count_also_beside_raw_user_data() {
    let key = "ssh-ed25519 AAAA me".to_owned();
    let raw = "#!/bin/sh\necho \u{e9}\n";
    let settings =
        CloudInit { ssh_authorized_keys: vec![key.clone()], user_data: vec![Part::new(raw)], ..CloudInit::default() };
    let seed = seed::make(&settings, &machine());
    assert_eq!(json_of(&seed, "meta-data")["public-keys"], json!([key]));
    assert_eq!(file(&seed, "user-data"), raw, "the user's own text alone stays as it is");
}

#[test]
fn accounts_are_added_to_the_images_own() {
    let ada = User { name: "ada".to_owned(), groups: vec!["sudo".to_owned()], ..User::default() };
    let bob = User { name: "bob".to_owned(), password_hash: Some(PasswordHash::new("$6$x$y")), ..User::default() };
    let eve = User { name: "eve".to_owned(), one_time_password: true, ..bob.clone() };
    let config = config_of(&CloudInit { users: vec![ada, bob, eve], ..CloudInit::default() }, &machine());
    let expected = json!([
        "default",
        {"name": "ada", "groups": ["sudo"], "lock_passwd": true},
        {"name": "bob", "passwd": "$6$x$y", "lock_passwd": false},
        {"name": "eve", "lock_passwd": false},
    ]);
    assert_eq!(config["users"], expected);
    // Only what must be changed at once is set by the module that lets passwords expire.
    let expected = json!({"expire": true, "users": [{"name": "eve", "password": "$6$x$y", "type": "hash"}]});
    assert_eq!(config["chpasswd"], expected);
}

#[test]
fn a_file_of_somebody_waits_for_the_account() {
    let of_root = WriteFile { path: "/a".to_owned(), owner: Some("root:root".to_owned()), ..WriteFile::default() };
    let of_ada = WriteFile {
        path: "/b".to_owned(),
        content: "aGk=".to_owned(),
        encoding: Encoding::Base64,
        owner: Some("ada".to_owned()),
        permissions: Some("0600".to_owned()),
        append: true,
    };
    let config = config_of(&CloudInit { write_files: vec![of_root, of_ada], ..CloudInit::default() }, &machine());
    let expected = json!([
        {"path": "/a", "content": "", "owner": "root:root"},
        {"path": "/b", "content": "aGk=", "encoding": "b64", "owner": "ada", "permissions": "0600", "append": true, "defer": true},
    ]);
    assert_eq!(config["write_files"], expected);
}

#[test]
fn a_failing_command_is_the_last() {
    let run = vec![Command::Shell("false".to_owned()), Command::Program(vec!["touch".to_owned(), "/x y".to_owned()])];
    let config = config_of(&CloudInit { runcmd: run, ..CloudInit::default() }, &machine());
    assert_eq!(config["runcmd"], json!(["set -e", "false", ["touch", "/x y"]]));
    assert_eq!(config.get("bootcmd"), None, "nothing asked, nothing said");
}

#[test]
fn further_keys_win_and_lists_are_put_together() {
    let mut settings =
        CloudInit { packages: vec!["a".to_owned()], timezone: Some("UTC".to_owned()), ..CloudInit::default() };
    settings.config =
        json!({"packages": ["b"], "timezone": "Asia/Tokyo", "ntp": {"enabled": true}, "ssh_pwauth": true})
            .as_object()
            .unwrap()
            .clone();
    let config = config_of(&settings, &machine());
    assert_eq!(config["packages"], json!(["a", "b"]));
    assert_eq!(config["timezone"], json!("Asia/Tokyo"));
    assert_eq!(config["ntp"], json!({"enabled": true}));
    assert_eq!(config["ssh_pwauth"], json!(true));
}

#[test]
fn interfaces_are_found_by_mac_and_one_has_the_default_route() {
    let fixed = Nic {
        address: Address::Static {
            address: "10.1.2.3/24".parse().unwrap(),
            gateway: "10.1.2.1".parse().unwrap(),
            nameservers: vec!["10.1.2.1".parse().unwrap()],
        },
        name: Some("lan".to_owned()),
        ..nic(3, true)
    };
    let machine = Machine { nics: vec![nic(1, true), nic(2, false), fixed], ..machine() };
    let seed = seed::make(&CloudInit::default(), &machine);
    let expected = json!({"version": 2, "ethernets": {
        "nic0": {"match": {"macaddress": "52:54:00:00:00:01"}, "accept-ra": false, "dhcp4": true, "dhcp-identifier": "mac"},
        "nic1": {"match": {"macaddress": "52:54:00:00:00:02"}, "accept-ra": false, "dhcp4": true, "dhcp-identifier": "mac",
                 "dhcp4-overrides": {"use-routes": false}},
        "nic2": {"match": {"macaddress": "52:54:00:00:00:03"}, "accept-ra": false, "dhcp4": false, "set-name": "lan",
                 "addresses": ["10.1.2.3/24"], "routes": [{"to": "0.0.0.0/0", "via": "10.1.2.1"}],
                 "nameservers": {"addresses": ["10.1.2.1"]}},
    }});
    assert_eq!(json_of(&seed, "network-config"), expected);
}

#[test]
fn the_default_route_is_through_the_first_network_that_leads_out() {
    let network = |name: &str, mode: NetworkMode, octet: u8| Network {
        name: NetworkName::new(name).unwrap(),
        mode,
        subnet: format!("10.1.{octet}.0/24").parse().unwrap(),
        hosts: BTreeMap::new(),
        labels: BTreeMap::new(),
        settings: Box::default(),
    };
    let networks = BTreeMap::from([
        (NetworkName::new("back").unwrap(), network("back", NetworkMode::Isolated, 1)),
        (NetworkName::new("front").unwrap(), network("front", NetworkMode::Nat, 2)),
        (NetworkName::new("other").unwrap(), network("other", NetworkMode::Nat, 3)),
    ]);
    let vm = |on: &[&str]| -> Vm {
        let interfaces: Vec<Value> = on
            .iter()
            .enumerate()
            .map(|(i, name)| json!({"network": name, "mac": format!("52:54:00:00:00:0{i}"), "ip": "10.1.1.9"}))
            .collect();
        serde_json::from_value(json!({
            "name": "a", "hostname": "a", "cpus": 1, "memory": "1GiB", "disk": null, "accel": "tcg",
            "boot": {"image": {"name": "i", "digest": null, "format": null}},
            "stop_grace_period": "30s", "interfaces": interfaces,
        }))
        .unwrap()
    };
    let routes = |on: &[&str]| nics(&vm(on), &networks).iter().map(|nic| nic.default_route).collect::<Vec<_>>();
    assert_eq!(routes(&["back", "front", "other"]), [false, true, false]);
    assert_eq!(routes(&["back"]), [false]);
    assert_eq!(routes(&["other", "front"]), [true, false]);
}

// --- several parts -------------------------------------------------------------------------------

/// The parts of a message by Python's reader, which is cloud-init's: type, merge type and text of each.
fn read_message(message: &[u8]) -> Value {
    const READER: &str = "\
import email, json, sys
parts = [p for p in email.message_from_string(sys.stdin.buffer.read().decode()).walk() if not p.is_multipart()]
print(json.dumps([[p.get_content_type(), p['Merge-Type'], p.get_payload(decode=True).decode()] for p in parts]))";
    serde_json::from_slice(&piped(Process::new("python3").args(["-c", READER]), message)).unwrap()
}

fn piped(process: &mut Process, input: &[u8]) -> Vec<u8> {
    let scratch = tempfile::NamedTempFile::new().unwrap();
    fs::write(scratch.path(), input).unwrap();
    let output = process.stdin(fs::File::open(scratch.path()).unwrap()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn settings_beside_the_users_parts_are_one_more_part_that_overrides_nothing() {
    let inner = "Content-Type: multipart/mixed; boundary=\"b\"\n\n--b\nContent-Type: text/x-shellscript\n\n#!/bin/sh\n\n--b--\n";
    let parts = vec![
        Part::new("#cloud-config\ntimezone: UTC # \u{e9}\n"),
        Part::new("\n## template: jinja\n#cloud-config\n"),
        Part { content: "echo boot".to_owned(), content_type: Some("text/x-shellscript-per-boot".to_owned()) },
        Part::new(inner),
    ];
    let settings = CloudInit { user_data: parts, packages: vec!["curl".to_owned()], ..CloudInit::default() };
    let seed = seed::make(&settings, &machine());
    let read = read_message(&seed.files["user-data"]);
    let settings_part = "#cloud-config\n{\n  \"packages\": [\n    \"curl\"\n  ]\n}\n";
    let expected = json!([
        ["text/cloud-config", null, "#cloud-config\ntimezone: UTC # \u{e9}\n"],
        ["text/jinja2", null, "\n## template: jinja\n#cloud-config\n"],
        ["text/x-shellscript-per-boot", null, "echo boot"],
        ["text/x-shellscript", null, "#!/bin/sh\n"],
        ["text/cloud-config", "list(append)+dict(no_replace,recurse_list)+str()", settings_part],
    ]);
    assert_eq!(read, expected);
    assert_eq!(seed, seed::make(&settings, &machine()), "the same every time, its boundary too");
}

// --- data disks ----------------------------------------------------------------------------------

fn data_disk() -> DataDisk {
    DataDisk { serial: "pg'data".to_owned(), path: "/srv/it's data".to_owned(), filesystem: Filesystem::Ext4 }
}

/// Runs the command that prepares a disk with stand-ins for the programs that it calls: `blkid` ends with `found`, the
/// others note their arguments. The disk is taken to be there if `there`.
fn prepare(found: u8, mkfs: u8, there: bool) -> (bool, Vec<String>) {
    let config = config_of(&CloudInit::default(), &Machine { disks: vec![data_disk()], ..machine() });
    let mut command = config["bootcmd"][0].as_str().unwrap().to_owned();
    if there {
        assert!(command.contains("test -b \"$0\""));
        command = command.replace("test -b \"$0\"", "true");
    }
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let stub = |name: &str, body: String| {
        let path = folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let note = |name: &str, code: u8| stub(name, format!("echo {name} \"$@\" >>'{}'\nexit {code}", log.display()));
    stub("blkid", format!("exit {found}"));
    stub("mountpoint", "exit 32".to_owned());
    stub("udevadm", String::new());
    note("mkfs", mkfs);
    note("mkdir", 0);
    note("mount", 0);
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let script = format!("{command}\necho end >>'{}'", log.display());
    let output = Process::new("sh").args(["-c", &script]).env("PATH", path).output().unwrap();
    let log = fs::read_to_string(&log).unwrap_or_default();
    (output.status.success(), log.lines().map(str::to_owned).collect())
}

const MOUNTED: [&str; 3] = ["mkdir -p /srv/it's data", "mount /dev/disk/by-id/virtio-pg'data /srv/it's data", "end"];

#[test]
fn an_empty_disk_is_formatted_and_mounted() {
    let (ok, log) = prepare(2, 0, true);
    assert!(ok);
    assert_eq!(log[0], "mkfs -t ext4 /dev/disk/by-id/virtio-pg'data");
    assert_eq!(log[1..], MOUNTED);
}

#[test]
fn a_disk_with_anything_on_it_is_never_formatted() {
    for found in [0, 1, 4, 8] {
        let (ok, log) = prepare(found, 0, true);
        assert!(ok);
        assert_eq!(log, MOUNTED, "blkid ended with {found}");
    }
}

#[test]
fn a_disk_that_cannot_be_prepared_is_an_error_of_the_boot() {
    assert_eq!(prepare(2, 1, true), (false, vec!["mkfs -t ext4 /dev/disk/by-id/virtio-pg'data".to_owned()]));
    assert_eq!(prepare(2, 0, false), (false, Vec::new()));
}

#[test]
fn later_boots_find_the_disk_in_fstab() {
    let config = config_of(&CloudInit::default(), &Machine { disks: vec![data_disk()], ..machine() });
    assert_eq!(config["mounts"], json!([["/dev/disk/by-id/virtio-pg'data", "/srv/it's data", "auto"]]));
}

#[test]
fn a_serial_fits_the_hardware_and_tells_long_names_apart() {
    let serial = |name: &str| disk_serial(&VolumeName::new(name).unwrap());
    assert_eq!(serial("pgdata"), "pgdata");
    assert_eq!(serial("exactly-twenty-chars"), "exactly-twenty-chars");
    let (one, other) = (serial("a-very-long-volume-name-1"), serial("a-very-long-volume-name-2"));
    assert!(one.len() == 20 && other.len() == 20 && one != other, "{one} {other}");
    assert!(one.starts_with("a-very-long"));
}

// --- when it is another one ----------------------------------------------------------------------

#[test]
fn an_instance_is_another_when_its_settings_are_and_not_when_its_network_is() {
    let settings = CloudInit { packages: vec!["a".to_owned()], ..CloudInit::default() };
    let first = seed::make(&settings, &machine());
    assert_eq!(first, seed::make(&settings, &machine()));

    let wired = seed::make(&settings, &Machine { nics: vec![nic(1, true)], ..machine() });
    assert_eq!(wired.instance_id, first.instance_id);
    assert_ne!(wired.digest, first.digest, "but the disk is another");

    let others = [
        seed::make(&CloudInit { packages: vec!["b".to_owned()], ..CloudInit::default() }, &machine()),
        seed::make(&settings, &Machine { hostname: "web-2".to_owned(), ..machine() }),
        seed::make(&settings, &Machine { identity: "shop/web-2".to_owned(), ..machine() }),
        seed::make(&settings, &Machine { disks: vec![data_disk()], ..machine() }),
        seed::make(&CloudInit { ssh_authorized_keys: vec!["k".to_owned()], ..settings.clone() }, &machine()),
        seed::make(&CloudInit { meta_data: BTreeMap::from([("a".to_owned(), json!(1))]), ..settings }, &machine()),
    ];
    for other in others {
        assert_ne!(other.instance_id, first.instance_id);
    }
}

#[test]
fn settings_survive_being_recorded() {
    let settings = CloudInit {
        runcmd: vec![Command::Shell("a".to_owned()), Command::Program(vec!["b".to_owned()])],
        user_data: vec![Part::new("#!/bin/sh")],
        ..CloudInit::default()
    };
    let text = serde_json::to_string(&settings).unwrap();
    assert_eq!(text, r##"{"user_data":[{"content":"#!/bin/sh"}],"runcmd":["a",["b"]]}"##);
    assert_eq!(serde_json::from_str::<CloudInit>(&text).unwrap(), settings);
}

// --- what the guest's YAML reader sees -----------------------------------------------------------

/// What `PyYAML` takes in its input; all else it refuses.
fn printable(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// What YAML 1.1 takes for line breaks, and folds.
fn breaks(c: char) -> bool {
    matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}')
}

proptest! {
    #[test]
    fn any_text_reaches_the_guest_whole(text in any::<String>(), special in "[\u{7f}-\u{9f}\u{2028}\u{2029}\u{feff}\u{fffe}\u{ffff}é😀\t\n=<~]{0,8}") {
        let content = format!("{text}{special}");
        let files = vec![WriteFile { path: "/f".to_owned(), content: content.clone(), ..WriteFile::default() }];
        let settings = CloudInit { write_files: files, ..CloudInit::default() };
        let seed = seed::make(&settings, &machine());
        prop_assert!(file(&seed, "user-data").chars().all(|c| printable(c) && !breaks(c)));
        prop_assert_eq!(&config_of(&settings, &machine())["write_files"][0]["content"], &json!(content));
    }
}
