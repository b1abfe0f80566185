//! `vars`: the file's values, and what overrides them.
//!
//! Owns their precedence: `--var`, then `--var-file`, then `VMCOMPOSE_VAR_…`, then the file; as Terraform has it. Knows
//! nothing of what they are used for.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::Value;
use minijinja::value::ValueKind;

use super::diagnostic::Diagnostic;
use super::node::{Entry, Kind, Meaning, Node, Scalar, Style};
use super::place::FileId;
use super::source::{Request, Sources};
use super::suggest;
use super::template::context::Shared;
use super::template::{Templates, is_template};
use super::yaml::{self, Loaded};

/// The prefix of variables of the environment that set vars.
const PREFIX: &str = "VMCOMPOSE_VAR_";

/// What takes the place of the file's value.
enum Override<'a> {
    /// A text, which becomes what the file's value is.
    Text(&'a str),
    /// A value of a file of vars.
    Value(Value),
}

/// The values of all vars. Templates in them see the environment and the other vars.
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
    let known: Vec<&str> = declared.iter().map(|entry| entry.key.text.as_str()).collect();
    let overrides = overrides(&known, sources, request, mistakes, warnings);
    let mut vars = Vars { declared, overrides, shared, templates, mistakes, values: BTreeMap::new(), open: Vec::new() };
    for entry in declared {
        vars.settle(entry);
    }
    vars.values
}

/// What is set from outside, by name; what is later counts more.
fn overrides<'a>(
    known: &[&'a str],
    sources: &Sources,
    request: &'a Request,
    mistakes: &mut Vec<Diagnostic>,
    warnings: &mut Vec<Diagnostic>,
) -> BTreeMap<String, Override<'a>> {
    let mut overrides = BTreeMap::new();
    for (name, text) in &request.environment {
        if let Some(name) = name.strip_prefix(PREFIX).filter(|name| known.contains(name)) {
            overrides.insert(name.to_owned(), Override::Text(text));
        }
    }
    for file in &sources.var_files {
        if !matches!(file.kind, Kind::Mapping(_)) && !file.is_null() {
            let not = Diagnostic::error(format!("a file of vars must be a mapping, not {}", file.describe()));
            mistakes.push(not.at(file.place(), "expected `name: value`"));
        }
        for entry in file.entries() {
            if known.contains(&entry.key.text.as_str()) {
                overrides.insert(entry.key.text.clone(), Override::Value(value(&entry.value)));
            } else {
                let unknown = Diagnostic::warning(format!("`{}` is not one of the file's `vars`", entry.key.text));
                let hint = suggest::did_you_mean(&entry.key.text, known.iter().copied());
                warnings.push(unknown.at(entry.key.at, "has no effect").maybe_hint(hint));
            }
        }
    }
    for (name, text) in &request.vars {
        if known.contains(&name.as_str()) {
            overrides.insert(name.clone(), Override::Text(text));
        } else {
            let unknown = Diagnostic::error(format!("`--var {name}`: the file has no var of this name"));
            let hint = suggest::did_you_mean(name, known.iter().copied())
                .unwrap_or_else(|| format!("declare it with its default: `vars: {{{name}: …}}`"));
            mistakes.push(unknown.hint(hint));
        }
    }
    overrides
}

/// Vars while they are worked out, each after those that it asks for.
struct Vars<'a, 't> {
    declared: &'a [Entry],
    overrides: BTreeMap<String, Override<'a>>,
    shared: &'a Shared,
    templates: &'a mut Templates<'t>,
    mistakes: &'a mut Vec<Diagnostic>,
    values: BTreeMap<String, Value>,
    /// Those that led to the one that is being worked out.
    open: Vec<&'a Entry>,
}

/// How many vars may ask for one another in a chain.
const DEPTH: usize = 64;

impl<'a> Vars<'a, '_> {
    fn settle(&mut self, entry: &'a Entry) {
        let name = &entry.key.text;
        if self.values.contains_key(name) {
            return;
        }
        if let Some(start) = self.open.iter().position(|open| open.key.text == *name) {
            self.mistakes.push(circle(&self.open[start..]));
            return;
        }
        if self.open.len() >= DEPTH {
            let long = Diagnostic::error(format!("more than {DEPTH} vars ask for one another in a chain"));
            self.mistakes.push(long.at(entry.key.at, "the limit is reached here"));
            return;
        }
        self.open.push(entry);
        let mut asked = BTreeSet::new();
        self.asked(&entry.value, &mut asked);
        for other in self.declared.iter().filter(|other| asked.contains(&other.key.text)) {
            self.settle(other);
        }
        self.open.pop();
        // What stands in a circle was reported as such.
        let circular = asked
            .iter()
            .any(|name| !self.values.contains_key(name) && self.declared.iter().any(|entry| entry.key.text == *name));
        let mut node = entry.value.clone();
        if !circular {
            let context = self.shared.with_vars(self.values.clone()).context();
            self.templates.render(&mut node, &context, self.mistakes);
            // What is known only later has no place in what everything else is made of.
            self.templates.finish(&mut node, &context, self.mistakes);
        }
        let own = value(&node);
        let settled = match self.overrides.remove(name) {
            None => own,
            Some(Override::Value(value)) => value,
            Some(Override::Text(text)) => of_text(text, &own),
        };
        self.values.insert(name.clone(), settled);
    }

    /// The vars that a value's templates ask for.
    fn asked(&mut self, node: &Node, found: &mut BTreeSet<String>) {
        match &node.kind {
            Kind::Scalar(scalar) if is_template(&scalar.text) => {
                found.extend(self.templates.names_below("vars", &scalar.text));
            }
            Kind::Scalar(_) => {}
            Kind::Sequence(items) => items.iter().for_each(|item| self.asked(item, found)),
            Kind::Mapping(entries) => entries.iter().for_each(|entry| self.asked(&entry.value, found)),
        }
    }
}

fn circle(open: &[&Entry]) -> Diagnostic {
    let names: Vec<String> = open.iter().map(|entry| format!("`{}`", entry.key.text)).collect();
    let text = match names.as_slice() {
        [own] => format!("var {own} asks for itself"),
        names => format!("vars ask for one another in a circle: {}", names.join(", which asks for ")),
    };
    let mut diagnostic = Diagnostic::error(text);
    for (at, entry) in open.iter().enumerate() {
        let label = format!("`{}` asks for `{}`", entry.key.text, open[(at + 1) % open.len()].key.text);
        let place = entry.value.place();
        diagnostic = if at == 0 { diagnostic.at(place, label) } else { diagnostic.and(place, label) };
    }
    diagnostic
}

/// A text from outside: a text where the file's value is one; a list or a mapping where it is one, as YAML has them; else
/// what it looks like.
fn of_text(text: &str, own: &Value) -> Value {
    let collection = matches!(own.kind(), ValueKind::Seq | ValueKind::Map) && text.trim().starts_with(['[', '{']);
    if collection
        && let Loaded { documents, mistakes, .. } = yaml::load(FileId(0), text)
        && let Some(node) = documents.first().filter(|_| mistakes.is_empty())
    {
        return value(node);
    }
    let style = if own.as_str().is_some() { Style::Text } else { Style::Plain };
    scalar_value(&Scalar { text: text.to_owned(), style, computed: true, pending: false, failed: false })
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
