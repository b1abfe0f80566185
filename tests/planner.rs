//! The planner's rules, on states made by hand: what is done, in which order, and what stands in the way.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use proptest::prelude::*;
use vmcompose::graph::Graph;
use vmcompose::model::{
    Accel, Boot, Condition, Dependency, Digest, Disk, Healthcheck, Image, ImageFormat, ImageRef, Interface, Mac,
    Network, NetworkMode, Probe, Spec, Surroundings, Vm, Volume,
};
use vmcompose::names::{Pool, ResourceId};
use vmcompose::plan::{Action, Effect, Goal, Milestone, Options, Plan, PlanError, plan};
use vmcompose::state::{Actual, ActualState, DesiredState, Phase};
use vmcompose::units::{Bytes, Span};

const UP: Options = Options { goal: Goal::Up, remove_orphans: false };
const DOWN: Options = Options { goal: Goal::Down { volumes: false }, remove_orphans: false };

fn name<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().expect("a legal name")
}

/// A vm that boots from image `os`, is on network `net` and waits for these others.
fn vm(called: &str, waits_for: &[(&str, Condition)]) -> Spec {
    let on = |(other, condition): &(&str, Condition)| {
        (name(other), Dependency { condition: *condition, required: true, restart: false })
    };
    Spec::Vm(Box::new(Vm {
        name: name(called),
        replica_of: None,
        hostname: called.to_owned(),
        boot: Boot::Image(ImageRef {
            name: name("os"),
            digest: Digest::new("0123456789ab"),
            format: Some(ImageFormat::Qcow2),
        }),
        cpus: 1,
        memory: Bytes::mib(128),
        disk: None,
        disks: Vec::new(),
        interfaces: vec![Interface {
            network: name("net"),
            mac: Mac([0x52, 0x54, 0, 0, 0, 1]),
            ip: Ipv4Addr::new(10, 0, 0, 9),
        }],
        depends_on: waits_for.iter().map(on).collect(),
        healthcheck: Some(Healthcheck {
            probes: vec![Probe::Agent],
            interval: Healthcheck::INTERVAL,
            timeout: Healthcheck::TIMEOUT,
            retries: Healthcheck::RETRIES,
            start_period: Healthcheck::START_PERIOD,
        }),
        stop_grace_period: Span::secs(30),
        autostart: false,
        protect: false,
        accel: Accel::Tcg,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
    }))
}

fn edit(spec: Spec, change: impl FnOnce(&mut Vm)) -> Spec {
    let Spec::Vm(mut vm) = spec else { panic!("not a vm") };
    change(&mut vm);
    Spec::Vm(vm)
}

fn network() -> Spec {
    Spec::Network(Network {
        name: name("net"),
        mode: NetworkMode::Nat,
        subnet: "10.0.0.0/24".parse().expect("a subnet"),
        hosts: BTreeMap::new(),
        labels: BTreeMap::new(),
    })
}

fn image() -> Spec {
    Spec::Image(Image {
        name: name("os"),
        path: "/images/os.qcow2".into(),
        format: ImageFormat::Qcow2,
        length: Bytes::mib(1),
        digest: Digest::new("0123456789ab").expect("a digest"),
    })
}

fn volume() -> Spec {
    Spec::Volume(Volume { name: name("data"), size: Bytes::gib(1) })
}

/// These vms and all that they need.
fn desired(vms: &[Spec]) -> DesiredState {
    let others = [Spec::Pool(Pool::Images), Spec::Pool(Pool::Disks), image(), network()];
    let specs: BTreeMap<ResourceId, Spec> =
        others.into_iter().chain(vms.iter().cloned()).map(|spec| (spec.id(), spec)).collect();
    let graph = Graph::build(specs.values()).expect("no cycle");
    DesiredState { project: name("shop"), specs, graph, origins: BTreeMap::new() }
}

