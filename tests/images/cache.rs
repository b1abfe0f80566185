//! The cache as people see it: listed, searched, imported into, cleaned up.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, SystemTime};

use vmcompose::image::{Cache, Fault, Pins, at_hand, import, in_use};
use vmcompose::model::{ImageFrom, ImageRequest};

use crate::bench::{Bench, local, name, one, packed, qcow2, request, sha256};
use crate::server::{Fate, Server};

const PATH: &str = "/debian.qcow2";

fn stay() -> bool {
    false
}

#[test]
fn the_folder_follows_the_xdg_specification() {
    let folder = |vars: &[(&str, &str)]| {
        let vars: BTreeMap<String, String> = vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Cache::folder_of_user(|name| vars.get(name).map(Into::into)).map(|path| path.display().to_string())
    };
    assert_eq!(folder(&[("XDG_CACHE_HOME", "/c"), ("HOME", "/h")]).as_deref(), Some("/c/vmcompose/images"));
    assert_eq!(folder(&[("XDG_CACHE_HOME", "c"), ("HOME", "/h")]).as_deref(), Some("/h/.cache/vmcompose/images"));
    assert_eq!(folder(&[]), None);
}

#[test]
fn entries_are_found_by_url_name_and_digest() {
    let (server, mut bench) = (Server::new(), Bench::new());
    let body = qcow2(10);
    server.put(PATH, &body, "1");
    bench.fetch(request(&server.url(PATH))).expect("fetched");
    let golden = bench.folder.path().join("golden.qcow2");
    fs::write(&golden, qcow2(20)).expect("written");
    import(&bench.cache, "golden", &golden, &stay).expect("imported");
    let found = |text: &str| bench.cache.find(text).expect("readable");
    assert_eq!(bench.cache.list().expect("readable").len(), 2);
    let by_url = found(&server.url(PATH));
    assert_eq!(by_url.len(), 1);
    assert_eq!(by_url[0].content.sha256, sha256(&body));
    assert_eq!(found(&sha256(&body)[..12]), by_url);
    assert_eq!(found("golden")[0].content.sha256, sha256(&qcow2(20)));
    assert_eq!(found("nothing"), []);
    assert_eq!(found(""), []);
}

#[test]
fn an_import_is_a_copy_that_can_be_named_and_replaced() {
    let mut bench = Bench::new();
    let file = bench.folder.path().join("mine.qcow2");
    fs::write(&file, qcow2(10)).expect("written");
    import(&bench.cache, "golden", &file, &stay).expect("imported");
    fs::remove_file(&file).expect("gone");
    let wanted = ImageRequest { from: ImageFrom::Imported("golden".to_owned()), ..request("http://unused") };
    let path = bench.fetch(wanted.clone()).expect("there");
    assert!(fs::read(&path).expect("there") == qcow2(10));
    fs::write(&file, qcow2(20)).expect("written");
    import(&bench.cache, "golden", &file, &stay).expect("imported anew");
    assert_eq!(bench.cache.list().expect("readable").len(), 1);
    assert!(fs::read(bench.fetch(wanted).expect("there")).expect("there") == qcow2(20));
    assert!(!path.exists(), "the old one has gone");

    fs::write(&file, b"<html></html>").expect("written");
    let fault = import(&bench.cache, "page", &file, &stay).expect_err("no image").to_string();
    assert!(fault.contains("is named like a qcow2 image, but is an HTML page"), "{fault}");
    let unknown = ImageRequest { from: ImageFrom::Imported("other".to_owned()), ..request("http://unused") };
    let error = bench.fetch(unknown).expect_err("unknown");
    assert_eq!(error, "image `debian` is not in the cache: nothing was imported as `other`");
}

#[test]
fn a_removed_entry_takes_its_file_along_unless_another_has_the_same() {
    let (server, mut bench) = (Server::new(), Bench::new());
    server.put("/a/debian.qcow2", &qcow2(10), "1");
    server.put("/b/debian.qcow2", &qcow2(10), "1");
    let first = bench.fetch(request(&server.url("/a/debian.qcow2"))).expect("fetched");
    let second = bench.fetch(request(&server.url("/b/debian.qcow2"))).expect("fetched");
    assert_eq!(first, second, "the same bytes are kept once");
    let entries = bench.cache.list().expect("readable");
    assert_eq!(bench.cache.remove(&entries[0]).expect("removed").0, 0);
    assert!(first.exists());
    assert_eq!(bench.cache.remove(&entries[1]).expect("removed").0, qcow2(10).len() as u64);
    bench.assert_untouched();
}

