//! The JSON schema of the compose file, for editors.
//!
//! Owns what the schema must say beyond the structs: that templates and variables may stand for any value, that
//! `x-` keys are free, and that a mapping need not be complete in one place. Knows nothing of particular keys.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::File;

/// The schema, in JSON Schema 2020-12.
pub(crate) fn json_schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<File>().to_value();
    loosen(&mut schema);
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".to_owned(), json!("vmcompose"));
    }
    schema
}

/// Numbers, truth values and texts of a certain form may all come out of `${VAR}` or `{{ template }}`.
fn loosen(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(loosen),
        Value::Object(object) => {
            // Every alternative will admit templates, so a template would fit several of them.
            if let Some(alternatives) = object.remove("oneOf") {
                object.insert("anyOf".to_owned(), alternatives);
            }
            for (key, value) in object.iter_mut() {
                if key != "enum" && key != "const" && key != "default" {
                    loosen(value);
                }
            }
            if object.get("additionalProperties") == Some(&Value::Bool(false)) {
                object.insert("patternProperties".to_owned(), json!({ "^x-": true }));
            }
            // What one place leaves out may come from `defaults`, from `extends` or from another file.
            if object.contains_key("properties") {
                object.remove("required");
            }
            if is_strict(object) {
                admit_computed(object);
            }
        }
        _ => {}
    }
}

fn is_strict(object: &Map<String, Value>) -> bool {
    let is = |wanted: &str| match object.get("type") {
        Some(Value::String(kind)) => kind == wanted,
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == wanted),
        _ => false,
    };
    let text = object.contains_key("pattern") || object.contains_key("enum");
    is("integer")
        || is("boolean")
        || (is("number") && !is("string"))
        || (is("string") && text)
        || (object.contains_key("const"))
}

fn admit_computed(object: &mut Map<String, Value>) {
    let description = object.remove("description");
    let strict = Value::Object(std::mem::take(object));
    if let Some(description) = description {
        object.insert("description".to_owned(), description);
    }
    let computed = json!({ "type": "string", "pattern": r"\$|\{\{|\{%" });
    object.insert("anyOf".to_owned(), json!([strict, computed]));
}
