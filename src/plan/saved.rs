//! A plan that is carried out later: what it was made of, and what must not have changed until then.
//!
//! Owns the form of the file and the judgement whether it still holds. A plan that holds is the one that would be made now,
//! so whoever carries one out makes it anew and holds it against the saved one: secrets, which no file has, come from where
//! they always come from.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::{Spec, TaskAction};
use crate::names::{ProjectName, ResourceId};
use crate::plan::operation::Operation;
use crate::plan::{Options, Plan, Step};
use crate::state::{ActualState, DesiredState};

/// The format that this program writes and reads.
pub const VERSION: u32 = 1;

/// A plan in a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// Version of this format; see [`VERSION`].
    pub version: u32,
    /// By which version of vmcompose.
    pub made_by: String,
    /// The project.
    pub project: ProjectName,
    /// The URI of the hypervisor.
    pub hypervisor: String,
    /// What was asked for besides the file.
    pub options: Options,
    /// What the plan was made upon, by resource: everything that it touches, and what that needs.
    pub fingerprints: Vec<(ResourceId, String)>,
    /// What will be done.
    pub plan: Plan,
}

/// Why a saved plan cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// Written by another version.
    #[error("it is in format {found}, and this vmcompose reads {VERSION}")]
    Version {
        /// The version found.
        found: u64,
    },
    /// No saved plan.
    #[error("it is no plan that `plan --out` saved: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// Why a saved plan is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stale {
    /// It is about another project.
    #[error("the plan is for project `{saved}`, not for `{here}`")]
    Project {
        /// Which it is for.
        saved: ProjectName,
        /// Which is meant now.
        here: ProjectName,
    },
    /// It is about another place.
    #[error("the plan is for hypervisor `{saved}`, not for `{here}`")]
    Hypervisor {
        /// Which it is for.
        saved: String,
        /// Which is meant now.
        here: String,
    },
    /// Objects are no longer what they were.
    #[error("{} changed since the plan was saved", list(.0))]
    Changed(Vec<ResourceId>),
    /// The objects are the same, and yet another plan would be made.
    #[error("the compose file, or what it is given, changed since the plan was saved: {} would be done otherwise", list(.0))]
    Other(Vec<ResourceId>),
}

