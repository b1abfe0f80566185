//! Cloud-config's keys and their forms.
//!
//! Owns the rules for single keys. Knows nothing of first lines and other kinds of user-data.

use std::collections::BTreeMap;

use super::Problem;
use super::keys::{self, Form};
use crate::seed::yaml::{Node, Value};

pub(super) fn check(root: &Node) -> Vec<Problem> {
    let Value::Mapping(pairs) = &root.value else {
        let found = root.value.kind();
        return vec![Problem::error(root.line, format!("cloud-config must be a mapping of keys; this is {found}"))];
    };
    let mut problems = Vec::new();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (key, value) in pairs {
        let Value::Text(name) = &key.value else {
            if !matches!(key.value, Value::Other) {
                problems.push(Problem::error(key.line, format!("a key must be a text; this is {}", key.value.kind())));
            }
            continue;
        };
        if let Some(before) = seen.insert(name, key.line) {
            let message = format!("`{name}` is there twice, first on line {before}; the guest takes the last alone");
            problems.push(Problem::warning(key.line, message).hint("put them together"));
        }
        match keys::form(name) {
            Some(form) => check_form(name, form, key.line, value, &mut problems),
            None => problems.push(unknown(name, key.line, "cloud-config", keys::all())),
        }
    }
    problems
}

fn unknown<'a>(name: &str, line: usize, place: &str, known: impl Iterator<Item = &'a str>) -> Problem {
    let problem = Problem::warning(line, format!("`{name}` is not a key of {place}; the guest ignores it"));
    match keys::nearest(name, known) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem,
    }
}

fn wrong(name: &str, expected: &str, found: &Node) -> Problem {
    wrong_at(found.line, name, expected, found)
}

fn wrong_at(line: usize, name: &str, expected: &str, found: &Node) -> Problem {
    Problem::error(line, format!("`{name}` must be {expected}; this is {}", found.value.kind()))
}

/// An alias or a value with a tag may be anything; a key without a value counts as left out.
fn unseen(value: &Value) -> bool {
    matches!(value, Value::Other | Value::Null)
}

/// What begins after `|` or on the next line is told at its key.
fn check_form(name: &str, form: Form, line: usize, node: &Node, problems: &mut Vec<Problem>) {
    if unseen(&node.value) {
        return;
    }
    let items = match (form, &node.value) {
        (_, Value::List(items)) if form.is_list() => items,
        (form, value) if fits(form, value) => return,
        (Form::Text, _) => return problems.push(wrong_at(line, name, "a text", node).hint("put it in quotes")),
        (Form::Truth, _) => return problems.push(wrong_at(line, name, "`true` or `false`", node)),
        (Form::Mapping, _) => return problems.push(wrong_at(line, name, "a mapping", node)),
        (Form::Commands, Value::Text(_)) => {
            return problems.push(wrong_at(line, name, "a list of commands", node).hint("begin each line with `- `"));
        }
        _ => return problems.push(wrong_at(line, name, "a list", node)),
    };
    for (index, item) in items.iter().enumerate().filter(|(_, item)| !unseen(&item.value)) {
        let place = format!("{name}[{index}]");
        match form {
            Form::Commands => command(&place, item, problems),
            Form::Files => file(&place, item, problems),
            Form::Users => user(&place, item, problems),
            Form::Rows if !matches!(item.value, Value::List(_)) => problems.push(wrong(&place, "a list", item)),
            Form::Texts if !matches!(item.value, Value::Text(_)) => problems.push(wrong(&place, "a text", item)),
            _ => {}
        }
    }
}

/// Whether a value that is not looked into has the form that its key wants.
fn fits(form: Form, value: &Value) -> bool {
    match form {
        Form::Any => true,
        Form::Text => matches!(value, Value::Text(_)),
        Form::Truth => match value {
            Value::Bool(_) => true,
            Value::Text(text) => text == "true" || text == "false",
            _ => false,
        },
        Form::Mapping => matches!(value, Value::Mapping(_)),
        Form::Users => matches!(value, Value::Mapping(_) | Value::Text(_)),
        _ => false,
    }
}

