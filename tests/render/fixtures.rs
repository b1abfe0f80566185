//! A shop with everything that a plan can show: made by hand, so that every detail is under the test's control.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use vmcompose::model::health::Http;
use vmcompose::model::{
    Accel, Boot, Condition, Dependency, Digest, Disk, Healthcheck, Image, ImageFormat, ImageRef, Interface, Mac,
    Network, NetworkMode, Origin, Probe, Spec, Vm, Volume,
};
use vmcompose::names::{Generation, ImageName, NetworkName, Pool, ProjectName, ResourceId, VmName, VolumeName};
use vmcompose::plan::operation::VmDisk;
use vmcompose::plan::{Action, Cause, Effect, FieldChange, Gate, Milestone, Operation, Plan, Step, StepId, Wave};
use vmcompose::units::{Bytes, Span};

pub(crate) fn project() -> ProjectName {
    ProjectName::new("shop").unwrap()
}

pub(crate) fn vm_id(name: &str) -> ResourceId {
    ResourceId::Vm(VmName::new(name).unwrap())
}

pub(crate) fn network_id(name: &str) -> ResourceId {
    ResourceId::Network(NetworkName::new(name).unwrap())
}

pub(crate) fn volume_id(name: &str) -> ResourceId {
    ResourceId::Volume(VolumeName::new(name).unwrap())
}

pub(crate) fn image() -> Image {
    Image {
        name: ImageName::new("debian").unwrap(),
        path: "/home/ada/images/debian.qcow2".into(),
        format: ImageFormat::Qcow2,
        length: Bytes(347_291_648),
        digest: Digest::new("9f86d081884c").unwrap(),
    }
}

pub(crate) fn network(name: &str, mode: NetworkMode, subnet: &str) -> Network {
    let name = NetworkName::new(name).unwrap();
    Network {
        name,
        mode,
        subnet: subnet.parse().unwrap(),
        hosts: BTreeMap::new(),
        labels: BTreeMap::new(),
        settings: Box::default(),
    }
}

pub(crate) fn volume() -> Volume {
    Volume::new(VolumeName::new("pgdata").unwrap(), Bytes::gib(20))
}

fn interface(network: &str, ip: [u8; 4]) -> Interface {
    let mac = Mac([0x52, 0x54, 0, ip[1], ip[2], ip[3]]);
    Interface {
        network: NetworkName::new(network).unwrap(),
        mac,
        ip: Ipv4Addr::from(ip),
        ip6: None,
        default_route: false,
        mtu: None,
        wire: None,
    }
}

fn healthcheck(probes: Vec<Probe>) -> Healthcheck {
    Healthcheck::of(probes, Span::secs(90))
}

fn vm(name: &str) -> Vm {
    let reference =
        ImageRef { digest: Some(image().digest), format: Some(ImageFormat::Qcow2), ..ImageRef::unseen(image().name) };
    Vm {
        name: VmName::new(name).unwrap(),
        replica_of: None,
        hostname: name.to_owned(),
        boot: Boot::Image(reference),
        cpus: 1,
        memory: Bytes::gib(1),
        disk: None,
        disks: Vec::new(),
        interfaces: Vec::new(),
        depends_on: BTreeMap::new(),
        healthcheck: None,
        stop_grace_period: Span::secs(30),
        autostart: false,
        protect: false,
        accel: Accel::Auto,
        hardware: vmcompose::model::Hardware::default(),
        labels: BTreeMap::new(),
        cloud_init: None,
        ssh: None,
        ignition: None,
        provision: Vec::new(),
        shares: Vec::new(),
        annotations: BTreeMap::new(),
        generation: vmcompose::names::Generation::FIRST,
        ports: Vec::new(),
    }
}

fn depends(on: &[(&str, Condition)]) -> BTreeMap<VmName, Dependency> {
    let dependency = |condition| Dependency { condition, required: true, restart: false };
    on.iter().map(|(name, condition)| (VmName::new(*name).unwrap(), dependency(*condition))).collect()
}