#[test]
fn a_prune_keeps_what_the_compose_file_or_the_lock_file_refers_to() {
    let (server, mut bench) = (Server::new(), Bench::new());
    for path in ["/used.qcow2", "/pinned.qcow2", "/unused.qcow2"] {
        server.put(
            path,
            path.as_bytes()
                .iter()
                .fold(qcow2(10), |mut b, c| {
                    b.push(*c);
                    b
                })
                .as_slice(),
            "1",
        );
        bench.fetch(request(&server.url(path))).expect("fetched");
    }
    // Half a download that nobody is working on, and a file that no record knows.
    bench.patience.attempts = 1;
    server.put("/half.qcow2", &qcow2(1000), "1");
    server.fates("/half.qcow2", &[Fate::CutAfter(500)]);
    bench.fetch(request(&server.url("/half.qcow2"))).expect_err("cut");
    fs::write(bench.cache.root().join("files/stray"), b"x").expect("written");

    let mut pins = bench.pins.clone();
    pins.keep_only([&server.url("/pinned.qcow2").parse().expect("a URL")]);
    let requests = one(request(&server.url("/used.qcow2")));
    let pruned = bench.cache.prune(&|entry| in_use(&requests, &pins, entry)).expect("pruned");
    let urls: Vec<_> = pruned.entries.iter().filter_map(|entry| entry.url.clone()).collect();
    assert_eq!(urls, [server.url("/unused.qcow2")]);
    assert_eq!(pruned.leftovers, 3, "a part, what is known of it, and the stray file");
    assert!(pruned.freed.0 > qcow2(10).len() as u64, "{:?}", pruned.freed);
    assert_eq!(bench.cache.list().expect("readable").len(), 2);
    assert!(bench.files().iter().all(|file| !file.starts_with("partial/")), "{:?}", bench.files());
    bench.fetch(request(&server.url("/used.qcow2"))).expect("still there");
    assert_eq!(server.requests("/used.qcow2").len(), 1);
}

#[test]
fn a_prune_leaves_a_running_download_alone() {
    let (server, bench) = (Server::new(), Bench::new());
    let body = qcow2(1 << 20);
    server.put(PATH, &body, "1");
    server.fates(PATH, &[Fate::HoldAfter(1000)]);
    std::thread::scope(|scope| {
        let bench = &bench;
        let fetching = scope.spawn(|| bench.fetch_all(&one(request(&server.url(PATH)))));
        server.await_requests(PATH, 1);
        let pruned = bench.cache.prune(&|_| false).expect("pruned");
        assert_eq!(pruned.leftovers, 0);
        server.release();
        fetching.join().expect("no panic").expect("fetched");
    });
    assert_eq!(bench.cache.list().expect("readable").len(), 1);
}

#[test]
fn the_last_use_is_known() {
    let (server, mut bench) = (Server::new(), Bench::new());
    server.put(PATH, &qcow2(10), "1");
    bench.fetch(request(&server.url(PATH))).expect("fetched");
    let entry = bench.cache.list().expect("readable").remove(0);
    let record = bench.files().into_iter().find(|file| file.starts_with("records/")).expect("one");
    let old = SystemTime::now() - Duration::from_hours(100);
    let file = fs::File::options().append(true).open(bench.cache.root().join(record)).expect("there");
    file.set_modified(old).expect("set back");
    assert!(bench.cache.last_used(&entry).expect("known") < SystemTime::now() - Duration::from_hours(99));
    bench.fetch(request(&server.url(PATH))).expect("there");
    assert!(bench.cache.last_used(&entry).expect("known") > SystemTime::now() - Duration::from_hours(1));
}

#[test]
fn looking_only_asks_nobody_and_writes_nothing() {
    let (server, mut bench) = (Server::new(), Bench::new());
    server.put(PATH, &qcow2(10), "1");
    let small = bench.folder.path().join("small.qcow2.gz");
    fs::write(&small, packed("gz", &qcow2(30))).expect("written");
    let packed = ImageRequest { name: name("packed"), ..local(&small) };
    let mut requests = one(request(&server.url(PATH)));
    requests.insert(packed.name.clone(), packed);
    let look = |bench: &Bench, pins: &Pins| at_hand(&requests, &bench.cache, pins).expect("readable");
    assert_eq!(look(&bench, &bench.pins).missing.into_keys().collect::<Vec<_>>(), [name("debian"), name("packed")]);
    assert!(!bench.cache.root().exists() && server.requests(PATH).is_empty());
    let fetched = bench.fetch_all(&requests).expect("fetched");
    assert_eq!(look(&bench, &fetched.pins).sources, fetched.sources);
    // Pinned to other bytes, what is there is not it.
    server.put(PATH, &qcow2(20), "2");
    let mut other = Bench::new();
    other.fetch(request(&server.url(PATH))).expect("fetched");
    bench.pins = other.pins;
    assert_eq!(look(&bench, &bench.pins).missing.into_keys().collect::<Vec<_>>(), [name("debian")]);
}

#[test]
fn the_files_cannot_be_written_to() {
    use std::os::unix::fs::PermissionsExt as _;
    let (server, mut bench) = (Server::new(), Bench::new());
    server.put(PATH, &qcow2(10), "1");
    let path = bench.fetch(request(&server.url(PATH))).expect("fetched");
    assert_eq!(fs::metadata(path).expect("there").permissions().mode() & 0o777, 0o444);
}

#[test]
fn a_look_holds_a_file_against_its_checksum_as_a_fetch_does() {
    let bench = Bench::new();
    let path = bench.folder.path().join("d.qcow2");
    fs::write(&path, qcow2(0)).expect("written");
    let asked = |bytes: &[u8]| {
        let checksum = format!("sha256:{}", sha256(bytes)).parse().expect("a checksum");
        one(ImageRequest { checksum: Some(checksum), ..local(&path) })
    };
    let found = at_hand(&asked(&qcow2(0)), &bench.cache, &Pins::default()).expect("right");
    assert_eq!((found.sources.len(), found.missing.len()), (1, 0));
    let errors = at_hand(&asked(&qcow2(1)), &bench.cache, &Pins::default()).expect_err("wrong");
    assert!(matches!(errors[0].fault, Fault::Checksum { .. }), "{errors:?}");
    bench.assert_untouched();
}
