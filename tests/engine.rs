//! The engine on libvirt's own test driver: order, gates, rollback with a fault at every operation, interrupts.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use support::World;
use support::faulty::Faulty;
use tokio_util::sync::CancellationToken;
use vmcompose::backend::libvirt::Libvirt;
use vmcompose::backend::{ErrorKind, Health, Hypervisor, HypervisorError};
use vmcompose::compose::{self, Request};
use vmcompose::execute::{self, Event, EventKind, OnFailure, Outcome, Problem};
use vmcompose::image;
use vmcompose::model::{Project, Surroundings};
use vmcompose::names::ResourceId;
use vmcompose::plan::{Goal, Plan, plan};
use vmcompose::render::grammar;
use vmcompose::state::{ActualState, DesiredState, Phase};

const UP: vmcompose::plan::Options = vmcompose::plan::Options { goal: Goal::Up, remove_orphans: false };
const DOWN: vmcompose::plan::Options =
    vmcompose::plan::Options { goal: Goal::Down { volumes: true }, remove_orphans: false };

/// Every kind of resource, two levels of dependencies, one vm that nobody waits for.
const SHOP: &str = "\
name: shop
networks: { front: {}, back: { mode: isolated } }
volumes: { data: { size: 1MiB } }
images: { os: os.qcow2 }
vms:
  db:
    image: os
    networks: [back]
    disks: [{ volume: data }, { name: scratch, size: 1MiB }]
    healthcheck: &quick { tcp: 5432, interval: 10ms, retries: 3, start_period: 0s }
  api:
    replicas: 2
    image: os
    networks: [front, back]
    depends_on: [db]
    healthcheck: *quick
  slow:
    image: os
    networks: [front]
    healthcheck: *quick
  web:
    image: os
    networks: [front]
    depends_on: { api: { condition: healthy }, db: { condition: started } }
";

/// A project on a private hypervisor, with a backend that does what the test says.
struct Rig {
    project: Project,
    desired: DesiredState,
    hypervisor: Arc<Faulty<Libvirt>>,
    folder: tempfile::TempDir,
    _world: World,
}

fn rig(change: impl FnOnce(Faulty<Libvirt>) -> Faulty<Libvirt>) -> Rig {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("vmcompose.yaml"), SHOP).expect("written");
    std::fs::write(folder.path().join("os.qcow2"), qcow2()).expect("written");
    rig_of(folder, change)
}

/// The header of an empty qcow2 image of 1 MiB (QEMU's docs/interop/qcow2.rst): enough for the test driver.
fn qcow2() -> Vec<u8> {
    let mut bytes = vec![0; 104];
    bytes[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    bytes[20..24].copy_from_slice(&16u32.to_be_bytes());
    bytes[24..32].copy_from_slice(&(1u64 << 20).to_be_bytes());
    bytes[100..].copy_from_slice(&104u32.to_be_bytes());
    bytes
}

fn rig_of(folder: tempfile::TempDir, change: impl FnOnce(Faulty<Libvirt>) -> Faulty<Libvirt>) -> Rig {
    let world = World::new();
    let project = load(folder.path(), &Surroundings::default());
    let images = image::inspect(&image::files(&project.images).expect("files only")).expect("images");
    let desired = DesiredState::up(&project, &images).expect("no cycle");
    let libvirt = Libvirt::connect(Some(&world.uri)).expect("the test driver");
    let hypervisor = Arc::new(change(Faulty::new(libvirt)));
    Rig { project, desired, hypervisor, folder, _world: world }
}

fn load(folder: &Path, surroundings: &Surroundings) -> Project {
    let request = Request { directory: folder.to_owned(), ..Request::default() };
    let sources = compose::gather(&request).expect("readable");
    compose::parse(&sources, &request, surroundings).expect("valid").project
}

impl Rig {
    fn observe(&self) -> ActualState {
        self.hypervisor.observe(&self.project.name).expect("observed")
    }

    fn plan(&self) -> Plan {
        plan(&self.desired, &self.observe(), &UP).expect("a plan")
    }

    fn up(&self) -> (Outcome, Vec<Event>) {
        self.run(&self.plan(), OnFailure::Rollback, &CancellationToken::new())
    }

    fn down(&self) -> (Outcome, Vec<Event>) {
        let nothing = DesiredState::nothing(&self.project.name);
        let plan = plan(&nothing, &self.observe(), &DOWN).expect("a plan");
        self.run(&plan, OnFailure::Continue, &CancellationToken::new())
    }

    /// Carries a plan out and holds its events to their grammar.
    fn run(&self, plan: &Plan, on_failure: OnFailure, interrupt: &CancellationToken) -> (Outcome, Vec<Event>) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let options =
            execute::Options { parallel: 8, on_failure, interrupt: interrupt.clone(), abort: CancellationToken::new() };
        runtime.block_on(async {
            let (sender, mut stream) = execute::channel();
            let outcome = execute::execute(plan, Arc::clone(&self.hypervisor), &options, sender).await;
            let mut events = Vec::new();
            while let Some(event) = stream.recv().await {
                events.push(event);
            }
            grammar::check(&events).expect("the stream keeps to its grammar");
            assert!(matches!(&events.last().expect("events").kind, EventKind::RunFinished { outcome: last } if *last == outcome));
            (outcome, events)
        })
    }
}

