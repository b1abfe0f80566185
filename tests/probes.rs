//! Every probe that goes over the network or runs here: what passes, what fails and how that is told, what hangs, what
//! is garbage, what comes right later.

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use support::{World, attempt, up};
use vmcompose::backend::libvirt::Libvirt;
use vmcompose::backend::{Attempt, Health, Hypervisor, WayIn};
use vmcompose::model::Probe;
use vmcompose::model::health::{Http, Tls};
use vmcompose::names::ProjectName;

/// A vm that runs, to be probed at this machine's loopback.
struct Bench {
    _world: World,
    libvirt: Libvirt,
    shop: ProjectName,
}

impl Bench {
    fn new() -> Self {
        let world = World::new();
        let (libvirt, shop) = (world.connect(), support::project("shop"));
        up(&libvirt, &shop, &world, "db");
        Self { _world: world, libvirt, shop }
    }

    fn answer(&self, probe: Probe) -> Health {
        self.libvirt.probe(&self.shop, &attempt("db", probe)).expect("it may yet pass")
    }

    fn http(&self, port: u16, change: impl FnOnce(&mut Http)) -> Health {
        let mut http = Http::get(None, port, "/".to_owned());
        change(&mut http);
        self.answer(Probe::Http(Box::new(http)))
    }

    fn host(&self, script: &str) -> Health {
        self.answer(Probe::Host(["sh", "-c", script].map(str::to_owned).to_vec()))
    }
}

fn failing(words: &str) -> Health {
    Health::Failing(words.to_owned())
}

/// Answers every request with what `answer` makes of it.
fn serve(answer: impl Fn(&str) -> String + Send + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let _ = stream.write_all(answer(&String::from_utf8_lossy(&request[..length])).as_bytes());
        }
    });
    port
}

fn page(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Speaks first, then waits for the other side to hang up.
fn greet(words: &'static str) -> u16 {
    serve_first(words.as_bytes(), b"")
}

/// Speaks first, says something else to whoever has answered, then waits for the other side to hang up.
fn serve_first(words: &'static [u8], then: &'static [u8]) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let _ = stream.write_all(words);
            if !then.is_empty() && stream.read(&mut [0]).is_ok_and(|count| count > 0) {
                let _ = stream.write_all(then);
            }
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    port
}

#[test]
fn http_asks_with_the_method_and_the_headers_that_it_is_given() {
    let seen = Arc::new(Mutex::new(String::new()));
    let note = Arc::clone(&seen);
    let port = serve(move |request| {
        *note.lock().expect("no panic") = request.to_owned();
        page("200 OK", "")
    });
    let health = Bench::new().http(port, |http| {
        http.method = Some("POST".to_owned());
        http.headers =
            BTreeMap::from([("X-Shop".to_owned(), "yes".to_owned()), ("Host".to_owned(), "shop".to_owned())]);
    });
    assert_eq!(health, Health::Passing);
    let request = seen.lock().expect("no panic").to_lowercase();
    assert!(request.starts_with("post / http/1.1\r\n"), "{request}");
    assert!(request.contains("x-shop: yes\r\n") && request.contains("host: shop\r\n"), "{request}");
}

