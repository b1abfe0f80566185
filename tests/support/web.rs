//! A web client that has patience, for what guests serve.
//!
//! Owns one request. Knows nothing of who answers.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What a web server at a port of this host answers, once there is one that is well.
pub(crate) fn answer(port: u16, patience: Duration) -> String {
    let until = Instant::now() + patience;
    loop {
        let mut text = String::new();
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a time-out");
            let asked = stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n");
            let _ = asked.and_then(|()| stream.read_to_string(&mut text));
        }
        if text.contains("200") || Instant::now() > until {
            return text;
        }
    }
}
