//! Templates in the values of a tree: minijinja, strict, and with an end.
//!
//! Owns what a project's templates may do together and the words for what is wrong with one. What they can see is in
//! `context`; what they are worked out by is in `engine`, in a thread that `worker` keeps within its memory and time.
//! Knows nothing of compose keys.

use std::collections::BTreeSet;
use std::ops::Range;

use minijinja::value::ValueKind;
use minijinja::{Environment, ErrorKind, Value};

use super::diagnostic::Diagnostic;
use super::lower::Off;
use super::node::{Kind, Node};
use super::place::{Place, Texts};
use super::suggest;
use crate::model::secret::references;

use engine::{Failure, Rendered};
use worker::{Excess, Worker};

pub(crate) mod context;
mod engine;
mod filter;
mod memory;
mod worker;

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

/// Writes braces that would begin a template as templates that write them, so that a tree reads as itself.
pub(crate) fn escape(node: &mut Node) {
    match &mut node.kind {
        Kind::Scalar(scalar) if is_template(&scalar.text) => scalar.text = escaped(&scalar.text),
        Kind::Scalar(_) => {}
        Kind::Sequence(items) => items.iter_mut().for_each(escape),
        Kind::Mapping(entries) => entries.iter_mut().for_each(|entry| escape(&mut entry.value)),
    }
}

/// The same of one text.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = ["{{", "{%", "{#"].iter().filter_map(|mark| rest.find(mark)).min() {
        let (before, marked) = rest.split_at(at);
        let (mark, after) = marked.split_at(2);
        out.extend([before, "{{ \"", mark, "\" }}"]);
        rest = after;
    }
    out + rest
}

/// Renders templates, within the limits of one project.
pub(crate) struct Templates<'a> {
    environment: Environment<'static>,
    worker: Worker,
    texts: &'a Texts,
    fuel: u64,
    output: usize,
    /// Vms that are not there, and why.
    absent: Vec<(String, String)>,
}

/// Names that templates can have but not yet, because addresses are not settled yet; secrets, because it has to be seen
/// first where a template stands.
const LATER: [&str; 3] = ["vms", "networks", context::SECRETS];

impl<'a> Templates<'a> {
    pub(crate) fn new(texts: &'a Texts) -> Self {
        let worker = Worker::new(engine::environment);
        Self { environment: engine::environment(), worker, texts, fuel: ALL_FUEL, output: OUTPUT, absent: Vec::new() }
    }

