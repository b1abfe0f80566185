//! What `ps` and `ls` say of vms as time goes by, on the test driver: their age, and a healthcheck that has not passed yet.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::desk::Desk;
use crate::support::qemu::enabled;
use virt::domain::Domain;
use virt_sys::{VIR_DOMAIN_AFFECT_CONFIG, VIR_DOMAIN_AFFECT_LIVE, VIR_DOMAIN_METADATA_ELEMENT};

/// In seconds.
const DAY: u64 = 86_400;

const NAMESPACE: &str = "https://vmcompose.dev/xmlns/libvirt/1";

/// What `ps` says of the first vm.
fn first(desk: &Desk) -> serde_json::Value {
    let shape: serde_json::Value =
        serde_json::from_str(&desk.run(&["ps", "-a", "--format", "json"]).expect(0).stdout).expect("json");
    shape["vms"][0].clone()
}

#[test]
fn a_vm_is_as_old_as_it_is_and_not_as_what_was_last_changed_of_it() {
    if !enabled() {
        return;
    }
    let file = |label: &str| {
        format!(
            "vms: {{ db: {{ boot: {{ kernel: kernel }}, labels: {{ a: {label} }}, disks: [{{ name: data, size: 1MiB }}] }} }}\n"
        )
    };
    let desk = Desk::online(&file("b"));
    desk.run(&["up"]).expect(0);
    assert!(first(&desk)["age_s"].as_u64().is_some_and(|age| age < DAY));
    // It was made long ago.
    let keeper = desk.keeper.as_ref().expect("online");
    let domain = Domain::lookup_by_name(keeper, &format!("{}-db", desk.project)).expect("there");
    let kind = VIR_DOMAIN_METADATA_ELEMENT.cast_signed();
    let record = domain.get_metadata(kind, Some(NAMESPACE), VIR_DOMAIN_AFFECT_CONFIG).expect("a record");
    let (before, made) = record.split_once("\"made\":[[0,").expect("when it was made");
    let (_, after) = made.split_once(']').expect("a list");
    let older = format!("{before}\"made\":[[0,1000]{after}");
    let both = VIR_DOMAIN_AFFECT_CONFIG | VIR_DOMAIN_AFFECT_LIVE;
    domain.set_metadata(kind, Some(&older), Some("vmcompose"), Some(NAMESPACE), both).expect("recorded");
    assert!(first(&desk)["age_s"].as_u64().is_some_and(|age| age > DAY));
    fs::write(desk.path().join("vmcompose.yaml"), file("c")).expect("written");
    desk.run(&["up"]).expect(0);
    assert_eq!(first(&desk)["labels"]["a"], "c", "it was changed");
    assert!(first(&desk)["age_s"].as_u64().is_some_and(|age| age > DAY), "and is as old as before");
    let ls = desk.run(&["ls", "--format", "json"]).expect(0).stdout;
    let ls: serde_json::Value = serde_json::from_str(&ls).expect("json");
    let own = ls["projects"].as_array().expect("a list").iter().find(|one| one["project"] == desk.project.as_str());
    let own = own.expect("our project");
    assert!(own["age_s"].as_u64().is_some_and(|age| age > DAY) && own["vms"]["running"] == 1, "{own}");
    desk.run(&["up", "--replace", "db", "--yes"]).expect(0);
    assert!(first(&desk)["age_s"].as_u64().is_some_and(|age| age < DAY), "this one is new");
    desk.run(&["down"]).expect(0);
}

#[test]
fn a_healthcheck_that_has_not_passed_yet_is_told_from_one_that_fails() {
    if !enabled() {
        return;
    }
    let desk = Desk::offline("");
    let ready = desk.path().join("ready");
    let probe = format!("host: [test, -e, {}]", ready.display());
    let file = format!(
        "vms: {{ db: {{ boot: {{ kernel: kernel }}, healthcheck: {{ {probe}, interval: 200ms, start_period: 10m }} }} }}\n"
    );
    fs::write(desk.path().join("vmcompose.yaml"), file).expect("written");
    let keeper = virt::connect::Connect::open(Some(crate::support::desk::URI)).expect("the daemon runs");
    let desk = Desk { keeper: Some(keeper), ..desk };
    std::thread::scope(|scope| {
        let up = scope.spawn(|| desk.run(&["up"]));
        let deadline = Instant::now() + Duration::from_mins(2);
        while first(&desk)["health"] != "starting" {
            assert!(Instant::now() < deadline && !up.is_finished(), "it is {}", first(&desk));
        }
        assert_eq!(desk.run(&["ps", "-q", "--filter", "health=starting"]).expect(0).stdout, "db\n");
        assert!(desk.run(&["why", "db"]).expect(0).stdout.contains("has not passed yet"));
        fs::write(&ready, "").expect("written");
        up.join().expect("it ran").expect(0);
    });
    assert_eq!(first(&desk)["health"], "healthy");
    fs::remove_file(&ready).expect("removed");
    assert_eq!(first(&desk)["health"], "unhealthy", "nobody waits for it any more");
    desk.run(&["down"]).expect(0);
}
