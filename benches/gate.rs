//! How soon a gate opens once its vm is where it shall be: by what the hypervisor notices, and by polling alone.
//!
//! Twenty vms on libvirt's test driver whose end is waited for power themselves off one after the other, when their gates
//! have been pending for so long that polling has become as slow as it gets. What is measured is the time from the call that
//! powers one off to the event that says that its step is done. The aims are 100 ms by events and 1 s by polling.
//!
//! Seen on two cores at a load of 9, with `cargo bench --profile dev --bench gate`: by events 1.4 ms at least, 2.9 ms in the
//! median, 24.1 ms at most; by polling 58.3 ms, 442.8 ms and 712.0 ms.
#![expect(clippy::print_stdout, reason = "a bench reports")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use vmcompose::backend::libvirt::Libvirt;
use vmcompose::backend::{Attempt, Change, Health, Hypervisor, HypervisorError, Notices};
use vmcompose::compose::{self, Request};
use vmcompose::execute::{self, EventKind, Options, Outcome};
use vmcompose::image;
use vmcompose::model::Surroundings;
use vmcompose::names::ProjectName;
use vmcompose::plan::{Goal, Operation, Plan, plan};
use vmcompose::state::{ActualState, DesiredState};
use vmcompose::units::Span;

const VMS: usize = 20;
/// Polling backs off to its slowest within 16 s.
const PENDING: Duration = Duration::from_secs(17);
/// No multiple of a pause, so that the moments fall anywhere between two attempts.
const APART: Duration = Duration::from_millis(437);

/// A hypervisor, with its notices or without.
struct Listening {
    libvirt: Libvirt,
    hears: bool,
}

impl Hypervisor for Listening {
    fn observe(&self, project: &ProjectName) -> Result<ActualState, HypervisorError> {
        self.libvirt.observe(project)
    }

    fn apply(&self, project: &ProjectName, operation: &Operation) -> Result<Change, HypervisorError> {
        self.libvirt.apply(project, operation)
    }

    fn probe(&self, project: &ProjectName, attempt: &Attempt) -> Result<Health, HypervisorError> {
        self.libvirt.probe(project, attempt)
    }

    fn notices(&self, project: &ProjectName) -> Option<Notices> {
        self.hears.then(|| self.libvirt.notices(project)).flatten()
    }
}

fn planned(folder: &Path) -> Plan {
    let text = format!(
        "name: jobs\nnetworks: {{ default: {{ subnet: 10.9.0.0/16 }} }}\nvms:\n  job: {{ replicas: {VMS}, boot: {{ kernel: kernel }} }}\n  \
         last: {{ boot: {{ kernel: kernel }}, depends_on: {{ job: {{ condition: completed }} }} }}\n"
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

/// The times of all gates, shortest first.
async fn latencies(plan: &Plan, folder: &Path, hears: bool) -> Vec<Duration> {
    let uri = format!("test://{}/host.xml", folder.display());
    let libvirt = Libvirt::connect(Some(&uri)).expect("the test driver");
    let hypervisor = Arc::new(Listening { libvirt, hears });
    let (events, mut stream) = execute::channel();
    let (plan, engine) = (plan.clone(), Arc::clone(&hypervisor));
    let run = tokio::spawn(async move { execute::execute(&plan, engine, &Options::default(), events).await });
    let (mut names, mut pending, mut ended) = (BTreeMap::new(), 0, BTreeMap::new());
    let (mut project, mut power_off) = (None, None);
    while let Some(event) = stream.recv().await {
        match event.kind {
            EventKind::RunStarted { project: name, steps } => {
                let job = |vm: &str| vm.starts_with("job");
                let vms = steps.into_iter().filter_map(|step| Some((step.step, step.resource.as_vm()?.clone())));
                names.extend(vms.filter(|(_, vm)| job(vm.as_str())));
                project = Some(name);
            }
            EventKind::GateWaiting { step, attempt: 1, .. } if names.contains_key(&step) => {
                pending += 1;
                if pending == VMS {
                    let vms: Vec<_> = names.clone().into_iter().collect();
                    let (hypervisor, project) = (Arc::clone(&hypervisor), project.clone().expect("it has begun"));
                    power_off = Some(tokio::task::spawn_blocking(move || {
                        std::thread::sleep(PENDING);
                        let off = |(step, vm)| {
                            std::thread::sleep(APART);
                            let at = Instant::now();
                            let stop = Operation::StopVm { name: vm, grace: Span::secs(30) };
                            hypervisor.apply(&project, &stop).expect("powered off");
                            (step, at)
                        };
                        vms.into_iter().map(off).collect::<BTreeMap<_, _>>()
                    }));
                }
            }
            EventKind::StepFinished { step, .. } if names.contains_key(&step) => {
                ended.insert(step, Instant::now());
            }
            _ => {}
        }
    }
    assert_eq!(run.await.expect("no panic"), Outcome::Completed);
    let began = power_off.expect("all gates were pending").await.expect("no panic");
    let mut times: Vec<Duration> = began.iter().map(|(step, at)| ended[step].saturating_duration_since(*at)).collect();
    times.sort();
    times
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = planned(folder.path());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for (name, hears) in [("events", true), ("polling", false)] {
        let times = runtime.block_on(latencies(&plan, folder.path(), hears));
        let (least, half, most) = (times[0], times[times.len() / 2], times[times.len() - 1]);
        println!("gate opens after, by {name}: least {least:.1?}, median {half:.1?}, most {most:.1?}  ({VMS} vms)");
    }
}
