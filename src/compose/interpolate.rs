//! Compose's variables: `$V ${V} ${V:-d} ${V-d} ${V:?e} ${V?e} ${V:+r} ${V+r} $$`, nested as deep as one likes to read.
//!
//! Owns the syntax, after the chapter "Interpolation" of the Compose specification, on single texts and on trees. Works on
//! the values of a tree, never on the file's text: so places stay right, and a value cannot break the file's structure.
//! Knows nothing of where variables come from.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::diagnostic::Diagnostic;
use super::node::{Kind, Node};
use super::place::{Place, Texts};
use super::suggest;

/// Variables by name.
pub(crate) type Environment = BTreeMap<String, String>;

/// How deep defaults may stand in one another.
const DEPTH: usize = 32;
/// What the values of one file may grow to.
const MOST: usize = 64 << 20;

/// What is wrong with a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// A `$` that begins nothing.
    Malformed(&'static str),
    /// `${NAME:?message}`, and there is none.
    Required { name: String, message: String },
    /// More nesting, or more text, than is good.
    TooMuch,
}

/// What is to be said about one text, each with the bytes it is about.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) problems: Vec<(Range<usize>, Problem)>,
    /// Variables that were put in as nothing.
    pub(crate) unset: Vec<(Range<usize>, String)>,
}

/// Puts variables into a text. Findings are added to `findings`; the text is only good without problems.
pub(crate) fn substitute(text: &str, lookup: &dyn Fn(&str) -> Option<String>, findings: &mut Findings) -> String {
    let mut reader = Reader { text, at: 0, lookup, findings, written: 0 };
    reader.read(0, true, 0)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    lookup: &'a dyn Fn(&str) -> Option<String>,
    findings: &'a mut Findings,
    written: usize,
}

impl Reader<'_> {
    /// Reads on, to the end of the text or, within braces, to the brace that closes them. `live` is whether the outcome
    /// counts: of a default that is not taken nothing is said.
    fn read(&mut self, depth: usize, live: bool, start: usize) -> String {
        let mut out = String::new();
        let mut braces = 0_usize;
        if depth > DEPTH {
            self.problem(start..self.text.len(), Problem::TooMuch);
            self.at = self.text.len();
        }
        while let Some(c) = self.rest().chars().next() {
            match c {
                '$' => self.dollar(&mut out, depth, live),
                '}' if depth > 0 && braces == 0 => break,
                _ => {
                    match c {
                        '{' => braces += 1,
                        '}' => braces = braces.saturating_sub(1),
                        _ => {}
                    }
                    out.push(c);
                    self.at += c.len_utf8();
                }
            }
        }
        out
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn problem(&mut self, range: Range<usize>, problem: Problem) {
        // One text, one problem: those after the first mostly follow from it.
        if self.findings.problems.is_empty() {
            self.findings.problems.push((range, problem));
        }
    }

    fn dollar(&mut self, out: &mut String, depth: usize, live: bool) {
        let start = self.at;
        self.at += 1;
        if self.rest().starts_with('$') {
            self.at += 1;
            out.push('$');
            return;
        }
        if self.rest().starts_with('{') {
            self.at += 1;
            self.braced(out, depth, live, start);
            return;
        }
        let name = self.name();
        if name.is_empty() {
            self.problem(
                start..start + 1,
                Problem::Malformed("a `$` begins a variable; for the sign itself write `$$`"),
            );
            out.push('$');
            return;
        }
        let value = (self.lookup)(&name);
        self.put(out, value, name, start, live);
    }

    /// A variable's name at this point; empty where there is none.
    fn name(&mut self) -> String {
        let rest = self.rest();
        let first = |c: char| c.is_ascii_alphabetic() || c == '_';
        if !rest.starts_with(first) {
            return String::new();
        }
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let name = rest[..end].to_owned();
        self.at += end;
        name
    }

    fn put(&mut self, out: &mut String, value: Option<String>, name: String, start: usize, live: bool) {
        match value {
            Some(value) => {
                self.written = self.written.saturating_add(value.len());
                if self.written > MOST {
                    self.problem(start..self.at, Problem::TooMuch);
                } else {
                    out.push_str(&value);
                }
            }
            None if live => self.findings.unset.push((start..self.at, name)),
            None => {}
        }
    }

    /// What follows `${`.
    fn braced(&mut self, out: &mut String, depth: usize, live: bool, start: usize) {
        let name = self.name();
        if name.is_empty() {
            self.malformed(start, "`${` needs a name, letters, digits and `_`, right after it");
            return;
        }
        let value = (self.lookup)(&name);
        if self.rest().starts_with('}') {
            self.at += 1;
            self.put(out, value, name, start, live);
            return;
        }
        let (colon, operator) = match *self.rest().as_bytes() {
            [b':', operator @ (b'-' | b'?' | b'+'), ..] => (true, operator),
            [operator @ (b'-' | b'?' | b'+'), ..] => (false, operator),
            _ => {
                self.malformed(start, "after the name come `}`, or `:-default`, `:?message` or `:+other` and `}`");
                return;
            }
        };
        self.at += 1 + usize::from(colon);
        let there = value.as_ref().is_some_and(|value| !colon || !value.is_empty());
        let taken = (operator == b'+') == there;
        let other = self.read(depth + 1, live && taken, start);
        if !self.rest().starts_with('}') {
            self.problem(start..self.text.len(), Problem::Malformed("`${` is not closed by `}`"));
            return;
        }
        self.at += 1;
        match operator {
            b'?' if !there => {
                if live {
                    self.problem(start..self.at, Problem::Required { name, message: other });
                }
            }
            b'+' if !there => {}
            _ if taken => out.push_str(&other),
            _ => self.put(out, value, name, start, live),
        }
    }

    /// Notes the problem and goes on behind the brace, if there is one.
    fn malformed(&mut self, start: usize, why: &'static str) {
        let end = self.rest().find('}').map_or(self.text.len(), |at| self.at + at + 1);
        self.problem(start..end, Problem::Malformed(why));
        self.at = end;
    }
}

