//! Everything that can end a command early, and the exit code of each ending.
//!
//! Owns the public exit codes. The errors themselves live beside the stage that meets them.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::backend::{Concern, ErrorKind, HypervisorError};
use crate::compose::Diagnostics;
use crate::execute::{Failure, Outcome, Problem};
use crate::image::ImageError;
use crate::names::ResourceId;
use crate::plan::{Obstacle, PlanError};
use crate::secret::SecretError;

/// How a command ends, as the shell sees it. Public: scripts rely on these numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what it was asked to.
    Done,
    /// The command line or a file cannot be read.
    Usage,
    /// The compose file is wrong.
    Compose,
    /// There is no connection to the hypervisor.
    Unreachable,
    /// An operation on a vm failed.
    Vm,
    /// An operation on storage, an image or a network failed.
    Resource,
    /// A health gate failed or timed out.
    Unhealthy,
    /// It failed, and something was left behind.
    LeftBehind,
    /// It refused: something has to be settled or confirmed first.
    Refused,
    /// `plan --exit-code` found changes.
    Changes,
    /// The user interrupted.
    Interrupted,
    /// What a command in a guest ended with.
    Guest(u8),
}

impl Exit {
    /// Its number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Usage => 1,
            Self::Compose => 2,
            Self::Unreachable => 3,
            Self::Vm => 4,
            Self::Resource => 5,
            Self::Unhealthy => 6,
            Self::LeftBehind => 7,
            Self::Refused => 8,
            Self::Changes => 10,
            Self::Interrupted => 130,
            Self::Guest(code) => code,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// What ends a command before, or instead of, a run.
#[derive(Debug)]
pub enum Error {
    /// The compose file is wrong, or cannot be read.
    Compose(Diagnostics),
    /// Boot media cannot be used.
    Images(Vec<ImageError>),
    /// Secrets cannot be read.
    Secrets(Vec<SecretError>),
    /// The hypervisor cannot be reached or looked at.
    Hypervisor(HypervisorError),
    /// Something stands in the plan's way.
    Plan(PlanError),
    /// The user has to confirm, and has not.
    Unconfirmed {
        /// What would be done, in words.
        what: String,
    },
    /// A file cannot be read or written.
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A run cannot be written down, so it does not begin.
    Journal {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another run works on the same project.
    Locked {
        /// Who, where and since when, in words.
        holder: String,
    },
    /// It would harm something that is in use or kept.
    Refused {
        /// What keeps it from being done, in words.
        what: String,
        /// What to do.
        hint: String,
    },
    /// There is nothing to work on.
    Missing {
        /// What, in words.
        what: String,
        /// What to do.
        hint: String,
    },
}

impl Error {
    /// The exit code that it ends with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Compose(diagnostics) if unreadable(diagnostics) => Exit::Usage,
            Self::Compose(_) | Self::Plan(PlanError::Cycle(_)) => Exit::Compose,
            Self::Images(_) => Exit::Resource,
            Self::Hypervisor(error) if error.kind == ErrorKind::Unreachable => Exit::Unreachable,
            Self::Hypervisor(error) if error.kind == ErrorKind::Interrupted => Exit::Interrupted,
            Self::Hypervisor(error) if error.concern == Concern::Resource => Exit::Resource,
            Self::Hypervisor(_) => Exit::Vm,
            Self::Plan(PlanError::Blocked(obstacles)) => {
                let busy = |obstacle: &Obstacle| {
                    use Obstacle::{BusyPort, BusySubnet, Device, Rootless};
                    matches!(obstacle, BusySubnet { .. } | BusyPort { .. } | Device { .. } | Rootless { .. })
                };
                if obstacles.iter().all(busy) { Exit::Resource } else { Exit::Refused }
            }
            Self::Unconfirmed { .. } | Self::Locked { .. } | Self::Refused { .. } => Exit::Refused,
            Self::Journal { .. } | Self::Io { .. } | Self::Missing { .. } | Self::Secrets(_) => Exit::Usage,
        }
    }

