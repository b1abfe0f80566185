//! What earlier versions recorded: read without planning a change.

use std::collections::BTreeMap;

use vmcompose::compose::{self, Request};
use vmcompose::image;
use vmcompose::model::{Project, Spec, Surroundings};
use vmcompose::names::ResourceId;
use vmcompose::plan::{Goal, Options, plan};
use vmcompose::state::record::Record;
use vmcompose::state::{Actual, ActualState, DesiredState, Phase};

const FILE: &str = "\
name: shop
networks: { lan: { subnet: 10.30.0.0/24, labels: { a: b } } }
vms:
  db:
    boot: { kernel: kernel, cmdline: quiet }
    memory: 160MiB
    networks: [lan]
    stop_grace_period: 5s
    healthcheck: { tcp: 5432, interval: 1s, timeout: 2s, retries: 3, start_period: 10s }
  web:
    boot: { kernel: kernel }
    networks: [lan]
    depends_on: { db: { condition: healthy } }
    disks: [{ name: scratch, size: 1GiB }]
    annotations: { c: d }
";

/// Records in the form of the first version that wrote any. `@…@` is what its addresses and digests would be.
const FIRST: [&str; 3] = [
    r#"{"version":1,"project":"shop","spec":{"kind":"network","spec":{"name":"lan","mode":"nat","subnet":"10.30.0.0/24",
        "hosts":{"db":{"mac":"@mac@","ip":"@ip@","names":["db"]},"web":{"mac":"@webmac@","ip":"@webip@","names":["web"]}},"labels":{"a":"b"}}},"applied_at":1,"applied_by":"0.1.0"}"#,
    r#"{"version":1,"project":"shop","spec":{"kind":"vm","spec":{"name":"db","hostname":"db","boot":{"kernel":{"kernel":
        {"name":"kernel","digest":"@digest@","format":"raw"},"initrd":null,"cmdline":"quiet"}},"cpus":1,"memory":"160MiB",
        "disk":null,"interfaces":[{"network":"lan","mac":"@mac@","ip":"@ip@"}],"healthcheck":{"probes":[{"tcp":{"host":null,
        "port":5432}}],"interval":"1s","timeout":"2s","retries":3,"start_period":"10s"},"stop_grace_period":"5s",
        "autostart":false,"protect":false,"accel":"auto"}},"applied_at":1,"applied_by":"0.1.0"}"#,
    r#"{"version":1,"project":"shop","spec":{"kind":"vm","spec":{"name":"web","hostname":"web","boot":{"kernel":{"kernel":
        {"name":"kernel","digest":"@digest@","format":"raw"},"initrd":null,"cmdline":""}},"cpus":1,"memory":"@memory@",
        "disk":null,"disks":[{"own":{"name":"scratch","size":"1GiB"}}],"interfaces":[{"network":"lan","mac":"@webmac@","ip":"@webip@"}],"depends_on":{"db":{"condition":"healthy",
        "required":true,"restart":false}},"stop_grace_period":"@grace@","autostart":false,"protect":false,"accel":"auto",
        "annotations":{"c":"d"}}},"applied_at":1,"applied_by":"0.1.0"}"#,
];

fn wanted() -> (Project, DesiredState) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("vmcompose.yaml"), FILE).expect("written");
    std::fs::write(folder.path().join("kernel"), "a kernel").expect("written");
    let request = Request { directory: folder.path().to_owned(), ..Request::default() };
    let sources = compose::gather(&request).expect("readable");
    let project = compose::parse(&sources, &request, &Surroundings::default()).expect("valid").project;
    let images = image::inspect(&image::files(&project.images).expect("files only")).expect("images");
    let desired = DesiredState::up(&project, &images).expect("no cycle");
    (project, desired)
}

#[test]
fn what_the_first_version_recorded_is_read_and_nothing_is_planned() {
    let (project, desired) = wanted();
    let db = &project.vms[&"db".parse().expect("legal")];
    let web = &project.vms[&"web".parse().expect("legal")];
    let digest = desired.specs.values().find_map(|spec| match spec {
        Spec::Image(image) => Some(image.digest.to_string()),
        _ => None,
    });
    let values = BTreeMap::from([
        ("@mac@", db.interfaces[0].mac.to_string()),
        ("@ip@", db.interfaces[0].ip.to_string()),
        ("@webmac@", web.interfaces[0].mac.to_string()),
        ("@webip@", web.interfaces[0].ip.to_string()),
        ("@digest@", digest.expect("an image")),
        // Defaults of the file, which are no part of the format.
        ("@memory@", web.memory.to_string()),
        ("@grace@", web.stop_grace_period.to_string()),
    ]);
    let mut actual = ActualState::default();
    let mut add = |recorded: Spec| {
        let found = Actual { recorded, phase: Phase::Running, applied_at: None, seen: None };
        actual.resources.insert(found.recorded.id(), found);
    };
    for text in FIRST {
        let text = values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
        let record = Record::decode(&text).expect("readable");
        assert_eq!(record.project, project.name);
        add(record.spec);
    }
    // Pools and images carry no metadata.
    for (id, spec) in &desired.specs {
        if matches!(id, ResourceId::Pool(_) | ResourceId::Image(_)) {
            add(spec.clone());
        }
    }
    assert_eq!(actual.resources.len(), desired.specs.len());
    let plan = plan(&desired, &actual, &Options::new(Goal::Up)).expect("a plan");
    assert!(plan.is_empty(), "{plan:#?}");
}
