//! Servers behind TLS, played by `openssl s_server`; where that is not installed, only what needs no server is tested.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use vmcompose::image::Progress;

use crate::bench::{Bench, qcow2, request, sha256};
use crate::server::Server;

/// A server with a certificate of its own making. Its files are whole answers, heads included.
struct Protected {
    child: Child,
    port: String,
}

impl Protected {
    fn start(folder: &Path) -> Option<Self> {
        // Not a certificate authority: an authority's own certificate is refused as a server's.
        let config = "[req]\ndistinguished_name=dn\nx509_extensions=v3\n[dn]\n[v3]\n\
                      subjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n";
        fs::write(folder.join("openssl.cnf"), config).expect("written");
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
            .args(["-config", "openssl.cnf", "-subj", "/CN=127.0.0.1", "-keyout", "key", "-out", "cert"])
            .current_dir(folder)
            .stderr(Stdio::null())
            .status()
            .ok()?;
        assert!(made.success(), "openssl makes a certificate");
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-key", "key", "-cert", "cert", "-HTTP"])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it made a certificate");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let accepts = lines.find(|line| line.starts_with("ACCEPT ")).expect("a port");
        let port = accepts.rsplit(':').next().expect("after the last colon").trim().to_owned();
        // What it prints must be read, or it stops.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { child, port })
    }
}

impl Drop for Protected {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Fetches in a process that trusts the certificates in a file. `Err` is what it said.
fn fetch_trusting(bench: &Bench, url: &str, roots: &Path, checksum: Option<&str>) -> Result<(), String> {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command
        .args(["--exact", "together::a_process_that_fetches", "--nocapture"])
        .env("VMCOMPOSE_TEST_CACHE", bench.cache.root())
        .env("VMCOMPOSE_TEST_URL", url)
        .env("SSL_CERT_FILE", roots);
    if let Some(checksum) = checksum {
        command.env("VMCOMPOSE_TEST_CHECKSUM", checksum);
    }
    let output = command.output().expect("runs");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[test]
fn a_protected_server_is_trusted_by_the_machines_certificates_only() {
    let bench = Bench::new();
    let folder = bench.folder.path();
    let Some(server) = Protected::start(folder) else { return };
    let mut answer = b"HTTP/1.0 200 OK\r\n\r\n".to_vec();
    answer.extend(qcow2(5000));
    fs::write(folder.join("debian.qcow2"), answer).expect("written");
    let url = format!("https://127.0.0.1:{}/debian.qcow2", server.port);
    fetch_trusting(&bench, &url, &folder.join("cert"), None).expect("trusted");
    assert_eq!(bench.cache.list().expect("readable")[0].content.sha256, sha256(&qcow2(5000)));

    let mut stranger = Bench::new();
    let error = stranger.fetch(request(&url)).expect_err("nobody vouches for it");
    assert!(error.ends_with("the server's certificate is vouched for by nobody whom this machine trusts"), "{error}");
    assert_eq!(stranger.told(|told| matches!(told, Progress::Retrying { .. })), 0, "no use in asking again");
    stranger.assert_untouched();
}

#[test]
fn nobody_is_led_to_an_unprotected_server_without_a_checksum() {
    let (plain, bench) = (Server::new(), Bench::new());
    let folder = bench.folder.path();
    let Some(server) = Protected::start(folder) else { return };
    let body = qcow2(5000);
    plain.put("/debian.qcow2", &body, "1");
    let answer = format!("HTTP/1.0 302 Found\r\nLocation: {}\r\n\r\n", plain.url("/debian.qcow2"));
    fs::write(folder.join("debian.qcow2"), answer).expect("written");
    let url = format!("https://127.0.0.1:{}/debian.qcow2", server.port);
    let roots = folder.join("cert");
    let error = fetch_trusting(&bench, &url, &roots, None).expect_err("led astray");
    assert!(error.contains("redirects to an unprotected address, and no checksum is given"), "{error}");
    assert_eq!(plain.requests("/debian.qcow2").len(), 0);
    bench.assert_untouched();
    // With a checksum it does not matter who sends the bytes: that is how mirrors work.
    let checksum = format!("sha256:{}", sha256(&body));
    fetch_trusting(&bench, &url, &roots, Some(&checksum)).expect("checked");
}

#[test]
fn a_server_that_speaks_no_tls_is_a_clear_error() {
    let (server, mut bench) = (Server::new(), Bench::new());
    let url = server.url("/debian.qcow2").replace("http://", "https://");
    let error = bench.fetch(request(&url)).expect_err("no TLS");
    assert!(error.starts_with(&format!("image `debian` cannot be downloaded: `{url}`: ")), "{error}");
    bench.assert_untouched();
}