/// Keys of a vm whose `$` belongs to the guest's shell.
const OF_THE_GUEST: [&str; 4] = ["cloud_init", "ignition", "provision", "user_data"];

/// Where in the file a walk is.
#[derive(Clone, Copy)]
enum Level {
    Top,
    Vms,
    Vm,
    Below,
}

impl Level {
    /// What is below a key, if variables are put in there.
    fn below(self, key: &str) -> Option<Self> {
        match self {
            // What stands there counts where an alias brings it, and is a copy there.
            Self::Top if key.starts_with("x-") => None,
            Self::Top if key == "vms" => Some(Self::Vms),
            Self::Top if key == "defaults" => Some(Self::Vm),
            Self::Vms => Some(Self::Vm),
            Self::Vm if OF_THE_GUEST.contains(&key) => None,
            Self::Top | Self::Vm | Self::Below => Some(Self::Below),
        }
    }
}

/// Doubles every `$` where variables would be put in, so that a tree that is written out reads as itself.
pub(crate) fn escape(document: &mut Node) {
    fn walk(node: &mut Node, level: Level) {
        match &mut node.kind {
            Kind::Scalar(scalar) if scalar.text.contains('$') => scalar.text = scalar.text.replace('$', "$$"),
            Kind::Scalar(_) => {}
            Kind::Sequence(items) => items.iter_mut().for_each(|item| walk(item, Level::Below)),
            Kind::Mapping(entries) => {
                for entry in entries {
                    if let Some(level) = level.below(&entry.key.text) {
                        walk(&mut entry.value, level);
                    }
                }
            }
        }
    }
    walk(document, Level::Top);
}

/// Puts variables into all values of a tree.
pub(crate) struct Interpolation<'a> {
    pub(crate) texts: &'a Texts,
    pub(crate) environment: &'a Environment,
    /// Variables that were warned about already.
    pub(crate) warned: &'a mut BTreeSet<String>,
    pub(crate) mistakes: &'a mut Vec<Diagnostic>,
    pub(crate) warnings: &'a mut Vec<Diagnostic>,
}

impl Interpolation<'_> {
    /// Interpolates a whole document.
    pub(crate) fn document(&mut self, node: &mut Node) {
        self.walk(node, Level::Top);
    }

    /// Interpolates one value and all in it.
    pub(crate) fn value(&mut self, node: &mut Node) {
        self.walk(node, Level::Below);
    }

    fn walk(&mut self, node: &mut Node, level: Level) {
        let place = node.place();
        match &mut node.kind {
            Kind::Scalar(scalar) => {
                let before = self.mistakes.len();
                self.control_characters(&scalar.text, place);
                if scalar.text.contains('$') {
                    scalar.text = self.scalar(&scalar.text, place);
                    scalar.computed = true;
                }
                scalar.failed = self.mistakes.len() > before;
            }
            Kind::Sequence(items) => items.iter_mut().for_each(|item| self.walk(item, Level::Below)),
            Kind::Mapping(entries) => {
                for entry in entries {
                    if let Some(deeper) = level.below(&entry.key.text) {
                        self.walk(&mut entry.value, deeper);
                    }
                }
            }
        }
    }

    fn scalar(&mut self, text: &str, place: Place) -> String {
        let mut findings = Findings::default();
        let lookup = |name: &str| self.environment.get(name).cloned();
        let value = substitute(text, &lookup, &mut findings);
        let at = |range: Range<usize>| Place { at: self.texts.find(place.at, text, range), via: place.via };
        for (range, problem) in findings.problems {
            self.mistakes.push(describe(&problem, at(range)));
        }
        for (range, name) in findings.unset {
            if self.warned.insert(name.clone()) {
                let unset = Diagnostic::warning(format!("variable `{name}` is not set; it counts as empty"));
                let near = suggest::nearest(&name, self.environment.keys().map(String::as_str));
                let hint = match near {
                    Some(near) => format!("did you mean `{near}`? A default is written `${{{name}:-default}}`"),
                    None => format!("set it, for instance in `.env`, or give a default: `${{{name}:-default}}`"),
                };
                self.warnings.push(unset.at(at(range), "not set").hint(hint));
            }
        }
        value
    }

    /// What no XML can hold, libvirt cannot be told.
    fn control_characters(&mut self, text: &str, place: Place) {
        let illegal = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{7f}'..='\u{9f}');
        if let Some(found) = text.chars().find(|c| illegal(*c) || matches!(c, '\u{fffe}' | '\u{ffff}')) {
            let control = Diagnostic::error(format!("a control character, U+{:04X}, in a value", u32::from(found)));
            self.mistakes.push(control.at(place, "in this text"));
        }
    }
}

pub(crate) fn describe(problem: &Problem, place: Place) -> Diagnostic {
    match problem {
        Problem::Malformed(why) => {
            Diagnostic::error("not a variable as Compose writes them").at(place, "here").hint((*why).to_owned())
        }
        Problem::Required { name, message } if message.is_empty() => {
            Diagnostic::error(format!("variable `{name}` must be set")).at(place, "required here")
        }
        Problem::Required { name, message } => {
            Diagnostic::error(format!("variable `{name}` must be set: {message}")).at(place, "required here")
        }
        Problem::TooMuch => Diagnostic::error("variables in variables without end").at(place, "too much of it here"),
    }
}
