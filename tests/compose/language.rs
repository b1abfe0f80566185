//! What the keys of the file mean.

use std::collections::BTreeSet;

use vmcompose::model::{Accel, Boot, Condition, Disk, ImageRole, NetworkMode, Probe};
use vmcompose::names::{ImageName, NetworkName, ResourceId, VmName, VolumeName};
use vmcompose::units::Bytes;

use crate::compose::fixture::{Fixture, file, vm};

#[test]
fn a_whole_file_becomes_a_project() {
    let fixture = Fixture::new(include_str!("full.yaml"));
    let project = fixture.project();
    assert_eq!(project.name.as_str(), "shop");
    let names: Vec<&str> = project.vms.keys().map(VmName::as_str).collect();
    assert_eq!(names, ["api-1", "api-2", "api-3", "db", "web"]);

    let db = vm(&project, "db");
    assert_eq!((db.cpus, db.memory, db.disk), (1, Bytes::gib(2), Some(Bytes::gib(20))));
    let own = |name: &str, size| Disk::Own { name: VolumeName::new(name).unwrap(), size };
    let volume = Disk::Volume { volume: VolumeName::new("pgdata").unwrap() };
    assert_eq!(db.disks, [volume, own("scratch", Bytes::gib(10)), own("disk1", Bytes::gib(1))]);
    assert_eq!(db.interfaces[0].ip.to_string(), "10.20.1.10");
    let check = db.healthcheck.as_ref().unwrap();
    assert_eq!(check.probes, [Probe::Exec(vec!["pg_isready".to_owned(), "-q".to_owned()])]);
    assert_eq!((check.retries, check.interval.0.as_secs()), (60, 1));

    let api = vm(&project, "api-2");
    assert_eq!(api.replica_of.as_ref().map(VmName::as_str), Some("api"));
    assert_eq!(api.depends_on[&VmName::new("db").unwrap()].condition, Condition::Healthy);
    assert_eq!(api.interfaces.iter().map(|i| i.network.as_str()).collect::<Vec<_>>(), ["front", "back"]);

    let web = vm(&project, "web");
    let Boot::Kernel { kernel, initrd, cmdline } = &web.boot else { panic!("{:?}", web.boot) };
    assert_eq!((kernel.name.as_str(), cmdline.as_str()), ("vmlinuz", "quiet"));
    assert_eq!(initrd.as_ref().unwrap().name.as_str(), "initrd-img");
    assert_eq!(web.depends_on.len(), 3, "a group of replicas is all of them");
    assert_eq!(web.labels["tier"], "front");

    let source = &project.images[&ImageName::new("debian").unwrap()];
    assert_eq!((file(source), source.role), (fixture.directory().join("debian.qcow2").as_path(), ImageRole::Disk));
    let front = &project.networks[&NetworkName::new("front").unwrap()];
    assert_eq!((front.mode, front.labels["a"].as_str()), (NetworkMode::Nat, "1.10"));
    assert_eq!(front.hosts[&VmName::new("api-1").unwrap()].names, ["api-1", "api"]);
    let origin = &project.origins[&ResourceId::Vm(VmName::new("web").unwrap())];
    assert_eq!(origin.to_string(), "vmcompose.yaml:24");
}

/// The vm `web` of a file that gives it these keys.
fn web(keys: &str) -> vmcompose::model::Vm {
    let fixture = Fixture::new(&format!("vms:\n  web:\n    image: ./a.qcow2\n    {}\n", keys.replace('\n', "\n    ")));
    vm(&fixture.project(), "web").clone()
}

#[test]
fn what_a_vm_does_not_say_has_a_default() {
    let web = web("labels: {}");
    assert_eq!((web.cpus, web.memory, web.disk), (1, Bytes::gib(1), None));
    assert_eq!((web.hostname.as_str(), web.stop_grace_period.to_string().as_str()), ("web", "30s"));
    assert_eq!((web.autostart, web.accel, web.healthcheck.is_none()), (false, Accel::Auto, true));
    assert_eq!(web.interfaces.iter().map(|i| i.network.as_str()).collect::<Vec<_>>(), ["default"]);
}

