//! Several at once: images of one run, runs in one process, and processes of which one is killed.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use vmcompose::image::{Cache, Fetch, Mode, Patience, Pins, Progress, fetch};
use vmcompose::model::ImageRequest;

use crate::bench::{Bench, name, one, qcow2, request, sha256, with_checksum};
use crate::server::{Fate, Server};

const PATH: &str = "/debian.qcow2";
const MIB: usize = 1 << 20;

#[test]
fn several_images_from_one_url_are_one_download() {
    let (server, bench) = (Server::new(), Bench::new());
    server.put(PATH, &qcow2(MIB), "1");
    let named = |text: &str| (name(text), ImageRequest { name: name(text), ..request(&server.url(PATH)) });
    let requests: BTreeMap<_, _> = ["a", "b", "c", "d", "e", "f"].map(named).into();
    let fetched = bench.fetch_all(&requests).expect("fetched");
    assert_eq!(fetched.sources.len(), 6);
    assert_eq!(server.requests(PATH).len(), 1);
}

#[test]
fn a_second_run_waits_says_so_and_finds_it_done() {
    let (server, first) = (Server::new(), Bench::new());
    server.put(PATH, &qcow2(MIB), "1");
    server.fates(PATH, &[Fate::HoldAfter(1000)]);
    let mut second = Bench::new();
    second.cache = first.cache.clone();
    let requests = one(request(&server.url(PATH)));
    std::thread::scope(|scope| {
        let (first, second, requests) = (&first, &second, &requests);
        let one = scope.spawn(|| first.fetch_all(requests));
        server.await_requests(PATH, 1);
        let other = scope.spawn(|| second.fetch_all(requests));
        while second.told(|told| matches!(told, Progress::Waiting { .. })) == 0 {
            assert!(!other.is_finished(), "it did not wait");
            std::thread::yield_now();
        }
        server.release();
        let (one, other) = (one.join().expect("no panic"), other.join().expect("no panic"));
        assert_eq!(one.expect("fetched").sources, other.expect("fetched").sources);
    });
    let holder = Some(std::process::id());
    assert_eq!(second.told(|told| *told == Progress::Waiting { holder }), 1, "told once, with the process");
    assert_eq!(server.requests(PATH).len(), 1);
}

/// Not a test by itself: what others start as a process of its own, to kill it or to give it another environment.
#[test]
fn a_process_that_fetches() {
    let (Ok(root), Ok(url)) = (env::var("VMCOMPOSE_TEST_CACHE"), env::var("VMCOMPOSE_TEST_URL")) else { return };
    let (cache, pins) = (Cache::new(root), Pins::default());
    let with = Fetch {
        cache: &cache,
        pins: &pins,
        mode: Mode::Normal,
        patience: Patience { silence: Duration::from_mins(1), ..Patience::default() },
        tell: &|_, progress| {
            // The harness hides what tests print, so this goes where nobody captures it.
            let _ = std::io::Write::write_all(&mut std::io::stderr().lock(), format!("{progress:?}\n").as_bytes());
        },
        cancelled: &|| false,
    };
    let request = match env::var("VMCOMPOSE_TEST_CHECKSUM") {
        Ok(checksum) => with_checksum(&url, &checksum),
        Err(_) => request(&url),
    };
    if let Err(errors) = fetch(&one(request), &with) {
        panic!("{}", errors[0]);
    }
}

#[test]
fn when_the_first_process_is_killed_the_second_goes_on_where_it_was() {
    let (server, mut bench) = (Server::new(), Bench::new());
    let body = qcow2(2 * MIB);
    server.put(PATH, &body, "1");
    server.fates(PATH, &[Fate::HoldAfter(MIB)]);
    let mut child = Command::new(env::current_exe().expect("this test"))
        .args(["--exact", "together::a_process_that_fetches", "--nocapture"])
        .env("VMCOMPOSE_TEST_CACHE", bench.cache.root())
        .env("VMCOMPOSE_TEST_URL", server.url(PATH))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let half = format!("{:?}", Progress::Downloading { got: MIB as u64, of: Some(body.len() as u64) });
    let told = BufReader::new(child.stderr.take().expect("piped")).lines();
    let arrived = told.map_while(Result::ok).any(|line| line == half);
    assert!(arrived, "the first half has come");
    let first = child.id();
    bench.assert_unusable();
    std::thread::scope(|scope| {
        let (requests, waiting) = (one(request(&server.url(PATH))), &bench);
        let second = scope.spawn(move || waiting.fetch_all(&requests));
        while bench.told(|told| *told == Progress::Waiting { holder: Some(first) }) == 0 {
            assert!(!second.is_finished(), "it did not wait for the first");
            std::thread::yield_now();
        }
        child.kill().expect("killed");
        child.wait().expect("dead");
        second.join().expect("no panic").expect("fetched");
    });
    assert_eq!(server.requests(PATH)[1].headers["range"], format!("bytes={MIB}-"));
    let path = bench.fetch(request(&server.url(PATH))).expect("there");
    assert_eq!(sha256(&fs::read(path).expect("there")), sha256(&body));
    assert!(bench.files().iter().all(|file| !file.starts_with("partial/")), "{:?}", bench.files());
}
