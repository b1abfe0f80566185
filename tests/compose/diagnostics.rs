//! What messages carry, beyond their words: places in every kind of text, colour, JSON.

use vmcompose::compose::Severity;
use vmcompose::render::diagnostic;

use crate::compose::fixture::Fixture;

#[track_caller]
fn at(text: &str, place: &str) {
    let said = Fixture::new(text).mistakes();
    assert!(said.contains(&format!("--> vmcompose.yaml:{place}\n")), "{said}");
}

#[test]
fn columns_are_right_after_multibyte_text() {
    at("vms: {web: {labels: {ä: \"größe 日本 😀\"}, imge: x}}", "1:40");
}

#[test]
fn lines_and_columns_are_right_with_crlf() {
    at("# one\r\nvms:\r\n  web:\r\n    image: ./a\r\n    cpus: x\r\n", "5:11");
}

#[test]
fn lines_and_columns_are_right_after_a_byte_order_mark() {
    at("\u{feff}vmss: {}\n", "1:1");
}

#[test]
fn lines_and_columns_are_right_with_tabs_in_values() {
    at("vms:\n  web: {image: ./a,\tcpus: x}\n", "2:27");
}

#[test]
fn a_variable_in_a_quoted_text_is_pointed_at_itself() {
    at("vms: {web: {image: \"./a ${A:?b}\"}}", "1:25");
}

#[test]
fn the_second_of_two_equal_variables_is_pointed_at_itself() {
    at("vms: {web: {image: './$${A} ${A} ${'}}", "1:34");
}

#[test]
fn json_has_the_same_facts() {
    let fixture = Fixture::new("vms: #é\n  web:\n    cpus: 1\n    cpus: 2\n    image: ./a\n");
    let mistakes = fixture.parse().unwrap_err();
    assert_eq!(mistakes.list[0].severity, Severity::Error);
    let json = serde_json::to_value(&mistakes).unwrap();
    assert_eq!(
        json,
        serde_json::json!([{
            "severity": "error",
            "message": "`cpus` is given twice",
            "labels": [
                { "file": "vmcompose.yaml", "line": 4, "column": 5, "end_line": 4, "end_column": 9, "start": 32, "end": 36, "text": "given again here", "primary": true },
                { "file": "vmcompose.yaml", "line": 3, "column": 5, "end_line": 3, "end_column": 9, "start": 20, "end": 24, "text": "first given here", "primary": false }
            ],
            "hints": ["remove one of the two, or merge what they say"]
        }])
    );
}

#[test]
fn colour_adds_nothing_but_colour() {
    let mistakes = Fixture::new("vms: {web: {imge: ./a}}").parse().unwrap_err();
    let coloured = diagnostic::text(&mistakes, true);
    assert!(coloured.contains("\u{1b}["));
    assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), diagnostic::text(&mistakes, false));
}

#[test]
fn one_line_each_for_logs() {
    let mistakes = Fixture::new("vms:\n  web: {imge: ./a}\nvmss: {}\n").parse().unwrap_err();
    assert_eq!(
        mistakes.to_string(),
        "vmcompose.yaml:2:9: unknown key `imge` in `vms.web`\nvmcompose.yaml:3:1: unknown key `vmss` at the top of the file"
    );
}

#[test]
fn mistakes_of_all_stages_are_shown_at_once_in_the_order_of_the_file() {
    let said = Fixture::new(
        "networks: {n: {subnet: 10.0.0.0/24}}\nvms:\n  a: {image: ./a, cpus: x, labels: {l: '{{ nope }}'}}\n  b: {image: ./a, networks: {n: {ip: 10.9.9.9}}, depends_on: [c], hostname: $}\nvolumes: {v: {}}\n",
    )
    .mistakes();
    let lines: Vec<&str> =
        said.lines().filter(|line| line.contains("-->")).map(|line| line.trim_start_matches([' ', '-', '>'])).collect();
    let places: Vec<&str> = lines.iter().map(|line| line.trim_start_matches("vmcompose.yaml:")).collect();
    assert_eq!(places, ["3:25", "3:44", "4:38", "4:63", "4:77", "5:11"], "{said}");
}