fn list(resources: &[ResourceId]) -> String {
    resources.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Saved {
    /// A plan with all that it depends on.
    pub fn new(
        plan: &Plan,
        options: Options,
        hypervisor: String,
        desired: &DesiredState,
        actual: &ActualState,
    ) -> Self {
        let touched = touched(plan, desired, actual).into_iter();
        let fingerprints = touched.map(|id| (id.clone(), actual.fingerprint(&id))).collect();
        let (version, made_by, project) = (VERSION, env!("CARGO_PKG_VERSION").to_owned(), plan.project.clone());
        Self { version, made_by, project, hypervisor, options, fingerprints, plan: plan.without_content() }
    }

    /// As text.
    pub fn encode(&self) -> String {
        serde_json::to_string_pretty(self).expect("a plan has no map with keys that are not strings")
    }

    /// From text.
    pub fn decode(text: &str) -> Result<Self, SavedError> {
        let value: Value = serde_json::from_str(text)?;
        // The version first: another format need not have the fields that this one has.
        match value.get("version").and_then(Value::as_u64) {
            Some(found) if found != u64::from(VERSION) => Err(SavedError::Version { found }),
            _ => Ok(serde_json::from_value(value)?),
        }
    }

    /// Whether the plan can still be carried out here, as far as the hypervisor tells.
    pub fn holds(&self, hypervisor: &str, project: &ProjectName, actual: &ActualState) -> Result<(), Stale> {
        if self.project != *project {
            return Err(Stale::Project { saved: self.project.clone(), here: project.clone() });
        }
        if self.hypervisor != hypervisor {
            return Err(Stale::Hypervisor { saved: self.hypervisor.clone(), here: hypervisor.to_owned() });
        }
        let changed = |(id, was): &&(ResourceId, String)| actual.fingerprint(id) != *was;
        let changed: Vec<ResourceId> = self.fingerprints.iter().filter(changed).map(|(id, _)| id.clone()).collect();
        if changed.is_empty() { Ok(()) } else { Err(Stale::Changed(changed)) }
    }

    /// Whether a plan that was made just now is the saved one.
    pub fn is(&self, now: &Plan) -> Result<(), Stale> {
        let now = now.without_content();
        let (was, is) = (by_resource(&self.plan), by_resource(&now));
        let ids: BTreeSet<&ResourceId> = was.keys().chain(is.keys()).copied().collect();
        let same = |id: &&ResourceId| match (was.get(*id), is.get(*id)) {
            (Some(was), Some(is)) => fits(was, is),
            _ => false,
        };
        let other: Vec<ResourceId> = ids.into_iter().filter(|id| !same(id)).cloned().collect();
        if other.is_empty() { Ok(()) } else { Err(Stale::Other(other)) }
    }
}

impl Plan {
    /// The same without what its tasks do inside guests: that may be nobody else's business. What tells one task from
    /// another is recorded beside it.
    #[must_use]
    pub fn without_content(&self) -> Self {
        let mut plan = self.clone();
        let steps = plan.waves.iter_mut().flat_map(|wave| &mut wave.steps);
        for operation in steps.flat_map(|step| step.operations.iter_mut().chain(&mut step.finish)) {
            let Operation::Provision(provision) = operation else { continue };
            match &mut provision.task.action {
                TaskAction::Run { script, env, .. } => {
                    script.clear();
                    env.clear();
                }
                TaskAction::File { content, .. } => content.clear(),
            }
        }
        plan
    }
}

/// What a plan does something to, and what that needs or needed.
fn touched(plan: &Plan, desired: &DesiredState, actual: &ActualState) -> BTreeSet<ResourceId> {
    let mut touched = BTreeSet::new();
    for step in plan.steps() {
        let id = match &step.resource {
            ResourceId::FormerVm(vm) | ResourceId::FormerDisks(vm) => ResourceId::Vm(vm.clone()),
            ResourceId::FormerImage(image) => ResourceId::Image(image.clone()),
            id => id.clone(),
        };
        let found = actual.resources.get(&id).map(|found| &found.recorded);
        let specs = desired.specs.get(&id).into_iter().chain(found);
        touched.extend(specs.flat_map(Spec::requires).map(|(required, _)| required));
        touched.insert(id);
    }
    touched
}

/// The steps, without what may differ between two looks at the same thing: where the file says it, and where on this
/// machine an image lies.
fn by_resource(plan: &Plan) -> BTreeMap<&ResourceId, Value> {
    let comparable = |step: &Step| {
        let mut step = step.clone();
        step.origin = None;
        for operation in step.operations.iter_mut().chain(&mut step.finish) {
            if let Operation::UploadImage(image) = operation {
                image.path = std::path::PathBuf::new();
            }
        }
        serde_json::to_value(step).expect("a step has no map with keys that are not strings")
    };
    plan.steps().map(|step| (&step.resource, comparable(step))).collect()
}

/// Whether two are the same but for the project's key, which a plan does not make.
fn fits(was: &Value, is: &Value) -> bool {
    match (was, is) {
        (Value::Object(was), Value::Object(is)) => {
            let fits_there = |(key, was): (&String, &Value)| {
                is.get(key).is_some_and(|is| (key == "project_key" && was == "wanted") || fits(was, is))
            };
            was.len() == is.len() && was.iter().all(fits_there)
        }
        (Value::Array(was), Value::Array(is)) => {
            was.len() == is.len() && was.iter().zip(is).all(|(was, is)| fits(was, is))
        }
        _ => was == is,
    }
}
