//! What `doctor` found, as lines for people and as JSON and YAML for programs.
//!
//! Owns the shape of a finding. What is true was found out before.

use serde::Serialize;

use crate::cli::TableFormat;
use crate::render::layout::Text;
use crate::render::message::hint;
use crate::render::style::{Palette, paint};

/// Version of the shape for programs. Fields may be added without a new version; none is renamed or removed.
pub const VERSION: u32 = 1;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub subject: String,
    /// How it is.
    pub verdict: Verdict,
    /// That in words.
    pub text: String,
    /// What mends it.
    pub hint: Option<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It works, but not well.
    Poor,
    /// Runs fail because of it.
    Bad,
}

impl Finding {
    /// As it should be.
    pub fn good(subject: impl Into<String>, text: String) -> Self {
        Self { subject: subject.into(), verdict: Verdict::Good, text, hint: None }
    }

    /// It works, but not well.
    pub fn poor(subject: impl Into<String>, text: String, hint: impl Into<String>) -> Self {
        Self { subject: subject.into(), verdict: Verdict::Poor, text, hint: Some(hint.into()) }
    }

    /// Runs fail because of it.
    pub fn bad(subject: impl Into<String>, text: String, hint: Option<String>) -> Self {
        Self { subject: subject.into(), verdict: Verdict::Bad, text, hint }
    }
}

#[derive(Serialize)]
struct Shape<'a> {
    version: u32,
    findings: &'a [Finding],
}

/// The findings in a format. JSON and YAML have this shape; a verdict is `good`, `poor` or `bad`:
///
/// ```json
/// {
///   "version": 1,
///   "findings": [ { "subject": "pool `disks`", "verdict": "poor", "text": "stopped, …", "hint": "`virsh …`" } ]
/// }
/// ```
pub fn findings(found: &[Finding], format: TableFormat, palette: &Palette) -> String {
    let shape = Shape { version: VERSION, findings: found };
    match format {
        TableFormat::Table => lines(found, palette),
        TableFormat::Json => format!("{}\n", serde_json::to_string_pretty(&shape).expect("every key is a string")),
        TableFormat::Yaml => serde_yaml::to_string(&shape).expect("every key is a string"),
    }
}

fn lines(found: &[Finding], palette: &Palette) -> String {
    let mut text = Text::default();
    for finding in found {
        let (style, word) = match finding.verdict {
            Verdict::Good => (palette.good, "good"),
            Verdict::Poor => (palette.warning, "poor"),
            Verdict::Bad => (palette.bad, "bad "),
        };
        text.line(format_args!("{}  {}: {}", paint(style, word), finding.subject, finding.text));
        if let Some(advice) = &finding.hint {
            text.push(&format!("      {}", hint(advice, palette)));
        }
    }
    text.end()
}
