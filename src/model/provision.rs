//! What is done inside a guest once it is up: scripts to run and files to put.
//!
//! Owns the tasks, and what is recorded of one that was done: its digest, by which a changed one is known, and never
//! its content. Knows nothing of how a task gets into the guest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::image::Digest;
use crate::units::Span;

/// One thing to do in a guest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// What people call it: its name, its file, or its first line.
    pub label: String,
    /// What is done.
    pub action: TaskAction,
    /// How long it may take.
    pub timeout: Span,
}

/// What a task does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskAction {
    /// Runs a script.
    Run {
        /// Its text; what begins with `#!` is run by what that names, else by `sh`, which ends at the first error.
        script: String,
        /// Its environment, besides the guest's own.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        env: BTreeMap<String, String>,
        /// Who runs it; root where `None`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        /// Where; the user's home where `None`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workdir: Option<String>,
    },
    /// Puts a file in its place.
    File {
        /// Where.
        path: String,
        /// What is in it.
        content: String,
        /// Whose it is: `user` or `user:group`.
        owner: String,
        /// Who may do what with it, in octal digits.
        permissions: String,
    },
}

/// What is recorded of a task that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provisioned {
    /// What people call it.
    pub task: String,
    /// What tells what it did from anything else.
    pub digest: Digest,
}

impl Task {
    /// How long a task may take, where the file says nothing.
    pub const TIMEOUT: Span = Span::secs(600);

    /// What is recorded once it is done. Patience is no part of it: who gives a task more time wants nothing done again.
    pub fn done(&self) -> Provisioned {
        let text = serde_json::to_string(&self.action).expect("an action has no map with keys that are not strings");
        Provisioned { task: self.label.clone(), digest: Digest::of(&Sha256::digest(text.as_bytes()).into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, secs: u64) -> Task {
        let action = TaskAction::Run { script: script.to_owned(), env: BTreeMap::new(), user: None, workdir: None };
        Task { label: "x".to_owned(), action, timeout: Span::secs(secs) }
    }

    #[test]
    fn a_task_is_another_when_it_does_something_else() {
        assert_eq!(run("a", 1).done(), run("a", 2).done());
        assert_ne!(run("a", 1).done().digest, run("b", 1).done().digest);
    }

    #[test]
    fn what_is_recorded_holds_no_content() {
        let recorded = serde_json::to_string(&run("echo hunter2", 1).done()).expect("json");
        assert!(!recorded.contains("hunter2"), "{recorded}");
    }
}
