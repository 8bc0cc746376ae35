//! An HTTP peer that answers with bytes: half an answer, none, or one without an end.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// What a request is answered with.
#[derive(Clone, Debug)]
pub enum Raw {
    /// These bytes, then the connection is closed: none at all for a peer that took the request and died.
    Bytes(Vec<u8>),
    /// 200 and a body without an end, until the other side hangs up.
    Endless,
}

impl Raw {
    /// A whole answer of this status line and body, with its length.
    pub fn answer(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        let text = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}");
        Self::Bytes(text.into_bytes())
    }

    /// 200 that promises more than it sends, then hangs up.
    pub fn cut(body: &str) -> Self {
        let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len() + 100);
        Self::Bytes(text.into_bytes())
    }
}

#[derive(Default)]
struct Seen {
    bodies: Vec<String>,
    planned: VecDeque<Raw>,
    usual: Option<Raw>,
    /// Bytes of endless answers that the other side took.
    poured: usize,
    stop: bool,
}

/// A running peer; takes no more connections once dropped.
pub struct RawPeer {
    port: u16,
    seen: Arc<Mutex<Seen>>,
}

impl RawPeer {
    /// Listens on a free port of 127.0.0.1; `usual` answers whatever is not planned.
    pub fn start(usual: Raw) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("cannot listen");
        let port = listener.local_addr().expect("an address").port();
        let seen = Arc::new(Mutex::new(Seen { usual: Some(usual), ..Seen::default() }));
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if lock(&shared).stop {
                    return;
                }
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || {
                    // A client that goes away is no fault of the peer.
                    let _ = stream.and_then(|stream| serve(stream, &shared));
                });
            }
        });
        Self { port, seen }
    }

    /// `http://127.0.0.1:PORT` + `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Answers the next request with this. Calls add up.
    pub fn next(&self, raw: Raw) {
        lock(&self.seen).planned.push_back(raw);
    }

    /// The bodies of all requests so far.
    pub fn bodies(&self) -> Vec<String> {
        lock(&self.seen).bodies.clone()
    }

    /// How much of endless answers was taken, in bytes.
    pub fn poured(&self) -> usize {
        lock(&self.seen).poured
    }
}

impl Drop for RawPeer {
    fn drop(&mut self) {
        lock(&self.seen).stop = true;
        // Wakes the listener.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn serve(mut stream: TcpStream, seen: &Mutex<Seen>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut lines = BufReader::new(stream.try_clone()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    lines.read_exact(&mut body)?;
    let raw = {
        let mut seen = lock(seen);
        seen.bodies.push(String::from_utf8_lossy(&body).into_owned());
        seen.planned.pop_front().or(seen.usual.clone())
    };
    match raw {
        Some(Raw::Bytes(bytes)) => stream.write_all(&bytes),
        Some(Raw::Endless) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")?;
            let part = [b'x'; 64 * 1024];
            loop {
                stream.write_all(&part)?;
                lock(seen).poured += part.len();
            }
        }
        None => Ok(()),
    }
}
