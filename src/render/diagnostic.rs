//! Mistakes of a compose file as text: the file, the line, a caret, and what to do.
//!
//! Owns their look. Writes nothing: the text is the caller's to print. Knows nothing of how a mistake was found.

use std::collections::BTreeMap;
use std::ops::Range;

use annotate_snippets::renderer::{DEFAULT_HELP_STYLE, DecorStyle};
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::compose::place::{FileId, Texts};
use crate::compose::{Diagnostic, Diagnostics, Label, Severity};

/// A line longer than this is not quoted: it would fill the screen.
const LONGEST_LINE: usize = 500;

/// The text of all mistakes, each with the lines it speaks of, and a last line that counts them.
pub fn text(diagnostics: &Diagnostics, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.decor_style(DecorStyle::Ascii);
    let mut out = String::new();
    for diagnostic in diagnostics.list.iter().take(Diagnostics::SHOWN) {
        out.push_str(&one(diagnostic, &diagnostics.texts, &renderer));
        for hint in &diagnostic.hints {
            out.push_str(&hint_line(hint, colour));
        }
        out.push('\n');
    }
    out.push_str(&count(diagnostics));
    out
}

fn hint_line(hint: &str, colour: bool) -> String {
    let style = if colour { DEFAULT_HELP_STYLE } else { anstyle::Style::new() };
    format!("{style}hint{style:#}: {hint}\n")
}

/// How many mistakes there are, where there are several.
fn count(diagnostics: &Diagnostics) -> String {
    let of = |severity| diagnostics.list.iter().filter(|d| d.severity == severity).count();
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    let more = diagnostics.list.len().saturating_sub(Diagnostics::SHOWN);
    let rest = if more > 0 { format!(" ({more} not shown)") } else { String::new() };
    match (errors, warnings) {
        (0 | 1, 0) | (0, _) => String::new(),
        (_, 0) => format!("{}{rest}\n", plural(errors, "error")),
        _ => format!("{} and {}{rest}\n", plural(errors, "error"), plural(warnings, "warning")),
    }
}

fn one(diagnostic: &Diagnostic, texts: &Texts, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(diagnostic.message.as_str()));
    for (file, labels) in by_file(&diagnostic.labels) {
        group = match window(texts, file, &labels) {
            Some(window) => group.element(snippet(texts, file, &labels, window)),
            None => group.element(origin(texts, labels[0])),
        };
    }
    let mut text = renderer.render(&[group]);
    text.push('\n');
    text
}

/// The labels of each file, the file of the first label first.
fn by_file(labels: &[Label]) -> Vec<(FileId, Vec<&Label>)> {
    let mut files: Vec<(FileId, Vec<&Label>)> = Vec::new();
    let mut slots: BTreeMap<FileId, usize> = BTreeMap::new();
    for label in labels {
        let slot = *slots.entry(label.extent.file).or_insert_with(|| {
            files.push((label.extent.file, Vec::new()));
            files.len() - 1
        });
        files[slot].1.push(label);
    }
    files
}

/// The part of a file that holds all labels, by whole lines. `None` where a line is too long to be quoted.
fn window(texts: &Texts, file: FileId, labels: &[&Label]) -> Option<(usize, Range<usize>)> {
    let lines = labels.iter().map(|label| texts.line(file, label.extent.start));
    let (first, last) = (lines.clone().min()?, lines.clone().max()?);
    let range = texts.line_start(file, first)..texts.line_start(file, last + 1);
    let quoted = lines.map(|line| texts.line_start(file, line + 1) - texts.line_start(file, line));
    quoted.max().filter(|length| *length <= LONGEST_LINE).map(|_| (first, range))
}

fn snippet<'a>(
    texts: &'a Texts,
    file: FileId,
    labels: &[&'a Label],
    (line, range): (usize, Range<usize>),
) -> Snippet<'a, Annotation<'a>> {
    let source = texts.text(file).get(range.clone()).unwrap_or("");
    let annotation = |label: &&'a Label| {
        let kind = if label.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
        let text = (!label.text.is_empty()).then_some(label.text.as_str());
        kind.span(on_one_line(source, label, range.start)).label(text)
    };
    let name = texts.name(file);
    Snippet::source(source).path(name).line_start(line).annotations(labels.iter().map(annotation))
}

/// The bytes of a label within `source`, cut off at the end of its first line: a bracket around a whole block hides
/// more than it shows.
fn on_one_line(source: &str, label: &Label, offset: usize) -> Range<usize> {
    let start = (label.extent.start as usize).saturating_sub(offset).min(source.len());
    let end = (label.extent.end as usize).saturating_sub(offset).clamp(start, source.len());
    let text = source.get(start..end).unwrap_or("");
    let line = text.lines().next().unwrap_or("").trim_end();
    start..start + line.len()
}

fn origin<'a>(texts: &'a Texts, label: &Label) -> Origin<'a> {
    let at = texts.position(label.extent.file, label.extent.start);
    Origin::path(texts.name(label.extent.file)).line(at.line).char_column(at.column)
}
