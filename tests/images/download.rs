//! Downloads: whole, resumed, tried again, given up, and checked before use.

use std::fs;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use vmcompose::image::Progress;
use vmcompose::model::{ImageRequest, ImageRole};

use crate::bench::{Bench, name, one, packed, qcow2, request, sha256, sha512, with_checksum};
use crate::server::{Fate, Served, Server};

const PATH: &str = "/images/debian-12.qcow2";
const MIB: usize = 1 << 20;

#[test]
fn a_file_is_downloaded_once_and_then_found_in_the_cache() {
    let (server, mut bench) = (Server::new(), Bench::new());
    let body = qcow2(MIB);
    server.put(PATH, &body, "1");
    let first = bench.fetch(request(&server.url(PATH))).expect("fetched");
    assert!(fs::read(&first).expect("there") == body);
    assert!(first.file_name().is_some_and(|name| name.to_string_lossy().ends_with("-debian-12.qcow2")), "{first:?}");
    assert_eq!(bench.fetch(request(&server.url(PATH))), Ok(first));
    assert_eq!(server.requests(PATH).len(), 1);
    assert_eq!(bench.told(|told| *told == Progress::Ready { cached: true }), 1);
    assert_eq!(bench.told(|told| matches!(told, Progress::Downloading { got, of } if *of == Some(*got))), 1);
    assert!(bench.files().iter().all(|file| !file.starts_with("partial/")), "{:?}", bench.files());
}

#[test]
fn a_cut_download_goes_on_where_it_stopped() {
    let (server, mut bench) = (Server::new(), Bench::new());
    let body = qcow2(3 * MIB);
    server.put(PATH, &body, "1");
    server.fates(PATH, &[Fate::CutAfter(MIB), Fate::CutAfter(MIB)]);
    let path = bench.fetch(request(&server.url(PATH))).expect("fetched");
    assert!(fs::read(path).expect("there") == body);
    assert_eq!(server.sent(PATH), body.len() as u64, "no byte is sent twice");
    let asked: Vec<_> = server.requests(PATH).iter().map(|request| request.headers.get("range").cloned()).collect();
    assert_eq!(asked, [None, Some(format!("bytes={MIB}-")), Some(format!("bytes={}-", 2 * MIB))]);
    assert_eq!(server.requests(PATH)[1].headers["if-range"], "\"1\"");
    assert_eq!(bench.told(|told| matches!(told, Progress::Retrying { .. })), 2);
}

#[test]
fn a_later_run_goes_on_where_an_earlier_one_gave_up() {
    let (server, mut bench) = (Server::new(), Bench::new());
    let body = qcow2(2 * MIB);
    server.put(PATH, &body, "1");
    bench.patience.attempts = 1;
    server.fates(PATH, &[Fate::CutAfter(MIB - 1)]);
    let error = bench.fetch(request(&server.url(PATH))).expect_err("cut");
    assert!(error.contains("debian") && error.contains(&server.url(PATH)), "{error}");
    bench.assert_unusable();
    bench.fetch(request(&server.url(PATH))).expect("fetched");
    assert_eq!(server.sent(PATH), body.len() as u64);
}

#[test]
fn a_file_that_changed_in_between_is_downloaded_anew() {
    let (server, mut bench) = (Server::new(), Bench::new());
    server.put(PATH, &qcow2(MIB), "1");
    server.fates(PATH, &[Fate::CutAfter(MIB / 2)]);
    bench.patience.attempts = 1;
    bench.fetch(request(&server.url(PATH))).expect_err("cut");
    let newer = qcow2(MIB + 7);
    server.put(PATH, &newer, "2");
    let path = bench.fetch(request(&server.url(PATH))).expect("fetched");
    assert!(fs::read(path).expect("there") == newer);
}

#[test]
fn a_change_that_the_server_hides_is_found_by_the_checksum_and_downloaded_anew() {
    let (server, mut bench) = (Server::new(), Bench::new());
    server.put(PATH, &qcow2(MIB), "1");
    server.fates(PATH, &[Fate::CutAfter(MIB / 2)]);
    bench.patience.attempts = 1;
    let mut newer = qcow2(MIB);
    newer[1000] = 1;
    let wanted = with_checksum(&server.url(PATH), &format!("sha256:{}", sha256(&newer)));
    bench.fetch(wanted.clone()).expect_err("cut");
    // The same ETag for other bytes.
    server.put(PATH, &newer, "1");
    let path = bench.fetch(wanted).expect("fetched");
    assert!(fs::read(path).expect("there") == newer);
}

