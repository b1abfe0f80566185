//! Many vms from one entry: replicas, `for_each`, `enabled`, profiles.

use vmcompose::names::VmName;

use crate::compose::fixture::{Fixture, vm};

fn names(fixture: &Fixture) -> Vec<String> {
    fixture.project().vms.keys().map(VmName::to_string).collect()
}

#[test]
fn replicas_are_numbered_from_one_when_they_are_asked_for() {
    let fixture = Fixture::new("vms: {a: {image: ./a}, b: {image: ./a, replicas: 1}, c: {image: ./a, replicas: 3}}");
    assert_eq!(names(&fixture), ["a", "b-1", "c-1", "c-2", "c-3"]);
}

#[test]
fn no_replicas_are_none() {
    let fixture = Fixture::new("vms: {a: {image: ./a}, b: {image: ./a, replicas: 0}}");
    assert_eq!(names(&fixture), ["a"]);
}

#[test]
fn who_is_off_by_his_profile_is_not_scaled() {
    let text = "vms: {a: {image: ./a}, b: {image: ./a, profiles: [load], replicas: 1}}";
    let scaled = |count, profile: Option<&str>| {
        let mut fixture = Fixture::new(text);
        fixture.request.scale.insert("b".to_owned(), count);
        fixture.request.profiles.extend(profile.map(ToOwned::to_owned));
        fixture
    };
    let said = scaled(2, None).mistakes();
    assert!(said.contains("vm `b` cannot be scaled: its profile `load` is not active"), "{said}");
    assert_eq!(names(&scaled(2, Some("load"))), ["a", "b-1", "b-2"]);
    assert_eq!(names(&scaled(0, None)), ["a"], "there are none of it as it is");
}

#[test]
fn the_number_of_replicas_may_be_a_variable_or_a_template() {
    let fixture =
        Fixture::new("vars: {n: 2}\nvms: {a: {image: ./a, replicas: \"{{ vars.n }}\"}, b: {image: ./a, replicas: $N}}");
    assert_eq!(names(&fixture.env("N", "1")), ["a-1", "a-2", "b-1"]);
}

#[test]
fn index_is_the_number_of_the_replica() {
    let fixture = Fixture::new(
        "networks: {n: {subnet: 10.0.0.0/24}}\nvms:\n  a:\n    image: ./a\n    replicas: 2\n    hostname: \"node{{ index }}\"\n    networks: {n: {ip: \"10.0.0.{{ 10 + index }}\"}}",
    );
    let project = fixture.project();
    let a2 = vm(&project, "a-2");
    assert_eq!((a2.hostname.as_str(), a2.interfaces[0].ip.to_string().as_str()), ("node2", "10.0.0.12"));
}

#[test]
fn for_each_makes_one_vm_for_each_item_of_a_list() {
    let fixture = Fixture::new(
        "vms: {a: {image: ./a, for_each: [x, y], labels: {k: \"{{ each.key }}{{ each.value }}{{ index }}\"}}}",
    );
    assert_eq!(names(&fixture), ["a-x", "a-y"]);
    assert_eq!(vm(&fixture.project(), "a-y").labels["k"], "yy2");
}

#[test]
fn for_each_makes_one_vm_for_each_entry_of_a_mapping() {
    let fixture = Fixture::new(
        "vms: {a: {image: ./a, for_each: {small: {cpus: 1}, large: {cpus: 8}}, cpus: \"{{ each.value.cpus }}\"}}",
    );
    assert_eq!(names(&fixture), ["a-large", "a-small"]);
    assert_eq!(vm(&fixture.project(), "a-large").cpus, 8);
}

#[test]
fn for_each_may_be_a_template_that_gives_a_list() {
    let fixture = Fixture::new("vars: {sites: [north, south]}\nvms: {a: {image: ./a, for_each: \"{{ vars.sites }}\"}}");
    assert_eq!(names(&fixture), ["a-north", "a-south"]);
    let fixture = Fixture::new("vms: {a: {image: ./a, for_each: \"{{ range(3) }}\"}}");
    assert_eq!(names(&fixture), ["a-0", "a-1", "a-2"]);
}

