//! Where the lines stand that cloud-init is going to read.

use vmcompose::model::instruction::{Instruction, guilty};
use vmcompose::names::VmName;

use crate::compose::fixture::Fixture;

/// All of a vm, as `file:line key about`.
fn told(fixture: &Fixture, vm: &str) -> Vec<Instruction> {
    let all = fixture.parse().unwrap().instructions();
    all[&VmName::new(vm).unwrap()].clone()
}

fn places(told: &[Instruction]) -> Vec<String> {
    let place = |one: &Instruction| {
        let about = one.about.as_deref().map(|about| format!(" {about}")).unwrap_or_default();
        format!("{} {}{about}", one.origin, one.key)
    };
    told.iter().map(place).collect()
}

#[test]
fn keys_and_items_are_known_by_their_lines() {
    let fixture = Fixture::new(
        "vms:
  web:
    image: ./a
    replicas: 2
    disks: [{size: 1GiB}, {size: 1GiB, mount: /srv/data}]
    shares: [./src:/srv/src:ro, {source: ./lib, target: /srv/lib}]
    cloud_init:
      timezone: \"Mars/{{ index }}\"
      packages:
        - nginx
        - curl
      write_files: [{path: /etc/a, content: x}]
      runcmd:
        - echo one
        - [systemctl, start, it]
      config:
        ntp: {enabled: true}
",
    );
    let told = told(&fixture, "web-2");
    assert_eq!(
        places(&told),
        [
            "vmcompose.yaml:8 timezone",
            "vmcompose.yaml:9 packages",
            "vmcompose.yaml:10 packages nginx",
            "vmcompose.yaml:11 packages curl",
            "vmcompose.yaml:12 write_files",
            "vmcompose.yaml:12 write_files /etc/a",
            "vmcompose.yaml:13 runcmd",
            "vmcompose.yaml:14 runcmd echo one",
            "vmcompose.yaml:15 runcmd systemctl start it",
            "vmcompose.yaml:17 ntp",
            "vmcompose.yaml:6 shares /srv/src",
            "vmcompose.yaml:6 shares /srv/lib",
            "vmcompose.yaml:5 disks /srv/data",
        ]
    );
    let guilty = guilty(&told, "cloud-init failed in its module `timezone`: x", "").unwrap();
    assert_eq!(guilty.line, "timezone: \"Mars/{{ index }}\"", "the line is the user's own");
}

#[test]
fn lines_of_raw_user_data_are_known_too_in_the_file_and_beside_it() {
    let text = "#cloud-config
packages:
  - nginx
write_files:
  - path: /etc/a
    content: x
";
    let beside =
        Fixture::new("vms: {web: {image: ./a, cloud_init: {user_data: {file: web.yaml}}}}").file("web.yaml", text);
    let indented = format!("        {}", text.trim_end().replace('\n', "\n        "));
    let within =
        Fixture::new(&format!("vms:\n  web:\n    image: ./a\n    cloud_init:\n      user_data: |\n{indented}\n"));
    let lines = |file: &str, first: usize| {
        let all = [(1, "packages"), (2, "packages nginx"), (3, "write_files"), (4, "write_files /etc/a")];
        all.map(|(line, what)| format!("{file}:{} {what}", first + line))
    };
    assert_eq!(places(&told(&beside, "web"))[1..], lines("web.yaml", 1));
    assert_eq!(places(&told(&within, "web"))[1..], lines("vmcompose.yaml", 6));
}