#[test]
fn an_answer_that_does_not_fit_to_what_is_there_is_not_added_to_it() {
    let (old, longer) = (qcow2(MIB), qcow2(MIB + 7));
    let mut changed = old.clone();
    changed[1000] = 1;
    for (fate, newer, version) in [
        (Fate::AnyVersion, &changed, "2"),
        (Fate::AnyVersion, &longer, "2"),
        (Fate::AnyVersion, &longer, "1"),
        (Fate::OtherRange(5), &old, "1"),
    ] {
        let (server, mut bench) = (Server::new(), Bench::new());
        server.put(PATH, &old, "1");
        server.fates(PATH, &[Fate::CutAfter(MIB / 2)]);
        bench.patience.attempts = 1;
        bench.fetch(request(&server.url(PATH))).expect_err("cut");
        bench.patience.attempts = 3;
        // Another version, with another length or the same; the same version with another length; the wrong piece.
        server.put(PATH, newer, version);
        server.fates(PATH, std::slice::from_ref(&fate));
        let path = bench.fetch(request(&server.url(PATH))).expect("fetched");
        assert!(fs::read(path).expect("there") == *newer, "{fate:?} of version {version}");
    }
}

#[test]
fn a_server_without_ranges_sends_all_of_it_again() {
    let (server, mut bench) = (Server::new(), Bench::new());
    let body = qcow2(MIB);
    server.serve(PATH, Served { body: body.clone(), etag: Some("\"1\"".to_owned()), ranges: false, redirect: None });
    server.fates(PATH, &[Fate::CutAfter(MIB / 2)]);
    let path = bench.fetch(request(&server.url(PATH))).expect("fetched");
    assert!(fs::read(path).expect("there") == body);
}

#[test]
fn without_an_exact_version_nothing_is_resumed() {
    let (server, mut bench) = (Server::new(), Bench::new());
    let body = qcow2(MIB);
    for (path, etag) in [("/none.qcow2", None), ("/weak.qcow2", Some("W/\"1\"".to_owned()))] {
        server.serve(path, Served { body: body.clone(), etag, ranges: true, redirect: None });
        server.fates(path, &[Fate::CutAfter(MIB / 2)]);
        bench.fetch(request(&server.url(path))).expect("fetched");
        assert!(server.requests(path).iter().all(|request| !request.headers.contains_key("range")), "{path}");
    }
}

#[test]
fn a_server_that_always_cuts_at_the_same_place_is_given_up() {
    let (server, mut bench) = (Server::new(), Bench::new());
    server.serve(PATH, Served { body: qcow2(3 * MIB), etag: None, ranges: false, redirect: None });
    server.fates(PATH, &vec![Fate::CutAfter(2 * MIB); 20]);
    let error = bench.fetch(request(&server.url(PATH))).expect_err("never whole");
    assert!(error.contains("ended"), "{error}");
    assert_eq!(server.requests(PATH).len(), 3);
    bench.assert_unusable();
}

#[test]
fn a_file_that_was_whole_when_the_process_died_is_not_downloaded_again() {
    let (server, mut bench) = (Server::new(), Bench::new());
    let body = qcow2(MIB);
    server.put(PATH, &body, "1");
    let wanted = with_checksum(&server.url(PATH), &format!("sha256:{}", sha256(&body)));
    bench.patience.attempts = 1;
    server.fates(PATH, &[Fate::CutAfter(body.len() - 1)]);
    bench.fetch(wanted.clone()).expect_err("cut");
    let part = bench.files().into_iter().find(|file| file.contains(".part")).expect("kept");
    fs::write(bench.cache.root().join(part), &body).expect("written");
    bench.fetch(wanted).expect("fetched");
    assert_eq!(server.sent(PATH), body.len() as u64 - 1);
}

