//! What is done in a guest once it is up, and what one with Ignition is told.
//!
//! Owns the defaults of tasks and what makes one legal. Knows nothing of guests' agents.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Instance, guest, subject};
use crate::compose::decode::At;
use crate::compose::diagnostic::Diagnostic;
use crate::compose::schema::provision as file;
use crate::compose::schema::vm::Vm;
use crate::model::{Task, TaskAction};

/// More of a script's first line than this would make a line of the plan that nobody reads.
const LABEL: usize = 40;

/// The tasks of a vm, in order.
pub(super) fn tasks(instance: &Instance<Vm>, mistakes: &mut Vec<Diagnostic>) -> Vec<Task> {
    let given = instance.spec.provision.iter().flat_map(|file::Provision(tasks)| tasks);
    given.filter_map(|file::Task(long)| task(long, mistakes)).collect()
}

/// `None` where its file could not be read, which was reported.
fn task(long: &file::LongTask, mistakes: &mut Vec<Diagnostic>) -> Option<Task> {
    let timeout = long.timeout.as_ref().map_or(Task::TIMEOUT, |timeout| {
        if timeout.value.0.is_zero() {
            let never = Diagnostic::error("`timeout` of a task must be more than nothing");
            mistakes.push(never.at(timeout.place, "no time at all"));
        }
        timeout.value
    });
    let (label, action) = match (&long.run, &long.file) {
        (Some(script), _) => (first_line(script), run(script, long, mistakes)),
        (None, Some(file)) => (file.path.value.clone(), put(file, mistakes)?),
        (None, None) => return None,
    };
    let label = long.name.clone().unwrap_or(label);
    Some(Task { label, action, timeout })
}

fn run(script: &At<String>, long: &file::LongTask, mistakes: &mut Vec<Diagnostic>) -> TaskAction {
    if script.trim().is_empty() {
        mistakes.push(Diagnostic::error("a script must not be empty").at(script.place, "nothing to run"));
    }
    if let Some(workdir) = &long.workdir {
        guest::absolute(workdir, mistakes);
    }
    if let Some(user) = &long.user {
        account(user, "a user", mistakes);
    }
    TaskAction::Run {
        script: script.value.clone(),
        env: environment(long, mistakes),
        user: long.user.as_ref().map(|user| user.value.clone()).filter(|user| user != "root"),
        workdir: long.workdir.as_ref().map(|workdir| workdir.value.clone()),
    }
}

fn environment(long: &file::LongTask, mistakes: &mut Vec<Diagnostic>) -> BTreeMap<String, String> {
    let legal = |name: &str| {
        let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        starts && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    for (name, _) in &long.env.0 {
        if !legal(name) {
            let illegal = Diagnostic::error(format!("`{}` is not the name of a variable", name.value));
            mistakes.push(illegal.at(name.place, "letters, digits and `_`, not beginning with a digit"));
        }
    }
    long.env.0.iter().map(|(name, value)| (name.value.clone(), value.clone())).collect()
}

fn put(file: &file::TaskFile, mistakes: &mut Vec<Diagnostic>) -> Option<TaskAction> {
    guest::absolute(&file.path, mistakes);
    if file.path.ends_with('/') {
        let folder = Diagnostic::error(format!("`{}` is a folder, not the path of a file", file.path.value));
        mistakes.push(folder.at(file.path.place, "write the name of the file too"));
    }
    if let Some(permissions) = &file.permissions {
        guest::check_permissions(permissions, mistakes);
    }
    if let Some(owner) = &file.owner {
        account(owner, "an owner", mistakes);
    }
    let or = |given: &Option<At<String>>, default: &str| {
        given.as_ref().map_or_else(|| default.to_owned(), |given| given.value.clone())
    };
    Some(TaskAction::File {
        path: file.path.value.clone(),
        content: file.content.clone()?,
        owner: or(&file.owner, "root:root"),
        permissions: or(&file.permissions, "0644"),
    })
}

/// A name that `su` or `chown` could take for an option, or for nothing, is none.
fn account(name: &At<String>, what: &str, mistakes: &mut Vec<Diagnostic>) {
    let legal = |c: char| c.is_ascii_alphanumeric() || "_-.:$".contains(c);
    if name.is_empty() || name.starts_with(['-', ':', '.']) || !name.chars().all(legal) {
        let illegal = Diagnostic::error(format!("`{}` is not the name of {what}", name.value));
        mistakes.push(illegal.at(name.place, "letters, digits, `_`, `-` and `.`"));
    }
}

/// The first line that does something, cut where it is long.
fn first_line(script: &str) -> String {
    let lines = script.lines().map(str::trim);
    let line = lines.clone().find(|line| !line.is_empty() && !line.starts_with('#') && !line.starts_with("set "));
    let line = line.or_else(|| lines.clone().find(|line| !line.is_empty())).unwrap_or("script");
    let line = line.replace('`', "'");
    if line.chars().count() <= LABEL { line } else { line.chars().take(LABEL - 1).chain(['…']).collect() }
}

/// What a guest with Ignition is told: a JSON object that says which version of the format it is.
pub(super) fn ignition(instance: &Instance<Vm>, told: bool, mistakes: &mut Vec<Diagnostic>) -> Option<Value> {
    let given = instance.spec.ignition.as_ref()?;
    if told {
        let both = Diagnostic::error(format!("{} has both `ignition` and something for cloud-init", subject(instance)));
        let hint = "an image has either Ignition or cloud-init; `cloud_init`, `ssh`, `shares` and the `mount` of a disk \
                    are for the latter";
        mistakes.push(both.at(given.place, "one of them").hint(hint));
    }
    let value = match &given.value.0 {
        file::IgnitionFrom::Mapping(entries) => Ok(Value::Object(entries.clone())),
        file::IgnitionFrom::Text(text) => serde_json::from_str(text),
    };
    let wrong = match &value {
        Err(error) => format!("not JSON: {error}"),
        Ok(config) if config["ignition"]["version"].is_string() => return Some(config.clone()),
        Ok(_) => "no `ignition.version`".to_owned(),
    };
    let hint = "it is JSON that begins with `{\"ignition\": {\"version\": \"3.4.0\"}`; `butane` makes it from its YAML";
    let at = match &given.value.0 {
        file::IgnitionFrom::Text(text) => text.place,
        file::IgnitionFrom::Mapping(_) => given.place,
    };
    let not = Diagnostic::error(format!("the Ignition configuration of {} cannot be right", subject(instance)));
    mistakes.push(not.at(at, wrong).hint(hint));
    None
}
