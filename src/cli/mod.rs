//! The command line: commands, options and their help.
//!
//! Owns what can be typed, and nothing else: what a command does is not known here, and nothing is printed.

mod choice;
mod codes;
mod day;
mod examples;
mod filter;
mod global;
mod guest;
pub mod image;
mod logs;
mod look;
pub mod network;
pub mod pool;
mod power;
mod read;
mod run;
mod shell;
pub mod snapshot;
pub mod volume;

use std::ffi::OsString;

use clap::{Parser, Subcommand};

pub use choice::Choice;
use codes::EXIT_CODES;
pub use day::{Port, Replicas, RunCommand, Scale, Until, Version, Wait};
pub use filter::{Filter, LABEL};
pub use global::{Color, Global, Progress};
pub use guest::{Console, Cp, Exec, Place, Ssh, SshConfig, Via};
pub use logs::{EventFormat, Events, Logs, Telling, Why};
pub use look::{Images, Looking, Stats, Top};
pub use power::{Backwards, Forwards, Restart, Stop};
pub use read::{
    Config, ConfigFormat, Graph, GraphFormat, Import, Ls, Part, Plan, PlanFormat, Ps, Schema, SchemaFormat, SchemaOf,
    TableFormat, Validate,
};

pub use shell::{Completion, Man, Shell};

pub use run::{Doctor, Down, OnFailure, Recover, Run, Schedule, Up};

/// Brings several virtual machines up together, from one file.
///
/// vmcompose reads a compose file that describes vms with their networks, disks, images and dependencies, compares it
/// with what libvirt really has, and carries out the difference: in parallel, each vm as soon as what it depends on is
/// healthy. When something fails, what the run did is undone.
#[derive(Debug, Clone, PartialEq, Parser)]
#[command(name = "vmcompose", version, propagate_version = false, after_long_help = EXIT_CODES)]
#[command(disable_help_subcommand = true, max_term_width = 100)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum Command {
    /// Bring everything up, and wait until it is healthy
    ///
    /// Makes what is missing and starts what is stopped. A vm starts as soon as the conditions it waits for are met;
    /// the command ends when every healthcheck passes. When something fails, or on Ctrl-C, what this run did is undone.
    /// What is as it should be already is left alone: the second `up` does nothing. After a run that was cut short it goes on
    /// from what is there; `recover` goes back.
    #[command(after_long_help = examples::UP)]
    Up(Up),

    /// Take everything down
    ///
    /// Shuts the vms down, dependents first, and removes them with their disks and the project's networks. Named volumes
    /// stay unless --volumes is given. Works without the file too, with --project.
    #[command(after_long_help = "\
Examples:
  vmcompose down
  vmcompose -p shop down --volumes --yes")]
    Down(Down),

    /// Undo a run that was cut short: by a crash, a power failure, a second Ctrl-C
    ///
    /// Every run writes down what it is about to do, below `$XDG_STATE_HOME` or ~/.local/state. Where it came to no good end,
    /// `up` and `down` say so and go on from what the hypervisor really has; this command goes back instead. Each step is
    /// held against the hypervisor first. It can be interrupted, and given again.
    #[command(after_long_help = examples::RECOVER)]
    Recover(Recover),

    /// Show what `up` would do, and why
    ///
    /// Writes nothing anywhere but the file given to --out. `+` is made, `>` is started, `~` is changed, `-` is deleted, `=` is only looked at, because
    /// something waits for it.
    #[command(after_long_help = examples::PLAN)]
    Plan(Plan),

    /// Show the vms: state, health, address
    ///
    /// Healthchecks are tried once, now; `starting` is one that has not passed yet while a run waits for it.
    #[command(after_long_help = "\
Examples:
  vmcompose ps
  vmcompose ps --filter health=unhealthy --filter label=tier=data -q
  vmcompose ps -a --format json | jq -r '.vms[].addresses[].ip'")]
    Ps(Ps),

    /// What looks closer.
    #[command(flatten)]
    Looking(Looking),

    /// Start vms that are there, and what they depend on
    ///
    /// Without names, every vm of the project. A vm starts as soon as the conditions it waits for are met; the command ends
    /// when every healthcheck passes. The compose file is not read: what was last applied counts.
    #[command(after_long_help = "\
Examples:
  vmcompose start
  vmcompose start web-1 --no-deps")]
    Start(Forwards),

    /// Shut vms down; they stay, with their disks
    ///
    /// Without names, every vm of the project, dependents first. Guests are asked by their agent, else by the power button; after
    /// its `stop_grace_period` a vm is switched off. `start` and `up` start it again.
    #[command(after_long_help = "\
