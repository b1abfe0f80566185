//! YAML text to trees: anchors followed, merge keys merged, duplicate keys refused, sizes limited.
//!
//! Owns everything that is YAML's business and not Compose's. Knows nothing of keys, files or variables.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::diagnostic::Diagnostic;
use super::node::{Entry, Key, Kind, Node, Scalar, Style, Tag};
use super::offsets::Offsets;
use super::place::{Extent, FileId};

mod merge_key;
mod quotes;
mod trouble;

use quotes::Quotes;

/// How deep lists and mappings may stand in one another.
pub(crate) const DEPTH: usize = 64;
/// How many values a file may have once its aliases are followed.
pub(crate) const NODES: usize = 2_000_000;

/// What came of a text.
pub(crate) struct Loaded {
    pub(crate) documents: Vec<Node>,
    /// Mistakes that left something to look at, and the one at which reading stopped.
    pub(crate) mistakes: Vec<Diagnostic>,
    /// Whether the documents are all that the text says; else what is not in them may be in the text all the same.
    pub(crate) whole: bool,
}

/// Where reading cannot go on.
struct Stop {
    mistake: Diagnostic,
    /// The value that would be right in quotes, if that is all that is wrong.
    unquoted: Option<Extent>,
}

impl From<Diagnostic> for Stop {
    fn from(mistake: Diagnostic) -> Self {
        Self { mistake, unquoted: None }
    }
}

/// Reads the documents of a text. A template without quotes is read as if it had them; any other syntax error ends the
/// reading, and what came before it is kept.
pub(crate) fn load(file: FileId, text: &str) -> Loaded {
    if let Some(diagnostic) = trouble::not_text(file, text) {
        return Loaded { documents: Vec::new(), mistakes: vec![diagnostic], whole: false };
    }
    let (mut quotes, mut unquoted) = (Quotes::new(text), Vec::new());
    loop {
        let mut builder = Builder::new(file, &quotes);
        let Err(stop) = builder.read() else { return builder.loaded(unquoted) };
        if let Some(value) = stop.unquoted.filter(|value| quotes.can_take(*value)) {
            unquoted.push(stop.mistake);
            quotes.take(value);
            continue;
        }
        builder.break_off(&stop.mistake);
        // What the parser makes of the rest of such a line says nothing about the user's.
        let behind = stop.mistake.labels.first().filter(|label| quotes.is_behind(label.extent.start as usize));
        let stopped = behind.map(|label| trouble::stopped_behind(label.extent));
        unquoted.push(stopped.unwrap_or(stop.mistake));
        return builder.loaded(unquoted);
    }
}

/// A collection that is being read.
struct Open {
    node: Node,
    anchor: usize,
    /// A key that waits for its value.
    key: Option<Key>,
    /// Values counted before it began.
    counted: usize,
}

struct Builder<'a> {
    file: FileId,
    quotes: &'a Quotes<'a>,
    text: &'a str,
    offsets: Offsets<'a>,
    open: Vec<Open>,
    /// What `&anchor` names, with the number of values in it.
    anchors: HashMap<usize, (Rc<Node>, usize)>,
    counted: usize,
    /// Values kept a second time for the sake of anchors.
    copied: usize,
    documents: Vec<Node>,
    /// Whether nothing is missing: neither what comes behind a syntax error, nor what a merge key was to bring.
    whole: bool,
    /// Whether an alias was followed.
    aliased: bool,
    mistakes: Vec<Diagnostic>,
}

impl<'a> Builder<'a> {
    fn new(file: FileId, quotes: &'a Quotes<'a>) -> Self {
        let text = quotes.text();
        Self {
            file,
            quotes,
            text,
            offsets: Offsets::new(text),
            open: Vec::new(),
            anchors: HashMap::new(),
            counted: 0,
            copied: 0,
            documents: Vec::new(),
            whole: true,
            aliased: false,
            mistakes: Vec::new(),
        }
    }

