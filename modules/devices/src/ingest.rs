//! From bytes to facts. Two lanes: an emergency is a transaction of its own in the lane that telemetry cannot block;
//! everything else is gathered while the previous commit runs, up to 500 messages, and written together.
//!
//! Nothing is acknowledged before its commit. A message that comes again is recognised by (device, message id) and
//! changes nothing; one that cannot be understood, or whose sender is unknown, is kept in quarantine.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use songhe_adapter_core::{DecodeError, Decoded, DeviceAdapter, EventKind, Inbound, Item, Quality, Reading};
use songhe_incidents::Kind;
use songhe_kernel::{Database, Error, Moment, Result, Text, Tx};
use songhe_registry::{PlaceId, ResidentId};
use tokio::sync::{mpsc, oneshot};

use crate::observations::{self, NewObservation};
use crate::quarantine::{self, Reason};
use crate::refused::{self, is_passing};
use crate::register::{self, Device, DeviceId};
use crate::rules::{self, Edge};
use crate::sighting::Sighting;
use crate::{inbox, report};

/// Messages written together at most.
const BATCH: usize = 500;
/// Telemetry that may wait; beyond it senders wait for their acknowledgement.
const WAITING: usize = 10_000;
/// A measurement older than this at its arrival is history: it is stored and never pages, in seconds.
const STALE_MEASUREMENT_S: i64 = 300;
/// An alarm that is told later than this after its own time did not wait that long: its device's clock is wrong, in
/// seconds. What is known to be over since then does not silence it.
const LONGEST_WAIT_S: i64 = 86_400;

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
    pub(crate) observed_at: Moment,
    pub(crate) received_at: Moment,
}

type Waiting = (Arrival, oneshot::Sender<Result<Accepted>>);

/// Takes messages from all brokers.
pub struct Ingest {
    db: Database,
    adapters: Vec<Arc<dyn DeviceAdapter>>,
    telemetry: mpsc::Sender<Waiting>,
}

impl Ingest {
    /// Starts the telemetry lane; it ends when the last handle is dropped.
    pub fn start(db: Database, adapters: Vec<Arc<dyn DeviceAdapter>>) -> Arc<Self> {
        let (telemetry, arrivals) = mpsc::channel(WAITING);
        tokio::spawn(gather(db.clone(), arrivals));
        Arc::new(Self { db, adapters, telemetry })
    }

    pub fn adapters(&self) -> &[Arc<dyn DeviceAdapter>] {
        &self.adapters
    }

    fn adapter_of(&self, topic: &str) -> Option<&Arc<dyn DeviceAdapter>> {
        self.adapters.iter().find(|adapter| adapter.device_of(topic).is_some())
    }