Examples:
  vmcompose stop
  vmcompose stop db --with-dependents --timeout 2m")]
    Stop(Stop),

    /// Shut vms down and start them again
    ///
    /// What others wait for first; each of the others when that is healthy again. Vms that say `restart: true` of one of them
    /// restart too.
    #[command(after_long_help = "\
Examples:
  vmcompose restart api-1
  vmcompose restart db --with-dependents")]
    Restart(Restart),

    /// Hold the processors of vms; what they have in memory stays
    #[command(after_long_help = "\
Examples:
  vmcompose pause
  vmcompose pause api-1 api-2")]
    Pause(Backwards),

    /// Let held vms go on, and what they depend on
    #[command(after_long_help = "\
Examples:
  vmcompose unpause")]
    Unpause(Forwards),

    /// Put what vms have in memory on the hypervisor's disk, and switch them off; dependents first
    #[command(after_long_help = "\
Examples:
  vmcompose suspend")]
    Suspend(Backwards),

    /// Let suspended vms go on, and what they depend on; guests with an agent get the right time
    #[command(after_long_help = "\
Examples:
  vmcompose resume")]
    Resume(Forwards),

    /// Switch vms off at once, without asking their guests
    #[command(after_long_help = "\
Examples:
  vmcompose kill db")]
    Kill(Backwards),

    /// Take the whole project at one instant, and go back to it
    #[command(subcommand)]
    Snapshot(snapshot::Snapshot),

    /// Wait until vms are healthy, have done their work, or are off
    ///
    /// Changes nothing. Ends with 6 where that does not come to be.
    #[command(after_long_help = "\
Examples:
  vmcompose wait db --timeout 2m
  vmcompose wait migrate --for completed")]
    Wait(Wait),

    /// Start a vm and what it depends on, run a command in it, and stop again what was started for that
    ///
    /// The command runs as `exec` runs it, once everything is healthy, and its exit code is passed on. What ran before runs on.
    #[command(after_long_help = "\
Examples:
  vmcompose run tools -- make test")]
    Run(RunCommand),

    /// Have so many replicas of vms, until `up` takes the file's number again
    ///
    /// What is missing is made with what it depends on, as by `up VM`; of too many those with the highest numbers are
    /// deleted, and asked about where data goes with them. The file stays as it is, and so do all other vms.
    #[command(after_long_help = "\
Examples:
  vmcompose scale api=5
  vmcompose scale api=1 web=1 --yes")]
    Scale(Scale),

    /// Print where the ports of a vm are published
    #[command(after_long_help = "\
Examples:
  vmcompose port web 80
  curl http://$(vmcompose port web 80)/")]
    Port(Port),

    /// Run a command in a vm, through its guest agent
    ///
    /// Needs no network, no account and no key: the command runs as root, without a shell, and ends with its own exit
    /// code, or 128 and the number of the signal that ended it. What it writes is shown when it ends.
    #[command(after_long_help = examples::EXEC)]
    Exec(Exec),

    /// Log in to a vm, or run a command there, with ssh
    ///
    /// Uses the system's ssh, and your configuration of it. The account is `ssh.user` of the file, else the first of its
    /// `cloud_init.users`, else the one that the image is known to have, else root. The key is the project's, which `up`
    /// made, unless the file gives keys. A command is read by the guest's shell, as ssh always has it, and its exit code
    /// is passed on; 255 is ssh's own.
    #[command(after_long_help = "\
Examples:
  vmcompose ssh db
  vmcompose ssh db -- 'journalctl -b | tail -20'
  vmcompose ssh -t db -- top
  vmcompose ssh -l root db")]
    Ssh(Ssh),

    /// Print the vms as an SSH configuration, for ssh, scp, rsync, ansible
    ///
    /// Each vm is there under its own name, and under that of the project and its own. Print it anew when vms come or go.
    #[command(after_long_help = examples::SSH_CONFIG)]
    SshConfig(SshConfig),

    /// Copy files and folders into a vm or out of it
    ///
    /// One of the two places is VM:PATH. A folder is copied with all that is in it; where the target is a folder that is
    /// there, into it, and `SRC/.` copies what is in SRC. Modes are kept. `-` is a tar archive from stdin or to stdout.
    /// Goes through ssh where that answers, as the account of `vmcompose ssh`; else through the guest agent, as root,
    /// without network.
    #[command(after_long_help = examples::CP)]
    Cp(Cp),

    /// What tells of what happened.
    #[command(flatten)]
    Telling(Telling),

    /// Open the serial console of a vm
    ///
    /// Ctrl-] leaves. Where stdin is no terminal, it is copied as it is, until the vm stops.
    #[command(after_long_help = "\
