//! The binary as a shell sees it: exit codes, what goes to which stream, what is left untouched after a refusal.
//!
//! Runs against the test driver behind the daemon, which keeps its state between processes while somebody is connected.

use std::fs;

use crate::support::desk::Desk;
use crate::support::qemu::enabled;
use virt::domain::Domain;

const PAIR: &str = "vms:\n  db: { boot: { kernel: kernel } }\n  web: { boot: { kernel: kernel }, depends_on: [db] }\n";

#[test]
fn a_typo_is_answered_with_its_place_and_a_hint() {
    let desk = Desk::offline("vms:\n  db: { boot: { kernel: kernel }, memroy: 1GiB }\n");
    let run = desk.run(&["up"]).expect(2);
    for word in ["vmcompose.yaml:2:35", "memroy", "did you mean `memory`"] {
        assert!(run.stderr.contains(word), "`{word}` is not in:\n{}", run.stderr);
    }
    assert_eq!(run.stdout, "");
}

#[test]
fn what_is_wrong_with_a_file_is_there_for_programs_too() {
    let desk = Desk::offline("vms:\n  db: { boot: { kernel: kernel }, memroy: 1GiB }\n");
    let run = desk.run(&["validate", "--format", "json"]).expect(2);
    let facts: serde_json::Value = serde_json::from_str(&run.stdout).expect("json");
    assert_eq!(facts["valid"], false);
    let mistake = &facts["diagnostics"][0];
    assert_eq!((&mistake["severity"], &mistake["labels"][0]["line"]), (&"error".into(), &2.into()), "{facts:#}");
    assert!(mistake["hints"][0].as_str().expect("a hint").contains("memory"), "{facts:#}");
    assert_eq!(run.stderr, "");
    let right = Desk::offline(PAIR).run(&["validate", "--format", "json"]).expect(0);
    assert!(right.stdout.contains("\"valid\": true"), "{}", right.stdout);
}

#[test]
fn a_command_line_that_cannot_be_read_ends_with_1() {
    let desk = Desk::offline(PAIR);
    let run = desk.run(&["up", "--frobnicate"]).expect(1);
    assert!(run.stderr.contains("--frobnicate"), "{}", run.stderr);
    desk.run(&["--help"]).expect(0);
    let missing = desk.run(&["-f", "nowhere.yaml", "validate"]).expect(1);
    assert!(missing.stderr.contains("nowhere.yaml"), "{}", missing.stderr);
}

#[test]
fn no_hypervisor_ends_with_3_and_says_what_to_do() {
    let desk = Desk::offline(PAIR);
    let run = desk.run_on("qemu+unix:///system?socket=/nonexistent/libvirt-sock", &["up"]).expect(3);
    assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
    assert!(run.stderr.contains("hint: "), "{}", run.stderr);
}

#[test]
fn a_missing_image_ends_with_5_and_is_named() {
    if !enabled() {
        return;
    }
    let desk = Desk::online("vms: { db: { boot: { kernel: nowhere/kernel } } }\n");
    let run = desk.run(&["up"]).expect(5);
    assert!(run.stderr.contains("nowhere/kernel") && run.stderr.contains("no such file"), "{}", run.stderr);
    assert_eq!(desk.inventory(), Vec::<String>::new());
}

#[test]
fn a_command_in_a_vm_that_has_no_agent_ends_with_4_and_in_one_that_is_not_there_with_1() {
    if !enabled() {
        return;
    }
    let desk = Desk::online(PAIR);
    let run = desk.run(&["exec", "db", "--", "true"]).expect(1);
    assert!(run.stderr.contains("vm `db` does not exist on the hypervisor"), "{}", run.stderr);
    desk.run(&["up"]).expect(0);
    let run = desk.run(&["exec", "db", "--", "true"]).expect(4);
    assert!(run.stderr.contains("has no guest agent"), "{}", run.stderr);
    desk.run(&["down"]).expect(0);
}

