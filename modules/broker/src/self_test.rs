//! Proves at every start that strangers stay out. The engine only hands its sign-ins to us when
//! it is told to allow anonymous clients; should that ever mean what it says, the start fails.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// The self-test signs in with a user name that begins so and must be refused; a gate need not
/// log it.
pub const SELF_TEST_PREFIX: &str = "songhe-self-test-";

const PATIENCE: Duration = Duration::from_secs(5);

/// Tries to get in without a name and with a wrong password.
pub async fn run(listening: SocketAddr) -> Result<(), String> {
    let random = RandomState::new().build_hasher().finish();
    let name = format!("{SELF_TEST_PREFIX}{random:016x}");
    let addr = reachable(listening);
    for (what, packet) in [
        ("an anonymous client", connect_packet(&name, None)),
        ("a client with a wrong password", connect_packet(&name, Some((&name, "wrong")))),
    ] {
        match timeout(PATIENCE, is_refused(addr, &packet)).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return Err(format!("{what} was let in")),
            Ok(Err(error)) => return Err(format!("{what} could not be tried: {error}")),
            Err(_) => return Err(format!("{what} got no answer within 5 s")),
        }
    }
    Ok(())
}

fn reachable(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listening.port())
}

/// Refused means: a CONNACK with a code, or a closed connection instead of one.
async fn is_refused(addr: SocketAddr, packet: &[u8]) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(packet).await?;
    let mut answer = [0u8; 4];
    match stream.read_exact(&mut answer).await {
        Ok(_) => Ok(answer[0] == 0x20 && answer[3] != 0),
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(true),
        Err(e) => Err(e),
    }
}

/// A CONNECT of MQTT 3.1.1 with a clean session; all parts are short.
fn connect_packet(client_id: &str, credential: Option<(&str, &str)>) -> Vec<u8> {
    fn put(body: &mut Vec<u8>, text: &str) {
        let length = u16::try_from(text.len()).unwrap_or(0);
        body.extend(length.to_be_bytes());
        body.extend(text.as_bytes());
    }
    let mut body = Vec::new();
    put(&mut body, "MQTT");
    let flags = if credential.is_some() { 0xC2 } else { 0x02 };
    body.extend([4, flags, 0, 30]);
    put(&mut body, client_id);
    if let Some((user, password)) = credential {
        put(&mut body, user);
        put(&mut body, password);
    }
    // Below 128 bytes the remaining length is one byte.
    let mut packet = vec![0x10, u8::try_from(body.len()).unwrap_or(0)];
    packet.append(&mut body);
    packet
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_broker_that_lets_strangers_in_fails_the_test() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut packet = [0u8; 128];
                let _ = stream.read(&mut packet).await.unwrap();
                stream.write_all(&[0x20, 2, 0, 0]).await.unwrap();
            }
        });
        assert_eq!(run(addr).await, Err("an anonymous client was let in".to_owned()));
    }

    #[test]
    fn packets_fit_the_short_length() {
        let name = format!("{SELF_TEST_PREFIX}{:016x}", u64::MAX);
        let packet = connect_packet(&name, Some((&name, "wrong")));
        assert_eq!(usize::from(packet[1]), packet.len() - 2);
        assert!(packet.len() < 128 && crate::rules::valid_name(&name));
    }
}