#[test]
fn a_missing_file_is_a_clear_error_at_once() {
    let (server, mut bench) = (Server::new(), Bench::new());
    let error = bench.fetch(request(&server.url(PATH))).expect_err("missing");
    let url = server.url(PATH);
    assert_eq!(error, format!("image `debian` cannot be downloaded: `{url}`: the server answered 404 Not Found"));
    assert_eq!(server.requests(PATH).len(), 1, "no use in asking again");
    bench.assert_untouched();
}

#[test]
fn a_server_in_trouble_is_asked_again_and_then_given_up() {
    let (server, mut bench) = (Server::new(), Bench::new());
    server.put(PATH, &qcow2(0), "1");
    server.fates(PATH, &[Fate::Status(503), Fate::Status(500)]);
    bench.fetch(request(&server.url(PATH))).expect("the third answer is the file");
    let mut other = Bench::new();
    server.fates(PATH, &vec![Fate::Status(500); 9]);
    let error = other.fetch(request(&server.url(PATH))).expect_err("in trouble");
    assert!(error.ends_with("the server answered 500 Internal Server Error"), "{error}");
    assert_eq!(server.requests(PATH).len(), 3 + 3, "three attempts each");
    other.assert_untouched();
}

#[test]
fn a_dead_server_ends_in_a_clear_error() {
    let mut bench = Bench::new();
    let url = { Server::new().url(PATH) };
    let error = bench.fetch(request(&url)).expect_err("dead");
    assert_eq!(error, format!("image `debian` cannot be downloaded: `{url}`: the server refuses the connection"));
    bench.assert_untouched();
}

#[test]
fn a_silent_server_ends_in_a_clear_error() {
    let (server, mut bench) = (Server::new(), Bench::new());
    server.put(PATH, &qcow2(MIB), "1");
    bench.patience.attempts = 2;
    bench.patience.silence = Duration::from_millis(400);
    server.fates(PATH, &[Fate::Silent, Fate::Silent]);
    let error = bench.fetch(request(&server.url(PATH))).expect_err("silent");
    assert!(error.ends_with("nothing came for 400ms"), "{error}");
    server.fates(PATH, &[Fate::HoldAfter(MIB / 2), Fate::HoldAfter(0)]);
    let error = bench.fetch(request(&server.url(PATH))).expect_err("silent in the middle");
    assert!(error.ends_with("nothing came for 400ms"), "{error}");
    bench.assert_unusable();
}

#[test]
fn redirects_are_followed_and_the_name_is_that_of_the_request() {
    let (server, mut bench) = (Server::new(), Bench::new());
    server.put("/mirror/blob-17", &qcow2(0), "1");
    let redirect = Some(server.url("/mirror/blob-17"));
    server.serve(PATH, Served { body: Vec::new(), etag: None, ranges: true, redirect });
    let path = bench.fetch(request(&server.url(PATH))).expect("fetched");
    assert!(path.to_string_lossy().ends_with("-debian-12.qcow2"), "{path:?}");
    let round = Some(server.url("/round"));
    server.serve("/round", Served { body: Vec::new(), etag: None, ranges: true, redirect: round });
    let error = bench.fetch(request(&server.url("/round"))).expect_err("for ever");
    assert!(error.contains("redirects without an end"), "{error}");
}

#[test]
fn user_and_password_are_sent_and_never_shown() {
    let (server, mut bench) = (Server::new(), Bench::new());
    server.put("/x.qcow2?token=s3cret", &qcow2(0), "1");
    let url = server.url("/x.qcow2?token=s3cret").replace("http://", "http://me:hunter2@");
    bench.fetch(request(&url)).expect("fetched");
    let sent = &server.requests("/x.qcow2?token=s3cret")[0].headers["authorization"];
    assert_eq!(sent, "Basic bWU6aHVudGVyMg==");
    let missing = url.replace("x.qcow2", "y.qcow2");
    let error = bench.fetch(request(&missing)).expect_err("missing");
    let records = bench.files().into_iter().filter(|file| file.starts_with("records/"));
    let record = records.map(|file| fs::read_to_string(bench.cache.root().join(file)).expect("text")).next();
    for text in [error, record.expect("one"), bench.pins.print(), format!("{:?}", request(&url))] {
        assert!(!text.contains("hunter2") && !text.contains("s3cret"), "{text}");
    }
}