/// What is there after `desired` was applied.
fn applied(desired: &DesiredState) -> ActualState {
    let found = |(id, spec): (&ResourceId, &Spec)| {
        (id.clone(), Actual { recorded: spec.clone(), phase: Phase::Running, applied_at: None })
    };
    ActualState { resources: desired.specs.iter().map(found).collect(), ..ActualState::default() }
}

fn id(vm: &str) -> ResourceId {
    ResourceId::Vm(name(vm))
}

/// One line a step: wave, sign, resource, operations, what it waits for.
fn lines(plan: &Plan) -> Vec<String> {
    let names: Vec<&ResourceId> = plan.steps().map(|step| &step.resource).collect();
    let milestone = |milestone: &Milestone| match milestone {
        Milestone::Applied => "",
        Milestone::Passed => "!",
    };
    let mut lines = Vec::new();
    for (wave, steps) in plan.waves.iter().enumerate() {
        for step in &steps.steps {
            let after: Vec<String> =
                step.after.iter().map(|(on, how)| format!("{}{}", names[on.0].name(), milestone(how))).collect();
            let sign = step.action.sign();
            lines.push(format!("{} {sign} {} <- {}", wave + 1, step.resource.name(), after.join(" ")));
        }
    }
    lines
}

fn planned(desired: &DesiredState, actual: &ActualState) -> Vec<String> {
    lines(&plan(desired, actual, &UP).expect("a plan"))
}

