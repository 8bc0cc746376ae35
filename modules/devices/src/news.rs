//! What of a message is news. A message with an id, or with a time of its own in its content, is the same whenever it
//! comes, and acted on once. One without either looks like every other of its kind, so that it is judged by its parts:
//!
//! - An *event* (a button was pressed) is news, unless it is a broker's copy of what was seen before, or follows the same
//!   bytes so closely that it is one message that came twice. A second press minutes later is news.
//! - A *condition* (there is smoke) is news when it changes. A copy that a broker or gateway kept alarms nobody if it was
//!   seen before, or if it is still as it was.
//! - A *reading* is news, unless it is such a copy.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use songhe_adapter_core::{EventKind, Item};
use songhe_kernel::{Db, Moment, Result};

use crate::act::incident_kind;
use crate::ingest::Arrival;
use crate::observations;
use crate::register::{Device, DeviceId};

/// The same bytes from the same device within this time are one message that came by two ways, in seconds.
const ECHO_S: i64 = 5;

/// How things stood before a batch, and stand after what of it was looked at.
pub(crate) struct Conditions(HashMap<(DeviceId, EventKind), (bool, Moment)>);

impl Conditions {
    pub(crate) fn look_up(db: &mut Db, batch: &[Arrival], devices: &HashMap<String, Arc<Device>>) -> Result<Self> {
        let mut asked: HashSet<DeviceId> = HashSet::new();
        let mut kinds: HashSet<&'static str> = HashSet::new();
        for arrival in batch {
            let Some(device) = devices.get(arrival.decoded.device.as_str()) else { continue };
            for item in &arrival.decoded.items {
                if let Item::Condition { kind, .. } = item {
                    asked.insert(device.id);
                    kinds.insert(kind.name());
                }
            }
        }
        if asked.is_empty() {
            return Ok(Self(HashMap::new()));
        }
        let (asked, kinds): (Vec<_>, Vec<_>) = (asked.into_iter().collect(), kinds.into_iter().collect());
        let states = observations::states_of(db, &asked, &kinds)?.into_iter().filter_map(|state| {
            let kind = EventKind::from_name(&state.kind)?;
            Some(((state.device_id, kind), (state.active?, state.observed_at)))
        });
        Ok(Self(states.collect()))
    }

    /// Whether it is another way than it was known to be.
    fn change(&mut self, device: DeviceId, kind: EventKind, active: bool, at: Moment) -> bool {
        let known = self.0.get(&(device, kind)).copied();
        if known.is_some_and(|(was, _)| was == active) {
            return false;
        }
        if known.is_some_and(|(_, since)| since > at) {
            // Told late, and something newer is known: only for a call for help is that worth a look.
            return active && kind.is_emergency();
        }
        self.0.insert((device, kind), (active, at));
        true
    }
}

/// The parts of a message that are to be acted on; `None` if it was acted on before.
pub(crate) fn of<'a>(
    conditions: &mut Conditions,
    arrival: &'a Arrival,
    device: DeviceId,
    seen_at: Option<Moment>,
) -> Option<Vec<&'a Item>> {
    if arrival.is_unique && seen_at.is_some() {
        return None;
    }
    let is_echo = seen_at.is_some_and(|at| arrival.received_at.seconds_since(at) < ECHO_S);
    let is_copy = is_echo || (seen_at.is_some() && arrival.message.retained);
    let mut is_news = |item: &&Item| match item {
        Item::Event { .. } | Item::Reading(_) => !is_copy,
        Item::Condition { kind, active, .. } => {
            let alarms = *active && incident_kind(*kind).is_some();
            // What does not page late is told again by the device itself, and pages then.
            let is_late = arrival.decoded.historical && !kind.is_emergency();
            !(alarms && (is_late || (seen_at.is_some() && arrival.message.retained)))
                && conditions.change(device, *kind, *active, arrival.observed_at)
        }
        Item::State(_) | Item::Inventory(_) | Item::CommandResult { .. } => true,
    };
    let news: Vec<&Item> = arrival.decoded.items.iter().filter(|item| is_news(item)).collect();
    if news.is_empty() && is_copy { None } else { Some(news) }
}
