//! Templates that grow faster than they run: each ends soon, in bounded memory, with an error at its line.

use std::fs;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::compose::fixture::Fixture;

/// Address space that `vmcompose` gets here, in KiB: that of two threads that were left behind, with their stacks.
const SPACE: u32 = 2 << 20;
/// Debug builds are some ten times slower than what users run, and share the machine with other tests.
const SOON: Duration = Duration::from_mins(1);
const MEMORY: &str = "this template needs too much memory";
const TIME: &str = "this template takes too long";

fn validate(file: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("vmcompose.yaml"), file).unwrap();
    let start = Instant::now();
    let output = Command::new("sh")
        .args(["-c", &format!("ulimit -v {SPACE} && exec \"$0\" validate"), env!("CARGO_BIN_EXE_vmcompose")])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(start.elapsed() < SOON, "took {:?}", start.elapsed());
    output
}

/// A file whose line 4 has the template.
fn labelled(template: &str) -> String {
    format!("vms:\n  web:\n    image: ./a\n    labels: {{ x: '{}' }}\n", template.replace('\'', "''"))
}

#[track_caller]
fn refused(template: &str, message: &str) {
    refused_by(template, &[message]);
}

/// Where it depends on the machine which limit comes first.
#[track_caller]
fn refused_by(template: &str, messages: &[&str]) {
    let output = validate(&labelled(template));
    let said = String::from_utf8_lossy(&output.stderr);
    let short: String = said.chars().take(1000).collect();
    let template: String = template.chars().take(200).collect();
    assert_eq!(output.status.code(), Some(2), "{template}: {short}");
    assert!(messages.iter().any(|message| said.contains(message)), "{template}: {short}");
    assert!(said.contains("--> vmcompose.yaml:4:"), "{template}: {short}");
}

/// Sets `a`, then sixty times more, then something is made of it.
fn sixty(first: &str, again: &str, end: &str) -> String {
    format!("{{% set a = {first} %}}{}{{{{ {end} }}}}", again.repeat(60))
}

#[test]
fn a_text_that_doubles_is_stopped() {
    refused(
        "{% set ns = namespace(a=\"xx\") %}{% for i in range(60) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}{{ ns.a|length }}",
        MEMORY,
    );
    for again in [
        "{% set a = a ~ a %}",
        "{% set a = a + a %}",
        "{% set a %}{{ a }}{{ a }}{% endset %}",
        "{% set a = a|replace('x', a) %}",
        "{% set a = [a, a]|join(a) %}",
        "{% set a = '%s%s'|format(a, a) %}",
        "{% set a = a|indent(9000000, true) %}",
        "{% set a = (a|tojson)|tojson %}",
        "{% set a = a|b64encode|b64encode %}",
    ] {
        refused_by(&sixty("'x\"'", again, "a|length"), &[MEMORY, TIME]);
    }
    refused(&sixty("'xx'", "{% set a = a * 100 %}", "a|length"), "repeated string is too large");
    let by_macro = "{% macro m(a) %}{{ a }}{{ a }}{% endmacro %}";
    refused(&format!("{by_macro}{}", sixty("'xx'", "{% set a = m(a) %}", "a|length")), MEMORY);
    let written = "x".repeat(100_000);
    refused(&format!("{{% set a %}}{{% for i in range(99999) %}}{written}{{% endfor %}}{{% endset %}}"), MEMORY);
}

#[test]
fn a_text_that_is_large_at_once_is_stopped() {
    for template in [
        "{{ ('x' * 99999999)|upper|lower|title|length }}",
        "{{ 'x' * 99999999 in 'y' * 99999999 }}",
        "{{ '%999999999999d'|format(1) }}",
        "{{ '%.999999999f'|format(1.0) }}",
        "{{ range(9)|slice(99999999999)|list|length }}",
        "{{ range(99999)|batch(9999999999, 1)|list|length }}",
    ] {
        refused_by(template, &[MEMORY, TIME]);
    }
}

