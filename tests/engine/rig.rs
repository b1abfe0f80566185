//! A project on a private hypervisor, with a backend that does what the test says.

use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use vmcompose::backend::Health;
use vmcompose::backend::libvirt::Libvirt;
use vmcompose::compose::{self, Request};
use vmcompose::execute::{self, Event, EventKind, OnFailure, Outcome};
use vmcompose::image;
use vmcompose::model::{Project, Surroundings};
use vmcompose::plan::{Goal, Plan, plan};
use vmcompose::render::grammar;
use vmcompose::state::{ActualState, DesiredState};

use crate::support::faulty::Faulty;
use crate::support::{World, observe};

pub(crate) const UP: vmcompose::plan::Options = vmcompose::plan::Options::new(Goal::Up);
pub(crate) const DOWN: vmcompose::plan::Options = vmcompose::plan::Options::new(Goal::Down { volumes: true });

/// Every kind of resource, two levels of dependencies, one vm that nobody waits for.
pub(crate) const SHOP: &str = "\
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
pub(crate) struct Rig {
    pub(crate) project: Project,
    pub(crate) desired: DesiredState,
    pub(crate) hypervisor: Arc<Faulty<Libvirt>>,
    pub(crate) folder: tempfile::TempDir,
    _world: World,
}

pub(crate) fn rig(change: impl FnOnce(Faulty<Libvirt>) -> Faulty<Libvirt>) -> Rig {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("vmcompose.yaml"), SHOP).expect("written");
    std::fs::write(folder.path().join("os.qcow2"), qcow2()).expect("written");
    rig_of(folder, change)
}

/// The header of an empty qcow2 image of 1 MiB (QEMU's docs/interop/qcow2.rst): enough for the test driver.
pub(crate) fn qcow2() -> Vec<u8> {
    let mut bytes = vec![0; 104];
    bytes[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    bytes[20..24].copy_from_slice(&16u32.to_be_bytes());
    bytes[24..32].copy_from_slice(&(1u64 << 20).to_be_bytes());
    bytes[100..].copy_from_slice(&104u32.to_be_bytes());
    bytes
}

pub(crate) fn rig_of(folder: tempfile::TempDir, change: impl FnOnce(Faulty<Libvirt>) -> Faulty<Libvirt>) -> Rig {
    let world = World::new();
    let project = load(folder.path(), &Surroundings::default());
    let images = image::inspect(&image::files(&project.images).expect("files only")).expect("images");
    let desired = DesiredState::up(&project, &images).expect("no cycle");
    let libvirt = Libvirt::connect(Some(&world.uri)).expect("the test driver");
    let hypervisor = Arc::new(change(Faulty::new(libvirt)));
    Rig { project, desired, hypervisor, folder, _world: world }
}

pub(crate) fn load(folder: &Path, surroundings: &Surroundings) -> Project {
    let request = Request { directory: folder.to_owned(), ..Request::default() };
    let sources = compose::gather(&request).expect("readable");
    compose::parse(&sources, &request, surroundings).expect("valid").project
}

impl Rig {
    pub(crate) fn observe(&self) -> ActualState {
        observe(&*self.hypervisor, &self.project.name)
    }

    pub(crate) fn plan(&self) -> Plan {
        plan(&self.desired, &self.observe(), &UP).expect("a plan")
    }

    pub(crate) fn up(&self) -> (Outcome, Vec<Event>) {
        self.run(&self.plan(), OnFailure::Rollback, &CancellationToken::new())
    }

    pub(crate) fn down(&self) -> (Outcome, Vec<Event>) {
        let nothing = DesiredState::nothing(&self.project.name);
        let plan = plan(&nothing, &self.observe(), &DOWN).expect("a plan");
        self.run(&plan, OnFailure::Continue, &CancellationToken::new())
    }

    /// Carries a plan out and holds its events to their grammar.
    pub(crate) fn run(
        &self,
        plan: &Plan,
        on_failure: OnFailure,
        interrupt: &CancellationToken,
    ) -> (Outcome, Vec<Event>) {
        let options =
            execute::Options { parallel: 8, on_failure, interrupt: interrupt.clone(), ..execute::Options::default() };
        self.carry_out(plan, &options)
    }

    /// The same, with all that can be said about how.
    pub(crate) fn carry_out(&self, plan: &Plan, options: &execute::Options) -> (Outcome, Vec<Event>) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let ran = runtime.block_on(async {
            let (sender, mut stream) = execute::channel();
            let outcome = execute::execute(plan, Arc::clone(&self.hypervisor), options, sender).await;
            let mut events = Vec::new();
            while let Some(event) = stream.recv().await {
                events.push(event);
            }
            grammar::check(&events).expect("the stream keeps to its grammar");
            assert!(matches!(&events.last().expect("events").kind, EventKind::RunFinished { outcome: last } if *last == outcome));
            (outcome, events)
        });
        // A call that hangs is not waited for.
        runtime.shutdown_background();
        ran
    }
}

pub(crate) fn operations(plan: &Plan) -> usize {
    plan.steps().map(|step| step.operations.len()).sum()
}

/// An answer that may yet come right.
pub(crate) fn failing() -> Health {
    Health::Failing("connection refused".to_owned())
}
