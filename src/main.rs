//! The `vmcompose` command: reads the command line, runs it, ends with its exit code.

use std::process::ExitCode;

use vmcompose::{cli, commands, render};

fn main() -> ExitCode {
    if let Some(exit) = commands::answer_shell() {
        return exit.into();
    }
    match cli::parse(std::env::args_os()) {
        Ok(cli) => commands::run(cli).into(),
        // Help that was asked for, or what is wrong with the command line.
        Err(answer) => ExitCode::from(render::output::usage(&answer)),
    }
}
