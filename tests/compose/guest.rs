//! What a guest is told at its first boot: structured keys, texts, files, templates, mounts, keys.

use std::fs;

use vmcompose::model::cloud_init::{CloudInit, Command, DataDisk, Filesystem, User};
use vmcompose::model::{Condition, Healthcheck, Probe, ProjectKey};
use vmcompose::units::Span;

use crate::compose::fixture::{Fixture, vm};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPuD3bB6mCVAUUFkWxdTE5sDJ6JyJzDGzSiVGVSbUNh me@host";

fn told(yaml: &str) -> CloudInit {
    *vm(&Fixture::new(yaml).project(), "web").cloud_init.clone().expect("it is told something")
}

fn with(cloud_init: &str) -> String {
    format!("vms:\n  web:\n    image: ./a\n    cloud_init:\n{cloud_init}")
}

#[test]
fn structured_keys_arrive_and_a_dollar_is_the_guests() {
    let settings = told(&with(
        "      packages: [nginx]\n      runcmd: [\"echo $HOME ${X}\", [sleep, 5]]\n      write_files:\n        - {path: \
         /etc/a, content: \"{{ project.name }}\", permissions: '0640'}\n      users: [{name: ada, groups: sudo}]\n      \
         config: {swap: {size: 0}}\n",
    ));
    assert_eq!(settings.packages, ["nginx"]);
    let words = vec!["sleep".to_owned(), "5".to_owned()];
    assert_eq!(settings.runcmd, [Command::Shell("echo $HOME ${X}".to_owned()), Command::Program(words)]);
    assert_eq!(settings.write_files[0].content, Fixture::new(&with("      {}\n")).project().name.as_str());
    assert_eq!((settings.users[0].name.as_str(), settings.users[0].groups.len()), ("ada", 1));
    assert_eq!(settings.config["swap"]["size"], 0);
}

#[test]
fn mounts_and_keys_ask_for_cloud_init_by_themselves() {
    let settings = told(&format!(
        "volumes: {{data: {{size: 1GiB}}}}\nvms:\n  web:\n    image: ./a\n    disks: [{{volume: data, mount: /srv}}, {{size: 1GiB}}]\n    \
         ssh: {{authorized_keys: {KEY}}}\n"
    ));
    let disk = DataDisk { serial: "data".to_owned(), path: "/srv".to_owned(), filesystem: Filesystem::Ext4 };
    assert_eq!(
        settings,
        CloudInit { disks: vec![disk], ssh_authorized_keys: vec![KEY.to_owned()], ..settings.clone() }
    );
    let silent = Fixture::new("vms: {web: {image: ./a, ssh: false}}").project();
    assert_eq!((&vm(&silent, "web").cloud_init, &vm(&silent, "web").ssh), (&None, &None));
}

/// Whether a vm of these keys lets in the project's key, and who logs in.
fn login(keys: &str) -> (bool, Option<String>) {
    let project = Fixture::new(&format!("vms:\n  web: {{{keys}}}\n")).project();
    let web = vm(&project, "web");
    let key = web.cloud_init.as_ref().and_then(|settings| settings.project_key.clone());
    assert!(key.as_ref().is_none_or(|key| *key == ProjectKey::Wanted), "nobody has made one yet");
    (key.is_some(), web.ssh.as_ref().and_then(|ssh| ssh.user.clone()))
}

#[test]
fn an_image_lets_in_the_projects_key_unless_the_file_gives_one_or_says_no() {
    assert_eq!(login("image: ./a"), (true, None));
    assert_eq!(login("image: ./a, ssh: false"), (false, None));
    let given = [
        format!("image: ./a, ssh: {{authorized_keys: {KEY}}}"),
        format!("image: ./a, cloud_init: {{ssh_authorized_keys: [{KEY}]}}"),
        format!("image: ./a, cloud_init: {{users: [{{name: a, ssh_authorized_keys: [{KEY}]}}]}}"),
        "image: ./a, cloud_init: {user_data: \"#cloud-config\\nssh_import_id: [gh:a]\"}".to_owned(),
    ];
    for keys in given {
        assert!(!login(&keys).0, "{keys}");
    }
    assert!(login("image: ./a, cloud_init: {user_data: \"#!/bin/sh\"}").0);
    assert_eq!(login("boot: {kernel: ./k}"), (false, None));
    assert_eq!(login("boot: {kernel: ./k}, ssh: true"), (true, None));
}

