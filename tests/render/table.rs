//! `ps` in its formats.

use std::collections::BTreeMap;
use std::time::Duration;

use vmcompose::cli::TableFormat;
use vmcompose::model::Port;
use vmcompose::names::{ImageName, NetworkName, VmName};
use vmcompose::render::Palette;
use vmcompose::render::table::{Address, Health, State, VERSION, VmStatus, names, vms};
use vmcompose::units::Bytes;

use crate::fixtures::project;
use crate::golden;

fn status(name: &str, state: State, health: Health) -> VmStatus {
    VmStatus {
        vm: VmName::new(name).unwrap(),
        state,
        health,
        answer: (health == Health::Unhealthy).then(|| "http :8080/healthz: connection refused".to_owned()),
        addresses: vec![Address {
            network: NetworkName::new("front").unwrap(),
            ip: "10.20.0.11".parse().unwrap(),
            ip6: None,
        }],
        ports: Vec::new(),
        image: Some(ImageName::new("debian").unwrap()),
        cpus: 1,
        memory: Bytes::gib(1),
        labels: BTreeMap::from([("tier".to_owned(), "web".to_owned())]),
        age: Some(Duration::from_secs(62)),
    }
}

fn shop() -> Vec<VmStatus> {
    let back = Address {
        network: NetworkName::new("back").unwrap(),
        ip: "10.20.1.11".parse().unwrap(),
        ip6: "fd00:20::11".parse().ok(),
    };
    let mut api = status("api-1", State::Running, Health::Unhealthy);
    api.addresses.push(back);
    let local = Port { address: Some("127.0.0.1".parse().unwrap()), host: 8080, guest: 80, udp: false };
    api.ports = vec![local, Port { address: None, host: 5353, guest: 53, udp: true }];
    let age = |status, seconds| VmStatus { age: Some(Duration::from_secs(seconds)), ..status };
    vec![
        age(status("db", State::Running, Health::Healthy), 7_000),
        api,
        age(status("api-2", State::Crashed, Health::Unknown), 100_000),
        age(status("web", State::Paused, Health::None), 500_000),
        VmStatus { addresses: Vec::new(), age: None, ..status("spare", State::Missing, Health::None) },
    ]
}

#[test]
fn the_vms_are_a_table_that_can_be_read_and_cut() {
    golden("ps.txt", &vms(&project(), &shop(), TableFormat::Table, &Palette::PLAIN));
}

#[test]
fn where_nobody_publishes_a_port_there_is_no_column_for_it() {
    let table = |ports: &[Port]| {
        let vm = VmStatus { ports: ports.to_vec(), ..status("db", State::Running, Health::None) };
        vms(&project(), &[vm], TableFormat::Table, &Palette::PLAIN)
    };
    assert!(!table(&[]).contains("PORTS"));
    assert!(table(&[Port { address: None, host: 8080, guest: 80, udp: false }]).contains("8080:80"));
}

#[test]
fn the_vms_are_the_same_in_json_and_yaml() {
    let json = vms(&project(), &shop(), TableFormat::Json, &Palette::PLAIN);
    let yaml = vms(&project(), &shop(), TableFormat::Yaml, &Palette::PLAIN);
    golden("ps.json", &json);
    golden("ps.yaml", &yaml);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json, serde_yaml::from_str::<serde_json::Value>(&yaml).unwrap());
    assert_eq!(json["version"], VERSION);
    for (vm, status) in json["vms"].as_array().unwrap().iter().zip(shop()) {
        assert_eq!(vm["state"], status.state.as_str());
        assert_eq!(vm["health"], status.health.as_str());
    }
}

#[test]
fn names_alone_are_one_per_line() {
    assert_eq!(names(&shop()), "db\napi-1\napi-2\nweb\nspare\n");
    assert_eq!(names(&[]), "");
}

#[test]
fn no_vms_are_a_table_of_its_header() {
    assert_eq!(vms(&project(), &[], TableFormat::Table, &Palette::PLAIN).lines().count(), 1);
}

#[test]
fn colours_do_not_move_the_columns() {
    let coloured = vms(&project(), &shop(), TableFormat::Table, &Palette::COLOURED);
    let plain = vms(&project(), &shop(), TableFormat::Table, &Palette::PLAIN);
    assert!(coloured.contains("\u{1b}["));
    assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain);
}
