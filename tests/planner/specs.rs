//! Specs and states made by hand, and a plan as lines to compare.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use vmcompose::graph::Graph;
use vmcompose::model::{
    Accel, Boot, Condition, Dependency, Digest, Healthcheck, Image, ImageFormat, ImageRef, Interface, Mac, Network,
    NetworkMode, Probe, Spec, Vm, Volume,
};
use vmcompose::names::{Pool, ResourceId};
use vmcompose::plan::{Goal, Milestone, Options, Plan, PlanError, plan};
use vmcompose::state::{Actual, ActualState, DesiredState, Phase};
use vmcompose::units::{Bytes, Span};

pub(crate) const UP: Options = Options::new(Goal::Up);
pub(crate) const DOWN: Options = Options::new(Goal::Down { volumes: false });

pub(crate) fn name<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().expect("a legal name")
}

/// A vm that boots from image `os`, is on network `net` and waits for these others.
pub(crate) fn vm(called: &str, waits_for: &[(&str, Condition)]) -> Spec {
    let on = |(other, condition): &(&str, Condition)| {
        (name(other), Dependency { condition: *condition, required: true, restart: false })
    };
    Spec::Vm(Box::new(Vm {
        name: name(called),
        replica_of: None,
        hostname: called.to_owned(),
        boot: Boot::Image(ImageRef {
            digest: Digest::new("0123456789ab"),
            format: Some(ImageFormat::Qcow2),
            ..ImageRef::unseen(name("os"))
        }),
        cpus: 1,
        memory: Bytes::mib(128),
        disk: None,
        disks: Vec::new(),
        interfaces: vec![Interface {
            network: name("net"),
            mac: Mac([0x52, 0x54, 0, 0, 0, 1]),
            ip: Ipv4Addr::new(10, 0, 0, 9),
            ip6: None,
            default_route: false,
            mtu: None,
            wire: None,
        }],
        depends_on: waits_for.iter().map(on).collect(),
        healthcheck: Some(Healthcheck::of(vec![Probe::Agent], Healthcheck::START_PERIOD)),
        stop_grace_period: Span::secs(30),
        autostart: false,
        protect: false,
        accel: Accel::Tcg,
        hardware: vmcompose::model::Hardware::default(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        generation: vmcompose::names::Generation::FIRST,
        ports: Vec::new(),
        cloud_init: None,
        ssh: None,
        ignition: None,
        provision: Vec::new(),
        shares: Vec::new(),
    }))
}

pub(crate) fn edit(spec: Spec, change: impl FnOnce(&mut Vm)) -> Spec {
    let Spec::Vm(mut vm) = spec else { panic!("not a vm") };
    change(&mut vm);
    Spec::Vm(vm)
}

pub(crate) fn network() -> Spec {
    Spec::Network(Network {
        name: name("net"),
        mode: NetworkMode::Nat,
        subnet: "10.0.0.0/24".parse().expect("a subnet"),
        hosts: BTreeMap::new(),
        labels: BTreeMap::new(),
        settings: Box::default(),
    })
}

pub(crate) fn image() -> Spec {
    Spec::Image(Image {
        name: name("os"),
        path: "/images/os.qcow2".into(),
        format: ImageFormat::Qcow2,
        length: Bytes::mib(1),
        digest: Digest::new("0123456789ab").expect("a digest"),
    })
}

pub(crate) fn volume() -> Spec {
    Spec::Volume(Volume::new(name("data"), Bytes::gib(1)))
}

/// These vms and all that they need.
pub(crate) fn desired(vms: &[Spec]) -> DesiredState {
    let others = [Spec::Pool(Pool::Images), Spec::Pool(Pool::Disks), image(), network()];
    let specs: BTreeMap<ResourceId, Spec> =
        others.into_iter().chain(vms.iter().cloned()).map(|spec| (spec.id(), spec)).collect();
    let graph = Graph::build(specs.values()).expect("no cycle");
    DesiredState { project: name("shop"), specs, graph, origins: BTreeMap::new(), tasks: BTreeMap::new() }
}

/// What is there after `desired` was applied.
pub(crate) fn applied(desired: &DesiredState) -> ActualState {
    let found = |(id, spec): (&ResourceId, &Spec)| {
        (id.clone(), Actual { recorded: spec.clone(), phase: Phase::Running, applied_at: None, seen: None })
    };
    ActualState { resources: desired.specs.iter().map(found).collect(), ..ActualState::default() }
}

pub(crate) fn id(vm: &str) -> ResourceId {
    ResourceId::Vm(name(vm))
}

/// One line a step: wave, sign, resource, operations, what it waits for.
pub(crate) fn lines(plan: &Plan) -> Vec<String> {
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

pub(crate) fn planned(desired: &DesiredState, actual: &ActualState) -> Vec<String> {
    lines(&plan(desired, actual, &UP).expect("a plan"))
}

pub(crate) fn refusal(desired: &DesiredState, actual: &ActualState, options: &Options) -> String {
    match plan(desired, actual, options) {
        Err(error @ PlanError::Blocked(_)) => error.to_string(),
        other => panic!("not refused: {other:?}"),
    }
}
