//! Scripts and files for guests that are up, folders that they share, and what one with Ignition is told.

use vmcompose::model::cloud_init::ShareMount;
use vmcompose::model::{Share, Task, TaskAction};
use vmcompose::names::VmName;
use vmcompose::units::Span;

use crate::compose::fixture::{Fixture, vm};

fn with(keys: &str) -> Fixture {
    Fixture::new(&format!("vms:\n  web:\n    image: ./a\n{keys}"))
}

fn tasks(fixture: &Fixture) -> Vec<Task> {
    let project = fixture.project();
    let tasks = project.tasks[&VmName::new("web").unwrap()].clone();
    assert_eq!(vm(&project, "web").provision, tasks.iter().map(Task::done).collect::<Vec<_>>());
    tasks
}

fn script(task: &Task) -> &str {
    match &task.action {
        TaskAction::Run { script, .. } => script,
        TaskAction::File { .. } => panic!("{task:?} is no script"),
    }
}

#[test]
fn a_text_is_a_script_whose_dollar_is_the_guests_and_whose_first_line_names_it() {
    let found =
        tasks(&with("    provision: |\n      # first\n      set -x\n      echo $HOME ${X} {{ project.name }}\n"));
    assert_eq!(script(&found[0]), "# first\nset -x\necho $HOME ${X} shop\n");
    assert_eq!((found[0].label.as_str(), found[0].timeout), ("echo $HOME ${X} shop", Task::TIMEOUT));
}

#[test]
fn scripts_and_sources_are_read_as_they_are_and_carry_the_name_of_their_file() {
    let fixture = with(
        "    provision:
      - {script: in/setup.sh, user: ada, workdir: /srv, timeout: 5s, env: {A: 1, B: \"x {{ index }}\"}}
      - {script: in/setup.sh, name: again}
      - {file: {source: in/app.conf, path: /etc/app.conf, owner: 'ada:www', permissions: '0600'}}
      - {file: {content: x, path: /etc/x}}
",
    );
    let fixture = fixture.file("in/setup.sh", "echo {{ no }} $X\n").file("in/app.conf", "a = {{ b }}\n");
    let found = tasks(&fixture);
    let labels: Vec<&str> = found.iter().map(|task| task.label.as_str()).collect();
    assert_eq!(labels, ["setup.sh", "again", "/etc/app.conf", "/etc/x"]);
    assert_eq!(found[0].timeout, Span::secs(5));
    let TaskAction::Run { script, env, user, workdir } = &found[0].action else { panic!("{found:?}") };
    assert_eq!(script, "echo {{ no }} $X\n");
    assert_eq!((user.as_deref(), workdir.as_deref(), env["A"].as_str()), (Some("ada"), Some("/srv"), "1"));
    let TaskAction::File { content, owner, permissions, .. } = &found[2].action else { panic!("{found:?}") };
    assert_eq!((content.as_str(), owner.as_str(), permissions.as_str()), ("a = {{ b }}\n", "ada:www", "0600"));
    let TaskAction::File { owner, permissions, .. } = &found[3].action else { panic!("{found:?}") };
    assert_eq!((owner.as_str(), permissions.as_str()), ("root:root", "0644"));
}

#[test]
fn a_script_that_is_not_there_is_told_where_it_is_named() {
    let said = with("    provision: [{script: none.sh}]\n").mistakes();
    assert!(said.contains("none.sh`: there is no such file") && said.contains("vmcompose.yaml:4:"), "{said}");
}

#[test]
fn shares_are_absolute_and_mounted_by_cloud_init() {
    let fixture = with("    shares: [\"./code:/srv/code\", {source: /data, target: /srv/data/, read_only: true}]\n");
    let project = fixture.project();
    let code = fixture.directory().join("code").display().to_string();
    let share =
        |source: &str, target: &str, read_only| Share { source: source.into(), target: target.into(), read_only };
    let shares = [share(&code, "/srv/code", false), share("/data", "/srv/data", true)];
    assert_eq!(vm(&project, "web").shares, shares);
    let told = vm(&project, "web").cloud_init.as_ref().expect("it is told").shares.clone();
    assert_eq!(told, shares.iter().map(ShareMount::of).collect::<Vec<_>>());
}

#[test]
fn ignition_is_json_as_text_mapping_or_file() {
    let texts = [
        "    ignition: '{\"ignition\": {\"version\": \"3.4.0\"}, \"x\": \"$X\"}'\n",
        "    ignition: {ignition: {version: 3.4.0}, x: $X}\n",
        "    ignition: {file: core.ign}\n",
    ];
    for text in texts {
        let fixture = with(text).file("core.ign", r#"{"ignition": {"version": "3.4.0"}, "x": "$X"}"#);
        let config = vm(&fixture.project(), "web").ignition.clone().expect("a configuration");
        assert_eq!(config, serde_json::json!({ "ignition": { "version": "3.4.0" }, "x": "$X" }), "{text}");
    }
}

#[test]
fn protection_is_taken_over() {
    assert!(vm(&with("    protect: true\n").project(), "web").protect);
    assert!(!vm(&with("").project(), "web").protect);
}
