//! Whether a message is the press that a test waits for. When in doubt it is a call.

use diesel::prelude::*;
use serde::Deserialize;
use serde_json::json;
use songhe_adapter_core::EventKind;
use songhe_incidents::Kind;
use songhe_kernel::{Db, Moment, Result, Timer, Tx};

use super::{TESTABLE, TOPIC, Test, TestId, TestKind, finish, timer_key};
use crate::register::{self, Device, DeviceId};
use crate::schema::{device_state, device_test};
use crate::sighting::Sighting;
use crate::{act, report};

/// Timer kind: a test's window is over.
pub(crate) const TIMER: &str = "device-test";
/// A device that tests itself is written down no more often than this, in seconds.
const OWN_TESTS_APART_S: i64 = 3_600;

/// A message as far as this matters.
#[derive(Debug, Clone, Copy)]
struct Press {
    kind: EventKind,
    observed_at: Moment,
    received_at: Moment,
    /// It waited in the device, or a broker kept it: it tells nothing of now.
    old: bool,
}

/// What a test waits for.
#[derive(Debug, Clone, Copy)]
struct Window<'a> {
    expects: &'a str,
    from: Moment,
    to: Moment,
}

impl Window<'_> {
    /// Pressed and arrived within the window, and of the kind that was asked for, or a device's own word for a test.
    fn takes(self, press: Press) -> bool {
        let kind = press.kind == EventKind::Test || press.kind.name() == self.expects;
        kind && !press.old
            && self.from <= press.observed_at
            && press.observed_at <= self.to
            && press.received_at <= self.to
    }
}

/// Whether something that stays on (smoke, gas, water), and is a fire if it is still on when its test is over.
fn stays_on(kind: EventKind) -> bool {
    matches!(kind, EventKind::Smoke | EventKind::Gas | EventKind::Co | EventKind::Leak)
}

pub(super) fn waiting(db: &mut Db, device: DeviceId) -> Result<Option<Test>> {
    Ok(device_test::table
        .filter(device_test::device_id.eq(device.0).and(device_test::state.eq("waiting")))
        .select(Test::as_select())
        .first(db)
        .optional()?)
}

/// Takes the message for the test that waits for it, if one does: then it is no call, and the caller does nothing more
/// with it. At most one message is taken for a test; the database decides which.
pub(crate) fn take(tx: &mut Tx<'_>, device: &Device, kind: EventKind, sighting: &Sighting) -> Result<bool> {
    if kind != EventKind::Test && !TESTABLE.contains(&kind) {
        return Ok(false);
    }
    let press = Press {
        kind,
        observed_at: sighting.observed_at,
        received_at: sighting.received_at,
        old: sighting.historical || sighting.retained,
    };
    let Some(test) = waiting(tx.db(), device.id)? else {
        return if kind == EventKind::Test && !press.old { own_test(tx, device, press) } else { Ok(false) };
    };
    let window = Window { expects: &test.expects, from: test.started_at, to: test.ends_at };
    if !window.takes(press) {
        return Ok(false);
    }
    let now = tx.now();
    let taken = diesel::update(device_test::table.find(test.id.0).filter(device_test::state.eq("waiting")))
        .set((
            device_test::state.eq("passed"),
            device_test::told.eq(kind.name()),
            device_test::observed_at.eq(press.observed_at),
            device_test::received_at.eq(press.received_at),
            device_test::done_at.eq(now),
        ))
        .execute(tx.db())?;
    if taken == 0 {
        return Ok(false);
    }
    if !stays_on(kind) {
        tx.cancel_timer(&timer_key(test.id))?;
    }
    tx.signal(format!("{TOPIC}:{}", device.facility_id));
    Ok(true)
}

