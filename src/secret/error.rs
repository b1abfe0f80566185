//! Why a secret cannot be read.
//!
//! Owns the words. None of them can hold a value: what a provider said is quoted only where it is not its answer.

use std::io;
use std::path::PathBuf;

use humantime::format_duration;

use crate::names::SecretName;

/// A secret that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read secret `{name}` (from `{provider}`): {fault}")]
pub struct SecretError {
    /// Which.
    pub name: SecretName,
    /// The provider, as the file calls it.
    pub provider: &'static str,
    /// Why not.
    pub fault: Fault,
}

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file has no such secret.
    #[error("the file does not declare it")]
    Undeclared,
    /// It has no bytes.
    #[error("it is empty")]
    Empty,
    /// The variable is not there.
    #[error("the variable `{variable}` is not set")]
    Unset {
        /// Which.
        variable: String,
    },
    /// The file cannot be read.
    #[error("`{}`: {source}", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others than its owner may read the file.
    #[error("`{}` can be read by others (its mode is {mode:04o})", .path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The program is not there, or cannot be run.
    #[error("cannot run `{program}`: {source}")]
    NotRun {
        /// Which.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// The program failed.
    #[error("`{program}` {end}{}", said(.complaint))]
    Failed {
        /// Which.
        program: String,
        /// How it ended, in words.
        end: String,
        /// The end of what it wrote to stderr.
        complaint: String,
    },
    /// It took too long.
    #[error("`{what}` gave no answer within {}", format_duration(*.limit))]
    Late {
        /// Who.
        what: String,
        /// How long it was waited for.
        limit: std::time::Duration,
    },
    /// The answer is longer than any secret.
    #[error("it is longer than {} KiB", .limit >> 10)]
    TooLong {
        /// The longest that is taken, in bytes.
        limit: usize,
    },
    /// Something that Vault is reached by is not known.
    #[error("{what} is not known")]
    NoVault {
        /// What.
        what: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// Vault refused, or has no such thing.
    #[error("`{address}` answered {answer}")]
    Vault {
        /// The server.
        address: String,
        /// What it answered, in words, without the answer itself.
        answer: String,
        /// What to do.
        hint: Option<&'static str>,
    },
}

fn said(complaint: &str) -> String {
    if complaint.is_empty() { String::new() } else { format!(": {complaint}") }
}

impl Fault {
    /// What the user could do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unset { variable } => Some(format!("set it for this run: `{variable}=… vmcompose up`, or in `.env`")),
            Self::Open { path, .. } => Some(format!(
                "`chmod 600 {}`, or write `insecure: true` beside `file` where that is meant so",
                path.display()
            )),
            Self::NoVault { hint, .. } => Some((*hint).to_owned()),
            Self::Vault { hint, .. } => hint.map(str::to_owned),
            _ => None,
        }
    }
}
