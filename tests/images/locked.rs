//! `vmcompose.lock`: the same bytes for everybody, or a clear refusal.

use std::fs;
use std::path::Path;

use vmcompose::image::{Fault, LockFault, Mode, Pins};

use crate::bench::{Bench, one, qcow2, request, sha256, with_checksum};
use crate::server::Server;

const PATH: &str = "/debian.qcow2";

#[test]
fn what_was_fetched_is_pinned_and_the_file_survives_a_round_trip() {
    let (server, mut bench) = (Server::new(), Bench::new());
    let body = qcow2(10);
    server.put(PATH, &body, "1");
    bench.fetch(request(&server.url(PATH))).expect("fetched");
    let pin = bench.pins.get(&server.url(PATH).parse().expect("a URL")).expect("pinned");
    assert_eq!((pin.sha256.as_str(), pin.length), (sha256(&body).as_str(), body.len() as u64));
    assert_eq!(pin.etag.as_deref(), Some("\"1\""));

    let file = bench.folder.path().join("vmcompose.lock");
    assert!(Pins::read(&file).expect("no file").is_empty());
    bench.pins.write(&file).expect("written");
    assert_eq!(Pins::read(&file).expect("readable"), bench.pins);
    assert_eq!(fs::read_to_string(&file).expect("text"), bench.pins.print());
    let mut forgotten = bench.pins.clone();
    forgotten.keep_only([]);
    assert!(forgotten.is_empty());
}

#[test]
fn a_broken_lock_file_is_refused_with_its_name() {
    let parse = |text: &str| Pins::parse(text, Path::new("vmcompose.lock")).expect_err(text).to_string();
    assert!(parse("- nonsense").starts_with("`vmcompose.lock` is not a lock file: "));
    assert!(parse("version: 1\nimages: {}\nextra: 1\n").contains("extra"));
    assert_eq!(parse("version: 2\n"), "`vmcompose.lock` has version 2, and this vmcompose knows version 1");
    let short = "version: 1\nimages:\n  https://h/x: {sha256: abc, sha512: def, length: 1}\n";
    assert!(parse(short).contains("the digests of `https://h/x` are not hexadecimal"));
}

#[test]
fn locked_refuses_what_is_not_pinned() {
    let (server, mut bench) = (Server::new(), Bench::new());
    server.put(PATH, &qcow2(0), "1");
    bench.mode = Mode::Locked;
    let errors = bench.fetch_all(&one(request(&server.url(PATH)))).expect_err("not pinned");
    assert!(matches!(errors[0].fault, Fault::Lock(LockFault::Unpinned(_))));
    assert!(errors[0].fault.hint().is_some_and(|hint| hint.contains("--locked")));
    assert_eq!(server.requests(PATH).len(), 0);
}

#[test]
fn locked_refuses_a_checksum_that_is_not_the_pinned_one() {
    let (server, mut bench) = (Server::new(), Bench::new());
    server.put(PATH, &qcow2(0), "1");
    bench.fetch(request(&server.url(PATH))).expect("fetched");
    let other = with_checksum(&server.url(PATH), &format!("sha256:{}", sha256(&qcow2(1))));
    bench.mode = Mode::Locked;
    let errors = bench.fetch_all(&one(other.clone())).expect_err("stale");
    assert!(matches!(errors[0].fault, Fault::Lock(LockFault::Stale { .. })), "{}", errors[0]);
    // Without --locked the compose file is right, and the lock file follows it.
    bench.mode = Mode::Normal;
    server.put(PATH, &qcow2(1), "2");
    bench.fetch(other).expect("fetched anew");
    let pin = bench.pins.get(&server.url(PATH).parse().expect("a URL")).expect("pinned");
    assert_eq!(pin.sha256, sha256(&qcow2(1)));
}

#[test]
fn other_bytes_than_the_pinned_ones_are_refused_in_every_mode_but_update() {
    let (server, mut bench) = (Server::new(), Bench::new());
    let (old, new) = (qcow2(10), qcow2(20));
    server.put(PATH, &old, "1");
    bench.fetch(request(&server.url(PATH))).expect("fetched");
    // Somebody else, with the same lock file and an empty cache, when the publisher has moved on.
    let mut colleague = Bench::new();
    colleague.pins = bench.pins.clone();
    server.put(PATH, &new, "2");
    for mode in [Mode::Normal, Mode::Locked] {
        colleague.mode = mode;
        let errors = colleague.fetch_all(&one(request(&server.url(PATH)))).expect_err("moved");
        let (was, now) = (sha256(&old), sha256(&new));
        assert_eq!(
            errors[0].to_string(),
            format!(
                "image `debian` has changed: `{}` was sha256:{was} when it was locked, and is sha256:{now} now",
                server.url(PATH)
            )
        );
        colleague.assert_untouched();
    }
    colleague.mode = Mode::Update;
    let path = colleague.fetch(request(&server.url(PATH))).expect("updated");
    assert!(fs::read(path).expect("there") == new);
    let pin = colleague.pins.get(&server.url(PATH).parse().expect("a URL")).expect("pinned");
    assert_eq!(pin.sha256, sha256(&new));
    // Whoever still has the old file in the cache, and the old lock, goes on with it.
    bench.mode = Mode::Locked;
    let path = bench.fetch(request(&server.url(PATH))).expect("still there");
    assert!(fs::read(path).expect("there") == old);
}

