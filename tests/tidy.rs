//! The house rules that a machine can check: who may import whom, how long a file may be, who may print.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Reading order, as the crate's documentation tells it. A module imports only from its left.
const ORDER: [&str; 17] = [
    "names", "units", "model", "seed", "graph", "compose", "image", "secret", "state", "plan", "backend", "execute",
    "cli", "render", "error", "commands", "main",
];

/// Lines that a file may have before a second thing is likely to live in it.
const LONGEST: usize = 400;

fn sources(folder: &str) -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeMap::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("text");
                found.insert(path.strip_prefix(root).expect("below the root").to_owned(), text);
            }
        }
    }
    assert!(found.len() > 1, "no sources in {folder}");
    found
}

/// The module of the first level that a file belongs to: `src/plan/diff.rs` is `plan`.
fn module(path: &Path) -> String {
    let first = path.components().nth(1).expect("below src").as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

fn rank(module: &str) -> usize {
    ORDER.iter().position(|m| *m == module).unwrap_or_else(|| panic!("`{module}` has no place in the reading order"))
}

/// The modules that a line of code names by `crate::…`.
fn imports(line: &str) -> impl Iterator<Item = String> {
    let code = line.split("//").next().unwrap_or_default().to_owned();
    let parts: Vec<String> = code.split("crate::").skip(1).map(str::to_owned).collect();
    parts.into_iter().map(|rest| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect())
}

fn check(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn modules_import_only_from_their_left() {
    let mut problems = Vec::new();
    for (path, text) in sources("src") {
        let own = module(&path);
        if own == "lib" {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            for other in imports(line).filter(|other| ORDER.contains(&other.as_str())) {
                if rank(&other) > rank(&own) {
                    problems.push(format!("{}:{}: `{own}` imports `{other}`", path.display(), number + 1));
                }
            }
        }
    }
    check(&problems);
}

#[test]
fn every_file_says_what_it_owns_and_is_short() {
    let mut problems = Vec::new();
    for (path, text) in sources("src").into_iter().chain(sources("tests")).chain(sources("benches")) {
        if !text.starts_with("//!") {
            problems.push(format!("{}: does not open with what it owns", path.display()));
        }
        let lines = text.lines().count();
        if lines > LONGEST {
            problems.push(format!("{}: {lines} lines", path.display()));
        }
    }
    check(&problems);
}

#[test]
fn only_the_backend_knows_libvirt() {
    let mut problems = Vec::new();
    for (path, text) in sources("src") {
        let inside = path.starts_with("src/backend/libvirt");
        let apart = |before: &str| !before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let names = |line: &str| {
            ["virt::", "virt_sys"].iter().any(|word| line.match_indices(word).any(|(at, _)| apart(&line[..at])))
        };
        let code = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
        for (number, _) in code.filter(|(_, line)| !inside && names(line)) {
            problems.push(format!("{}:{}: names the binding", path.display(), number + 1));
        }
    }
    check(&problems);
}

#[test]
fn what_is_pure_does_no_io_and_is_not_async() {
    let pure = ["names", "units", "model", "graph", "state", "plan"];
    let also = ["src/execute/schedule.rs", "src/execute/journal.rs", "src/execute/event.rs", "src/render/progress.rs"];
    let banned = ["std::fs", "std::net::Tcp", "std::process", "tokio", "async fn", ".await", "SystemTime", "std::env"];
    let mut problems = Vec::new();
    for (path, text) in sources("src") {
        let is_pure = pure.contains(&module(&path).as_str()) || also.iter().any(|file| path == Path::new(file));
        let compose = path.starts_with("src/compose")
            && !path.starts_with("src/compose/source")
            && path != Path::new("src/compose/source.rs");
        if !is_pure && !compose {
            continue;
        }
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            for word in banned.iter().filter(|word| line.contains(**word)) {
                problems.push(format!("{}:{}: `{word}`", path.display(), number + 1));
            }
        }
    }
    check(&problems);
}
