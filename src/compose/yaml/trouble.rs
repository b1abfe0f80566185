//! What can be wrong with a text before it has a meaning, in words that help.
//!
//! Owns the messages about YAML itself. Knows nothing of compose keys.

use crate::compose::diagnostic::Diagnostic;
use crate::compose::place::{Extent, FileId};

use super::{DEPTH, NODES, Stop};

/// A mistake if the text holds what no text file holds.
pub(super) fn not_text(file: FileId, text: &str) -> Option<Diagnostic> {
    let at = text.find('\0')?;
    let diagnostic = Diagnostic::error("a NUL byte in the file: this is not a text file");
    Some(diagnostic.at(Extent::new(file, at..at + 1), "here").hint("a compose file is YAML text in UTF-8"))
}

pub(super) fn too_deep(at: Extent) -> Diagnostic {
    Diagnostic::error(format!("lists and mappings stand more than {DEPTH} deep in one another")).at(at, "too deep here")
}

pub(super) fn too_many(at: Extent, aliased: bool) -> Diagnostic {
    let (how, hint) = if aliased {
        (" once aliases are followed", "aliases of aliases multiply; write out what is really needed")
    } else {
        (" in one file", "a compose file is never that large; `replicas` and `for_each` make many vms of one")
    };
    Diagnostic::error(format!("more than {NODES} values{how}")).at(at, "the limit is reached here").hint(hint)
}

pub(super) fn recursive_alias(at: Extent) -> Diagnostic {
    Diagnostic::error("an alias stands inside the very value that it names").at(at, "would never end")
}

pub(super) fn unknown_tag(tag: &saphyr_parser::Tag, at: Extent) -> Diagnostic {
    Diagnostic::error(format!("unknown tag `{}{}`", tag.handle, tag.suffix))
        .at(at, "on this value")
        .hint("the tags of a compose file are `!reset` and `!override`")
}

/// A list or a mapping as a key. Nearly always a template that YAML takes for two nested mappings.
pub(super) fn key_not_text(text: &str, at: Extent) -> Stop {
    let start = at.start as usize;
    let before = text.get(..start).unwrap_or("");
    if before.ends_with('{') || text.get(start..).is_some_and(|rest| rest.starts_with("{{")) {
        let from = before.strip_suffix('{').map_or(start, str::len);
        return unquoted_template(text, Extent::new(at.file, from..from + 2));
    }
    Diagnostic::error("a key must be a plain text, not a list or a mapping").at(at, "used as a key").into()
}

fn unquoted_template(text: &str, at: Extent) -> Stop {
    let rest = text.get(at.start as usize..).unwrap_or("");
    let line = rest.lines().next().unwrap_or("").trim_end();
    if let Some(key) = as_key(line) {
        let at = at.slice(0..key.len());
        let mistake = Diagnostic::error("a key cannot be a template")
            .at(at, "a template in the place of a key")
            .hint("keys are taken as they are written; `for_each` and `replicas` make many vms of one")
            .alone_at_its_place();
        return Stop { mistake, unquoted: Some(at) };
    }
    // A comment is no part of the value.
    let value = line.split(" #").next().unwrap_or(line).trim_end();
    let value = if in_flow(text, at.start as usize) { first_of_flow(value) } else { value };
    let at = at.slice(0..value.len());
    let mistake = Diagnostic::error("a template must be quoted, because YAML reads `{` as the start of a mapping")
        .at(at, "needs quotes")
        .hint(format!("write `{}`", quoted(value)));
    Stop { mistake, unquoted: Some(at) }
}

/// The template that a line begins with, where a value follows it.
fn as_key(line: &str) -> Option<&str> {
    let end = template_end(line)?;
    (line[end..].starts_with(": ") || line[end..] == *":").then(|| &line[..end])
}

/// Where the template ends that a text begins with.
fn template_end(text: &str) -> Option<usize> {
    let close = if text.starts_with("{%") { "%}" } else { "}}" };
    let opens = text.starts_with("{{") || text.starts_with("{%");
    opens.then(|| text.find(close).map(|at| at + close.len()))?
}

/// What is said where reading stops at something that may only look wrong because of a template before it.
pub(super) fn stopped_behind(at: Extent) -> Diagnostic {
    Diagnostic::error("the rest of the file was not read")
        .at(at, "up to here")
        .hint("mend what stands before it; what comes after is looked at then")
}

/// Whether a value stands between the braces or brackets of its line.
fn in_flow(text: &str, at: usize) -> bool {
    let line = &text[text[..at].rfind('\n').map_or(0, |before| before + 1)..at];
    let count = |sign: char| line.matches(sign).count();
    count('{') > count('}') || count('[') > count(']')
}

/// What of the rest of such a line belongs to a value that begins with a template: more of them may follow.
fn first_of_flow(rest: &str) -> &str {
    let mut end = 0;
    while let Some(next) = rest[end..].chars().next().filter(|next| !matches!(next, ',' | '}' | ']')) {
        end += template_end(&rest[end..]).unwrap_or(next.len_utf8());
    }
    rest[..end].trim_end()
}