#[test]
fn a_key_without_a_value_is_as_if_it_were_not_there() {
    assert_eq!(web("cpus:\nmemory: ~\nnetworks: null\nlabels:\nhealthcheck:\ndepends_on:\ndisks:"), web("labels: {}"));
}

#[test]
fn the_short_and_long_forms_of_a_probe_are_the_same() {
    let probes = |keys: &str| web(keys).healthcheck.unwrap().probes;
    assert_eq!(probes("healthcheck: {tcp: 80}"), probes("healthcheck: {tcp: {port: 80}}"));
    assert_eq!(probes("healthcheck: {tcp: 80}"), probes("healthcheck: {probes: [{tcp: 80}]}"));
    assert_eq!(probes("healthcheck: {http: 80}"), probes("healthcheck: {http: {port: 80, path: /}}"));
    assert_eq!(probes("healthcheck: {exec: \"a b\"}"), [Probe::Exec(["sh", "-c", "a b"].map(str::to_owned).to_vec())]);
    assert_eq!(probes("healthcheck: {agent: true}"), [Probe::Agent]);
    assert_eq!(probes("healthcheck: {probes: [{tcp: 1}, {agent: true}, {exec: [a]}]}").len(), 3);
    let host = probes("healthcheck: {tcp: {port: 80, host: 127.0.0.1}}");
    assert_eq!(host, [Probe::Tcp { host: Some("127.0.0.1".to_owned()), port: 80 }]);
}

#[test]
fn a_healthcheck_can_be_disabled() {
    assert!(web("healthcheck: {disable: true}").healthcheck.is_none());
}

#[test]
fn the_short_form_of_a_dependency_asks_for_health_where_there_is_a_healthcheck() {
    let fixture = Fixture::new(
        "vms: {web: {image: ./a, depends_on: [db, cache]}, db: {image: ./a, healthcheck: {tcp: 1}}, cache: {image: ./a}}",
    );
    let project = fixture.project();
    let on = |name: &str| vm(&project, "web").depends_on[&VmName::new(name).unwrap()];
    assert_eq!((on("db").condition, on("cache").condition), (Condition::Healthy, Condition::Started));
    assert_eq!((on("db").required, on("db").restart), (true, false));
}

#[test]
fn the_names_that_compose_has_for_conditions_are_taken_too() {
    let text = |condition: &str| {
        format!(
            "vms: {{web: {{image: ./a, depends_on: {{db: {{condition: {condition}}}}}}}, db: {{image: ./a, healthcheck: {{tcp: 1}}}}}}"
        )
    };
    for (name, condition) in [("service_started", Condition::Started), ("service_healthy", Condition::Healthy)] {
        let project = Fixture::new(&text(name)).project();
        assert_eq!(vm(&project, "web").depends_on.values().next().unwrap().condition, condition);
    }
}

#[test]
fn a_vm_without_networks_is_on_the_one_named_default_which_may_be_described() {
    let fixture = Fixture::new("networks: {default: {subnet: 10.7.0.0/24}, other: {}}\nvms: {web: {image: ./a}}");
    assert_eq!(vm(&fixture.project(), "web").interfaces[0].ip.octets()[..3], [10, 7, 0]);
}

#[test]
fn an_empty_list_of_networks_is_none() {
    assert!(web("networks: []").interfaces.is_empty());
}

#[test]
fn a_network_without_a_subnet_gets_one_that_nobody_has() {
    let fixture = Fixture::new("networks: {a: , b: {}}\nvms: {web: {image: ./a, networks: [a, b]}}");
    let project = fixture.project();
    let subnets: Vec<_> = project.networks.values().map(|network| network.subnet).collect();
    assert_eq!(subnets.len(), 2);
    assert!(!subnets[0].contains(&subnets[1]) && !subnets[1].contains(&subnets[0]), "{subnets:?}");
}

#[test]
fn names_on_a_network_are_the_host_name_then_its_own() {
    let fixture = Fixture::new("vms: {api: {image: ./a, replicas: 1, hostname: Front.example.org}}");
    let project = fixture.project();
    let host = project.networks.values().next().unwrap().hosts.values().next().unwrap();
    assert_eq!(host.names, ["front.example.org", "api-1", "api"]);
}