    /// What is wrong, one text for each thing: with its place in the user's file on a line of its own.
    pub fn messages(&self) -> Vec<String> {
        match self {
            Self::Images(errors) => errors.iter().map(ToString::to_string).collect(),
            Self::Secrets(errors) => errors.iter().map(ToString::to_string).collect(),
            Self::Plan(PlanError::Blocked(obstacles)) => obstacles.iter().map(with_place).collect(),
            other => vec![other.to_string()],
        }
    }

    /// What the user could do about it, one line each.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Compose(_) | Self::Io { .. } | Self::Plan(PlanError::Cycle(_)) => Vec::new(),
            Self::Images(errors) => {
                let mut hints: Vec<String> = errors.iter().filter_map(|error| error.fault.hint()).collect();
                hints.dedup();
                hints
            }
            Self::Secrets(errors) => {
                let hints: BTreeSet<String> = errors.iter().filter_map(|error| error.fault.hint()).collect();
                hints.into_iter().collect()
            }
            Self::Hypervisor(error) => error.hint.iter().cloned().collect(),
            Self::Plan(PlanError::Blocked(obstacles)) => {
                let hints: BTreeSet<String> = obstacles.iter().map(remedy).collect();
                hints.into_iter().collect()
            }
            Self::Unconfirmed { .. } => vec!["`--yes` confirms it where there is no terminal to ask on".to_owned()],
            Self::Locked { .. } => {
                vec!["nothing was changed; wait for the other run to end, or interrupt it".to_owned()]
            }
            Self::Journal { .. } => {
                vec![
                    "nothing was changed; make room on the disk, or set `XDG_STATE_HOME` to a folder on another one"
                        .to_owned(),
                ]
            }
            Self::Missing { hint, .. } | Self::Refused { hint, .. } => vec![hint.clone()],
        }
    }
}

/// What has no place in a file is about a file that could not be read.
fn unreadable(diagnostics: &Diagnostics) -> bool {
    diagnostics.list.iter().all(|diagnostic| diagnostic.labels.is_empty())
}

fn with_place(obstacle: &Obstacle) -> String {
    match obstacle.origin() {
        Some(origin) => format!("{obstacle}\n--> {origin}"),
        None => obstacle.to_string(),
    }
}

