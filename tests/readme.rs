//! The README: its reference is the program's, its links lead somewhere, its exit codes are the program's.

use std::path::Path;

use vmcompose::compose;
use vmcompose::render::reference;

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("a README")
}

/// Rewritten with `BLESS=1`.
fn holds(part: &str, current: &str) {
    let (begin, end) = (format!("<!-- {part}: begin -->\n"), format!("<!-- {part}: end -->"));
    let text = readme();
    let (before, rest) = text.split_once(&begin).expect("it begins");
    let (written, after) = rest.split_once(&end).expect("it ends");
    if std::env::var_os("BLESS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        std::fs::write(path, format!("{before}{begin}{current}{end}{after}")).expect("written");
        return;
    }
    assert!(written == current, "the {part} differs from the program; run this test with BLESS=1");
}

/// One test for both parts, for both are written to one file.
#[test]
fn the_reference_is_what_the_program_prints() {
    holds("reference", &reference::markdown(&compose::json_schema()));
    holds("effects", &reference::effects());
}

#[test]
fn links_lead_somewhere() {
    let text = readme();
    let targets: Vec<&str> = text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(targets.len() > 3, "{targets:?}");
    for target in targets.iter().filter(|target| !target.starts_with("http")) {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(target).exists(), "{target}");
    }
}

#[test]
fn both_commands_are_on_the_first_screen() {
    let text = readme();
    let first: Vec<&str> = text.lines().take(24).collect();
    for command in ["make demo", "make test"] {
        assert!(first.iter().any(|line| line.starts_with(command)), "{command}");
    }
}