pub(crate) fn db() -> Vm {
    Vm {
        cpus: 2,
        memory: Bytes::gib(2),
        disk: Some(Bytes::gib(20)),
        disks: vec![
            Disk::Volume { volume: volume().name },
            Disk::Own { name: VolumeName::new("scratch").unwrap(), size: Bytes::gib(5) },
        ],
        interfaces: vec![interface("back", [10, 20, 1, 10])],
        healthcheck: Some(healthcheck(vec![
            Probe::Exec(vec!["pg_isready".to_owned(), "-q".to_owned()]),
            Probe::Tcp { host: None, port: 5432 },
        ])),
        ..vm("db")
    }
}

pub(crate) fn api(number: u8) -> Vm {
    Vm {
        replica_of: Some(VmName::new("api").unwrap()),
        interfaces: vec![interface("front", [10, 20, 0, 10 + number]), interface("back", [10, 20, 1, 10 + number])],
        depends_on: depends(&[("db", Condition::Healthy)]),
        healthcheck: Some(healthcheck(vec![Probe::Http(Box::new(Http::get(None, 8080, "/healthz".to_owned())))])),
        ..vm(&format!("api-{number}"))
    }
}

pub(crate) fn web() -> Vm {
    let kernel = ImageRef::unseen(ImageName::new("vmlinuz").unwrap());
    let initrd = ImageRef::unseen(ImageName::new("initrd").unwrap());
    Vm {
        boot: Boot::Kernel { kernel, initrd: Some(initrd), cmdline: "console=ttyS0 quiet".to_owned() },
        interfaces: vec![interface("front", [10, 20, 0, 20])],
        depends_on: depends(&[
            ("api-1", Condition::Healthy),
            ("api-2", Condition::Healthy),
            ("db", Condition::Started),
        ]),
        ..vm("web")
    }
}

/// All specs of the shop.
pub(crate) fn specs() -> Vec<Spec> {
    let kernel = |name: &str| Image { name: ImageName::new(name).unwrap(), format: ImageFormat::Raw, ..image() };
    let vms = [db(), api(1), api(2), web()].map(|vm| Spec::Vm(Box::new(vm)));
    let mut specs = vec![
        Spec::Pool(Pool::Images),
        Spec::Pool(Pool::Disks),
        Spec::Image(image()),
        Spec::Image(kernel("vmlinuz")),
        Spec::Image(kernel("initrd")),
        Spec::Network(network("back", NetworkMode::Isolated, "10.20.1.0/24")),
        Spec::Network(network("front", NetworkMode::Nat, "10.20.0.0/24")),
        Spec::Volume(volume()),
    ];
    specs.extend(vms);
    specs
}

/// A step that waits for nothing and has no gate.
pub(crate) fn step(id: usize, resource: ResourceId, action: Action, cause: Cause, operations: Vec<Operation>) -> Step {
    Step {
        id: StepId(id),
        resource,
        action,
        cause,
        origin: None,
        changes: Vec::new(),
        effect: None,
        operations,
        after: BTreeMap::new(),
        gate: Gate::None,
        finish: Vec::new(),
    }
}

fn at(line: usize) -> Origin {
    Origin { file: "vmcompose.yaml".to_owned(), line }
}

fn after(on: &[(usize, Milestone)]) -> BTreeMap<StepId, Milestone> {
    on.iter().map(|(id, milestone)| (StepId(*id), *milestone)).collect()
}

fn gate(vm: &Vm) -> Gate {
    let healthy = |healthcheck: &Healthcheck| Gate::Healthy {
        vm: vm.name.clone(),
        address: vm.interfaces.first().map(|interface| interface.ip),
        healthcheck: healthcheck.clone(),
    };
    vm.healthcheck.as_ref().map_or(Gate::None, healthy)
}

fn creation(id: usize, vm: &Vm, line: usize, on: &[(usize, Milestone)]) -> Step {
    let disks = VmDisk::of(vm).into_iter().map(Operation::CreateDisk);
    let rest = [Operation::DefineVm(Box::new(vm.clone())), Operation::StartVm(vm.name.clone())];
    let operations = disks.chain(rest).collect();
    let made = step(id, ResourceId::Vm(vm.name.clone()), Action::Create, Cause::Missing, operations);
    Step { origin: Some(at(line)), after: after(on), gate: gate(vm), ..made }
}

