//! What a stored message brings about: incidents, limits that begin and end, a gateway's inventory.

use std::collections::HashMap;
use std::sync::Arc;

use songhe_adapter_core::{EventKind, Item, Quality, Reading};
use songhe_incidents::Kind;
use songhe_kernel::{Result, Tx};
use songhe_registry::{PlaceId, ResidentId};

use crate::device_tests::Word;
use crate::ingest::Arrival;
use crate::register::Device;
use crate::rules::{self, Edge};
use crate::sighting::Sighting;
use crate::{commands, device_tests, gateways, news, observations, report};

/// A measurement older than this at its arrival is history: it is stored and never pages, in seconds.
const STALE_MEASUREMENT_S: i64 = 300;
/// An alarm that is told later than this after its own time did not wait that long: its device's clock is wrong, in
/// seconds. What is known to be over since then does not silence it.
const LONGEST_WAIT_S: i64 = 86_400;

/// Everything that a batch needs to know, looked up together.
pub(crate) struct Known {
    pub(crate) devices: HashMap<String, Arc<Device>>,
    /// Who lives alone at a bed or home.
    pub(crate) residents: HashMap<PlaceId, ResidentId>,
    pub(crate) rules: Vec<rules::Rule>,
    pub(crate) standing: rules::Standing,
    pub(crate) conditions: news::Conditions,
}

/// A message that is acted on, with what of it is news.
pub(crate) struct Act<'a> {
    pub(crate) arrival: &'a Arrival,
    pub(crate) device: Arc<Device>,
    pub(crate) items: Vec<&'a Item>,
}

pub(crate) fn act_on(tx: &mut Tx<'_>, known: &mut Known, earlier: &observations::Earlier, act: &Act<'_>) -> Result<()> {
    let Act { arrival, device, items } = act;
    let stale =
        arrival.decoded.historical || arrival.received_at.seconds_since(arrival.observed_at) > STALE_MEASUREMENT_S;
    let mut told: Vec<(EventKind, bool)> = Vec::new();
    let tested = device_tests::take(tx, act)?;
    if !arrival.decoded.settings.is_empty() && !arrival.message.retained {
        commands::told(tx, device, &arrival.decoded.settings)?;
    }
    for item in items {
        let sighting = Sighting::of(arrival, item);
        match item {
            // One message may tell the same in two ways.
            Item::Event { kind, active, .. } | Item::Condition { kind, active, .. }
                if !told.contains(&(*kind, *active)) =>
            {
                told.push((*kind, *active));
                if *active && tested == Some(Word::Alarm(*kind)) {
                    continue;
                }
                act_on_event(tx, earlier, device, *kind, *active, &sighting)?;
            }
            Item::Reading(reading) if reading.quality == Quality::Good => {
                act_on_reading(tx, known, device, reading, &sighting, stale)?;
            }
            Item::CommandResult { command_id, ok, detail } => {
                commands::answered(tx, device, command_id, *ok, detail.as_deref())?;
            }
            Item::Inventory(members) => gateways::take_over(tx, device.id, members, &arrival.message)?,
            _ => {}
        }
    }
    Ok(())
}

/// The incident that an event is, if it is one. A test never pages; doors and beds are states that rules look at.
pub(crate) fn incident_kind(event: EventKind) -> Option<Kind> {
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
        | EventKind::Vibration
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
    // Two devices of one resident have two batteries.
    let discriminator = if kind == Kind::LowBattery { device.id.to_string() } else { String::new() };
    let mut report =
        report::of(tx.db(), device, kind, discriminator, cause, sighting.observed_at, sighting.received_at)?;
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
