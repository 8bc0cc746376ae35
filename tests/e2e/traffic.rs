//! A device that sends as fast as it is acknowledged, by MQTT's own bytes, until it is told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::world::Button;

fn field(into: &mut Vec<u8>, bytes: &[u8]) {
    into.extend(u16::try_from(bytes.len()).unwrap().to_be_bytes());
    into.extend(bytes);
}

/// A packet of less than 16 KB.
fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let (low, high) = ((body.len() % 128) as u8, (body.len() / 128) as u8);
    let mut packet = if high == 0 { vec![kind, low] } else { vec![kind, low | 0x80, high] };
    packet.extend(body);
    packet
}

/// Signs in as the button; the answer's code, or nothing if the connection was ended.
pub async fn sign_in(broker: &str, button: &Button) -> Option<(TcpStream, u8)> {
    let mut stream = TcpStream::connect(broker).await.ok()?;
    stream.set_nodelay(true).ok()?;
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, 0xC2, 0, 60];
    for part in [&button.serial, &button.serial, &button.secret] {
        field(&mut body, part.as_bytes());
    }
    stream.write_all(&packet(0x10, &body)).await.ok()?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await.ok()?;
    Some((stream, answer[3]))
}

/// A publish of QoS 1.
pub fn message(button: &Button, channel: &str, packet_id: u16, payload: &str) -> Vec<u8> {
    let mut body = Vec::new();
    field(&mut body, format!("songhe/v1/{}/{channel}", button.serial).as_bytes());
    body.extend(packet_id.to_be_bytes());
    body.extend(payload.as_bytes());
    packet(0x32, &body)
}

pub fn reading(id: &str) -> String {
    format!(r#"{{"id":"{id}","readings":[{{"kind":"room_temperature","value":21,"unit":"Cel"}}]}}"#)
}

/// Messages of readings under way at a time.
const WINDOW: u16 = 200;

/// A device that floods.
pub struct Flood {
    acknowledged: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Flood {
    /// Readings with ids `9-1`, `9-2` …; after a lost connection it sends again what was not acknowledged.
    pub fn start(broker: String, button: Button) -> Self {
        let (acknowledged, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let task = tokio::spawn(flood(broker, button, acknowledged.clone(), stop.clone()));
        Self { acknowledged, stop, task }
    }

    /// Whole windows of messages that the broker has acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(SeqCst)
    }

    pub fn is_running(&self) -> bool {
        !self.task.is_finished()
    }

    /// Ends after what is under way was acknowledged; answers how many messages were.
    pub async fn stop(mut self) -> u64 {
        self.stop.store(true, SeqCst);
        tokio::time::timeout(Duration::from_secs(120), &mut self.task)
            .await
            .expect("the flood's last messages")
            .unwrap();
        self.acknowledged.load(SeqCst)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn flood(broker: String, button: Button, acknowledged: Arc<AtomicU64>, stop: Arc<AtomicBool>) {
    let mut link = None;
    let mut first = 1u64;
    while !stop.load(SeqCst) {
        while !window(&mut link, &broker, &button, first).await {
            link = None;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        first += u64::from(WINDOW);
        acknowledged.store(first - 1, SeqCst);
    }
}

/// Sends a window and waits for its acknowledgements; false if the connection was lost.
async fn window(link: &mut Option<TcpStream>, broker: &str, button: &Button, first: u64) -> bool {
    if link.is_none() {
        *link = sign_in(broker, button).await.filter(|(_, code)| *code == 0).map(|(stream, _)| stream);
    }
    let Some(stream) = link else { return false };
    let mut bytes = Vec::new();
    for n in 0..WINDOW {
        bytes.extend(message(button, "telemetry", n + 1, &reading(&format!("9-{}", first + u64::from(n)))));
    }
    let (mut acks, mut out) = stream.split();
    let mut answers = vec![0; 4 * usize::from(WINDOW)];
    let (sent, heard) = tokio::join!(out.write_all(&bytes), acks.read_exact(&mut answers));
    sent.is_ok() && heard.is_ok()
}
