//! Fuzzes interpolation and templates: any text as a value is put in or refused, and the refusal can be drawn. `make fuzz`
//! runs it.
#![no_main]

use std::collections::BTreeMap;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use vmcompose::compose::{self, Request};
use vmcompose::model::Surroundings;
use vmcompose::render::diagnostic;

fuzz_target!(|value: &str| {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().expect("a folder")).path();
    let quoted = serde_json::to_string(value).expect("a text");
    let file = format!("vms: {{ a: {{ image: ./a, labels: {{ x: {quoted} }} }} }}\n");
    std::fs::write(folder.join("vmcompose.yaml"), file).expect("written");
    let environment = BTreeMap::from([("A".to_owned(), "1".to_owned()), ("B".to_owned(), "${A}{{ x }}".to_owned())]);
    let request = Request { directory: folder.to_owned(), environment, ..Request::default() };
    let parsed =
        compose::gather(&request).and_then(|sources| compose::parse(&sources, &request, &Surroundings::default()));
    match parsed {
        Ok(parsed) => drop(diagnostic::text(&parsed.warnings, false)),
        Err(mistakes) => assert!(!diagnostic::text(&mistakes, false).is_empty()),
    }
});
