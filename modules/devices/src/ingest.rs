//! From bytes to facts. Two lanes: an emergency is a transaction of its own in the lane that telemetry cannot block;
//! everything else is gathered while the previous commit runs, up to 500 messages, and written together.
//!
//! Nothing is acknowledged before its commit. A message that comes again is recognised by (device, message id) and
//! changes nothing (`news.rs`); one that cannot be understood, or whose sender is unknown, is kept in quarantine.

use std::sync::Arc;

use songhe_adapter_core::{
    Capability, DecodeError, Decoded, DeviceAdapter, DeviceKey, Directory, Inbound, Item, Outbound,
};
use songhe_kernel::{Database, Error, Moment, Result, Text};
use tokio::sync::{mpsc, oneshot};

use crate::batch::store_one;
use crate::inbox;
use crate::quarantine::{self, Reason};
use crate::refused::{self, is_passing};
use crate::sparing;
use crate::telemetry::{Waiting, gather};
use crate::whereabouts::Whereabouts;

/// Telemetry that may wait; beyond it senders wait for their acknowledgement.
const WAITING: usize = 10_000;

/// The figure of messages stored since the start, those that came again included.
pub const STORED: &str = "ingest_stored";

/// A message as it came from a broker.
#[derive(Debug, Clone)]
pub struct Message {
    /// Which way it came: `embedded`, `broker` …
    pub source: &'static str,
    pub topic: String,
    pub payload: Vec<u8>,
    pub retained: bool,
}

/// What became of a message. All of these may be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    Stored,
    /// Seen before; nothing changed.
    Duplicate,
    Quarantined,
    /// Acted on, but its readings are not kept: the disk has no room. Counted, see [`crate::sparing`].
    Judged,
}

/// A decoded message on its way into the database.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) decoded: Decoded,
    pub(crate) message: Message,
    pub(crate) message_id: String,
    /// The adapter that understood it.
    pub(crate) adapter: &'static str,
    /// Whether the message's id is its own, or its content has a time in it: then it is the same whenever it comes.
    pub(crate) is_unique: bool,
    pub(crate) observed_at: Moment,
    pub(crate) received_at: Moment,
    /// Judged and not kept.
    pub(crate) spared: bool,
}

/// Takes messages from all brokers.
pub struct Ingest {
    db: Database,
    adapters: Vec<Arc<dyn DeviceAdapter>>,
    whereabouts: Whereabouts,
    telemetry: mpsc::Sender<Waiting>,
}

impl Ingest {
    /// Starts the telemetry lane; it ends when the last handle is dropped.
    pub fn start(db: Database, adapters: Vec<Arc<dyn DeviceAdapter>>) -> Arc<Self> {
        let (telemetry, arrivals) = mpsc::channel(WAITING);
        tokio::spawn(gather(db.clone(), arrivals));
        let whereabouts = Whereabouts::new(db.clone());
        Arc::new(Self { db, adapters, whereabouts, telemetry })
    }

    pub fn adapters(&self) -> &[Arc<dyn DeviceAdapter>] {
        &self.adapters
    }

    pub(crate) fn db(&self) -> &Database {
        &self.db
    }

    pub(crate) fn adapter_of(&self, topic: &str) -> Option<&Arc<dyn DeviceAdapter>> {
        self.adapters.iter().find(|adapter| adapter.is_topic(topic))
    }

    /// Stores a message and acts on it; returns after the commit.
    ///
    /// # Errors
    /// Whatever kept it from being stored: it must not be acknowledged, so that it comes again.
    pub async fn accept(&self, message: Message) -> Result<Accepted> {
        self.accept_and_answer(message).await.map(|(accepted, _)| accepted)
    }

    /// As [`Ingest::accept`], with what tells the device that its message is safe, if its protocol has such an answer:
    /// for events, since those are what a device repeats until it is told.
    ///
    /// # Errors
    /// As [`Ingest::accept`].
    pub async fn accept_and_answer(&self, message: Message) -> Result<(Accepted, Option<Outbound>)> {
        let Some(adapter) = self.adapter_of(&message.topic) else {
            return Ok((self.quarantine(message, None, Reason::NoAdapter, String::new()).await?, None));
        };
        let accepted = match self.understand(adapter.as_ref(), &message).await? {
            Ok(decoded) => {
                let named = decoded.items.iter().any(|item| matches!(item, Item::Inventory(_)));
                let gateway = named.then(|| decoded.device.clone());
                let answer = answer_to(adapter.as_ref(), &decoded);
                let accepted = self.store(adapter.as_ref(), decoded, message, None).await?;
                if let Some(gateway) = gateway {
                    self.look_again(adapter.as_ref(), &gateway).await?;
                }
                return Ok((accepted, answer));
            }
            // Told by us and heard by us, or meant for others: nothing to keep.
            Err(DecodeError::Own | DecodeError::Nothing) => Ok(Accepted::Duplicate),
            Err(DecodeError::Stranger { gateway, name }) => {
                let serial = gateway.as_ref().map(|key| key.as_str().to_owned());
                let detail = DecodeError::Stranger { gateway, name }.to_string();
                self.quarantine(message, serial, Reason::UnknownDevice, detail).await
            }
            Err(error) => {
                let directory = self.directory(adapter.as_ref()).await?;
                let serial = adapter.device_of(&message.topic, &directory).map(|key| key.as_str().to_owned());
                self.quarantine(message, serial, Reason::Undecodable, error.to_string()).await
            }
        };
        Ok((accepted?, None))
    }