#[test]
fn http_judges_status_body_and_json() {
    let bench = Bench::new();
    let port = serve(|_| page("503 Service Unavailable", r#"{"status": "starting", "db": {"ok": false}}"#));
    let status = |text: &str| vec![text.parse().expect("a status")];
    assert_eq!(bench.http(port, |_| {}), failing("HTTP 503 Service Unavailable"));
    assert_eq!(bench.http(port, |http| http.status = status("500-599")), Health::Passing);
    let body = |http: &mut Http, pattern: &str| {
        http.status = status("503");
        http.body = Some(pattern.to_owned());
    };
    assert_eq!(bench.http(port, |http| body(http, "\"starting\"")), Health::Passing);
    let Health::Failing(words) = bench.http(port, |http| body(http, "ready")) else { panic!("it is not ready") };
    assert!(words.starts_with("the body does not match `ready`: "), "{words}");
    let json = |http: &mut Http, path: &str, value: serde_json::Value| {
        http.status = status("503");
        http.json.insert(path.to_owned(), value);
    };
    assert_eq!(bench.http(port, |http| json(http, "db.ok", false.into())), Health::Passing);
    assert_eq!(bench.http(port, |http| json(http, "db.ok", true.into())), failing("`db.ok` is `false`, not true"));
}

#[test]
fn http_tells_garbage_and_silence_apart_and_sees_recovery() {
    let bench = Bench::new();
    let Health::Failing(words) = bench.http(serve(|_| "220 smtp\r\n".to_owned()), |_| {}) else { panic!("no HTTP") };
    assert!(words.starts_with("no HTTP: "), "{words}");
    assert_eq!(bench.http(greet(""), |_| {}), failing("no answer in time"));
    let endless = serve(|_| format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(2 << 20)));
    assert_eq!(bench.http(endless, |http| http.body = Some("y".to_owned())), failing("the body is longer than 1 MiB"));
    let calls = Mutex::new(0);
    let later = serve(move |_| {
        let mut calls = calls.lock().expect("no panic");
        *calls += 1;
        page(if *calls < 3 { "500 Internal Server Error" } else { "200 OK" }, "")
    });
    let answers: Vec<bool> = (0..3).map(|_| bench.http(later, |_| {}) == Health::Passing).collect();
    assert_eq!(answers, [false, false, true]);
}

/// An HTTPS server for `localhost` and the loopback, and its own certificate as PEM.
fn secure() -> (u16, String) {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a server");
    let config = Arc::new(config);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let session = rustls::ServerConnection::new(Arc::clone(&config)).expect("a session");
            let mut stream = rustls::StreamOwned::new(session, stream.expect("a connection"));
            // Whoever does not believe us hangs up here.
            if stream.read(&mut [0; 1024]).is_ok() {
                let _ = stream.write_all(page("200 OK", "").as_bytes());
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    (port, made.cert.pem())
}

#[test]
fn https_believes_whom_it_is_told_to() {
    let bench = Bench::new();
    let (port, pem) = secure();
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("ca.pem");
    let with = |tls: Tls| bench.http(port, |http| http.tls = Some(tls));
    assert_eq!(with(Tls { insecure: true, ca: None }), Health::Passing);
    let own = || Tls { insecure: false, ca: Some(ca.clone()) };
    let Health::Failing(words) = with(own()) else { panic!("there is no such file yet") };
    assert!(words.contains("ca.pem") && words.contains("cannot read the authorities"), "{words}");
    std::fs::write(&ca, "no certificate").expect("written");
    assert!(matches!(with(own()), Health::Failing(words) if words.contains("no certificate in it")));
    std::fs::write(&ca, pem).expect("written");
    assert_eq!(with(own()), Health::Passing);
    let Health::Failing(words) = with(Tls::default()) else { panic!("nobody vouches for it") };
    assert!(words.to_lowercase().contains("certificate"), "{words}");
    let Health::Failing(words) = bench.http(serve(|_| page("200 OK", "")), |http| http.tls = Some(own())) else {
        panic!("that server speaks no TLS")
    };
    assert!(!words.is_empty());
}

#[test]
fn ssh_waits_for_the_greeting() {
    let bench = Bench::new();
    let ssh = |port| bench.answer(Probe::Ssh { host: None, port });
    assert_eq!(ssh(greet("SSH-2.0-OpenSSH_9.2\r\n")), Health::Passing);
    assert_eq!(ssh(greet("Only for staff.\r\nSSH-2.0-x\r\n")), Health::Passing);
    assert_eq!(ssh(greet("")), failing("no answer in time"));
    assert_eq!(ssh(serve(|_| page("400 Bad Request", ""))), failing("no answer in time"), "it waits to be spoken to");
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr()).expect("a port").port();
    assert_eq!(ssh(closed), failing("connection refused"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let hangs_up = thread::spawn(move || drop(listener.accept()));
    assert_eq!(ssh(port), failing("closed without a greeting"));
    hangs_up.join().expect("it accepted");
}

#[test]
fn ssh_logs_in_where_a_key_is_known_and_tells_why_it_could_not() {
    let bench = Bench::new();
    let folder = tempfile::tempdir().expect("a folder");
    let (key, _) = support::ssh_key(folder.path());
    let ssh = |port, timeout| {
        let login = Some(WayIn { user: "ada".to_owned(), port, key: key.clone() });
        let attempt = Attempt { login, timeout, ..attempt("db", Probe::Ssh { host: None, port }) };
        bench.libvirt.probe(&bench.shop, &attempt).expect("it may yet pass")
    };
    let within = Duration::from_mins(1);
    let not_in = |health: Health| match health {
        Health::Failing(words) if words.starts_with("the server answers, but does not let `ada` in: ") => words,
        other => panic!("{other:?}"),
    };
    // The greeting is good, and what comes after it is none of SSH, or nothing at all.
    let garbage = not_in(ssh(serve_first(b"SSH-2.0-OpenSSH_9.2\r\n", &[0xff; 4096]), within));
    assert!(!garbage.contains("in time") && !garbage.contains("exit code"), "{garbage}");
    let hangs = not_in(ssh(greet("SSH-2.0-OpenSSH_9.2\r\n"), Duration::from_secs(2)));
    assert!(hangs.ends_with("the command did not end in time"), "{hangs}");
    // Without a greeting nothing is told to anybody.
    assert_eq!(ssh(greet(""), Duration::from_millis(500)), failing("no answer in time"));
}

#[test]
fn tcp_and_ssh_see_a_server_that_comes_goes_and_comes_back() {
    let bench = Bench::new();
    let listen = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("a port");
    let listener = listen(0);
    let port = listener.local_addr().expect("bound").port();
    let tcp = || bench.answer(Probe::Tcp { host: None, port });
    let ssh = || bench.answer(Probe::Ssh { host: None, port });
    // What the server says does not matter to one, and is all that matters to the other.
    let garbage = thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().expect("a visitor");
            let _ = stream.write_all(b"\xff\x00garbage\n");
        }
    });
    assert_eq!((tcp(), ssh()), (Health::Passing, failing("no SSH server")));
    garbage.join().expect("two visitors");
    assert_eq!((tcp(), ssh()), (failing("connection refused"), failing("connection refused")));
    let listener = listen(port);
    let back = thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().expect("a visitor");
            let _ = stream.write_all(b"SSH-2.0-back\r\n");
        }
    });
    assert_eq!((tcp(), ssh()), (Health::Passing, Health::Passing));
    back.join().expect("two visitors");
}

