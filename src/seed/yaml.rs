//! YAML as a tree that knows its lines: just enough to look user-data over.
//!
//! Owns the limits on hostile text. Knows nothing of cloud-config. Numbers and truth values are told from texts as
//! YAML 1.1 does it, because that is what the guest reads.

use saphyr_parser::{Event, Parser, ScalarStyle};

/// A node and the line that it begins on, from 1.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    /// As it is written.
    Bool(String),
    /// As it is written.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Mapping(Vec<(Node, Node)>),
    /// A repetition of something above, or a value with a tag of its own: not looked into.
    Other,
}

impl Value {
    /// What it is, in words.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a truth value",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Mapping(_) => "a mapping",
            Self::Other => "an alias",
        }
    }
}

/// Why a text is not YAML, and where.
#[derive(Debug)]
pub(super) struct Malformed {
    pub(super) line: usize,
    pub(super) message: String,
}

const DEEPEST: usize = 64;
const MOST: usize = 100_000;

/// A collection that is being read: where it began, whether it is a mapping, its nodes so far.
struct Open {
    line: usize,
    mapping: bool,
    nodes: Vec<Node>,
}

/// The first document of a text; `None` where it is empty.
pub(super) fn parse(text: &str) -> Result<Option<Node>, Malformed> {
    let mut open: Vec<Open> = Vec::new();
    for (count, event) in Parser::new_from_str(text).enumerate() {
        let (event, span) =
            event.map_err(|error| Malformed { line: error.marker().line(), message: error.info().to_owned() })?;
        let line = span.start.line();
        if count > MOST || open.len() > DEEPEST {
            return Err(Malformed { line, message: "more than can be looked at".to_owned() });
        }
        let done = match event {
            Event::SequenceStart(..) => {
                open.push(Open { line, mapping: false, nodes: Vec::new() });
                None
            }
            Event::MappingStart(..) => {
                open.push(Open { line, mapping: true, nodes: Vec::new() });
                None
            }
            Event::Scalar(text, style, _, tag) => {
                let value = if tag.is_some() { Value::Other } else { scalar(&text, style) };
                Some(Node { line, value })
            }
            Event::Alias(_) => Some(Node { line, value: Value::Other }),
            Event::SequenceEnd | Event::MappingEnd => open.pop().map(close),
            _ => None,
        };
        match (done, open.last_mut()) {
            (Some(node), Some(parent)) => parent.nodes.push(node),
            (Some(root), None) => return Ok(Some(root)),
            (None, _) => {}
        }
    }
    Ok(None)
}

fn close(open: Open) -> Node {
    let value = if open.mapping {
        let mut pairs = Vec::with_capacity(open.nodes.len() / 2);
        let mut nodes = open.nodes.into_iter();
        while let (Some(key), Some(value)) = (nodes.next(), nodes.next()) {
            pairs.push((key, value));
        }
        Value::Mapping(pairs)
    } else {
        Value::List(open.nodes)
    };
    Node { line: open.line, value }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::Text(text.to_owned());
    }
    match text.to_ascii_lowercase().as_str() {
        "" | "~" | "null" => Value::Null,
        "true" | "false" | "yes" | "no" | "on" | "off" => Value::Bool(text.to_owned()),
        number if is_number(number) => Value::Number(text.to_owned()),
        _ => Value::Text(text.to_owned()),
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']).replace('_', "");
    let hexadecimal =
        digits.strip_prefix("0x").is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_hexdigit()));
    // `22:22` is a number of minutes to YAML 1.1.
    let sexagesimal = digits.contains(':')
        && digits.split(':').all(|d| !d.is_empty() && d.len() <= 2 && d.bytes().all(|b| b.is_ascii_digit()));
    let decimal = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && digits.parse::<f64>().is_ok();
    hexadecimal || sexagesimal || decimal
}