fn quoted(value: &str) -> String {
    if value.contains('"') { format!("'{}'", value.replace('\'', "''")) } else { format!("\"{value}\"") }
}

/// The parser's complaint, with the place mended and a hint where the cause is a usual one.
pub(super) fn syntax(file: FileId, text: &str, offset: usize, info: &str) -> Stop {
    let offset = offset.min(text.len());
    let start = text[..floor(text, offset)].rfind('\n').map_or(0, |at| at + 1);
    match template_near(text, start) {
        Some(at) => unquoted_template(text, Extent::new(file, at..at + 2)),
        None => complaint(file, text, (start, offset), info).into(),
    }
}

fn complaint(file: FileId, text: &str, (start, offset): (usize, usize), info: &str) -> Diagnostic {
    let line = text[start..].lines().next().unwrap_or("");
    // The parser may stumble at the end of the line before.
    let next = text[start..].find('\n').map_or(text.len(), |end| start + end + 1);
    if let Some(tab) = tab_in_indentation(text, start).or_else(|| tab_in_indentation(text, next)) {
        return Diagnostic::error("a tab in the indentation: YAML allows only spaces there")
            .at(Extent::new(file, tab..tab + 1), "a tab")
            .hint("replace the tab by spaces");
    }
    if let Some(diagnostic) = no_space(file, text, start) {
        return diagnostic;
    }
    if info.contains("recursion limit") {
        return too_deep(Extent::new(file, floor(text, offset)..floor(text, offset)));
    }
    let end = text[floor(text, offset)..].chars().next().map_or(offset, |c| offset + c.len_utf8());
    let extent = Extent::new(file, floor(text, offset)..end.max(floor(text, offset)));
    Diagnostic::error(format!("not valid YAML: {info}")).at(extent, "here").maybe_hint(hint(info, line))
}

/// Where a tab is among what the line that begins at `start` is indented by.
fn tab_in_indentation(text: &str, start: usize) -> Option<usize> {
    let line = text[start..].lines().next()?;
    let indent = line.len() - line.trim_start().len();
    (indent < line.len()).then(|| line[..indent].find('\t').map(|tab| start + tab))?
}

/// `key:value`, on the line of the complaint or the last one before with anything in it: the parser takes it for a text,
/// and stumbles over what comes next.
fn no_space(file: FileId, text: &str, start: usize) -> Option<Diagnostic> {
    let before = text[..start].trim_end().rfind('\n').map_or(0, |at| at + 1);
    [before, start].into_iter().find_map(|from| {
        let line = text[from..].lines().next()?;
        let (indent, bare) = (line.len() - line.trim_start().len(), line.trim());
        let (key, value) = bare.split_once(':')?;
        let legal = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
        if !legal || value.is_empty() || value.starts_with([' ', '/', ':']) {
            return None;
        }
        let at = from + indent;
        Some(
            Diagnostic::error("a key and its value need a space between them")
                .at(Extent::new(file, at..at + bare.len()), "no space after the colon")
                .hint(format!("write `{key}: {value}`")),
        )
    })
}

/// Where an unquoted `{{` or `{%` begins a value, on the line of the complaint or the one before.
fn template_near(text: &str, start: usize) -> Option<usize> {
    let before = text[..start].trim_end_matches('\n').rfind('\n').map_or(0, |at| at + 1);
    [start, before].into_iter().find_map(|from| {
        let line = text[from..].lines().next()?;
        let value = [": {{", "- {{", ": {%", "- {%"].iter().filter_map(|mark| line.find(mark)).min()?;
        let quoted = line[..value].contains(['"', '\'']);
        (!quoted).then_some(from + value + 2)
    })
}

pub(super) fn floor(text: &str, mut offset: usize) -> usize {
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

fn hint(info: &str, line: &str) -> Option<String> {
    if info.contains("flow ") && line.contains("${") {
        return Some("within `{…}` and `[…]` a `${VARIABLE}` must be quoted".to_owned());
    }
    let value = line.split_once(": ").map_or("", |(_, value)| value.trim_start());
    let hint = if value.starts_with('@') || value.starts_with('`') || value.starts_with('%') {
        "a value that begins with `@`, `%` or a backquote must be quoted"
    } else if value.contains(": ") && !value.starts_with(['"', '\'', '{', '[']) {
        "a value with `: ` in it must be quoted"
    } else if info.contains("simple key") || info.contains("mapping values") {
        "write `key: value`, with a space after the colon, and keys of one mapping at the same indentation"
    } else if info.contains("flow ") || info.contains("expected node content") {
        "is a bracket not closed, or a comma missing?"
    } else if info.contains("quoted scalar") || info.contains("end of stream") {
        "is a quote or a bracket not closed?"
    } else if info.contains("anchor") {
        "an alias `*name` must come after the value that `&name` names"
    } else if info.contains("indent") || info.contains("block") {
        "check the indentation: lines of one block begin at the same column"
    } else {
        return None;
    };
    Some(hint.to_owned())
}
