//! Which files are read, and which variables they see.

use std::fs;
use std::path::{Path, PathBuf};

use vmcompose::compose::{gather, project_name};
use vmcompose::names::ImageName;

use crate::compose::fixture::{Fixture, file, vm};

const FILE: &str = "vms: {web: {image: ./a.qcow2, labels: {x: '${V:-none}', y: '${W:-none}'}}}";

fn label(fixture: &Fixture, name: &str) -> String {
    vm(&fixture.project(), "web").labels[name].clone()
}

#[test]
fn the_file_is_found_in_the_nearest_folder_above() {
    let fixture = Fixture::new(FILE).file("deep/er/keep", "");
    let below = fixture.directory().join("deep/er");
    let fixture = fixture.with(|request| request.directory = below);
    assert_eq!(fixture.project().name.as_str(), "shop");
    let image = &fixture.project().images[&ImageName::new("a-qcow2").unwrap()];
    assert_eq!(file(image).parent(), fixture.directory().ancestors().nth(2));
}

#[test]
fn yml_is_found_too_and_yaml_is_preferred() {
    let fixture = Fixture::empty().file("vmcompose.yml", FILE);
    assert!(fixture.parse().is_ok());
    let fixture = fixture.file("vmcompose.yaml", "vms: {other: {image: ./a}}");
    assert!(fixture.project().vms.keys().all(|name| name.as_str() == "other"));
}

#[test]
fn no_file_is_an_error_that_says_what_was_looked_for() {
    let said = Fixture::empty().mistakes();
    assert!(said.starts_with("error: no `vmcompose.yaml` in "), "{said}");
    assert!(said.contains("hint: go to the project's folder, or name the file with `-f FILE`"), "{said}");
}

#[test]
fn a_named_file_that_is_missing_is_named() {
    let said = Fixture::empty().with(|request| request.files = vec![PathBuf::from("other.yaml")]).mistakes();
    assert_eq!(said, "error: `other.yaml`: there is no such file\n\n");
}

#[test]
fn a_folder_is_no_file() {
    let said = Fixture::empty().file("x/keep", "").with(|request| request.files = vec![PathBuf::from("x")]).mistakes();
    assert_eq!(said, "error: `x`: it is a folder, not a file\n\n");
}

#[test]
fn the_project_is_named_by_request_then_environment_then_file_then_folder() {
    let name =
        |fixture: &Fixture| project_name(&gather(&fixture.request).unwrap(), &fixture.request).unwrap().to_string();
    let fixture = Fixture::new(FILE);
    assert_eq!(name(&fixture), "shop");
    let fixture = Fixture::new(&format!("name: ${{N:-written}}\n{FILE}"));
    assert_eq!(name(&fixture), "written");
    let fixture = fixture.env("VMCOMPOSE_PROJECT", "environment");
    assert_eq!(name(&fixture), "environment");
    let fixture = fixture.with(|request| request.project = Some("asked".to_owned()));
    assert_eq!(name(&fixture), "asked");
    assert_eq!(fixture.project().name.as_str(), "asked");
}

#[test]
fn the_folders_name_is_made_legal() {
    let fixture = Fixture::empty().file("My Shop.v2/vmcompose.yaml", FILE);
    let fixture = fixture.with(|request| request.files = vec![PathBuf::from("My Shop.v2/vmcompose.yaml")]);
    assert_eq!(fixture.project().name.as_str(), "my-shop-v2");
}

#[test]
fn dot_env_is_read_beside_the_file_and_the_environment_counts_more() {
    let fixture = Fixture::new(FILE).file(".env", "V=file\nW=\"file ${V}\"\n");
    assert_eq!((label(&fixture, "x"), label(&fixture, "y")), ("file".to_owned(), "file file".to_owned()));
    let fixture = fixture.env("V", "process");
    assert_eq!((label(&fixture, "x"), label(&fixture, "y")), ("process".to_owned(), "file process".to_owned()));
}