#[test]
fn a_network_says_what_it_hands_out() {
    let fixture = Fixture::new(
        "networks:
  n:
    { mode: routed, subnet: 10.9.0.0/24, subnet6: 'fd00:9::/64', mtu: 1400, domain: Lab.Example, bandwidth: {inbound: 1MiB},
      dhcp: {range: 10.9.0.100-10.9.0.120}, dns: {forwarders: [9.9.9.9], hosts: {registry: 10.9.0.7}},
      routes: [{to: 10.30.0.0/16, via: 10.9.0.7}] }
  lan: { mode: bridge, bridge: br0, vlan: 7, subnet: 192.168.7.0/24, gateway: 192.168.7.254 }
vms:
  a:
    { image: ./a, cloud_init: {}, networks: {
        lan: {ip: 192.168.7.1, default_route: true}, n: {ip: 10.9.0.7, ip6: 'fd00:9::7', aliases: [db, main]}} }
  b: { image: ./a, networks: {n: {aliases: [db]}} }",
    );
    let project = fixture.project();
    let [lan, n] = ["lan", "n"].map(|name| &project.networks[&NetworkName::new(name).unwrap()]);
    assert_eq!(
        (lan.mode, lan.settings.device.as_deref(), lan.settings.vlan),
        (NetworkMode::Bridge, Some("br0"), Some(7))
    );
    assert_eq!((lan.gateway().to_string(), lan.has_dhcp()), ("192.168.7.254".to_owned(), false));
    let settings = &n.settings;
    assert_eq!(
        (n.mode, settings.mtu, settings.domain.as_deref()),
        (NetworkMode::Routed, Some(1400), Some("lab.example"))
    );
    assert_eq!(settings.bandwidth.inbound, Some(Bytes::mib(1)));
    assert_eq!(settings.dhcp.range.map(|(first, _)| first.to_string()), Some("10.9.0.100".to_owned()));
    assert_eq!(settings.routes[0].via.to_string(), "10.9.0.7");
    let names: Vec<String> = n.names().iter().map(|(ip, names)| format!("{ip} {}", names.join(" "))).collect();
    let b = &project.vms[&VmName::new("b").unwrap()].interfaces[0];
    // An address has one entry with all its names, whoever gave them.
    for entry in ["10.9.0.7 a db main registry".to_owned(), "fd00:9::7 a db main".to_owned(), format!("{} b db", b.ip)]
    {
        assert!(names.contains(&entry), "{entry} is not in {names:?}");
    }
    assert!(b.ip6.is_some_and(|ip| ip.to_string().starts_with("fd00:9::5054:ff:fe")), "{:?}", b.ip6);
    let a = &project.vms[&VmName::new("a").unwrap()].interfaces;
    assert_eq!(a[1].mac.to_string(), "be:ef:0a:09:00:07");
    assert!(a[0].default_route && !a[1].default_route);
}

#[test]
fn every_vm_of_a_large_network_has_a_hardware_address_of_its_own() {
    let fixture =
        Fixture::new("networks: {n: {subnet: 10.0.0.0/16}}\nvms: {a: {image: ./a, networks: [n], replicas: 6000}}");
    let project = fixture.project();
    let macs: BTreeSet<_> = project.vms.values().map(|vm| vm.interfaces[0].mac).collect();
    assert_eq!(macs.len(), 6000);
}

#[test]
fn an_image_by_path_is_named_after_its_file_and_the_same_path_is_the_same_image() {
    let fixture = Fixture::new(
        "images: {base-img: ./x}\nvms:\n  a: {image: ./d/Base.img}\n  b: {image: ./d/./Base.img}\n  c: {image: ./e/Base.img}\n  d: {image: base-img}\n  e: {boot: {kernel: ./d/Base.img}}\n",
    );
    let project = fixture.project();
    let image = |name: &str| vm(&project, name).boot.images().next().unwrap().name.to_string();
    assert_eq!(
        ["a", "b", "c", "d", "e"].map(image),
        ["base-img-2", "base-img-2", "base-img-3", "base-img", "base-img-4"]
    );
    assert_eq!(project.images[&ImageName::new("base-img-4").unwrap()].role, ImageRole::Kernel);
}