fn plan(waves: Vec<Vec<Step>>) -> Plan {
    let waves = waves.into_iter().map(|steps| Wave { steps }).collect();
    Plan {
        project: project(),
        waves,
        unchanged: Vec::new(),
        orphans: Vec::new(),
        adopted: Vec::new(),
        kept: Vec::new(),
    }
}

/// From nothing to the whole shop.
pub(crate) fn creation_plan() -> Plan {
    use Milestone::{Applied, Passed};
    let (front, back) =
        (network("front", NetworkMode::Nat, "10.20.0.0/24"), network("back", NetworkMode::Isolated, "10.20.1.0/24"));
    let pool =
        |id, pool| step(id, ResourceId::Pool(pool), Action::Create, Cause::Missing, vec![Operation::CreatePool(pool)]);
    let made = |id, network: Network, line| {
        let operations = vec![Operation::DefineNetwork(network.clone()), Operation::StartNetwork(network.name.clone())];
        let made = step(id, ResourceId::Network(network.name), Action::Create, Cause::Missing, operations);
        Step { origin: Some(at(line)), ..made }
    };
    let upload = step(
        4,
        ResourceId::Image(image().name),
        Action::Create,
        Cause::Incomplete,
        vec![Operation::UploadImage(image())],
    );
    let pgdata = step(5, volume_id("pgdata"), Action::Create, Cause::Missing, vec![Operation::CreateVolume(volume())]);
    plan(vec![
        vec![pool(0, Pool::Images), pool(1, Pool::Disks), made(2, back, 9), made(3, front, 8)],
        vec![
            Step { origin: Some(at(5)), after: after(&[(0, Applied)]), ..upload },
            Step { origin: Some(at(11)), after: after(&[(1, Applied)]), ..pgdata },
        ],
        vec![creation(6, &db(), 14, &[(1, Applied), (2, Applied), (4, Applied), (5, Applied)])],
        vec![
            creation(7, &api(1), 23, &[(2, Applied), (3, Applied), (4, Applied), (6, Passed)]),
            creation(8, &api(2), 23, &[(2, Applied), (3, Applied), (4, Applied), (6, Passed)]),
        ],
        vec![creation(9, &web(), 31, &[(3, Applied), (6, Applied), (7, Passed), (8, Passed)])],
    ])
}

/// A shop that is partly there: one to verify, one to start, one to change, an orphan deleted and another left alone.
pub(crate) fn change_plan() -> Plan {
    let change = |field: &str, old: Option<&str>, new: Option<&str>| FieldChange {
        field: field.to_owned(),
        old: old.map(str::to_owned),
        new: new.map(str::to_owned),
        drift: false,
    };
    let verify = step(0, vm_id("db"), Action::Verify, Cause::Awaited { by: vm_id("api-1") }, Vec::new());
    let phase = "crashed".to_owned();
    let start =
        step(1, vm_id("api-1"), Action::Start, Cause::NotRunning { phase }, vec![Operation::StartVm(api(1).name)]);
    let update = step(2, vm_id("api-2"), Action::Update, Cause::Changed, vec![Operation::StartVm(api(2).name)]);
    let disks = VmDisk::of(&db())
        .into_iter()
        .map(|disk| Operation::DeleteDisk(VmDisk { vm: VmName::new("old").unwrap(), ..disk }));
    let delete = step(3, vm_id("old"), Action::Delete, Cause::Orphan, disks.collect());
    let steps = vec![
        vec![Step { origin: Some(at(14)), gate: gate(&db()), ..verify }],
        vec![
            Step { origin: Some(at(23)), after: after(&[(0, Milestone::Passed)]), gate: gate(&api(1)), ..start },
            Step {
                origin: Some(at(23)),
                changes: vec![
                    change("healthcheck.probes.0.http.port", Some("80"), Some("8080")),
                    change("labels.tier", None, Some("middle\u{1b}[2J")),
                    change("annotations.note", Some("gone"), None),
                ],
                effect: Some(Effect::Live),
                ..update
            },
        ],
        vec![Step {
            after: after(&[(1, Milestone::Passed), (2, Milestone::Passed)]),
            effect: Some(Effect::DataLoss),
            ..delete
        }],
    ];
    let orphans = vec![network_id("legacy"), vm_id("older")];
    Plan { unchanged: vec![network_id("back"), network_id("front"), vm_id("db")], orphans, ..plan(steps) }
}