fn refusal(desired: &DesiredState, actual: &ActualState, options: Options) -> String {
    match plan(desired, actual, &options) {
        Err(error @ PlanError::Blocked(_)) => error.to_string(),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn an_empty_hypervisor_gets_everything_in_waves() {
    let desired =
        desired(&[vm("db", &[]), vm("api", &[("db", Condition::Healthy)]), vm("log", &[("db", Condition::Started)])]);
    assert_eq!(
        planned(&desired, &ActualState::default()),
        [
            "1 + images <- ",
            "1 + disks <- ",
            "1 + net <- ",
            "2 + os <- images",
            "3 + db <- disks net os",
            "4 + api <- disks net os db!",
            "4 + log <- disks net os db",
        ]
    );
}

#[test]
fn what_is_as_it_should_be_is_left_alone() {
    let desired = desired(&[vm("db", &[]), vm("api", &[("db", Condition::Healthy)])]);
    let plan = plan(&desired, &applied(&desired), &UP).expect("a plan");
    assert!(plan.is_empty());
    assert_eq!(plan.unchanged.len(), desired.specs.len());
}

#[test]
fn a_stopped_vm_is_started_and_its_unchanged_dependency_verified_first() {
    let desired = desired(&[vm("db", &[]), vm("api", &[("db", Condition::Healthy)])]);
    let mut actual = applied(&desired);
    actual.resources.get_mut(&id("api")).expect("there").phase = Phase::Stopped;
    assert_eq!(planned(&desired, &actual), ["1 = db <- ", "2 > api <- db!"]);
}

#[test]
fn a_dependency_that_only_has_to_run_is_not_verified() {
    let desired = desired(&[vm("db", &[]), vm("api", &[("db", Condition::Started)])]);
    let mut actual = applied(&desired);
    actual.resources.get_mut(&id("api")).expect("there").phase = Phase::Crashed;
    assert_eq!(planned(&desired, &actual), ["1 > api <- "]);
}

#[test]
fn order_holds_through_what_is_unchanged() {
    let desired =
        desired(&[vm("db", &[]), vm("api", &[("db", Condition::Started)]), vm("web", &[("api", Condition::Started)])]);
    let mut actual = applied(&desired);
    for stopped in ["db", "web"] {
        actual.resources.get_mut(&id(stopped)).expect("there").phase = Phase::Stopped;
    }
    assert_eq!(planned(&desired, &actual), ["1 > db <- ", "2 > web <- db"]);
}

#[test]
fn an_image_uploaded_in_part_is_uploaded_again() {
    let desired = desired(&[vm("db", &[])]);
    let mut actual = applied(&desired);
    actual.resources.remove(&id("db"));
    actual.resources.get_mut(&ResourceId::Image(name("os"))).expect("there").phase = Phase::Incomplete;
    assert_eq!(planned(&desired, &actual), ["1 + os <- ", "2 + db <- os"]);
}

#[test]
fn a_disk_that_lies_about_is_made_anew_and_said_to_lose_its_data() {
    let desired = desired(&[vm("db", &[])]);
    let mut actual = applied(&desired);
    actual.resources.remove(&id("db"));
    actual.loose_disks.insert((name("db"), name("root")));
    let up = plan(&desired, &actual, &UP).expect("a plan");
    let step = up.steps().next().expect("one");
    let operations: Vec<String> = step.operations.iter().map(ToString::to_string).collect();
    assert_eq!(operations[..2], ["delete disk `root` of vm `db`", "create disk `root` of vm `db`"]);
    assert_eq!(step.effect, Some(Effect::DataLoss));
    let down = plan(&DesiredState::nothing(&desired.project), &actual, &DOWN).expect("a plan");
    assert!(lines(&down).contains(&"1 - db <- ".to_owned()), "{:?}", lines(&down));
}

#[test]
fn a_new_healthcheck_is_recorded_while_the_vm_runs() {
    let before = desired(&[vm("db", &[])]);
    let after = desired(&[edit(vm("db", &[]), |vm| vm.stop_grace_period = Span::secs(5))]);
    let plan = plan(&after, &applied(&before), &UP).expect("a plan");
    assert_eq!(lines(&plan), ["1 ~ db <- "]);
    let step = plan.steps().next().expect("one");
    let change = &step.changes[0];
    assert_eq!(
        (change.field.as_str(), change.old.as_deref(), change.new.as_deref()),
        ("stop_grace_period", Some("30s"), Some("5s"))
    );
}

#[test]
fn a_change_of_hardware_is_refused_with_old_and_new_value() {
    let before = desired(&[vm("db", &[])]);
    let after = desired(&[edit(vm("db", &[]), |vm| vm.memory = Bytes::mib(256))]);
    assert_eq!(refusal(&after, &applied(&before), UP), "vm `db` cannot be changed in place: memory 128MiB → 256MiB");
}

#[test]
fn all_obstacles_are_named_at_once() {
    let desired = desired(&[vm("db", &[]), vm("api", &[])]);
    let mut actual = ActualState::default();
    actual.foreign.insert(id("api"), "a domain `shop-api` that vmcompose did not make".to_owned());
    actual.foreign.insert(id("db"), "a domain `shop-db` that vmcompose did not make".to_owned());
    actual.surroundings = Surroundings {
        subnets: vec![("10.0.0.128/25".parse().expect("a subnet"), "libvirt network `default`".to_owned())],
        ..Surroundings::default()
    };
    let text = refusal(&desired, &actual, UP);
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        [
            "network `net` cannot have subnet 10.0.0.0/24: libvirt network `default` uses 10.0.0.128/25",
            "vm `api` cannot be made: there is a domain `shop-api` that vmcompose did not make",
            "vm `db` cannot be made: there is a domain `shop-db` that vmcompose did not make",
        ]
    );
}

#[test]
fn orphans_are_shown_and_kept_unless_asked() {
    let before = desired(&[vm("db", &[]), vm("old", &[("db", Condition::Healthy)])]);
    let after = desired(&[vm("db", &[])]);
    let shown = plan(&after, &applied(&before), &UP).expect("a plan");
    assert!(shown.is_empty());
    assert_eq!(shown.orphans, [id("old")]);
}

#[test]
fn orphans_are_deleted_last() {
    let before = desired(&[vm("old", &[])]);
    let after = desired(&[vm("new", &[])]);
    let options = Options { remove_orphans: true, ..UP };
    let plan = plan(&after, &applied(&before), &options).expect("a plan");
    assert_eq!(lines(&plan), ["1 + new <- ", "2 - old <- new!"]);
    assert!(plan.orphans.is_empty());
}

#[test]
fn down_takes_dependents_first_and_keeps_volumes() {
    let mut desired = desired(&[
        edit(vm("db", &[]), |vm| vm.disks.push(Disk::Volume { volume: name("data") })),
        vm("api", &[("db", Condition::Healthy)]),
    ]);
    desired.specs.insert(volume().id(), volume());
    let actual = applied(&desired);
    let nothing = DesiredState::nothing(&desired.project);
    let down = plan(&nothing, &actual, &DOWN).expect("a plan");
    assert_eq!(lines(&down), ["1 - api <- ", "2 - db <- api", "3 - os <- api db", "3 - net <- api db"]);
    assert_eq!(down.kept, [volume().id()]);

    let all = Options { goal: Goal::Down { volumes: true }, ..DOWN };
    let down = plan(&nothing, &actual, &all).expect("a plan");
    assert!(lines(&down).contains(&"3 - data <- db".to_owned()));
    assert!(down.kept.is_empty());
}

#[test]
fn a_protected_vm_is_not_taken_down() {
    let desired = desired(&[edit(vm("db", &[]), |vm| vm.protect = true)]);
    let nothing = DesiredState::nothing(&desired.project);
    assert_eq!(refusal(&nothing, &applied(&desired), DOWN), "vm `db` is protected and would be deleted");
}

#[test]
fn a_cycle_is_named_whole() {
    let specs = [
        vm("a", &[("b", Condition::Started)]),
        vm("b", &[("c", Condition::Started)]),
        vm("c", &[("a", Condition::Started)]),
        vm("d", &[("a", Condition::Started)]),
    ];
    let error = Graph::build(&specs).expect_err("a cycle");
    assert_eq!(
        error.to_string(),
        "dependency cycle: vm `a` waits for vm `b`, which waits for vm `c`, which waits for vm `a`"
    );
}

/// Projects whose vms wait only for earlier ones, so that there is never a cycle.
fn projects() -> impl Strategy<Value = DesiredState> {
    let edges = prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..4);
    prop::collection::vec(edges, 1..20).prop_map(|all| {
        let called = |n: usize| format!("vm-{n}");
        let vms: Vec<Spec> = all
            .iter()
            .enumerate()
            .map(|(n, edges)| {
                let others: Vec<(String, Condition)> = edges
                    .iter()
                    .filter(|_| n > 0)
                    .map(|(to, healthy)| {
                        let condition = if *healthy { Condition::Healthy } else { Condition::Started };
                        (called(to.index(n)), condition)
                    })
                    .collect();
                let others: Vec<(&str, Condition)> = others.iter().map(|(to, how)| (to.as_str(), *how)).collect();
                vm(&called(n), &others)
            })
            .collect();
        desired(&vms)
    })
}

