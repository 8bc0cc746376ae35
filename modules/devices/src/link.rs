//! The way to an external broker: connections with persistent sessions and manual acknowledgement.
//!
//! Emergency topics have a connection of their own, so that a backlog of telemetry does not stand before them. So have
//! gateways, which put calls for help and readings under one topic: what comes by one topic is stored in the order of
//! its arrival, since a gateway tells how things stand and not what happened. A
//! message is acknowledged after its commit, in the order of arrival, and only on the connection it came by: after a
//! reconnect the broker sends again what was not acknowledged, and the inbox knows it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use rumqttc::{
    AsyncClient, ConnectReturnCode, Event, EventLoop, MqttOptions, Outgoing, Packet, Publish, QoS, SubscribeFilter,
};
use songhe_adapter_core::{AdapterManifest, Outbound};
use songhe_kernel::{Database, Result};
use tokio::sync::{mpsc, oneshot, watch};

use crate::faults;
use crate::floods::{Floods, Over};
use crate::ingest::{Ingest, Message};
use crate::link_acks::Acks;
use crate::pace::{Limits, Pace};

/// Messages of one connection that may be under way; beyond it the broker keeps them.
const UNDER_WAY: usize = 1_000;
/// Answers to devices that may wait to be sent. An answer more is dropped: the loop that polls waits for whoever answers to
/// take messages, who therefore never waits for the loop.
const REQUESTS: usize = 10_000;
/// rumqttc drops the connection over a larger packet, again and again: well above what any adapter accepts.
const MAX_PACKET_BYTES: usize = 1024 * 1024;
/// The same for gateways, whose inventories describe everything that each device can do.
const MAX_GATEWAY_PACKET_BYTES: usize = 16 * 1024 * 1024;
const KEEP_ALIVE: Duration = Duration::from_secs(20);
const RETRY: Duration = Duration::from_secs(1);
/// Messages that wait longer for their commit stand.
const STANDS: Duration = Duration::from_millis(500);

/// Where the broker is and as whom Songhe speaks to it.
#[derive(Debug, Clone)]
pub struct LinkSettings {
    pub host: String,
    pub port: u16,
    pub username: String,
    pub password: String,
    /// Stable over restarts, and the same at all servers, which take turns: the broker keeps the session under it.
    pub client_id: String,
    /// What one device may send.
    pub limits: Limits,
}

/// How a connection does, for the system page.
#[derive(Debug, Default)]
pub struct LinkState {
    connected: AtomicBool,
    received: AtomicU64,
    left_out: AtomicU64,
    floods: Floods,
    /// For how long nothing was taken, in milliseconds, as long as nobody has counted it yet.
    silent_ms: AtomicU64,
}

impl LinkState {
    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// Messages since start.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    fn was_silent(&self, span: Duration) {
        self.silent_ms.fetch_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Messages since start that were too many of their device, acknowledged and left out.
    pub fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// Those of this minute and the one before, by device, most first.
    pub fn loud(&self) -> Vec<(String, u64)> {
        self.floods.list()
    }
}

/// Which part of the topics a connection carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    Emergency,
    Telemetry,
    Gateways,
}

impl Lane {
    const fn max_packet_bytes(self) -> usize {
        match self {
            Self::Emergency | Self::Telemetry => MAX_PACKET_BYTES,
            Self::Gateways => MAX_GATEWAY_PACKET_BYTES,
        }
    }

    const fn suffix(self) -> &'static str {
        match self {
            Self::Emergency => "emergency",
            Self::Telemetry => "telemetry",
            Self::Gateways => "gateways",
        }
    }

    fn pace(self, limits: Limits) -> Pace {
        match self {
            Self::Emergency => Pace::new(limits.events_per_s, limits.event_burst),
            Self::Telemetry | Self::Gateways => Pace::new(limits.messages_per_s, limits.message_burst),
        }
    }

    fn of(manifest: &AdapterManifest, topic: &str) -> Self {
        if manifest.gateways {
            Self::Gateways
        } else if topic.ends_with("/event") {
            Self::Emergency
        } else {
            Self::Telemetry
        }
    }

    /// The filters of all adapters that belong to this lane. Events come by the emergency connection.
    fn filters(self, ingest: &Ingest) -> Vec<SubscribeFilter> {
        let manifests = ingest.adapters().iter().map(|adapter| adapter.manifest());
        manifests
            .flat_map(|manifest| manifest.topics.iter().map(move |topic| (Self::of(&manifest, topic), *topic)))
            .filter(|(lane, _)| *lane == self)
            .map(|(_, topic)| topic)
            .map(|topic| SubscribeFilter::new(topic.to_owned(), QoS::AtLeastOnce))
            .collect()
    }
}

