//! The disk of a seed: read by the standard's words, and by the programs that guests use.
//!
//! Knows nothing of what the files on it mean.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command as Process;

use proptest::prelude::*;
use vmcompose::model::Mac;
use vmcompose::model::cloud_init::{Address, CloudInit, Nic, Part};
use vmcompose::seed::{self, Machine};

fn machine() -> Machine {
    let nic = Nic {
        mac: Mac([0x52, 0x54, 0, 0, 0, 1]),
        address: Address::Dhcp,
        default_route: true,
        router_advertisements: false,
        address6: None,
        routes: Vec::new(),
        name: None,
    };
    Machine {
        identity: "shop/web".to_owned(),
        hostname: "web".to_owned(),
        nics: vec![nic],
        disks: Vec::new(),
        hosts: std::collections::BTreeMap::new(),
    }
}

const SECTOR: usize = 2048;

/// A number in both byte orders, which must agree.
fn number(image: &[u8], at: usize) -> usize {
    let little = u32::from_le_bytes(image[at..at + 4].try_into().unwrap());
    let big = u32::from_be_bytes(image[at + 4..at + 8].try_into().unwrap());
    assert_eq!(little, big);
    little as usize
}

/// Reads a disk by the standard's words: from a volume descriptor to its root, from there to the files. Names are
/// Rock Ridge's, or Joliet's.
fn read_disk(image: &[u8], joliet: bool) -> BTreeMap<String, Vec<u8>> {
    let descriptor = (16 + usize::from(joliet)) * SECTOR;
    assert_eq!(&image[descriptor + 1..descriptor + 6], b"CD001");
    assert_eq!(number(image, descriptor + 80) * SECTOR, image.len());
    let (root, size) = (number(image, descriptor + 156 + 2) * SECTOR, number(image, descriptor + 156 + 10));
    let mut files = BTreeMap::new();
    let mut at = root;
    while at < root + size && image[at] > 0 {
        let record = &image[at..at + usize::from(image[at])];
        at += record.len();
        let name = &record[33..33 + usize::from(record[32])];
        if record[25] & 2 == 2 {
            continue;
        }
        let name = if joliet {
            let wide: Vec<u16> = name.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            String::from_utf16(&wide).unwrap().trim_end_matches(";1").to_owned()
        } else {
            rock_ridge_name(&record[(33 + name.len()).next_multiple_of(2)..])
        };
        let start = number(record, 2) * SECTOR;
        files.insert(name, image[start..start + number(record, 10)].to_vec());
    }
    files
}

fn rock_ridge_name(mut entries: &[u8]) -> String {
    while entries.len() > 4 {
        let (entry, rest) = entries.split_at(usize::from(entries[2]));
        if entry.starts_with(b"NM") {
            return String::from_utf8(entry[5..].to_vec()).unwrap();
        }
        entries = rest;
    }
    panic!("a record without a name");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn every_file_is_on_the_disk_under_both_names(length in prop_oneof![Just(0usize), 2040usize..2060, 0usize..200_000]) {
        let content = "x".repeat(length);
        let settings = CloudInit { user_data: vec![Part::new(content)], ..CloudInit::default() };
        let seed = seed::make(&settings, &machine());
        let image = seed::image(&seed);
        prop_assert_eq!(image.len() % SECTOR, 0);
        prop_assert_eq!(&read_disk(&image, false), &seed.files);
        prop_assert_eq!(&read_disk(&image, true), &seed.files);
        prop_assert_eq!(image, seed::image(&seed));
    }
}

/// Runs a program of the machine's on a disk; `None` where the machine has no such program.
fn ask(program: &str, arguments: &[&str], disk: &Path) -> Option<String> {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Process::new(program).args(arguments).arg(disk).env("PATH", path).output().ok()?;
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn others_find_the_disk_by_its_label_and_read_it() {
    let seed = seed::make(&CloudInit::default(), &machine());
    let disk = tempfile::NamedTempFile::new().unwrap();
    fs::write(disk.path(), seed::image(&seed)).unwrap();
    let found = ask("blkid", &["-p", "-o", "export"], disk.path()).expect("every Linux has blkid");
    assert!(found.contains("LABEL=cidata\n") && found.contains("TYPE=iso9660\n"), "{found}");
    for view in ["-R", "-J"] {
        if let Some(meta_data) = ask("isoinfo", &[view, "-x", "/meta-data", "-i"], disk.path()) {
            assert_eq!(meta_data.as_bytes(), seed.files["meta-data"]);
        }
    }
}