#[test]
fn a_busy_subnet_ends_with_5_and_names_who_has_it() {
    if !enabled() {
        return;
    }
    // The test driver comes with a network `default` on 192.168.122.0/24.
    let desk = Desk::online(&format!("networks: {{ default: {{ subnet: 192.168.122.0/25 }} }}\n{PAIR}"));
    let run = desk.run(&["up"]).expect(5);
    for word in ["192.168.122.0/25", "network `default`", "vmcompose.yaml:1"] {
        assert!(run.stderr.contains(word), "`{word}` is not in:\n{}", run.stderr);
    }
    assert_eq!(desk.inventory(), Vec::<String>::new());
}

#[test]
fn a_foreign_domain_of_the_same_name_ends_with_8_and_is_left_alone() {
    if !enabled() {
        return;
    }
    let desk = Desk::online(PAIR);
    let name = format!("{}-db", desk.project);
    let xml = format!("<domain type='test'><name>{name}</name><memory>8192</memory><os><type>hvm</type></os></domain>");
    let keeper = desk.keeper.as_ref().expect("online");
    let foreign = Domain::define_xml(keeper, &xml).expect("defined");
    let before = foreign.get_xml_desc(0).expect("xml");
    for verb in ["up", "plan"] {
        let run = desk.run(&[verb]).expect(8);
        assert!(run.stderr.contains(&name) && run.stderr.contains("vm `db`"), "{}", run.stderr);
    }
    desk.run(&["down"]).expect(0);
    assert_eq!(desk.inventory(), [name]);
    assert_eq!(foreign.get_xml_desc(0).expect("xml"), before);
    foreign.undefine().expect("undefined");
}

#[test]
fn up_and_down_change_nothing_the_second_time() {
    if !enabled() {
        return;
    }
    let desk = Desk::online(PAIR);
    let plan = desk.run(&["plan", "--exit-code"]).expect(10);
    assert!(plan.stdout.contains("2 vms") || plan.stdout.contains("db"), "{}", plan.stdout);
    assert_eq!(desk.inventory(), Vec::<String>::new(), "plan changed something");
    let up = desk.run(&["up"]).expect(0);
    assert_eq!(up.stdout, "", "progress is no data");
    let there = desk.inventory();
    assert_eq!(there.len(), 3, "{there:?}");
    desk.run(&["plan", "--exit-code"]).expect(0);
    let again = desk.run(&["up"]).expect(0);
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);
    assert_eq!(desk.inventory(), there);
    desk.run(&["down"]).expect(0);
    assert_eq!(desk.inventory(), Vec::<String>::new());
    let again = desk.run(&["down"]).expect(0);
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);
}

#[test]
fn a_vm_added_to_the_file_joins_those_that_run() {
    if !enabled() {
        return;
    }
    let desk = Desk::online(PAIR);
    desk.run(&["up"]).expect(0);
    let ps = |desk: &Desk| -> serde_json::Value {
        serde_json::from_str(&desk.run(&["ps", "--format", "json"]).expect(0).stdout).expect("json")
    };
    let before = ps(&desk);
    fs::write(desk.path().join("vmcompose.yaml"), format!("{PAIR}  new: {{ boot: {{ kernel: kernel }} }}\n"))
        .expect("written");
    desk.run(&["up"]).expect(0);
    let after = ps(&desk);
    let rows = |value: &serde_json::Value| {
        let mut rows = value["vms"].as_array().expect("a list").clone();
        rows.iter_mut().filter_map(|row| row.as_object_mut()).for_each(|row| drop(row.remove("age_s")));
        rows
    };
    assert_eq!(rows(&after).len(), 3);
    assert!(rows(&before).iter().all(|row| rows(&after).contains(row)), "somebody moved:\n{before:#}\n{after:#}");
    desk.run(&["down"]).expect(0);
}