/// Runs one connection until told to stop.
pub async fn run(
    settings: LinkSettings,
    lane: Lane,
    ingest: Arc<Ingest>,
    db: Database,
    state: Arc<LinkState>,
    mut stop: watch::Receiver<bool>,
) {
    let id = format!("{}-{}", settings.client_id, lane.suffix());
    let mut options = MqttOptions::new(id, settings.host, settings.port);
    options.set_credentials(settings.username, settings.password);
    options.set_keep_alive(KEEP_ALIVE);
    options.set_clean_session(false);
    options.set_manual_acks(true);
    options.set_max_packet_size(lane.max_packet_bytes(), lane.max_packet_bytes());
    let (client, events) = AsyncClient::new(options, REQUESTS);
    let (arrived, arrivals) = mpsc::channel(UNDER_WAY);
    let acks = Arc::new(Acks::default());
    state.floods.limit(settings.limits);
    state.was_silent(silent_before(&db).await);
    let intake = Intake { ingest: ingest.clone(), state: state.clone(), stop: stop.clone() };
    let pace = lane.pace(settings.limits);
    let acknowledging = tokio::spawn(acknowledge(client.clone(), lane, pace, arrivals, intake, acks.clone()));
    let poll = poll(events, client, lane, ingest, db, state.clone(), arrived, acks);
    tokio::select! {
        () = poll => {}
        _ = stop.wait_for(|stopping| *stopping) => {}
    }
    state.connected.store(false, Ordering::Relaxed);
    acknowledging.abort();
}

/// How long nobody listened before this start, to the minute: what the broker kept meanwhile is no flood.
async fn silent_before(db: &Database) -> Duration {
    let now = db.clock().now();
    match db.read(faults::looked_at).await {
        Ok(looked) => {
            let silent_s = looked.map_or(0, |at| now.seconds_since(at));
            Duration::from_secs(u64::try_from(silent_s).unwrap_or(0))
        }
        Err(error) => {
            tracing::warn!(%error, "how long nobody listened to the broker is not known");
            Duration::ZERO
        }
    }
}

