//! A fault of every class at every operation of an update, and in every undo of one: what was there is put back, or what is
//! not is listed.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vmcompose::backend::{ErrorKind, HypervisorError};
use vmcompose::error::{Exit, exit_of};
use vmcompose::execute::{Options, Outcome, Patience};
use vmcompose::image;
use vmcompose::names::ResourceId;
use vmcompose::plan::{Operation, Plan, plan};
use vmcompose::state::{ActualState, DesiredState};

use crate::rig::{Rig, UP, load, operations, qcow2, rig_of};

const BEFORE: &str = "\
name: shop
networks: { front: {} }
volumes: { data: { size: 1MiB } }
images: { os: os.qcow2 }
vms:
  db:
    image: os
    networks: [front]
    disks: [{ volume: data }]
    max_cpus: 4
    max_memory: 512MiB
    memory: 128MiB
    healthcheck: { tcp: 5432, interval: 10ms, retries: 3, start_period: 0s }
  web: { image: os, networks: [front], depends_on: [db] }
";

const AFTER: &str = "\
name: shop
networks: { front: {}, back: {} }
volumes: { data: { size: 1MiB }, more: { size: 1MiB } }
images: { os: os.qcow2 }
vms:
  db:
    image: os
    networks: [front]
    disks: [{ volume: data }]
    max_cpus: 4
    max_memory: 512MiB
    memory: 256MiB
    cpus: 2
    limits: { memory: { hard: 1GiB } }
    autostart: true
    healthcheck: { tcp: 5432, interval: 10ms, retries: 3, start_period: 0s }
  web: { image: os, networks: [front], depends_on: [db], labels: { tier: gold } }
  extra: { image: os, networks: [back], depends_on: [web], disks: [{ volume: more }, { name: own, size: 1MiB }] }
";

const KINDS: [ErrorKind; 9] = [
    ErrorKind::Unreachable,
    ErrorKind::Busy,
    ErrorKind::NotFound,
    ErrorKind::Conflict,
    ErrorKind::Unsupported,
    ErrorKind::NotRunning,
    ErrorKind::NotYet,
    ErrorKind::Interrupted,
    ErrorKind::Rejected,
];

/// Attempts that a call gets.
fn attempts(kind: ErrorKind) -> usize {
    match kind {
        ErrorKind::Unreachable => 4,
        ErrorKind::Busy => 3,
        _ => 1,
    }
}

/// One call after the other, so that each is known by its number.
fn options() -> Options {
    let patience = Patience {
        call: Duration::from_mins(1),
        pause: Duration::from_millis(1),
        reconnects: 3,
        reconnecting: Duration::from_mins(1),
        retries: 2,
    };
    Options { parallel: 1, patience, ..Options::default() }
}

/// Which calls fail, how, and whether they have their effect all the same.
type Fault = (Range<usize>, ErrorKind, bool);

/// A project that is up, the plan for the changed file, and the faults to come.
struct Stage {
    rig: Rig,
    faults: Arc<Mutex<Vec<Fault>>>,
    before: ActualState,
    plan: Plan,
}

