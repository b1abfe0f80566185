//! Variables, rule by rule after the chapter "Interpolation" of the Compose specification.

use crate::compose::fixture::{Fixture, vm};

/// The label `x` of a file whose value for it is `written`. `FOO` is `first`, `BAR` is empty, all others are unset.
fn label(written: &str) -> String {
    let fixture = fixture(written);
    let project = fixture.project();
    vm(&project, "web").labels["x"].clone()
}

fn fixture(written: &str) -> Fixture {
    Fixture::new(&format!("vms:\n  web:\n    image: ./a.qcow2\n    labels:\n      x: '{written}'\n"))
        .env("FOO", "first")
        .env("BAR", "")
}

#[track_caller]
fn check(rules: &[(&str, &str)]) {
    for (written, value) in rules {
        assert_eq!(label(written), *value, "{written}");
    }
}

#[test]
fn both_forms_are_replaced_by_the_value() {
    check(&[("This $FOO var", "This first var"), ("This ${FOO} var", "This first var"), ("$FOO-bar", "first-bar")]);
}

#[test]
fn a_text_without_variables_stays_as_it_is() {
    check(&[("foo", "foo"), ("{FOO}", "{FOO}"), ("%FOO%", "%FOO%")]);
}

#[test]
fn two_dollar_signs_are_one() {
    check(&[("$${FOO}", "${FOO}"), ("$$FOO", "$FOO"), ("$$$FOO", "$first"), ("a$$", "a$"), ("$$$$", "$$")]);
}

#[test]
fn a_default_after_colon_and_minus_holds_for_unset_and_empty() {
    check(&[("${NONE:-def}", "def"), ("${BAR:-def}", "def"), ("${FOO:-def}", "first"), ("${NONE:-}", "")]);
}

#[test]
fn a_default_after_minus_holds_for_unset_alone() {
    check(&[("${NONE-def}", "def"), ("ok ${BAR-def}", "ok "), ("${FOO-def}", "first")]);
}

#[test]
fn an_alternative_after_colon_and_plus_holds_for_what_is_set_and_not_empty() {
    check(&[("${FOO:+other}", "other"), ("${BAR:+other}.", "."), ("${NONE:+other}.", ".")]);
}

#[test]
fn an_alternative_after_plus_holds_for_what_is_set() {
    check(&[("${FOO+other}", "other"), ("${BAR+other}", "other"), ("${NONE+other}.", ".")]);
}

#[test]
fn a_required_variable_that_is_there_is_its_value() {
    check(&[("${FOO:?err}", "first"), ("${FOO?err}", "first"), ("ok ${BAR?err}", "ok ")]);
}

#[test]
fn a_required_variable_that_is_missing_ends_with_its_message() {
    for (written, message) in [
        ("${NONE:?not there}", "variable `NONE` must be set: not there"),
        ("${NONE?not there}", "variable `NONE` must be set: not there"),
        ("${BAR:?empty}", "variable `BAR` must be set: empty"),
        ("${NONE:?}", "error: variable `NONE` must be set\n"),
        ("${NONE?}", "error: variable `NONE` must be set\n"),
        ("${NONE:?see ${FOO}}", "variable `NONE` must be set: see first"),
        ("${NONE?see $FOO}", "variable `NONE` must be set: see first"),
    ] {
        let fixture = fixture(written);
        assert!(fixture.parse().is_err(), "{written}");
        assert!(fixture.mistakes().contains(message), "{written}: {}", fixture.mistakes());
    }
}

#[test]
fn defaults_may_hold_variables_as_deep_as_one_likes() {
    check(&[
        ("${NONE-$FOO}", "first"),
        ("${NONE-${FOO}}", "first"),
        ("${NONE-${FOO} ${FOO}}", "first first"),
        ("${BAR:-$FOO}", "first"),
        ("${NONE:-${BAR:-${GONE-deep}}}", "deep"),
        ("${FOO:+${FOO}-${FOO}}", "first-first"),
        ("${NONE:-$$FOO}", "$FOO"),
    ]);
}

#[test]
fn the_first_operator_is_the_one_that_counts() {
    check(&[
        ("${NONE-a?b}", "a?b"),
        ("${NONE:-/non:-alphanumeric}", "/non:-alphanumeric"),
        ("${FOO?bar-baz}", "first"),
        ("${NONE-va:+lu-e}", "va:+lu-e"),
        ("${FOO+va:?lu-e}", "va:?lu-e"),
    ]);
}