fn operations(plan: &Plan) -> usize {
    plan.steps().map(|step| step.operations.len()).sum()
}

/// Place of a line in the log.
fn at(log: &[String], line: &str) -> usize {
    log.iter().position(|l| l == line).unwrap_or_else(|| panic!("`{line}` is not in {log:#?}"))
}

#[test]
fn up_reaches_the_desired_state_and_is_then_a_no_op() {
    let rig = rig(|faulty| faulty);
    assert_eq!(rig.up().0, Outcome::Completed);
    let actual = rig.observe();
    assert!(actual.resources.values().all(|actual| actual.phase == Phase::Running));
    assert_eq!(actual.resources.len(), rig.desired.specs.len());
    assert!(rig.plan().is_empty(), "{:#?}", rig.plan());
}

#[test]
fn down_after_up_leaves_only_pools_and_is_then_a_no_op() {
    let rig = rig(|faulty| faulty);
    rig.up();
    assert_eq!(rig.down().0, Outcome::Completed);
    let left: Vec<ResourceId> = rig.observe().resources.into_keys().collect();
    assert!(left.iter().all(|id| matches!(id, ResourceId::Pool(_))), "{left:?}");
    let nothing = DesiredState::nothing(&rig.project.name);
    assert!(plan(&nothing, &rig.observe(), &DOWN).expect("a plan").is_empty());
}

#[test]
fn a_dependent_starts_only_after_the_gates_it_waits_for_are_open() {
    let rig = rig(|faulty| faulty.answering(|_, attempt| Ok(if attempt < 3 { failing() } else { Health::Passing })));
    rig.up();
    let log = rig.hypervisor.log();
    for api in ["api-1", "api-2"] {
        assert!(at(&log, "passed db") < at(&log, &format!("start vm `{api}`")), "{log:#?}");
        assert!(at(&log, &format!("passed {api}")) < at(&log, "start vm `web`"), "{log:#?}");
    }
}

