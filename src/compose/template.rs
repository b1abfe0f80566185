//! Templates in the values of a tree: minijinja, strict, and with an end.
//!
//! Owns the environment of templates, their limits and the words for what is wrong with one. What they can see is in
//! `context`; the filters beyond minijinja's own are in `filter`. Knows nothing of compose keys.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::ops::Range;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value};

use super::diagnostic::Diagnostic;
use super::node::{Kind, Node};
use super::place::{Place, Texts};
use super::suggest;
use crate::model::secret::references;

pub(crate) mod context;
mod filter;

/// Instructions that one template may take. A loop over all vms of a large project takes a tenth of it.
const FUEL: u64 = 500_000;
/// Instructions that all templates of a project may take together.
const ALL_FUEL: u64 = 20_000_000;
/// What all templates of a project may write together.
const OUTPUT: usize = 64 << 20;

/// Whether there is a template in a text.
pub(crate) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// Renders templates, within the limits of one project.
pub(crate) struct Templates<'a> {
    environment: Environment<'static>,
    texts: &'a Texts,
    fuel: u64,
    output: usize,
}

/// Names that templates can have but not yet, because addresses are not settled yet; secrets, because it has to be seen
/// first where a template stands.
const LATER: [&str; 3] = ["vms", "networks", context::SECRETS];

