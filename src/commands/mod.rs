//! One file per command, each the line of the crate's documentation once more, cut short or aimed elsewhere.
//!
//! Owns what the commands share: the request that the options amount to, and how an error ends a command.

mod choice;
mod chronicle;
mod completion;
mod console;
mod cp;
mod doctor;
mod down;
mod events;
mod exec;
mod filter;
mod image;
mod images;
mod import;
mod init;
mod interrupt;
mod keys;
mod lock;
mod login;
mod logs;
mod ls;
mod man;
mod media;
mod network;
mod plan;
mod pool;
mod port;
mod power;
mod preflight;
mod ps;
mod recover;
mod run;
mod run_command;
mod saved;
mod scale;
mod service;
mod show;
mod signals;
mod snapshot;
mod ssh;
mod stage;
mod stats;
mod top;
mod unfinished;
mod up;
mod volume;
mod wait;
mod why;

pub use completion::answer_shell;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::cli::{Cli, Command, Global, Looking, Telling};
use crate::compose::Request;
use crate::error::{Error, Exit};
use crate::render::{self, Palette, message, output};

/// Runs a command to its end.
pub fn run(cli: Cli) -> Exit {
    let Cli { global, command } = cli;
    render::style::decide(global.color);
    let result = match command {
        Command::Up(options) => up::up(&global, &options),
        Command::Down(options) => down::down(&global, &options),
        Command::Doctor(options) => doctor::doctor(&global, &options),
        Command::Recover(options) => recover::recover(&global, &options),
        Command::Plan(options) => plan::plan(&global, &options),
        Command::Ps(options) => ps::ps(&global, &options),
        Command::Looking(Looking::Stats(options)) => stats::stats(&global, &options),
        Command::Looking(Looking::Top(options)) => top::top(&global, &options),
        Command::Looking(Looking::Images(options)) => images::images(&global, &options),
        Command::Start(options) => power::start(&global, &options),
        Command::Stop(options) => power::stop(&global, &options),
        Command::Restart(options) => power::restart(&global, &options),
        Command::Pause(options) => power::pause(&global, &options),
        Command::Unpause(options) => power::unpause(&global, &options),
        Command::Suspend(options) => power::suspend(&global, &options),
        Command::Resume(options) => power::resume(&global, &options),
        Command::Kill(options) => power::kill(&global, &options),
        Command::Snapshot(command) => snapshot::snapshot(&global, &command),
        Command::Wait(options) => wait::wait(&global, &options),
        Command::Run(options) => run_command::run(&global, &options),
        Command::Scale(options) => scale::scale(&global, &options),
        Command::Port(options) => port::port(&global, &options),
        Command::Exec(options) => exec::exec(&global, &options),
        Command::Ssh(options) => ssh::ssh(&global, &options),
        Command::SshConfig(options) => ssh::config(&global, &options),
        Command::Cp(options) => cp::cp(&global, &options),
        Command::Telling(Telling::Why(options)) => why::why(&global, &options),
        Command::Telling(Telling::Events(options)) => events::events(&global, &options),
        Command::Telling(Telling::Logs(options)) => logs::logs(&global, &options),
        Command::Console(options) => console::console(&global, &options),
        Command::Config(options) => show::config(&global, &options),
        Command::Validate(options) => show::validate(&global, &options),
        Command::Schema(options) => show::schema(&options),
        Command::Graph(options) => show::graph(&global, &options),
        Command::Image(command) => image::image(&global, &command),
        Command::Network(command) => network::network(&global, &command),
        Command::Volume(command) => volume::volume(&global, &command),
        Command::Pool(command) => pool::pool(&global, &command),
        Command::Service => service::service(&global),
        Command::Import(options) => import::import(&global, &options),
        Command::Init => init::init(&global),
        Command::Ls(options) => ls::ls(&global, &options),
        Command::Completion(options) => completion::completion(&options),
        Command::Man(options) => man::man(&options),
        Command::Version(options) => show::version(&global, &options),
    };
    result.unwrap_or_else(|error| {
        report(&error, global.verbose > 0);
        error.exit()
    })
}

/// Says what ended a command, and what the user could do about it.
fn report(error: &Error, verbose: bool) {
    let palette = Palette::stderr();
    if let Error::Compose(diagnostics) = error {
        return output::note(&render::diagnostic::text(diagnostics, palette.coloured()));
    }
    let mut text: String = error.messages().iter().map(|message| message::error(message, &palette)).collect();
    if verbose
        && let Error::Hypervisor(error) = error
        && let Some(detail) = &error.detail
    {
        text.push_str(&message::note(&format!("libvirt said: {detail}"), &palette));
    }
    for hint in error.hints() {
        text.push_str(&message::hint(&hint, &palette));
    }
    output::note(&text);
}

/// What the options ask of the compose file.
fn request(global: &Global) -> Result<Request, Error> {
    let directory = std::env::current_dir().map_err(|source| Error::Io { path: PathBuf::from("."), source })?;
    // Names or values that are not UTF-8 cannot be meant by a file that is.
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    Ok(Request {
        files: global.file.clone(),
        input: None,
        directory,
        project: global.project.as_ref().map(ToString::to_string),
        environment,
        env_files: global.env_file.clone(),
        vars: global.var.clone(),
        var_files: global.var_file.clone(),
        profiles: global.profile.clone(),
        scale: BTreeMap::new(),
    })
}

/// Writes data to stdout.
fn print(text: &str) -> Result<(), Error> {
    output::data(text).map_err(|source| Error::Io { path: PathBuf::from("stdout"), source })
}