#[test]
fn a_list_that_doubles_is_stopped() {
    refused_by(&sixty("[1, 2]", "{% set a = a + a %}", "a|list|length"), &[MEMORY, TIME]);
    refused_by(&sixty("[1, 2]", "{% set a = [a, a] %}", "a|string|length"), &[MEMORY, TIME]);
    refused_by(&sixty("{'k': 1}", "{% set a = {'k': a, 'l': a} %}", "a|tojson|length"), &[MEMORY, TIME]);
    refused_by(&sixty("[1, 2]", "{% set a = [a, a] %}", "a"), &["templates write more than", TIME]);
}

#[test]
fn what_takes_no_memory_but_for_ever_is_stopped() {
    let both = "{% set a = [a, a] %}{% set b = [b, b] %}";
    refused(&format!("{{% set b = [] %}}{}", sixty("[]", both, "a == b")), TIME);
}

#[test]
fn a_namespace_that_holds_itself_is_stopped() {
    for end in ["ns", "ns|tojson", "ns == os", "{ns: 1}"] {
        let make = |name: &str| format!("{{% set {name} = namespace() %}}{{% set {name}.a = {name} %}}");
        refused(&format!("{}{}{{{{ {end} }}}}", make("ns"), make("os")), MEMORY);
    }
}

#[test]
fn values_and_expressions_as_deep_as_they_can_be_end_well() {
    let deep = |end| {
        format!(
            "{{% set n = namespace(a=[]) %}}{{% for i in range(50000) %}}{{% set n.a = [n.a] %}}{{% endfor %}}{end}"
        )
    };
    for template in [
        deep("x"),
        deep("{{ n.a|tojson|length }}"),
        deep("{{ n.a == [n.a] }}"),
        sixty("[]", &"{% set a = [a] %}".repeat(2000), "a|string|length"),
        format!("{{{{ 1{} }}}}", "+1".repeat(100_000)),
        format!("{{{{ {}1 }}}}", "not ".repeat(100_000)),
    ] {
        let output = validate(&labelled(&template));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{}: {said}", &template[..100]);
    }
    // How far it gets within its limits depends on the machine; where it overflows its stack there is no code.
    for chain in [".a", "|int", " if 1 else 2"] {
        let template = format!("{{{{ 1{} }}}}", chain.repeat(300_000));
        let code = validate(&labelled(&template)).status.code();
        assert!(matches!(code, Some(0 | 2)), "{chain}: {code:?}");
    }
}

#[test]
fn what_for_each_repeats_is_weighed() {
    let each = |expression: &str| format!("vms:\n  web:\n    image: ./a\n    for_each: \"{{{{ {expression} }}}}\"\n");
    let said = validate(&format!("vars: {{l: [1, 2, 3, 4]}}\n{}", each("[vars.l * 20000000]"))).stderr;
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("templates write more than"), "{}", said.chars().take(500).collect::<String>());
    let nested = format!("{}1{}", "[".repeat(70), "]".repeat(70));
    let said = Fixture::new(&each(&nested)).mistakes();
    assert!(said.contains("the template fails: its value is more than 64 deep"), "{said}");
}

#[test]
fn other_mistakes_are_reported_beside_a_template_that_was_stopped() {
    let growing = sixty("'xx'", "{% set a = a ~ a %}", "a|length").replace('\'', "''");
    let labels = format!("{{ a: '{growing}', b: '{{{{ 1 + 1 }}}}', c: '{{{{ vars.nope|upper }}}}' }}");
    let said = Fixture::new(&format!("vars: {{x: 1}}\nvms: {{web: {{image: ./a, labels: {labels}}}}}\n")).mistakes();
    assert!(said.contains(MEMORY) && said.contains("`nope` is not in `vars`"), "{said}");
    assert!(!said.contains("not rendered any more"), "{said}");
}
