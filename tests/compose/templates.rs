//! Templates: what they see, what they may not do.

use crate::compose::fixture::{Fixture, vm};

/// The label `x` of vm `web` in a project with two networks and three vms, made by a template.
fn label(template: &str) -> String {
    let fixture = fixture(template);
    vm(&fixture.project(), "web").labels["x"].clone()
}

fn fixture(template: &str) -> Fixture {
    let quoted = template.replace('\'', "''");
    Fixture::new(&format!(
        "name: shop
vars: {{pg: 15, name: x, list: [a, b], deep: {{k: v}}, on: true, none: null, made: '{{{{ vars.pg + 1 }}}}'}}
networks: {{front: {{subnet: 10.1.0.0/24}}, back: {{mode: isolated, subnet: 10.2.0.0/24}}}}
vms:
  web:
    image: ./a
    networks: [front, back]
    labels: {{x: '{quoted}'}}
  db: {{image: ./a, hostname: base, networks: {{back: {{ip: 10.2.0.9, mac: '52:54:00:00:00:09'}}}}}}
  api: {{image: ./a, replicas: 2, networks: {{back: {{ip: '10.2.0.{{{{ 20 + index }}}}'}}}}}}
  alone: {{image: ./a, networks: []}}
"
    ))
    .env("E", "env value")
}

#[test]
fn vars_env_project_and_index_are_there() {
    for (template, text) in [
        ("{{ vars.pg }}", "15"),
        ("v{{ vars.pg + 1 }}", "v16"),
        ("{{ vars.made }}", "16"),
        ("{{ vars.list[1] }}", "b"),
        ("{{ vars.deep.k }}", "v"),
        ("{{ vars.on }} {{ vars.none }}", "true null"),
        ("{{ env.E }}", "env value"),
        ("{{ project.name }}", "shop"),
        ("{{ index }}", "1"),
        ("{% for i in vars.list %}{{ i }},{% endfor %}", "a,b,"),
        ("{{ vars.list|join('-') }}", "a-b"),
        ("{{ vars.deep|tojson }}", "{\"k\": \"v\"}"),
        ("{{ 'a'|b64encode }}", "YQ=="),
        ("{# nothing #}text", "text"),
        ("{% raw %}{{ guest }}{% endraw %}", "{{ guest }}"),
    ] {
        assert_eq!(label(template), text, "{template}");
    }
}

#[test]
fn addresses_of_all_vms_are_known() {
    for (template, text) in [
        ("{{ vms.db.ip }}", "10.2.0.9"),
        ("{{ vms.db.mac }}", "52:54:00:00:00:09"),
        ("{{ vms.db.hostname }}", "base"),
        ("{{ vms['api-2'].ip }}", "10.2.0.22"),
        ("{{ vms.db.networks.back.ip }}", "10.2.0.9"),
        ("{{ vms.api[0].ip }}", "10.2.0.21"),
        ("{% for vm in vms.api %}{{ vm.name }}={{ vm.ip }} {% endfor %}", "api-1=10.2.0.21 api-2=10.2.0.22 "),
        ("{{ networks.front.subnet }} {{ networks.front.gateway }}", "10.1.0.0/24 10.1.0.1"),
        (
            "{{ networks.back.netmask }} {{ networks.back.prefix }} {{ networks.back.mode }}",
            "255.255.255.0 24 isolated",
        ),
        ("{{ networks.front.subnet|cidrhost(10) }}", "10.1.0.10"),
    ] {
        assert_eq!(label(template), text, "{template}");
    }
}

#[test]
fn an_address_in_a_template_is_the_one_that_is_settled() {
    let fixture = fixture("{{ vms.web.ip }} {{ vms.web.mac }} {{ vms.web.networks.back.ip }}");
    let project = fixture.project();
    let web = vm(&project, "web");
    let expected = format!("{} {} {}", web.interfaces[0].ip, web.interfaces[0].mac, web.interfaces[1].ip);
    assert_eq!(web.labels["x"], expected);
}

#[test]
fn a_vm_without_a_network_has_no_address() {
    let said = fixture("{{ vms.alone.ip }}").mistakes();
    assert!(said.contains("error: `ip` is not in `vms.alone`"), "{said}");
}

#[test]
fn a_value_that_a_template_makes_is_not_a_template_again() {
    let fixture =
        Fixture::new("vms: {web: {image: ./a, labels: {x: '{{ env.E }}{{ vms.web.name }}'}}}").env("E", "{{ 1 + 1 }}");
    assert_eq!(vm(&fixture.project(), "web").labels["x"], "{{ 1 + 1 }}web");
}

#[test]
fn a_template_cannot_break_the_structure_of_the_file() {
    let fixture = Fixture::new("vms: {web: {image: ./a, labels: {x: '{{ env.E }}'}}}").env("E", "a\n    cpus: 8");
    assert_eq!(
        (vm(&fixture.project(), "web").cpus, vm(&fixture.project(), "web").labels["x"].as_str()),
        (1, "a\n    cpus: 8")
    );
}

#[test]
fn trailing_newlines_of_a_block_stay() {
    let fixture =
        Fixture::new("vms:\n  web:\n    image: ./a\n    labels:\n      x: |\n        a {{ index }}\n        b\n");
    assert_eq!(vm(&fixture.project(), "web").labels["x"], "a 1\nb\n");
}