    /// Stores a message and acts on it; returns after the commit.
    ///
    /// # Errors
    /// Whatever kept it from being stored: it must not be acknowledged, so that it comes again.
    pub async fn accept(&self, message: Message) -> Result<Accepted> {
        let received_at = self.db.clock().now();
        let Some(adapter) = self.adapter_of(&message.topic) else {
            return self.quarantine(message, None, Reason::NoAdapter, String::new()).await;
        };
        let inbound = Inbound {
            topic: &message.topic,
            payload: &message.payload,
            retained: message.retained,
            received_at: received_at.utc(),
        };
        let decoded = match adapter.decode(inbound) {
            Ok(decoded) => decoded,
            // Told by us, heard by us: nothing to keep.
            Err(DecodeError::Own) => return Ok(Accepted::Duplicate),
            Err(error) => {
                let serial = adapter.device_of(&message.topic).map(|key| key.as_str().to_owned());
                return self.quarantine(message, serial, Reason::Undecodable, error.to_string()).await;
            }
        };
        for part in &decoded.ignored {
            tracing::info!(device = %decoded.device, part = part.name, why = part.reason, "part of a message ignored");
        }
        let arrival = Arrival {
            message_id: decoded.message_id.clone().unwrap_or_else(|| inbox::content_id(&message)),
            observed_at: decoded.observed_at.map_or(received_at, Moment::from_utc).min(received_at),
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
        match outcome {
            Err(error) if !is_passing(&error) => refused::keep(&self.db, arrival, error).await,
            outcome => outcome,
        }
    }

    /// What tells a device that its message is safe, if its protocol has such an answer: for events, since those are
    /// what a device repeats until it is told.
    pub fn acknowledgement(&self, topic: &str, payload: &[u8]) -> Option<songhe_adapter_core::Outbound> {
        let adapter = self.adapter_of(topic)?;
        let inbound = Inbound { topic, payload, retained: false, received_at: self.db.clock().now().utc() };
        let decoded = adapter.decode(inbound).ok()?;
        let has_event = decoded.items.iter().any(|item| matches!(item, Item::Event { .. }));
        decoded.message_id.filter(|_| has_event).and_then(|id| adapter.acknowledge(&decoded.device, &id))
    }

    async fn quarantine(
        &self,
        message: Message,
        serial: Option<String>,
        reason: Reason,
        detail: String,
    ) -> Result<Accepted> {
        tracing::warn!(reason = reason.as_str(), detail, bytes = message.payload.len(), "message quarantined");
        self.db.write(move |tx| quarantine::keep(tx, &message, serial.as_deref(), reason, &detail)).await?;
        Ok(Accepted::Quarantined)
    }
}

/// The telemetry lane: while one batch commits, the next one gathers.
async fn gather(db: Database, mut arrivals: mpsc::Receiver<Waiting>) {
    let mut waiting = Vec::with_capacity(BATCH);
    while arrivals.recv_many(&mut waiting, BATCH).await > 0 {
        let (batch, answers): (Vec<Arrival>, Vec<_>) = waiting.drain(..).unzip();
        let batch = Arc::new(batch);
        db.set_gauge("ingest_batch", i64::try_from(batch.len()).unwrap_or(i64::MAX));
        let work = batch.clone();
        match db.write(move |tx| store_all(tx, &work)).await {
            Ok(results) => {
                for (answer, result) in answers.into_iter().zip(results) {
                    let _ = answer.send(Ok(result));
                }
            }
            Err(error) if is_passing(&error) => {
                tracing::error!(%error, messages = batch.len(), "the database does not answer, a batch must come again");
                for answer in answers {
                    let _ = answer.send(Err(Error::Unavailable(Text::key("error-database-unreachable"))));
                }
            }
            Err(error) => {
                // One message that the database refuses must not hold back the others: each by itself.
                tracing::warn!(%error, messages = batch.len(), "batch refused, messages are stored one by one");
                for (arrival, answer) in batch.iter().cloned().zip(answers) {
                    let _ = answer.send(store_alone(&db, arrival).await);
                }
            }
        }
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
    let results = store_all(tx, std::slice::from_ref(arrival))?;
    results.first().copied().ok_or_else(|| Error::internal("no result for a message"))
}

/// Everything that a batch needs to know, looked up together.
struct Known {
    devices: HashMap<String, Device>,
    /// Who lives alone at a bed or home.
    residents: HashMap<PlaceId, ResidentId>,
    rules: Vec<rules::Rule>,
    standing: rules::Standing,
}

fn look_up(tx: &mut Tx<'_>, batch: &[Arrival]) -> Result<Known> {
    let serials: HashSet<&str> = batch.iter().map(|arrival| arrival.decoded.device.as_str()).collect();
    let serials: Vec<&str> = serials.into_iter().collect();
    let devices: HashMap<String, Device> =
        register::by_serials(tx.db(), &serials)?.into_iter().map(|device| (device.serial.clone(), device)).collect();
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
    Ok(Known { devices, residents, rules, standing })
}

fn store_all(tx: &mut Tx<'_>, batch: &[Arrival]) -> Result<Vec<Accepted>> {
    let mut known = look_up(tx, batch)?;
    let mut fresh = inbox::Fresh::look_up(
        tx.db(),
        batch.iter().filter_map(|arrival| {
            known.devices.get(arrival.decoded.device.as_str()).map(|device| (device.id, arrival.message_id.as_str()))
        }),
    )?;
    let mut results = Vec::with_capacity(batch.len());
    let mut rows = Vec::new();
    let mut acts: Vec<(&Arrival, Device)> = Vec::new();
    let mut strangers = quarantine::Strangers::default();
    for arrival in batch {
        let serial = arrival.decoded.device.as_str();
        let Some(device) = known.devices.get(serial).cloned() else {
            strangers.add(serial, &arrival.message);
            results.push(Accepted::Quarantined);
            continue;
        };
        if !fresh.take(device.id, &arrival.message_id) {
            results.push(Accepted::Duplicate);
            continue;
        }
        fresh.remember(device.id, arrival.message_id.clone(), arrival.received_at, raw_of(arrival));
        rows.extend(observations_of(tx, &known, arrival, &device));
        acts.push((arrival, device));
        results.push(Accepted::Stored);
    }
    strangers.keep(tx)?;
    fresh.write(tx.db())?;
    observations::write(tx.db(), &rows)?;
    let earlier = observations::update_states(tx.db(), &rows)?;
    observations::update_health(tx.db(), &seen(&acts))?;
    for (arrival, device) in &acts {
        act(tx, &mut known, &earlier, arrival, device)?;
    }
    signal(tx, &acts);
    Ok(results)
}

/// The bytes of an emergency are kept: they are evidence.
fn raw_of(arrival: &Arrival) -> Option<Vec<u8>> {
    arrival.decoded.is_emergency().then(|| arrival.message.payload.clone())
}

fn observations_of(tx: &Tx<'_>, known: &Known, arrival: &Arrival, device: &Device) -> Vec<NewObservation> {
    let lives_there = || device.place_id.and_then(|place| known.residents.get(&place).copied());
    let resident = device.resident_id.or_else(lives_there);
    let mut rows = Vec::new();
    for item in &arrival.decoded.items {
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
            Item::Event { kind, active, detail } => rows.push(NewObservation {
                kind: kind.name().to_owned(),
                active: Some(*active),
                detail: detail.clone(),
                ..base
            }),
            Item::State(_) | Item::CommandResult { .. } => {}
        }
    }
    rows
}

/// When devices were heard. Who speaks is on line again, whatever their last will said; what a broker had kept, or what
/// waited in the device, tells nothing of now.
fn seen(acts: &[(&Arrival, Device)]) -> Vec<observations::Health> {
    let mut by_device: HashMap<DeviceId, observations::Health> = HashMap::new();
    for (arrival, device) in acts.iter().filter(|(arrival, _)| !arrival.message.retained) {
        let health = by_device.entry(device.id).or_insert_with(|| observations::Health {
            device_id: device.id.0,
            last_seen_at: arrival.received_at,
            online: None,
            firmware: None,
        });
        health.last_seen_at = health.last_seen_at.max(arrival.received_at);
        if !arrival.decoded.historical {
            health.online = Some(true);
        }
        for item in &arrival.decoded.items {
            if let Item::State(state) = item {
                health.online = state.online.or(health.online);
                health.firmware = state.firmware.clone().or(health.firmware.take());
            }
        }
    }
    let mut all: Vec<_> = by_device.into_values().collect();
    // One order for everybody: two transactions that meet wait for each other, and do not deadlock.
    all.sort_unstable_by_key(|health| health.device_id);
    all
}

fn act(
    tx: &mut Tx<'_>,
    known: &mut Known,
    earlier: &observations::Earlier,
    arrival: &Arrival,
    device: &Device,
) -> Result<()> {
    let stale =
        arrival.decoded.historical || arrival.received_at.seconds_since(arrival.observed_at) > STALE_MEASUREMENT_S;
    for item in &arrival.decoded.items {
        let sighting = Sighting::of(arrival, item);
        match item {
            Item::Event { kind, active, .. } => act_on_event(tx, earlier, device, *kind, *active, &sighting)?,
            Item::Reading(reading) if reading.quality == Quality::Good => {
                act_on_reading(tx, known, device, reading, &sighting, stale)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The incident that an event is, if it is one. A test never pages; doors and beds are states that rules look at.
fn incident_kind(event: EventKind) -> Option<Kind> {
    match event {
        EventKind::Sos => Some(Kind::Sos),
        EventKind::Fall => Some(Kind::Fall),
        EventKind::Smoke => Some(Kind::Smoke),
        EventKind::Gas => Some(Kind::Gas),
        EventKind::Co => Some(Kind::Co),
        EventKind::Leak => Some(Kind::Leak),
        EventKind::Tamper => Some(Kind::Tamper),
        EventKind::LowBattery => Some(Kind::LowBattery),
        EventKind::DoorOpen
        | EventKind::DoorClose
        | EventKind::BedExit
        | EventKind::BedEnter
        | EventKind::Presence
        | EventKind::NoPresence
        | EventKind::Test => None,
    }
}

pub(crate) fn act_on_event(
    tx: &mut Tx<'_>,
    earlier: &observations::Earlier,
    device: &Device,
    event: EventKind,
    active: bool,
    sighting: &Sighting,
) -> Result<()> {
    let Some(kind) = incident_kind(event) else { return Ok(()) };
    let cause = sighting.cause(device, None);
    let mut report =
        report::of(tx.db(), device, kind, String::new(), cause, sighting.observed_at, sighting.received_at)?;
    report.detail = sighting.detail.clone().unwrap_or_default();
    if !active {
        songhe_incidents::report_cleared(tx, &report)?;
        return Ok(());
    }
    // Told late, after it was over: recorded, and silent.
    let late_s = sighting.received_at.seconds_since(sighting.observed_at);
    let over = earlier.cleared_after(device.id, event.name(), sighting.observed_at)
        && (sighting.historical || late_s <= LONGEST_WAIT_S);
    let silent = over || (sighting.historical && !event.is_emergency());
    if !silent {
        songhe_incidents::report(tx, &report)?;
    }
    Ok(())
}

fn act_on_reading(
    tx: &mut Tx<'_>,
    known: &mut Known,
    device: &Device,
    reading: &Reading,
    sighting: &Sighting,
    stale: bool,
) -> Result<()> {
    let measure = reading.measure.name();
    let mine = |rule: &&rules::Rule| rule.facility_id == device.facility_id && rule.measure == measure;
    for rule in known.rules.iter().filter(mine) {
        let key = (rule.id, device.id);
        let since = known.standing.get(&key).copied();
        match rules::edge(rule, since.is_some(), reading.value_micro()) {
            // What is history does not page.
            Edge::Begin if !stale => {
                rules::begin(tx, rule, device, sighting)?;
                known.standing.insert(key, sighting.observed_at);
            }
            // It may tell of a recovery, but not of one before the limit was passed.
            Edge::End if since.is_none_or(|since| sighting.observed_at >= since) => {
                rules::end(tx, rule, device, sighting.observed_at)?;
                known.standing.remove(&key);
            }
            Edge::Begin | Edge::End | Edge::None => {}
        }
    }
    Ok(())
}

fn signal(tx: &mut Tx<'_>, acts: &[(&Arrival, Device)]) {
    let facilities: HashSet<_> = acts.iter().map(|(_, device)| device.facility_id).collect();
    for facility in facilities {
        tx.signal(format!("observations:{facility}"));
    }
}