impl<'a> Templates<'a> {
    pub(crate) fn new(texts: &'a Texts) -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_debug(true);
        environment.set_fuel(Some(FUEL));
        if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
            environment.set_syntax(syntax);
        }
        // Python's `True` and `None` mean nothing in the files that templates make.
        environment.set_formatter(|out, state, value| match value.kind() {
            ValueKind::Bool => out.write_str(if value.is_true() { "true" } else { "false" }).map_err(Into::into),
            ValueKind::None => out.write_str("null").map_err(Into::into),
            _ => minijinja::escape_formatter(out, state, value),
        });
        filter::add(&mut environment);
        Self { environment, texts, fuel: ALL_FUEL, output: OUTPUT }
    }

    /// Renders every template in a tree. One that needs addresses is left for [`Self::finish`].
    pub(crate) fn render(&mut self, node: &mut Node, context: &Value, mistakes: &mut Vec<Diagnostic>) {
        self.walk(node, context, Pass::First, mistakes);
    }

    /// Renders what [`Self::render`] left.
    pub(crate) fn finish(&mut self, node: &mut Node, context: &Value, mistakes: &mut Vec<Diagnostic>) {
        self.walk(node, context, Pass::Second, mistakes);
    }

    fn walk(&mut self, node: &mut Node, context: &Value, pass: Pass, mistakes: &mut Vec<Diagnostic>) {
        let place = node.place();
        match &mut node.kind {
            Kind::Sequence(items) => items.iter_mut().for_each(|item| self.walk(item, context, pass, mistakes)),
            Kind::Mapping(entries) => {
                for entry in entries {
                    self.walk(&mut entry.value, context, pass, mistakes);
                }
            }
            Kind::Scalar(scalar) => {
                let due = match pass {
                    Pass::First => is_template(&scalar.text),
                    Pass::Second => scalar.pending && !scalar.failed,
                };
                if !due {
                    return;
                }
                scalar.pending = pass == Pass::First && self.needs_addresses(&scalar.text);
                if scalar.pending {
                    return;
                }
                match self.text(&scalar.text, context, place) {
                    Ok(text) => {
                        scalar.text = text;
                        scalar.computed = true;
                    }
                    Err(diagnostic) => {
                        scalar.failed = true;
                        mistakes.push(*diagnostic);
                    }
                }
            }
        }
    }

    /// Whether a template speaks of other vms or networks.
    fn needs_addresses(&self, text: &str) -> bool {
        LATER.iter().any(|name| text.contains(name))
            && self
                .environment
                .template_from_str(text)
                .is_ok_and(|template| LATER.iter().any(|name| template.undeclared_variables(false).contains(*name)))
    }

    /// Renders one text.
    pub(crate) fn text(&mut self, text: &str, context: &Value, place: Place) -> Result<String, Box<Diagnostic>> {
        self.refuel(place)?;
        let mut out = Limited { bytes: Vec::new(), left: self.output };
        let told = context::told(context);
        let rendered = self.environment.template_from_str(text).and_then(|template| {
            template
                .render_captured_to(context.clone(), &mut out)
                .map(|captured| captured.state().fuel_levels().map_or(FUEL, |(consumed, _)| consumed))
        });
        match rendered {
            Ok(consumed) => {
                self.fuel = self.fuel.saturating_sub(consumed);
                self.output = self.output.saturating_sub(out.bytes.len());
                let text = String::from_utf8_lossy(&out.bytes).into_owned();
                // What a filter or a test makes of the place holder is not what it would make of the value.
                if context::told(context) - told == references(&text).len() {
                    Ok(text)
                } else {
                    Err(Box::new(filtered(place)))
                }
            }
            Err(error) => {
                let found = if out.bytes.len() >= out.left { Some(too_long(place)) } else { None };
                // How much it took before it failed is not known.
                self.fuel = self.fuel.saturating_sub(if error.kind() == ErrorKind::OutOfFuel { FUEL } else { 1000 });
                Err(Box::new(found.unwrap_or_else(|| self.describe(&error, text, Moved::default(), context, place))))
            }
        }
    }

    /// The value of a text that is nothing but one expression: `{{ vars.sites }}`.
    pub(crate) fn expression(&mut self, text: &str, context: &Value, place: Place) -> Result<Value, Box<Diagnostic>> {
        const BEFORE: &str = "{% set value = (";
        let trimmed = text.trim();
        let inner = trimmed.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")).unwrap_or(trimmed);
        let source = format!("{BEFORE}{inner}) %}}");
        self.refuel(place)?;
        let value = self.environment.template_from_str(&source).and_then(|template| {
            let captured = template.render_captured(context.clone())?;
            Ok(captured.state().lookup("value").unwrap_or_default())
        });
        let skipped = text.find(inner).unwrap_or(0);
        self.fuel = self.fuel.saturating_sub(1000);
        let moved = Moved { before: BEFORE.len(), skipped };
        value.map_err(|error| Box::new(self.describe(&error, text, moved, context, place)))
    }

    /// The complaint about a text whose one expression is not defined.
    pub(crate) fn undefined(&self, text: &str, context: &Value, place: Place) -> Diagnostic {
        let inner = text.trim().trim_start_matches("{{").trim_end_matches("}}").trim();
        let at = text.find(inner).map_or(place.at, |start| self.texts.find(place.at, text, start..start + inner.len()));
        undefined(inner, context, Place { at, via: place.via })
    }

    fn refuel(&mut self, place: Place) -> Result<(), Box<Diagnostic>> {
        if self.fuel == 0 {
            let dry = Diagnostic::error("the templates of the project take too long together");
            return Err(Box::new(dry.at(place, "this one was not rendered any more")));
        }
        self.environment.set_fuel(Some(FUEL.min(self.fuel)));
        Ok(())
    }

    /// minijinja's complaint in our words.
    fn describe(
        &self,
        error: &minijinja::Error,
        text: &str,
        moved: Moved,
        context: &Value,
        place: Place,
    ) -> Diagnostic {
        let range = error.range().map(|range| whole_name(text, moved.back(&range)));
        let part = range.clone().and_then(|range| text.get(range)).map_or("", str::trim);
        let at = range.map_or(place, |range| Place { at: self.texts.find(place.at, text, range), via: place.via });
        let detail = error.detail().unwrap_or("").to_owned();
        match error.kind() {
            ErrorKind::UndefinedError => undefined(part, context, at),
            ErrorKind::OutOfFuel => Diagnostic::error("this template takes too long; does it ever end?").at(at, "here"),
            ErrorKind::SyntaxError => Diagnostic::error(format!("not a template: {detail}"))
                .at(at, "here")
                .hint("for braces that are meant for the guest write `{% raw %}…{% endraw %}`"),
            kind if detail.is_empty() => Diagnostic::error(format!("the template fails: {kind}")).at(at, "here"),
            _ => Diagnostic::error(format!("the template fails: {detail}")).at(at, "here"),
        }
    }
}