/// A colon and a space in an unquoted command make a mapping of it, and the guest runs nothing at all then.
fn command(place: &str, node: &Node, problems: &mut Vec<Problem>) {
    match &node.value {
        Value::Text(_) => {}
        Value::List(words) => words.iter().for_each(|word| argument(place, word, problems)),
        Value::Mapping(_) => {
            let hint = "a command with `: ` in it must be in quotes";
            problems.push(wrong(place, "a text or a list of texts", node).hint(hint));
        }
        _ => problems.push(wrong(place, "a text or a list of texts", node).hint("put it in quotes")),
    }
}

fn argument(place: &str, word: &Node, problems: &mut Vec<Problem>) {
    let other = |text: &str| {
        let digits = text.trim_start_matches(['+', '-']);
        (digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.")) || digits.contains([':', '_'])
    };
    match &word.value {
        Value::Bool(text) => {
            let read =
                format!("`{text}` in `{place}` is a truth value, not a text; the guest writes it as `True` or `False`");
            problems.push(Problem::warning(word.line, read).hint("put it in quotes"));
        }
        Value::Number(text) if other(text) => {
            let read = format!("`{text}` in `{place}` is a number to the guest, which writes it in another way");
            problems.push(Problem::warning(word.line, read).hint("put it in quotes"));
        }
        Value::List(_) | Value::Mapping(_) => problems.push(wrong(place, "a list of texts", word)),
        _ => {}
    }
}

fn file(place: &str, node: &Node, problems: &mut Vec<Problem>) {
    let Value::Mapping(pairs) = &node.value else {
        return problems.push(wrong(place, "a mapping with `path` and `content`", node));
    };
    let known = || keys::FILE.iter().copied();
    let mut has_path = false;
    for (key, value) in pairs {
        let Value::Text(name) = &key.value else { continue };
        has_path |= name == "path";
        match (name.as_str(), &value.value) {
            ("path", Value::Text(path)) if !path.starts_with('/') => {
                problems.push(Problem::error(value.line, format!("`{place}.path` must be absolute; this is `{path}`")));
            }
            ("path" | "content" | "owner", Value::Number(_) | Value::Bool(_) | Value::List(_) | Value::Mapping(_)) => {
                let hint = "put it in quotes, or write it after `|`";
                problems.push(wrong(&format!("{place}.{name}"), "a text", value).hint(hint));
            }
            ("permissions", Value::Number(text)) if !text.starts_with('0') => {
                let message =
                    format!("`{place}.permissions` is the decimal number {text}, not the octal one that it looks like");
                problems.push(Problem::error(value.line, message).hint(format!("write `'0{text}'`")));
            }
            ("encoding", Value::Text(encoding)) if !keys::ENCODINGS.contains(&encoding.as_str()) => {
                let message = format!("`{encoding}` is not an encoding that cloud-init knows");
                problems.push(Problem::error(value.line, message).hint("write `b64` or `gz+b64`, or leave it out"));
            }
            (other, _) if !known().any(|key| key == other) => {
                problems.push(unknown(other, key.line, "a file", known()));
            }
            _ => {}
        }
    }
    if !has_path {
        problems.push(Problem::error(node.line, format!("`{place}` has no `path`")));
    }
}

fn user(place: &str, node: &Node, problems: &mut Vec<Problem>) {
    let pairs = match &node.value {
        Value::Mapping(pairs) => pairs,
        Value::Text(_) | Value::List(_) => return,
        _ => return problems.push(wrong(place, "a name or a mapping with `name`", node)),
    };
    let known = || keys::USER.iter().copied();
    let mut has_name = false;
    for (key, value) in pairs {
        let Value::Text(name) = &key.value else { continue };
        has_name |= name == "name" || name == "snapuser";
        if name == "ssh_authorized_keys" && !matches!(value.value, Value::List(_)) && !unseen(&value.value) {
            problems.push(wrong(&format!("{place}.{name}"), "a list of keys", value));
        } else if !known().any(|key| key == name) {
            problems.push(unknown(name, key.line, "a user", known()));
        }
    }
    if !has_name {
        problems.push(Problem::error(node.line, format!("`{place}` has no `name`")));
    }
}
