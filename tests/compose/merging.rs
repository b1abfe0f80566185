//! Files over files, vms over vms: the rules of the chapter "Merge" of the Compose specification, one by one.

use std::path::PathBuf;

use vmcompose::model::{Boot, Disk, Probe};

use crate::compose::fixture::{Fixture, file, vm};

/// A file, and one that is laid over it.
fn over(base: &str, over: &str) -> Fixture {
    Fixture::new(base).file("vmcompose.override.yaml", over)
}

const BASE: &str = "
networks: {front: {}, back: {}}
volumes: {data: {size: 1GiB}}
vms:
  web:
    image: ./a.qcow2
    cpus: 1
    memory: 1GiB
    labels: {a: one, b: two}
    networks: [front]
    depends_on: [db]
    disks: [{size: 1GiB, name: first}]
    healthcheck: {exec: [old, command], interval: 9s}
    profiles: [dev]
  db: {image: ./a.qcow2}
";

fn merged(text: &str) -> vmcompose::model::Vm {
    let fixture = over(BASE, text).with(|request| request.profiles = vec!["*".to_owned()]);
    vm(&fixture.project(), "web").clone()
}

#[test]
fn missing_entries_of_a_mapping_are_added_and_conflicting_ones_merged() {
    let web = merged("vms: {web: {labels: {b: TWO, c: three}}}");
    let labels: Vec<(&str, &str)> = web.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(labels, [("a", "one"), ("b", "TWO"), ("c", "three")]);
}

#[test]
fn a_scalar_is_replaced() {
    let web = merged("vms: {web: {cpus: 4}}");
    assert_eq!((web.cpus, web.memory.to_string().as_str()), (4, "1GiB"));
}

#[test]
fn a_sequence_is_appended() {
    let web = merged("vms: {web: {disks: [{size: 2GiB, name: second}]}}");
    assert_eq!(web.disks.len(), 2);
}

#[test]
fn entries_that_share_what_makes_them_unique_are_merged() {
    let web = merged("vms: {web: {disks: [{size: 2GiB, name: first}]}}");
    assert!(matches!(&web.disks[..], [Disk::Own { size, .. }] if size.to_string() == "2GiB"), "{:?}", web.disks);
}

#[test]
fn a_command_is_replaced_and_not_appended() {
    let web = merged("vms: {web: {healthcheck: {exec: [new]}}}");
    let check = web.healthcheck.unwrap();
    assert_eq!(check.probes, [Probe::Exec(vec!["new".to_owned()])]);
    assert_eq!(check.interval.to_string(), "9s");
}

#[test]
fn another_probe_takes_the_place_of_the_first() {
    let web = merged("vms: {web: {healthcheck: {tcp: 80}}}");
    assert_eq!(web.healthcheck.unwrap().probes, [Probe::Tcp { host: None, port: 80 }]);
}

#[test]
fn a_kernel_takes_the_place_of_an_image() {
    assert!(matches!(merged("vms: {web: {boot: {kernel: ./k}}}").boot, Boot::Kernel { .. }));
}

#[test]
fn disks_shares_accounts_and_packages_are_unique_by_what_they_are() {
    let text = |over_text: &str| {
        let base = "
volumes: {data: {size: 1GiB}, other: {size: 1GiB}}
vms:
  web:
    image: ./a.qcow2
    disks: [{volume: data, mount: /srv/data}, {size: 1GiB, name: scratch, mount: /scratch}]
    shares: [./code:/srv/code]
    cloud_init: {users: [{name: ada, shell: /bin/sh}], packages: [nginx]}
";
        vm(&over(base, over_text).project(), "web").clone()
    };
    let web = text("vms: {web: {disks: [{volume: other, mount: /srv/data}, {size: 2GiB, mount: /scratch}]}}");
    let [Disk::Volume { volume }, Disk::Own { name, size }] = &web.disks[..] else { panic!("{:?}", web.disks) };
    assert_eq!((volume.as_str(), name.as_str(), size.to_string().as_str()), ("other", "scratch", "2GiB"));
    let web = text("vms: {web: {shares: [{source: ./new, target: /srv/code/}, './etc:/srv/etc:ro']}}");
    let shares: Vec<(bool, &str)> =
        web.shares.iter().map(|share| (share.source.ends_with("/new"), share.target.as_str())).collect();
    assert_eq!(shares, [(true, "/srv/code"), (false, "/srv/etc")]);
    let web = text("vms: {web: {cloud_init: {users: [{name: ada, sudo: 'ALL=(ALL) ALL'}], packages: [git, nginx]}}}");
    let told = web.cloud_init.expect("told");
    assert_eq!(told.packages, ["nginx", "git"]);
    assert_eq!(told.users.len(), 1);
    assert_eq!((told.users[0].shell.as_deref(), told.users[0].sudo.is_some()), (Some("/bin/sh"), true));
}

