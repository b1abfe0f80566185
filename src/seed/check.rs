//! Looks user-data over before a vm boots with it: minutes earlier than the guest would tell, if it tells at all.
//!
//! Owns what can be known without the guest: the first line, the YAML, the names and forms of cloud-config's keys. Knows
//! nothing of what the modules do with them. Lines count from 1 within the user's text.

mod config;
mod keys;

use super::user_data::is_message;
use super::yaml;

/// Something that is wrong with user-data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line of the user-data, from 1.
    pub line: usize,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong: a lower-case fragment that names the thing.
    pub message: String,
    /// What to write instead, where that is known.
    pub hint: Option<String>,
}

/// How bad a problem of user-data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The guest does something else than it looks like, or ignores it.
    Warning,
    /// The guest cannot use it.
    Error,
}

impl Problem {
    fn error(line: usize, message: impl Into<String>) -> Self {
        Self { line, severity: Severity::Error, message: message.into(), hint: None }
    }

    fn warning(line: usize, message: impl Into<String>) -> Self {
        Self { line, severity: Severity::Warning, message: message.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// First lines that cloud-init knows, and the MIME types that they stand for. It takes the longest that fits, in any
/// case of letters.
const STARTS: [(&str, &str); 9] = [
    ("#cloud-config-archive", "text/cloud-config-archive"),
    ("#cloud-config-jsonp", "text/cloud-config-jsonp"),
    ("#cloud-config", "text/cloud-config"),
    ("#cloud-boothook", "text/cloud-boothook"),
    ("#include-once", "text/x-include-once-url"),
    ("#include", "text/x-include-url"),
    ("#part-handler", "text/part-handler"),
    ("## template: jinja", "text/jinja2"),
    ("#!", "text/x-shellscript"),
];

/// MIME types of parts that cloud-init does something with.
pub const CONTENT_TYPES: &[&str] = &[
    "text/cloud-config",
    "text/cloud-config-archive",
    "text/cloud-config-jsonp",
    "text/cloud-boothook",
    "text/jinja2",
    "text/part-handler",
    "text/x-include-once-url",
    "text/x-include-url",
    "text/x-shellscript",
    "text/x-shellscript-per-boot",
    "text/x-shellscript-per-instance",
    "text/x-shellscript-per-once",
];

/// The MIME type that the first line of a text stands for.
pub(super) fn content_type(text: &str) -> Option<&'static str> {
    let start = text.trim_start();
    let begins = |with: &str| start.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with));
    STARTS.iter().find(|(with, _)| begins(with)).map(|(_, kind)| *kind)
}

/// Everything that can be said against user-data without booting it, in the order of its lines. Compressed user-data
/// and MIME messages are not looked into, templates only at their second line.
pub fn check(user_data: &[u8]) -> Vec<Problem> {
    const GZIP: &[u8] = b"\x1f\x8b";
    if user_data.starts_with(GZIP) {
        return Vec::new();
    }
    let text = match std::str::from_utf8(user_data) {
        Ok(text) => text,
        Err(error) => {
            let line = user_data[..error.valid_up_to()].split(|byte| *byte == b'\n').count();
            return vec![Problem::error(line, "user-data is neither UTF-8 nor compressed with gzip")];
        }
    };
    let mut problems = check_text(text);
    problems.sort_by_key(|problem| problem.line);
    problems
}

fn check_text(text: &str) -> Vec<Problem> {
    let blank = text.len() - text.trim_start().len();
    let first = 1 + text[..blank].matches('\n').count();
    if text.trim().is_empty() {
        return vec![Problem::error(1, "user-data is empty")];
    }
    if text.starts_with('\u{feff}') {
        return vec![Problem::error(1, "user-data begins with a byte order mark").hint("save it as UTF-8 without one")];
    }
    match content_type(text) {
        Some("text/cloud-config") => match yaml::parse(text) {
            Err(error) => vec![Problem::error(error.line, format!("cloud-config is not YAML: {}", error.message))],
            Ok(None) => Vec::new(),
            Ok(Some(root)) => config::check(&root),
        },
        Some("text/cloud-config-archive") => match yaml::parse(text) {
            Err(error) => vec![Problem::error(error.line, format!("the archive is not YAML: {}", error.message))],
            Ok(Some(yaml::Node { value: yaml::Value::List(_), .. })) => Vec::new(),
            Ok(_) => vec![Problem::error(first, "`#cloud-config-archive` must be followed by a list")],
        },
        Some("text/x-include-url" | "text/x-include-once-url") => includes(text),
        Some("text/jinja2") => template(text, first),
        Some(_) => Vec::new(),
        None if is_message(text) => Vec::new(),
        None => vec![unknown_start(text, first)],
    }
}

fn includes(text: &str) -> Vec<Problem> {
    let not_an_address = |(index, line): (usize, &str)| {
        let line = line.trim();
        let ignored = line.is_empty() || line.starts_with('#') || line.contains("://");
        (!ignored).then(|| Problem::error(index + 1, format!("`{line}` is not a URL")))
    };
    text.lines().enumerate().filter_map(not_an_address).collect()
}

/// A template has its own first line, and then that of what it becomes.
fn template(text: &str, first: usize) -> Vec<Problem> {
    let rest = text.trim_start().split_once('\n').map_or("", |(_, rest)| rest);
    if content_type(rest).is_some() {
        return Vec::new();
    }
    let message = "nothing says what the template becomes";
    vec![Problem::error(first + 1, message).hint("after `## template: jinja` write `#cloud-config` or `#!/bin/sh`")]
}

fn unknown_start(text: &str, first: usize) -> Problem {
    let line = text.trim_start().lines().next().unwrap_or("").trim_end();
    let shown: String = line.chars().take(60).collect();
    let problem = Problem::error(
        first,
        format!("`{shown}` is not a first line that cloud-init knows; it would ignore everything"),
    );
    let squeezed: String = line
        .to_ascii_lowercase()
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| if c == '_' { '-' } else { c })
        .collect();
    let wanted = STARTS.iter().map(|(start, _)| *start).filter(|start| !start.contains(' '));
    let near = wanted.map(|start| (strsim::damerau_levenshtein(&squeezed, start), start)).min();
    let key = line.split(':').next().unwrap_or("").trim();
    match near {
        Some((distance, start)) if distance <= 2 && line.len() > 3 => problem.hint(format!("did you mean `{start}`?")),
        _ if line == "---" || keys::is_known(key) => problem.hint("write `#cloud-config` on the first line"),
        _ => problem.hint("user-data begins with `#cloud-config`, or with `#!` and a program"),
    }
}
