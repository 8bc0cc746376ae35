//! MQTT by hand.

use std::time::Duration;
use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};

fn text(text: &str) -> Vec<u8> {
    let mut bytes = u16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

fn framed(kind: u8, body: Vec<u8>) -> Vec<u8> {
    assert!(body.len() < 128);
    let mut packet = vec![kind, body.len() as u8];
    packet.extend(body);
    packet
}

pub fn connect_v5(user: &str, password: &str) -> Vec<u8> {
    let mut body = text("MQTT");
    body.extend([5, 0xC2, 0, 30, 0]);
    for part in [user, user, password] {
        body.extend(text(part));
    }
    framed(0x10, body)
}

pub fn publish_v5(topic: &str, packet_id: u16, payload: &[u8]) -> Vec<u8> {
    let mut body = text(topic);
    body.extend(packet_id.to_be_bytes());
    body.push(0);
    body.extend(payload);
    framed(0x32, body)
}

pub fn connect_v4(user: &str, password: &str) -> Vec<u8> {
    let mut body = text("MQTT");
    body.extend([4, 0xC2, 0, 30]);
    for part in [user, user, password] {
        body.extend(text(part));
    }
    framed(0x10, body)
}

/// The packet id goes with QoS 1 and 2 only.
pub fn publish_v4(topic: &str, qos: u8, packet_id: u16, payload: &[u8]) -> Vec<u8> {
    let mut body = text(topic);
    if qos > 0 {
        body.extend(packet_id.to_be_bytes());
    }
    body.extend(payload);
    framed(0x30 | (qos << 1), body)
}

/// A whole packet with a short length.
pub async fn packet(stream: &mut TcpStream) -> Vec<u8> {
    let read = async {
        let mut packet = vec![0; 2];
        stream.read_exact(&mut packet).await.unwrap();
        let mut body = vec![0; packet[1].into()];
        stream.read_exact(&mut body).await.unwrap();
        packet.extend(body);
        packet
    };
    timeout(Duration::from_secs(5), read).await.unwrap()
}