#[test]
fn the_checksum_is_met_before_the_file_can_be_used() {
    let (server, mut bench) = (Server::new(), Bench::new());
    let body = qcow2(1000);
    server.put(PATH, &body, "1");
    for checksum in [format!("sha256:{}", sha256(&body)), format!("sha512:{}", sha512(&body).to_uppercase())] {
        let mut bench = Bench::new();
        bench.fetch(with_checksum(&server.url(PATH), &checksum)).expect("met");
    }
    let wrong = format!("sha512:{}", "0".repeat(128));
    let error = bench.fetch(with_checksum(&server.url(PATH), &wrong)).expect_err("not met");
    let url = server.url(PATH);
    let found = sha512(&body);
    assert_eq!(
        error,
        format!("image `debian` has the wrong checksum: `{url}` should be {wrong} and is sha512:{found}")
    );
    bench.assert_untouched();
}

#[test]
fn a_cached_file_with_another_checksum_is_not_taken() {
    let (server, mut bench) = (Server::new(), Bench::new());
    let (old, new) = (qcow2(1000), qcow2(2000));
    server.put(PATH, &old, "1");
    bench.fetch(request(&server.url(PATH))).expect("fetched");
    server.put(PATH, &new, "2");
    let sum = format!("sha256:{}", sha256(&new));
    let path = bench.fetch(with_checksum(&server.url(PATH), &sum)).expect("fetched anew");
    assert!(fs::read(path).expect("there") == new);
    assert_eq!(server.requests(PATH).len(), 2);
}

#[test]
fn the_checksum_is_looked_up_in_the_publishers_list() {
    let (server, mut bench) = (Server::new(), Bench::new());
    let body = qcow2(1000);
    server.put(PATH, &body, "1");
    let list = format!("{}  other.qcow2\n{} *debian-12.qcow2\n", sha512(b"other"), sha512(&body));
    server.put("/images/SHA512SUMS", list.as_bytes(), "1");
    server.fates("/images/SHA512SUMS", &[Fate::Status(503)]);
    let wanted = with_checksum(&server.url(PATH), &server.url("/images/SHA512SUMS"));
    bench.fetch(wanted.clone()).expect("met");

    let mut other = Bench::new();
    server.put("/images/SHA512SUMS", list.replace(&sha512(&body), &sha512(b"x")).as_bytes(), "2");
    let error = other.fetch(wanted.clone()).expect_err("not met");
    assert!(error.contains("has the wrong checksum"), "{error}");
    other.assert_untouched();

    server.put("/images/SHA512SUMS", b"nothing of the kind", "3");
    let error = other.fetch(wanted.clone()).expect_err("not listed");
    assert!(error.contains("/images/SHA512SUMS` has no SHA-256 or SHA-512 checksum of `debian-12.qcow2`"), "{error}");
    assert_eq!(server.requests(PATH).len(), 2, "without a checksum, the file is not even asked for");

    server.fates("/images/SHA512SUMS", &[Fate::Status(404)]);
    let error = other.fetch(wanted).expect_err("no list");
    assert!(error.contains("/images/SHA512SUMS`: the server answered 404"), "{error}");
}

#[test]
fn packed_files_are_unpacked_after_their_checksum_was_met() {
    let server = Server::new();
    let body = qcow2(3 * MIB);
    for ending in ["gz", "xz", "zst"] {
        let mut bench = Bench::new();
        let path = format!("/debian.qcow2.{ending}");
        let packed = packed(ending, &body);
        server.put(&path, &packed, "1");
        let wanted = with_checksum(&server.url(&path), &format!("sha256:{}", sha256(&packed)));
        let file = bench.fetch(wanted.clone()).expect("fetched");
        assert!(fs::read(&file).expect("there") == body, "{ending}");
        assert!(file.to_string_lossy().ends_with("-debian.qcow2"), "{file:?}");
        assert_eq!(bench.fetch(wanted), Ok(file));
        assert_eq!(server.requests(&path).len(), 1);
        assert!(bench.told(|told| matches!(told, Progress::Unpacking { .. })) > 0);
        assert!(bench.files().iter().all(|file| !file.starts_with("partial/")), "{:?}", bench.files());
    }
}