    pub(crate) async fn directory(&self, adapter: &dyn DeviceAdapter) -> Result<Arc<Directory>> {
        if adapter.manifest().gateways { self.whereabouts.directory().await } else { Ok(Arc::default()) }
    }

    /// A name that is not known is looked up once more in the database before its message is a stranger's.
    async fn understand(
        &self,
        adapter: &dyn DeviceAdapter,
        message: &Message,
    ) -> Result<std::result::Result<Decoded, DecodeError>> {
        let inbound = Inbound {
            topic: &message.topic,
            payload: &message.payload,
            retained: message.retained,
            received_at: self.db.clock().now().utc(),
        };
        let decoded = adapter.decode(inbound, self.directory(adapter).await?.as_ref());
        if !matches!(decoded, Err(DecodeError::Stranger { .. })) {
            return Ok(decoded);
        }
        self.whereabouts.forget();
        Ok(adapter.decode(inbound, self.directory(adapter).await?.as_ref()))
    }

    /// `since`: when it came, if it waited here.
    async fn store(
        &self,
        adapter: &dyn DeviceAdapter,
        decoded: Decoded,
        message: Message,
        since: Option<Moment>,
    ) -> Result<Accepted> {
        let received_at = self.db.clock().now();
        for part in &decoded.ignored {
            tracing::info!(device = %decoded.device, part = part.name, why = part.reason, "part of a message ignored");
        }
        let arrival = Arrival {
            adapter: adapter.manifest().name,
            message_id: decoded.message_id.clone().unwrap_or_else(|| inbox::content_id(&message)),
            is_unique: decoded.message_id.is_some() || decoded.observed_at.is_some(),
            observed_at: decoded.observed_at.map(Moment::from_utc).or(since).unwrap_or(received_at).min(received_at),
            received_at,
            spared: self.db.is_short_of_room() && sparing::tells_readings_alone(&decoded),
            decoded,
            message,
        };
        if arrival.decoded.is_emergency() {
            return self.emergency(arrival).await;
        }
        let (answer, answered) = oneshot::channel();
        let stopping = || Error::Unavailable(Text::key("error-stopping"));
        self.telemetry.send((arrival, answer)).await.map_err(|_| stopping())?;
        let accepted = answered.await.map_err(|_| stopping())??;
        if accepted == Accepted::Judged {
            self.db.add_to_gauge(sparing::NOT_KEPT, 1);
        }
        Ok(accepted)
    }

    /// A gateway named its devices: what came of names that nobody knew may be understood now. A device that is renamed
    /// may call for help before its gateway tells the new name.
    async fn look_again(&self, adapter: &dyn DeviceAdapter, gateway: &DeviceKey) -> Result<()> {
        self.whereabouts.forget();
        let serial = gateway.as_str().to_owned();
        for kept in self.db.read(move |db| quarantine::of_strangers(db, &serial)).await? {
            let message =
                Message { source: "quarantine", topic: kept.topic, payload: kept.payload, retained: kept.retained };
            if let Ok(decoded) = self.understand(adapter, &message).await? {
                self.store(adapter, decoded, message, Some(kept.received_at)).await?;
                self.db.write(move |tx| quarantine::remove(tx, kept.id)).await?;
            }
        }
        Ok(())
    }

    async fn emergency(&self, arrival: Arrival) -> Result<Accepted> {
        let arrival = Arc::new(arrival);
        let store = || {
            let arrival = arrival.clone();
            self.db.write_emergency(move |tx| store_one(tx, &arrival))
        };
        let outcome = match store().await {
            // The same message was stored at the same moment by another way: now it is seen.
            Err(error) if error.is_unique_violation() => store().await,
            outcome => outcome,
        };
        self.db.add_to_gauge(STORED, usize::from(outcome.is_ok()));
        match outcome {
            Err(error) if !is_passing(&error) => refused::keep(&self.db, arrival, error).await,
            outcome => outcome,
        }
    }

    async fn quarantine(
        &self,
        message: Message,
        serial: Option<String>,
        reason: Reason,
        detail: String,
    ) -> Result<Accepted> {
        let (sender, bytes) = (serial.as_deref().unwrap_or("-"), message.payload.len());
        tracing::warn!(reason = reason.as_str(), sender, topic = message.topic, bytes, detail, "message quarantined");
        self.db.write(move |tx| quarantine::keep(tx, &message, serial.as_deref(), reason, &detail)).await?;
        Ok(Accepted::Quarantined)
    }
}

pub(crate) fn answer_to(adapter: &dyn DeviceAdapter, decoded: &Decoded) -> Option<Outbound> {
    if !adapter.manifest().capabilities.contains(&Capability::Acknowledgement) {
        return None;
    }
    let has_event = decoded.items.iter().any(|item| matches!(item, Item::Event { .. }));
    let id = decoded.message_id.as_ref().filter(|_| has_event)?;
    adapter.acknowledge(&decoded.device, id)
}
