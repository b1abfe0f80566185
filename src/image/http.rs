//! One request to a server, on a thread of its own, so that whoever waits for the answer can be interrupted at any time.
//!
//! Owns the HTTP client, its time limits, and which failures are worth another attempt. Knows nothing of files.

use std::io::{self, Read as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use ureq::Agent;
use ureq::http::{Response, header};
use ureq::tls::{RootCerts, TlsConfig};

use super::error::{Fault, Problem};
use super::proxy;

/// How long to wait for a server, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For a connection, with name and encryption settled.
    pub connect: Duration,
    /// For the next bytes.
    pub silence: Duration,
    /// How many attempts in all, as long as none of them gets anywhere.
    pub attempts: u32,
    /// Before the second attempt; doubled for each one after.
    pub pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            silence: Duration::from_secs(30),
            attempts: 5,
            pause: Duration::from_secs(1),
        }
    }
}

/// Why an attempt failed, and whether another could succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) problem: Problem,
    pub(crate) again: bool,
    /// The server's wish.
    pub(crate) after: Option<Duration>,
}

/// Why there is no next piece.
pub(crate) enum Stop {
    Cancelled,
    Failed(Failure),
}

/// What is asked for.
pub(crate) struct Ask {
    pub(crate) url: String,
    pub(crate) headers: Vec<(header::HeaderName, String)>,
    /// Refuse to be led to an unprotected server.
    pub(crate) secure: bool,
}

/// What of an answer's head matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
    pub(crate) length: Option<u64>,
    /// First byte and whole length, of a `Content-Range`.
    pub(crate) range: (Option<u64>, Option<u64>),
    pub(crate) retry_after: Option<Duration>,
}

enum Piece {
    Head(Head),
    Bytes(Vec<u8>),
    End,
}

type Message = Result<Piece, Failure>;

/// An answer on its way.
pub(crate) struct Answer {
    pieces: Receiver<Message>,
}

pub(crate) fn agent(patience: &Patience) -> Agent {
    // The roots of the machine: what a company has added there for its proxy is trusted.
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_resolve(Some(patience.connect))
        .timeout_connect(Some(patience.connect))
        .timeout_send_request(Some(patience.silence))
        .timeout_recv_response(Some(patience.silence))
        .timeout_per_read(Some(patience.silence))
        .user_agent(concat!("vmcompose/", env!("CARGO_PKG_VERSION")))
        // Checksums are over the file as it is published.
        .accept_encoding("identity")
        .tls_config(tls)
        .build();
    Agent::new_with_config(config)
}

/// Asks, and returns at once. When the answer is dropped before its end, the thread ends at its next piece, or when the
/// server has been silent for too long; it holds nothing but a connection.
pub(crate) fn ask(agent: &Agent, patience: &Patience, ask: Ask) -> Answer {
    let (sender, pieces) = sync_channel(4);
    let (agent, silence) = (agent.clone(), *patience);
    thread::spawn(move || {
        if let Err(failure) = transfer(&agent, &ask, &sender) {
            let _ = sender.send(Err(failure.timed(&silence)));
        }
    });
    Answer { pieces }
}

const PIECE: usize = 256 << 10;

fn transfer(agent: &Agent, ask: &Ask, sender: &SyncSender<Message>) -> Result<(), Failure> {
    let mut request = agent.get(&ask.url);
    for (name, value) in &ask.headers {
        request = request.header(name, value);
    }
    let proxy = proxy::of(&ask.url, |name| std::env::var(name).ok());
    let response = request.config().https_only(ask.secure).proxy(proxy).build().call().map_err(failure)?;
    let head = head(&response);
    if sender.send(Ok(Piece::Head(head))).is_err() {
        return Ok(());
    }
    let mut body = response.into_body().into_with_config().limit(u64::MAX).reader();
    loop {
        let mut bytes = vec![0; PIECE];
        let read = match body.read(&mut bytes) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failure(error.into())),
        };
        bytes.truncate(read);
        let piece = if read == 0 { Piece::End } else { Piece::Bytes(bytes) };
        if sender.send(Ok(piece)).is_err() || read == 0 {
            return Ok(());
        }
    }
}

impl Answer {
    pub(crate) fn head(&self, cancelled: &dyn Fn() -> bool) -> Result<Head, Stop> {
        match self.next(cancelled)? {
            Piece::Head(head) => Ok(head),
            Piece::Bytes(_) | Piece::End => Err(Stop::Failed(lost())),
        }
    }

    /// The next bytes, or `None` at the end.
    pub(crate) fn bytes(&self, cancelled: &dyn Fn() -> bool) -> Result<Option<Vec<u8>>, Stop> {
        match self.next(cancelled)? {
            Piece::Bytes(bytes) => Ok(Some(bytes)),
            Piece::End => Ok(None),
            Piece::Head(_) => Err(Stop::Failed(lost())),
        }
    }

