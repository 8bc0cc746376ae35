//! Commissioning tests: somebody starts one beside the device, and its next word within some minutes is measured and
//! pages nobody. Whatever comes later, or was not meant by the test, is a call like any other.

use diesel::prelude::*;
use songhe_adapter_core::{EventKind, Item};
use songhe_kernel::{Db, Error, Moment, Result, Text, Tx, UserId};

use crate::act::Act;
use crate::register::{self, DeviceId};
use crate::schema::{commission_test, device};

/// Shortest and longest time to wait, in minutes.
const MINUTES: (i64, i64) = (1, 30);
/// How far a device's clock may be behind, in seconds: what happened before the test is no part of it.
const CLOCK_SLACK_S: i64 = 30;

/// A commissioning test.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = commission_test)]
pub struct Test {
    /// Only an alarm (a press, smoke, a fall) passes it; else any word of the device.
    pub wants_alarm: bool,
    pub started_at: Moment,
    pub until_at: Moment,
    pub started_by: Option<UserId>,
    pub passed_at: Option<Moment>,
    /// Kind of what was heard: `sos`, `room_temperature`, `state`.
    pub heard: Option<String>,
    /// From the device's own time to its arrival, in milliseconds, if the device told its time.
    pub delay_ms: Option<i64>,
}

impl Test {
    /// `running`, `passed` or `missed`.
    pub fn state(&self, now: Moment) -> &'static str {
        match self.passed_at {
            Some(_) => "passed",
            None if self.until_at > now => "running",
            None => "missed",
        }
    }

    /// From the start to the arrival, in milliseconds.
    pub fn took_ms(&self) -> Option<i64> {
        Some(self.passed_at?.since(self.started_at).num_milliseconds())
    }
}

/// Starts a test; one that runs ends without a result.
///
/// # Errors
/// `Invalid` for a time outside 1 to 30 minutes; `NotFound` for no such device or one out of use.
pub fn start(tx: &mut Tx<'_>, id: DeviceId, minutes: i64, wants_alarm: bool, by: Option<UserId>) -> Result<()> {
    let known = register::find(tx.db(), id)?.filter(|device| device.enabled).ok_or(Error::NotFound)?;
    let (min, max) = MINUTES;
    if !(min..=max).contains(&minutes) {
        return Err(Error::field("minutes", Text::key("error-out-of-range").arg("min", min).arg("max", max)));
    }
    let now = tx.now();
    let until = now.plus_seconds(minutes * 60);
    let running = commission_test::table
        .filter(commission_test::device_id.eq(id.0))
        .filter(commission_test::passed_at.is_null().and(commission_test::until_at.gt(now)));
    diesel::update(running).set(commission_test::until_at.eq(now)).execute(tx.db())?;
    diesel::insert_into(commission_test::table)
        .values((
            commission_test::id.eq(tx.next_id()),
            commission_test::device_id.eq(id.0),
            commission_test::wants_alarm.eq(wants_alarm),
            commission_test::started_at.eq(now),
            commission_test::until_at.eq(until),
            commission_test::started_by.eq(by.map(|id| id.0)),
        ))
        .execute(tx.db())?;
    diesel::update(device::table.find(id.0)).set(device::test_until.eq(until)).execute(tx.db())?;
    tx.signal(format!("{}:{}", register::TOPIC, known.facility_id));
    Ok(())
}

/// Newest first.
pub fn of_device(db: &mut Db, id: DeviceId, limit: i64) -> Result<Vec<Test>> {
    Ok(commission_test::table
        .filter(commission_test::device_id.eq(id.0))
        .order(commission_test::id.desc())
        .limit(limit)
        .select(Test::as_select())
        .load(db)?)
}

/// What of a message a test would take for the device's word.
fn word<'a>(items: &[&'a Item], wants_alarm: bool) -> Option<&'a str> {
    let alarm = items.iter().find_map(|item| match item {
        Item::Event { kind, active: true, .. } | Item::Condition { kind, active: true, .. }
            if *kind == EventKind::Test || kind.is_emergency() =>
        {
            Some(kind.name())
        }
        _ => None,
    });
    if wants_alarm || alarm.is_some() {
        return alarm;
    }
    items.iter().find_map(|item| match item {
        Item::Reading(reading) => Some(reading.measure.name()),
        Item::Event { kind, .. } | Item::Condition { kind, .. } => Some(kind.name()),
        Item::State(state) if state.online != Some(false) => Some("state"),
        Item::State(_) | Item::Inventory(_) | Item::CommandResult { .. } => None,
    })
}

/// Whether a message is what a test waits for. Then the test is passed, and nobody is paged.
pub(crate) fn passes(tx: &mut Tx<'_>, act: &Act<'_>) -> Result<bool> {
    let Act { arrival, device, items } = act;
    let at = arrival.received_at;
    if device.test_until.is_none_or(|until| until <= at) || arrival.decoded.historical || arrival.message.retained {
        return Ok(false);
    }
    let running: Option<(i64, bool, Moment)> = commission_test::table
        .filter(commission_test::device_id.eq(device.id.0))
        .filter(commission_test::passed_at.is_null().and(commission_test::until_at.gt(at)))
        .order(commission_test::id.desc())
        .select((commission_test::id, commission_test::wants_alarm, commission_test::started_at))
        .first(tx.db())
        .optional()?;
    let Some((id, wants_alarm, started_at)) = running else { return Ok(false) };
    if arrival.observed_at < started_at.plus_seconds(-CLOCK_SLACK_S) {
        return Ok(false);
    }
    let Some(heard) = word(items, wants_alarm) else { return Ok(false) };
    let delay_ms = arrival.decoded.observed_at.map(|_| at.since(arrival.observed_at).num_milliseconds().max(0));
    diesel::update(commission_test::table.find(id))
        .set((
            commission_test::passed_at.eq(at),
            commission_test::heard.eq(heard),
            commission_test::delay_ms.eq(delay_ms),
        ))
        .execute(tx.db())?;
    diesel::update(device::table.find(device.id.0))
        .set((device::test_until.eq(None::<Moment>), device::commissioned_at.eq(at)))
        .execute(tx.db())?;
    register::changed(tx, "devices.device.tested", device.facility_id, device.id, None)?;
    Ok(true)
}