#[test]
fn braces_in_a_default_are_closed_in_pairs() {
    check(&[("${NONE:-{\"a\": {}}}.", "{\"a\": {}}."), ("${NONE:-{}}", "{}")]);
}

#[test]
fn what_only_looks_like_a_variable_is_refused() {
    for written in ["${", "${FOO", "$}", "${}", "${ }", "${ FOO}", "${FOO }", "${FOO!}", "${FOO/a/b}", "a$", "$1", "$-"]
    {
        let fixture = fixture(written);
        assert!(fixture.parse().is_err(), "{written}");
        assert!(fixture.mistakes().contains("not a variable as Compose writes them"), "{written}");
    }
}

#[test]
fn an_unset_variable_is_empty_with_one_warning_that_names_it_and_its_place() {
    let fixture = fixture("a${NONE}b ${NONE}");
    assert_eq!(vm(&fixture.project(), "web").labels["x"], "ab ");
    let warnings = fixture.mistakes();
    assert_eq!(warnings.matches("warning:").count(), 1, "{warnings}");
    assert!(warnings.contains("variable `NONE` is not set"), "{warnings}");
    assert!(warnings.contains("vmcompose.yaml:5:12"), "{warnings}");
}

#[test]
fn a_default_that_is_not_taken_warns_of_nothing() {
    assert_eq!(fixture("${FOO:-$NONE} ${NONE:+$GONE}").mistakes(), "");
}

#[test]
fn a_misspelt_variable_gets_a_guess() {
    let said = Fixture::new("vms: {web: {image: './$IMAGE_PTH'}}").env("IMAGE_PATH", "a").mistakes();
    assert!(said.contains("did you mean `IMAGE_PATH`?"), "{said}");
}

#[test]
fn keys_are_not_interpolated() {
    let fixture = Fixture::new("vms: {web: {image: ./a, labels: {$FOO: $FOO}}}").env("FOO", "first");
    assert_eq!(vm(&fixture.project(), "web").labels["$FOO"], "first");
}

#[test]
fn a_label_in_a_list_is_interpolated_whole() {
    let fixture = Fixture::new("vms: {web: {image: ./a, labels: [$FOO=$FOO]}}").env("FOO", "first");
    assert_eq!(vm(&fixture.project(), "web").labels["first"], "first");
}

#[test]
fn a_value_cannot_break_the_structure_of_the_file() {
    let fixture = Fixture::new("vms: {web: {image: ./a, labels: {x: $EVIL}}}").env("EVIL", "a\n  cpus: 8\n# '\"}");
    assert_eq!(vm(&fixture.project(), "web").labels["x"], "a\n  cpus: 8\n# '\"}");
    assert_eq!(vm(&fixture.project(), "web").cpus, 1);
}

#[test]
fn a_number_may_come_from_a_variable_quoted_or_not() {
    for written in ["${N}", "\"${N}\"", "'${M:-3}'"] {
        let fixture = Fixture::new(&format!("vms:\n  web:\n    image: ./a\n    cpus: {written}\n")).env("N", "3");
        assert_eq!(vm(&fixture.project(), "web").cpus, 3, "{written}");
    }
}

#[test]
fn the_value_of_a_variable_is_not_interpolated_again() {
    let fixture = Fixture::new("vms: {web: {image: ./a, labels: {x: $A}}}").env("A", "$B ${C}");
    assert_eq!(vm(&fixture.project(), "web").labels["x"], "$B ${C}");
}

#[test]
fn the_dollar_of_the_guest_is_left_alone() {
    let said =
        Fixture::new("vms: {web: {image: ./a, provision: 'echo $HOME ${', cloud_init: {user_data: '$X'}}}").mistakes();
    assert!(!said.contains("variable"), "{said}");
}

#[test]
fn extensions_are_interpolated_where_they_are_used() {
    let fixture = Fixture::new("x-c: &c\n  labels: {x: $FOO}\n  image: ./a\nvms: {web: {<<: *c}}").env("FOO", "first");
    assert_eq!(vm(&fixture.project(), "web").labels["x"], "first");
    assert_eq!(fixture.mistakes(), "");
}