    /// Takes note of vms that are off, for whoever asks for them.
    pub(crate) fn without(&mut self, off: &Off) {
        self.absent = off.iter().map(|(name, absent)| (name.clone(), absent.reason.clone())).collect();
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

    /// Looks at the templates of a tree that is not rendered, and marks them: what they would become is not known.
    pub(crate) fn check(&mut self, node: &mut Node, mistakes: &mut Vec<Diagnostic>) {
        let place = node.place();
        match &mut node.kind {
            Kind::Sequence(items) => items.iter_mut().for_each(|item| self.check(item, mistakes)),
            Kind::Mapping(entries) => entries.iter_mut().for_each(|entry| self.check(&mut entry.value, mistakes)),
            Kind::Scalar(scalar) if is_template(&scalar.text) => {
                scalar.failed = true;
                let text = scalar.text.clone();
                let failure = self.worker.run(move |environment| engine::syntax(environment, &text));
                if let Ok(Some(failure)) = failure {
                    let nothing = Value::UNDEFINED;
                    mistakes.push(self.failed(&failure, &scalar.text, Moved::default(), &nothing, place));
                }
            }
            Kind::Scalar(_) => {}
        }
    }

    /// The names below `outer` that a template asks for: `b` of `vars.b`.
    pub(crate) fn names_below(&mut self, outer: &'static str, text: &str) -> BTreeSet<String> {
        let text = text.to_owned();
        let names = self.worker.run(move |environment| engine::names(environment, &text));
        let below = |name: String| Some(name.strip_prefix(outer)?.strip_prefix('.')?.split('.').next()?.to_owned());
        names.unwrap_or_default().into_iter().filter_map(below).collect()
    }

    /// Whether a template speaks of other vms or networks.
    fn needs_addresses(&mut self, text: &str) -> bool {
        if !LATER.iter().any(|name| text.contains(name)) {
            return false;
        }
        let text = text.to_owned();
        // What goes wrong here goes wrong again where it is rendered, and is reported there.
        self.worker.run(move |environment| engine::mentions(environment, &text, &LATER)).unwrap_or(false)
    }

    /// Renders one text.
    pub(crate) fn text(&mut self, text: &str, context: &Value, place: Place) -> Result<String, Box<Diagnostic>> {
        let (fuel, room) = (self.refuel(place)?, self.output);
        let told = context::told(context);
        let rendered = if engine::is_plain(text) {
            Ok(engine::render(&mut self.environment, text, context, fuel, room))
        } else {
            let (text, context) = (text.to_owned(), context.clone());
            self.worker.run(move |environment| engine::render(environment, &text, &context, fuel, room))
        };
        match rendered {
            Ok(Ok(Rendered { text, consumed })) => {
                self.fuel = self.fuel.saturating_sub(consumed);
                self.output = self.output.saturating_sub(text.len());
                // What a filter or a test makes of the place holder is not what it would make of the value.
                if context::told(context) - told == references(&text).len() {
                    Ok(text)
                } else {
                    Err(Box::new(filtered(place)))
                }
            }
            Ok(Err(failure)) => Err(Box::new(self.failed(&failure, text, Moved::default(), context, place))),
            Err(excess) => Err(Box::new(exceeded(excess, place))),
        }
    }

    /// The value of a text that is nothing but one expression: `{{ vars.sites }}`.
    pub(crate) fn expression(&mut self, text: &str, context: &Value, place: Place) -> Result<Value, Box<Diagnostic>> {
        const BEFORE: &str = "{% set value = (";
        let trimmed = text.trim();
        let inner = trimmed.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")).unwrap_or(trimmed);
        let source = format!("{BEFORE}{inner}) %}}");
        let (fuel, room) = (self.refuel(place)?, self.output);
        let given = context.clone();
        let value = self.worker.run(move |environment| engine::value(environment, &source, &given, fuel, room));
        self.fuel = self.fuel.saturating_sub(1000);
        match value {
            Ok(Ok((value, weight))) => {
                self.output = self.output.saturating_sub(weight);
                Ok(value)
            }
            Ok(Err(failure)) => {
                let moved = Moved { before: BEFORE.len(), skipped: text.find(inner).unwrap_or(0) };
                Err(Box::new(self.failed(&failure, text, moved, context, place)))
            }
            Err(excess) => Err(Box::new(exceeded(excess, place))),
        }
    }

    /// The complaint about a text whose one expression is not defined.
    pub(crate) fn undefined(&self, text: &str, context: &Value, place: Place) -> Diagnostic {
        let inner = text.trim().trim_start_matches("{{").trim_end_matches("}}").trim();
        let at = text.find(inner).map_or(place.at, |start| self.texts.find(place.at, text, start..start + inner.len()));
        self.missing(inner, context, Place { at, via: place.via })
    }

    /// A name that is not there; of a vm that is off, why it is.
    fn missing(&self, expression: &str, context: &Value, at: Place) -> Diagnostic {
        let vm = expression.strip_prefix("vms.").and_then(|rest| rest.split('.').next());
        let off = self.absent.iter().find(|(name, _)| Some(name.as_str()) == vm);
        let known = || context.get_attr("vms").and_then(|vms| vms.get_attr(vm.unwrap_or_default()));
        match off.filter(|_| known().is_ok_and(|vm| vm.is_undefined())) {
            Some((name, reason)) => Diagnostic::error(format!("`{name}` is not in `vms`: it is off, because {reason}"))
                .at(at, "not there")
                .hint("turn it on, or ask first: `{% if vms.NAME is defined %}`".replace("NAME", name)),
            None => undefined(expression, context, at),
        }
    }

    /// What the next template may take.
    fn refuel(&self, place: Place) -> Result<u64, Box<Diagnostic>> {
        if self.fuel == 0 { Err(Box::new(exceeded(Excess::Others, place))) } else { Ok(FUEL.min(self.fuel)) }
    }

    /// Counts what a template took that failed, and says what is wrong with it.
    fn failed(&mut self, failure: &Failure, text: &str, moved: Moved, context: &Value, place: Place) -> Diagnostic {
        let (kind, detail) = match failure {
            Failure::TooLong => return too_long(place),
            Failure::Template { kind, detail, .. } => (*kind, detail),
        };
        // How much it took before it failed is not known.
        self.fuel = self.fuel.saturating_sub(if kind == ErrorKind::OutOfFuel { FUEL } else { 1000 });
        let range = failure.range().map(|range| whole_name(text, moved.back(&range)));
        let part = range.clone().and_then(|range| text.get(range)).map_or("", str::trim);
        let at = range.map_or(place, |range| Place { at: self.texts.find(place.at, text, range), via: place.via });
        match kind {
            ErrorKind::UndefinedError => self.missing(part, context, at),
            ErrorKind::UnknownFilter => unknown_filter(part, at),
            ErrorKind::OutOfFuel => exceeded(Excess::Time, at),
            ErrorKind::SyntaxError => Diagnostic::error(format!("not a template: {detail}"))
                .at(at, "here")
                .hint("for braces that are meant for the guest write `{% raw %}…{% endraw %}`"),
            kind if detail.is_empty() => Diagnostic::error(format!("the template fails: {kind}")).at(at, "here"),
            _ => Diagnostic::error(format!("the template fails: {detail}")).at(at, "here"),
        }
    }
}

fn exceeded(excess: Excess, place: Place) -> Diagnostic {
    let (what, here) = match excess {
        Excess::Memory => ("this template needs too much memory; does it ever end?", "here"),
        Excess::Time => ("this template takes too long; does it ever end?", "here"),
        Excess::Crash => ("the template fails, and so does the template engine", "here"),
        Excess::Others => ("the templates of the project take too long together", "this one was not rendered any more"),
    };
    Diagnostic::error(what).at(place, here)
}

/// minijinja points at `.b.c` of `a.b.c`, and the name begins before that; and at the filter in `a.b|upper`, where what
/// it is given is what is wrong.
fn whole_name(text: &str, range: Range<usize>) -> Range<usize> {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    let head = text.get(..range.start).unwrap_or("");
    let filtered = head.trim_end().strip_suffix('|').map(str::trim_end).filter(|given| given.ends_with(part));
    let end = filtered.map_or(range.end, str::len);
    let before = match filtered {
        None if !text.get(range.clone()).is_some_and(|text| text.starts_with('.')) => return range,
        None => head,
        Some(given) => given,
    };
    before.trim_end_matches(part).len()..end
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

fn filtered(place: Place) -> Diagnostic {
    Diagnostic::error("a secret can only be put in as it is, not changed by a filter")
        .at(place, "its value is not known yet")
        .hint("let the guest change it, or make the changed value a secret of its own")
}

fn unknown_filter(expression: &str, at: Place) -> Diagnostic {
    let name = expression.rsplit('|').next().unwrap_or_default().trim();
    let name = name.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default();
    let known = filter::OWN.iter().chain(filter::USUAL).copied();
    let listed =
        format!("there are {} and those of minijinja", super::decode::listed(filter::OWN).replace(" and ", ", "));
    Diagnostic::error(format!("there is no filter `{name}`"))
        .at(at, "not known")
        .hint(suggest::did_you_mean(name, known).unwrap_or(listed))
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
        if within.starts_with("vms.") && value.kind() == ValueKind::Seq {
            let first = value.get_item_by_index(0).and_then(|vm| vm.get_attr("name")).unwrap_or_default();
            let several = format!("`{within}` is several vms; write `vms[\"{first}\"].{name}` for one of them");
            return Diagnostic::error(message).at(at, "of which one?").hint(several);
        }
        let all: Vec<&str> = keys.iter().map(String::as_str).take(10).collect();
        let listed = if all.is_empty() { None } else { Some(format!("there are {}", super::decode::listed(&all))) };
        return Diagnostic::error(message)
            .at(at, "not defined")
            .maybe_hint(suggest::did_you_mean(name, known).or(listed));
    }
    Diagnostic::error(format!("`{expression}` is not defined in this template")).at(at, "not defined")
}
