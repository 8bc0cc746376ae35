//! From bytes to facts. Two lanes: an emergency is a transaction of its own in the lane that telemetry cannot block;
//! everything else is gathered while the previous commit runs, up to 500 messages, and written together.
//!
//! Nothing is acknowledged before its commit. A message that comes again is recognised by (device, message id) and
//! changes nothing (`news.rs`); one that cannot be understood, or whose sender is unknown, is kept in quarantine.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use songhe_adapter_core::{
    Capability, DecodeError, Decoded, DeviceAdapter, DeviceKey, Directory, Inbound, Item, Outbound, Quality,
};
use songhe_kernel::{Database, Error, Moment, Result, Text, Tx};
use tokio::sync::{mpsc, oneshot};

use crate::act::{Act, Known, act_on};
use crate::newest::{self, Newest};
use crate::observations::{self, NewObservation};
use crate::quarantine::{self, Reason};
use crate::refused::{self, is_passing};
use crate::register::{self, Device, DeviceId};
use crate::whereabouts::Whereabouts;
use crate::{inbox, news, report, rules};

/// Messages written together at most.
const BATCH: usize = 500;
/// Telemetry that may wait; beyond it senders wait for their acknowledgement.
const WAITING: usize = 10_000;

/// A batch of so many messages is load: the latest states of a while are then written together.
const LOAD: usize = 32;
/// How long they may wait for that.
const TOGETHER: Duration = Duration::from_secs(1);

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

/// What became of a message. All of these may be acknowledged: it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    Stored,
    /// Seen before; nothing changed.
    Duplicate,
    Quarantined,
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
}

type Waiting = (Arrival, oneshot::Sender<Result<Accepted>>);

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

    fn adapter_of(&self, topic: &str) -> Option<&Arc<dyn DeviceAdapter>> {
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

    async fn directory(&self, adapter: &dyn DeviceAdapter) -> Result<Arc<Directory>> {
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
            decoded,
            message,
        };
        if arrival.decoded.is_emergency() {
            return self.emergency(arrival).await;
        }
        let (answer, answered) = oneshot::channel();
        let stopping = || Error::Unavailable(Text::key("error-stopping"));
        self.telemetry.send((arrival, answer)).await.map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())?
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

fn answer_to(adapter: &dyn DeviceAdapter, decoded: &Decoded) -> Option<Outbound> {
    if !adapter.manifest().capabilities.contains(&Capability::Acknowledgement) {
        return None;
    }
    let has_event = decoded.items.iter().any(|item| matches!(item, Item::Event { .. }));
    let id = decoded.message_id.as_ref().filter(|_| has_event)?;
    adapter.acknowledge(&decoded.device, id)
}

/// The telemetry lane: while one batch commits, the next one gathers.
async fn gather(db: Database, mut arrivals: mpsc::Receiver<Waiting>) {
    if let Err(error) = db.write(newest::catch_up).await {
        tracing::warn!(%error, "the latest states could not be brought up to what was stored before the start");
    }
    let mut waiting = Vec::with_capacity(BATCH);
    let mut pending = Newest::default();
    let mut written = Instant::now();
    loop {
        let due = written + TOGETHER;
        tokio::select! {
            count = arrivals.recv_many(&mut waiting, BATCH) => if count == 0 { break },
            () = tokio::time::sleep_until(due.into()), if !pending.is_empty() => {}
        }
        let (batch, answers): (Vec<Arrival>, Vec<_>) = waiting.drain(..).unzip();
        let batch = Arc::new(batch);
        db.set_gauge("ingest_batch", i64::try_from(batch.len()).unwrap_or(i64::MAX));
        let later = batch.len() >= LOAD && Instant::now() < due;
        let earlier = Arc::new(if later { Newest::default() } else { std::mem::take(&mut pending) });
        let (work, before) = (batch.clone(), earlier.clone());
        let stored = db.write(move |tx| {
            let (results, newest) = store_all(tx, &work)?;
            if later {
                return Ok((results, newest));
            }
            before.write(tx.db())?;
            newest.write(tx.db())?;
            Ok((results, Newest::default()))
        });
        match stored.await {
            Ok((results, newest)) => {
                pending.merge(newest);
                if !later {
                    written = Instant::now();
                }
                db.add_to_gauge(STORED, results.len());
                for (answer, result) in answers.into_iter().zip(results) {
                    let _ = answer.send(Ok(result));
                }
            }
            Err(error) => {
                pending.merge(Newest::clone(&earlier));
                refuse(&db, &batch, answers, error).await;
            }
        }
    }
    if let Err(error) = db.write(move |tx| pending.write(tx.db())).await {
        tracing::warn!(%error, "the latest states were not written; the next start makes that good");
    }
}