impl Stage {
    fn new() -> Self {
        let faults: Arc<Mutex<Vec<Fault>>> = Arc::default();
        let chosen = Arc::clone(&faults);
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("vmcompose.yaml"), BEFORE).expect("written");
        std::fs::write(folder.path().join("os.qcow2"), qcow2()).expect("written");
        let rig = rig_of(folder, |faulty| {
            faulty.losing(move |call| {
                let chosen = chosen.lock().expect("no panic under the lock");
                let fault = chosen.iter().find(|(calls, ..)| calls.contains(&call));
                fault.map(|(_, kind, effect)| (HypervisorError::new(*kind, format!("injected at {call}")), *effect))
            })
        });
        assert_eq!(rig.up().0, Outcome::Completed);
        let before = rig.observe();
        std::fs::write(rig.folder.path().join("vmcompose.yaml"), AFTER).expect("written");
        let project = load(rig.folder.path(), &before.surroundings);
        let images = image::inspect(&image::files(&project.images).expect("files only")).expect("images");
        let desired = DesiredState::up(&project, &images).expect("no cycle");
        let plan = plan(&desired, &before, &UP).expect("a plan");
        Self { rig, faults, before, plan }
    }

    /// Carries the plan out; `faults` are counted from its first call.
    fn run(&self, faults: impl IntoIterator<Item = Fault>) -> Outcome {
        let first = self.rig.hypervisor.calls();
        let faults =
            faults.into_iter().map(|(calls, kind, effect)| (calls.start + first..calls.end + first, kind, effect));
        *self.faults.lock().expect("no panic under the lock") = faults.collect();
        self.rig.carry_out(&self.plan, &options()).0
    }

    /// The resources that are not as they were.
    fn changed(&self) -> BTreeSet<ResourceId> {
        let now = self.rig.observe();
        let ids: BTreeSet<&ResourceId> = now.resources.keys().chain(self.before.resources.keys()).collect();
        let changed = ids.into_iter().filter(|id| now.resources.get(id) != self.before.resources.get(id));
        changed.cloned().collect()
    }
}

#[test]
fn the_update_has_every_kind_of_change_that_the_test_driver_can_make() {
    let stage = Stage::new();
    let words: Vec<String> = stage.plan.steps().flat_map(|step| &step.operations).map(ToString::to_string).collect();
    for wanted in
        ["set the memory", "set the cpus", "set the limits", "redefine vm", "update the record", "create disk"]
    {
        assert!(words.iter().any(|word| word.contains(wanted)), "`{wanted}` is not in {words:#?}");
    }
    assert_eq!(stage.run([]), Outcome::Completed);
}

#[test]
fn an_error_of_every_class_at_every_operation_puts_everything_back() {
    let stage = Stage::new();
    let all: Vec<Operation> = stage.plan.steps().flat_map(|step| step.operations.clone()).collect();
    assert_eq!(operations(&stage.plan), all.len());
    for kind in KINDS {
        for effect in [false, true] {
            // Only of a call without an answer nobody knows what it did.
            if effect && kind != ErrorKind::Unreachable {
                continue;
            }
            for fault in 0..all.len() {
                let outcome = stage.run([(fault..fault + attempts(kind), kind, effect)]);
                let Outcome::RolledBack { causes } = &outcome else { panic!("{kind:?} at {fault}: {outcome:?}") };
                assert_eq!(stage.rig.observe(), stage.before, "{kind:?} at {fault}");
                let promised = match (kind, &causes[0].resource) {
                    (ErrorKind::Unreachable, _) => Exit::Unreachable,
                    (_, ResourceId::Vm(_)) => Exit::Vm,
                    _ => Exit::Resource,
                };
                assert_eq!(exit_of(&outcome), promised, "{kind:?} at {fault}");
            }
        }
    }
}

#[test]
fn an_error_of_every_class_in_every_undo_is_told_and_the_rest_goes_back() {
    let last = operations(&Stage::new().plan) - 1;
    for (undo, kind) in (0..last).flat_map(|undo| KINDS.map(|kind| (undo, kind))) {
        // Each kind is tried at every third undo: enough for each undo to meet several.
        if !(undo + attempts(kind)).is_multiple_of(3) && kind != ErrorKind::Rejected {
            continue;
        }
        let stage = Stage::new();
        let first = last + 1 + undo;
        let outcome =
            stage.run([(last..last + 1, ErrorKind::Rejected, false), (first..first + attempts(kind), kind, false)]);
        let Outcome::Stuck { left_behind, .. } = &outcome else { panic!("{kind:?} in undo {undo}: {outcome:?}") };
        let listed: BTreeSet<ResourceId> = left_behind.iter().map(|failure| failure.resource.clone()).collect();
        let changed = stage.changed();
        assert!(changed.is_subset(&listed), "{kind:?} in undo {undo}: {changed:?} changed, {listed:?} is listed");
        assert!(!changed.is_empty(), "{kind:?} in undo {undo}: a fault must leave something");
        assert_eq!(exit_of(&outcome), Exit::LeftBehind);
    }
}
