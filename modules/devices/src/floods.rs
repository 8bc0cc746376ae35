//! Devices that send more than they may, behind a broker outside. What is too much is acknowledged and left out, counted
//! by device, so that the connection that all share goes on: readings, facts about the device itself, and what nobody
//! understands. A call for help is never left out: only repetitions of one that was stored within the last second are.
//! Whoever floods is a fault of that device (设备消息过多), for the embedded broker too.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::json;
use songhe_adapter_core::{Decoded, Inbound, Item, Outbound};
use songhe_incidents::{Kind, Report};
use songhe_kernel::{Moment, Result, Tx};

use crate::ingest::{Ingest, Message, answer_to};
use crate::pace::{Limits, Pace};
use crate::{register, report, sparing};

/// Devices that are counted by name.
const NAMED: usize = 1_000;
const MINUTE: Duration = Duration::from_secs(60);
/// The same word of the same device within this time is a repetition.
const REPETITION: Duration = Duration::from_secs(1);
/// A device that was away tells what it measured meanwhile, with its time: it may send so many times as much …
const HISTORY_SHARE: u32 = 10;
/// … if it is older than this, in seconds.
const HISTORY_S: i64 = 60;

/// Who was too loud: this minute and the one before.
#[derive(Debug, Default)]
struct Counts {
    began: Option<Instant>,
    now: HashMap<String, u64>,
    before: HashMap<String, u64>,
}

impl Counts {
    fn turn(&mut self, now: Instant) {
        let age = self.began.map(|began| now.saturating_duration_since(began));
        if age.is_none_or(|age| age >= MINUTE) {
            self.before = std::mem::take(&mut self.now);
            if age.is_some_and(|age| age >= 2 * MINUTE) {
                self.before.clear();
            }
            self.began = Some(now);
        }
    }

    fn add(&mut self, serial: &str, now: Instant) {
        self.turn(now);
        if let Some(count) = self.now.get_mut(serial) {
            *count += 1;
        } else if self.now.len() < NAMED {
            self.now.insert(serial.to_owned(), 1);
        }
    }

    fn list(&mut self, now: Instant) -> Vec<(String, u64)> {
        self.turn(now);
        let mut all = self.before.clone();
        for (serial, count) in &self.now {
            *all.entry(serial.clone()).or_default() += count;
        }
        let mut all: Vec<_> = all.into_iter().collect();
        all.sort_by(|(a, n), (b, m)| m.cmp(n).then_with(|| a.cmp(b)));
        all
    }
}

/// The floods of one connection. Nobody asks for its locks but messages that are too many.
#[derive(Debug)]
pub(crate) struct Floods {
    counts: Mutex<Counts>,
    /// When a word of a device was stored last, and which of two it was.
    told: Mutex<HashMap<String, (bool, Instant)>>,
    history: Mutex<Pace>,
}

impl Default for Floods {
    fn default() -> Self {
        Self { counts: Mutex::default(), told: Mutex::default(), history: Mutex::new(Pace::new(0, 0)) }
    }
}

impl Floods {
    /// What a device may tell of the time in which it was away.
    pub(crate) fn limit(&self, limits: Limits) {
        let (per_s, burst) = (limits.messages_per_s, limits.message_burst);
        *self.history.lock() = Pace::new(per_s.saturating_mul(HISTORY_SHARE), burst.saturating_mul(2 * HISTORY_SHARE));
    }

    pub(crate) fn count(&self, serial: &str) {
        self.counts.lock().add(serial, Instant::now());
    }

    /// Messages left out in this minute and the one before, by device, most first.
    pub(crate) fn list(&self) -> Vec<(String, u64)> {
        self.counts.lock().list(Instant::now())
    }

    fn may_tell_history(&self, topic: &str) -> bool {
        !self.history.lock().is_over(topic, Instant::now())
    }

    /// Whether all that a message says was stored a moment ago. Changes never are.
    fn is_repetition(&self, decoded: &Decoded, now: Instant) -> bool {
        let mut told = self.told.lock();
        told.retain(|_, (_, at)| now.saturating_duration_since(*at) < REPETITION);
        let mut repeated = true;
        for item in &decoded.items {
            let (word, active) = match item {
                // What happens is no state: both of its words are looked at by themselves.
                Item::Event { kind, active, .. } => (format!("{} {} {active}", decoded.device, kind.name()), *active),
                Item::Condition { kind, active, .. } => (format!("{} {}", decoded.device, kind.name()), *active),
                Item::Reading(_) | Item::State(_) => continue,
                Item::Inventory(_) | Item::CommandResult { .. } => return false,
            };
            if told.get(&word).is_none_or(|(was, _)| *was != active) {
                repeated = false;
                told.insert(word, (active, now));
            }
        }
        repeated
    }
}

/// What became of a message that is one too many.
pub(crate) enum Over {
    /// Left out; whose it is, and what its device is told.
    LeftOut(String, Option<Outbound>),
    /// Stored all the same.
    Taken(Option<Outbound>),
}

