//! The command line: what it takes, what it refuses, how it explains itself.

use std::ffi::OsString;

use clap::CommandFactory;
use vmcompose::cli::{self, Cli, Color, Command, GraphFormat, PlanFormat, Progress, TableFormat};

use crate::golden;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    cli::parse(std::iter::once("vmcompose").chain(line.split_whitespace()).map(OsString::from))
}

#[test]
fn every_help_text_is_as_it_was_read() {
    let mut command = Cli::command().term_width(100);
    command.build();
    golden("help.txt", &command.render_long_help().to_string());
    golden("help-short.txt", &command.render_help().to_string());
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names {
        let sub = command.find_subcommand_mut(&name).unwrap();
        golden(&format!("help-{name}.txt"), &sub.clone().term_width(100).render_long_help().to_string());
    }
}

#[test]
fn the_definition_of_the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn global_options_stand_before_or_after_the_command() {
    let line =
        "-f a.yaml -f b.yaml -p shop -c test:///default --var a=1 --var b=x=y --progress plain -vv --color never";
    let before = parse(&format!("{line} plan")).unwrap();
    let after = parse(&format!("plan {line}")).unwrap();
    assert_eq!(before, after);
    assert_eq!(before.global.file, ["a.yaml", "b.yaml"].map(std::path::PathBuf::from));
    assert_eq!(before.global.var[1], ("b".to_owned(), "x=y".to_owned()));
    assert_eq!(
        (before.global.verbose, before.global.color, before.global.progress),
        (2, Color::Never, Progress::Plain)
    );
}

#[test]
fn options_of_the_commands_are_read() {
    let Command::Up(up) = parse("up --yes --remove-orphans --parallel 4").unwrap().command else { panic!("not up") };
    assert!(up.yes && up.choice.remove_orphans);
    assert_eq!(up.run.parallel.unwrap().get(), 4);
    let Command::Plan(plan) = parse("plan --destroy --volumes --exit-code --format json").unwrap().command else {
        panic!("not plan")
    };
    assert!(plan.destroy && plan.volumes && plan.exit_code && plan.format == PlanFormat::Json);
    let Command::Ps(ps) = parse("ps -a --format yaml").unwrap().command else { panic!("not ps") };
    assert!(ps.all && ps.format == TableFormat::Yaml);
    let Command::Exec(exec) = parse("exec db -- sh -c date").unwrap().command else { panic!("not exec") };
    assert_eq!((exec.vm.as_str(), exec.command.join(" ").as_str()), ("db", "sh -c date"));
    assert!(parse("exec db").is_err(), "a command is needed");
    let Command::Graph(graph) = parse("graph --format svg").unwrap().command else { panic!("not graph") };
    assert_eq!(graph.format, GraphFormat::Svg);
}

#[test]
fn a_command_line_that_cannot_be_read_ends_with_1() {
    for line in [
        "",
        "upp",
        "up --parallel 0",
        "up --frobnicate",
        "plan --format yaml",
        "plan --volumes",
        "plan --destroy --remove-orphans",
        "ps -q --format json",
        "config --vms --images",
        "--var novalue up",
        "--var =x up",
        "-p Shop up",
        "--progress loud up",
    ] {
        assert_eq!(cli::exit_code(&parse(line).unwrap_err()), 1, "{line}");
    }
}

#[test]
fn help_and_version_that_were_asked_for_end_with_0() {
    for line in ["--help", "-h", "--version", "up --help", "graph -h"] {
        assert_eq!(cli::exit_code(&parse(line).unwrap_err()), 0, "{line}");
    }
}
