//! Volumes and images on the hypervisor's own storage: pools by name, shared volumes, declared formats.

use vmcompose::model::{Boot, ImageFormat, ImageRef, VolumeRef};
use vmcompose::names::{ImageName, Pool, ResourceId, VolumeName};
use vmcompose::state::DesiredState;

use crate::compose::fixture::{Fixture, vm};

#[test]
fn a_volume_may_be_in_a_pool_of_the_users_own_and_be_shared() {
    let project = Fixture::new(
        "volumes:
  plain: { size: 1GiB }
  fast: { size: 2GiB, pool: nvme, shared: true }
vms:
  a: { boot: { kernel: ./k }, disks: [{ volume: fast }, { volume: plain }] }
  b: { boot: { kernel: ./k }, disks: [{ volume: fast }] }
",
    )
    .project();
    let volume = |name: &str| &project.volumes[&VolumeName::new(name).unwrap()];
    assert_eq!((volume("plain").shared, &volume("plain").pool), (false, &None));
    assert_eq!((volume("fast").shared, volume("fast").pool.as_deref()), (true, Some("nvme")));
}

#[test]
fn our_own_pool_is_needed_only_for_what_goes_there() {
    let needs = |pool: &str| {
        let text = format!("volumes: {{ v: {{ size: 1GiB{pool} }} }}\nvms: {{ a: {{ boot: {{ kernel: ./k }} }} }}\n");
        let desired = DesiredState::up(&Fixture::new(&text).project(), &[].into()).unwrap();
        desired.specs.contains_key(&ResourceId::Pool(Pool::Disks))
    };
    assert!(needs("") && !needs(", pool: nvme"));
}

#[test]
fn an_image_that_is_a_volume_is_brought_by_nobody() {
    let project = Fixture::new(
        "images: { golden: { source: 'nvme:golden.img', format: raw } }
vms:
  a: { image: golden }
  b: { image: 'nvme:golden.img' }
  c: { image: 'nvme:golden.img' }
",
    )
    .project();
    assert!(project.images.is_empty());
    let source = VolumeRef { pool: "nvme".to_owned(), volume: "golden.img".to_owned() };
    let image = |name: &str, format| {
        let unseen = ImageRef::unseen(ImageName::new(name).unwrap());
        Boot::Image(ImageRef { volume: Some(source.clone()), format, ..unseen })
    };
    assert_eq!(vm(&project, "a").boot, image("golden", Some(ImageFormat::Raw)));
    assert_eq!(vm(&project, "b").boot, image("golden-img", None));
    assert_eq!(vm(&project, "c").boot, vm(&project, "b").boot);
}

#[test]
fn a_declared_format_goes_with_the_image() {
    let project =
        Fixture::new("images: { a: { source: ./a.img, format: qcow2 } }\nvms: { v: { image: a } }\n").project();
    assert_eq!(project.images[&ImageName::new("a").unwrap()].format, Some(ImageFormat::Qcow2));
}