/// A device tested itself, without being asked: that counts as well.
fn own_test(tx: &mut Tx<'_>, device: &Device, press: Press) -> Result<bool> {
    let now = tx.now();
    let latest: Option<Moment> = device_test::table
        .filter(device_test::device_id.eq(device.id.0).and(device_test::state.eq("passed")))
        .order(device_test::id.desc())
        .select(device_test::started_at)
        .first(tx.db())
        .optional()?;
    if latest.is_some_and(|at| now.seconds_since(at) < OWN_TESTS_APART_S) {
        return Ok(true);
    }
    let id = tx.next_id();
    diesel::insert_into(device_test::table)
        .values((
            device_test::id.eq(id),
            device_test::device_id.eq(device.id.0),
            device_test::facility_id.eq(device.facility_id.0),
            device_test::kind.eq(TestKind::Weekly.as_str()),
            device_test::expects.eq(EventKind::Test.name()),
            device_test::state.eq("passed"),
            device_test::started_at.eq(press.observed_at),
            device_test::ends_at.eq(now),
            device_test::told.eq(EventKind::Test.name()),
            device_test::observed_at.eq(press.observed_at),
            device_test::received_at.eq(press.received_at),
            device_test::done_at.eq(now),
        ))
        .execute(tx.db())?;
    tx.signal(format!("{TOPIC}:{}", device.facility_id));
    Ok(true)
}

/// The window is over: a press is a call again; and what a test has set off and is still on, is one now.
pub(crate) fn on_timer(tx: &mut Tx<'_>, timer: &Timer) -> Result<()> {
    #[derive(Deserialize)]
    struct Due {
        test: TestId,
    }
    let Due { test } = timer.data()?;
    let test: Option<Test> = device_test::table.find(test.0).select(Test::as_select()).first(tx.db()).optional()?;
    let Some(test) = test else { return Ok(()) };
    if finish(tx, &test, "missed")? || test.state != "passed" {
        return Ok(());
    }
    let Some(kind) = test.told.as_deref().and_then(EventKind::from_name).filter(|kind| stays_on(*kind)) else {
        return Ok(());
    };
    let still_on: Option<Option<bool>> = device_state::table
        .find((test.device_id.0, kind.name()))
        .select(device_state::active)
        .first(tx.db())
        .optional()?;
    if still_on.flatten() == Some(true) { raise(tx, &test) } else { Ok(()) }
}

/// What was taken for a test is a call after all.
pub(super) fn raise(tx: &mut Tx<'_>, test: &Test) -> Result<()> {
    let kind = test.told.as_deref().and_then(EventKind::from_name).and_then(act::incident_kind).unwrap_or(Kind::Sos);
    let Some(device) = register::find(tx.db(), test.device_id)? else { return Ok(()) };
    let now = tx.now();
    let observed_at = test.observed_at.unwrap_or(now);
    let cause = json!({
        "device": device.id, "device_name": device.name, "serial": device.serial, "adapter": device.adapter,
        "kind": kind.as_str(), "event": true, "observed_at": observed_at, "received_at": test.received_at,
        "test": test.id,
    });
    // As late as it is raised: whoever goes there must know.
    let report = report::of(tx.db(), &device, kind, String::new(), cause, observed_at, now)?;
    songhe_incidents::report(tx, &report)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_press_that_was_asked_for_is_taken() {
        let at = |text: &str| format!("2026-11-22T08:{text}Z").parse::<Moment>().unwrap();
        let window = Window { expects: "sos", from: at("00:00"), to: at("05:00") };
        let press = |kind, observed: &str, received: &str, old| Press {
            kind,
            observed_at: at(observed),
            received_at: at(received),
            old,
        };
        let sos = EventKind::Sos;
        for (what, press, taken) in [
            ("the press", press(sos, "01:00", "01:00", false), true),
            ("the first moment", press(sos, "00:00", "00:00", false), true),
            ("the last moment", press(sos, "05:00", "05:00", false), true),
            ("the device's own word", press(EventKind::Test, "01:00", "01:00", false), true),
            ("pressed before", press(sos, "00:00", "01:00", false), true),
            (
                "pressed a moment before",
                Press { observed_at: at("00:00").plus_seconds(-1), ..press(sos, "00:00", "01:00", false) },
                false,
            ),
            ("arrived too late", press(sos, "04:59", "05:01", false), false),
            ("pressed too late", press(sos, "05:01", "05:01", false), false),
            ("had waited, or was kept by a broker", press(sos, "01:00", "01:00", true), false),
            ("a fall", press(EventKind::Fall, "01:00", "01:00", false), false),
            ("smoke", press(EventKind::Smoke, "01:00", "01:00", false), false),
        ] {
            assert_eq!(window.takes(press), taken, "{what}");
        }
    }
}
