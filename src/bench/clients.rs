//! MQTT clients of a bench: connected before the clock starts, TCP_NODELAY, QoS 1.

use std::net::SocketAddr;
use std::time::Duration;

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, NetworkOptions, Packet};
use tokio::sync::{mpsc, oneshot};

use crate::cli::Failure;

/// Connections that may be under way at once.
const AT_ONCE: usize = 64;

/// A connected device.
pub(super) struct Client {
    pub(super) client: AsyncClient,
    poll: tokio::task::JoinHandle<()>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.poll.abort();
    }
}

/// Connects one client; what it receives goes to `received` (topic's payload).
pub(super) async fn connect(
    broker: SocketAddr,
    name: &str,
    secret: &str,
    received: Option<mpsc::UnboundedSender<Vec<u8>>>,
) -> Result<Client, Failure> {
    let mut options = MqttOptions::new(name, broker.ip().to_string(), broker.port());
    options.set_credentials(name, secret);
    options.set_keep_alive(Duration::from_secs(60));
    let (client, mut events) = AsyncClient::new(options, 64);
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    events.set_network_options(network);
    let (connected, connecting) = oneshot::channel();
    let poll = tokio::spawn(poll(events, connected, received));
    connecting.await.map_err(|_| Failure(format!("{name} could not connect to {broker}.")))?;
    Ok(Client { client, poll })
}

async fn poll(mut events: EventLoop, connected: oneshot::Sender<()>, received: Option<mpsc::UnboundedSender<Vec<u8>>>) {
    let mut connected = Some(connected);
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                if let Some(connected) = connected.take() {
                    let _ = connected.send(());
                }
            }
            Ok(Event::Incoming(Packet::Publish(message))) => {
                if let Some(received) = &received {
                    let _ = received.send(message.payload.to_vec());
                }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "bench client lost its connection");
                return;
            }
        }
    }
}

/// Connects many, some at a time.
pub(super) async fn connect_all(broker: SocketAddr, names: &[(String, String)]) -> Result<Vec<Client>, Failure> {
    use futures_util::stream::{self, StreamExt, TryStreamExt};
    stream::iter(names).map(|(name, secret)| connect(broker, name, secret, None)).buffered(AT_ONCE).try_collect().await
}
