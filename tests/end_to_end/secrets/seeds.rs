//! Secrets on the seed: on it while they are needed, and nothing of them left after that.

use std::collections::BTreeMap;

use proptest::prelude::*;
use vmcompose::model::SecretValue;
use vmcompose::model::cloud_init::{CloudInit, Command, SecretFile, User, WriteFile};
use vmcompose::model::secret::{PasswordHash, reference};
use vmcompose::names::SecretName;
use vmcompose::seed::{self, FillError, Machine, SECTOR, filled, holds_secrets, scrubbed};

use super::name;

fn machine() -> Machine {
    Machine {
        identity: "shop/web".to_owned(),
        hostname: "web".to_owned(),
        nics: Vec::new(),
        disks: Vec::new(),
        hosts: BTreeMap::new(),
    }
}

fn file(source: &str, path: &str, owner: Option<&str>) -> SecretFile {
    SecretFile {
        source: name(source),
        path: path.to_owned(),
        owner: owner.map(str::to_owned),
        mode: SecretFile::MODE.to_owned(),
    }
}

fn settings() -> CloudInit {
    let content = format!("PASSWORD={}", reference(&name("text")));
    CloudInit {
        write_files: vec![WriteFile { path: "/etc/app".to_owned(), content, ..WriteFile::default() }],
        secrets: vec![file("raw", "/run/secrets/raw", None), file("text", "/run/t", Some("app:app"))],
        runcmd: vec![Command::Shell("true".to_owned())],
        ..CloudInit::default()
    }
}

fn values(raw: &[u8], text: &[u8]) -> BTreeMap<SecretName, SecretValue> {
    [("raw", raw), ("text", text)].map(|(called, bytes)| (name(called), SecretValue::new(bytes.to_vec()))).into()
}