#[test]
fn tcp_gives_up_on_a_server_that_does_not_take_its_visitors() {
    let bench = Bench::new();
    // Room for one that waits; the kernel answers no further one.
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None);
    let socket = socket.expect("a socket");
    rustix::net::bind(&socket, &std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("bound");
    rustix::net::listen(&socket, 0).expect("it listens");
    let port = TcpListener::from(socket.try_clone().expect("a copy")).local_addr().expect("bound").port();
    let tcp = || bench.answer(Probe::Tcp { host: None, port });
    let held = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("there is room for one");
    let answers: Vec<Health> = (0..3).map(|_| tcp()).collect();
    assert!(answers.contains(&failing("no answer in time")), "{answers:?}");
    drop(held);
}

#[test]
fn a_command_on_the_host_that_recovers_passes() {
    let bench = Bench::new();
    let folder = tempfile::tempdir().expect("a folder");
    let script = format!(
        "cat {0} 2>/dev/null | grep -q ready || {{ printf '\\377garbage' >&2; exit 1; }}",
        folder.path().join("state").display()
    );
    assert_eq!(bench.host(&script), failing("exit code 1: \u{fffd}garbage"));
    std::fs::write(folder.path().join("state"), "ready").expect("written");
    assert_eq!(bench.host(&script), Health::Passing);
}

#[test]
fn a_command_on_the_host_knows_the_vm_and_says_how_it_failed() {
    let bench = Bench::new();
    assert_eq!(
        bench.host("test \"$VMCOMPOSE_PROJECT/$VMCOMPOSE_VM/$VMCOMPOSE_IP\" = shop/db/127.0.0.1"),
        Health::Passing
    );
    assert_eq!(bench.host("echo; echo not yet >&2; exit 3"), failing("exit code 3: not yet"));
    assert_eq!(bench.host("kill -9 $$"), failing("signal: 9 (SIGKILL)"));
    let missing = bench.answer(Probe::Host(vec!["/nonexistent/check".to_owned()]));
    assert!(
        matches!(&missing, Health::Failing(words) if words.starts_with("cannot run `/nonexistent/check`")),
        "{missing:?}"
    );
}

#[test]
fn a_command_on_the_host_that_hangs_is_ended_with_all_that_it_started() {
    let bench = Bench::new();
    let folder = tempfile::tempdir().expect("a folder");
    let pid = folder.path().join("pid");
    let script = format!("sleep 1000 & echo $! > {}; wait", pid.display());
    assert_eq!(bench.host(&script), failing("the command did not end in time"));
    let child = std::fs::read_to_string(&pid).expect("it was started");
    let gone = || !std::path::Path::new("/proc").join(child.trim()).join("fd").exists() || zombie(child.trim());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !gone() {
        assert!(std::time::Instant::now() < deadline, "process {child} still runs");
        thread::yield_now();
    }
}

fn zombie(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

#[test]
fn a_vm_whose_end_is_waited_for_passes_when_it_has_powered_itself_off() {
    let bench = Bench::new();
    let ask = || bench.libvirt.probe(&bench.shop, &Attempt { address: None, ..attempt("db", Probe::Completed) });
    assert_eq!(ask().expect("it runs"), failing("the vm still runs"));
    let stop = |grace| vmcompose::plan::Operation::StopVm { name: "db".parse().expect("legal"), grace };
    // The test driver's guest obeys the power button, which is the same as powering itself off.
    bench.libvirt.apply(&bench.shop, &stop(vmcompose::units::Span::secs(30))).expect("stopped");
    assert_eq!(ask().expect("it has ended"), Health::Passing);
}

#[test]
fn a_vm_whose_plug_was_pulled_has_not_completed() {
    let bench = Bench::new();
    let stop = vmcompose::plan::Operation::StopVm {
        name: "db".parse().expect("legal"),
        grace: vmcompose::units::Span::secs(0),
    };
    bench.libvirt.apply(&bench.shop, &stop).expect("stopped");
    let error = bench.libvirt.probe(&bench.shop, &attempt("db", Probe::Completed)).expect_err("it cannot come right");
    assert_eq!(error.message, "vm `db` is shut off: somebody pulled the plug");
}
