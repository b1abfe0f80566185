//! The `vmcompose` command: reads the command line, runs it, ends with its exit code.

use std::process::ExitCode;

use vmcompose::{cli, commands};

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(cli) => commands::run(cli).into(),
        Err(answer) => {
            // Help that was asked for, or what is wrong with the command line; clap knows which stream it belongs to.
            let _ = answer.print();
            ExitCode::from(cli::exit_code(&answer))
        }
    }
}