#[test]
fn names_in_a_list_and_in_a_mapping_are_merged_by_name() {
    let web =
        merged("vms: {web: {networks: {back: {}, front: {}}, depends_on: {db: {condition: started, restart: true}}}}");
    assert_eq!(web.interfaces.iter().map(|i| i.network.as_str()).collect::<Vec<_>>(), ["front", "back"]);
    assert!(web.depends_on.values().all(|on| on.restart));
    let web = merged("vms: {web: {networks: [front, back], labels: [b=TWO, c]}}");
    assert_eq!(web.interfaces.len(), 2);
    assert_eq!((web.labels["b"].as_str(), web.labels["c"].as_str()), ("TWO", ""));
}

#[test]
fn reset_takes_a_value_away() {
    let web =
        merged("vms: {web: {memory: !reset null, disks: !reset [], labels: {a: !reset null}, healthcheck: !reset {}}}");
    assert_eq!(web.memory.to_string(), "1GiB");
    assert!(web.disks.is_empty() && web.healthcheck.is_none());
    assert_eq!(web.labels.keys().collect::<Vec<_>>(), ["b"]);
}

#[test]
fn reset_takes_a_whole_resource_away() {
    let fixture = over("vms: {a: {image: ./a}, b: {image: ./a}}", "vms: {b: !reset null}");
    assert_eq!(fixture.project().vms.len(), 1);
}

#[test]
fn override_replaces_a_value() {
    let web = merged("vms: {web: {disks: !override [{size: 3GiB, name: third}], labels: !override {z: last}}}");
    assert_eq!((web.disks.len(), web.labels.len()), (1, 1));
    let web = merged("vms: {web: !override {image: ./b}}");
    assert_eq!((web.labels.len(), web.cpus), (0, 1));
}

#[test]
fn nothing_said_of_a_vm_changes_nothing() {
    assert_eq!(merged("vms: {web: }"), merged("vms: {}"));
}

#[test]
fn resources_are_added_by_later_files() {
    let fixture = over("vms: {a: {image: ./a}}", "networks: {n: {}}\nvms: {b: {image: ./a, networks: [n]}}");
    assert_eq!(fixture.project().vms.len(), 2);
}

#[test]
fn several_files_are_merged_in_their_order_and_no_override_file_is_looked_for() {
    let fixture = over("vms: {web: {image: ./a, cpus: 1}}", "vms: {web: {cpus: 99}}")
        .file("two.yaml", "vms: {web: {cpus: 2}}")
        .file("three.yaml", "vms: {web: {cpus: 3}}")
        .with(|request| request.files = ["vmcompose.yaml", "three.yaml", "two.yaml"].map(PathBuf::from).to_vec());
    assert_eq!(vm(&fixture.project(), "web").cpus, 2);
}

#[test]
fn variables_are_put_in_before_files_are_merged() {
    let fixture =
        over("vms: {web: {image: ./a, labels: {x: '$${A}'}}}", "vms: {web: {labels: {y: '${A}'}}}").env("A", "v");
    let project = fixture.project();
    assert_eq!((vm(&project, "web").labels["x"].as_str(), vm(&project, "web").labels["y"].as_str()), ("${A}", "v"));
}

#[test]
fn a_list_and_a_mapping_that_mean_different_things_are_not_merged() {
    let said = over("vms: {web: {image: ./a, boot: {kernel: ./k}}}", "vms: {web: {boot: [x]}}").mistakes();
    assert!(said.contains("error: a list and a mapping cannot be merged"), "{said}");
    assert!(said.contains("vmcompose.override.yaml:1:19") && said.contains("vmcompose.yaml:1:31"), "{said}");
}

#[test]
fn a_mistake_in_an_override_is_shown_there() {
    let said = over("vms: {web: {image: ./a}}", "\nvms: {web: {cpus: x}}").mistakes();
    assert!(said.contains(" --> vmcompose.override.yaml:2:19"), "{said}");
}

