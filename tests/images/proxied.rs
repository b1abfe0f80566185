//! Downloads through a proxy, which alone knows where the server is.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crate::bench::{Bench, qcow2};
use crate::server::Server;

const PATH: &str = "/debian.qcow2";

/// Answers `CONNECT` for whatever host with a tunnel to one server.
struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

impl Proxy {
    fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (asked, over) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicBool>::default());
        let (log, ends) = (Arc::clone(&asked), Arc::clone(&over));
        let serve = move || {
            for client in listener.incoming().flatten() {
                if ends.load(Ordering::SeqCst) {
                    break;
                }
                let log = Arc::clone(&log);
                thread::spawn(move || tunnel(&client, server, &log));
            }
        };
        Self { address, asked, over, listener: Some(thread::spawn(serve)) }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("unpoisoned").clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            listener.join().expect("the proxy does not panic");
        }
    }
}

/// A client that goes away is no error here.
fn tunnel(client: &TcpStream, server: SocketAddr, log: &Mutex<Vec<String>>) -> Option<()> {
    let mut head = BufReader::new(client).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let first = head.next()?;
    // To the last line: what is left would go to the server.
    let lines: Vec<String> = head.by_ref().collect();
    let authorised = lines.iter().any(|line| line.eq_ignore_ascii_case("proxy-authorization: basic dTpw"));
    log.lock().ok()?.push(format!("{first}{}", if authorised { " as u" } else { "" }));
    let server = TcpStream::connect(server).ok()?;
    (&mut &*client).write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").ok()?;
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = io::copy(&mut &*client, &mut &server);
            let _ = server.shutdown(Shutdown::Write);
        });
        let _ = io::copy(&mut &server, &mut &*client);
        let _ = client.shutdown(Shutdown::Both);
    });
    Some(())
}

fn pull(bench: &Bench, url: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmcompose"));
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command.args(["image", "pull", url]).current_dir(bench.folder.path());
    command.env("XDG_CACHE_HOME", bench.folder.path()).envs(variables.iter().copied()).output().expect("runs")
}

#[test]
fn a_download_goes_through_the_proxy_which_alone_knows_the_host() {
    let (server, bench) = (Server::new(), Bench::new());
    server.put(PATH, &qcow2(0), "1");
    let address: SocketAddr = server.url("").trim_start_matches("http://").parse().expect("an address");
    let proxy = Proxy::to(address);
    let output =
        pull(&bench, "http://images.invalid/debian.qcow2", &[("http_proxy", &format!("http://u:p@{}", proxy.address))]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(proxy.asked(), ["CONNECT images.invalid:80 HTTP/1.1 as u"]);
    assert_eq!(server.requests(PATH).len(), 1);
}

#[test]
fn what_no_proxy_names_is_asked_directly() {
    let (server, bench) = (Server::new(), Bench::new());
    server.put(PATH, &qcow2(0), "1");
    // Nobody listens at the proxy's address by the time of the download.
    let gone = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("an address");
    let http = format!("http://{gone}");
    let output = pull(&bench, &server.url(PATH), &[("HTTP_PROXY", &http), ("NO_PROXY", "localhost, 127.0.0.1")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = pull(&bench, &server.url("/other.qcow2"), &[("https_proxy", &http)]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the server answered 404"), "the proxy of another scheme was asked: {said}");
}
