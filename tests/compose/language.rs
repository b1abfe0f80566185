//! What the keys of the file mean.

use vmcompose::model::{Boot, Condition, Disk, ImageRole, NetworkMode, Probe};
use vmcompose::names::{ImageName, NetworkName, ResourceId, VmName, VolumeName};
use vmcompose::units::Bytes;

use crate::compose::fixture::{Fixture, file, vm};

#[test]
fn a_whole_file_becomes_a_project() {
    let fixture = Fixture::new(include_str!("full.yaml"));
    let project = fixture.project();
    assert_eq!(project.name.as_str(), "shop");
    let names: Vec<&str> = project.vms.keys().map(VmName::as_str).collect();
    assert_eq!(names, ["api-1", "api-2", "api-3", "db", "web"]);

    let db = vm(&project, "db");
    assert_eq!((db.cpus, db.memory, db.disk), (1, Bytes::gib(2), Some(Bytes::gib(20))));
    let own = |name: &str, size| Disk::Own { name: VolumeName::new(name).unwrap(), size };
    let volume = Disk::Volume { volume: VolumeName::new("pgdata").unwrap() };
    assert_eq!(db.disks, [volume, own("scratch", Bytes::gib(10)), own("disk3", Bytes::gib(1))]);
    assert_eq!(db.interfaces[0].ip.to_string(), "10.20.1.10");
    let check = db.healthcheck.as_ref().unwrap();
    assert_eq!(check.probes, [Probe::Exec(vec!["pg_isready".to_owned(), "-q".to_owned()])]);
    assert_eq!((check.retries, check.interval.0.as_secs()), (60, 1));

    let api = vm(&project, "api-2");
    assert_eq!(api.replica_of.as_ref().map(VmName::as_str), Some("api"));
    assert_eq!(api.depends_on[&VmName::new("db").unwrap()].condition, Condition::Healthy);
    assert_eq!(api.interfaces.iter().map(|i| i.network.as_str()).collect::<Vec<_>>(), ["front", "back"]);

    let web = vm(&project, "web");
    let Boot::Kernel { kernel, initrd, cmdline } = &web.boot else { panic!("{:?}", web.boot) };
    assert_eq!((kernel.name.as_str(), cmdline.as_str()), ("vmlinuz", "quiet"));
    assert_eq!(initrd.as_ref().unwrap().name.as_str(), "initrd-img");
    assert_eq!(web.depends_on.len(), 3, "a group of replicas is all of them");
    assert_eq!(web.labels["tier"], "front");

    let source = &project.images[&ImageName::new("debian").unwrap()];
    assert_eq!((file(source), source.role), (fixture.directory().join("debian.qcow2").as_path(), ImageRole::Disk));
    let front = &project.networks[&NetworkName::new("front").unwrap()];
    assert_eq!((front.mode, front.labels["a"].as_str()), (NetworkMode::Nat, "1.10"));
    assert_eq!(front.hosts[&VmName::new("api-1").unwrap()].names, ["api-1", "api"]);
    let origin = &project.origins[&ResourceId::Vm(VmName::new("web").unwrap())];
    assert_eq!(origin.to_string(), "vmcompose.yaml:24");
}