Examples:
  vmcompose console db
  vmcompose console db < /dev/null > boot.log")]
    Console(Console),

    /// Print the file as it is understood: merged, interpolated, rendered
    #[command(after_long_help = "\
Examples:
  vmcompose config
  vmcompose config --vms
  vmcompose -f base.yaml -f ci.yaml config --format json")]
    Config(Config),

    /// Check the file and say what is wrong with it, all at once
    #[command(after_long_help = "\
Examples:
  vmcompose validate
  vmcompose -f ci.yaml validate
  vmcompose validate --format json | jq -r '.diagnostics[].message'")]
    Validate(Validate),

    /// Print the language of the file: a JSON Schema for editors, or the reference of every key for people
    #[command(after_long_help = "\
Examples:
  vmcompose schema > vmcompose.schema.json
  vmcompose schema --of plan        # of `plan --format json`
  vmcompose schema --format markdown | less")]
    Schema(Schema),

    /// Print who waits for whom
    #[command(after_long_help = "\
Examples:
  vmcompose graph
  vmcompose graph --format svg > graph.svg")]
    Graph(Graph),

    /// Download images and look after the cache of them
    #[command(subcommand)]
    Image(image::Image),

    /// Show the project's networks, and how the host finds its vms by name
    #[command(subcommand)]
    Network(network::Network),

    /// Look after volumes: who uses them, what they take up; copy them out and in, delete them
    #[command(subcommand)]
    Volume(volume::Volume),

    /// Look after the storage pools of the hypervisor
    #[command(subcommand)]
    Pool(pool::Pool),

    /// Print a systemd unit that starts the project with the machine, in the order of its graph
    ///
    /// libvirt starts vms with `autostart: true` itself, all at once and in no order. The unit starts what was last applied
    /// as `vmcompose start` does, gates included, and shuts it down in reverse. Changes nothing itself.
    #[command(after_long_help = "\
Examples:
  vmcompose -c qemu:///system service | sudo tee /etc/systemd/system/vmcompose-shop.service
  sudo systemctl enable vmcompose-shop.service")]
    Service,

    /// Write a commented vmcompose.yaml to start from; never over one that is there
    #[command(after_long_help = "\
Examples:
  vmcompose init
  vmcompose -f lab.yaml init")]
    Init,

    /// Write a compose file of machines that virsh, virt-manager or virt-install made; adopt them with --adopt
    ///
    /// The file names them (`boot: {existing: NAME}`) with their processors and memory; their disks, networks and all else
    /// stay their maker's and are told in comments. Changes nothing without --adopt, which records with each machine that it
    /// is a vm of the project: the plan on the file is empty then. The guests notice nothing. `down` lets them go again.
    #[command(after_long_help = examples::IMPORT)]
    Import(Import),

    /// Show the projects of the hypervisor that run: their vms, their health, their age
    ///
    /// Those without a vm that runs are left out; with `-a` they are shown too. Needs no compose file. Healthchecks are tried once, now.
    #[command(after_long_help = "\
Examples:
  vmcompose ls
  vmcompose -c qemu+ssh://lab/system ls -a --format json | jq -r '.projects[].project'")]
    Ls(Ls),

    /// Print what a shell needs to complete command lines, names of vms and networks included
    #[command(after_long_help = examples::COMPLETION)]
    Completion(Completion),

    /// Write manual pages, one for each command
    #[command(after_long_help = "\
Examples:
  vmcompose man ~/.local/share/man/man1
  man vmcompose-up")]
    Man(Man),

    /// Look at all that a run needs: connection, acceleration, pools, tools; and say what mends it
    ///
    /// Changes nothing. Ends with 0 where runs can work, with 3 where there is no connection, with 8 where something else
    /// keeps them from it.
    #[command(after_long_help = "\
Examples:
  vmcompose doctor
  vmcompose -c qemu:///system doctor --format json | jq '.findings[] | select(.verdict != \"good\")'")]
    Doctor(Doctor),

    /// Print the versions of vmcompose and of libvirt
    #[command(after_long_help = "\
Examples:
  vmcompose version
  vmcompose version --format json | jq -r .libvirt")]
    Version(Version),
}

/// Reads a command line, the program's name first. What comes back as an error may be the help that was asked for:
/// see [`exit_code`].
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(logs::following(arguments.into_iter().collect()))
}

/// 0 for help and version that were asked for, 1 for a command line that cannot be read.
pub fn exit_code(error: &clap::Error) -> u8 {
    u8::from(error.use_stderr())
}