    fn next(&self, cancelled: &dyn Fn() -> bool) -> Result<Piece, Stop> {
        loop {
            if cancelled() {
                return Err(Stop::Cancelled);
            }
            match self.pieces.recv_timeout(Duration::from_millis(50)) {
                Ok(message) => return message.map_err(Stop::Failed),
                Err(RecvTimeoutError::Timeout) => {}
                // The thread ends with a message, unless it panicked.
                Err(RecvTimeoutError::Disconnected) => return Err(Stop::Failed(lost())),
            }
        }
    }
}

/// Waits before another attempt, unless interrupted.
pub(crate) fn pause(duration: Duration, cancelled: &dyn Fn() -> bool) -> Result<(), Fault> {
    const STEP: Duration = Duration::from_millis(50);
    let mut left = duration;
    while !left.is_zero() {
        if cancelled() {
            return Err(Fault::Cancelled);
        }
        let step = left.min(STEP);
        thread::sleep(step);
        left -= step;
    }
    Ok(())
}

fn lost() -> Failure {
    Failure { problem: Problem::Network("the transfer broke off".to_owned()), again: false, after: None }
}

fn head<B>(response: &Response<B>) -> Head {
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |name| text(name).and_then(|value| value.parse().ok());
    Head {
        status: response.status().as_u16(),
        etag: text(header::ETAG).map(str::to_owned),
        last_modified: text(header::LAST_MODIFIED).map(str::to_owned),
        length: number(header::CONTENT_LENGTH),
        range: text(header::CONTENT_RANGE).map_or((None, None), range),
        retry_after: number(header::RETRY_AFTER).map(Duration::from_secs),
    }
}

/// `bytes 500-999/1000`, or `bytes */1000` of a range that cannot be satisfied (RFC 9110, section 14.4).
fn range(text: &str) -> (Option<u64>, Option<u64>) {
    let Some((range, whole)) = text.strip_prefix("bytes ").and_then(|rest| rest.split_once('/')) else {
        return (None, None);
    };
    (range.split_once('-').and_then(|(first, _)| first.trim().parse().ok()), whole.trim().parse().ok())
}

/// A status that is no answer. Those that say "not now" are worth another attempt, those that say "no" are not.
pub(crate) fn refused(head: &Head) -> Failure {
    let again = matches!(head.status, 408 | 425 | 429 | 500..=599);
    Failure { problem: Problem::Status(head.status), again, after: head.retry_after }
}

impl Failure {
    /// Fills in how long was waited, which the client does not tell.
    fn timed(mut self, patience: &Patience) -> Self {
        if let Problem::Silent(waited) = &mut self.problem
            && waited.is_zero()
        {
            *waited = patience.silence;
        }
        self
    }
}

fn failure(error: ureq::Error) -> Failure {
    let network = |words: &str, again| Failure { problem: Problem::Network(words.to_owned()), again, after: None };
    match error {
        ureq::Error::Timeout(ureq::Timeout::Resolve) => network("the name of the server is not resolved in time", true),
        ureq::Error::Timeout(ureq::Timeout::Connect) => {
            network("the server does not take the connection in time", true)
        }
        ureq::Error::Timeout(_) => Failure { problem: Problem::Silent(Duration::ZERO), again: true, after: None },
        ureq::Error::HostNotFound => network("the name of the server is not known", true),
        ureq::Error::ConnectionFailed | ureq::Error::BodyStalled => network("the connection failed", true),
        ureq::Error::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => network("the server refuses the connection", true),
            io::ErrorKind::UnexpectedEof => network("the server ended the connection", true),
            io::ErrorKind::ConnectionReset => network("the server reset the connection", true),
            // What is wrong with its certificate or its encryption today will be wrong in a second.
            io::ErrorKind::InvalidData => network(&untrusted(&error.to_string()), false),
            _ => network(&error.to_string(), true),
        },
        ureq::Error::TooManyRedirects => network("the server redirects without an end", false),
        ureq::Error::RequireHttpsOnly(_) => {
            network("the server redirects to an unprotected address, and no checksum is given", false)
        }
        ureq::Error::Protocol(error) => network(&error.to_string(), true),
        error => network(&untrusted(&error.to_string()), false),
    }
}

/// The TLS library's words for a certificate are names of its own types: these are for people.
fn untrusted(text: &str) -> String {
    let Some((_, why)) = text.split_once("invalid peer certificate: ") else { return text.to_owned() };
    let words = if why.starts_with("UnknownIssuer") {
        "is vouched for by nobody whom this machine trusts"
    } else if why.contains("NotValidForName") {
        "is for another name"
    } else if why.contains("xpired") {
        "has expired"
    } else {
        "is not valid"
    };
    format!("the server's certificate {words}")
}
