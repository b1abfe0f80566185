//! Taking in machines that somebody else made.
//!
//! Owns what they are called within a project, and the plan that records them. Nothing of a machine is touched by it.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Spec;
use crate::names::{ProjectName, VmName};
use crate::plan::draft::{Draft, number};
use crate::plan::operation::Operation;
use crate::plan::{Action, Cause, Effect, Plan, Step};
use crate::state::{ActualState, DesiredState};

/// Names for machines, in their order: what is legal of their own, without the project's in front, and a number where
/// another vm has that. `known` are machines that the project's file has a name for.
pub fn called<'a>(
    project: &ProjectName,
    machines: impl Iterator<Item = &'a str>,
    known: &BTreeMap<String, VmName>,
    mut taken: BTreeSet<VmName>,
) -> Vec<VmName> {
    let own = format!("{project}-");
    let mut name = |machine: &str| {
        if let Some(name) = known.get(machine) {
            return name.clone();
        }
        let legal = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
        let plain: String = machine.strip_prefix(&own).unwrap_or(machine).to_lowercase().chars().map(legal).collect();
        // Room is left for a number.
        let stem: String = plain.trim_matches('-').chars().take(56).collect();
        let stem = if stem.is_empty() { "vm" } else { stem.trim_matches('-') };
        let numbered = (2..).map(|n| format!("{stem}-{n}"));
        let mut names = std::iter::once(stem.to_owned()).chain(numbered).filter_map(|name| VmName::new(name).ok());
        let name = names.find(|name| !taken.contains(name)).expect("there are more numbers than vms");
        taken.insert(name.clone());
        name
    };
    machines.map(&mut name).collect()
}

/// Records what the file says of machines with these. Those that the project has are left as they are.
pub fn adoption(desired: &DesiredState, actual: &ActualState) -> Plan {
    let (mut drafts, mut unchanged) = (BTreeMap::new(), Vec::new());
    for (id, spec) in &desired.specs {
        let Spec::Vm(vm) = spec else { continue };
        if vm.existing().is_none() || actual.resources.contains_key(id) {
            unchanged.push(id.clone());
            continue;
        }
        let draft = Draft::new(id.clone(), Action::Adopt, Cause::Asked, vec![Operation::AdoptVm(vm.clone())]);
        drafts.insert(id.clone(), Draft { effect: Some(Effect::Live), ..draft });
    }
    number(desired, drafts, unchanged, Vec::new(), Vec::new())
}

impl Plan {
    /// The name of the machine that a vm is, as far as the plan knows it, where somebody else made that.
    pub fn machine(&self, vm: &VmName) -> Option<&str> {
        self.steps().flat_map(Step::all).find_map(|operation| match operation {
            Operation::AdoptVm(known) | Operation::ReleaseVm(known) if known.name == *vm => known.existing(),
            Operation::RecordVm { to, .. } | Operation::RedefineVm { to, .. } if to.name == *vm => to.existing(),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_get_legal_names_that_nobody_else_has() {
        let project = ProjectName::new("shop").expect("legal");
        let name = |name: &str| VmName::new(name).expect("legal");
        let known = BTreeMap::from([("old.one".to_owned(), name("oldest"))]);
        let machines = ["shop-db", "db", "Win 10_x", "old.one", "--", "äö"];
        let called = called(&project, machines.into_iter(), &known, BTreeSet::from([name("db-2")]));
        let called: Vec<&str> = called.iter().map(VmName::as_str).collect();
        assert_eq!(called, ["db", "db-3", "win-10-x", "oldest", "vm", "vm-2"]);
    }
}