proptest! {
    #[test]
    fn every_edge_crosses_waves_forwards(desired in projects()) {
        let plan = plan(&desired, &ActualState::default(), &UP).expect("a plan");
        for wave in &plan.waves {
            let first = wave.steps.first().expect("no empty wave").id;
            prop_assert!(wave.steps.iter().flat_map(|step| step.after.keys()).all(|before| *before < first));
        }
        for step in plan.steps() {
            for (required, _) in desired.graph.requirements(&step.resource) {
                prop_assert!(plan.steps().any(|other| &other.resource == required && other.id < step.id));
            }
        }
    }

    #[test]
    fn the_same_input_gives_the_same_bytes(desired in projects()) {
        let text = || serde_json::to_string(&plan(&desired, &ActualState::default(), &UP).expect("a plan")).expect("json");
        prop_assert_eq!(text(), text());
    }

    #[test]
    fn applied_then_planned_is_empty_and_down_leaves_only_pools(desired in projects()) {
        let actual = applied(&desired);
        prop_assert!(plan(&desired, &actual, &UP).expect("a plan").is_empty());
        let down = plan(&DesiredState::nothing(&desired.project), &actual, &DOWN).expect("a plan");
        let gone = down.steps().filter(|step| step.action == Action::Delete).count();
        prop_assert_eq!(gone + 2, actual.resources.len());
    }
}