fn holds(disk: &[u8], needle: &[u8]) -> bool {
    disk.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn secrets_are_on_the_seed_and_the_guest_stays_the_same() {
    let plain = seed::make(&settings(), &machine());
    let disk = filled(&settings(), &machine(), &values(b"\x00MaRkEr", b"hun\"ter2\n")).expect("filled");
    // A value that is put into a setting is escaped as every text, and has no line break that nobody sees.
    assert!(holds(&disk, br#"PASSWORD=hun\"ter2""#));
    // In base64, one on each line, the bytes as they are.
    assert!(holds(&disk, b"AE1hUmtFcg==\naHVuInRlcjIK\n"));
    assert!(holds(&disk, plain.instance_id.as_bytes()));
    assert!(!holds(&seed::image(&plain), b"hun"));
    let other = filled(&settings(), &machine(), &values(b"other", b"values")).expect("filled");
    assert!(holds(&other, plain.instance_id.as_bytes()), "a new value makes no new guest");
}

#[test]
fn files_come_first_and_their_owners_when_there_are_some() {
    let seed = seed::make(&settings(), &machine());
    let text = std::str::from_utf8(&seed.files["user-data"]).expect("text");
    let config: serde_json::Value = serde_json::from_str(text.trim_start_matches("#cloud-config\n")).expect("JSON");
    let boot = config["bootcmd"].as_array().expect("a list");
    assert_eq!(boot.len(), 1);
    let line = boot[0].as_str().expect("a line for the shell");
    assert!(line.ends_with("'0400' 'root:root' '/run/secrets/raw' '0400' 'app:app' '/run/t' || exit 1"), "{line}");
    assert_eq!(config["runcmd"], serde_json::json!(["set -e", ["chown", "app:app", "/run/t"], "true"]));
    let mut others = settings();
    others.secrets.push(file("raw", "/run/third", None));
    assert_ne!(
        seed::make(&others, &machine()).instance_id,
        seed.instance_id,
        "one more file is to be put in its place"
    );
}

#[test]
fn what_is_not_there_or_no_text_is_named() {
    let only = |called: &str| values(b"a", b"b").into_iter().filter(|(name, _)| name.as_str() == called).collect();
    let error = |values| filled(&settings(), &machine(), &values).expect_err("refused");
    assert_eq!(error(only("text")), FillError::Unknown(name("raw")));
    assert_eq!(error(only("raw")), FillError::Unknown(name("text")));
    let error = error(values(b"\xff", b"\xff"));
    assert_eq!(error.to_string(), "secret `text` is no text (UTF-8), so it cannot stand within a setting");
}

#[test]
fn a_reference_needs_no_file_and_is_found_wherever_it_stands() {
    let hidden = CloudInit { runcmd: vec![Command::Program(vec![reference(&name("a"))])], ..CloudInit::default() };
    assert_eq!(hidden.asks_for(), [name("a")].into());
    assert_eq!(settings().asks_for(), [name("raw"), name("text")].into());
    assert!(CloudInit::default().asks_for().is_empty());
}

#[test]
fn a_passwords_hash_is_on_the_seed_and_its_fingerprint_where_others_look() {
    let hash = "$6$MaRkErsalt$hash";
    let of = |name: &str, hash: String| User {
        name: name.to_owned(),
        password_hash: Some(PasswordHash::new(hash)),
        ..User::default()
    };
    let users = vec![of("ada", hash.to_owned()), of("bob", reference(&name("text")))];
    let settings = CloudInit { users, ..settings() };
    let recorded = serde_json::to_string(&settings).expect("JSON");
    assert!(!recorded.contains("MaRkEr") && !format!("{settings:?}").contains("MaRkEr"), "{recorded}");
    let read: CloudInit = serde_json::from_str(&recorded).expect("settings");
    assert_eq!((&read, read.lacking().map(|user| user.name.as_str())), (&settings, Some("ada")));
    assert_eq!((read, settings.lacking()), (settings.recorded(), None));

    let plain = seed::make(&settings, &machine());
    assert!(holds(&seed::image(&plain), hash.as_bytes()));
    assert_eq!(plain.instance_id, seed::make(&settings.recorded(), &machine()).instance_id);
    let mut other = settings.clone();
    other.users[0].password_hash = Some(PasswordHash::new("$6$MaRkErsalt$other"));
    assert_ne!(seed::make(&other, &machine()).instance_id, plain.instance_id);
    let disk = filled(&settings, &machine(), &values(b"raw", b"$6$s$of-bob")).expect("filled");
    assert!(holds(&disk, hash.as_bytes()) && holds(&disk, br#""$6$s$of-bob""#));
}

proptest! {
    #[test]
    fn nothing_of_any_secret_is_left(
        raw in proptest::collection::vec(any::<u8>(), 1..9000),
        text in "[a-zA-Z0-9\n]{0,9000}",
    ) {
        let marked = [b"MaRkEr-raw".as_slice(), &raw].concat();
        let text = format!("MaRkEr-text{text}");
        let disk = filled(&settings(), &machine(), &values(&marked, text.as_bytes())).expect("filled");
        let length = disk.len() as u64;
        prop_assert!(holds_secrets(length));
        let plain = seed::make(&settings(), &machine());
        let over = scrubbed(&plain, length);
        prop_assert_eq!(over.len(), disk.len(), "all of it is written over");
        // With the sector that says so it is the disk without secrets, and longer at most.
        let image = seed::image(&plain);
        let mut whole = over.clone();
        whole.resize(over.len() + SECTOR, 0);
        prop_assert!(!holds_secrets(whole.len() as u64) && !holds_secrets(image.len() as u64));
        let descriptors = 16 * 2048..18 * 2048;
        for (at, byte) in image.iter().enumerate().filter(|(at, _)| !descriptors.contains(at)) {
            prop_assert_eq!(whole[at], *byte);
        }
        prop_assert!(whole[image.len()..].iter().all(|byte| *byte == 0));
    }
}
