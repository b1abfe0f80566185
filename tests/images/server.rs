//! A real HTTP server on the loopback interface, which behaves as badly as a test asks it to.
//!
//! Owns sockets and threads, all of which end with it. Knows nothing of images.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What the next request for a path gets, instead of the file.
#[derive(Debug, Clone)]
pub(crate) enum Fate {
    /// This status, and no body.
    Status(u16),
    /// The file up to this byte of the body, and then the end of the connection.
    CutAfter(usize),
    /// The file up to this byte of the body, and then silence until the server is told to go on.
    HoldAfter(usize),
    /// Silence from the start.
    Silent,
    /// The range that was asked for, whatever `If-Range` says.
    AnyVersion,
    /// Another range than the one that was asked for: from this byte.
    OtherRange(usize),
}

/// A file that is served.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    pub(crate) body: Vec<u8>,
    pub(crate) etag: Option<String>,
    pub(crate) ranges: bool,
    pub(crate) redirect: Option<String>,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
}

#[derive(Default)]
struct Shared {
    files: Mutex<BTreeMap<String, Served>>,
    fates: Mutex<BTreeMap<String, Vec<Fate>>>,
    requests: Mutex<Vec<Request>>,
    /// Bytes of bodies that were written, by path.
    sent: Mutex<BTreeMap<String, u64>>,
    released: Mutex<bool>,
    changed: Condvar,
    over: AtomicBool,
}

pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        let handle = thread::spawn(move || {
            let mut connections = Vec::new();
            for stream in listener.incoming().flatten() {
                if serving.over.load(Ordering::SeqCst) {
                    break;
                }
                let serving = Arc::clone(&serving);
                connections.push(thread::spawn(move || serve(&stream, &serving)));
            }
            for connection in connections {
                connection.join().expect("a connection does not panic");
            }
        });
        Self { address, shared, listener: Some(handle) }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Serves a file with an `ETag` made of `version`.
    pub(crate) fn put(&self, path: &str, body: &[u8], version: &str) {
        let etag = Some(format!("\"{version}\""));
        self.serve(path, Served { body: body.to_vec(), etag, ranges: true, redirect: None });
    }

    pub(crate) fn serve(&self, path: &str, served: Served) {
        self.shared.files.lock().expect("unpoisoned").insert(path.to_owned(), served);
    }

    /// What the next requests for a path get, in order; after that, they get the file.
    pub(crate) fn fates(&self, path: &str, fates: &[Fate]) {
        self.shared.fates.lock().expect("unpoisoned").insert(path.to_owned(), fates.to_vec());
    }

    pub(crate) fn requests(&self, path: &str) -> Vec<Request> {
        let requests = self.shared.requests.lock().expect("unpoisoned");
        requests.iter().filter(|request| request.path == path).cloned().collect()
    }

    /// How many bytes of a file have left, in all answers together.
    pub(crate) fn sent(&self, path: &str) -> u64 {
        self.shared.sent.lock().expect("unpoisoned").get(path).copied().unwrap_or_default()
    }

    /// Waits until so many requests for a path have come.
    pub(crate) fn await_requests(&self, path: &str, count: usize) {
        let mut requests = self.shared.requests.lock().expect("unpoisoned");
        while requests.iter().filter(|request| request.path == path).count() < count {
            let (guard, timeout) =
                self.shared.changed.wait_timeout(requests, Duration::from_secs(30)).expect("unpoisoned");
            assert!(!timeout.timed_out(), "no request {count} for {path}");
            requests = guard;
        }
    }

    /// Lets what is held go on.
    pub(crate) fn release(&self) {
        *self.shared.released.lock().expect("unpoisoned") = true;
        self.shared.changed.notify_all();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.release();
        // The listener waits for a connection: this is the last one.
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            listener.join().expect("the server does not panic");
        }
    }
}

/// One request per connection; a client that goes away is no error here.
fn serve(stream: &TcpStream, shared: &Shared) {
    let _ = answer(stream, shared);
    let _ = stream.shutdown(Shutdown::Write);
    // Bytes that nobody read would turn the end of the connection into a reset, which could overtake the answer.
    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let mut stream = stream;
    let mut rest = [0; 1024];
    while matches!(stream.read(&mut rest), Ok(read) if read > 0) {}
}

fn answer(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    let request = read_request(stream)?;
    let path = request.path.clone();
    {
        shared.requests.lock().expect("unpoisoned").push(request.clone());
        shared.changed.notify_all();
    }
    let fate = {
        let mut fates = shared.fates.lock().expect("unpoisoned");
        fates.get_mut(&path).filter(|fates| !fates.is_empty()).map(|fates| fates.remove(0))
    };
    let served = shared.files.lock().expect("unpoisoned").get(&path).cloned();
    match (fate, served) {
        (Some(Fate::Status(status)), _) => status_only(stream, status),
        (Some(Fate::Silent), _) => {
            hold(shared);
            Ok(())
        }
        (_, None) => status_only(stream, 404),
        (_, Some(Served { redirect: Some(target), .. })) => {
            let mut stream = stream;
            write!(stream, "HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        }
        (fate, Some(served)) => file(stream, shared, &request, &served, fate.as_ref()),
    }
}

fn read_request(stream: &TcpStream) -> std::io::Result<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    Ok(Request { path, headers })
}

fn status_only(mut stream: &TcpStream, status: u16) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status} Told So\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

fn file(
    mut stream: &TcpStream,
    shared: &Shared,
    request: &Request,
    served: &Served,
    fate: Option<&Fate>,
) -> std::io::Result<()> {
    let header = |name: &str| request.headers.get(name);
    let etag = served.etag.as_ref();
    if etag.is_some() && header("if-none-match") == etag {
        return status_only(stream, 304);
    }
    let still_the_same =
        matches!(fate, Some(Fate::AnyVersion)) || header("if-range").is_none_or(|tag| Some(tag) == etag);
    let from = header("range")
        .filter(|_| served.ranges && still_the_same)
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok())
        .map(|from| if let Some(Fate::OtherRange(other)) = fate { *other } else { from });
    let whole = served.body.len();
    let tag = etag.map(|tag| format!("ETag: {tag}\r\n")).unwrap_or_default();
    let offset = match from {
        Some(from) if from >= whole => {
            return write!(
                stream,
                "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */{whole}\r\n{tag}Content-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        Some(from) => {
            write!(stream, "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {from}-{}/{whole}\r\n", whole - 1)?;
            from
        }
        None => {
            write!(stream, "HTTP/1.1 200 OK\r\n")?;
            0
        }
    };
    let body = &served.body[offset..];
    write!(stream, "{tag}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    match fate {
        Some(Fate::CutAfter(bytes)) => send(stream, shared, &request.path, &body[..(*bytes).min(body.len())]),
        Some(Fate::HoldAfter(bytes)) => {
            let (now, later) = body.split_at((*bytes).min(body.len()));
            send(stream, shared, &request.path, now)?;
            hold(shared);
            send(stream, shared, &request.path, later)
        }
        _ => send(stream, shared, &request.path, body),
    }
}

fn send(mut stream: &TcpStream, shared: &Shared, path: &str, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(bytes)?;
    stream.flush()?;
    *shared.sent.lock().expect("unpoisoned").entry(path.to_owned()).or_default() += bytes.len() as u64;
    Ok(())
}

fn hold(shared: &Shared) {
    let mut released = shared.released.lock().expect("unpoisoned");
    while !*released {
        released = shared.changed.wait(released).expect("unpoisoned");
    }
}