#[test]
fn env_files_take_the_place_of_dot_env_and_a_later_one_counts_more() {
    let fixture = Fixture::new(FILE).file(".env", "V=dot\nW=dot\n").file("a.env", "V=a\n").file("b.env", "V=b$V\n");
    let fixture = fixture.with(|request| request.env_files = vec!["a.env".into(), "b.env".into()]);
    assert_eq!((label(&fixture, "x"), label(&fixture, "y")), ("ba".to_owned(), "none".to_owned()));
}

#[test]
fn a_mistake_in_a_file_of_variables_is_shown_there() {
    let said = Fixture::new(FILE).file(".env", "OK=1\nnot a variable\n").mistakes();
    assert!(said.contains(" --> .env:2:1"), "{said}");
    assert!(said.contains("error: not a variable; write `NAME=value`"), "{said}");
}

#[test]
fn relative_paths_begin_at_the_file_that_has_them() {
    let fixture = Fixture::new("include: [parts/db.yaml]\nvms: {web: {image: ./a}}")
        .file("parts/db.yaml", "images: {deb: ../img/d.qcow2}\nvms: {db: {image: deb}, raw: {image: ./r.img}}");
    let project = fixture.project();
    let path = |name: &str| file(&project.images[&ImageName::new(name).unwrap()]).to_owned();
    assert_eq!(path("deb"), fixture.directory().join("parts/../img/d.qcow2"));
    assert_eq!(path("r-img"), fixture.directory().join("parts/r.img"));
    assert_eq!(path("a"), fixture.directory().join("a"));
}

#[test]
fn a_path_may_begin_at_home() {
    let fixture = Fixture::new("vms: {web: {image: ~/a.qcow2}}").env("HOME", "/home/me");
    let project = fixture.project();
    assert_eq!(file(project.images.values().next().unwrap()), Path::new("/home/me/a.qcow2"));
}

#[test]
fn included_files_see_their_own_dot_env_under_the_projects_variables() {
    let fixture = Fixture::new("include: [parts/db.yaml]\nvms: {web: {image: ./a}}")
        .file("parts/db.yaml", "vms: {db: {image: ./a, labels: {x: '$A', y: '$B'}}}")
        .file("parts/.env", "A=parts\nB=parts\n")
        .file(".env", "B=project\n");
    let project = fixture.project();
    assert_eq!(vm(&project, "db").labels["x"], "parts");
    assert_eq!(vm(&project, "db").labels["y"], "project");
}

#[test]
fn an_include_may_name_its_variables_and_several_files_that_are_merged() {
    let fixture = Fixture::new("include:\n  - path: [a.yaml, b.yaml]\n    env_file: my.env\nvms: {web: {image: ./a}}")
        .file("a.yaml", "vms: {db: {image: ./a, cpus: 1, labels: {x: $A}}}")
        .file("b.yaml", "vms: {db: {cpus: 4}}")
        .file("my.env", "A=mine\n");
    let project = fixture.project();
    assert_eq!((vm(&project, "db").cpus, vm(&project, "db").labels["x"].as_str()), (4, "mine"));
}

#[test]
fn includes_are_followed_and_a_file_is_taken_in_once() {
    let fixture = Fixture::new("include: [a.yaml, b.yaml]\nvms: {web: {image: ./a}}")
        .file("a.yaml", "include: [c.yaml]\nvms: {a: {image: ./a}}")
        .file("b.yaml", "include: [c.yaml]\nvms: {b: {image: ./a}}")
        .file("c.yaml", "vms: {c: {image: ./a}}");
    let project = fixture.project();
    assert_eq!(project.vms.keys().map(ToString::to_string).collect::<Vec<_>>(), ["a", "b", "c", "web"]);
}

#[test]
fn what_is_included_can_be_referred_to() {
    let fixture = Fixture::new("include: [net.yaml]\nvms: {web: {image: deb, networks: [front], depends_on: [db]}}")
        .file("net.yaml", "networks: {front: {}}\nimages: {deb: ./d}\nvms: {db: {image: deb, networks: [front]}}");
    assert_eq!(vm(&fixture.project(), "web").depends_on.len(), 1);
}

