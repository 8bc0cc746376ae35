//! The doors: accepts connections and looks at the beginning of each before the engine gets it. Whoever is silent, sends
//! no CONNECT or a huge one, or never ends its TLS handshake holds up nobody and is gone after ten seconds.
//!
//! The first bytes are looked at without taking them (`peek`, or the buffer of TLS): the engine then reads the connection
//! itself, and messages pass through no further hands.

use crate::{
    BrokerError,
    engine::{Connections, Stream},
    hooks::Shared,
    waiting::{Ticket, Verdict},
};
use std::{
    io::{Error, ErrorKind},
    net::SocketAddr,
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::{
    io::AsyncBufReadExt,
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinSet,
    time::sleep,
};
use tokio_rustls::TlsAcceptor;

/// How long a connection has for everything up to its sign-in.
const SIGN_IN_WITHIN: Duration = Duration::from_secs(10);
/// Largest CONNECT in bytes: names, secret and a will are far below.
const MAX_CONNECT_BYTES: usize = 8 * 1024;
/// Largest packet of a TLS client whose first packet could not be looked at.
pub const SMALL_PACKET_BYTES: usize = 64 * 1024;
/// Connections that the system keeps until they are accepted: a whole house comes back at once after a power cut.
const BACKLOG: u32 = 4096;
/// When the system has no room for another connection.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(50);
const MAKE_ROOM_FOR: usize = 16;
/// Between two looks at a connection that began its first packet and stopped.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
const LOOK_AGAIN_AT_MOST: Duration = Duration::from_millis(320);

/// What is behind a port.
#[derive(Clone)]
pub enum Door {
    Plain,
    Tls(TlsAcceptor),
}

/// Opens a port.
pub fn listen(addr: SocketAddr) -> Result<TcpListener, BrokerError> {
    let open = || {
        let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        socket.listen(BACKLOG)
    };
    open().map_err(|source| match source.kind() {
        ErrorKind::AddrInUse => BrokerError::PortInUse(addr),
        _ => BrokerError::Bind { addr, source },
    })
}

/// Serves a door until the broker stops; dropped, it ends all its connections.
pub async fn run(listener: TcpListener, door: Door, connections: Arc<Connections>, shared: Arc<Shared>) {
    let mut stopping = shared.stopping.subscribe();
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => break,
            accepted = listener.accept() => Some(accepted),
            Some(_) = open.join_next(), if !open.is_empty() => None,
        };
        match accepted {
            Some(Ok((socket, peer))) => {
                let (connections, shared, door) = (Arc::clone(&connections), Arc::clone(&shared), door.clone());
                open.spawn(attend(socket, peer, door, connections, shared));
            }
            // A connection that broke off before it was accepted is no matter.
            Some(Err(error)) if error.kind() != ErrorKind::ConnectionAborted => {
                if shared.warned.is_due("accept", Instant::now()) {
                    tracing::warn!(%error, "MQTT connections cannot be accepted: too many open files, mostly");
                }
                shared.waiting.make_room(MAKE_ROOM_FOR);
                sleep(NO_ROOM_PAUSE).await;
            }
            Some(Err(_)) | None => {}
        }
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}

async fn attend(socket: TcpStream, peer: SocketAddr, door: Door, connections: Arc<Connections>, shared: Arc<Shared>) {
    let mut stopping = shared.stopping.subscribe();
    let (ticket, verdict) = shared.waiting.enter(peer.ip());
    let mut connection = pin!(greet_and_serve(socket, peer, door, connections, ticket));
    let outcome = tokio::select! {
        biased;
        ended = &mut connection => if ended.is_err() { Outcome::TurnedAway } else { Outcome::Over },
        verdict = verdict => if verdict == Ok(Verdict::SignedIn) { Outcome::SignedIn } else { Outcome::TurnedAway },
        () = sleep(SIGN_IN_WITHIN) => Outcome::TurnedAway,
        _ = stopping.wait_for(|stopping| *stopping) => Outcome::Over,
    };
    match outcome {
        // Its end is told by the engine.
        Outcome::SignedIn => drop(connection.await),
        Outcome::TurnedAway => {
            shared.counters.turned_away.fetch_add(1, Relaxed);
            tracing::debug!(%peer, "MQTT connection ended before it signed in");
        }
        Outcome::Over => {}
    }
}

enum Outcome {
    SignedIn,
    TurnedAway,
    Over,
}

async fn greet_and_serve(
    socket: TcpStream,
    peer: SocketAddr,
    door: Door,
    connections: Arc<Connections>,
    ticket: Arc<Ticket>,
) -> Result<(), Error> {
    socket.set_nodelay(true)?;
    let stream = match door {
        Door::Plain => {
            look_at_plain(&socket).await?;
            Stream::Plain(socket)
        }
        Door::Tls(acceptor) => {
            let mut stream = Box::new(acceptor.accept(socket).await?);
            let seen = first_packet(stream.fill_buf().await?)?;
            Stream::Tls(stream, seen == Seen::TooLittle)
        }
    };
    connections.serve(stream, peer, ticket).await;
    Ok(())
}

/// Waits for the beginning of the first packet and leaves it where it is.
async fn look_at_plain(socket: &TcpStream) -> Result<(), Error> {
    let (mut start, mut pause) = ([0; 5], LOOK_AGAIN);
    loop {
        let read = socket.peek(&mut start).await?;
        if first_packet(start.get(..read).unwrap_or_default())? == Seen::Connect {
            return Ok(());
        }
        // What is there stays readable: the next look has to be put off.
        sleep(pause).await;
        pause = (pause * 2).min(LOOK_AGAIN_AT_MOST);
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Seen {
    TooLittle,
    Connect,
}

/// # Errors
/// For anything but the beginning of a CONNECT of a sensible size.
fn first_packet(start: &[u8]) -> Result<Seen, Error> {
    const CONNECT: u8 = 0x10;
    let mut bytes = start.iter();
    match bytes.next() {
        None => return Err(ErrorKind::UnexpectedEof.into()),
        Some(&CONNECT) => {}
        Some(_) => return Err(Error::new(ErrorKind::InvalidData, "no CONNECT")),
    }
    let mut length = 0;
    for (place, byte) in bytes.take(4).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * place);
        if length > MAX_CONNECT_BYTES {
            return Err(Error::new(ErrorKind::InvalidData, "CONNECT too large"));
        }
        if byte & 0x80 == 0 {
            return Ok(Seen::Connect);
        }
        if place == 3 {
            return Err(Error::new(ErrorKind::InvalidData, "no length"));
        }
    }
    Ok(Seen::TooLittle)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn only_a_connect_of_a_sensible_size_comes_in() {
        for (start, seen) in [
            (&[0x10, 12][..], Some(Seen::Connect)),
            (&[0x10, 0xFF, 0x7F, 0, 4], None),
            (&[0x10, 0x80, 0x40], Some(Seen::Connect)),
            (&[0x10, 0x81, 0x40], None),
            (&[0x10], Some(Seen::TooLittle)),
            (&[0x10, 0xFF], Some(Seen::TooLittle)),
            (&[0x10, 0xFF, 0xFF, 0xFF, 0x7F], None),
            (&[0x10, 0x80, 0x80, 0x80, 0x80], None),
            (b"GET /", None),
            (&[0x16, 3, 1], None),
            (&[0x30, 2], None),
            (&[], None),
        ] {
            assert_eq!(first_packet(start).ok(), seen, "{start:?}");
        }
    }
}
