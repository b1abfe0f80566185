//! `vars`: the file's values, and what overrides them.
//!
//! Owns their precedence: `--var`, then `--var-file`, then `VMCOMPOSE_VAR_…`, then the file; as Terraform has it. Knows
//! nothing of what they are used for.

use std::collections::BTreeMap;

use minijinja::Value;

use super::diagnostic::Diagnostic;
use super::node::{Kind, Meaning, Node, Scalar, Style};
use super::source::{Request, Sources};
use super::suggest;
use super::template::Templates;
use super::template::context::Shared;

/// The prefix of variables of the environment that set vars.
const PREFIX: &str = "VMCOMPOSE_VAR_";

/// The values of all vars. Templates in them see the environment and the vars above them.
pub(crate) fn values(
    root: &Node,
    sources: &Sources,
    request: &Request,
    shared: &Shared,
    templates: &mut Templates<'_>,
    mistakes: &mut Vec<Diagnostic>,
    warnings: &mut Vec<Diagnostic>,
) -> BTreeMap<String, Value> {
    let declared = root.get("vars").map_or(&[][..], Node::entries);
    let mut values = BTreeMap::new();
    for entry in declared {
        let mut node = entry.value.clone();
        let context = shared.with_vars(values.clone()).context();
        templates.render(&mut node, &context, mistakes);
        // What is known only later has no place in what everything else is made of.
        templates.finish(&mut node, &context, mistakes);
        values.insert(entry.key.text.clone(), value(&node));
    }
    let known: Vec<&str> = declared.iter().map(|entry| entry.key.text.as_str()).collect();
    for (name, text) in &request.environment {
        if let Some(name) = name.strip_prefix(PREFIX).filter(|name| known.contains(name)) {
            set(&mut values, name, text);
        }
    }
    for file in &sources.var_files {
        if !matches!(file.kind, Kind::Mapping(_)) && !file.is_null() {
            let not = Diagnostic::error(format!("a file of vars must be a mapping, not {}", file.describe()));
            mistakes.push(not.at(file.place(), "expected `name: value`"));
        }
        for entry in file.entries() {
            if known.contains(&entry.key.text.as_str()) {
                values.insert(entry.key.text.clone(), value(&entry.value));
            } else {
                let unknown = Diagnostic::warning(format!("`{}` is not one of the file's `vars`", entry.key.text));
                let hint = suggest::did_you_mean(&entry.key.text, known.iter().copied());
                warnings.push(unknown.at(entry.key.at, "has no effect").maybe_hint(hint));
            }
        }
    }
    for (name, text) in &request.vars {
        if known.contains(&name.as_str()) {
            set(&mut values, name, text);
        } else {
            let unknown = Diagnostic::error(format!("`--var {name}`: the file has no var of this name"));
            let hint = suggest::did_you_mean(name, known.iter().copied())
                .unwrap_or_else(|| format!("declare it with its default: `vars: {{{name}: …}}`"));
            mistakes.push(unknown.hint(hint));
        }
    }
    values
}

/// Sets a var from a text: to a text where the file's value is one, else to what the text looks like.
fn set(values: &mut BTreeMap<String, Value>, name: &str, text: &str) {
    let was_text = values.get(name).is_some_and(|value| value.as_str().is_some());
    let style = if was_text { Style::Text } else { Style::Plain };
    let scalar = Scalar { text: text.to_owned(), style, computed: true, pending: false, failed: false };
    values.insert(name.to_owned(), scalar_value(&scalar));
}

/// A tree as templates see it.
pub(crate) fn value(node: &Node) -> Value {
    match &node.kind {
        Kind::Scalar(scalar) => scalar_value(scalar),
        Kind::Sequence(items) => items.iter().map(value).collect(),
        Kind::Mapping(entries) => {
            let pairs = entries.iter().map(|entry| (entry.key.text.clone(), value(&entry.value)));
            Value::from(pairs.collect::<BTreeMap<String, Value>>())
        }
    }
}

fn scalar_value(scalar: &Scalar) -> Value {
    match scalar.meaning() {
        Meaning::Null => Value::from(()),
        Meaning::Bool(truth) => Value::from(truth),
        Meaning::Int(number) => i64::try_from(number).map_or_else(|_| Value::from(number), Value::from),
        Meaning::Float(number) => Value::from(number),
        Meaning::Text(text) => Value::from(text),
    }
}
