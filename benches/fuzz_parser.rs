//! Fuzzes the reader of compose files: any bytes are parsed or refused, and the refusal can be drawn. `make fuzz` runs it.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use vmcompose::compose::{self, Request};
use vmcompose::model::Surroundings;
use vmcompose::render::diagnostic;

fuzz_target!(|bytes: &[u8]| {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().expect("a folder")).path();
    std::fs::write(folder.join("vmcompose.yaml"), bytes).expect("written");
    let request = Request { directory: folder.to_owned(), ..Request::default() };
    let parsed =
        compose::gather(&request).and_then(|sources| compose::parse(&sources, &request, &Surroundings::default()));
    match parsed {
        Ok(parsed) => drop(parsed.resolved()),
        Err(mistakes) => assert!(!diagnostic::text(&mistakes, false).is_empty()),
    }
});