#[test]
fn defaults_lie_under_every_vm() {
    let fixture = Fixture::new(
        "defaults: {image: ./a, cpus: 2, labels: {a: default, b: default}}\nvms: {one: , two: {cpus: 3, labels: {b: own}}}",
    );
    let project = fixture.project();
    assert_eq!((vm(&project, "one").cpus, vm(&project, "two").cpus), (2, 3));
    assert_eq!(vm(&project, "two").labels.values().collect::<Vec<_>>(), ["default", "own"]);
}

#[test]
fn a_default_can_be_reset() {
    let fixture = Fixture::new(
        "defaults: {image: ./a, healthcheck: {tcp: 1}}\nvms: {a: {healthcheck: !reset null}, b: {healthcheck: {disable: true}}, c: {boot: {kernel: ./k}}}",
    );
    let project = fixture.project();
    assert!(vm(&project, "a").healthcheck.is_none() && vm(&project, "b").healthcheck.is_none());
    assert!(
        matches!(vm(&project, "c").boot, Boot::Kernel { .. }),
        "a kernel of its own takes the default image's place"
    );
}

#[test]
fn a_vm_extends_another_of_the_file_in_chains_and_in_any_order() {
    let fixture = Fixture::new(
        "vms:\n  c: {extends: b, cpus: 4}\n  b: {extends: {vm: a}, labels: {x: b}}\n  a: {image: ./a, memory: 2GiB, labels: {x: a, y: a}}",
    );
    let project = fixture.project();
    let c = vm(&project, "c");
    assert_eq!((c.cpus, c.memory.to_string().as_str(), c.labels["x"].as_str()), (4, "2GiB", "b"));
    assert_eq!(vm(&project, "b").cpus, 1);
}

#[test]
fn a_vm_extends_one_of_another_file_whose_paths_and_variables_are_right() {
    let fixture = Fixture::new("vms: {web: {extends: {vm: base, file: lib/base.yaml}, cpus: 2}}")
        .file(
            "lib/base.yaml",
            "vms:\n  base: {extends: root, labels: {v: $V}}\n  root: {extends: {vm: far, file: far.yaml}}",
        )
        .file("lib/far.yaml", "vms: {far: {image: ./img.qcow2, memory: 3GiB}}")
        .env("V", "value");
    let project = fixture.project();
    let web = vm(&project, "web");
    assert_eq!((web.cpus, web.memory.to_string().as_str(), web.labels["v"].as_str()), (2, "3GiB", "value"));
    assert_eq!(project.vms.len(), 1);
    assert_eq!(file(project.images.values().next().unwrap()), fixture.directory().join("lib/img.qcow2"));
}

#[test]
fn vms_of_two_files_that_extend_each_other_are_an_error_and_no_hang() {
    let said = Fixture::new("vms: {a: {extends: {vm: b, file: other.yaml}}}")
        .file("other.yaml", "vms: {b: {extends: {vm: c, file: other2.yaml}}}")
        .file("other2.yaml", "vms: {c: {extends: {vm: b, file: other.yaml}}}")
        .mistakes();
    assert!(said.contains("error: vms extend one another in a circle"), "{said}");
}

#[test]
fn a_long_chain_of_extends_is_refused() {
    let vms: Vec<String> = (0..200).map(|n| format!("  v{n}: {{extends: v{}}}\n", n + 1)).collect();
    let said = Fixture::new(&format!("vms:\n{}  v200: {{image: ./a}}\n", vms.concat())).mistakes();
    assert!(said.contains("more than 64 vms extend one another in a chain"), "{said}");
}

#[test]
fn merge_keys_bring_in_what_the_mapping_does_not_say() {
    let fixture = Fixture::new(
        "x-a: &a {image: ./a, cpus: 2}\nx-b: &b {cpus: 3, memory: 3GiB}\nvms:\n  one: {<<: *a, memory: 2GiB}\n  two: {<<: [*a, *b]}\n  three: {<<: *b, image: ./c, cpus: 9}",
    );
    let project = fixture.project();
    let of = |name| (vm(&project, name).cpus, vm(&project, name).memory.to_string());
    assert_eq!(of("one"), (2, "2GiB".to_owned()));
    assert_eq!(of("two"), (2, "3GiB".to_owned()));
    assert_eq!(of("three"), (9, "3GiB".to_owned()));
}
