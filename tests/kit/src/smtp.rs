//! A local mail server: takes messages, keeps them, and fails as it is told. In the clear, after STARTTLS, or encrypted from
//! the first byte by a certificate of an authority of its own.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine as _;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// One message as it was taken.
#[derive(Clone, Debug)]
pub struct Mail {
    pub from: String,
    pub to: Vec<String>,
    /// What the client signed in with (`AUTH PLAIN`, base64); empty: it did not.
    pub auth: String,
    /// Head and body with `\r\n`, dots unstuffed.
    pub text: String,
}

impl Mail {
    /// A header's value; folded lines are joined.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.text.split("\r\n\r\n").next()?.replace("\r\n ", " ").replace("\r\n\t", " ");
        let wanted = format!("{}:", name.to_lowercase());
        head.lines()
            .find(|line| line.to_lowercase().starts_with(&wanted))?
            .split_once(':')
            .map(|(_, v)| v.trim().into())
    }

    /// What follows the head, as it was encoded.
    pub fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }
}

/// What the server does with a message whose text it has.
#[derive(Clone, Debug)]
enum Turn {
    /// Answers with this line and forgets the message.
    Refuse(String),
    /// Keeps the message and hangs up without an answer.
    HangUp,
}

#[derive(Default)]
struct Behaviour {
    kept: Vec<Mail>,
    planned: VecDeque<Turn>,
    always: Option<Turn>,
    commands: Vec<String>,
    /// Those that came unencrypted.
    in_clear: Vec<String>,
    /// What a client must sign in with, as `AUTH PLAIN` sends it; `None`: anything.
    account: Option<String>,
    stop: bool,
}

/// How the server encrypts.
#[derive(Clone)]
enum Encryption {
    None,
    StartTls(Arc<ServerConfig>),
    Implicit(Arc<ServerConfig>),
}

/// A running mail server; takes no more connections once dropped.
pub struct Smtp {
    port: u16,
    behaviour: Arc<Mutex<Behaviour>>,
    authority: String,
}

impl Smtp {
    /// Listens on a free port of 127.0.0.1 and takes everything, in the clear.
    pub fn start() -> Self {
        Self::start_with(Encryption::None, String::new())
    }

    /// The same, but takes messages after STARTTLS only; its certificate is for these names.
    pub fn start_starttls(names: &[&str]) -> Self {
        let (config, authority) = certificate(names);
        Self::start_with(Encryption::StartTls(config), authority)
    }

    /// The same, encrypted from the first byte.
    pub fn start_implicit(names: &[&str]) -> Self {
        let (config, authority) = certificate(names);
        Self::start_with(Encryption::Implicit(config), authority)
    }