#[test]
fn an_image_that_nobody_uses_is_left_out() {
    let fixture = Fixture::new("images: {a: ./a, b: ./b}\nvms: {web: {image: a}}");
    assert_eq!(fixture.project().images.len(), 1);
}

#[test]
fn disks_without_a_name_are_numbered_around_those_that_have_one() {
    assert_eq!(disks("{size: 1GiB}, {size: 1GiB, name: disk2}, {size: 1GiB}"), ["disk1", "disk2", "disk3"]);
}

#[test]
fn a_disk_without_a_name_keeps_it_wherever_volumes_and_named_disks_are_put() {
    let sorted = |list: &str| {
        let mut names = disks(list);
        names.sort();
        names
    };
    let before = sorted("{volume: v}, {size: 1GiB, name: a}, {size: 1GiB}, {size: 2GiB}");
    assert_eq!(before, ["a", "disk1", "disk2", "v"]);
    assert_eq!(sorted("{size: 1GiB}, {volume: v}, {size: 2GiB}, {size: 1GiB, name: a}"), before);
}

/// The names of the further disks of a vm, in the order of the file.
fn disks(list: &str) -> Vec<String> {
    let file = format!("volumes: {{v: {{size: 1GiB}}}}\nvms: {{web: {{image: ./a, disks: [{list}]}}}}");
    let project = Fixture::new(&file).project();
    let name = |disk: &Disk| match disk {
        Disk::Own { name, .. } => name.to_string(),
        Disk::Volume { volume } => volume.to_string(),
    };
    vm(&project, "web").disks.iter().map(name).collect()
}

#[test]
fn the_same_file_is_the_same_project() {
    let fixture = Fixture::new(include_str!("full.yaml"));
    let parse = || {
        let parsed = fixture.parse().unwrap();
        let resolved = serde_yaml::to_string(&parsed.resolved()).unwrap();
        (parsed.project.networks, parsed.project.volumes, parsed.project.vms, resolved)
    };
    assert_eq!(parse(), parse());
}

#[test]
fn a_dollar_sign_survives_in_the_resolved_file() {
    let fixture = Fixture::new("vms: {web: {image: ./a, labels: {x: 'costs 5$$', y: $V}}}").env("V", "${W}");
    let again = Fixture::new(&serde_yaml::to_string(&fixture.parse().unwrap().resolved()).unwrap());
    assert_eq!(vm(&again.project(), "web").labels, vm(&fixture.project(), "web").labels);
}

/// What `config` prints of a fixture, in a folder of its own.
fn printed(fixture: &Fixture) -> Fixture {
    match fixture.parse() {
        Ok(parsed) => Fixture::new(&serde_yaml::to_string(&parsed.resolved()).unwrap()),
        Err(mistakes) => panic!("{mistakes}"),
    }
}

/// A project but for what only helps to tell where it comes from.
fn meaning(fixture: &Fixture) -> String {
    let mut project = fixture.project();
    project.origins.clear();
    project.vms.values_mut().for_each(|vm| vm.replica_of = None);
    format!("{project:#?}")
}

fn assert_printed_means_the_same(fixture: &Fixture) {
    let again = printed(fixture);
    assert_eq!(meaning(fixture), meaning(&again));
    let text = |fixture: &Fixture| serde_yaml::to_string(&fixture.parse().unwrap().resolved()).unwrap();
    assert_eq!(text(fixture), text(&again));
}

