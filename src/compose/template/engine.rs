//! minijinja, set up: what a template becomes, or what is wrong with it.
//!
//! Owns the environment of templates and its limits on length. The filters beyond minijinja's own are in `filter`. Knows
//! nothing of the file that a template stands in.

use std::io::{self, Write};
use std::ops::Range;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};

use super::filter;

/// How deep lists and mappings may be in each other that a template gives; as in the file itself.
const DEEPEST: usize = 64;
/// Letters of minijinja's complaint: some quote a value.
const DETAIL: usize = 300;
/// Letters of a name that is a template of its own.
const NAME: usize = 200;

/// What a template became.
pub(super) struct Rendered {
    pub(super) text: String,
    /// Instructions that it took.
    pub(super) consumed: u64,
}

/// What is wrong with a template. It holds none of the template's values, which can be as large as they like.
pub(super) enum Failure {
    /// It says so itself.
    Template { kind: ErrorKind, detail: String, range: Option<Range<usize>> },
    /// Its result is.
    TooLong,
}

impl Failure {
    /// Where in the template.
    pub(super) fn range(&self) -> Option<Range<usize>> {
        match self {
            Self::Template { range, .. } => range.clone(),
            Self::TooLong => None,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let detail = error.detail().unwrap_or("").chars().take(DETAIL).collect();
        Self::Template { kind: error.kind(), detail, range: error.range() }
    }
}

pub(super) fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_debug(true);
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
    environment
}

/// Whether a text has no templates but names: such a one takes no more than it writes.
pub(super) fn is_plain(text: &str) -> bool {
    let name = |inside: &str| {
        inside.len() <= NAME && inside.trim().chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'))
    };
    let closed = |rest: &str| rest.split_once("}}").is_some_and(|(inside, _)| name(inside));
    !text.contains("{%") && !text.contains("{#") && text.split("{{").skip(1).all(closed)
}

/// Whether a template mentions one of these names.
pub(super) fn mentions(environment: &Environment<'_>, text: &str, names: &[&str]) -> bool {
    environment
        .template_from_str(text)
        .is_ok_and(|template| names.iter().any(|name| template.undeclared_variables(false).contains(*name)))
}

/// What keeps a text from being a template.
pub(super) fn syntax(environment: &Environment<'_>, text: &str) -> Option<Failure> {
    environment.template_from_str(text).err().map(Failure::from)
}

/// The names that a template asks for, with what it asks of them: `vars.b`.
pub(super) fn names(environment: &Environment<'_>, text: &str) -> Vec<String> {
    environment
        .template_from_str(text)
        .map(|template| template.undeclared_variables(true).into_iter().collect())
        .unwrap_or_default()
}

/// Renders a template, with so many instructions and so many bytes.
pub(super) fn render(
    environment: &mut Environment<'_>,
    text: &str,
    context: &Value,
    fuel: u64,
    room: usize,
) -> Result<Rendered, Failure> {
    environment.set_fuel(Some(fuel));
    let mut out = Limited { bytes: Vec::new(), room, full: false };
    let rendered = environment.template_from_str(text).and_then(|template| {
        let captured = template.render_captured_to(context.clone(), &mut out)?;
        Ok(captured.state().fuel_levels().map_or(fuel, |(consumed, _)| consumed))
    });
    match rendered {
        Ok(consumed) => Ok(Rendered { text: String::from_utf8_lossy(&out.bytes).into_owned(), consumed }),
        Err(_) if out.full => Err(Failure::TooLong),
        Err(error) => Err(error.into()),
    }
}

/// The variable `value` that a template sets, and how much it weighs.
pub(super) fn value(
    environment: &mut Environment<'_>,
    text: &str,
    context: &Value,
    fuel: u64,
    room: usize,
) -> Result<(Value, usize), Failure> {
    environment.set_fuel(Some(fuel));
    let template = environment.template_from_str(text)?;
    let captured = template.render_captured(context.clone())?;
    let value = captured.state().lookup("value").unwrap_or_default();
    let mut left = room;
    weigh(&value, DEEPEST, &mut left)?;
    Ok((value, room - left))
}

/// Counts what is in a value, as often as it is: a list of a list of a list of one text can be larger than the world.
fn weigh(value: &Value, depth: usize, left: &mut usize) -> Result<(), Failure> {
    let own = size_of::<Value>() + value.as_str().map_or(0, str::len);
    *left = left.checked_sub(own).ok_or(Failure::TooLong)?;
    if !matches!(value.kind(), ValueKind::Map | ValueKind::Seq | ValueKind::Iterable) {
        return Ok(());
    }
    let depth = depth.checked_sub(1).ok_or_else(|| {
        Failure::from(Error::new(ErrorKind::InvalidOperation, format!("its value is more than {DEEPEST} deep")))
    })?;
    for item in value.try_iter()? {
        if value.kind() == ValueKind::Map {
            weigh(&value.get_item(&item)?, depth, left)?;
        }
        weigh(&item, depth, left)?;
    }
    Ok(())
}

/// Takes so many bytes and no more.
struct Limited {
    bytes: Vec<u8>,
    room: usize,
    full: bool,
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.room {
            self.full = true;
            return Err(io::Error::other("too long"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
