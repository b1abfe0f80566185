//! The reference of the compose file, as Markdown, made from its JSON Schema: so it cannot say what the parser does not.
//!
//! Owns the walk and the words for types. The descriptions are those of the schema; knows no key by name.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::plan::effects::{Entry, NETWORK_TABLE, TABLE, VOLUME_TABLE};

/// Every key of every mapping, breadth first: type, default, what it is for.
pub fn markdown(schema: &Value) -> String {
    let mut walk = Walk { schema, seen: BTreeSet::new() };
    let mut text = String::new();
    let mut queue = std::collections::VecDeque::from([(Vec::new(), schema)]);
    while let Some((path, mapping)) = queue.pop_front() {
        let Some(properties) = mapping.get("properties").and_then(Value::as_object) else { continue };
        text.push_str(&heading(&path));
        let below = |key: &String| -> Vec<String> { path.iter().cloned().chain([key.clone()]).collect() };
        text.extend(properties.iter().map(|(key, value)| walk.row(key, value)));
        text.push('\n');
        // From the end, so that what `vms` and `defaults` have in common is told of `vms`.
        queue.extend(properties.iter().rev().flat_map(|(key, value)| walk.mappings(below(key), value)));
    }
    text
}

/// What a change of each field of a vm that is there costs.
pub fn effects() -> String {
    let mut text = String::new();
    let mut table = |of: &str, entries: &[Entry]| {
        let _ = write!(text, "| {of} | effect | |\n|---|---|---|\n");
        for (field, class, how) in entries {
            let _ = writeln!(text, "| `{field}` | {} | {how} |", class.as_str());
        }
    };
    table("field of a vm", &TABLE);
    table("field of a network", &NETWORK_TABLE);
    table("field of a volume", &VOLUME_TABLE);
    text.replace("|\n| field of a", "|\n\n| field of a")
}

fn heading(path: &[String]) -> String {
    let title = if path.is_empty() { "Top level".to_owned() } else { format!("`{}`", path.join(".")) };
    format!("#### {title}\n\n| key | type | default | what it is |\n|---|---|---|---|\n")
}

struct Walk<'a> {
    schema: &'a Value,
    /// Definitions that have a table already.
    seen: BTreeSet<String>,
}

impl<'a> Walk<'a> {
    fn row(&self, key: &str, value: &'a Value) -> String {
        let description = value.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
        let (rest, example) = split(&description, "Example: ");
        let (what, default) = split(rest, "Default: ");
        let example = example.map(|example| format!(" e.g. {example}")).unwrap_or_default();
        let kind = self.kind(value).join(", or ");
        let row = format!("| `{key}` | {kind} | {} | {what}{example} |", default.unwrap_or("").trim_end_matches('.'));
        format!("{}\n", escape(&row))
    }

    /// The words for a type; several where a key has a short and a long form.
    fn kind(&self, value: &'a Value) -> Vec<String> {
        if let Some((name, definition)) = self.definition(value) {
            return match name {
                "Size" => vec!["size".to_owned()],
                "Duration" => vec!["duration".to_owned()],
                _ => self.kind(definition),
            };
        }
        let words = match value.get("anyOf").and_then(Value::as_array) {
            Some(forms) => forms.iter().filter(|form| !computed(form)).flat_map(|form| self.kind(form)).collect(),
            None => self.plain(value),
        };
        let mut distinct: Vec<String> = Vec::new();
        distinct.extend(words.into_iter().filter(|word| word != "nothing"));
        distinct.dedup();
        distinct
    }

    fn plain(&self, value: &'a Value) -> Vec<String> {
        if let Some(constant) = value.get("const").and_then(Value::as_str) {
            return vec![format!("`{constant}`")];
        }
        let of = |inner: Option<&'a Value>| inner.map_or_else(String::new, |inner| self.kind(inner).join(" or "));
        let kinds: Vec<&str> = match value.get("type") {
            Some(Value::String(kind)) => vec![kind],
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
            _ => return vec!["anything".to_owned()],
        };
        let word = |kind: &str| match kind {
            "string" => "text".to_owned(),
            "integer" => "whole number".to_owned(),
            "number" => "number".to_owned(),
            "boolean" => "`true`, `false`".to_owned(),
            "array" => format!("list of {}", of(value.get("items"))),
            "object" if value.get("properties").is_some() => "mapping".to_owned(),
            "object" => match value.get("additionalProperties") {
                Some(inner @ Value::Object(_)) => format!("mapping of names to {}", of(Some(inner))),
                _ => "mapping".to_owned(),
            },
            _ => "nothing".to_owned(),
        };
        kinds.into_iter().map(word).collect()
    }

    /// The mappings with keys of their own that a value may be, each once in the whole reference.
    fn mappings(&mut self, path: Vec<String>, value: &'a Value) -> Vec<(Vec<String>, &'a Value)> {
        if let Some((name, definition)) = self.definition(value) {
            let name = name.to_owned();
            return if self.seen.insert(name) { self.mappings(path, definition) } else { Vec::new() };
        }
        if value.get("properties").is_some() {
            return vec![(path, value)];
        }
        let below = |step: &str| path.iter().cloned().chain([step.to_owned()]).collect::<Vec<_>>();
        let mut found = Vec::new();
        for form in value.get("anyOf").and_then(Value::as_array).into_iter().flatten() {
            found.extend(self.mappings(path.clone(), form));
        }
        if let Some(items) = value.get("items") {
            found.extend(self.mappings(below("[]"), items));
        }
        if let Some(inner @ Value::Object(_)) = value.get("additionalProperties") {
            found.extend(self.mappings(below("NAME"), inner));
        }
        found
    }

    fn definition(&self, value: &'a Value) -> Option<(&'a str, &'a Value)> {
        let name = value.get("$ref")?.as_str()?.strip_prefix("#/$defs/")?;
        Some((name, self.schema.get("$defs")?.get(name)?))
    }
}

/// Any value may come out of a template; saying so in each row would say nothing.
fn computed(form: &Value) -> bool {
    let pattern =
        form.as_object().and_then(|object: &Map<String, Value>| object.get("pattern")).and_then(Value::as_str);
    pattern.is_some_and(|pattern| pattern.contains(r"\{\{"))
}

fn split<'t>(text: &'t str, mark: &str) -> (&'t str, Option<&'t str>) {
    match text.split_once(mark) {
        Some((before, after)) => (before.trim(), Some(after.trim())),
        None => (text.trim(), None),
    }
}

/// A bar inside a cell would end it.
fn escape(row: &str) -> String {
    let inner = row.trim_start_matches("| ").trim_end_matches(" |");
    let cells: Vec<String> = inner.split(" | ").map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |", cells.join(" | "))
}
