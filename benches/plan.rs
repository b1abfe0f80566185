//! From text to plan: parse, graph and plan of 10 to 10,000 vms. Linear growth shows as a constant time per vm.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use vmcompose::compose::{self, Request};
use vmcompose::image;
use vmcompose::model::{Spec, Surroundings};
use vmcompose::names::ResourceId;
use vmcompose::plan::{Goal, Options, plan};
use vmcompose::state::{Actual, ActualState, DesiredState, Phase, Seen, Shape};

/// A file in which every vm is written out: tiers of ten, each vm waiting for one of the tier before.
fn file(vms: usize) -> String {
    let mut text = String::from("name: large\nnetworks:\n  net: { subnet: 10.64.0.0/16 }\nvms:\n");
    for n in 0..vms {
        let _ = write!(
            text,
            "  vm-{n}:\n    boot: {{ kernel: kernel }}\n    cpus: 2\n    memory: 512MiB\n    networks: [net]\n    \
             healthcheck: {{ tcp: 22, interval: 1s }}\n"
        );
        if n >= 10 {
            let _ = writeln!(text, "    depends_on: [vm-{}]", n - 10);
        }
    }
    text
}

fn desired(folder: &Path) -> DesiredState {
    let request = Request { directory: folder.to_owned(), ..Request::default() };
    let sources = compose::gather(&request).expect("readable");
    let parsed = compose::parse(&sources, &request, &Surroundings::default()).expect("valid");
    let images = image::inspect(&image::files(&parsed.project.images).expect("files only")).expect("images");
    DesiredState::up(&parsed.project, &images).expect("no cycle")
}

fn parse_and_plan(folder: &Path) -> usize {
    let options = Options::new(Goal::Up);
    plan(&desired(folder), &ActualState::default(), &options).expect("a plan").steps().count()
}

fn text_to_plan(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("text to plan");
    group.sample_size(10);
    for vms in [10, 100, 1_000, 10_000] {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("vmcompose.yaml"), file(vms)).expect("written");
        std::fs::write(folder.path().join("kernel"), "a kernel").expect("written");
        group.throughput(Throughput::Elements(vms as u64));
        group.bench_with_input(BenchmarkId::from_parameter(vms), folder.path(), |bencher, folder| {
            bencher.iter(|| black_box(parse_and_plan(folder)));
        });
    }
    group.finish();
}

/// The plan alone, where everything is as it should be: what every command pays that finds nothing to do.
fn nothing_to_do(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plan where nothing changed");
    group.sample_size(10);
    for vms in [10, 100, 1_000, 10_000] {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("vmcompose.yaml"), file(vms)).expect("written");
        std::fs::write(folder.path().join("kernel"), "a kernel").expect("written");
        let desired = desired(folder.path());
        let found = |(id, spec): (&ResourceId, &Spec)| {
            let seen = spec.as_vm().map(|vm| {
                let shape = Shape::of(vm);
                Box::new(Seen {
                    persistent: true,
                    autostart: vm.autostart,
                    defined: shape.clone(),
                    running: Some(shape),
                    snapshots: Vec::new(),
                    other_snapshots: Vec::new(),
                })
            });
            (id.clone(), Actual { recorded: spec.clone(), phase: Phase::Running, applied_at: None, seen })
        };
        let actual = ActualState { resources: desired.specs.iter().map(found).collect(), ..ActualState::default() };
        let options = Options::new(Goal::Up);
        assert!(plan(&desired, &actual, &options).expect("a plan").is_empty());
        group.throughput(Throughput::Elements(vms as u64));
        group.bench_function(BenchmarkId::from_parameter(vms), |bencher| {
            bencher.iter(|| black_box(plan(&desired, &actual, &options).expect("a plan")));
        });
    }
    group.finish();
}

criterion_group!(benches, text_to_plan, nothing_to_do);
criterion_main!(benches);