/// minijinja points at `.b.c` of `a.b.c`; the name begins before that.
fn whole_name(text: &str, range: Range<usize>) -> Range<usize> {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    let starts_inside = text.get(range.clone()).is_some_and(|t| t.starts_with('.'));
    let before = text.get(..range.start).filter(|_| starts_inside).unwrap_or("");
    range.start - (before.len() - before.trim_end_matches(part).len())..range.end
}

/// How minijinja's source differs from the text of the file: what was put before it, and what was left out of it.
#[derive(Clone, Copy, Default)]
struct Moved {
    before: usize,
    skipped: usize,
}

impl Moved {
    fn back(self, range: &Range<usize>) -> Range<usize> {
        let back = |at: usize| at.saturating_sub(self.before) + self.skipped;
        back(range.start)..back(range.end)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    First,
    Second,
}

/// Takes so many bytes and no more.
struct Limited {
    bytes: Vec<u8>,
    left: usize,
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.left {
            self.left = self.bytes.len();
            return Err(io::Error::other("too long"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn filtered(place: Place) -> Diagnostic {
    Diagnostic::error("a secret can only be put in as it is, not changed by a filter")
        .at(place, "its value is not known yet")
        .hint("let the guest change it, or make the changed value a secret of its own")
}

fn too_long(place: Place) -> Diagnostic {
    Diagnostic::error(format!("templates write more than {} MiB", OUTPUT >> 20)).at(place, "too much of it here")
}

/// A name that is not there: which part of `vars.a.b` it is, and what is there in its place.
fn undefined(expression: &str, context: &Value, at: Place) -> Diagnostic {
    let mut seen = String::new();
    let mut value = context.clone();
    for part in expression.split('.') {
        let legal = !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
        let next = if legal { value.get_attr(part).unwrap_or_default() } else { Value::UNDEFINED };
        if !next.is_undefined() {
            seen = if seen.is_empty() { part.to_owned() } else { format!("{seen}.{part}") };
            value = next;
            continue;
        }
        let keys: BTreeSet<String> = value.try_iter().into_iter().flatten().map(|key| key.to_string()).collect();
        let known = keys.iter().map(String::as_str);
        let (name, within) = if legal { (part, seen.as_str()) } else { (expression, "") };
        let message = match within {
            "" if name == context::SECRETS => {
                return Diagnostic::error("`secrets` cannot be used here, where values can be seen")
                    .at(at, "not here")
                    .hint(super::secrets::WHERE);
            }
            "" if LATER.contains(&name) => {
                return Diagnostic::error(format!(
                    "`{name}` cannot be used here, because addresses are settled from this"
                ))
                .at(at, "known only after this");
            }
            "" if name == "each" => {
                return Diagnostic::error("`each` is not defined in this template")
                    .at(at, "not defined")
                    .hint("it is there in a vm with `for_each`");
            }
            "" if name == "index" => {
                return Diagnostic::error("`index` is not defined in this template")
                    .at(at, "not defined")
                    .hint("it is there in the keys of a vm");
            }
            "" => format!("`{name}` is not defined in this template"),
            within => format!("`{name}` is not in `{within}`"),
        };
        let all: Vec<&str> = keys.iter().map(String::as_str).take(10).collect();
        let listed = if all.is_empty() { None } else { Some(format!("there are {}", super::decode::listed(&all))) };
        return Diagnostic::error(message)
            .at(at, "not defined")
            .maybe_hint(suggest::did_you_mean(name, known).or(listed));
    }
    Diagnostic::error(format!("`{expression}` is not defined in this template")).at(at, "not defined")
}
