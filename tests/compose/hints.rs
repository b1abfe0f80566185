//! What is said of mistakes that are easily made: that it is true, and that what it tells to write is right.

use crate::compose::fixture::Fixture;

fn said(text: &str) -> String {
    Fixture::new(text).mistakes()
}

#[track_caller]
fn hints(text: &str, hint: &str) {
    let said = said(text);
    assert!(said.contains(&format!("hint: {hint}\n")), "{said}");
}

#[test]
fn the_address_of_several_vms_is_asked_of_one_of_them() {
    hints(
        "vms: {w: {image: ./a, replicas: 2}, x: {image: ./a, labels: {ip: '{{ vms.w.ip }}'}}}",
        "`vms.w` is several vms; write `vms[\"w-1\"].ip` for one of them",
    );
}

#[test]
fn a_vm_that_is_off_is_told_to_be() {
    let said = said("vms: {db: {image: ./a, profiles: [debug]}, x: {image: ./a, labels: {ip: '{{ vms.db.ip }}'}}}");
    assert!(said.contains("`db` is not in `vms`: it is off, because its profile `debug` is not active"), "{said}");
}

#[test]
fn a_size_with_a_unit_is_not_taken_for_one_without() {
    assert!(!said("vms: {db: {image: ./a, disk: 1K}}").contains("GiB"));
    hints("vms: {db: {image: ./a, disk: 20}}", "a number without a unit counts bytes; write `20GiB`");
    assert!(!said("vms: {db: {image: ./a, memory: 512KiB}}").contains("without a unit"));
    hints("vms: {db: {image: ./a, memory: 524288}}", "a number without a unit counts bytes; write `524288MiB`");
}

#[test]
fn defaults_are_of_vms_that_are_made_here() {
    let defaults = "defaults: { image: ./a, networks: [net], disks: [{ size: 1GiB }], firmware: uefi, memory: 2GiB }\n";
    let old = "existing: old, start: false";
    let project = Fixture::new(&format!(
        "{defaults}networks: {{ net: {{}} }}\nvms: {{ new: {{}}, old: {{ boot: {{ {old} }}, cpus: 1, memory: 64MiB }} }}\n"
    ))
    .project();
    let vm = |name| crate::compose::fixture::vm(&project, name);
    assert_eq!((vm("old").interfaces.len(), vm("old").disks.len(), vm("old").existing()), (0, 0, Some("old")));
    assert_eq!((vm("new").interfaces.len(), vm("new").disks.len(), vm("new").existing()), (1, 1, None));
    // It has what it has, and not what others have.
    let lacks =
        said(&format!("{defaults}networks: {{ net: {{}} }}\nvms: {{ new: {{}}, old: {{ boot: {{ {old} }} }} }}\n"));
    assert!(lacks.contains("lacks its `cpus` or `memory`") && lacks.matches("error: ").count() == 1, "{lacks}");
}

#[test]
fn a_probe_of_a_machine_that_is_there_already_names_its_host() {
    let vm = "boot: { existing: old }, cpus: 1, memory: 64MiB";
    hints(&format!("vms: {{ a: {{ {vm}, healthcheck: {{ tcp: 22 }} }} }}"), "name its `host`: an address or a name");
    Fixture::new(&format!("vms: {{ a: {{ {vm}, healthcheck: {{ tcp: {{ port: 22, host: ::1 }} }} }} }}")).project();
}

#[test]
fn a_missing_space_is_shown_where_it_is_missing() {
    for rest in ["\n", "    cpus: 1\n", "  db:\n    image: ./a\n"] {
        let said = said(&format!("vms:\n  web:\n    image: ./a\n    memory:1G\n{rest}"));
        assert!(said.contains("--> shop/vmcompose.yaml:4:5") || said.contains("--> vmcompose.yaml:4:5"), "{said}");
        assert!(said.contains("hint: write `memory: 1G`\n"), "{said}");
    }
}

