//! What may stand in the way of an adoption: a file with mistakes, another project, somebody else's record, an odd name. On
//! libvirt's test driver.

use std::fs;
use std::process::Command;

use virt::domain::Domain;

use super::{Strangers, says};
use crate::support::desk::{Desk, URI};
use crate::support::qemu::Run;

/// A domain of the test driver's with this name, and memory in MiB.
fn plain(name: &str, memory: u32) -> String {
    format!(
        "<domain type='test'><name>{name}</name><memory unit='MiB'>{memory}</memory><os><type>hvm</type></os></domain>"
    )
}

/// The same, gone when the test ends.
fn one_machine<'a>(desk: &'a Desk, name: &str) -> Strangers<'a> {
    let strangers = Strangers { desk, names: vec![format!("{}-{name}", desk.project)] };
    let keeper = desk.keeper.as_ref().expect("online");
    Domain::define_xml(keeper, &plain(&strangers.names[0], 64)).expect("defined");
    strangers
}

#[test]
fn the_file_that_is_there_says_what_is_adopted_and_a_mistake_in_it_is_told_first() {
    let desk = Desk::online("name: other\nvms: { x: { boot: { existing: m }, cpus: 1, memory: 64MiB, cpuz: 1 } }\n");
    let machines = one_machine(&desk, "m");
    let name = machines.names[0].as_str();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vmcompose"));
        command.env("XDG_CACHE_HOME", desk.path().join("cache")).env("XDG_STATE_HOME", desk.path().join("state"));
        command.current_dir(desk.path()).args(["-c", URI, "import"]).args(arguments);
        Run::of(&command.output().expect("the binary runs"))
    };
    for arguments in [&["--adopt", name][..], &[name]] {
        says(&run(arguments).expect(2), &["cpuz", "not known here"]);
    }
    assert!(!machines.definition(0).contains("<metadata>"), "nothing was adopted");
    says(&run(&["-f", "none.yaml", name]).expect(1), &["none.yaml", "no such file"]);
    says(&run(&["-f", "new.yaml", "-p", &desk.project, "--out", "new.yaml", name]).expect(0), &["wrote `new.yaml`"]);
    // A file with nothing but a name is yet to be written, and so is one that the shell has just made.
    let file = desk.path().join("vmcompose.yaml");
    fs::write(&file, format!("# soon\nname: {}-named\n", desk.project)).expect("written");
    says(&run(&[name]).expect(0), &[&format!("name: {}-named", desk.project)]);
    fs::write(&file, "").expect("written");
    says(&run(&["-p", &desk.project, name]).expect(0), &[&format!("name: {}", desk.project)]);
}

#[test]
fn of_two_projects_that_adopt_one_machine_at_once_one_has_it() {
    let (first, second) = (Desk::online(""), Desk::online(""));
    for desk in [&first, &second] {
        fs::remove_file(desk.path().join("vmcompose.yaml")).expect("the folder has no file");
    }
    let machines = one_machine(&first, "wanted");
    let name = machines.names[0].as_str();
    for _ in 0..8 {
        let (a, b) = std::thread::scope(|scope| {
            let other = scope.spawn(|| second.run(&["import", "--adopt", name]));
            (first.run(&["import", "--adopt", name]), other.join().expect("the binary runs"))
        });
        let (winner, loser, whose) = if a.code == 0 { (a, b, &first) } else { (b, a, &second) };
        says(&winner.expect(0), &["1 vm adopted"]);
        says(&loser.expect(8), &[&format!("is of project `{}` already", whose.project)]);
        says(&whose.run(&["down"]).expect(0), &["1 vm released"]);
    }
}

#[test]
fn a_copy_of_an_adopted_machine_and_one_that_was_renamed_are_nobodys() {
    let (first, second) = (Desk::online(""), Desk::online(""));
    for desk in [&first, &second] {
        fs::remove_file(desk.path().join("vmcompose.yaml")).expect("the folder has no file");
    }
    let machines = one_machine(&first, "m");
    first.run(&["import", "--adopt", &machines.names[0]]).expect(0);
    let copies = one_machine(&second, "m2");
    copies.domain(0).undefine().expect("undefined");
    let carried = machines
        .definition(0)
        .replace(&format!("<name>{}<", machines.names[0]), &format!("<name>{}<", copies.names[0]));
    let (head, rest) = carried.split_once("<uuid>").expect("it has one");
    let carried = format!("{head}{}", rest.split_once("</uuid>").expect("its end").1);
    Domain::define_xml(second.keeper.as_ref().expect("online"), &carried).expect("defined");
    assert!(copies.definition(0).contains(&first.project), "it carries the record of the other");

    let run = second.run(&["import", "--adopt", &copies.names[0]]).expect(0);
    says(
        &run,
        &["1 vm adopted", &format!("what project `{}` recorded of machine `{}`", first.project, machines.names[0])],
    );
    assert!(!copies.definition(0).contains(&format!("project='{}'", first.project)));
    says(&second.run(&["ps", "-a"]).expect(0), &["m2 stopped"]);
    says(&first.run(&["ps", "-a"]).expect(0), &["m stopped"]);
    says(&first.run(&["import", "--adopt", &copies.names[0]]).expect(8), &[&second.project, "already"]);
    for desk in [&first, &second] {
        says(&desk.run(&["down"]).expect(0), &["1 vm released"]);
    }
}

#[test]
fn every_name_can_be_written_down_and_what_a_file_cannot_say_is_left_out() {
    let desk = Desk::offline("");
    let odd = ["a{{ index }}", "b{% if %}", "c{#d", "e$HOME", "{{{%"];
    let machines: String = odd.iter().map(|name| plain(name, 64)).chain([plain("tiny", 8)]).collect();
    let world = crate::support::World::holding(&machines);
    let run = desk.run_on(&world.uri, &["import", "--all"]).expect(0);
    says(&run, &["left out: machine `tiny` cannot be said in a compose file: `memory` of `8MiB` is too little"]);
    assert!(!run.stdout.contains("tiny"), "{}", run.stdout);
    says(&desk.run_on(&world.uri, &["import", "tiny"]).expect(8), &["`memory` of `8MiB` is too little"]);
    fs::write(desk.path().join("vmcompose.yaml"), &run.stdout).expect("written");
    // As they are read, so they are called.
    let plan = desk.run_on(&world.uri, &["plan"]).expect(8);
    for name in odd {
        says(&plan, &[&format!("machine `{name}`, and that is none of the project's")]);
    }
}

#[test]
fn a_machine_whose_name_looks_like_a_template_is_adopted_and_started() {
    let desk = Desk::online("");
    let machines = one_machine(&desk, "{{ odd }}{% $x");
    says(&desk.run(&["import", "--adopt", "--out", "odd.yaml", &machines.names[0]]).expect(0), &["1 vm adopted"]);
    desk.run(&["-f", "odd.yaml", "plan", "--exit-code"]).expect(0);
    desk.run(&["start"]).expect(0);
    assert!(machines.domain(0).is_active().expect("a state"));
    says(&desk.run(&["down"]).expect(0), &["1 vm released"]);
}
