//! What differs between two specs of one resource, field by field.
//!
//! Owns the comparison. It walks the serialised specs, so that no field can be forgotten. Knows nothing of what a
//! difference entails: that is the planner's to decide.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::Spec;
use crate::model::secret::shown;

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Its path within the spec: `memory`, `interfaces.0.ip`.
    pub field: String,
    /// The value last applied; `None` where there was none.
    pub old: Option<String>,
    /// The value wanted; `None` where there shall be none.
    pub new: Option<String>,
    /// Somebody else changed it: `old` is what there is, `new` what was applied.
    #[serde(default, skip_serializing_if = "is_false")]
    pub drift: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl FieldChange {
    /// The first part of its path: the field of the spec itself.
    pub fn top(&self) -> &str {
        self.field.split('.').next().unwrap_or(&self.field)
    }
}

/// The fields in which `new` differs from `old`, in the order of their names. Empty where nothing differs.
pub fn changes(old: &Spec, new: &Spec) -> Vec<FieldChange> {
    if old == new {
        return Vec::new();
    }
    if let (Spec::Image(old), Spec::Image(new)) = (old, new) {
        // An image is its content: where the file lies, or that only the hypervisor has it, makes no difference.
        let digest = FieldChange {
            field: "digest".to_owned(),
            old: Some(old.digest.to_string()),
            new: Some(new.digest.to_string()),
            drift: false,
        };
        return if old.digest == new.digest { Vec::new() } else { vec![digest] };
    }
    let mut found = Vec::new();
    walk(String::new(), Some(&fields(old)), Some(&fields(new)), &mut found);
    found
}

/// From one value to another, in which somebody else's hand is seen.
pub(super) fn drifted(is: &impl Serialize, recorded: &impl Serialize) -> Vec<FieldChange> {
    let value = |value: serde_json::Result<Value>| value.expect("it has no map with keys that are not strings");
    let mut found = Vec::new();
    let (is, recorded) = (value(serde_json::to_value(is)), value(serde_json::to_value(recorded)));
    walk(String::new(), Some(&is), Some(&recorded), &mut found);
    found.into_iter().map(|change| FieldChange { drift: true, ..change }).collect()
}

fn fields(spec: &Spec) -> Value {
    let value = match spec {
        Spec::Pool(_) => return Value::Null,
        Spec::Image(image) => serde_json::to_value(image),
        Spec::Network(network) => serde_json::to_value(network),
        Spec::Volume(volume) => serde_json::to_value(volume),
        Spec::Vm(vm) => serde_json::to_value(vm),
    };
    value.expect("a spec has no map with keys that are not strings")
}

fn walk(path: String, old: Option<&Value>, new: Option<&Value>, found: &mut Vec<FieldChange>) {
    let none = |value: Option<&Value>| value.is_none_or(Value::is_null);
    if old == new || (none(old) && none(new)) {
        return;
    }
    let nested = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (old, new) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                walk(nested(name), old.get(name), new.get(name), found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for index in 0..old.len().max(new.len()) {
                walk(nested(&index.to_string()), old.get(index), new.get(index), found);
            }
        }
        _ => found.push(FieldChange { field: path, old: text(old), new: text(new), drift: false }),
    }
}

fn text(value: Option<&Value>) -> Option<String> {
    match value {
        None | Some(Value::Null) => None,
        Some(value) => Some(words(value)),
    }
}

/// A value as people write it: "ip 10.20.0.5, mac 52:54:00:12:34:56".
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => shown(text),
        Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join(" "),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| format!("{name} {}", words(value))).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}
