//! Acknowledgements to an external broker, many at a time.
//!
//! rumqttc reads ten messages for each request of ours that it sends. A broker that sends on without waiting for
//! acknowledgements (Mosquitto 2.0.11 does, whatever its `max_inflight_messages`, once it has a queue) would therefore be
//! told of ever fewer of the messages that were stored, and give them all again after a reconnect. So only one
//! acknowledgement at a time goes through rumqttc's queue; when it is out, those that gathered behind it are written to the
//! connection together, by the very task that polls.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rumqttc::{AsyncClient, EventLoop, Packet, PubAck, Publish, QoS};

/// A broker that takes nothing for so long is gone.
const WRITTEN_WITHIN: Duration = Duration::from_secs(5);

/// What is to be acknowledged on the connection that stands now.
#[derive(Debug, Default)]
pub(crate) struct Acks(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    /// Counts connections: a packet's number means nothing on another one.
    connection: u64,
    /// Whether one is in rumqttc's queue.
    one_is_out: bool,
    packets: VecDeque<u16>,
}

impl Acks {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that messages come by now.
    pub(crate) fn connection(&self) -> u64 {
        self.waiting().connection
    }

    /// A connection begins: what came by the one before comes again.
    pub(crate) fn begin(&self) {
        let mut waiting = self.waiting();
        *waiting = Waiting { connection: waiting.connection + 1, ..Waiting::default() };
    }

    /// Acknowledges a message in its turn, if the connection that it came by still stands.
    pub(crate) fn add(&self, client: &AsyncClient, connection: u64, message: &Publish) {
        let mut waiting = self.waiting();
        if message.qos == QoS::AtMostOnce || waiting.connection != connection {
            return;
        }
        // Full or closed: the loop that polls has ended, or writes these when the one before is out.
        if waiting.one_is_out || client.try_ack(message).is_err() {
            waiting.packets.push_back(message.pkid);
        } else {
            waiting.one_is_out = true;
        }
    }

    /// One is out: writes those that gathered meanwhile, the last of them through the queue again. A connection that does
    /// not take them is given up.
    pub(crate) async fn write(&self, client: &AsyncClient, events: &mut EventLoop) {
        let mut packets = {
            let mut waiting = self.waiting();
            waiting.one_is_out = !waiting.packets.is_empty();
            std::mem::take(&mut waiting.packets)
        };
        let Some(last) = packets.pop_back() else { return };
        let Some(network) = events.network.as_mut() else { return };
        let all = async {
            for packet in packets {
                network.write(Packet::PubAck(PubAck::new(packet))).await?;
            }
            network.flush().await
        };
        let written = tokio::time::timeout(WRITTEN_WITHIN, all).await;
        let mut message = Publish::new(String::new(), QoS::AtLeastOnce, Vec::new());
        message.pkid = last;
        if !matches!(written, Ok(Ok(()))) || client.try_ack(&message).is_err() {
            tracing::warn!("the broker takes no acknowledgements");
            events.clean();
        }
    }
}