#[test]
fn quotes_are_asked_for_around_the_template_and_nothing_else() {
    hints("vars: {a: x}\nvms: {web: {image: ./a, hostname: {{ vars.a }}}}", "write `\"{{ vars.a }}\"`");
    hints("vars: {a: x}\nvms: {web: {hostname: {{ vars.a }}-1, image: ./a}}", "write `\"{{ vars.a }}-1\"`");
    hints("vms:\n  web:\n    image: {{ vars.a }}/{{ vars.b }}\n", "write `\"{{ vars.a }}/{{ vars.b }}\"`");
}

#[test]
fn a_filter_that_is_not_there_is_guessed() {
    let label = |filter: &str| format!("vms: {{web: {{image: ./a, labels: {{x: '{{{{ \"a\"|{filter} }}}}'}}}}}}");
    let text = said(&label("b64encod"));
    assert!(text.contains("there is no filter `b64encod`"), "{text}");
    hints(&label("b64encod"), "did you mean `b64encode`?");
    hints(&label("shelquote"), "did you mean `shellquote`?");
    assert!(said(&label("banana")).contains("`cidrhost`"));
}

#[test]
fn a_well_known_name_needs_no_version_and_is_guessed() {
    let project = Fixture::new("vms: {web: {image: debian}}").project();
    let names: Vec<&str> = project.images.keys().map(vmcompose::names::ImageName::as_str).collect();
    assert_eq!(names, ["debian-13"], "the plan tells which version it is");
    hints("vms: {web: {image: debain}}", "did you mean `debian`?");
}

#[test]
fn a_key_that_is_given_twice_hides_no_other_mistake() {
    let said = said("vms:\n  web:\n    image: ./a\n    cpus: 1\n    cpus: 2\n    memry: 1GiB\n  db: {cpus: many}\n");
    for words in ["`cpus` is given twice", "unknown key `memry`", "`vms.db.cpus` must be a whole number"] {
        assert!(said.contains(words), "{words}:\n{said}");
    }
    assert!(!said.contains("duplicate field"), "{said}");
}

#[test]
fn what_cloud_init_would_pass_over_is_a_mistake() {
    for (given, words) in [
        ("meta_data: {instance-id: mine}", "`instance-id` is vmcompose's to set"),
        ("ca_certs: [abc]", "not a certificate in PEM form"),
        ("packages: ['a b']", "`a b` is not the name of a package"),
        ("packages: ['']", "`` is not the name of a package"),
        ("users: [{name: ada}, {name: ada}]", "account `ada` is given twice"),
        ("parts: [{content: x, content_type: text/foo}]", "cloud-init knows no content type `text/foo`"),
        ("parts: [{content: x, content_type: text/cloud-confg}]", "hint: did you mean `text/cloud-config`?"),
    ] {
        let said = said(&format!("vms: {{web: {{image: ./a, cloud_init: {{{given}}}}}}}"));
        assert!(said.contains(words), "{given}:\n{said}");
        assert_eq!(said.matches("error:").count(), 1, "{given}:\n{said}");
    }
    let right = "packages: [git], parts: [{content: x, content_type: 'text/x-shellscript; charset=utf-8'}]";
    assert_eq!(said(&format!("vms: {{web: {{image: ./a, cloud_init: {{{right}}}}}}}")), "");
}

#[test]
fn a_long_circle_is_shown_by_its_beginning() {
    let vms: Vec<String> =
        (0..500).map(|at| format!("v{at}: {{image: ./a, networks: [], depends_on: [v{}]}}", (at + 1) % 500)).collect();
    let said = said(&format!("vms:\n  {}\n", vms.join("\n  ")));
    assert!(said.starts_with("error: dependency cycle: vm `v0` waits for vm `v1`"), "{said}");
    assert!(said.contains("which waits, by way of 490 more, for vm `v0`"), "{said}");
    assert!(said.lines().count() < 60, "{}", said.lines().count());
}
