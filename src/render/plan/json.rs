//! A plan as JSON for programs.
//!
//! Owns the shape and its version. It is kept apart from how plans are stored: that one may change with the engine,
//! this one only with [`VERSION`]. Knows nothing of the text for people.

use serde_json::{Value, json};

use super::fields::spec;
use crate::names::ResourceId;
use crate::plan::{Action, Downtime, Gate, Operation, Plan, Step, Wave};

/// Version of the shape. Fields may be added without a new version; none is renamed or removed.
pub const VERSION: u32 = 1;

/// The plan as JSON, in the shape of [`schema`]:
///
/// ```json
/// {
///   "version": 1,
///   "project": "shop",
///   "summary": { "create": 8, "start": 1, "update": 0, "restart": 0, "replace": 0, "delete": 0, "unchanged": 3 },
///   "waves": [ { "wave": 1, "steps": [ {
///     "step": 0,
///     "resource": { "kind": "vm", "name": "db" },
///     "action": "create",
///     "cause": { "kind": "missing", "text": "does not exist" },
///     "origin": { "file": "vmcompose.yaml", "line": 21 },
///     "changes": [ { "field": "memory", "old": "1GiB", "new": "2GiB" } ],
///     "effect": "data_loss",
///     "operations": [ "define vm `db`", "start vm `db`" ],
///     "after": [ { "step": 0, "until": "applied" } ],
///     "gate": { "kind": "healthy", "vm": "db", "address": "10.20.1.10", "healthcheck": {} },
///     "spec": { "kind": "vm", "spec": {} }
///   } ] } ],
///   "downtime": [ { "vm": "web", "step": 1, "cause": "differs from the file", "grace": "30s", "until": "healthy" } ],
///   "unchanged": [ { "kind": "network", "name": "back" } ],
///   "orphans": [],
///   "kept": []
/// }
/// ```
///
/// `action` is one of `create`, `start`, `update`, `restart`, `replace`, `delete`, `verify`; `effect` one of `live`,
/// `interruption`, `reboot`, `replace`, `data_loss`. `origin`, `effect`,
/// `gate` and `spec` are null where there is none; `spec` is there where a resource is made; `finish`, only where there
/// is any, has the calls after the gate. `after` names steps of the same plan; `until` is `applied`
/// (its operations are done) or `passed` (its gate is open too). `unchanged` holds what the file has and no step makes or
/// changes, `downtime` the vms that run and are off for a while, `orphans` what is ours but no longer in the file and is left alone, `kept` the volumes that outlive the plan.
pub fn json(plan: &Plan) -> Value {
    let wave = |(n, wave): (usize, &Wave)| {
        let steps: Vec<Value> = wave.steps.iter().map(step).collect();
        json!({ "wave": n + 1, "steps": steps })
    };
    let waves: Vec<Value> = plan.waves.iter().enumerate().map(wave).collect();
    json!({
        "version": VERSION,
        "project": plan.project,
        "summary": {
            "create": plan.count(Action::Create),
            "start": plan.count(Action::Start),
            "update": plan.count(Action::Update),
            "restart": plan.count(Action::Restart),
            "replace": plan.count(Action::Replace),
            "delete": plan.count(Action::Delete),
            "adopt": plan.count(Action::Adopt),
            "release": plan.count(Action::Release),
            "unchanged": plan.unchanged.len(),
        },
        "waves": waves,
        "downtime": plan.downtime().iter().map(downtime).collect::<Vec<_>>(),
        "unchanged": resources(&plan.unchanged),
        "orphans": resources(&plan.orphans),
        "kept": resources(&plan.kept),
    })
}

fn downtime(downtime: &Downtime<'_>) -> Value {
    let Downtime { vm, step, cause, grace, until } = downtime;
    json!({ "vm": vm, "step": step, "cause": cause.to_string(), "grace": grace, "until": until.reaches() })
}

/// The JSON Schema of that shape.
pub fn schema() -> &'static str {
    include_str!("schema.json").trim_end()
}

fn resources(ids: &[ResourceId]) -> Vec<Value> {
    ids.iter().map(|id| json!({ "kind": id.kind(), "name": id.name() })).collect()
}

fn step(step: &Step) -> Value {
    let mut cause = json!(step.cause);
    cause["text"] = json!(step.cause.to_string());
    let after: Vec<Value> = step.after.iter().map(|(id, until)| json!({ "step": id, "until": until })).collect();
    let mut step_json = json!({
        "step": step.id,
        "resource": { "kind": step.resource.kind(), "name": step.resource.name() },
        "action": step.action.as_str(),
        "cause": cause,
        "origin": step.origin,
        "changes": step.changes,
        "effect": step.effect,
        "operations": words(&step.operations),
        "after": after,
        "gate": if step.gate == Gate::None { Value::Null } else { json!(step.gate) },
        "spec": step.operations.iter().find_map(spec),
    });
    if !step.finish.is_empty() {
        step_json["finish"] = words(&step.finish);
    }
    step_json
}

fn words(operations: &[Operation]) -> Value {
    json!(operations.iter().map(ToString::to_string).collect::<Vec<_>>())
}
