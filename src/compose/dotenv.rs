//! Files of variables: `.env` and those of `--env-file`, in the syntax that Compose reads.
//!
//! Owns that syntax: comments, `export`, three ways of quoting, and variables in values. Reads no files itself.

use std::ops::Range;

use super::interpolate::{Environment, Findings, Problem, substitute};

/// What is wrong with a file of variables, and the bytes it is about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) range: Range<usize>,
    pub(crate) message: String,
}

/// Reads a file of variables. `outer` holds the variables that count more than the file's: they are what its values see.
pub(crate) fn parse(text: &str, outer: &Environment) -> Result<Environment, Vec<Trouble>> {
    let mut reader = Reader { text, at: 0, outer, found: Environment::new(), troubles: Vec::new() };
    while reader.next_statement() {
        reader.statement();
    }
    if reader.troubles.is_empty() { Ok(reader.found) } else { Err(reader.troubles) }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    outer: &'a Environment,
    found: Environment,
    troubles: Vec<Trouble>,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Goes to the next statement, over blank lines and comments.
    fn next_statement(&mut self) -> bool {
        loop {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start().len();
            if !self.rest().starts_with('#') {
                return !self.rest().is_empty();
            }
            self.skip_line();
        }
    }

    fn skip_line(&mut self) {
        self.at += self.rest().find('\n').unwrap_or(self.rest().len());
    }

    fn trouble(&mut self, range: Range<usize>, message: impl Into<String>) {
        self.troubles.push(Trouble { range, message: message.into() });
    }

    fn statement(&mut self) {
        if let Some(rest) = self.rest().strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t'])) {
            self.at = self.text.len() - rest.trim_start_matches([' ', '\t']).len();
        }
        let start = self.at;
        let rest = self.rest();
        let end = rest.find(['=', ':', '\n']).unwrap_or(rest.len());
        let key = rest[..end].trim();
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if key.is_empty() || !key.chars().all(legal) {
            let shown = rest.lines().next().unwrap_or("").trim_end().len();
            self.trouble(start..start + shown, "not a variable; write `NAME=value`");
            self.skip_line();
            return;
        }
        self.at += end;
        if !self.rest().starts_with(['=', ':']) {
            // A name alone takes its value from the environment.
            if let Some(value) = self.outer.get(key) {
                self.found.insert(key.to_owned(), value.clone());
            }
            return;
        }
        self.at += 1;
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t']).len();
        if let Some(value) = self.value() {
            self.found.insert(key.to_owned(), value);
        }
    }

    fn value(&mut self) -> Option<String> {
        match self.rest().as_bytes().first() {
            Some(b'\'') => self.quoted('\''),
            Some(b'"') => self.quoted('"'),
            _ => {
                let start = self.at;
                let line = self.rest().lines().next().unwrap_or("");
                self.skip_line();
                // A comment needs a blank before it: `a#b` is a value.
                let comment =
                    line.char_indices().find(|(at, c)| *c == '#' && (*at == 0 || line[..*at].ends_with([' ', '\t'])));
                let bare = comment.map_or(line, |(at, _)| &line[..at]).trim_end();
                self.expand(bare, start)
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Option<String> {
        let start = self.at;
        let body = &self.rest()[1..];
        let mut escaped = false;
        let end = body.char_indices().find(|(_, c)| {
            let closes = *c == quote && !escaped;
            escaped = *c == '\\' && !escaped;
            closes
        });
        let Some((end, _)) = end else {
            let shown = self.rest().lines().next().unwrap_or("").trim_end().len();
            self.trouble(start..start + shown, format!("the quote {quote} is not closed"));
            self.at = self.text.len();
            return None;
        };
        let inner = &body[..end];
        self.at += end + 2;
        let tail = self.rest().lines().next().unwrap_or("");
        let after = tail.trim_start();
        if !after.is_empty() && !after.starts_with('#') {
            self.trouble(self.at..self.at + tail.len(), "something stands behind the closing quote");
        }
        self.skip_line();
        if quote == '\'' {
            return Some(inner.replace("\\'", "'"));
        }
        let unescaped = unescape(inner);
        self.expand(&unescaped, start)
    }

    fn expand(&mut self, text: &str, start: usize) -> Option<String> {
        let mut findings = Findings::default();
        let lookup = |name: &str| self.outer.get(name).or_else(|| self.found.get(name)).cloned();
        let value = substitute(text, &lookup, &mut findings);
        let Some((_, problem)) = findings.problems.pop() else { return Some(value) };
        let message = match problem {
            Problem::Malformed(why) => why.to_owned(),
            Problem::Required { name, message } => format!("variable `{name}` must be set: {message}"),
            Problem::TooMuch => "variables in variables without end".to_owned(),
        };
        self.trouble(start..self.at, message);
        None
    }
}

/// The escapes of a double-quoted value. An escaped `$` becomes `$$`, which interpolation makes `$` again.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('$') => out.push_str("$$"),
            Some(c @ ('"' | '\'' | '\\')) => out.push(c),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Environment {
        let outer = Environment::from([("OUTER".to_owned(), "out".to_owned())]);
        parse(text, &outer).expect("a file of variables")
    }

    #[test]
    fn values_are_read_as_compose_reads_them() {
        for (text, value) in [
            ("V=plain", "plain"),
            ("V = spaced  ", "spaced"),
            ("export V=exported", "exported"),
            ("V: yaml style", "yaml style"),
            ("V=a#b", "a#b"),
            ("V=a # comment", "a"),
            ("V=#comment", ""),
            ("V=", ""),
            ("V='single $OUTER # not a comment'", "single $OUTER # not a comment"),
            ("V='it\\'s'", "it's"),
            ("V=\"double ${OUTER}\" # comment", "double out"),
            ("V=\"a\\nb\\t\\\"c\\\"\"", "a\nb\t\"c\""),
            ("V=\"price \\$5\"", "price $5"),
            ("V=${OUTER}-$OUTER", "out-out"),
            ("V=${NONE:-default}", "default"),
            ("V='two\nlines'", "two\nlines"),
            ("# comment\n\n  V=after\r\n", "after"),
            ("A=1\nV=${A}2", "12"),
        ] {
            assert_eq!(read(text).get("V").map(String::as_str), Some(value), "{text}");
        }
    }

    #[test]
    fn a_name_alone_takes_the_value_of_the_environment() {
        assert_eq!(read("OUTER\nNONE\n"), Environment::from([("OUTER".to_owned(), "out".to_owned())]));
    }

    #[test]
    fn what_is_no_variable_is_pointed_at() {
        let wrong = |text| parse(text, &Environment::new()).expect_err("wrong").remove(0).range;
        assert_eq!(wrong("A=1\nnot a variable=2\n"), 4..20);
        assert_eq!(wrong("V=\"open"), 2..7);
        assert_eq!(wrong("V='a' b"), 5..7);
        assert_eq!(wrong("=1"), 0..2);
    }
}
