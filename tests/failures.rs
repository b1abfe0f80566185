//! Gates that do not open, each of another kind, as a user sees them: what `up` says, and what `why` says afterwards.
//!
//! On libvirt's test driver behind the daemon, with servers and commands of this machine's. `BLESS=1` takes new texts; read
//! them.

mod support;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::thread;

use regex::Regex;
use support::desk::Desk;

/// A server that does this to everybody who connects.
fn server(greet: impl Fn(&mut std::net::TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            greet(&mut stream.expect("a connection"));
        }
    });
    port
}

fn http(status: &'static str, body: &'static str) -> u16 {
    server(move |stream| {
        let _ = stream.read(&mut [0; 2048]);
        let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    })
}

/// A port on which nobody listens.
fn closed() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("bound").port()
}

/// Two vms, the second behind the gate of the first.
fn desk(check: &str) -> Desk {
    Desk::online(&format!(
        "vms:\n  db:\n    boot: {{ kernel: ./kernel }}\n    healthcheck: {{ {check} }}\n  web:\n    boot: {{ kernel: ./kernel }}\n    \
         depends_on: [db]\n"
    ))
}

/// What is another each time, by one word.
fn same_each_time(desk: &Desk, text: &str) -> String {
    let mut text = text.replace(desk.path().to_str().expect("UTF-8"), "FOLDER").replace(&desk.project, "PROJECT");
    for (pattern, word) in [
        (r"PROJECT-[0-9a-f]{8}/\S+?-\d+", "PROJECT-HYPERVISOR/RUN"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
        (r"\b\d+(\.\d+)?s\b", "TIME"),
        (r"\b\d+ attempts", "N attempts"),
        (r"attempt \d+", "attempt N"),
        (r"of \d{4}-\S+Z, process \d+ on \S+", "of DATE, process PID on HOST"),
    ] {
        text = Regex::new(pattern).expect("a pattern").replace_all(&text, word).into_owned();
    }
    text
}

/// Holds what is said against the text that was read.
fn fails(name: &str, desk: &Desk) {
    let up = desk.run(&["up", "--progress", "quiet"]);
    assert_eq!(up.code, 6, "{}", up.stderr);
    let why = |vm: &str| {
        let why = desk.run(&["why", vm]);
        assert_eq!(why.code, 0, "{}", why.stderr);
        same_each_time(desk, &why.stdout)
    };
    let said = same_each_time(desk, &up.stderr);
    let text =
        format!("$ vmcompose up\n{said}\n$ vmcompose why db\n{}\n$ vmcompose why web\n{}", why("db"), why("web"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/failures").join(format!("{name}.txt"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &text).expect("written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(text == expected, "{name} differs; now it is:\n{text}\n--- expected:\n{expected}");
    assert!(desk.inventory().is_empty(), "{:?}", desk.inventory());
}

const IMPATIENT: &str = "interval: 20ms, retries: 3, start_period: 0s, timeout: 300ms";

fn probe(name: &str, probe: &str) {
    fails(name, &desk(&format!("{probe}, {IMPATIENT}")));
}

#[test]
fn nobody_listens() {
    probe("tcp-refused", &format!("tcp: {{ host: 127.0.0.1, port: {} }}", closed()));
}

#[test]
fn a_server_answers_with_an_error() {
    let port = http("503 Service Unavailable", "starting");
    probe("http-status", &format!("http: {{ host: 127.0.0.1, port: {port}, path: /healthz }}"));
}

#[test]
fn a_server_says_that_it_is_not_ready() {
    let port = http("200 OK", "{\"status\": \"migrating\"}");
    probe("http-json", &format!("http: {{ host: 127.0.0.1, port: {port}, json: {{ status: ok }} }}"));
}

#[test]
fn a_server_speaks_another_protocol() {
    let port = server(|stream| {
        let _ = stream.write_all(b"220 mail.example ESMTP\r\n");
        let _ = stream.read(&mut [0; 2048]);
    });
    probe("http-garbage", &format!("http: {{ host: 127.0.0.1, port: {port} }}"));
}

#[test]
fn a_server_accepts_and_is_silent() {
    let port = server(|stream| {
        let _ = stream.read(&mut [0; 1]);
    });
    probe("ssh-silent", &format!("ssh: {{ host: 127.0.0.1, port: {port} }}"));
}

#[test]
fn a_command_of_the_hosts_fails() {
    probe("host-fails", "host: \"echo the licence server is away >&2; exit 3\"");
}

#[test]
fn a_command_of_the_hosts_hangs() {
    probe("host-hangs", "host: [sleep, '1000']");
}

#[test]
fn it_never_passes_often_enough_in_a_row_before_the_deadline() {
    let count = std::sync::atomic::AtomicU32::new(0);
    let port = server(move |stream| {
        let even = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst).is_multiple_of(2);
        let _ = stream.read(&mut [0; 2048]);
        let status = if even { "200 OK" } else { "500 Internal Server Error" };
        let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
    });
    let check = format!(
        "http: {{ host: 127.0.0.1, port: {port} }}, interval: 20ms, start_period: 0s, success_threshold: 2, deadline: 400ms"
    );
    let desk = desk(&check);
    let up = desk.run(&["up", "--progress", "quiet"]);
    // Which of the two answers was the last depends on the moment.
    assert_eq!(up.code, 6, "{}", up.stderr);
    assert!(up.stderr.contains("vm `db` is not healthy after"), "{}", up.stderr);
    let last = ["last answer: HTTP 500 Internal Server Error", "last answer: passed 1 of 2 times in a row"];
    assert!(last.iter().any(|last| up.stderr.contains(last)), "{}", up.stderr);
}

#[test]
fn the_guest_has_no_agent() {
    probe("agent-missing", "agent: true");
}

#[test]
fn cloud_init_cannot_be_asked() {
    probe("cloud-init-missing", "cloud_init: true");
}

#[test]
fn the_console_is_not_recorded() {
    probe("console-missing", "console: 'login:'");
}

#[test]
fn somebody_kills_the_vm() {
    let (tell, told) = std::sync::mpsc::channel::<String>();
    let told = std::sync::Mutex::new(Some(told));
    let port = server(move |stream| {
        // Its first visitor is the probe; the name of the vm that it belongs to is waited for.
        if let Some(told) = told.lock().expect("no panic under the lock").take() {
            let name = told.recv().expect("the name");
            let connect = virt::connect::Connect::open(Some(support::desk::URI)).expect("the daemon runs");
            let domain = virt::domain::Domain::lookup_by_name(&connect, &name).expect("it runs");
            domain.destroy().expect("destroyed");
        }
        let _ = stream.read(&mut [0; 1]);
    });
    let check = format!("ssh: {{ host: 127.0.0.1, port: {port} }}, interval: 1h, timeout: 1h, start_period: 0s");
    let desk = desk(&check);
    tell.send(format!("{}-db", desk.project)).expect("it is waited for");
    fails("killed", &desk);
}
