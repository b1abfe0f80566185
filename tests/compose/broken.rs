//! Files that are wrong, each with the golden text of what is said about it. `BLESS=1` rewrites the texts.

use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::compose::fixture::Fixture;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compose/broken")
}

#[test]
fn every_broken_file_is_answered_in_the_words_of_its_golden_text() {
    let mut files: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "yaml"));
    files.sort();
    let mut wrong = Vec::new();
    for path in files {
        let fixture = Fixture::empty();
        fs::write(fixture.directory().join("vmcompose.yaml"), fs::read(&path).unwrap()).unwrap();
        assert!(fixture.parse().is_err(), "{} is taken for a good file", path.display());
        let said = fixture.mistakes();
        let golden = path.with_extension("txt");
        if env::var_os("BLESS").is_some() {
            fs::write(&golden, &said).unwrap();
        } else if fs::read_to_string(&golden).unwrap_or_default() != said {
            wrong.push(format!("{}:\n{said}", golden.display()));
        }
    }
    assert!(wrong.is_empty(), "not as in the golden text (BLESS=1 rewrites it):\n{}", wrong.join("\n"));
}