#[test]
fn a_vm_that_nobody_waits_for_holds_up_nobody() {
    // `slow` turns healthy only after `web`, which is two waves later, has started.
    let started = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let web = Arc::clone(&started);
    let rig = rig(move |faulty| {
        faulty
            .answering(move |attempt, _| {
                let open = attempt.vm.as_str() != "slow" || started.load(std::sync::atomic::Ordering::SeqCst);
                Ok(if open { Health::Passing } else { failing() })
            })
            .noticing(move |operation| {
                if operation == "start vm `web`" {
                    web.store(true, std::sync::atomic::Ordering::SeqCst);
                }
            })
    });
    let mut patient = rig.desired.clone();
    let slow = ResourceId::Vm("slow".parse().expect("legal"));
    if let Some(vmcompose::model::Spec::Vm(vm)) = patient.specs.get_mut(&slow) {
        vm.healthcheck.as_mut().expect("has one").retries = u32::MAX;
    }
    let plan = plan(&patient, &rig.observe(), &UP).expect("a plan");
    let outcome = rig.run(&plan, OnFailure::Rollback, &CancellationToken::new()).0;
    assert_eq!(outcome, Outcome::Completed);
}

#[test]
fn a_fault_at_any_operation_leaves_the_state_as_it_was() {
    let count = operations(&rig(|faulty| faulty).plan());
    assert!(count > 20, "the project has fewer operations than meant: {count}");
    for fault in 0..count {
        let rig = rig(|faulty| faulty.failing([fault]));
        let before = rig.observe();
        let (outcome, _) = rig.up();
        assert!(matches!(outcome, Outcome::RolledBack { .. }), "fault at {fault}: {outcome:?}");
        assert_eq!(rig.observe(), before, "fault at {fault}");
    }
}

#[test]
fn a_fault_leaves_what_was_there_before_the_run_alone() {
    let rig = rig(|faulty| faulty);
    rig.up();
    let before = rig.observe();
    // One more vm, whose start fails: the others stay.
    let text = format!("{SHOP}  extra: {{ image: os, networks: [front], depends_on: [db] }}\n");
    std::fs::write(rig.folder.path().join("vmcompose.yaml"), text).expect("written");
    let project = load(rig.folder.path(), &before.surroundings);
    let desired = DesiredState::up(
        &project,
        &image::inspect(&image::files(&project.images).expect("files only")).expect("images"),
    )
    .expect("no cycle");
    let plan = plan(&desired, &before, &UP).expect("a plan");
    let count = operations(&plan);
    for fault in 0..count {
        rig.hypervisor.fail(rig.hypervisor.calls() + fault);
        let (outcome, _) = rig.run(&plan, OnFailure::Rollback, &CancellationToken::new());
        assert!(matches!(outcome, Outcome::RolledBack { .. }), "fault at {fault}: {outcome:?}");
        assert_eq!(rig.observe(), before, "fault at {fault}");
    }
}

#[test]
fn rollback_goes_on_past_an_undo_that_fails_and_lists_what_is_left() {
    let count = operations(&rig(|faulty| faulty).plan());
    // The last operation fails, and then each undo in turn.
    for undo in 0..count - 1 {
        let rig = rig(|faulty| faulty.failing([count - 1, count + undo]));
        let before: BTreeSet<ResourceId> = rig.observe().resources.into_keys().collect();
        let (outcome, _) = rig.up();
        let Outcome::Stuck { left_behind, .. } = outcome else { panic!("undo {undo}: {outcome:?}") };
        let after: BTreeSet<ResourceId> = rig.observe().resources.into_keys().collect();
        let listed: BTreeSet<ResourceId> = left_behind.iter().map(|failure| failure.resource.clone()).collect();
        let left: BTreeSet<ResourceId> = after.difference(&before).cloned().collect();
        // A vm whose definition is gone but whose disk is not is listed, but no longer observed as a vm.
        assert!(left.is_subset(&listed), "undo {undo}: {left:?} is there, {listed:?} is listed");
        assert!(!listed.is_empty(), "undo {undo}");
    }
}

#[test]
fn an_unhealthy_vm_is_named_with_probe_attempts_and_last_answer() {
    let rig = rig(|faulty| {
        faulty.answering(|attempt, _| Ok(if attempt.vm.as_str() == "api-2" { failing() } else { Health::Passing }))
    });
    let before = rig.observe();
    let (outcome, _) = rig.up();
    let Outcome::RolledBack { causes } = outcome else { panic!("{outcome:?}") };
    assert_eq!(causes[0].resource, ResourceId::Vm("api-2".parse().expect("legal")));
    let Problem::Unhealthy { probe, attempts, answer, .. } = &causes[0].problem else { panic!("{causes:?}") };
    assert!(probe.starts_with("tcp 10.") && probe.ends_with(":5432"), "{probe}");
    assert_eq!((*attempts, answer.as_str()), (3, "connection refused"));
    assert_eq!(rig.observe(), before);
}