#[test]
fn numbers_sizes_and_truth_values_may_come_from_templates() {
    let fixture = Fixture::new(
        "vars: {n: 2}\nvms: {web: {image: './{{ vars.n }}.img', cpus: '{{ vars.n }}', memory: '{{ vars.n }}GiB', autostart: '{{ vars.n > 1 }}', healthcheck: {tcp: '{{ 8000 + vars.n }}'}}}",
    );
    let project = fixture.project();
    let web = vm(&project, "web");
    assert_eq!((web.cpus, web.memory.to_string().as_str(), web.autostart), (2, "2GiB", true));
    assert_eq!(web.healthcheck.as_ref().unwrap().probes[0].to_string(), "tcp :8002");
}

#[test]
fn a_mistake_in_a_block_points_at_its_line() {
    let said = Fixture::new(
        "vms:\n  web:\n    image: ./a\n    labels:\n      x: |\n        first\n        second {{ nope }}\n",
    )
    .mistakes();
    assert!(said.contains("vmcompose.yaml:7:19"), "{said}");
}

#[test]
fn vars_are_overridden_in_their_order() {
    let text = "vars: {a: file, n: 1}\nvms: {web: {image: ./a, labels: {x: '{{ vars.a }}{{ vars.n + 1 }}'}}}";
    let label = |fixture: &Fixture| vm(&fixture.project(), "web").labels["x"].clone();
    let fixture = Fixture::new(text);
    assert_eq!(label(&fixture), "file2");
    let fixture = fixture.env("VMCOMPOSE_VAR_a", "env").env("VMCOMPOSE_VAR_n", "5").env("VMCOMPOSE_VAR_other", "x");
    assert_eq!(label(&fixture), "env6");
    let fixture = fixture.file("vars.yaml", "a: var-file").with(|request| request.var_files = vec!["vars.yaml".into()]);
    assert_eq!(label(&fixture), "var-file6");
    let fixture = fixture.with(|request| request.vars = vec![("a".to_owned(), "var".to_owned())]);
    assert_eq!(label(&fixture), "var6");
}

#[test]
fn a_var_that_the_file_does_not_have_is_an_error_with_a_guess() {
    let fixture = Fixture::new("vars: {name: x}\nvms: {web: {image: ./a}}");
    let said = fixture.with(|request| request.vars = vec![("nmae".to_owned(), "y".to_owned())]).mistakes();
    assert_eq!(said, "error: `--var nmae`: the file has no var of this name\nhint: did you mean `name`?\n\n");
}

#[test]
fn a_text_stays_a_text_when_it_is_overridden_by_what_looks_like_a_number() {
    let fixture = Fixture::new("vars: {v: '1.0'}\nvms: {web: {image: ./a, labels: {x: '{{ vars.v }}'}}}");
    let fixture = fixture.with(|request| request.vars = vec![("v".to_owned(), "1.10".to_owned())]);
    assert_eq!(vm(&fixture.project(), "web").labels["x"], "1.10");
}

#[test]
fn the_resolved_file_has_no_templates_and_means_the_same() {
    let fixture = fixture("{{ vms.db.ip }}");
    let parsed = fixture.parse().unwrap();
    let text = serde_yaml::to_string(&parsed.resolved()).unwrap();
    assert!(!text.contains("{{"), "{text}");
    let again = Fixture::new(&text);
    let strip = |project: vmcompose::model::Project| {
        (
            project.name,
            project.networks,
            project.volumes,
            project
                .vms
                .into_values()
                .map(|mut vm| {
                    vm.replica_of = None;
                    vm
                })
                .collect::<Vec<_>>(),
        )
    };
    let (a, b) = (strip(parsed.project), strip(again.project()));
    assert_eq!((a.0, a.2), (b.0, b.2));
    assert_eq!(a.3.len(), b.3.len());
    for (one, other) in a.3.iter().zip(&b.3) {
        assert_eq!(
            (&one.name, &one.interfaces, &one.labels, one.cpus),
            (&other.name, &other.interfaces, &other.labels, other.cpus)
        );
    }
}

#[test]
fn vars_are_worked_out_in_the_order_of_their_use() {
    let fixture = Fixture::new(
        "vars: {url: 'http://{{ vars.host }}', host: '{{ vars.name }}.example', name: db}
vms: {web: {image: ./a, labels: {x: '{{ vars.url }}'}}}",
    );
    assert_eq!(vm(&fixture.project(), "web").labels["x"], "http://db.example");
    // What is made of a var follows it.
    let fixture = fixture.with(|request| request.vars = vec![("name".to_owned(), "web".to_owned())]);
    assert_eq!(vm(&fixture.project(), "web").labels["x"], "http://web.example");
}

#[test]
fn vars_that_ask_for_one_another_are_a_mistake() {
    let said = |vars: &str| Fixture::new(&format!("vars: {vars}\nvms: {{web: {{image: ./a}}}}")).mistakes();
    let circle = said("{a: '{{ vars.b }}', b: '{{ vars.c }}', c: 'x{{ vars.a }}'}");
    let first = "error: vars ask for one another in a circle: `a`, which asks for `b`, which asks for `c`";
    assert!(circle.starts_with(first), "{circle}");
    assert_eq!(circle.matches("error:").count(), 1, "{circle}");
    assert!(circle.contains("`c` asks for `a`"), "{circle}");
    assert!(said("{a: '{{ vars.a }}'}").starts_with("error: var `a` asks for itself\n"));
}

#[test]
fn a_list_can_be_given_on_the_command_line() {
    let fixture = Fixture::new("vars: {nodes: [a]}\nvms: {web: {image: ./a, for_each: '{{ vars.nodes }}'}}");
    let fixture = fixture.with(|request| request.vars = vec![("nodes".to_owned(), "[b, c]".to_owned())]);
    let names: Vec<String> = fixture.project().vms.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["web-b", "web-c"]);
}