fn remedy(obstacle: &Obstacle) -> String {
    match obstacle {
        Obstacle::Foreign { .. } => {
            "nothing was changed; rename yours, choose another project name with `-p`, or remove the other; a vm that somebody \
             else made becomes the project's by `vmcompose import --adopt`"
                .to_owned()
        }
        Obstacle::NotAdopted { machine, .. } => {
            format!("nothing was changed; where it is there, `vmcompose import --adopt {machine}` makes it the project's")
        }
        Obstacle::NotOurs { .. } => "nothing was changed; who made it can do it, with his own means".to_owned(),
        Obstacle::BusySubnet { .. } => {
            "nothing was changed; choose another subnet, or leave it out to have a free one chosen".to_owned()
        }
        Obstacle::Rootless { .. } => "nothing was changed; leave it out, or connect to `qemu:///system`".to_owned(),
        Obstacle::BusyPort { .. } => {
            "nothing was changed; publish it on another port of the host, or stop who has this one".to_owned()
        }
        Obstacle::Unchangeable { resource: ResourceId::Volume(name), .. } => {
            format!(
                "nothing was changed; `volume export {name} FILE`, `volume rm {name}` and `volume import FILE {name}` \
                 carry its data over"
            )
        }
        Obstacle::Unchangeable { .. } => {
            "nothing was changed; `vmcompose down` and `up` make it anew, named volumes survive that".to_owned()
        }
        Obstacle::NotOffered { instead, .. } => {
            let instead = instead.as_ref().map(|words| format!("; {words}")).unwrap_or_default();
            format!("nothing was changed{instead}")
        }
        Obstacle::LostDisk { vm, .. } => format!(
            "nothing was changed; `vmcompose up --replace {vm}` makes it anew with empty disks; while it runs, what it still sees \
             of the disk can be copied out of it"
        ),
        Obstacle::LostVolume { vm, .. } => format!(
            "nothing was changed; `vmcompose up --replace {vm}` makes it anew; `virsh managedsave-remove` on its domain gives up \
             only what it has in memory, and then `up` starts it with an empty volume"
        ),
        Obstacle::Shrinks { has, .. } => {
            format!("nothing was changed; disks only grow: write `{has}` or more, or make it anew")
        }
        Obstacle::Device { hint, .. }
        | Obstacle::Pool { hint, .. }
        | Obstacle::Snapshot { hint, .. }
        | Obstacle::Machine { hint, .. } => {
            format!("nothing was changed; {hint}")
        }
        Obstacle::Snapshots { .. } => "nothing was changed; `vmcompose snapshot delete NAME` gives them up".to_owned(),
        Obstacle::Protected { .. } | Obstacle::Replaced { .. } => {
            "nothing was changed; remove `protect: true` from it and run `up` first".to_owned()
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compose(diagnostics) => write!(f, "{diagnostics}"),
            Self::Images(errors) => f.write_str(&errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
            Self::Secrets(errors) => {
                f.write_str(&errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
            }
            Self::Hypervisor(error) => write!(f, "{error}"),
            Self::Plan(error) => write!(f, "{error}"),
            Self::Unconfirmed { what } => write!(f, "{what} has to be confirmed"),
            Self::Io { path, source } => write!(f, "`{}`: {source}", path.display()),
            Self::Locked { holder } => write!(f, "another run works on this project: {holder}"),
            Self::Journal { path, source } => {
                write!(f, "no journal of the run can be written below `{}`: {source}", path.display())
            }
            Self::Missing { what, .. } | Self::Refused { what, .. } => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {}

impl From<Diagnostics> for Error {
    fn from(diagnostics: Diagnostics) -> Self {
        Self::Compose(diagnostics)
    }
}

impl From<HypervisorError> for Error {
    fn from(error: HypervisorError) -> Self {
        Self::Hypervisor(error)
    }
}

impl From<PlanError> for Error {
    fn from(error: PlanError) -> Self {
        Self::Plan(error)
    }
}

impl From<Vec<ImageError>> for Error {
    fn from(errors: Vec<ImageError>) -> Self {
        Self::Images(errors)
    }
}

/// The exit code of a run. An interrupt outweighs everything but something left behind by an undo that failed; else the
/// first failure decides.
pub fn exit_of(outcome: &Outcome) -> Exit {
    let (causes, stuck) = match outcome {
        Outcome::Completed => return Exit::Done,
        Outcome::RolledBack { causes } => (causes, false),
        Outcome::Stuck { causes, .. } => (causes, true),
    };
    let interrupted = causes.iter().any(|failure| failure.problem == Problem::Interrupted);
    match (stuck, interrupted) {
        (true, _) => Exit::LeftBehind,
        (false, true) => Exit::Interrupted,
        (false, false) => causes.first().map_or(Exit::Done, exit_of_failure),
    }
}

fn exit_of_failure(failure: &Failure) -> Exit {
    match (&failure.problem, &failure.resource) {
        (Problem::Unhealthy { .. } | Problem::Hopeless { .. } | Problem::Overdue { .. }, _) => Exit::Unhealthy,
        (Problem::Interrupted, _) => Exit::Interrupted,
        (Problem::Operation { error, .. }, _) if error.kind == ErrorKind::Unreachable => Exit::Unreachable,
        (_, ResourceId::Vm(_) | ResourceId::FormerVm(_) | ResourceId::FormerDisks(_)) => Exit::Vm,
        _ => Exit::Resource,
    }
}
