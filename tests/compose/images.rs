//! Where images may be: files, servers, imports, and names that everybody knows.

use vmcompose::model::{Checksum, ImageFrom, ImageRequest, ImageRole, Project};
use vmcompose::names::ImageName;

use crate::compose::fixture::{Fixture, file, vm};

fn image<'a>(project: &'a Project, name: &str) -> &'a ImageRequest {
    &project.images[&ImageName::new(name).unwrap()]
}

fn url(image: &ImageRequest) -> &str {
    let ImageFrom::Url(url) = &image.from else { panic!("{image:?} is not on a server") };
    url.as_str()
}

fn names(project: &Project) -> Vec<&str> {
    project.images.keys().map(ImageName::as_str).collect()
}

#[test]
fn an_image_is_a_url_with_a_checksum_or_a_list_of_them() {
    let digits = "0123456789abcdef".repeat(4);
    let project = Fixture::new(&format!(
        "images:
  plain: https://example.org/a.qcow2
  summed: {{ source: https://example.org/b.qcow2, checksum: 'sha256:{digits}' }}
  listed: {{ path: https://example.org/c.qcow2, checksum: https://example.org/SHA256SUMS }}
  here: {{ source: ./d.qcow2, checksum: 'sha256:{digits}' }}
vms:
  a: {{ image: plain }}
  b: {{ image: summed }}
  c: {{ image: listed }}
  d: {{ image: here }}
"
    ))
    .project();
    assert_eq!(
        (url(image(&project, "plain")), &image(&project, "plain").checksum),
        ("https://example.org/a.qcow2", &None)
    );
    assert_eq!(image(&project, "summed").checksum, Some(Checksum::Sha256(digits.clone())));
    assert_eq!(url(image(&project, "listed")), "https://example.org/c.qcow2");
    assert!(
        matches!(&image(&project, "listed").checksum, Some(Checksum::Listed(list)) if list.file_name() == "SHA256SUMS")
    );
    assert_eq!(image(&project, "here").checksum, Some(Checksum::Sha256(digits)));
    assert!(file(image(&project, "here")).ends_with("d.qcow2"));
}

#[test]
fn a_vm_may_name_a_url_itself_and_two_that_do_share_it() {
    let project = Fixture::new(
        "vms:
  a: { image: 'https://example.org/x.qcow2?v=1' }
  b: { image: 'https://example.org/x.qcow2?v=1' }
  c: { image: 'https://example.org/x.qcow2?v=2' }
  d: { boot: { kernel: 'https://example.org/vmlinuz' } }
",
    )
    .project();
    assert_eq!(names(&project), ["vmlinuz", "x-qcow2", "x-qcow2-2"]);
    assert_eq!(vm(&project, "a").boot, vm(&project, "b").boot);
    assert_ne!(vm(&project, "a").boot, vm(&project, "c").boot);
    assert_eq!(image(&project, "vmlinuz").role, ImageRole::Kernel);
}

#[test]
fn an_import_is_named_by_its_name() {
    let project = Fixture::new("vms: { a: { image: 'import:golden' } }\n").project();
    assert_eq!(image(&project, "golden").from, ImageFrom::Imported("golden".to_owned()));
}

// The catalog has names for these processors only.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[test]
fn a_well_known_name_is_a_url_and_its_publishers_list() {
    let project =
        Fixture::new("images: { base: debian:12 }\nvms: { a: { image: base }, b: { image: 'alma:9' } }\n").project();
    assert_eq!(names(&project), ["alma-9", "base"]);
    assert!(url(image(&project, "base")).contains("debian-12"));
    assert!(matches!(image(&project, "base").checksum, Some(Checksum::Listed(_))));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_name_under_images_outweighs_a_well_known_one() {
    let project = Fixture::new("vms: { a: { image: arch } }\n").project();
    assert!(url(image(&project, "arch")).starts_with("https://"));
    let project = Fixture::new("images: { arch: ./mine.qcow2 }\nvms: { a: { image: arch } }\n").project();
    assert!(file(image(&project, "arch")).ends_with("mine.qcow2"));
}