#[test]
fn an_update_of_what_has_not_changed_downloads_nothing() {
    let (server, mut bench) = (Server::new(), Bench::new());
    let body = qcow2(1 << 20);
    server.put(PATH, &body, "1");
    bench.fetch(request(&server.url(PATH))).expect("fetched");
    bench.mode = Mode::Update;
    bench.fetch(request(&server.url(PATH))).expect("unchanged");
    assert_eq!(server.requests(PATH)[1].headers["if-none-match"], "\"1\"");
    assert_eq!(server.sent(PATH), body.len() as u64);

    // With a list of checksums, not even the server of the image is asked.
    let list = format!("{}  debian.qcow2\n", sha256(&body));
    server.put("/SHA256SUMS", list.as_bytes(), "1");
    bench.fetch(with_checksum(&server.url(PATH), &server.url("/SHA256SUMS"))).expect("unchanged");
    assert_eq!(server.requests(PATH).len(), 2);
    // Until the list says something else.
    let newer = qcow2(99);
    server.put(PATH, &newer, "2");
    server.put("/SHA256SUMS", format!("{}  debian.qcow2\n", sha256(&newer)).as_bytes(), "2");
    bench.fetch(with_checksum(&server.url(PATH), &server.url("/SHA256SUMS"))).expect("updated");
    assert_eq!(server.requests(PATH).len(), 3);
}

#[test]
fn a_pin_makes_the_publishers_list_superfluous() {
    let (server, mut bench) = (Server::new(), Bench::new());
    let body = qcow2(10);
    server.put(PATH, &body, "1");
    server.put("/SHA256SUMS", format!("{}  debian.qcow2\n", sha256(&body)).as_bytes(), "1");
    let wanted = with_checksum(&server.url(PATH), &server.url("/SHA256SUMS"));
    bench.fetch(wanted.clone()).expect("fetched");
    let mut colleague = Bench::new();
    colleague.pins = bench.pins.clone();
    // The list has moved on, and the image has not: the pin decides.
    server.put("/SHA256SUMS", b"", "2");
    colleague.fetch(wanted).expect("pinned");
    assert_eq!(server.requests("/SHA256SUMS").len(), 1);
}

#[test]
fn what_another_project_has_cached_is_held_against_the_list() {
    let (server, mut bench) = (Server::new(), Bench::new());
    let (right, wrong) = (qcow2(10), qcow2(20));
    server.put(PATH, &wrong, "1");
    bench.fetch(request(&server.url(PATH))).expect("without a checksum, whatever comes");
    // Another project asks for the same URL, with the publisher's list.
    let list = format!("{}  debian.qcow2\n", sha256(&right));
    server.put("/SHA256SUMS", list.as_bytes(), "1");
    let listed = with_checksum(&server.url(PATH), &server.url("/SHA256SUMS"));
    bench.pins = Pins::default();
    let error = bench.fetch(listed.clone()).expect_err("not what the list has");
    assert!(error.contains(&sha256(&right)) && error.contains(&sha256(&wrong)), "{error}");
    assert!(bench.pins.is_empty());
    assert_eq!(server.requests("/SHA256SUMS").len(), 1);

    server.put(PATH, &right, "2");
    bench.fetch(listed.clone()).expect("what the list has");
    let (asked, sent) = (server.requests("/SHA256SUMS").len(), server.requests(PATH).len());
    // From now on it is known: by the cache for all projects, by the lock file for this one.
    bench.fetch(listed.clone()).expect("pinned");
    bench.pins = Pins::default();
    bench.fetch(listed).expect("noted in the cache");
    assert_eq!((server.requests("/SHA256SUMS").len(), server.requests(PATH).len()), (asked, sent));
}

#[test]
fn a_pin_without_the_list_is_held_against_it_once() {
    let (server, mut bench) = (Server::new(), Bench::new());
    let body = qcow2(10);
    server.put(PATH, &body, "1");
    bench.fetch(request(&server.url(PATH))).expect("pinned without a checksum");
    let listed = with_checksum(&server.url(PATH), &server.url("/SHA256SUMS"));
    let other = format!("{}  debian.qcow2\n", sha256(&qcow2(20)));
    server.put("/SHA256SUMS", other.as_bytes(), "1");
    bench.mode = Mode::Locked;
    let errors = bench.fetch_all(&one(listed.clone())).expect_err("the list has others");
    assert!(matches!(errors[0].fault, Fault::Lock(LockFault::Stale { .. })), "{}", errors[0]);
    bench.mode = Mode::Normal;
    server.put("/SHA256SUMS", format!("{}  debian.qcow2\n", sha256(&body)).as_bytes(), "2");
    bench.fetch(listed.clone()).expect("the list has them");
    // The list moves on; what was once in it stays good, for a colleague with an empty cache too.
    server.put("/SHA256SUMS", other.as_bytes(), "3");
    let mut colleague = Bench::new();
    (colleague.pins, colleague.mode) = (bench.pins.clone(), Mode::Locked);
    colleague.fetch(listed).expect("pinned from a run that looked");
    assert_eq!(server.requests(PATH).len(), 2);
}