    fn read(&mut self) -> Result<(), Stop> {
        let mut parser = Parser::new_from_str(self.text);
        while let Some(event) = parser.next_event() {
            match event {
                Ok((event, span)) => self.event(event, span)?,
                Err(error) => return Err(self.syntax_error(&error)),
            }
        }
        Ok(())
    }

    fn loaded(self, mut mistakes: Vec<Diagnostic>) -> Loaded {
        mistakes.extend(self.mistakes);
        Loaded { documents: self.documents, mistakes, whole: self.whole }
    }

    /// Ends all that is open at the place of a mistake. A value that reaches the line of it, or is within braces or
    /// brackets that nothing closed, may be something else than was meant, and is left out.
    fn break_off(&mut self, mistake: &Diagnostic) {
        self.whole = false;
        let at = mistake.labels.first().map_or(self.text.len(), |label| label.extent.start as usize);
        let line = self.text[..trouble::floor(self.text, at)].rfind('\n').map_or(0, |before| before + 1);
        while let Some(mut open) = self.open.pop() {
            if self.is_flow(&open.node) {
                if let Some(outer) = self.open.last_mut() {
                    outer.key = None;
                }
                continue;
            }
            open.key = None;
            match &mut open.node.kind {
                Kind::Mapping(entries) => drop(entries.pop_if(|entry| entry.value.at.end as usize > line)),
                Kind::Sequence(items) => drop(items.pop_if(|item| item.at.end as usize > line)),
                Kind::Scalar(_) => {}
            }
            let at = open.node.at;
            self.open.push(open);
            if self.end(at).is_err() {
                return;
            }
        }
    }

    fn is_flow(&self, node: &Node) -> bool {
        matches!(self.text.as_bytes().get(node.at.start as usize), Some(b'{' | b'['))
    }

    fn extent(&self, span: Span) -> Extent {
        Extent::new(self.file, self.offsets.byte(span.start.index())..self.offsets.byte(span.end.index()))
    }

