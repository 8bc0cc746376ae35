//! One transaction of the hot path: what a batch of messages needs to know is looked up together, each message is claimed in
//! the inbox, what is new is stored and acted on.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use songhe_adapter_core::{Item, Quality};
use songhe_kernel::{Error, Result, Tx};

use crate::act::{Act, Known, act_on};
use crate::ingest::{Accepted, Arrival};
use crate::newest::Newest;
use crate::observations::{self, NewObservation};
use crate::register::{self, Device, DeviceId};
use crate::{inbox, news, quarantine, report, rules};

/// Stores one message, with its latest states.
pub(crate) fn store_one(tx: &mut Tx<'_>, arrival: &Arrival) -> Result<Accepted> {
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
pub(crate) fn store_all(tx: &mut Tx<'_>, batch: &[Arrival]) -> Result<(Vec<Accepted>, Newest)> {
    let mut known = look_up(tx, batch)?;
    // Another protocol's topics are not a device's own, whatever a broker lets through.
    let owner = |arrival: &Arrival| {
        let device = known.devices.get(arrival.decoded.device.as_str());
        device.filter(|device| device.adapter == arrival.adapter).cloned()
    };
    let owners: Vec<Option<Arc<Device>>> = batch.iter().map(owner).collect();
    let mut seen = inbox::claim(tx.db(), &claims_of(batch, &owners))?;
    let mut results = Vec::with_capacity(batch.len());
    let (mut rows, mut spared) = (Vec::new(), Vec::new());
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
        let kept = if arrival.spared { &mut spared } else { &mut rows };
        kept.extend(observations_of(tx, &known, &act));
        acts.push(act);
        results.push(if arrival.spared { Accepted::Judged } else { Accepted::Stored });
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
    spared.iter().for_each(|row| newest.add(row));
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
        // What is not kept need not be known again.
        let Some(device) = owner.as_ref().filter(|_| !arrival.spared) else { continue };
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