impl Ingest {
    /// A message of a topic that carries more than it may.
    ///
    /// # Errors
    /// As [`Ingest::accept`].
    pub(crate) async fn accept_over(&self, message: Message, floods: &Floods) -> Result<Over> {
        let nobodys = || Over::LeftOut(String::new(), None);
        let Some(adapter) = self.adapter_of(&message.topic) else { return Ok(nobodys()) };
        let directory = self.directory(adapter.as_ref()).await?;
        let received_at = self.db().clock().now();
        let inbound = Inbound {
            topic: &message.topic,
            payload: &message.payload,
            retained: message.retained,
            received_at: received_at.utc(),
        };
        let Ok(decoded) = adapter.decode(inbound, &directory) else {
            let device = adapter.device_of(&message.topic, &directory);
            return Ok(device.map_or_else(nobodys, |key| Over::LeftOut(key.as_str().to_owned(), None)));
        };
        let left_out = if sparing::tells_readings_alone(&decoded) {
            let told_at = decoded.observed_at.map(Moment::from_utc);
            let is_history = told_at.is_some_and(|at| received_at.seconds_since(at) > HISTORY_S);
            !(is_history && floods.may_tell_history(&message.topic))
        } else {
            decoded.settings.is_empty() && floods.is_repetition(&decoded, Instant::now())
        };
        if left_out {
            let answer = answer_to(adapter.as_ref(), &decoded);
            return Ok(Over::LeftOut(decoded.device.as_str().to_owned(), answer));
        }
        let (_, answer) = self.accept_and_answer(message).await?;
        Ok(Over::Taken(answer))
    }
}

/// Makes a device's flood an incident, or joins the open one. `n`: messages of the last two minutes at most that were
/// left out or had to wait. Nothing where the serial is no device's.
///
/// # Errors
/// When the database refuses.
pub fn report(tx: &mut Tx<'_>, serial: &str, n: u64) -> Result<()> {
    if let Some(report) = report_of(tx, serial, n)? {
        songhe_incidents::report(tx, &report)?;
    }
    Ok(())
}

/// Says on the incident that it is over; a person closes it.
///
/// # Errors
/// When the database refuses.
pub fn report_over(tx: &mut Tx<'_>, serial: &str) -> Result<()> {
    if let Some(report) = report_of(tx, serial, 0)? {
        songhe_incidents::report_cleared(tx, &report)?;
    }
    Ok(())
}

fn report_of(tx: &mut Tx<'_>, serial: &str, n: u64) -> Result<Option<Report>> {
    let now = tx.now();
    let Some(device) = register::by_serials(tx.db(), &[serial])?.pop() else { return Ok(None) };
    // Two devices of one resident are two faults.
    let discriminator = format!("device_flood:{}", device.id);
    let cause = json!({ "kind": "device_flood", "n": n, "serial": device.serial });
    Ok(Some(report::of(tx.db(), &device, Kind::System, discriminator, cause, now, now)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use songhe_adapter_core::{DeviceAdapter, Directory};
    use songhe_adapter_mqtt::SongheMqtt;

    fn decoded(event: &str) -> Decoded {
        let inbound = Inbound {
            topic: "songhe/v1/SH-1/event",
            payload: format!(r#"{{"id":"1","event":"{event}"}}"#).into_bytes().leak(),
            retained: false,
            received_at: "2026-11-22T08:00:00Z".parse::<Moment>().unwrap().utc(),
        };
        SongheMqtt.decode(inbound, &Directory::default()).unwrap()
    }

    #[test]
    fn a_call_is_repeated_only_if_it_was_stored_a_moment_ago() {
        let (floods, now) = (Floods::default(), Instant::now());
        assert!(!floods.is_repetition(&decoded("sos"), now));
        assert!(floods.is_repetition(&decoded("sos"), now + REPETITION / 2));
        assert!(!floods.is_repetition(&decoded("fall"), now + REPETITION / 2), "another call");
        assert!(!floods.is_repetition(&decoded("sos"), now + REPETITION));
    }

    #[test]
    fn loud_devices_are_counted_for_two_minutes_at_most() {
        let (mut counts, now) = (Counts::default(), Instant::now());
        counts.add("SH-1", now);
        counts.add("SH-2", now);
        counts.add("SH-2", now + MINUTE);
        assert_eq!(counts.list(now + MINUTE), [("SH-2".into(), 2), ("SH-1".into(), 1)]);
        assert_eq!(counts.list(now + 2 * MINUTE), [("SH-2".into(), 1)]);
        assert!(counts.list(now + 5 * MINUTE).is_empty());
        assert!((0..2 * NAMED as u64).all(|n| {
            counts.add(&n.to_string(), now + 5 * MINUTE);
            counts.now.len() <= NAMED
        }));
    }
}
