//! Many devices that publish telemetry with QoS 1 over bare sockets. One thread drives them all, so that the load costs
//! the machine little beside what it measures.

use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cli::Failure;

/// Bytes of each message's payload.
pub(super) const PAYLOAD: usize = 200;
/// Messages of one device that may wait for their acknowledgement.
pub(super) const WINDOW: u64 = 20;
/// How often the sockets are looked after.
const TICK: Duration = Duration::from_millis(1);
/// Connections that may be under way at once.
const AT_ONCE: usize = 64;

/// As fast as acknowledgements allow.
pub(super) const UNPACED: u64 = u64::MAX;

#[derive(Default)]
struct Shared {
    /// Messages a second, or [`UNPACED`].
    rate: AtomicU64,
    /// No more than these are sent.
    most: AtomicU64,
    sent: AtomicU64,
    acked: AtomicU64,
    lost_connections: AtomicU64,
    stop: AtomicBool,
}

/// The running devices; they end when it is dropped.
pub(super) struct Load {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Load {
    /// Connects the devices; nothing is sent before [`Load::pace`].
    pub(super) async fn connect(broker: SocketAddr, names: &[(String, String)]) -> Result<Self, Failure> {
        use futures_util::stream::{self, StreamExt, TryStreamExt};
        let devices: Vec<std::net::TcpStream> = stream::iter(names)
            .map(|(name, secret)| async move { sign_in(broker, name, secret).await?.into_std() })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let shared = Arc::new(Shared { most: AtomicU64::new(u64::MAX), ..Shared::default() });
        let theirs = shared.clone();
        let serials: Vec<String> = names.iter().map(|(name, _)| name.clone()).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("bench-load".into()).spawn(move || {
            if let Err(error) = runtime.block_on(drive(devices, serials, &theirs)) {
                tracing::error!(%error, "the load ended");
            }
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// From now on so many messages a second; 0 is a pause.
    pub(super) fn pace(&self, rate: u64) {
        self.shared.rate.store(rate, Relaxed);
    }

    /// No more than so many messages since the beginning.
    pub(super) fn up_to(&self, most: u64) {
        self.shared.most.store(most, Relaxed);
    }

    pub(super) fn sent(&self) -> u64 {
        self.shared.sent.load(Relaxed)
    }

    pub(super) fn acked(&self) -> u64 {
        self.shared.acked.load(Relaxed)
    }

    pub(super) fn lost_connections(&self) -> u64 {
        self.shared.lost_connections.load(Relaxed)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn text(packet: &mut Vec<u8>, text: &str) {
    packet.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    packet.extend_from_slice(text.as_bytes());
}

/// A fixed header and what follows it (MQTT 3.1.1, 2.2).
fn framed(kind: u8, body: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    let mut left = body.len();
    loop {
        let low = u8::try_from(left & 0x7f).unwrap_or_default();
        left >>= 7;
        out.push(if left > 0 { low | 0x80 } else { low });
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(body);
}

async fn sign_in(broker: SocketAddr, name: &str, secret: &str) -> std::io::Result<TcpStream> {
    let mut socket = TcpStream::connect(broker).await?;
    socket.set_nodelay(true)?;
    let mut body = Vec::new();
    text(&mut body, "MQTT");
    // 3.1.1; user name, password, clean session; no keep-alive.
    body.extend_from_slice(&[4, 0xC2, 0, 0]);
    for part in [name, name, secret] {
        text(&mut body, part);
    }
    let mut packet = Vec::new();
    framed(0x10, &body, &mut packet);
    socket.write_all(&packet).await?;
    let mut answer = [0; 4];
    socket.read_exact(&mut answer).await?;
    if answer != [0x20, 2, 0, 0] {
        return Err(std::io::Error::other(format!("{name} was not let in: {answer:02x?}")));
    }
    Ok(socket)
}

struct Device {
    socket: TcpStream,
    topic: String,
    sent: u64,
    acked: u64,
    /// Bytes of an acknowledgement that came in parts.
    begun: usize,
    /// What the socket has not taken yet.
    out: Vec<u8>,
    gone: bool,
}

impl Device {
    fn has_room(&self) -> bool {
        !self.gone && self.sent - self.acked < WINDOW && self.out.len() < 64 * 1024
    }

    /// Puts one message into the buffer.
    fn push(&mut self, time: &str) {
        self.sent += 1;
        let mut body = Vec::with_capacity(PAYLOAD + 64);
        text(&mut body, &self.topic);
        let number = u16::try_from(self.sent % 65_535).unwrap_or_default() + 1;
        body.extend_from_slice(&number.to_be_bytes());
        let begin = body.len();
        let value = 60 + self.sent % 40;
        let _ = write!(
            body,
            r#"{{"id":"1-{:08}","time":"{time}","readings":[{{"kind":"heart_rate","value":{value},"unit":"/min"}}],"note":""#,
            self.sent
        );
        body.resize(begin + PAYLOAD - 2, b'.');
        body.extend_from_slice(br#""}"#);
        framed(0x32, &body, &mut self.out);
    }

    fn flush(&mut self) {
        while !self.out.is_empty() && !self.gone {
            match self.socket.try_write(&self.out) {
                Ok(0) => self.gone = true,
                Ok(count) => drop(self.out.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.gone = true,
            }
        }
    }

    /// Counts acknowledgements, of four bytes each: nothing else comes to a device that subscribed to nothing.
    fn read(&mut self) -> u64 {
        let mut bytes = [0; 1024];
        let before = self.acked;
        loop {
            match self.socket.try_read(&mut bytes) {
                Ok(0) => {
                    self.gone = true;
                    break;
                }
                Ok(count) => {
                    self.begun += count;
                    self.acked += (self.begun / 4) as u64;
                    self.begun %= 4;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.gone = true;
                    break;
                }
            }
        }
        self.acked - before
    }
}

async fn drive(sockets: Vec<std::net::TcpStream>, serials: Vec<String>, shared: &Shared) -> std::io::Result<()> {
    let mut devices = Vec::with_capacity(sockets.len());
    for (socket, serial) in sockets.into_iter().zip(serials) {
        let socket = TcpStream::from_std(socket)?;
        let topic = format!("songhe/v1/{serial}/telemetry");
        devices.push(Device { socket, topic, sent: 0, acked: 0, begun: 0, out: Vec::new(), gone: false });
    }
    let (mut next, mut owed, mut last) = (0, 0.0, Instant::now());
    while !shared.stop.load(Relaxed) {
        tokio::time::sleep(TICK).await;
        let acked: u64 = devices.iter_mut().map(Device::read).sum();
        shared.acked.fetch_add(acked, Relaxed);
        let (rate, sent) = (shared.rate.load(Relaxed), shared.sent.load(Relaxed));
        let passed = std::mem::replace(&mut last, Instant::now()).elapsed().as_secs_f64();
        owed = if rate == UNPACED { f64::from(u32::MAX) } else { owed + rate as f64 * passed };
        if rate == 0 {
            owed = 0.0;
        }
        // A share of a message is owed until it is whole.
        let due = (owed.floor() as u64).min(shared.most.load(Relaxed).saturating_sub(sent));
        let count = fill(&mut devices, &mut next, due);
        owed -= count as f64;
        shared.sent.fetch_add(count, Relaxed);
        devices.iter_mut().for_each(Device::flush);
        shared.lost_connections.store(devices.iter().filter(|device| device.gone).count() as u64, Relaxed);
    }
    Ok(())
}

/// Messages go to the devices in turn; answers how many there was room for.
fn fill(devices: &mut [Device], next: &mut usize, due: u64) -> u64 {
    let time = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let (mut count, mut full) = (0, 0);
    while count < due && full < devices.len() {
        *next = (*next + 1) % devices.len();
        match devices.get_mut(*next).filter(|device| device.has_room()) {
            Some(device) => {
                device.push(&time);
                count += 1;
                full = 0;
            }
            None => full += 1,
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_body_has_a_length_of_two_bytes() {
        let mut packet = Vec::new();
        framed(0x32, &[7; 321], &mut packet);
        assert_eq!(&packet[..4], [0x32, 0xC1, 0x02, 7]);
        assert_eq!(packet.len(), 324);
    }
}