    fn start_with(encryption: Encryption, authority: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("cannot listen");
        let port = listener.local_addr().expect("an address").port();
        let behaviour = Arc::new(Mutex::new(Behaviour::default()));
        let shared = Arc::clone(&behaviour);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if lock(&shared).stop {
                    return;
                }
                let (shared, encryption) = (Arc::clone(&shared), encryption.clone());
                std::thread::spawn(move || {
                    // A client that goes away is no fault of the server.
                    let _ = stream.and_then(|stream| converse(stream, &encryption, &shared));
                });
            }
        });
        Self { port, behaviour, authority }
    }

    /// The authority that signed its certificate, in PEM.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// From now on only this account may sign in.
    pub fn wants(&self, username: &str, password: &str) {
        let plain = base64::engine::general_purpose::STANDARD.encode(format!("\0{username}\0{password}"));
        lock(&self.behaviour).account = Some(plain);
    }

    /// The first words of the commands that came unencrypted.
    pub fn commands_in_clear(&self) -> Vec<String> {
        lock(&self.behaviour).in_clear.clone()
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Answers the text of the next `times` messages with this line ("451 busy") and forgets them.
    pub fn refuse_times(&self, times: usize, line: &str) {
        let turn = Turn::Refuse(line.to_owned());
        lock(&self.behaviour).planned.extend(std::iter::repeat_n(turn, times));
    }

    /// Answers the text of every message with this line from now on.
    pub fn refuse_always(&self, line: &str) {
        lock(&self.behaviour).always = Some(Turn::Refuse(line.to_owned()));
    }

    /// Keeps the next message and hangs up: the client cannot know.
    pub fn hang_up_once(&self) {
        lock(&self.behaviour).planned.push_back(Turn::HangUp);
    }

    /// Takes everything again.
    pub fn behave(&self) {
        let mut behaviour = lock(&self.behaviour);
        behaviour.always = None;
        behaviour.planned.clear();
    }

    /// The messages so far.
    pub fn kept(&self) -> Vec<Mail> {
        lock(&self.behaviour).kept.clone()
    }

    /// The first words of the commands so far.
    pub fn commands(&self) -> Vec<String> {
        lock(&self.behaviour).commands.clone()
    }

    /// Waits until at least `count` messages have come; panics after `limit`.
    pub async fn wait_for(&self, count: usize, limit: Duration) -> Vec<Mail> {
        crate::eventually(&format!("{count} messages"), limit, || {
            let kept = self.kept();
            async move { (kept.len() >= count).then_some(kept) }
        })
        .await
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        lock(&self.behaviour).stop = true;
        // Wakes the listener.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn lock(behaviour: &Mutex<Behaviour>) -> MutexGuard<'_, Behaviour> {
    behaviour.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A certificate for these names, by an authority made for it.
fn certificate(names: &[&str]) -> (Arc<ServerConfig>, String) {
    let authority_key = KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::new(Vec::<String>::new()).expect("an authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let authority_certificate = authority.self_signed(&authority_key).expect("an authority's certificate");
    let issuer = Issuer::from_params(&authority, &authority_key);
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(names).expect("names").signed_by(&key, &issuer).expect("a certificate");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .expect("certificate and key");
    (Arc::new(config), authority_certificate.pem())
}

/// A connection, encrypted or not.
enum Wire {
    Clear(TcpStream),
    Encrypted(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Wire {
    fn encrypt(stream: TcpStream, config: &Arc<ServerConfig>) -> std::io::Result<Self> {
        let connection = ServerConnection::new(Arc::clone(config)).map_err(std::io::Error::other)?;
        Ok(Self::Encrypted(Box::new(StreamOwned::new(connection, stream))))
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.read(buffer),
            Self::Encrypted(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.write(bytes),
            Self::Encrypted(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Clear(stream) => stream.flush(),
            Self::Encrypted(stream) => stream.flush(),
        }
    }
}

/// Who has said what so far.
#[derive(Default)]
struct Envelope {
    from: String,
    to: Vec<String>,
    auth: String,
}

fn converse(stream: TcpStream, encryption: &Encryption, behaviour: &Mutex<Behaviour>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let wire = match encryption {
        Encryption::Implicit(config) => Wire::encrypt(stream, config)?,
        _ => Wire::Clear(stream),
    };
    let mut lines = BufReader::new(wire);
    say(&mut lines, "220 mail.test ESMTP")?;
    let mut envelope = Envelope::default();
    let inner = |line: &str| line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(a, _)| a.to_owned());
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        let word = line.split_whitespace().next().unwrap_or_default().to_uppercase();
        let in_clear = matches!(lines.get_ref(), Wire::Clear(_));
        note(behaviour, &word, in_clear);
        match (word.as_str(), encryption) {
            ("EHLO" | "HELO", Encryption::StartTls(_)) if in_clear => {
                say(&mut lines, "250-mail.test\r\n250-8BITMIME\r\n250 STARTTLS")?;
            }
            ("EHLO" | "HELO", _) => say(&mut lines, "250-mail.test\r\n250-8BITMIME\r\n250 AUTH PLAIN")?,
            ("STARTTLS", Encryption::StartTls(config)) if in_clear => {
                say(&mut lines, "220 go on")?;
                // What was sent before the encryption is forgotten (RFC 3207).
                if let Wire::Clear(stream) = lines.into_inner() {
                    lines = BufReader::new(Wire::encrypt(stream, config)?);
                    envelope = Envelope::default();
                } else {
                    return Ok(());
                }
            }
            ("AUTH" | "MAIL" | "RCPT" | "DATA", Encryption::StartTls(_)) if in_clear => {
                say(&mut lines, "530 must issue a STARTTLS command first")?;
            }
            ("AUTH", _) => {
                envelope.auth = line.split_whitespace().nth(2).unwrap_or_default().to_owned();
                let known = lock(behaviour).account.as_ref().is_none_or(|account| *account == envelope.auth);
                say(&mut lines, if known { "235 ok" } else { "535 5.7.8 authentication credentials invalid" })?;
            }
            ("MAIL", _) => {
                envelope.from = inner(line).unwrap_or_default();
                say(&mut lines, "250 ok")?;
            }
            ("RCPT", _) => {
                envelope.to.extend(inner(line));
                say(&mut lines, "250 ok")?;
            }
            ("DATA", _) => {
                if !take(&mut lines, &mut envelope, behaviour)? {
                    return Ok(());
                }
            }
            ("QUIT", _) => return say(&mut lines, "221 bye"),
            ("RSET" | "NOOP", _) => say(&mut lines, "250 ok")?,
            _ => say(&mut lines, "502 no such command")?,
        }
    }
}

fn say(lines: &mut BufReader<Wire>, line: &str) -> std::io::Result<()> {
    let wire = lines.get_mut();
    wire.write_all(format!("{line}\r\n").as_bytes())?;
    wire.flush()
}

fn note(behaviour: &Mutex<Behaviour>, word: &str, in_clear: bool) {
    let mut behaviour = lock(behaviour);
    behaviour.commands.push(word.to_owned());
    if in_clear {
        behaviour.in_clear.push(word.to_owned());
    }
}

/// Takes a message's text; false: hangs up.
fn take(lines: &mut BufReader<Wire>, envelope: &mut Envelope, behaviour: &Mutex<Behaviour>) -> std::io::Result<bool> {
    say(lines, "354 go on")?;
    let text = read_text(lines)?;
    let (from, auth) = (envelope.from.clone(), envelope.auth.clone());
    let mail = Mail { from, to: std::mem::take(&mut envelope.to), auth, text };
    let turn = {
        let mut behaviour = lock(behaviour);
        let turn = behaviour.planned.pop_front().or(behaviour.always.clone());
        if !matches!(turn, Some(Turn::Refuse(_))) {
            behaviour.kept.push(mail);
        }
        turn
    };
    match turn {
        None => say(lines, "250 kept")?,
        Some(Turn::Refuse(line)) => say(lines, &line)?,
        Some(Turn::HangUp) => return Ok(false),
    }
    Ok(true)
}

fn read_text(lines: &mut impl BufRead) -> std::io::Result<String> {
    let mut text = String::new();
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == ".\r\n" {
            return Ok(text);
        }
        text.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}