/// A vm that is made anew, and one that is restarted along with it.
pub(crate) fn replacement_plan() -> Plan {
    let old = db();
    let new = Vm { generation: Generation(1), hostname: "other".to_owned(), ..db() };
    let stop = |vm: &Vm| Operation::StopVm { name: vm.name.clone(), grace: vm.stop_grace_period };
    let disks = VmDisk::of(&new).into_iter().map(Operation::CreateDisk);
    let redefine = Operation::RedefineVm { from: Box::new(old.clone()), to: Box::new(new.clone()) };
    let operations = disks.chain([stop(&old), redefine, Operation::StartVm(new.name.clone())]).collect();
    let anew = step(0, vm_id("db"), Action::Replace, Cause::Changed, operations);
    let hostname = FieldChange {
        field: "hostname".to_owned(),
        old: Some("db".to_owned()),
        new: Some("other".to_owned()),
        drift: false,
    };
    let again = vec![stop(&web()), Operation::StartVm(web().name)];
    let along = step(1, vm_id("web"), Action::Restart, Cause::Along { with: vm_id("db") }, again);
    let gone = VmDisk::of(&old).into_iter().map(Operation::DeleteDisk).collect();
    let former = step(2, ResourceId::FormerVm(old.name.clone()), Action::Delete, Cause::Superseded, gone);
    let passed = |ids: &[usize]| after(&ids.iter().map(|id| (*id, Milestone::Passed)).collect::<Vec<_>>());
    plan(vec![
        vec![Step {
            origin: Some(at(14)),
            changes: vec![hostname],
            effect: Some(Effect::Replace),
            gate: gate(&new),
            ..anew
        }],
        vec![Step { origin: Some(at(31)), effect: Some(Effect::Reboot), after: passed(&[0]), ..along }],
        vec![Step { effect: Some(Effect::DataLoss), after: passed(&[0, 1]), ..former }],
    ])
}

/// The way down of one vm on one network.
pub(crate) fn removal_plan(volumes: bool) -> Plan {
    let back = network("back", NetworkMode::Isolated, "10.20.1.0/24");
    let stop = Operation::StopVm { name: db().name, grace: Span::secs(30) };
    let disks = VmDisk::of(&db()).into_iter().map(Operation::DeleteDisk);
    let operations = [stop, Operation::UndefineVm(Box::new(db()))].into_iter().chain(disks).collect();
    let down = step(0, vm_id("db"), Action::Delete, Cause::Down, operations);
    let stop = Operation::StopNetwork(back.name.clone());
    let network =
        step(1, network_id("back"), Action::Delete, Cause::Down, vec![stop, Operation::UndefineNetwork(back)]);
    let mut last = vec![Step { after: after(&[(0, Milestone::Applied)]), ..network }];
    if volumes {
        let gone = step(2, volume_id("pgdata"), Action::Delete, Cause::Down, vec![Operation::DeleteVolume(volume())]);
        last.push(Step { after: after(&[(0, Milestone::Applied)]), effect: Some(Effect::DataLoss), ..gone });
    }
    let kept = if volumes { Vec::new() } else { vec![volume_id("pgdata")] };
    Plan { kept, ..plan(vec![vec![Step { effect: Some(Effect::DataLoss), ..down }], last]) }
}

/// Nothing to do.
pub(crate) fn empty_plan(unchanged: Vec<ResourceId>) -> Plan {
    Plan { unchanged, ..plan(Vec::new()) }
}