#[test]
fn a_packed_initrd_stays_packed() {
    let (server, mut bench) = (Server::new(), Bench::new());
    let packed = packed("gz", b"what a kernel unpacks by itself");
    server.put("/initrd.gz", &packed, "1");
    let kernel = ImageRequest { role: ImageRole::Kernel, ..request(&server.url("/initrd.gz")) };
    let path = bench.fetch(kernel).expect("fetched");
    assert!(fs::read(path).expect("there") == packed);
}

#[test]
fn a_full_disk_is_a_clear_error_before_the_download() {
    let (server, mut bench) = (Server::new(), Bench::new());
    server.put(PATH, &qcow2(MIB), "1");
    bench.cache = bench.cache.clone().with_free_space(|_| Ok(1000));
    let error = bench.fetch(request(&server.url(PATH))).expect_err("full");
    let root = bench.cache.root().display().to_string();
    assert_eq!(error, format!("image `debian` does not fit: it needs 1088KiB in `{root}`, where 1000B are free"));
    bench.assert_unusable();
    // Room was made: now it fits.
    bench.cache = bench.cache.clone().with_free_space(|_| Ok(1 << 40));
    bench.fetch(request(&server.url(PATH))).expect("fits");
}

#[test]
fn a_bomb_ends_when_the_disk_would_be_full() {
    let (server, mut bench) = (Server::new(), Bench::new());
    server.put("/bomb.zst", &packed("zst", &vec![0; 200 * MIB]), "1");
    bench.cache = bench.cache.clone().with_free_space(|_| Ok(100 << 20));
    let error = bench.fetch(request(&server.url("/bomb.zst"))).expect_err("too large");
    assert!(
        error.contains("does not fit: it needs more than that") && error.ends_with("where 100MiB are free"),
        "{error}"
    );
    bench.assert_unusable();
    assert!(bench.files().iter().all(|file| !file.contains(".unpacked")), "{:?}", bench.files());
}

#[test]
fn an_interrupt_ends_a_silent_download_at_once_and_keeps_what_came() {
    let (server, mut bench) = (Server::new(), Bench::new());
    let body = qcow2(2 * MIB);
    server.put(PATH, &body, "1");
    server.fates(PATH, &[Fate::HoldAfter(MIB)]);
    let begun = Instant::now();
    let errors = thread::scope(|scope| {
        let bench = &bench;
        let fetching = scope.spawn(|| bench.fetch_all(&one(request(&server.url(PATH)))));
        while bench.told(|told| matches!(told, Progress::Downloading { got, .. } if *got >= MIB as u64)) == 0 {
            assert!(begun.elapsed() < Duration::from_secs(30) && !fetching.is_finished(), "nothing comes");
            thread::yield_now();
        }
        bench.cancelled.store(true, Ordering::SeqCst);
        fetching.join().expect("no panic").expect_err("interrupted")
    });
    assert_eq!(errors[0].to_string(), "image `debian` was not fetched: interrupted");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    bench.assert_unusable();
    bench.cancelled.store(false, Ordering::SeqCst);
    bench.fetch(request(&server.url(PATH))).expect("fetched");
    let resumed = server.requests(PATH)[1].headers.get("range").cloned();
    assert_eq!(resumed, Some(format!("bytes={MIB}-")));
}

#[test]
fn every_image_that_fails_is_reported() {
    let (server, bench) = (Server::new(), Bench::new());
    server.put(PATH, &qcow2(0), "1");
    let of = |text: &str, path: &str| ImageRequest { name: name(text), ..request(&server.url(path)) };
    let all = [of("good", PATH), of("bad", "/bad"), of("worse", "/worse")];
    let all = all.into_iter().map(|request| (request.name.clone(), request)).collect();
    let errors = bench.fetch_all(&all).expect_err("two of three");
    let names: Vec<_> = errors.iter().map(|error| error.name.as_str()).collect();
    assert_eq!(names, ["bad", "worse"]);
}
