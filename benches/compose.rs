//! How long a compose file takes from text to project, by its number of vms: it has to grow with it and no faster.
#![expect(clippy::print_stdout, reason = "a bench reports")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on ends")]

use std::fmt::Write;
use std::fs;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use vmcompose::compose::{Request, gather, parse};
use vmcompose::model::Surroundings;

/// A file whose vms are written out one by one, each with the keys that most have.
fn file(vms: usize) -> String {
    let mut text = String::from(
        "networks: {back: {subnet: 10.0.0.0/16}}\nvolumes: {data: {size: 1GiB}}\nimages: {debian: ./d.qcow2}\nvms:\n",
    );
    for n in 0..vms {
        write!(
            text,
            "  vm{n}:\n    image: debian\n    cpus: 2\n    memory: 512MiB\n    networks: [back]\n    labels: {{tier: \"t{}\"}}\n    healthcheck: {{tcp: 80, interval: 1s}}\n",
            n % 7
        )
        .unwrap();
        if n > 0 {
            writeln!(text, "    depends_on: [vm{}]", n / 2).unwrap();
        }
    }
    text
}

fn text_to_project(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compose");
    group.sample_size(10);
    for vms in [10, 100, 1_000, 10_000] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("vmcompose.yaml"), file(vms)).unwrap();
        let request =
            Request { directory: folder.path().to_owned(), project: Some("bench".to_owned()), ..Request::default() };
        group.throughput(Throughput::Elements(vms as u64));
        group.bench_with_input(BenchmarkId::from_parameter(vms), &request, |bencher, request| {
            bencher.iter(|| {
                let sources = gather(request).unwrap();
                black_box(parse(&sources, request, &Surroundings::default()).unwrap())
            });
        });
    }
    group.finish();
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("VmHWM: unknown");
        println!("peak memory of the whole bench: {peak}");
    }
}

criterion_group!(benches, text_to_project);
criterion_main!(benches);
