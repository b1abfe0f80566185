//! The JSON Schema: it agrees with the parser.

use std::fs;
use std::path::Path;

use serde_json::Value;
use vmcompose::compose;

use crate::compose::fixture::Fixture;

fn validator() -> jsonschema::Validator {
    jsonschema::validator_for(&compose::json_schema()).unwrap()
}

/// What the schema says of a file; `None` where the file is no YAML that `serde_yaml` reads as we do.
fn accepts(schema: &jsonschema::Validator, text: &str) -> Option<bool> {
    let mut yaml: serde_yaml::Value = serde_yaml::from_str(text).ok()?;
    yaml.apply_merge().ok()?;
    let json: Value = serde_json::to_value(yaml).ok()?;
    Some(schema.is_valid(&json))
}

#[test]
fn good_files_satisfy_the_schema() {
    let schema = validator();
    for text in [
        include_str!("full.yaml"),
        "vms: {web: {image: ./a, cpus: '{{ vars.n }}', memory: '${M}', autostart: '$A', accel: '{{ x }}'}}",
        "x-a: 1\nvms: {web: {x-b: [1], image: ./a, healthcheck: {tcp: 80}, networks: {default: }}}",
        "include: [a.yaml, {path: [b.yaml], env_file: x}]\nvms: {web: , db: {extends: web}, c: {extends: {vm: a, file: b}}}",
        "vms: {web: {image: ./a, labels: [a=b], depends_on: {db: , x: {required: false}}, profiles: dev, for_each: [1]}}",
        "vms: {web: {image: ./a, healthcheck: {probes: [{exec: ls}, {http: {port: 80}}, {tcp: {port: 1, host: h}}]}}}",
    ] {
        let json: Value = serde_json::to_value(serde_yaml::from_str::<serde_yaml::Value>(text).unwrap()).unwrap();
        let errors: Vec<String> = schema.iter_errors(&json).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{text}\n{errors:?}");
    }
}

#[test]
fn what_the_schema_refuses_the_parser_refuses_too() {
    let schema = validator();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compose/broken");
    let (mut both, mut parser_alone) = (0, 0);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "yaml") {
            continue;
        }
        // Every file there is refused by the parser; that is another test's business.
        match accepts(&schema, &String::from_utf8_lossy(&fs::read(&path).unwrap())) {
            Some(false) => both += 1,
            Some(true) => parser_alone += 1,
            None => {}
        }
    }
    assert!(both > 25, "the schema refuses only {both} files and leaves {parser_alone} to the parser");
}

#[test]
fn the_schema_refuses_what_an_editor_should_underline() {
    let schema = validator();
    for text in [
        "vmss: {}",
        "vms: []",
        "vms: {web: {cpu_s: 1}}",
        "vms: {web: {cpus: two}}",
        "vms: {web: {memory: lots}}",
        "vms: {web: {autostart: 'yes'}}",
        "vms: {web: {accel: hvf}}",
        "vms: {web: {healthcheck: {tcp: 70000}}}",
        "vms: {web: {healthcheck: {tpc: 1}}}",
        "vms: {web: {depends_on: db}}",
        "vms: {web: {boot: {initrd: [x]}}}",
        "networks: {n: {subnet: lan}}\nvms: {}",
    ] {
        assert_eq!(accepts(&schema, text), Some(false), "{text}");
        assert!(Fixture::new(text).parse().is_err(), "{text}");
    }
}

#[test]
fn every_key_is_described() {
    fn walk(path: &str, schema: &Value, bare: &mut Vec<String>) {
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            for (key, property) in properties {
                if property.get("description").is_none() {
                    bare.push(format!("{path}.{key}"));
                }
            }
        }
        if let Some(definitions) = schema.get("$defs").and_then(Value::as_object) {
            definitions.iter().for_each(|(name, definition)| walk(name, definition, bare));
        }
    }
    let mut bare = Vec::new();
    walk("file", &compose::json_schema(), &mut bare);
    assert!(bare.is_empty(), "{bare:?}");
}
