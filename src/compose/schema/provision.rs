//! `provision` and `ignition` as the file has them.
//!
//! Owns their keys and their short forms. Knows nothing of how a guest comes by them.

use schemars::JsonSchema;
use serde::Deserialize;

use super::shape::{Labels, any_of, deserialize_form, refused};
use crate::compose::decode::{At, Form, Refused};
use crate::units::Span;

/// What is done in the guest once it is up: one task or several, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Provision(pub(crate) Vec<Task>);

/// One thing to do.
#[derive(Debug, Clone)]
pub(crate) struct Task(pub(crate) LongTask);

/// The long form of a task: exactly one of `run`, `script` and `file`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LongTask {
    /// What the plan calls it. Default: the name of its file, or its first line
    pub(crate) name: Option<String>,
    /// A script: run by what its `#!` names, else by `sh`, which ends at the first error.
    pub(crate) run: Option<At<String>>,
    /// A file with a script.
    pub(crate) script: Option<At<String>>,
    /// A file to put in its place. Example: `file: {source: app.conf, path: /etc/app.conf}`
    pub(crate) file: Option<TaskFile>,
    /// Environment of the script: a mapping, or a list of `NAME=value`.
    pub(crate) env: Labels,
    /// Who runs the script. Default: root
    pub(crate) user: Option<At<String>>,
    /// The folder that the script is run in. Default: the user's home
    pub(crate) workdir: Option<At<String>>,
    /// How long the script may take; its guest is waited for as long, and ten minutes in any case. Default: 10m
    pub(crate) timeout: Option<At<Span>>,
}

/// A file to put in its place: its text is either `content`, or that of the file `source`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskFile {
    /// Where, absolute.
    pub(crate) path: At<String>,
    /// The text.
    #[serde(default)]
    pub(crate) content: Option<String>,
    /// A text file beside the compose file, taken as it is.
    #[serde(default)]
    pub(crate) source: Option<At<String>>,
    /// Whose it is: `user` or `user:group`. Default: root:root
    #[serde(default)]
    pub(crate) owner: Option<At<String>>,
    /// Who may do what with it, in octal digits, quoted. Default: "0644"
    #[serde(default)]
    pub(crate) permissions: Option<At<String>>,
}

/// The configuration of a guest with Ignition: JSON as a text, as a mapping, or in a file.
#[derive(Debug, Clone)]
pub(crate) struct Ignition(pub(crate) IgnitionFrom);

/// How an Ignition configuration is written.
#[derive(Debug, Clone)]
pub(crate) enum IgnitionFrom {
    /// JSON, to be read.
    Text(At<String>),
    /// A mapping.
    Mapping(serde_json::Map<String, serde_json::Value>),
}

deserialize_form!(Provision, Task, Ignition);

impl Form for Task {
    const EXPECTED: &'static str = "a script, or a mapping with `run`, `script` or `file`";
    type Scalar = At<String>;
    type List = Refused;
    type Mapping = LongTask;

    refused!(list);

    fn scalar(text: At<String>) -> Result<Self, String> {
        Self::mapping(LongTask { run: Some(text), ..LongTask::default() })
    }

    fn mapping(long: LongTask) -> Result<Self, String> {
        let given = [long.run.is_some(), long.script.is_some(), long.file.is_some()];
        if given.into_iter().filter(|given| *given).count() != 1 {
            return Err("a task needs exactly one of `run`, `script` and `file`".to_owned());
        }
        if let Some(file) = &long.file {
            if file.content.is_some() == file.source.is_some() {
                return Err("a file to put in its place needs either `content` or `source`".to_owned());
            }
            if long.user.is_some() || long.workdir.is_some() || !long.env.0.is_empty() || long.timeout.is_some() {
                return Err("`env`, `user`, `workdir` and `timeout` are for scripts, not for a `file`".to_owned());
            }
        }
        Ok(Self(long))
    }
}

impl Form for Provision {
    const EXPECTED: &'static str = "a script, a mapping with `run`, `script` or `file`, or a list of these";
    type Scalar = At<String>;
    type List = Vec<Task>;
    type Mapping = LongTask;

    fn scalar(text: At<String>) -> Result<Self, String> {
        Task::scalar(text).map(|task| Self(vec![task]))
    }

    fn list(tasks: Vec<Task>) -> Result<Self, String> {
        Ok(Self(tasks))
    }

    fn mapping(long: LongTask) -> Result<Self, String> {
        Task::mapping(long).map(|task| Self(vec![task]))
    }
}

impl Form for Ignition {
    const EXPECTED: &'static str = "JSON as a text, a mapping, or `{file: PATH}`";
    type Scalar = At<String>;
    type List = Refused;
    type Mapping = serde_json::Map<String, serde_json::Value>;

    refused!(list);

    fn scalar(text: At<String>) -> Result<Self, String> {
        Ok(Self(IgnitionFrom::Text(text)))
    }

    fn mapping(entries: serde_json::Map<String, serde_json::Value>) -> Result<Self, String> {
        Ok(Self(IgnitionFrom::Mapping(entries)))
    }
}

any_of!(Task, "Task", "a script, a file with one, or a file to put in its place", [{"type": "string"}], [LongTask]);
any_of!(
    Provision, "Provision", "what is done in the guest once it is up: a task, or a list of them",
    [{"type": "string"}], [LongTask, Vec<Task>]
);
any_of!(
    Ignition, "Ignition", "an Ignition configuration: JSON as a text, a mapping, or `{file: PATH}`",
    [{"type": "string"}, {"type": "object"}], []
);
