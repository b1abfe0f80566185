//! The compose front end: what is read, what is refused, and in which words.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod compose {
    mod broken;
    pub(crate) mod fixture;
    mod language;
}