/// Polls alone in its task: `poll` is not cancel-safe, so nothing else is awaited while it runs but the hand-over.
#[allow(clippy::too_many_arguments)] // what one connection is made of
async fn poll(
    mut events: EventLoop,
    client: AsyncClient,
    lane: Lane,
    ingest: Arc<Ingest>,
    db: Database,
    state: Arc<LinkState>,
    arrived: mpsc::Sender<(u64, Publish)>,
    acks: Arc<Acks>,
) {
    let mut away_since = None;
    loop {
        let event = events.poll().await;
        if matches!(event, Ok(Event::Incoming(_))) {
            // The answer to a ping comes behind everything that the broker has for us: what comes shows that it lives.
            events.state.await_pingresp = false;
        }
        match event {
            Ok(Event::Incoming(Packet::ConnAck(answer))) if answer.code == ConnectReturnCode::Success => {
                acks.begin();
                state.was_silent(away_since.take().as_ref().map_or(Duration::ZERO, Instant::elapsed));
                state.connected.store(true, Ordering::Relaxed);
                db.signal("system");
                tracing::info!(lane = lane.suffix(), resumed = answer.session_present, "connected to the broker");
                subscribe(client.clone(), lane.filters(&ingest));
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                state.received.fetch_add(1, Ordering::Relaxed);
                if arrived.send((acks.connection(), publish)).await.is_err() {
                    return;
                }
            }
            Ok(Event::Outgoing(Outgoing::PubAck(_))) => acks.write(&client, &mut events).await,
            Ok(_) => {}
            Err(error) => {
                away_since.get_or_insert_with(Instant::now);
                if state.connected.swap(false, Ordering::Relaxed) {
                    db.signal("system");
                }
                tracing::warn!(lane = lane.suffix(), %error, "no connection to the broker");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// From another task: the request goes through the very loop that polls.
fn subscribe(client: AsyncClient, filters: Vec<SubscribeFilter>) {
    if filters.is_empty() {
        return;
    }
    tokio::spawn(async move {
        if let Err(error) = client.subscribe_many(filters).await {
            tracing::error!(%error, "not subscribed");
        }
    });
}

/// What takes the messages of a connection.
#[derive(Clone)]
struct Intake {
    ingest: Arc<Ingest>,
    state: Arc<LinkState>,
    stop: watch::Receiver<bool>,
}

/// Stores messages side by side and acknowledges them in the order of arrival.
async fn acknowledge(
    client: AsyncClient,
    lane: Lane,
    mut pace: Pace,
    mut arrivals: mpsc::Receiver<(u64, Publish)>,
    intake: Intake,
    acks: Arc<Acks>,
) {
    let mut under_way = FuturesOrdered::new();
    let mut turns = Turns::default();
    let mut moved = Instant::now();
    loop {
        tokio::select! {
            arrival = arrivals.recv(), if under_way.len() < UNDER_WAY => {
                let Some((born, publish)) = arrival else { return };
                let now = Instant::now();
                if under_way.is_empty() {
                    turns.0.clear();
                    moved = now;
                }
                if intake.state.silent_ms.load(Ordering::Relaxed) > 0 {
                    let silent_ms = intake.state.silent_ms.swap(0, Ordering::Relaxed);
                    pace.was_silent(Duration::from_millis(silent_ms), now);
                }
                let over = pace.is_over(&publish.topic, now);
                let turn = (lane == Lane::Gateways).then(|| turns.take(&publish.topic));
                let stored = tokio::spawn(in_turn(turn, store(intake.clone(), publish, over)));
                under_way.push_back(async move { (born, stored.await) });
            }
            Some((born, stored)) = under_way.next(), if !under_way.is_empty() => {
                // What gathers while nothing moves comes at once afterwards.
                let stood = moved.elapsed();
                if stood > STANDS {
                    intake.state.was_silent(stood);
                }
                moved = Instant::now();
                let Ok(Some((publish, answer))) = stored else { continue };
                tell_device(&client, answer);
                acks.add(&client, born, &publish);
            }
        }
    }
}

/// Who comes after whom, by topic.
#[derive(Default)]
struct Turns(HashMap<String, oneshot::Receiver<()>>);

/// A place in the order of a topic: it begins when the one before is over, and is over when it is dropped.
struct Turn {
    before: Option<oneshot::Receiver<()>>,
    _over: oneshot::Sender<()>,
}

impl Turns {
    fn take(&mut self, topic: &str) -> Turn {
        let (over, next) = oneshot::channel();
        Turn { before: self.0.insert(topic.to_owned(), next), _over: over }
    }
}

async fn in_turn<T>(mut turn: Option<Turn>, work: impl Future<Output = T>) -> T {
    if let Some(before) = turn.as_mut().and_then(|turn| turn.before.take()) {
        let _ = before.await;
    }
    let done = work.await;
    drop(turn);
    done
}

/// Tells a device that its event is safe, so that it need not repeat it. Of QoS 0: a full window of outgoing messages
/// must not hold back acknowledgements, and a device that missed it repeats and is told again.
fn tell_device(client: &AsyncClient, answer: Option<Outbound>) {
    if let Some(answer) = answer
        && let Err(error) = client.try_publish(answer.topic, QoS::AtMostOnce, false, answer.payload)
    {
        tracing::warn!(%error, "a device was not told that its message is safe");
    }
}

/// Tries until it is stored: the broker gives it again only after a reconnect. `None` when the connection has ended, and
/// with it this server's turn: the broker gives it to whoever connects next.
async fn store(mut intake: Intake, publish: Publish, over: bool) -> Option<(Publish, Option<Outbound>)> {
    let mut wait = Duration::from_millis(100);
    loop {
        let message = Message {
            source: "broker",
            topic: publish.topic.clone(),
            payload: publish.payload.to_vec(),
            retained: publish.retain,
        };
        match intake.accept(message, over).await {
            Ok(answer) => return Some((publish, answer)),
            Err(error) => tracing::error!(%error, "a message could not be stored and is tried again"),
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = intake.stop.wait_for(|stopping| *stopping) => return None,
        }
        wait = (wait * 2).min(Duration::from_secs(5));
    }
}

impl Intake {
    /// `over`: its topic carries more than it may.
    async fn accept(&self, message: Message, over: bool) -> Result<Option<Outbound>> {
        if !over {
            return self.ingest.accept_and_answer(message).await.map(|(_, answer)| answer);
        }
        match self.ingest.accept_over(message, &self.state.floods).await? {
            Over::Taken(answer) => Ok(answer),
            Over::LeftOut(serial, answer) => {
                self.state.left_out.fetch_add(1, Ordering::Relaxed);
                self.state.floods.count(&serial);
                Ok(answer)
            }
        }
    }
}
