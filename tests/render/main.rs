//! Everything that is rendered, held against texts that were read by a person.
//!
//! Owns the goldens under `tests/render/golden`; `BLESS=1` writes them anew, and the difference is then reviewed. Knows
//! nothing of hypervisors: plans and events are made by hand.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod course;
mod fixtures;
mod grammar;
mod graph;
mod help;
mod outcome;
mod plan;
mod progress;
mod service;
mod stats;
mod stream;
mod table;

use std::path::Path;

/// Holds `text` against the golden of that file name.
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/render/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == expected,
        "{name} differs; now it is:\n{text}\n--- expected:\n{expected}\n--- `BLESS=1` takes the new one"
    );
}