#[test]
fn the_same_name_here_and_in_an_included_file_is_an_error_with_both_places() {
    let said = Fixture::new("include: [db.yaml]\nvms: {db: {image: ./a}}")
        .file("db.yaml", "vms:\n  db: {image: ./b}")
        .mistakes();
    assert!(said.contains("error: vm `db` is in this file and in one it includes"), "{said}");
    assert!(said.contains("vmcompose.yaml:2:7") && said.contains("db.yaml:2:3"), "{said}");
}

#[test]
fn defaults_of_an_included_file_are_its_own() {
    let fixture = Fixture::new("include: [db.yaml]\ndefaults: {image: ./a, cpus: 2}\nvms: {web: }")
        .file("db.yaml", "defaults: {image: ./b, cpus: 3}\nvms: {db: }");
    let project = fixture.project();
    assert_eq!((vm(&project, "web").cpus, vm(&project, "db").cpus), (2, 3));
}

#[test]
fn vars_of_an_included_file_are_overridden_by_the_including_one() {
    let fixture = Fixture::new("include: [db.yaml]\nvars: {a: outer}\nvms: {web: {image: ./a}}").file(
        "db.yaml",
        "vars: {a: inner, b: inner}\nvms: {db: {image: ./a, labels: {x: '{{ vars.a }} {{ vars.b }}'}}}",
    );
    assert_eq!(vm(&fixture.project(), "db").labels["x"], "outer inner");
}

#[test]
fn files_that_include_each_other_are_an_error_and_no_hang() {
    let said = Fixture::new("include: [a.yaml]\nvms: {web: {image: ./a}}")
        .file("a.yaml", "include: [b.yaml]\nvms: {}")
        .file("b.yaml", "include: [a.yaml]\nvms: {}")
        .mistakes();
    assert!(said.contains("error: `a.yaml` includes itself"), "{said}");
    assert!(said.contains("b.yaml:1:11"), "{said}");
}

#[test]
fn a_mistake_in_an_included_file_is_shown_there() {
    let said = Fixture::new("include: [db.yaml]\nvms: {web: {image: ./a}}")
        .file("db.yaml", "# one\nvms:\n  db: {image: ./a, cpus: x}\nvmss: {}")
        .mistakes();
    assert!(said.contains(" --> db.yaml:3:26"), "{said}");
    assert!(said.contains(" --> db.yaml:4:1"), "{said}");
}

#[test]
fn origins_name_the_file_and_the_line() {
    let fixture = Fixture::new("include: [db.yaml]\nvms: {web: {image: ./a}}")
        .file("db.yaml", "networks:\n  n: {}\nvms:\n  db: {image: ./a}");
    let project = fixture.project();
    let mut origins: Vec<String> = project.origins.iter().map(|(id, origin)| format!("{id} {origin}")).collect();
    origins.sort();
    assert_eq!(
        origins,
        [
            "image `a` vmcompose.yaml:2",
            "network `default` vmcompose.yaml:2",
            "network `n` db.yaml:2",
            "vm `db` db.yaml:4",
            "vm `web` vmcompose.yaml:2",
        ]
    );
}

#[test]
fn a_file_may_have_several_documents_which_are_merged() {
    let fixture = Fixture::new("vms: {web: {image: ./a, cpus: 1}}\n---\nvms: {web: {cpus: 2}}\n---\n");
    assert_eq!(vm(&fixture.project(), "web").cpus, 2);
}

#[test]
fn a_file_that_is_too_large_is_refused_before_it_is_read_whole() {
    let fixture = Fixture::empty();
    let file = fs::File::create(fixture.directory().join("vmcompose.yaml")).unwrap();
    file.set_len(100 << 20).unwrap();
    assert!(fixture.mistakes().contains("more than 16 MiB"), "{}", fixture.mistakes());
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let fixture = Fixture::empty();
    fs::write(fixture.directory().join("vmcompose.yaml"), b"vms:\n  \xff\xfe: x\n").unwrap();
    assert!(fixture.mistakes().contains("not UTF-8 text: a stray byte in line 2"), "{}", fixture.mistakes());
}