#[test]
fn items_that_are_mappings_are_numbered() {
    let fixture = Fixture::new("vms: {a: {image: ./a, for_each: [{c: 1}, {c: 2}], cpus: \"{{ each.value.c }}\"}}");
    assert_eq!(names(&fixture), ["a-1", "a-2"]);
    assert_eq!(vm(&fixture.project(), "a-2").cpus, 2);
}

#[test]
fn a_dependency_on_a_group_is_one_on_all_its_members() {
    let fixture = Fixture::new(
        "vms: {a: {image: ./a, for_each: [x, y]}, b: {image: ./a, depends_on: [a]}, c: {image: ./a, depends_on: [a-x]}}",
    );
    let project = fixture.project();
    assert_eq!((vm(&project, "b").depends_on.len(), vm(&project, "c").depends_on.len()), (2, 1));
}

#[test]
fn replicas_may_depend_on_their_neighbours() {
    let fixture = Fixture::new(
        "vms: {first: {image: ./a}, a: {image: ./a, replicas: 3, depends_on: [\"{{ 'first' if index == 1 else 'a-' ~ (index - 1) }}\"]}}",
    );
    let project = fixture.project();
    assert!(vm(&project, "a-3").depends_on.contains_key(&VmName::new("a-2").unwrap()));
}

#[test]
fn enabled_decides_whether_a_vm_is_there() {
    let fixture = Fixture::new(
        "vars: {debug: false}\nvms: {a: {image: ./a}, b: {image: ./a, enabled: false}, c: {image: ./a, enabled: \"{{ vars.debug }}\"}, d: {image: ./a, replicas: 3, enabled: \"{{ index != 2 }}\"}}",
    );
    assert_eq!(names(&fixture), ["a", "d-1", "d-3"]);
    let fixture = fixture.with(|request| request.vars = vec![("debug".to_owned(), "true".to_owned())]);
    assert_eq!(names(&fixture), ["a", "c", "d-1", "d-3"]);
}

#[test]
fn a_vm_with_profiles_is_there_when_one_is_active() {
    let text = "vms: {a: {image: ./a}, b: {image: ./a, profiles: [dev, debug]}, c: {image: ./a, profiles: ops}}";
    let with = |profiles: &[&str]| {
        let profiles: Vec<String> = profiles.iter().map(ToString::to_string).collect();
        Fixture::new(text).with(|request| request.profiles = profiles)
    };
    assert_eq!(names(&with(&[])), ["a"]);
    assert_eq!(names(&with(&["debug"])), ["a", "b"]);
    assert_eq!(names(&with(&["*"])), ["a", "b", "c"]);
    assert_eq!(names(&Fixture::new(text).env("VMCOMPOSE_PROFILES", "ops, x")), ["a", "c"]);
    assert_eq!(Fixture::new(text).parse().unwrap().profiles, ["debug", "dev", "ops"]);
}

#[test]
fn a_dependency_that_is_not_required_goes_with_its_vm() {
    let fixture =
        Fixture::new("vms: {a: {image: ./a, depends_on: {b: {required: false}}}, b: {image: ./a, profiles: [x]}}");
    assert!(vm(&fixture.project(), "a").depends_on.is_empty());
    assert_eq!(fixture.mistakes(), "");
}

#[test]
fn a_dependency_that_is_not_required_and_unknown_is_warned_of() {
    let fixture = Fixture::new("vms: {a: {image: ./a, depends_on: {bb: {required: false}}}, b: {image: ./a}}");
    assert!(fixture.parse().is_ok());
    assert!(fixture.mistakes().contains("warning: vm `a` refers to an unknown vm `bb`"), "{}", fixture.mistakes());
}