async fn refuse(db: &Database, batch: &[Arrival], answers: Vec<oneshot::Sender<Result<Accepted>>>, error: Error) {
    if is_passing(&error) {
        tracing::error!(%error, messages = batch.len(), "the database does not answer, a batch must come again");
        for answer in answers {
            let _ = answer.send(Err(Error::Unavailable(Text::key("error-database-unreachable"))));
        }
        return;
    }
    // One message that the database refuses must not hold back the others: each by itself.
    tracing::warn!(%error, messages = batch.len(), "batch refused, messages are stored one by one");
    for (arrival, answer) in batch.iter().cloned().zip(answers) {
        let _ = answer.send(store_alone(db, arrival).await);
    }
}

/// A message of a batch that was refused.
async fn store_alone(db: &Database, arrival: Arrival) -> Result<Accepted> {
    let arrival = Arc::new(arrival);
    let work = arrival.clone();
    match db.write(move |tx| store_one(tx, &work)).await {
        Err(error) if !is_passing(&error) => refused::keep(db, arrival, error).await,
        outcome => outcome,
    }
}

fn store_one(tx: &mut Tx<'_>, arrival: &Arrival) -> Result<Accepted> {
    let (results, newest) = store_all(tx, std::slice::from_ref(arrival))?;
    newest.write(tx.db())?;
    results.first().copied().ok_or_else(|| Error::internal("no result for a message"))
}

fn look_up(tx: &mut Tx<'_>, batch: &[Arrival]) -> Result<Known> {
    let serials: HashSet<&str> = batch.iter().map(|arrival| arrival.decoded.device.as_str()).collect();
    let serials: Vec<&str> = serials.into_iter().collect();
    let devices = register::by_serials(tx.db(), &serials)?.into_iter();
    let devices: HashMap<String, Arc<Device>> = devices.map(|one| (one.serial.clone(), Arc::new(one))).collect();
    let measures = batch.iter().any(|arrival| arrival.decoded.items.iter().any(|i| matches!(i, Item::Reading(_))));
    let (rules, standing) = if measures {
        let facilities: HashSet<_> = devices.values().map(|device| device.facility_id).collect();
        let rules = rules::in_force(tx.db(), &facilities.into_iter().collect::<Vec<_>>())?;
        let ids: Vec<DeviceId> = devices.values().map(|device| device.id).collect();
        (rules, rules::standing(tx.db(), &ids)?)
    } else {
        (Vec::new(), HashMap::new())
    };
    let shared = devices.values().filter(|device| device.resident_id.is_none());
    let residents = report::only_residents(tx.db(), shared.filter_map(|device| device.place_id))?;
    let conditions = news::Conditions::look_up(tx.db(), batch, &devices)?;
    Ok(Known { devices, residents, rules, standing, conditions })
}

/// Stores what is new of a batch and acts on it. What it answers of the latest states is still to be written.
fn store_all(tx: &mut Tx<'_>, batch: &[Arrival]) -> Result<(Vec<Accepted>, Newest)> {
    let mut known = look_up(tx, batch)?;
    // Another protocol's topics are not a device's own, whatever a broker lets through.
    let owner = |arrival: &Arrival| {
        let device = known.devices.get(arrival.decoded.device.as_str());
        device.filter(|device| device.adapter == arrival.adapter).cloned()
    };
    let owners: Vec<Option<Arc<Device>>> = batch.iter().map(owner).collect();
    let mut seen = inbox::claim(tx.db(), &claims_of(batch, &owners))?;
    let mut results = Vec::with_capacity(batch.len());
    let mut rows = Vec::new();
    let mut acts: Vec<Act<'_>> = Vec::new();
    let mut strangers = quarantine::Strangers::default();
    for (arrival, owner) in batch.iter().zip(owners) {
        let Some(device) = owner else {
            strangers.add(arrival.decoded.device.as_str(), &arrival.message);
            results.push(Accepted::Quarantined);
            continue;
        };
        let seen_at = seen.at(device.id, &arrival.message_id);
        let Some(items) = news::of(&mut known.conditions, arrival, device.id, seen_at) else {
            results.push(Accepted::Duplicate);
            continue;
        };
        seen.acted(device.id, &arrival.message_id, arrival.received_at);
        let act = Act { arrival, device, items };
        rows.extend(observations_of(tx, &known, &act));
        acts.push(act);
        results.push(Accepted::Stored);
    }
    strangers.keep(tx)?;
    seen.write(tx.db())?;
    observations::write(tx.db(), &rows)?;
    let earlier = observations::Earlier::look_up(tx.db(), &rows)?;
    let (mut newest, mut told) = (Newest::default(), Newest::default());
    for row in &rows {
        // What happened is looked at again by the next message: it is not put off.
        if row.active.is_some() { told.add(row) } else { newest.add(row) }
    }
    told.write(tx.db())?;
    for health in heard(&acts) {
        newest.heard(health);
    }
    for act in &acts {
        act_on(tx, &mut known, &earlier, act)?;
    }
    signal(tx, &acts);
    Ok((results, newest))
}

