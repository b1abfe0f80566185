//! The engine alone: 1,500 vms on libvirt's test driver, against the same calls made one after the other without an engine.
//!
//! The driver answers from memory, so what is measured is vmcompose: schedule, workers, events, journal.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use vmcompose::backend::Hypervisor;
use vmcompose::backend::libvirt::Libvirt;
use vmcompose::compose::{self, Request};
use vmcompose::execute::{self, Options, Outcome};
use vmcompose::image;
use vmcompose::model::Surroundings;
use vmcompose::plan::{Goal, Plan, plan};
use vmcompose::state::{ActualState, DesiredState};

const VMS: usize = 1_500;

fn planned(folder: &Path) -> Plan {
    let text = format!(
        "name: many\nnetworks: {{ default: {{ subnet: 10.9.0.0/16 }} }}\nvms:\n  first: {{ replicas: {0}, boot: {{ kernel: \
         kernel }} }}\n  second: {{ replicas: {0}, boot: {{ kernel: kernel }}, depends_on: [lead] }}\n  lead: {{ boot: {{ \
         kernel: kernel }} }}\n",
        VMS / 2
    );
    std::fs::write(folder.join("vmcompose.yaml"), text).expect("written");
    std::fs::write(folder.join("kernel"), "a kernel").expect("written");
    std::fs::write(folder.join("host.xml"), "<node/>").expect("written");
    let request = Request { directory: folder.to_owned(), ..Request::default() };
    let sources = compose::gather(&request).expect("readable");
    let project = compose::parse(&sources, &request, &Surroundings::default()).expect("valid").project;
    let images = image::inspect(&image::files(&project.images).expect("files only")).expect("images");
    let desired = DesiredState::up(&project, &images).expect("no cycle");
    plan(&desired, &ActualState::default(), &vmcompose::plan::Options::new(Goal::Up)).expect("a plan")
}

/// A hypervisor that nobody has used: each connection to the file is a world of its own.
fn world(folder: &Path) -> Libvirt {
    Libvirt::connect(Some(&format!("test://{}/host.xml", folder.display()))).expect("the test driver")
}

fn engine_against_bare_calls(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = planned(folder.path());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut group = criterion.benchmark_group(format!("{VMS} vms on the test driver"));
    group.sample_size(10);
    group.bench_function("engine", |bencher| {
        bencher.iter_batched(
            || Arc::new(world(folder.path())),
            |hypervisor| {
                let options = Options { parallel: 64, ..Options::default() };
                let (events, stream) = execute::channel();
                let outcome = runtime.block_on(execute::execute(&plan, hypervisor, &options, events));
                assert_eq!(outcome, Outcome::Completed);
                black_box(stream)
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("bare calls", |bencher| {
        bencher.iter_batched(
            || world(folder.path()),
            |hypervisor| {
                for operation in plan.steps().flat_map(|step| &step.operations) {
                    hypervisor.apply(&plan.project, operation).expect("applied");
                }
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, engine_against_bare_calls);
criterion_main!(benches);