#[test]
fn what_config_prints_means_the_same() {
    for text in [
        // Names of several vms, on networks that are declared and on the one that is not.
        "networks: {back: {}}
vms:
  api: {image: ./a, replicas: 2, networks: [back, default], healthcheck: {tcp: 80}}
  job: {image: ./a, for_each: [x, y], networks: {back: {aliases: [work]}}}
  web: {image: ./a, depends_on: [api, job]}
  all: {image: ./a, replicas: 2, depends_on: {api: {condition: healthy}, off: {required: false}}}
  off: {image: ./a, profiles: [never]}",
        // Numbers that were computed, and texts that only look like numbers.
        "vars: {n: 3}
vms:
  web:
    image: ./a
    cpus: '${CP}'
    autostart: '{{ vars.n == 3 }}'
    labels: {a: '${CP}', b: '0${CP}', c: '1.{{ vars.n }}0', d: '3'}
    cloud_init: {config: {bootcmd: ['{{ vars.n }}'], x: '${CP}'}, write_files: [{path: /x, content: '{{ vars.n }}', permissions: '0{{ 644 }}'}]}",
        // Braces and dollars that are the guest's.
        "vms:
  web:
    image: ./a
    labels: {x: '{% raw %}{{ a }} {% b %} {# c #} {{{{{% endraw %}', y: '$${HOME}'}
    cloud_init: {user_data: \"#!/bin/sh\\n{% raw %}echo {{ $HOME }}{% endraw %}\\n\"}
    provision: {run: '{% raw %}{{ x }}{% endraw %} ${HOME}'}",
        // Paths.
        "images: {own: {source: images/own.qcow2}}
secrets: {a: {file: ./a.key}, b: {sops: b.enc}, c: {sops: {file: ../c.enc}}}
vms:
  a: {image: own, shares: ['./code:/srv/code:ro', {source: etc, target: /srv/etc}]}
  b: {image: debian:12, healthcheck: {http: {port: 443, tls: {ca: ca.pem}}}}
  c: {boot: {kernel: ./vmlinuz, initrd: initrd.img}}
  d: {image: pool:volume.qcow2}
  e: {boot: {cdrom: ./d.iso}, disk: 1GiB}",
    ] {
        assert_printed_means_the_same(&Fixture::new(text).env("CP", "3"));
    }
}

#[test]
fn paths_of_an_included_file_are_printed_as_they_are_meant() {
    let fixture = Fixture::new("include: [sub/inc.yaml]\nvms: {web: {image: ./web.qcow2}}")
        .file("sub/inc.yaml", "vms: {db: {image: ./img.qcow2, provision: {script: setup.sh}}}")
        .file("sub/setup.sh", "echo {{ not a template }}\n");
    assert_printed_means_the_same(&fixture);
    let project = printed(&fixture).project();
    let files: Vec<_> = project.images.values().map(|image| file(image).to_owned()).collect();
    assert_eq!(files, [fixture.directory().join("sub/img.qcow2"), fixture.directory().join("web.qcow2")]);
}

#[test]
fn the_default_network_need_not_be_declared_to_be_named() {
    for networks in ["[default]", "{default: {aliases: [x]}}", "[back, default]"] {
        let fixture =
            Fixture::new(&format!("networks: {{back: {{}}}}\nvms: {{web: {{image: ./a, networks: {networks}}}}}"));
        let project = fixture.project();
        assert!(vm(&project, "web").interfaces.iter().any(|nic| nic.network.as_str() == "default"), "{networks}");
    }
}

#[test]
fn vms_that_are_off_are_checked_too() {
    for off in ["profiles: [never]", "enabled: false", "replicas: 0", "for_each: []"] {
        let said = Fixture::new(&format!(
            "vms: {{web: {{image: ./a}}, db: {{{off}, image: ./b, memry: 1GiB, cpus: many, disk: '{{{{ each.value }}}}', hostname: '{{{{ oops'}}}}"
        ))
        .mistakes();
        for words in ["unknown key `memry` in `vms.db`", "`vms.db.cpus` must be a whole number", "not a template"] {
            assert!(said.contains(words), "{off}:\n{said}");
        }
        assert_eq!(said.matches("error:").count(), 3, "{off}:\n{said}");
        // What it refers to may be missing.
        let lenient = format!("vms: {{web: {{image: ./a}}, db: {{{off}, image: nowhere, depends_on: [nobody]}}}}");
        assert_eq!(Fixture::new(&lenient).mistakes(), "");
    }
}