#[test]
fn a_vm_that_dies_in_its_gate_fails_at_once() {
    let rig = rig(|faulty| {
        faulty.answering(|attempt, number| match (attempt.vm.as_str(), number) {
            ("db", 2) => Err(HypervisorError::new(ErrorKind::NotRunning, "vm `db` is shut off")),
            ("db", _) => Ok(failing()),
            _ => Ok(Health::Passing),
        })
    });
    let (outcome, _) = rig.up();
    let Outcome::RolledBack { causes } = outcome else { panic!("{outcome:?}") };
    assert!(matches!(&causes[0].problem, Problem::Hopeless { error, .. } if error.kind == ErrorKind::NotRunning));
}

#[test]
fn an_interrupt_in_a_gate_undoes_everything() {
    let interrupt = CancellationToken::new();
    let signal = interrupt.clone();
    let rig = rig(|faulty| {
        faulty.answering(move |_, number| {
            if number == 2 {
                signal.cancel();
            }
            Ok(failing())
        })
    });
    let before = rig.observe();
    let mut plan = rig.plan();
    for step in plan.waves.iter_mut().flat_map(|wave| &mut wave.steps) {
        if let vmcompose::plan::Gate::Healthy { healthcheck, .. } = &mut step.gate {
            healthcheck.retries = u32::MAX;
        }
    }
    let (outcome, _) = rig.run(&plan, OnFailure::Rollback, &interrupt);
    let Outcome::RolledBack { causes } = outcome else { panic!("{outcome:?}") };
    assert!(causes.iter().all(|failure| failure.problem == Problem::Interrupted), "{causes:?}");
    assert_eq!(rig.observe(), before);
}

#[test]
fn down_goes_on_past_a_failure_and_lists_what_is_left() {
    let rig = rig(|faulty| faulty);
    rig.up();
    // The first call of `down` fails: it stops a vm that nothing else stands on.
    rig.hypervisor.fail(rig.hypervisor.calls());
    let (outcome, _) = rig.down();
    let Outcome::Stuck { causes, left_behind } = outcome else { panic!("{outcome:?}") };
    assert_eq!(causes.len(), 1);
    let left: BTreeSet<ResourceId> = rig.observe().resources.into_keys().collect();
    let listed = causes.iter().chain(&left_behind).map(|failure| &failure.resource);
    let listed: BTreeSet<ResourceId> = listed.cloned().collect();
    let pools = |id: &&ResourceId| matches!(id, ResourceId::Pool(_));
    assert_eq!(left.iter().filter(|id| !pools(id)).cloned().collect::<BTreeSet<_>>(), listed);
    assert_eq!(rig.down().0, Outcome::Completed);
}

#[test]
fn a_thousand_vms_come_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "name: many\nvms: { vm: { replicas: 1000, boot: { kernel: os.qcow2 } } }\nnetworks: { default: { subnet: 10.9.0.0/16 } }\n";
    std::fs::write(folder.path().join("vmcompose.yaml"), text).expect("written");
    std::fs::write(folder.path().join("os.qcow2"), "a kernel").expect("written");
    let rig = rig_of(folder, |faulty| faulty);
    assert_eq!(rig.up().0, Outcome::Completed);
    let phases: BTreeMap<ResourceId, Phase> =
        rig.observe().resources.into_iter().map(|(id, actual)| (id, actual.phase)).collect();
    assert_eq!(phases.len(), 1003);
}

fn failing() -> Health {
    Health::Failing("connection refused".to_owned())
}
