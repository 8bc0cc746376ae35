//! A local mail server: takes messages, keeps them, and fails as it is told. Plain text, for servers on this machine.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

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
    stop: bool,
}

/// A running mail server; takes no more connections once dropped.
pub struct Smtp {
    port: u16,
    behaviour: Arc<Mutex<Behaviour>>,
}

impl Smtp {
    /// Listens on a free port of 127.0.0.1 and takes everything.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("cannot listen");
        let port = listener.local_addr().expect("an address").port();
        let behaviour = Arc::new(Mutex::new(Behaviour::default()));
        let shared = Arc::clone(&behaviour);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if lock(&shared).stop {
                    return;
                }
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || {
                    // A client that goes away is no fault of the server.
                    let _ = stream.and_then(|stream| converse(stream, &shared));
                });
            }
        });
        Self { port, behaviour }
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

fn converse(mut stream: TcpStream, behaviour: &Mutex<Behaviour>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut lines = BufReader::new(stream.try_clone()?);
    stream.write_all(b"220 mail.test ESMTP\r\n")?;
    let (mut from, mut to, mut auth) = (String::new(), Vec::new(), String::new());
    let inner = |line: &str| line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(a, _)| a.to_owned());
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        let word = line.split_whitespace().next().unwrap_or_default().to_uppercase();
        lock(behaviour).commands.push(word.clone());
        match word.as_str() {
            "EHLO" | "HELO" => stream.write_all(b"250-mail.test\r\n250-8BITMIME\r\n250 AUTH PLAIN\r\n")?,
            "AUTH" => {
                auth = line.split_whitespace().nth(2).unwrap_or_default().to_owned();
                stream.write_all(b"235 ok\r\n")?;
            }
            "MAIL" => {
                from = inner(line).unwrap_or_default();
                stream.write_all(b"250 ok\r\n")?;
            }
            "RCPT" => {
                to.extend(inner(line));
                stream.write_all(b"250 ok\r\n")?;
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n")?;
                let text = read_text(&mut lines)?;
                let mail = Mail { from: from.clone(), to: std::mem::take(&mut to), auth: auth.clone(), text };
                let turn = {
                    let mut behaviour = lock(behaviour);
                    let turn = behaviour.planned.pop_front().or(behaviour.always.clone());
                    if !matches!(turn, Some(Turn::Refuse(_))) {
                        behaviour.kept.push(mail);
                    }
                    turn
                };
                match turn {
                    None => stream.write_all(b"250 kept\r\n")?,
                    Some(Turn::Refuse(line)) => stream.write_all(format!("{line}\r\n").as_bytes())?,
                    Some(Turn::HangUp) => return Ok(()),
                }
            }
            "QUIT" => return stream.write_all(b"221 bye\r\n"),
            "RSET" | "NOOP" => stream.write_all(b"250 ok\r\n")?,
            _ => stream.write_all(b"502 no such command\r\n")?,
        }
    }
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
