//! Input that means harm: a clear error or a result, soon, and never a panic.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use vmcompose::render::diagnostic;

use crate::compose::fixture::Fixture;

/// The time that hostile input may take. Debug builds are some ten times slower than what users run, and share the machine with
/// guests that boot; what has no end would take for ever.
const SOON: Duration = Duration::from_mins(2);

#[track_caller]
fn refused_soon(fixture: &Fixture, message: &str) {
    let start = Instant::now();
    let said = fixture.mistakes();
    assert!(start.elapsed() < SOON, "took {:?}", start.elapsed());
    assert!(said.contains(message), "{}", said.chars().take(2000).collect::<String>());
}

#[test]
fn an_alias_bomb_ends_soon() {
    let level = |n: u32| format!("x-{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(","));
    let levels: Vec<String> = (1..40).map(level).collect();
    let text = format!("x-0: &a0 [x,x,x,x,x,x,x,x,x,x]\n{}", levels.concat());
    refused_soon(&Fixture::new(&text), "values once aliases are followed");
}

#[test]
fn a_merge_key_bomb_ends_soon() {
    let level = |n: u32| format!("x-{n}: &a{n} {{l: *a{0}, m: *a{0}, <<: *a{0}}}\n", n - 1);
    let levels: Vec<String> = (1..60).map(level).collect();
    let text = format!("x-0: &a0 {{k: {{v: 1}}}}\n{}", levels.concat());
    refused_soon(&Fixture::new(&text), "error:");
}

#[test]
fn anchors_within_anchors_do_not_multiply() {
    let levels: Vec<String> = (0..60).map(|n| format!("{} k: &a{n}\n", " ".repeat(n + 1))).collect();
    let text = format!("x-a:\n{}{}- x\nvms: {{web: {{image: ./a}}}}\n", levels.concat(), " ".repeat(62));
    assert_eq!(Fixture::new(&text).mistakes(), "");
}

#[test]
fn a_wide_list_ends_soon() {
    let text = format!("x: [{}]", "a,".repeat(3_000_000));
    refused_soon(&Fixture::new(&text), "more than 2000000 values in one file");
}

#[test]
fn a_pipe_in_the_place_of_a_file_is_refused() {
    let text = "include: [pipe]\nvms: {web: {image: ./a, provision: {script: pipe}}}";
    let fixture = Fixture::new(text);
    let made = std::process::Command::new("mkfifo").arg(fixture.directory().join("pipe")).status();
    assert!(made.is_ok_and(|status| status.success()));
    refused_soon(&fixture, "it is no regular file");
}

#[test]
fn deep_brackets_and_deep_blocks_end_soon() {
    let blocks: Vec<String> = (0..500).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
    refused_soon(&Fixture::new(&"[".repeat(1_000_000)), "64 deep");
    refused_soon(&Fixture::new(&"- ".repeat(100_000)), "64 deep");
    refused_soon(&Fixture::new(&"{a: ".repeat(100_000)), "64 deep");
    refused_soon(&Fixture::new(&blocks.concat()), "64 deep");
}

#[test]
fn deep_variables_end_soon() {
    let text = format!("vms: {{web: {{image: '{}'}}}}", "${A:-".repeat(100_000));
    refused_soon(&Fixture::new(&text), "variables in variables without end");
}

#[test]
fn variables_that_add_up_end_soon() {
    let text = format!("vms: {{web: {{image: '{}'}}}}", "$A".repeat(100_000));
    refused_soon(&Fixture::new(&text).env("A", &"x".repeat(100_000)), "variables in variables without end");
}

#[test]
fn a_template_that_never_ends_is_stopped() {
    let loops = "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}";
    let vms: Vec<String> = (0..50).map(|n| format!("  v{n}: {{image: ./a, labels: {{x: '{loops}'}}}}\n")).collect();
    refused_soon(&Fixture::new(&format!("vms:\n{}", vms.concat())), "takes too long");
}

#[test]
fn a_template_that_calls_itself_is_stopped() {
    let text = "vms: {web: {image: ./a, labels: {x: '{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}'}}}";
    refused_soon(&Fixture::new(text), "the template fails");
}

#[test]
fn templates_that_write_without_end_are_stopped() {
    let long = "{{ 'x' * 50000000 }}";
    let text = format!("vms: {{web: {{image: ./a, labels: {{a: \"{long}\", b: \"{long}\", c: \"{long}\"}}}}}}");
    refused_soon(&Fixture::new(&text), "templates write more than");
}

#[test]
fn replicas_by_the_million_are_refused() {
    refused_soon(&Fixture::new("vms: {a: {image: ./a, replicas: 4000000000}}"), "the most is 20000");
    let vms: Vec<String> = (0..50).map(|n| format!("  v{n}: {{image: ./a, replicas: 20000}}\n")).collect();
    refused_soon(&Fixture::new(&format!("vms:\n{}", vms.concat())), "more than 20000 vms");
}

#[test]
fn dependencies_by_the_million_are_refused() {
    let text = "networks: {n: {subnet: 10.0.0.0/16}}\ndefaults: {image: ./a, networks: [n]}\nvms: {a: {replicas: 3000}, b: {replicas: 3000, depends_on: [a]}}";
    refused_soon(&Fixture::new(text), "more than 200000 dependencies");
}

#[test]
fn a_key_of_a_million_letters_is_shown_short() {
    let said = Fixture::new(&format!("vms: {{web: {{image: ./a, {}: 1}}}}", "k".repeat(100_000))).mistakes();
    assert!(said.contains("error:"), "{}", &said[..200]);
}

fn never_panics(text: &str) {
    let fixture = Fixture::new(text).env("A", "a").env("E", "");
    match fixture.parse() {
        Ok(parsed) => {
            parsed.resolved();
        }
        Err(mistakes) => {
            // Every label points into its text, or the text could not be quoted.
            assert!(!mistakes.is_empty());
            for label in mistakes.list.iter().flat_map(|mistake| &mistake.labels) {
                let whole = mistakes.texts.text(label.extent.file);
                assert!(whole.get(label.extent.range()).is_some(), "{:?} of {text:?}", label.extent);
            }
            assert!(!diagnostic::text(&mistakes, true).is_empty());
            serde_json::to_string(&mistakes).unwrap();
        }
    }
}

/// Pieces that a compose file is made of, right and wrong.
fn piece() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "vms:",
        "\n",
        "\n  ",
        "\n    ",
        "web:",
        "image: ",
        "./a",
        "cpus: ",
        "1",
        "{",
        "}",
        "[",
        "]",
        ",",
        ": ",
        "- ",
        "'",
        "\"",
        "|",
        ">",
        "&a ",
        "*a",
        "<<: *a",
        "!reset ",
        "!override ",
        "${A}",
        "${B:-x}",
        "${",
        "$",
        "{{ vars.x }}",
        "{{",
        "}}",
        "{% for i in [1] %}",
        "networks:",
        "depends_on: [web]",
        "replicas: 2",
        "for_each: [a]",
        "extends: web",
        "healthcheck: {tcp: 80}",
        "disks: [{size: 1GiB}]",
        "defaults:",
        "vars:",
        "x-y: ",
        "é",
        "日本",
        "\t",
        "\r\n",
        "#",
        "---",
        "...",
        "? ",
        "null",
        "~",
        "memory: 1GiB",
        "labels: [a=b]",
        "include: [vmcompose.yaml]",
        "profiles: [p]",
        "\u{0}",
        "\u{feff}",
        "\u{85}",
        "\u{2028}",
        "ip: 10.0.0.1",
        "mode: nat",
        "subnet: 10.0.0.0/24",
        "enabled: false",
        "%YAML 1.2\n",
    ]);
    prop_oneof![9 => known.prop_map(str::to_owned), 1 => ".{0,6}"]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(pieces in prop::collection::vec(piece(), 0..40)) {
        never_panics(&pieces.concat());
    }

    #[test]
    fn no_change_of_a_good_file_makes_it_panic(at in 0usize..2000, cut in 0usize..30, put in piece()) {
        let good = include_str!("full.yaml");
        let start = good.floor_char_boundary(at.min(good.len()));
        let end = good.floor_char_boundary((start + cut).min(good.len()));
        never_panics(&format!("{}{put}{}", &good[..start], &good[end..]));
    }

    #[test]
    fn no_value_with_variables_makes_it_panic(value in "[$${}A-Za-z:?+\\- ]{0,40}") {
        never_panics(&format!("vms: {{web: {{image: ./a, labels: {{x: '{}'}}}}}}", value.replace('\'', "")));
    }
}
