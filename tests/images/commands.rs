//! The commands of `vmcompose image`, as a shell sees them.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::bench::{Bench, packed, qcow2, sha256};
use crate::server::Server;

fn run(bench: &Bench, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vmcompose"))
        .arg("image")
        .args(arguments)
        .current_dir(bench.folder.path())
        .env("XDG_CACHE_HOME", bench.folder.path().join("home"))
        .output()
        .expect("runs")
}

fn good(bench: &Bench, arguments: &[&str]) -> String {
    let output = run(bench, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn bad(bench: &Bench, arguments: &[&str]) -> (i32, String) {
    let output = run(bench, arguments);
    (output.status.code().expect("it ended"), String::from_utf8(output.stderr).expect("text"))
}

#[test]
fn an_image_is_pulled_listed_shown_and_deleted() {
    let (server, bench) = (Server::new(), Bench::new());
    server.put("/debian.qcow2.xz", &packed("xz", &qcow2(0)), "1");
    let url = server.url("/debian.qcow2.xz");
    let path = PathBuf::from(good(&bench, &["pull", &url]).trim());
    assert!(path.starts_with(bench.folder.path().join("home/vmcompose/images")), "{path:?}");
    assert!(fs::read(&path).expect("there") == qcow2(0));
    let listed: serde_json::Value = serde_json::from_str(&good(&bench, &["list", "--format", "json"])).expect("JSON");
    let image = &listed["images"][0];
    assert_eq!((image["from"].as_str(), image["virtual_size"].as_str()), (Some(url.as_str()), Some("10GiB")));
    let id = image["id"].as_str().expect("text");
    assert!(good(&bench, &["info", id]).contains(&sha256(&qcow2(0))));
    let (code, said) = bad(&bench, &["rm", id, "nothing"]);
    assert_eq!((code, path.exists()), (1, true), "{said}");
    good(&bench, &["rm", id]);
    assert!(!path.exists());
}

#[test]
fn a_failed_pull_ends_with_five_and_names_image_and_url() {
    let (server, bench) = (Server::new(), Bench::new());
    let url = server.url("/debian.qcow2");
    let (code, said) = bad(&bench, &["pull", &url]);
    assert_eq!(code, 5);
    assert!(
        said.contains(&format!("image `debian-qcow2` cannot be downloaded: `{url}`: the server answered 404")),
        "{said}"
    );
    assert!(said.contains("\nhint: "), "{said}");
    let (code, said) = bad(&bench, &["pull", "debain:12"]);
    assert!(code == 1 && said.contains("did you mean `debian:12`"), "{said}");
}

#[test]
fn a_prune_asks_first_and_keeps_what_the_compose_file_refers_to() {
    let bench = Bench::new();
    let folder = bench.folder.path();
    fs::write(folder.join("d.qcow2"), qcow2(0)).expect("written");
    fs::write(folder.join("s.qcow2.gz"), packed("gz", &qcow2(9))).expect("written");
    fs::write(folder.join("vmcompose.yaml"), "vms: { a: { image: s } }\nimages: { s: ./s.qcow2.gz }\n")
        .expect("written");
    good(&bench, &["pull"]);
    good(&bench, &["import", "golden", "d.qcow2"]);
    let ids = good(&bench, &["list", "-q"]);
    assert!(ids.lines().count() == 2 && ids.lines().all(|id| id.len() == 12), "{ids}");
    let (code, said) = bad(&bench, &["prune"]);
    assert_eq!(code, 8, "{said}");
    good(&bench, &["prune", "--yes"]);
    let left = good(&bench, &["list"]);
    assert!(!left.contains("golden") && left.contains("s.qcow2.gz") && left.contains("yes"), "{left}");
    // What is used is not deleted by a slip; what nobody here knows of is.
    let id = good(&bench, &["list", "-q"]);
    let (code, said) = bad(&bench, &["rm", id.trim()]);
    assert!(code == 8 && said.contains(&format!("deleting `{}`, which the compose file uses,", id.trim())), "{said}");
    good(&bench, &["rm", "--yes", id.trim()]);
    good(&bench, &["pull"]);
    good(&bench, &["prune", "--all", "--yes"]);
    assert!(!good(&bench, &["list"]).contains("qcow2"));
}