#[test]
fn volumes_are_deleted_only_when_that_is_confirmed() {
    if !enabled() {
        return;
    }
    let desk = Desk::online(
        "volumes: { data: { size: 1MiB } }\nvms: { db: { boot: { kernel: kernel }, disks: [{ volume: data }] } }\n",
    );
    desk.run(&["up"]).expect(0);
    let refused = desk.run(&["down", "--volumes"]).expect(8);
    assert!(refused.stderr.contains("volume `data`") && refused.stderr.contains("--yes"), "{}", refused.stderr);
    assert_eq!(desk.inventory().len(), 2, "a refusal changed something");
    let kept = desk.run(&["down"]).expect(0);
    assert!(kept.stderr.contains("data"), "what is kept is not named:\n{}", kept.stderr);
    desk.run(&["plan", "--destroy", "--volumes", "--exit-code"]).expect(10);
    desk.run(&["down", "--volumes", "--yes"]).expect(0);
    desk.run(&["plan", "--destroy", "--volumes", "--exit-code"]).expect(0);
}

#[test]
fn down_works_in_a_folder_without_a_file() {
    if !enabled() {
        return;
    }
    let desk = Desk::online(PAIR);
    desk.run(&["up"]).expect(0);
    fs::remove_file(desk.path().join("vmcompose.yaml")).expect("removed");
    desk.run(&["down"]).expect(0);
    assert_eq!(desk.inventory(), Vec::<String>::new());
}

#[test]
fn init_writes_a_valid_file_and_never_over_one() {
    let desk = Desk::offline(PAIR);
    let refused = desk.run(&["init"]).expect(1);
    assert!(refused.stderr.contains("vmcompose.yaml"), "{}", refused.stderr);
    assert_eq!(fs::read_to_string(desk.path().join("vmcompose.yaml")).expect("there"), PAIR);
    desk.run(&["-f", "new.yaml", "init"]).expect(0);
    desk.run(&["-f", "new.yaml", "validate"]).expect(0);
    // In two folders they are two projects.
    let written = fs::read_to_string(desk.path().join("new.yaml")).expect("there");
    assert!(!written.contains("\nname:"), "{written}");
    let printed = desk.run(&["-f", "new.yaml", "config"]).expect(0).stdout;
    assert!(printed.starts_with("name: ") && !printed.contains("my-project"), "{printed}");
}

#[test]
fn ls_counts_the_vms_of_every_project() {
    if !enabled() {
        return;
    }
    let desk = Desk::online(PAIR);
    let listed = |options: &[&str]| {
        let arguments: Vec<&str> = ["ls", "--format", "json"].iter().chain(options).copied().collect();
        let shape: serde_json::Value = serde_json::from_str(&desk.run(&arguments).expect(0).stdout).expect("json");
        let projects = shape["projects"].as_array().expect("a list").clone();
        projects.into_iter().find(|project| project["project"] == desk.project.as_str())
    };
    assert_eq!(listed(&["-a"]), None);
    desk.run(&["up"]).expect(0);
    let row = listed(&[]).expect("it runs");
    assert_eq!((&row["vms"], &row["health"]), (&serde_json::json!({"running": 2}), &serde_json::json!({"none": 2})));
    let keeper = desk.keeper.as_ref().expect("online");
    for vm in ["db", "web"] {
        let domain = Domain::lookup_by_name(keeper, &format!("{}-{vm}", desk.project)).expect("a domain");
        domain.destroy().expect("pulled");
    }
    assert_eq!(listed(&[]), None, "nothing of it runs");
    assert_eq!(listed(&["-a"]).expect("it is there")["vms"], serde_json::json!({"stopped": 2}));
    assert!(desk.run(&["ls", "-a", "-q"]).expect(0).stdout.lines().any(|line| line == desk.project));
    desk.run(&["down", "--yes"]).expect(0);
    assert_eq!(listed(&["-a"]), None);
}