    fn syntax_error(&self, error: &ScanError) -> Stop {
        trouble::syntax(self.file, self.text, self.offsets.byte(error.marker().index()), error.info())
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        let at = self.extent(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1, at)?;
                let (at, text, style) = match self.quotes.value(at) {
                    Some((at, value)) => (at, value.into(), ScalarStyle::DoubleQuoted),
                    None => (at, text, style),
                };
                let (mut node, plain) = (Node::text(text, at), style == ScalarStyle::Plain);
                let forced = note_tag(tag.as_deref(), &mut node)?;
                if let Kind::Scalar(Scalar { style, .. }) = &mut node.kind
                    && (plain && forced != Some(Style::Text) || forced == Some(Style::Plain))
                {
                    *style = Style::Plain;
                }
                self.value(node, anchor, 1)
            }
            Event::SequenceStart(anchor, tag) => self.begin(Kind::Sequence(Vec::new()), at, anchor, tag.as_deref()),
            Event::MappingStart(anchor, tag) => self.begin(Kind::Mapping(Vec::new()), at, anchor, tag.as_deref()),
            Event::SequenceEnd | Event::MappingEnd => self.end(at),
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
        }
    }

    fn begin(&mut self, kind: Kind, at: Extent, anchor: usize, tag: Option<&saphyr_parser::Tag>) -> Result<(), Stop> {
        let counted = self.counted;
        self.count(1, at)?;
        if self.open.len() >= DEPTH {
            return Err(trouble::too_deep(at).into());
        }
        if self.open.last().is_some_and(|open| matches!(open.node.kind, Kind::Mapping(_)) && open.key.is_none()) {
            return Err(trouble::key_not_text(self.text, at));
        }
        let mut node = Node::new(kind, at);
        note_tag(tag, &mut node)?;
        self.open.push(Open { node, anchor, key: None, counted });
        Ok(())
    }

    fn end(&mut self, at: Extent) -> Result<(), Stop> {
        let Some(Open { mut node, anchor, counted, .. }) = self.open.pop() else { return Ok(()) };
        let flow = self.is_flow(&node);
        // A block ends where the next thing begins, which says nothing; its last value says more.
        let last = match &node.kind {
            Kind::Mapping(entries) => entries.last().map(|entry| entry.value.at.end.max(entry.key.at.end)),
            Kind::Sequence(items) => items.last().map(|item| item.at.end),
            Kind::Scalar(_) => None,
        };
        node.at.end = if flow { at.end } else { last.unwrap_or(node.at.end) };
        if let Kind::Mapping(entries) = &mut node.kind {
            self.whole &= !merge_key::is_repeated(entries);
            self.mistakes.extend(merge_key::duplicates(entries));
            let merged = merge_key::merge(entries);
            self.whole &= merged.is_empty();
            self.mistakes.extend(merged);
        }
        self.value(node, anchor, self.counted - counted)
    }

    fn alias(&mut self, anchor: usize, at: Extent) -> Result<(), Stop> {
        let Some((node, size)) = self.anchors.get(&anchor) else { return Err(trouble::recursive_alias(at).into()) };
        let (node, size) = (Rc::clone(node), *size);
        self.aliased = true;
        self.count(size, at)?;
        let depth = self.open.len();
        if depth + deepest(&node) > DEPTH {
            return Err(trouble::too_deep(at).into());
        }
        let mut node = (*node).clone();
        node.via = Some(at);
        self.value(node, 0, size)
    }

    /// Puts a finished value where it belongs.
    fn value(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), Stop> {
        if anchor != 0 {
            // The copy is memory too: anchors in anchors would otherwise multiply it by their depth.
            self.copied = self.copied.saturating_add(size);
            self.count(0, node.at)?;
            self.anchors.insert(anchor, (Rc::new(node.clone()), size));
        }
        let Some(open) = self.open.last_mut() else {
            self.anchors.clear();
            self.documents.push(node);
            return Ok(());
        };
        match (&mut open.node.kind, open.key.take()) {
            (Kind::Sequence(items), _) => items.push(node),
            (Kind::Mapping(entries), Some(key)) => entries.push(Entry { key, value: node }),
            (Kind::Mapping(_), None) => match node.kind {
                Kind::Scalar(Scalar { text, .. }) => open.key = Some(Key { text, at: node.at }),
                _ => return Err(trouble::key_not_text(self.text, node.at)),
            },
            (Kind::Scalar(_), _) => {}
        }
        Ok(())
    }

    fn count(&mut self, values: usize, at: Extent) -> Result<(), Diagnostic> {
        self.counted = self.counted.saturating_add(values);
        if self.counted.saturating_add(self.copied) > NODES { Err(trouble::too_many(at, self.aliased)) } else { Ok(()) }
    }
}

/// How deep collections stand in a value, itself included.
fn deepest(node: &Node) -> usize {
    match &node.kind {
        Kind::Scalar(_) => 0,
        Kind::Sequence(items) => 1 + items.iter().map(deepest).max().unwrap_or(0),
        Kind::Mapping(entries) => 1 + entries.iter().map(|entry| deepest(&entry.value)).max().unwrap_or(0),
    }
}

/// Takes note of a tag. Returns how a scalar is to be read, where the tag says so.
fn note_tag(tag: Option<&saphyr_parser::Tag>, node: &mut Node) -> Result<Option<Style>, Diagnostic> {
    let Some(tag) = tag else { return Ok(None) };
    let core = tag.is_yaml_core_schema() || tag.handle == "!!";
    match tag.suffix.as_str() {
        "reset" if !core => node.tag = Tag::Reset,
        "override" if !core => node.tag = Tag::Override,
        "str" | "binary" if core => return Ok(Some(Style::Text)),
        "int" | "float" | "bool" | "null" if core => return Ok(Some(Style::Plain)),
        "seq" | "map" if core => {}
        _ => return Err(trouble::unknown_tag(tag, node.at)),
    }
    Ok(None)
}