#[test]
fn the_account_is_the_files_else_the_first_it_makes_else_the_images() {
    let user = |keys: &str| login(keys).1;
    assert_eq!(user("image: debian:12").as_deref(), Some("debian"));
    assert_eq!(user("image: ./Rocky-9.qcow2").as_deref(), Some("rocky"));
    assert_eq!(user("image: debian:12, cloud_init: {users: [{name: ada}, {name: bob}]}").as_deref(), Some("ada"));
    assert_eq!(user("image: debian:12, ssh: {user: eve}, cloud_init: {users: [{name: ada}]}").as_deref(), Some("eve"));
    let port = Fixture::new("vms: {web: {image: ./a, ssh: {port: 2222}, healthcheck: {ssh: true}}}").project();
    let probes = vm(&port, "web").healthcheck.as_ref().map(|check| check.probes.clone());
    assert_eq!(probes, Some(vec![Probe::Ssh { host: None, port: 2222 }]));
    assert_eq!(vm(&port, "web").ssh.as_ref().and_then(|ssh| ssh.port), Some(2222));
}

#[test]
fn the_key_gets_to_the_images_account_and_to_the_one_that_logs_in() {
    let told = |user: &str| {
        let users = ["ada", "bob"].map(|name| User { name: name.to_owned(), ..User::default() });
        let key = Some(ProjectKey::Public("key".to_owned()));
        let settings = CloudInit { users: users.into(), project_key: key, ..CloudInit::default() };
        let settings = settings.with_project_key(Some(user));
        (settings.ssh_authorized_keys, settings.users.into_iter().map(|user| user.ssh_authorized_keys.len()).collect())
    };
    assert_eq!(told("bob"), (vec!["key".to_owned()], vec![0, 1]));
    assert_eq!(told("debian"), (vec!["key".to_owned()], vec![0, 0]));
}

#[test]
fn a_file_is_taken_as_it_is_and_a_template_sees_what_its_vm_sees() {
    let fixture = Fixture::new(
        "vms:\n  web:\n    image: ./a\n    replicas: 1\n    cloud_init:\n      user_data: {file: ./raw.yaml}\n      parts: \
         [{template: ./made.yaml}, \"#!/bin/sh\\necho {{ index }}\"]\n",
    );
    fs::write(fixture.directory().join("raw.yaml"), "#cloud-config\nruncmd: ['echo {{ v }} $X']\n").unwrap();
    fs::write(fixture.directory().join("made.yaml"), "#cloud-config\nhostname: h{{ index }}\n").unwrap();
    let project = fixture.project();
    let parts: Vec<&str> =
        vm(&project, "web-1").cloud_init.as_ref().unwrap().user_data.iter().map(|part| part.content.as_str()).collect();
    let raw = "#cloud-config\nruncmd: ['echo {{ v }} $X']\n";
    assert_eq!(parts, [raw, "#cloud-config\nhostname: h1\n", "#!/bin/sh\necho 1"]);
}

#[test]
fn a_mistake_in_a_file_with_user_data_is_shown_in_that_file() {
    let fixture = Fixture::new("vms: {web: {image: ./a, cloud_init: {user_data: {file: ./raw.yaml}}}}");
    fs::write(fixture.directory().join("raw.yaml"), "#cloud-config\nhostname: a\npackages: nginx: 1\n").unwrap();
    let said = fixture.mistakes();
    assert!(said.contains("raw.yaml:3:") && said.contains("cloud-config is not YAML"), "{said}");
    let template = Fixture::new("vms: {web: {image: ./a, cloud_init: {user_data: {template: ./made.yaml}}}}");
    fs::write(template.directory().join("made.yaml"), "#cloud-config\nhostname: {{ nobody }}\n").unwrap();
    let said = template.mistakes();
    assert!(said.contains("made.yaml:2:") && said.contains("`nobody`"), "{said}");
}

#[test]
fn a_file_that_is_not_there_is_a_mistake_only_where_a_vm_needs_it() {
    let missing = "vms: {web: {image: ./a, PROFILE cloud_init: {user_data: {file: ./none.yaml}}}, b: {image: ./a}}";
    let said = Fixture::new(&missing.replace("PROFILE", "")).mistakes();
    assert!(said.contains("none.yaml`: there is no such file"), "{said}");
    assert_eq!(Fixture::new(&missing.replace("PROFILE", "profiles: [x],")).mistakes(), "");
}

#[test]
fn ready_asks_for_the_end_of_cloud_init_and_a_probe_may_too() {
    let project = Fixture::new(
        "vms:\n  web: {image: ./a, depends_on: {db: {condition: ready}}}\n  db: {image: ./a, cloud_init: {}}\n  c: {image: \
         ./a, healthcheck: {cloud_init: true}}\n  d: {image: ./a, healthcheck: {cloud_init: true, start_period: 5s}}\n",
    )
    .project();
    let conditions: Vec<Condition> = vm(&project, "web").depends_on.values().map(|on| on.condition).collect();
    assert_eq!(conditions, [Condition::Ready]);
    let check = |name: &str| vm(&project, name).healthcheck.clone().unwrap();
    assert_eq!((check("c").probes, check("c").start_period), (vec![Probe::CloudInit], Healthcheck::FIRST_BOOT));
    assert_eq!(check("d").start_period, Span::secs(5));
}
