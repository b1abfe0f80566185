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
    /// Its path within the spec, in which disks and interfaces go by their names: `memory`, `interfaces.front.ip`.
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
        // Where there is none, the list is left out of what is recorded.
        (None | Some(Value::Array(_)), None | Some(Value::Array(_)))
            if matches!(path.as_str(), "disks" | "interfaces") =>
        {
            let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
            named(&path, &list(old), &list(new), found);
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for index in 0..old.len().max(new.len()) {
                walk(nested(&index.to_string()), old.get(index), new.get(index), found);
            }
        }
        _ => found.push(FieldChange { field: path, old: text(old), new: text(new), drift: false }),
    }
}

/// Disks and interfaces go by their names: one that goes moves the others up, and changes nothing else about them.
fn named(path: &str, old: &[Value], new: &[Value], found: &mut Vec<FieldChange>) {
    let (old, new): (Vec<_>, Vec<_>) = (old.iter().map(entry).collect(), new.iter().map(entry).collect());
    let of = |list: &[(String, Value)], name: &str| list.iter().find(|(own, _)| own == name).map(|(_, is)| is.clone());
    let fresh = new.iter().filter(|(name, _)| of(&old, name).is_none());
    for (name, _) in old.iter().chain(fresh) {
        walk(format!("{path}.{name}"), of(&old, name).as_ref(), of(&new, name).as_ref(), found);
    }
    let order = |list: &[(String, Value)], other: &[(String, Value)]| -> Vec<String> {
        list.iter().map(|(name, _)| name.clone()).filter(|name| of(other, name).is_some()).collect()
    };
    let (was, is) = (order(&old, &new), order(&new, &old));
    if was != is {
        let (old, new) = (Some(was.join(", ")), Some(is.join(", ")));
        found.push(FieldChange { field: format!("{path}.order"), old, new, drift: false });
    }
}

/// A disk by its name, an interface by its network; and what else there is to it.
fn entry(value: &Value) -> (String, Value) {
    let name = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let without = |value: &Value, key: &str| {
        let fields = value.as_object().into_iter().flatten().filter(|(name, _)| *name != key);
        Value::Object(fields.map(|(name, value)| (name.clone(), value.clone())).collect())
    };
    if let Some(volume) = value.get("volume") {
        (format!("volume {}", name(&volume["volume"])), Value::from("attached"))
    } else if let Some(own) = value.get("own") {
        (name(&own["name"]), without(own, "name"))
    } else {
        (name(&value["network"]), without(value, "network"))
    }
}

/// Whether a field is the size of a disk of the vm's own.
pub(super) fn is_disk_size(field: &str) -> bool {
    let parts: Vec<&str> = field.split('.').collect();
    matches!(parts[..], ["disk"] | ["disks", _, "size"])
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
