//! The compose front end: what is read, what is refused, and in which words.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod compose {
    mod addresses;
    mod broken;
    mod diagnostics;
    mod files;
    pub(crate) mod fixture;
    mod greedy;
    mod guest;
    mod hints;
    mod hostile;
    mod images;
    mod instructions;
    mod interpolation;
    mod language;
    mod machine;
    mod merging;
    mod replicas;
    mod schema;
    mod storage;
    mod tasks;
    mod templates;
}