/// The first of each message: one that comes twice in a batch is known the second time.
fn claims_of(batch: &[Arrival], owners: &[Option<Arc<Device>>]) -> Vec<inbox::Claim> {
    let mut first: HashSet<(DeviceId, &str)> = HashSet::with_capacity(batch.len());
    let mut claims = Vec::with_capacity(batch.len());
    for (arrival, owner) in batch.iter().zip(owners) {
        let Some(device) = owner else { continue };
        if first.insert((device.id, &arrival.message_id)) {
            claims.push(inbox::Claim {
                device_id: device.id,
                message_id: arrival.message_id.clone(),
                received_at: arrival.received_at,
                raw: raw_of(arrival),
            });
        }
    }
    claims
}

/// The bytes of an emergency are kept: they are evidence.
fn raw_of(arrival: &Arrival) -> Option<Vec<u8>> {
    arrival.decoded.is_emergency().then(|| arrival.message.payload.clone())
}

fn observations_of(tx: &Tx<'_>, known: &Known, act: &Act<'_>) -> Vec<NewObservation> {
    let Act { arrival, device, items } = act;
    let lives_there = || device.place_id.and_then(|place| known.residents.get(&place).copied());
    let resident = device.resident_id.or_else(lives_there);
    let mut rows = Vec::new();
    for item in items {
        let base = NewObservation {
            id: tx.next_id(),
            device_id: device.id.0,
            facility_id: device.facility_id.0,
            place_id: device.place_id.map(|id| id.0),
            resident_id: resident.map(|id| id.0),
            kind: String::new(),
            value_micro: None,
            unit: None,
            active: None,
            quality: Quality::Good.name().to_owned(),
            historical: arrival.decoded.historical,
            detail: None,
            message_id: arrival.message_id.clone(),
            observed_at: arrival.observed_at,
            received_at: arrival.received_at,
        };
        match item {
            Item::Reading(reading) => rows.push(NewObservation {
                kind: reading.measure.name().to_owned(),
                // What no field holds is in the detail, as it was sent.
                value_micro: (reading.quality != Quality::NoReading && reading.raw_value.is_none())
                    .then(|| reading.value_micro()),
                detail: reading.raw_value.clone(),
                unit: Some(reading.measure.unit().to_owned()),
                quality: reading.quality.name().to_owned(),
                ..base
            }),
            Item::Event { kind, active, detail } | Item::Condition { kind, active, detail } => {
                rows.push(NewObservation {
                    kind: kind.name().to_owned(),
                    active: Some(*active),
                    detail: detail.clone(),
                    ..base
                })
            }
            Item::State(_) | Item::Inventory(_) | Item::CommandResult { .. } => {}
        }
    }
    rows
}

/// When devices were heard. Who speaks is on line again, whatever their last will said; what a broker had kept, or what
/// waited in the device, tells nothing of now.
fn heard<'a>(acts: &'a [Act<'_>]) -> impl Iterator<Item = observations::Health> + 'a {
    acts.iter().filter(|act| !act.arrival.message.retained).map(|Act { arrival, device, .. }| {
        let mut health = observations::Health {
            device_id: device.id.0,
            last_seen_at: arrival.received_at,
            online: (!arrival.decoded.historical).then_some(true),
            firmware: None,
        };
        for item in &arrival.decoded.items {
            if let Item::State(state) = item {
                health.online = state.online.or(health.online);
                health.firmware = state.firmware.clone().or(health.firmware.take());
            }
        }
        health
    })
}

fn signal(tx: &mut Tx<'_>, acts: &[Act<'_>]) {
    let facilities: HashSet<_> = acts.iter().map(|act| act.device.facility_id).collect();
    for facility in facilities {
        tx.signal(format!("observations:{facility}"));
    }
}
